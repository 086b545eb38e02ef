"""`devicekit report`: the whole chain in one run, one table, one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

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
    console,
    examples,
    print_json,
    print_note,
    print_table,
    progress,
)


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(
        "report",
        epilog=examples(
            "devicekit report A isaac2016 --trials 2 --images 50 --calibration-images 50",
            "devicekit report A --override fc=C --peripherals ideal --trials 2 --images 50 --calibration-images 50",
            "devicekit report A --peripherals sized --correct column_trim --trials 2 --images 50",
            "devicekit report A --device sonos_40nm_iedm2022 --trials 2 --images 50 --calibration-images 50 --json",
        ),
    )(report)


def report(
    ctx: typer.Context,
    designs: DesignsArgument = None,
    network: Annotated[
        str | None, typer.Option(help="Network, or MODULE:FUNCTION or an ONNX file of your own. [default: digits_cnn]")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weight file of the network.")] = None,
    trained: Annotated[
        Path | None,
        typer.Option(
            help="Weights of the same network after training, a file or the folder of devicekit train: table and page "
            "show both."
        ),
    ] = None,
    trained_scale: Annotated[
        list[float] | None,
        typer.Option(help="With --trained: compare also with so many times the errors; repeatable. [default: 0.5, 2]"),
    ] = None,
    data_set: Annotated[
        str | None,
        typer.Option(
            help="Data that a network of your own reads: a name, or your own as MODULE:FUNCTION, FILE.py:FUNCTION or a "
            ".npz file."
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with the network's images (and weights).")] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="What is counted: top1, top5, binary, binary_probability, multi_label, cross_entropy, perplexity, "
            "mse, or MODULE:FUNCTION of your own. [default: top1]"
        ),
    ] = None,
    measurements: Annotated[
        str | None,
        typer.Option(help="Cell currents to fit; the fitted cell is used. [default: the bundled 40 nm SONOS states]"),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="A device, bundled or a file of yours, used as it stands instead of a fit.")
    ] = None,
    library: Annotated[
        str | None,
        typer.Option(
            help="Component library; 'borrow:sonos_40nm' serves cells of any technology. [default: sonos_40nm]"
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Name pattern of the network's layers that stay digital; repeatable.")
    ] = None,
    override: OverrideOption = None,
    images: Annotated[int | None, typer.Option(min=1, help="So many test images at most. [default: all]")] = None,
    calibration_images: Annotated[
        int | None, typer.Option(min=1, help="So many training images at most set the ranges. [default: 1000]")
    ] = None,
    peripherals: Annotated[
        str | None,
        typer.Option(
            help="Column peripherals by name or file; 'ideal' for none. [default: 'sized', circuits sized for each "
            "design, trimmed]"
        ),
    ] = None,
    correct: Annotated[
        list[str] | None,
        typer.Option(
            help="After programming: drift, column_trim or batch_norm, repeatable, or 'none'; the cores' by default, "
            "and column_trim where they get sized peripherals."
        ),
    ] = None,
    adc: Annotated[
        str | None,
        typer.Option(help="ADC: ramp, sar, flash, pipeline, a bundled one (sar_40nm, ...) or a file."),
    ] = None,
    age: AgeOption = None,
    temperature: TemperatureOption = None,
    compensation: CompensationOption = None,
    r_p_hat: Annotated[
        float | None,
        typer.Option(
            help="Bit-line resistance, relative; 0 for none. [default: 1e-5 where the line currents say that it costs "
            "more than a tenth of an ADC step]"
        ),
    ] = None,
    bit_line: Annotated[str | None, typer.Option(help="Cell on a resistive bit line, see devicekit accuracy.")] = None,
    r_in_hat: InputHatOption = None,
    input_resistance: InputResistanceOption = None,
    r_s_hat: SupplyHatOption = None,
    supply_resistance: SupplyResistanceOption = None,
    feed: FeedOption = None,
    orientation: OrientationOption = None,
    trials: Annotated[
        int | None, typer.Option(min=2, help="How often the network is programmed. [default: 10]")
    ] = None,
    stage_trials: Annotated[
        int | None,
        typer.Option(min=0, help="How often for each stage of where accuracy goes; 0 leaves it out. [default: 3]"),
    ] = None,
    tolerance: ToleranceOption = None,
    error_scale: Annotated[float | None, typer.Option(help="Factor on the spread of the cells. [default: 1]")] = None,
    draw_cells: DrawCellsOption = False,
    project_signs: ProjectSignsOption = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes to spread trials over; results do not depend on it.")
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="A study file (TOML); the options given here take precedence over it.")
    ] = None,
    designs_before: Annotated[list[str] | None, typer.Option("--designs", hidden=True)] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("out/report"),
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Accuracy (or perplexity, or another metric), energy, area and latency of core designs: one table and one page.

    Writes index.html (self-contained, opens without a network), table.csv, results.json and study.toml. A run that was
    interrupted goes on where it stopped.
    """
    from reports.run import compute, document, write
    from reports.study import Study
    from reports.table import caption, short_rows

    if designs_before:
        print_note("Designs stand behind the command, as elsewhere: devicekit report A B; --designs still works.")
        designs = [*(designs or ()), *designs_before]
    base = {} if study is None else Study.load(study).model_dump()
    given: dict[str, Any] = {
        "designs": designs or None,
        "cores": () if designs else None,
        "network": network,
        "data_set": data_set,
        "weights": weights,
        "trained": trained,
        "trained_scales": trained_scale or None,
        "data": data,
        "metric": metric,
        "measurements": measurements,
        "device": device,
        "library": library,
        "exclude": exclude or None,
        "overrides": overrides_of(override) or None,
        "peripherals": peripherals,
        "corrections": None if not correct else [] if correct == ["none"] else correct,
        "adc": adc,
        "age": age,
        "temperature": temperature,
        "compensation": compensation,
        "r_p_hat": r_p_hat,
        "bit_line": bit_line,
        "r_in_hat": r_in_hat,
        "input_resistance": input_resistance,
        "r_s_hat": r_s_hat,
        "supply_resistance": supply_resistance,
        "feed": feed,
        "orientation": orientation,
        "images": images,
        "calibration_images": calibration_images,
        "trials": trials,
        "stage_trials": stage_trials,
        "tolerance": tolerance,
        "error_scale": error_scale,
        "draw_cells": draw_cells or None,
        "project_signs": project_signs or None,
        "workers": workers,
        "seed": seed if study is None or "seed" in _given(ctx) else None,
    }
    asked = Study.make(base | {key: value for key, value in given.items() if value is not None}, "options")
    with progress("Starting", as_json=as_json) as step:
        result = compute(asked, out, step)
        page = write(result, asked, out)
    if as_json:
        print_json(document(result) | {"page": str(page)})
        return
    print_table(short_rows(result), title=result.title, caption=caption(result))
    for remark in result.remarks:
        print_note(remark)
    console().print(f"Page: {page}", soft_wrap=True)


def api_arguments() -> dict[str, str]:
    """Return the options for arguments of the API that are called otherwise here."""
    return {
        "directory": "--data",
        "wires": "--r-p-hat or another of the wires",
        "corrections": "--correct",
        "overrides": "--override",
    }


def _given(ctx: typer.Context) -> set[str]:
    """Return the names of the options that stand on the command line."""
    return {name for name in ctx.params if getattr(ctx.get_parameter_source(name), "name", "") == "COMMANDLINE"}
