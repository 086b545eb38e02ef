"""`devicekit fit`: from a lab's file of cell currents to a cell that simulations use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from reports.commands.common import JsonOption, SeedOption, console, examples, print_json, progress


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "fit",
        epilog=examples(
            "devicekit fit {data}/measurements/sonos_40nm_tcas2022_resampled.csv",
            "devicekit fit {data}/measurements/sonos_40nm_tcas2022_resampled.csv --model power_law --bootstrap 50",
        ),
    )(fit)


def api_arguments() -> dict[str, str]:
    """Return the options for arguments of `read_measurements` and `fit_device` that are called otherwise here."""
    from devicekit.measurements.column_roles import ALIASES

    own = {"measurements": "FILE", "path": "FILE", "units": "--unit"}
    return {role: f"--column {role}=" for role in ALIASES if role not in ("target", "value")} | own


def fit(
    file: Annotated[Path, typer.Argument(help="Measurements: CSV, TSV, Parquet, XLSX, IC-CAP .mdm, Keysight CSV.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the cell file, the tables and the figures; default out/fit/NAME.")
    ] = None,
    model: Annotated[str, typer.Option(help="Error model, or auto for the best by the criterion.")] = "auto",
    criterion: Annotated[str, typer.Option(help="What models are compared by: bic or aicc.")] = "bic",
    estimator: Annotated[str, typer.Option(help="Spread of a state: normal, trimmed or student (robust).")] = "normal",
    target: Annotated[str | None, typer.Option(help="Header of the column of programmed targets.")] = None,
    value: Annotated[str | None, typer.Option(help="Header of the column of measured currents.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="ROLE=HEADER for any other column, such as time=t_ret or die=Chip.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="Unit of the currents or conductances where headers have none.")
    ] = None,
    read_voltage: Annotated[
        str | None, typer.Option(help="Voltage of the read, such as 0.1V; for conductances.")
    ] = None,
    i_max: Annotated[str | None, typer.Option(help="Full scale, such as 1.6uA; the highest target by default.")] = None,
    on_off_ratio: Annotated[float | None, typer.Option(help="Full scale over the smallest current.")] = None,
    states: Annotated[int | None, typer.Option(help="Gather targets into that many ranges of the full scale.")] = None,
    eta: Annotated[float, typer.Option(help="Gate coupling behind the threshold spread, 0 to 1.")] = 1.0,
    missing: Annotated[str, typer.Option(help="Missing numbers: error, or drop (counted).")] = "error",
    bootstrap: Annotated[int, typer.Option(min=0, help="Replicates of cells drawn again.")] = 0,
    figures: Annotated[bool, typer.Option(help="Draw the page of figures.")] = True,
    name: Annotated[str | None, typer.Option(help="Name of the cell; the file's by default.")] = None,
    technology: Annotated[str | None, typer.Option(help="Process the cell belongs to, such as sonos_40nm.")] = None,
    as_json: JsonOption = False,
    seed: SeedOption = 0,
) -> None:
    """Fit a memory cell to measured currents and write it as a device file.

    Prints the report; writes NAME.toml (the cell: give its path wherever a device is asked for), states.csv, models.csv
    and figures.png and .pdf.
    """
    import devicekit

    roles: dict[str, Any] = _roles(column or [], {"target": target, "value": value})
    with progress("Reading", as_json=as_json) as step:
        step(0, 3)
        measurements = devicekit.read_measurements(
            file, units=unit, read_voltage=read_voltage, missing=_missing(missing), **roles
        )
        step(1, 3, "Fitting")
        fitted = devicekit.fit_device(
            measurements,
            model,
            criterion=_choice("criterion", criterion, ("bic", "aicc")),
            estimator=_choice("estimator", estimator, ("normal", "trimmed", "student")),
            states=states,
            i_max=i_max,
            on_off_ratio=on_off_ratio,
            read_voltage=read_voltage,
            eta=eta,
            bootstrap=bootstrap,
            seed=seed,
            name=name,
            technology=technology,
        )
        step(2, 3, "Drawing")
        folder = out if out is not None else Path("out") / "fit" / fitted.cell.name
        written = fitted.write(folder, figures)
        step(3, 3)
    if as_json:
        print_json(fitted.to_dict() | {"files": written})
        return
    console().print(fitted.summary(), markup=False, soft_wrap=True)
    console().print("\nWritten: " + ", ".join(str(path) for path in written.values()), markup=False, soft_wrap=True)


def _roles(pairs: list[str], given: dict[str, str | None]) -> dict[str, str]:
    from devicekit.common.errors import MeasurementError, unknown_name
    from devicekit.measurements.column_roles import ALIASES

    roles = {role: header for role, header in given.items() if header is not None}
    for pair in pairs:
        role, equals, header = pair.partition("=")
        if not equals or not header:
            raise MeasurementError(f"Expected --column to be ROLE=HEADER, such as time=t_ret, but got {pair!r}.")
        if role not in ALIASES:
            raise MeasurementError(unknown_name("column role", role, ALIASES))
        roles[role] = header
    return roles


def _missing(text: str) -> Any:
    return _choice("--missing", text, ("error", "drop"))


def _choice(kind: str, text: str, known: tuple[str, ...]) -> Any:
    from devicekit.common.errors import MeasurementError, unknown_name

    if text not in known:
        raise MeasurementError(unknown_name(kind, text, known))
    return text
