"""`devicekit sweep`: a study of many points, kept in a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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

if TYPE_CHECKING:
    from reports.sweeps.probe import Forecast
    from reports.sweeps.result import SweepResult

StoreOption = Annotated[Path, typer.Option(help="File that keeps every result (SQLite); made if need be.")]
DEFAULT_STORE = Path("out/studies.sqlite")


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(
        "sweep",
        epilog=examples(
            "devicekit sweep A --vary max_rows=144,1152 --vary adc_bits=6..9 --accuracy none --workers 1",
            'devicekit sweep A C --constraint "network_area <= 3 mm2" --accuracy affordable --trials 2 --images 50 '
            "--calibration-images 50 --workers 1",
            "devicekit sweep A --vary adc_bits=4..9 --screen --images 100 --calibration-images 100 --workers 1",
            "devicekit sweep A --vary adc_bits=6..9 --images 50 --calibration-images 50 --dry-run",
        ),
    )(sweep)


def sweep(
    ctx: typer.Context,
    designs: DesignsArgument = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUES, every combination is a point; repeatable. A field of the design, adc, peripherals, "
            "bit_line, age, temperature, device, network ...; 144,288 or 6..9 or 0..1:0.25 (steps) or 144..1152*2."
        ),
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="A study file (TOML); the options given here take precedence over it.")
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="Network, or MODULE:FUNCTION or an ONNX file of your own. [default: digits_cnn]")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weight file of the network.")] = None,
    data_set: Annotated[str | None, typer.Option(help="Images that a network of your own reads.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with the network's images (and weights).")] = None,
    measurements: Annotated[str | None, typer.Option(help="Cell currents to fit; the fitted cell is used.")] = None,
    device: Annotated[str | None, typer.Option(help="A device, bundled or a file of yours.")] = None,
    library: Annotated[
        str | None,
        typer.Option(help="Component library; 'borrow:sonos_40nm' for cells of any technology. [default: sonos_40nm]"),
    ] = None,
    constraint: Annotated[
        list[str] | None,
        typer.Option(help="A limit, such as 'loss <= 1 point' or 'network_area <= 1 mm2'; repeatable."),
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help="What shall be best; repeatable. [default: loss, network_energy, network_area, network_latency]"
        ),
    ] = None,
    accuracy: Annotated[
        str | None,
        typer.Option(
            help="Points to try with trials: all, affordable (costs keep to the limits), none, screen (none, but their "
            "accuracy is estimated without trials) or halving (those that the screen, then a few trials, leave in "
            "question). [default: all]"
        ),
    ] = None,
    screen: Annotated[
        bool, typer.Option(help="Estimate accuracies from the network's sensitivities: --accuracy screen.")
    ] = False,
    search: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Screen so many points, chosen by a multi-objective search, instead of every combination "
            "(with --screen or --accuracy halving; needs the extra 'search').",
        ),
    ] = None,
    images: Annotated[int | None, typer.Option(min=1, help="So many test images at most. [default: all]")] = None,
    calibration_images: Annotated[
        int | None, typer.Option(min=1, help="So many training images at most set the ranges. [default: 1000]")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=2, help="How often the network is programmed. [default: 10]")
    ] = None,
    seed: SeedOption = 0,
    name: Annotated[str | None, typer.Option(help="Name of the run. [default: made from the study]")] = None,
    store: StoreOption = DEFAULT_STORE,
    out: Annotated[Path | None, typer.Option(help="Folder to write to. [default: out/sweeps/NAME]")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; results do not depend on it. [default: one a processor]")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="A Dask cluster to run on instead, such as tcp://host:8786.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option(help="Validate all of it, say how many evaluations and how long, and stop.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Many cores, cells, ages or networks at once: every combination of what varies, kept in a store.

    A run that was interrupted goes on where it stopped; what an earlier run has evaluated is not evaluated again.
    """
    from reports.store import Store
    from reports.study import Study
    from reports.sweeps.files import check_folder, write
    from reports.sweeps.probe import forecast
    from reports.sweeps.sweep import run_name
    from reports.sweeps.sweep import sweep as run

    base = {} if study is None else Study.load(study).model_dump()
    seeded = getattr(ctx.get_parameter_source("seed"), "name", "") == "COMMANDLINE"
    given: dict[str, Any] = {
        "designs": designs or None,
        "cores": () if designs else None,
        "vary": {**base.get("vary", {}), **_axes(vary)} if vary else None,
        "network": network,
        "weights": weights,
        "data_set": data_set,
        "data": data,
        "measurements": measurements,
        "device": device,
        "library": library,
        "constraints": constraint or None,
        "objectives": objective or None,
        "accuracy": _points_to_try(accuracy, screen=screen),
        "search": search,
        "images": images,
        "calibration_images": calibration_images,
        "trials": trials,
        "seed": seed if study is None or seeded else None,
    }
    asked = Study.make(base | {key: value for key, value in given.items() if value is not None}, "options")
    if dry_run:
        with Store(store) if store.is_file() else _no_store() as opened:
            found = forecast(asked, opened)
        _show_forecast(found, as_json)
        return
    folder = Path("out/sweeps") / (name or run_name(asked)) if out is None else out
    check_folder(asked, folder)
    with progress("Starting", as_json=as_json) as step:
        result = run(asked, store, name=name, workers=workers, scheduler=scheduler, progress=step)
    page = write(result, asked, folder)
    if as_json:
        print_json(result.to_dict() | {"store": str(store), "page": str(page)})
        return
    show(result)
    console().print(f"Run {result.name} in {store}; page: {page}", soft_wrap=True)


def _points_to_try(accuracy: str | None, *, screen: bool) -> str | None:
    from reports.errors import StudyError

    if screen and accuracy not in (None, "screen"):
        raise StudyError(f"--screen makes no trials, but --accuracy {accuracy} asks for them: leave one out.")
    return "screen" if screen else accuracy


def _axes(vary: list[str]) -> dict[str, Any]:
    from reports.errors import StudyError

    axes: dict[str, Any] = {}
    for text in vary:
        key, equals, values = text.partition("=")
        if not (key.strip() and equals and values.strip()):
            raise StudyError(f"Expected --vary as NAME=VALUES, such as 'adc_bits=6..9', but got {text!r}.")
        if key.strip() in axes:
            raise StudyError(f"--vary: {key.strip()!r} stands twice.")
        axes[key.strip()] = values
    return axes


def _no_store() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def _show_forecast(found: Forecast, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    minutes = found.seconds / 60
    time = (
        f"{found.seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
    )
    console().print(
        f"{found.points} points: {found.accuracies} evaluations with trials ({found.known} of them known), "
        f"{found.costs} of costs{f', {found.screens} screened without trials' if found.screens else ''}. "
        f"About {time} of one processor.",
        soft_wrap=True,
    )
    show_reasons([f"{name} is impossible: {reason}" for name, reason in found.impossible])


MOST_ROWS = 40
"""Rows of a table on the terminal; the file has all."""


def show(result: SweepResult) -> None:
    """Print the table of a run as a person reads it.

    Args:
        result: the run.
    """
    from reports.sweeps.selection import select

    axes = [axis for axis in result.study.get("vary", {}) if axis not in ("network", "device")]
    rows = [row for row in result.rows if row["status"] in ("done", "unaffordable")]
    shown = [
        {
            "Core": row["core"],
            **{axis: row[axis] for axis in axes},
            "Network": row["network"],
            "Cells": row["device"],
            "Loss [points]": None if row["loss_points"] is None else round(row["loss_points"], 2),
            **_screened_cells(row),
            "Energy [uJ]": row["network_energy_uj"],
            "Area [mm2]": row["network_area_mm2"],
            "Latency [us]": row["network_latency_us"],
        }
        for row in rows[:MOST_ROWS]
    ]
    if shown:
        print_table(shown, title=f"{result.name}: the network on each core", keys=1 + len(axes))
    if len(rows) > MOST_ROWS:
        print_note(f"{len(rows) - MOST_ROWS} more rows are in the table's file.")
    for choice in select(result).choices:
        for sentence in choice.sentences:
            console().print(sentence, markup=False, soft_wrap=True)
    show_reasons([f"{name}: {text}" for name, text in result.remarks])
    bad = [row for row in result.rows if row["status"] in ("impossible", "failed")]
    show_reasons([f"{row['design']} {row['status'].replace('failed', 'has failed')}: {row['reason']}" for row in bad])


def _screened_cells(row: dict[str, Any]) -> dict[str, Any]:
    """Return what the screen says of a point, in a column of its own beside the trials."""
    if "screened_loss_points" not in row:
        return {}
    loss, error = row["screened_loss_points"], row["screened_error_points"]
    if loss is None:
        return {"Screened loss [points]": None}
    return {"Screened loss [points]": f"{loss:.2f} ± {error:.2f}{' unsure' if row['screened_unsure'] else ''}"}


def show_reasons(lines: list[str]) -> None:
    """Print why points have no results, the first few of them.

    Args:
        lines: one sentence each.
    """
    for line in lines[:10]:
        print_note(line)
    if len(lines) > 10:
        print_note(f"... and {len(lines) - 10} more.")
