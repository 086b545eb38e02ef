"""The joint table: one row a design, with accuracy, energy, area and latency side by side, as CSV and for terminals."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from reports.built_cores import caption_of_parts, what_is_in
from reports.results import Interval, StudyResult, Values, interval_of, is_calibrated

COST_COLUMNS = ("energy_fj_per_op", "area_mm2", "latency_ns", "tops_per_w")


def joint_rows(result: StudyResult) -> list[Values]:
    """Return the table with one plain column a number; units stand in the names.

    Accuracies are in percent, losses in percentage points, and `_low` and `_high` are ends of 95 % intervals (None
    where the model behind the number has none).

    Args:
        result: what the study found.
    """
    return [_row(design, result) for design in result.designs]


def _row(design: Values, result: StudyResult) -> Values:
    accuracy, cost = design["accuracy"], design["cost"]
    loss_low, loss_high = accuracy["loss_interval"] or (None, None)
    row: Values = {
        "design": design["name"],
        "negative_weights": design["fields"]["negative_weights"],
        "weight_bits": design["fields"]["weight_bits"],
        "slices": design["slices"],
        "partitions": design["partitions"],
        "b_out_bits": None if design["b_out_bits"] is None else round(design["b_out_bits"], 3),
        "conversions_per_mvm": design["conversions_per_mvm"],
        "network": result.network["name"],
        "test_images": accuracy["images"],
        "device": (design["core"]["cell"] or {"name": "ideal"})["name"],
        "accuracy_baseline_percent": 100 * accuracy["baseline"],
        "accuracy_ideal_percent": 100 * accuracy["ideal"],
        "accuracy_device_percent": 100 * accuracy["mean"],
        "accuracy_device_std_percent": 100 * accuracy["std"],
        "trials": accuracy["trials"],
        "loss_points": 100 * accuracy["loss"],
        "loss_points_low": None if loss_low is None else 100 * loss_low,
        "loss_points_high": None if loss_high is None else 100 * loss_high,
    }
    for column in COST_COLUMNS:
        low, high = interval_of(cost, column) or (None, None)
        row |= {column: cost[column], f"{column}_low": low, f"{column}_high": high}
    whole = design["network_cost"]
    row |= {
        "network_cores": whole["cores"],
        "network_energy_gated_uj": whole["energy_gated_uj"],
        "network_latency_us": whole["latency_us"],
    }
    fields = {name: value for name, value in design["fields"].items() if name not in (*row, "name")}
    return row | fields | _built(design["core"]) | {"in_accuracy": what_is_in(design["core"])}


def _built(core: Values) -> Values:
    """Return what a core is built of beside design and cell, as columns."""
    adc, faults = core["adc"], core["faults"] or {"stuck_low": 0.0, "stuck_high": 0.0}
    return {
        "age_s": core["age_s"],
        "temperature_k": core["temperature_k"],
        "adc": None if adc is None else adc.get("name", adc["kind"]),
        "peripherals": core["peripherals"],
        "bit_line": core["wires"]["bit_line"],
        "corrections": " ".join(core["corrections"]),
        **faults,
    }


def to_csv(rows: Sequence[Values]) -> str:
    """Return rows as CSV text with a header; None becomes an empty field.

    Args:
        rows: mappings with the same keys.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def significant(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, without an exponent where a person would not use one.

    Args:
        value: the number.
        digits: significant digits.
    """
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.{digits - 1}e}"
    rounded = float(f"{value:.{digits - 1}e}")
    magnitude = len(str(int(abs(rounded)))) if abs(rounded) >= 1 else 0
    if magnitude:
        return f"{rounded:,.{max(digits - magnitude, 0)}f}".replace(",", " ")
    text = f"{rounded:.10f}".rstrip("0")
    leading = len(text.split(".")[1]) - len(text.split(".")[1].lstrip("0"))
    return f"{rounded:.{leading + digits}f}"


def show_interval(interval: Interval | None, digits: int = 3) -> str:
    """Return an interval as ``low – high``; nothing where there is none or it is too narrow to show.

    Args:
        interval: its ends; None where there is none.
        digits: significant digits of each end, up to two more where the ends would look the same.
    """
    if interval is None:
        return ""
    for more in range(3):
        low, high = (significant(end, digits + more) for end in interval)
        if low != high:
            return f"{low} – {high}"
    return ""


_PREFIXES = ((1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"), (1e-15, "f"))
_PREFIXED_UNITS = ("A", "V", "s", "S", "Ohm", "J", "W", "F")


def in_prefix(value: float, unit: str, interval: Interval | None = None, digits: int = 4) -> tuple[str, str, str]:
    """Return value, unit and interval as a person writes them: 3.8e-08 A becomes 38 nA.

    Args:
        value: the number.
        unit: its unit; SI units without a prefix get one.
        interval: its ends, in the same unit.
        digits: significant digits.
    """
    if unit == "1":
        unit = ""
    scale, prefix = 1.0, ""
    if unit in _PREFIXED_UNITS and value:
        fitting = [(s, p) for s, p in _PREFIXES if abs(value) >= 0.9995 * s]
        scale, prefix = fitting[0] if fitting else _PREFIXES[-1]
    ends = None if interval is None else (interval[0] / scale, interval[1] / scale)
    shown = f"{float(f'{value / scale:.{digits}g}'):.10g}"
    return shown, f"{prefix}{unit}", show_interval(ends, 3)


def short_rows(result: StudyResult) -> list[dict[str, str]]:
    """Return the table as a person reads it in a terminal: uncertainties beside their values.

    Args:
        result: what the study found.
    """
    label = result.device["label"]
    headings = {
        "energy_fj_per_op": "Energy [fJ/op]",
        "area_mm2": "Area [mm²]",
        "latency_ns": "Latency [ns]",
        "tops_per_w": "TOPS/W",
    }
    rows = []
    for design in result.designs:
        accuracy, cost = design["accuracy"], design["cost"]
        row = {
            "Design": design["name"],
            "B_out [bit]": bits(design["b_out_bits"]),
            "Ideal cells [%]": f"{100 * accuracy['ideal']:.2f}",
            f"{label} [%]": f"{100 * accuracy['mean']:.2f} ± {100 * accuracy['std']:.2f}",
            "Loss [points]": f"{100 * accuracy['loss']:+.2f}",
        }
        for column, heading in headings.items():
            value, interval = significant(cost[column]), show_interval(interval_of(cost, column), 2)
            interval = "calibrated" if is_calibrated(cost, column) else interval
            row[heading] = f"{value} ({interval})" if interval else value
        rows.append(row)
    return rows


def bits(resolution: float | None) -> str:
    """Return a resolution [bit] as tables show it; without quantised inputs there is no limit.

    Args:
        resolution: the number, None for no limit.
    """
    return "∞" if resolution is None else f"{resolution:.1f}"


def caption(result: StudyResult) -> str:
    """Return the sentence below the table.

    Args:
        result: what the study found.
    """
    network = result.network
    return (
        f"{network['name']} on {network['test_images']} test images of {network['data_set']}; float baseline "
        f"{100 * network['baseline']:.2f} %; ADC ranges from {network['calibration_images']} training images; "
        f"{result.device['label']} cells: mean ± standard deviation of {result.designs[0]['accuracy']['trials']} "
        f"trials; brackets: 95 % intervals. {caption_of_parts(list(result.designs))}"
    )
