"""The joint table: one row a design, with accuracy, energy, area and latency side by side, as CSV and for terminals."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from reports.results import DesignResult, Interval, StudyResult

COST_COLUMNS = ("energy_fj_per_op", "area_mm2", "latency_ns", "tops_per_w")


def joint_rows(result: StudyResult) -> list[dict[str, Any]]:
    """Return the table with one plain column a number; units stand in the names.

    Accuracies are in percent, losses in percentage points, and `_low` and `_high` are ends of 95 % intervals (None
    where the model behind the number has none).

    Args:
        result: what the study found.
    """
    return [_row(design, result) for design in result.designs]


def _row(design: DesignResult, result: StudyResult) -> dict[str, Any]:
    accuracy, cost = design.accuracy, design.cost
    loss_low, loss_high = accuracy.loss_interval or (None, None)
    row: dict[str, Any] = {
        "design": design.name,
        "negative_weights": design.fields["negative_weights"],
        "weight_bits": design.fields["weight_bits"],
        "slices": design.slices,
        "partitions": design.partitions,
        "b_out_bits": None if design.b_out == float("inf") else round(design.b_out, 3),
        "conversions_per_mvm": design.conversions_per_mvm,
        "network": result.network.name,
        "test_images": accuracy.images,
        "device": result.device.name,
        "accuracy_baseline_percent": 100 * accuracy.baseline,
        "accuracy_ideal_percent": 100 * accuracy.ideal,
        "accuracy_device_percent": 100 * accuracy.mean,
        "accuracy_device_std_percent": 100 * accuracy.std,
        "trials": len(accuracy.per_trial),
        "loss_points": 100 * accuracy.loss,
        "loss_points_low": None if loss_low is None else 100 * loss_low,
        "loss_points_high": None if loss_high is None else 100 * loss_high,
    }
    for column in COST_COLUMNS:
        low, high = cost.intervals.get(column, (None, None))
        row |= {column: getattr(cost, column), f"{column}_low": low, f"{column}_high": high}
    whole = design.network_cost
    row |= {
        "network_cores": None if whole is None else whole.cores,
        "network_energy_gated_uj": None if whole is None else whole.energy_gated_uj,
        "network_latency_us": None if whole is None else whole.latency_us,
    }
    return row


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
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
    label = result.device.label
    rows = []
    for design in result.designs:
        accuracy, cost = design.accuracy, design.cost
        row = {
            "Design": design.name,
            "B_out [bit]": f"{design.b_out:.1f}",
            "Ideal cells [%]": f"{100 * accuracy.ideal:.2f}",
            f"{label} [%]": f"{100 * accuracy.mean:.2f} ± {100 * accuracy.std:.2f}",
            "Loss [points]": f"{100 * accuracy.loss:+.2f}",
        }
        headings = {
            "energy_fj_per_op": "Energy [fJ/op]",
            "area_mm2": "Area [mm²]",
            "latency_ns": "Latency [ns]",
            "tops_per_w": "TOPS/W",
        }
        for column, heading in headings.items():
            value = significant(getattr(cost, column))
            interval = show_interval(cost.intervals.get(column), 2)
            row[heading] = f"{value} ({interval})" if interval else value
        rows.append(row)
    return rows


def caption(result: StudyResult) -> str:
    """Return the sentence below the table.

    Args:
        result: what the study found.
    """
    network = result.network
    trials = len(result.designs[0].accuracy.per_trial)
    return (
        f"{network.name} on {network.test_images} test images of {network.data_set}; float baseline "
        f"{100 * network.baseline:.2f} %; converter ranges from {network.calibration_images} training images; "
        f"{result.device.label} cells: mean ± standard deviation of {trials} trials; brackets: 95 % intervals."
    )
