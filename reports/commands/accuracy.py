"""`devicekit accuracy`: what accuracy a network keeps on a core's analog arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from reports.commands._cells import CellsRead
from reports.commands._core_options import (
    AgeOption,
    CompensationOption,
    DrawCellsOption,
    FeedOption,
    InputHatOption,
    InputResistanceOption,
    OrientationOption,
    OverrideOption,
    ProjectSignsOption,
    SupplyHatOption,
    SupplyResistanceOption,
    TemperatureOption,
    ToleranceOption,
    overrides_of,
)
from reports.commands.common import (
    DesignsArgument,
    JsonOption,
    SeedOption,
    Step,
    examples,
    print_json,
    print_note,
    print_table,
    progress,
)

if TYPE_CHECKING:
    from accuracy.evaluation.layer_report import LayerReport
    from circuits.core_parts import Correction
    from reports.metric import ShownMetric

_HEADINGS = {
    "design": "Design",
    "device": "Cells",
    "baseline": "Digital",
    "ideal": "Ideal cells",
    "mean": "Analog",
    "std": "Std",
    "loss": "Loss",
    "loss_interval": "95 % of it",
    "trials": "Trials",
    "images": "Images",
}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "accuracy",
        epilog=examples(
            "devicekit accuracy A E --trials 3 --figure accuracy.pdf",
            "devicekit accuracy B --device sonos_40nm_iedm2022 --images 100 --trials 2 --json",
        ),
    )(accuracy)


def accuracy(
    designs: DesignsArgument = None,
    network: Annotated[
        str, typer.Option(help="Network by name, or of your own: MODULE:FUNCTION, FILE.py:FUNCTION or an ONNX file.")
    ] = "digits_cnn",
    weights: Annotated[Path | None, typer.Option(help="Weight file; by default looked for in the data folder.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with the data set, for networks that need one.")] = None,
    data_set: Annotated[
        str | None,
        typer.Option(
            help="Data set by name, or your own: MODULE:FUNCTION, FILE.py:FUNCTION or a .npz file; the network's own "
            "by default."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Memory cell: a name, a file, or 'ideal'; the core's, or sonos_40nm_tcas2022, by default."),
    ] = None,
    trials: Annotated[int, typer.Option(help="How often the cells are programmed.")] = 10,
    images: Annotated[int | None, typer.Option(help="Test images to use; all by default.")] = None,
    calibration_images: Annotated[int | None, typer.Option(help="Training images for ranges; all by default.")] = None,
    age: AgeOption = None,
    temperature: TemperatureOption = None,
    compensation: CompensationOption = None,
    error_scale: Annotated[float, typer.Option(help="Factor on the spread of the cells.")] = 1.0,
    r_p_hat: Annotated[float | None, typer.Option(help="Bit-line resistance of all designs, relative.")] = None,
    bit_line: Annotated[
        str | None,
        typer.Option(help="Cell on a resistive bit line: resistor (default), affine, relinearised or transistor."),
    ] = None,
    r_in_hat: InputHatOption = None,
    input_resistance: InputResistanceOption = None,
    r_s_hat: SupplyHatOption = None,
    supply_resistance: SupplyResistanceOption = None,
    feed: FeedOption = None,
    orientation: OrientationOption = None,
    peripherals: Annotated[
        str | None, typer.Option(help="Peripheral model by name or file; the core's, or ideal columns, by default.")
    ] = None,
    adc: Annotated[
        str | None,
        typer.Option(
            help="ADC: ramp, sar, flash, pipeline, sar_40nm ..., or a file; the core's, or ideal, by default."
        ),
    ] = None,
    override: OverrideOption = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Name pattern of layers that stay digital.")] = None,
    project_signs: ProjectSignsOption = False,
    correct: Annotated[
        list[str] | None,
        typer.Option(help="After programming: drift, column_trim or batch_norm, repeatable; the core's by default."),
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            help="top1, top5, binary or multi_label (logits above 0), binary_probability (above 0.5), cross_entropy, "
            "perplexity, mse, or MODULE:FUNCTION of your own."
        ),
    ] = "top1",
    draw_cells: DrawCellsOption = False,
    tolerance: ToleranceOption = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the trials to this file (png, svg or pdf).")] = None,
    layers: Annotated[bool, typer.Option(help="Report layer by layer what is lost and how ranges are used.")] = False,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Images at a time; results do not depend on it. As suits the layers by default, at most 100."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes to spread trials over; results do not depend on it.")] = 1,
    as_json: JsonOption = False,
    seed: SeedOption = 0,
) -> None:
    """Accuracy of a network on analog arrays, with ideal cells and with the device's errors."""
    from accuracy import (
        DataSet,
        analog_layers,
        calibrate,
        calibration_report,
        convert,
        coverage,
        evaluate,
        layer_report,
        layer_shapes,
        networks,
    )
    from accuracy.batches import batch_of, usual_size
    from accuracy.data_sets import find as find_data
    from accuracy.evaluation.measures import measure_of
    from circuits import choose_cores, load_core, network_cores
    from reports import panels
    from reports.built_cores import layers_elsewhere
    from reports.layer_cores import overrides_shown
    from reports.metric import ShownMetric

    facts = measure_of(metric).facts.to_dict()
    shown = ShownMetric(facts)
    if figure is not None:
        panels.check_name(figure)
    read = CellsRead(device, age, temperature, error_scale, compensation)
    given = {
        "r_p_hat": r_p_hat,
        "bit_line": bit_line,
        "r_in_hat": r_in_hat,
        "input_resistance": input_resistance,
        "r_s_hat": r_s_hat,
        "supply_resistance": supply_resistance,
        "feed": feed,
        "orientation": orientation,
    }
    wires = {name: value for name, value in given.items() if value is not None} or None
    parts: dict[str, Any] = {"peripherals": peripherals, "adc": adc, "wires": wires}
    chosen = {name: read.built(core, **parts) for name, core in choose_cores(designs or ["xiao2022"]).items()}
    overrides = {pattern: read.beside(load_core(name), **parts) for pattern, name in overrides_of(override).items()}
    # The user's own network takes its own weights; one known by name may have them beside its images.
    model = networks.load(network, weights or (None if networks.is_own(network) else data))
    loaded = find_data(data_set or networks.data_set(network), data)
    one = batch_of(next(iter(loaded.batches("test", 1, 1))))
    networks.try_out(network, model, one)
    if batch_size is None:
        batch_size = usual_size(layer_shapes(model, one.keywords or one.arguments, 1, exclude=exclude or ()))
    calibration = loaded.batches("calibration", batch_size, calibration_images)
    test = loaded.batches("test", batch_size, images)
    rows: list[dict[str, Any]] = []
    with progress("Accuracy", as_json=as_json) as step:
        for name, core in chosen.items():
            cores = network_cores(core, overrides)
            converted = convert(model, cores, seed=seed, exclude=exclude or (), project_signs=project_signs)
            calibrate(converted, calibration, progress=_stage(step, f"{name}: calibrating"))
            result = evaluate(
                converted,
                test,
                trials,
                seed,
                metric=metric,
                draw_cells=draw_cells,
                tolerance=None if tolerance is None else tolerance / shown.scaled(1.0),
                corrections=cast("list[Correction]", correct) if correct else None,
                correction_batches=calibration if correct or core.corrections else None,
                workers=workers,
                progress=_stage(step, f"{name}: evaluating"),
            )
            by_layer = _by_layer(layer_report(converted, test, seed), calibration_report(converted)) if layers else []
            own = {"layers": by_layer} if layers else {}
            cell = "ideal" if core.cell is None else device or core.cell.name
            named = {"design": name, "device": cell, "network": network, "metric": metric}
            built = {"core": core.to_dict(), "overrides": overrides_shown(cores, analog_layers(converted))}
            rows.append({**named, **result.to_dict(), **built, **own})
    if figure is not None:
        panels.save(panels.accuracy_panel(rows, shown)[0], figure)
    # The same for every design.
    covered = coverage(converted)
    used = min(calibration_images or loaded.size("calibration"), loaded.size("calibration"))
    if as_json:
        common = {"network": network, "calibration_images": used, "seed": seed, "metric": facts}
        print_json({**common, "coverage": covered.to_dict(), "designs": rows})
        return
    headings = _HEADINGS | {key: shown.heading(_HEADINGS[key]) for key in ("baseline", "ideal", "mean", "std")}
    headings["loss"] = shown.loss_heading()
    table = [{key: _shown(key, row[key], shown) for key in headings if key in row} for row in rows]
    print_table(table, title=f"{shown.title} of {network} on {loaded.name}", headings=headings)
    for row in rows if layers else []:
        print_table(
            [_shown_layer(layer) for layer in row["layers"]], title=f"{row['design']}: layer by layer", headings=_LAYER
        )
    if layers:
        print_table(
            [_shown_matrix(row) for row in covered.to_dict()["matrices"]],
            title="Matrices of the network",
            headings=_MATRIX,
        )
    for row in rows if overrides else []:
        print_note(f"{row['design']}: {layers_elsewhere({**row, 'name': row['core']['name']}) or 'all layers on it'}.")
    for remark in dict.fromkeys(remark for row in rows for remark in row["remarks"]):
        print_note(remark)
    print_note(covered.summary())
    example = facts["example"] or ("image" if isinstance(loaded, DataSet) else "example")
    counted = f"{rows[0]['images']} test {example}s{shown.of_labels(rows[0]['labels'])}"
    print_note(f"Ranges were calibrated on {used} training {example}s; {shown.label} is on {counted}.")


def api_arguments() -> dict[str, str]:
    """Return the options for arguments of the API that are called otherwise here."""
    own = {
        "cell": "--device",
        "overrides": "--override",
        "wires": "--r-p-hat or another of the wires",
        "corrections": "--correct",
    }
    return {"time": "--age", "directory": "--data"} | own


_LAYER = {
    "name": "Layer",
    "rows": "Rows",
    "columns": "Columns",
    "snr_db": "Own SNR [dB]",
    "network_snr_db": "Network SNR [dB]",
    "clipped_inputs": "Inputs clipped [%]",
    "used_codes": "Codes used [%]",
    "useful_range": "Useful range [%]",
    "codes_per_level": "Codes a level",
}


_MATRIX = {
    "name": "Matrix",
    "kind": "Kind",
    "weights": "Weights",
    "macs": "MACs an inference",
    "analog": "On arrays",
    "reason": "Why not",
}


def _shown_matrix(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "macs": f"{row['macs']:.0f}", "analog": "yes" if row["analog"] else "no"}


def _by_layer(reports: Sequence[LayerReport], ranges: Sequence[dict[str, object]]) -> list[dict[str, Any]]:
    """Join what each layer loses with how calibration set its ranges."""
    return [
        {**report.to_dict(), "ranges": [entry for entry in ranges if entry["layer"] == report.name]}
        for report in reports
    ]


def _shown_layer(layer: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": layer["name"],
        "rows": layer["rows"],
        "columns": layer["columns"],
        "snr_db": _decibels(layer["snr_db"]),
        "network_snr_db": _decibels(layer["network_snr_db"]),
        "clipped_inputs": f"{100 * layer['clipped_inputs']:.3f}",
        "used_codes": _by_slice(layer["ranges"], "used_code_fraction"),
        "useful_range": _by_slice(layer["ranges"], "useful_range_fraction"),
        "codes_per_level": _listed([entry["codes_per_level"] for entry in layer["ranges"]], _codes),
    }


def _decibels(ratio: float | None) -> str:
    return "no error" if ratio is None else f"{ratio:.1f}"


def _by_slice(ranges: list[dict[str, Any]], column: str) -> str:
    """One percentage a weight slice, least significant first."""
    return _listed([entry[column] for entry in ranges], lambda value: f"{100 * value:.3g}")


def _codes(value: float) -> str:
    """A number of codes, with digits behind the point unless it is a whole one."""
    from circuits.adc_ranges import is_whole

    return f"{value:.0f}" if is_whole(value) else f"{value:#.2g}" if value < 0.1 else f"{value:.2f}"


def _listed(values: list[Any], shown: Callable[[Any], str]) -> str:
    return "-" if None in values else ", ".join(map(shown, values))


def _shown(key: str, value: Any, metric: ShownMetric) -> Any:
    """Return a value as the main table shows it."""
    if key == "loss_interval":
        return "-" if value is None else " to ".join(map(metric.signed, value))
    forms = {"baseline": metric.value, "ideal": metric.value, "mean": metric.value} | {
        "std": metric.spread,
        "loss": metric.signed,
    }
    return forms[key](value) if key in forms and value is not None else value


def _stage(step: Step, description: str) -> Callable[[int, int], None]:
    """Return a progress function that shows its own description."""
    return lambda done, total: step(done, total, description)
