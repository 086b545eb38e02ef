"""The joint table: one row a design, with accuracy, energy, area and latency side by side, as CSV and for terminals."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from reports.built_cores import caption_of_parts, what_is_in
from reports.layer_cores import column_of, cost_remark, overrides_of
from reports.metric import ShownMetric
from reports.numbers import bits, show_interval, significant
from reports.results import StudyResult, Values, interval_of, is_calibrated
from reports.sources import borrowed_note
from reports.trained_step import trained_columns, trained_text

COST_COLUMNS = ("energy_fj_per_op", "area_mm2", "latency_ns", "tops_per_w")


def joint_rows(result: StudyResult) -> list[Values]:
    """Return the table with one plain column a number; units stand in the names.

    Accuracies are in percent, losses in percentage points, other metrics in their own units, and `_low` and `_high` are
    ends of 95 % intervals (None where the model behind the number has none).

    Args:
        result: what the study found.
    """
    return [_row(design, result) for design in result.designs]


def _row(design: Values, result: StudyResult) -> Values:
    accuracy, cost = design["accuracy"], design["cost"]
    shown = ShownMetric(result.metric)
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
        "metric": result.metric["name"],
        shown.column("baseline"): shown.scaled(accuracy["baseline"]),
        shown.column("ideal"): shown.scaled(accuracy["ideal"]),
        shown.column("device"): shown.scaled(accuracy["mean"]),
        shown.column("device_std"): shown.scaled(accuracy["std"]),
        "trials": accuracy["trials"],
        shown.loss_column: shown.scaled(accuracy["loss"]),
        f"{shown.loss_column}_low": None if loss_low is None else shown.scaled(loss_low),
        f"{shown.loss_column}_high": None if loss_high is None else shown.scaled(loss_high),
    }
    row |= trained_columns(design, shown)
    parts = partly(design)
    row |= {
        shown.column(name.replace(" ", "_")): shown.scaled(parts[name]) if name in parts else None
        for name in ("cells alone", "untrimmed")
    }
    for column in COST_COLUMNS:
        low, high = interval_of(cost, column) or (None, None)
        row |= {column: cost[column], f"{column}_low": low, f"{column}_high": high}
    whole = design["network_cost"]
    row |= {
        "network_cores": whole["cores"],
        "network_area_mm2": whole["area_mm2"],
        "network_energy_gated_uj": whole["energy_gated_uj"],
        "network_latency_us": whole["latency_us"],
        "periphery_borrowed_from": cost.get("periphery_borrowed_from") or whole.get("periphery_borrowed_from"),
    }
    if shown.place:
        places = result.network["places_per_inference"]
        row |= {
            f"{shown.place}s_per_inference": places,
            f"network_energy_gated_nj_per_{shown.place}": 1e3 * whole["energy_gated_uj"] / places,
        }
    fields = {name: value for name, value in design["fields"].items() if name not in (*row, "name")}
    others = overrides_of(design)
    row |= fields | _built(design["core"])
    if any(map(overrides_of, result.designs)):
        row |= {"overrides": column_of(design), "network_placed_on": whole.get("placed_on")}
    return row | {"in_accuracy": what_is_in(design["core"], design["name"], others)}


def partly(design: Values) -> dict[str, float]:
    """Return what the metric is with cells alone, and before corrections, where the core has more than that.

    Args:
        design: as in `StudyResult`.
    """
    stages = {stage["name"]: stage["accuracy"]["mean"] for stage in design["stages"]}
    found = {"cells alone": stages["cells"]} if "cells" in stages else {}
    names = [*stages, design["last_stage"]]
    if "trim" in names and names.index("trim") > 0:
        before = names[names.index("trim") - 1]
        found |= {"untrimmed": stages[before]}
    return found


def _built(core: Values) -> Values:
    """Return what a core is built of beside design and cell, as columns."""
    adc, faults = core["adc"], core["faults"] or {"stuck_low": 0.0, "stuck_high": 0.0}
    return {
        "age_s": core["age_s"],
        "temperature_k": core["temperature_k"],
        "compensation_fraction": None if core.get("compensation") is None else core["compensation"]["fraction"],
        "adc": None if adc is None else adc.get("name", adc["kind"]),
        "peripherals": core["peripherals"],
        "bit_line": core["wires"]["bit_line"],
        "r_in_hat": core["wires"].get("r_in_hat", 0.0),
        "r_s_hat": core["wires"].get("r_s_hat", 0.0),
        "feed": core["wires"].get("feed"),
        "orientation": core["wires"].get("orientation", "source"),
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


def short_rows(result: StudyResult) -> list[dict[str, str]]:
    """Return the table as a person reads it in a terminal: uncertainties beside their values.

    Args:
        result: what the study found.
    """
    shown = ShownMetric(result.metric)
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
            shown.heading("Ideal cells"): shown.value(accuracy["ideal"]),
            shown.heading("As built"): f"{shown.value(accuracy['mean'])} ± {shown.spread(accuracy['std'])}",
            shown.loss_heading(): shown.signed(accuracy["loss"]),
        }
        parts = partly(design)
        if any(map(partly, result.designs)):
            row["Cells alone; untrimmed"] = "; ".join(
                shown.value(parts[name]) if name in parts else "–" for name in ("cells alone", "untrimmed")
            )
        if any(own.get("trained") for own in result.designs):
            row["Trained (gain)"] = (trained_text(design, shown) or "–").removeprefix("trained ")
        for column, heading in headings.items():
            value, interval = significant(cost[column]), show_interval(interval_of(cost, column), 2)
            interval = "calibrated" if is_calibrated(cost, column) else interval
            row[heading] = f"{value} ({interval})" if interval else value
        rows.append(row)
    return rows


def caption(result: StudyResult) -> str:
    """Return the sentence below the table.

    Args:
        result: what the study found.
    """
    network, shown = result.network, ShownMetric(result.metric)
    example = network["example"]
    remarks = (caption_of_parts(list(result.designs)), cost_remark(result.designs), borrowed_note(result.designs))
    return (
        f"{shown.title} of {network['name']} on {network['test_images']} test {example}s of {network['data_set']}; "
        f"float baseline {shown.with_unit(network['baseline'])}; ADC ranges from {network['calibration_images']} "
        f"training {example}s; as built, with {result.device['label']} cells: mean ± standard deviation of "
        f"{result.designs[0]['accuracy']['trials']} trials; brackets: 95 % intervals. "
        f"{' '.join(filter(None, remarks))}"
    )
