"""`devicekit pulses`: from update curves to an update model, and to the files of other simulators."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from reports.commands.common import JsonOption, console, examples, print_json, progress


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "pulses",
        epilog=examples(
            "devicekit pulses {data}/pulses/soft_bounds_simulated.csv",
            "devicekit pulses {data}/pulses/soft_bounds_simulated.csv --law soft_bounds --aihwkit preset.py --crosssim"
            " lut",
        ),
    )(pulses)


def api_arguments() -> dict[str, str]:
    """Return the options for arguments of `read_pulses` and `fit_pulses` that are called otherwise here."""
    roles = ("pulse", "value", "device", "cycle", "direction")
    return {role: f"--column {role}=" for role in roles} | {"path": "FILE", "columns_are": "--columns"}


def pulses(
    file: Annotated[Path, typer.Argument(help="Update curves: a row a pulse, or a column a ramp.")],
    down: Annotated[
        Path | None, typer.Option(help="A second file with the falling ramps, as CrossSim's reset.csv.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report, tables and figure; default out/pulses/NAME.")
    ] = None,
    law: Annotated[
        str,
        typer.Option(help="constant_step, soft_bounds, linear_step, exponential_step, or auto for the best by BIC."),
    ] = "auto",
    units: Annotated[
        str | None,
        typer.Option("--unit", "--units", help="Unit where headers have none: uS, A, kohm; 1 for a unit of their own."),
    ] = None,
    read_voltage: Annotated[str | None, typer.Option(help="Voltage of the read, such as 0.1V; for currents.")] = None,
    columns: Annotated[str, typer.Option(help="What the columns of a wide table are: cycle or device.")] = "cycle",
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook, or array of a file of several.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="ROLE=HEADER for pulse, value, device, cycle or direction.")
    ] = None,
    aihwkit: Annotated[Path | None, typer.Option(help="Write a preset device of aihwkit to this Python file.")] = None,
    crosssim: Annotated[Path | None, typer.Option(help="Write CrossSim's lookup tables into this folder.")] = None,
    figures: Annotated[bool, typer.Option(help="Draw the figure.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Fit an update model to conductance against pulse number, up and down, with its noise and variation.

    Prints the report; writes report.txt, parameters.csv, laws.csv and pulses.png and .pdf.
    """
    import devicekit
    from devicekit.common.errors import MeasurementError

    roles: dict[str, str] = {}
    for pair in column or []:
        role, equals, header = pair.partition("=")
        if not equals or not header:
            raise MeasurementError(f"Expected --column to be ROLE=HEADER, such as pulse=N, but got {pair!r}.")
        roles[role] = header
    data = devicekit.read_pulses(
        file,
        down,
        units=units,
        read_voltage=read_voltage,
        columns_are=_meaning(columns),
        sheet=sheet,
        **roles,
    )
    with progress("Fitting", as_json=as_json) as step:
        fitted = devicekit.fit_pulses(data, law, lambda done, total: step(done, total))
    folder = out if out is not None else Path("out") / "pulses" / file.stem
    written = fitted.write(folder, figures)
    if aihwkit is not None:
        written["aihwkit"] = fitted.to_aihwkit(aihwkit)
    if crosssim is not None:
        written["crosssim_increasing"], written["crosssim_decreasing"] = fitted.to_crosssim(crosssim)
    if as_json:
        print_json(
            {
                "kind": data.kind,
                "ramps": len(data.up),
                "pulses": data.pulses,
                "unit": data.unit,
                "law": fitted.model.law,
                "noise_kind": fitted.model.noise_kind,
                "alternatives": fitted.alternatives,
                "parameters": fitted.table,
                "comparison": fitted.comparison,
                "device_variation": fitted.device_variation,
                "cycle_variation": fitted.cycle_variation,
                "notes": [*data.notes, *fitted.notes],
                "files": written,
            }
        )
        return
    console().print(fitted.summary(), markup=False, soft_wrap=True)
    console().print("\nWritten: " + ", ".join(str(path) for path in written.values()), markup=False, soft_wrap=True)


def _meaning(text: str) -> Any:
    from devicekit.common.errors import MeasurementError, unknown_name

    if text not in ("cycle", "device"):
        raise MeasurementError(unknown_name("meaning of columns", text, ("cycle", "device")))
    return text
