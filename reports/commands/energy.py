"""`devicekit energy`: what cores cost, with intervals, counts and the source of every number."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from reports.commands.common import JsonOption, SeedOption, examples, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "energy",
        epilog=examples("devicekit energy", "devicekit energy A isaac2016 --adc sar --format markdown"),
    )(energy)


def energy(
    designs: Annotated[
        list[str] | None, typer.Argument(help="Designs: names, or FILE:NAME for one of your own; A to E by default.")
    ] = None,
    library: Annotated[str, typer.Option(help="Component library: a name, or a TOML file of your own.")] = "sonos_40nm",
    device: Annotated[
        str | None, typer.Option(help="Device whose read current and voltage are used; the library's by default.")
    ] = None,
    adc: Annotated[str, typer.Option(help="Converter: ramp, sar or flash.")] = "ramp",
    structure: Annotated[str | None, typer.Option(help="A structural alternative, such as ramp_per_array.")] = None,
    form: Annotated[str, typer.Option("--format", help="table, csv, markdown or latex.")] = "table",
    out: Annotated[Path | None, typer.Option(help="Write the csv, markdown or latex text to this file.")] = None,
    as_json: JsonOption = False,
    seed: SeedOption = 0,
) -> None:
    """Energy, area and latency of analog cores, with intervals and counts."""
    from circuits import load_design
    from energy import estimate_core
    from energy.errors import EnergyError
    from energy.library_files import load_library
    from energy.tables import FORMATS, SHORT, as_text, short_rows

    if form != "table" and form not in FORMATS:
        from devicekit.errors import unknown_name

        raise EnergyError(unknown_name("table format", form, ("table", *FORMATS)))
    cell: Any = None
    if device is not None:
        from devicekit import load_device

        cell = load_device(device)
    loaded = load_library(library)
    costs = [
        estimate_core(load_design(name), library=loaded, cell=cell, adc=adc, structure=structure, seed=seed)
        for name in designs or ["A", "B", "C", "D", "E"]
    ]
    if as_json:
        print_json(
            {
                "library": loaded.name,
                "designs": [
                    cost.row() | {"activity": cost.activity.source, "breakdown": cost.breakdown} for cost in costs
                ],
            }
        )
        return
    if form == "table" and out is None:
        print_table(short_rows(costs), title=f"Cost of a core, library {loaded.name}", headings=SHORT)
        return
    rows = [cost.row() for cost in costs] if form == "csv" else short_rows(costs)
    text = as_text(rows, "markdown" if form == "table" else form, SHORT)
    if out is None:
        typer.echo(text, nl=False)
    else:
        from devicekit.paths import replacing

        with replacing(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
