"""`devicekit fit`: from a lab's file of cell currents to a cell that simulations use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from reports.commands import _reading as reading
from reports.commands.common import JsonOption, SeedOption, console, examples, print_json, progress
from reports.option_names import in_options, option_names


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "fit",
        epilog=examples(
            "devicekit fit {data}/measurements/sonos_40nm_tcas2022_resampled.csv",
            "devicekit fit {data}/measurements/sonos_40nm_tcas2022_resampled.csv --model power_law --bootstrap 50",
            "devicekit fit {data}/measurements/rram_b_bake_extract.csv --read-only",
            "devicekit fit {data}/measurements/sonos_40nm_tcas2022_retention_resampled.csv --panel retention --width"
            " 85mm",
        ),
    )(fit)


def api_arguments() -> dict[str, str]:
    """Return the options for arguments of `read_measurements` and `fit_device` that are called otherwise here."""
    from devicekit.measurements.column_roles import ALIASES

    own = {"measurements": "FILES", "path": "FILES"}
    return {role: f"--column {role}=" for role in ALIASES if role not in ("target", "value")} | own


def fit(
    context: typer.Context,
    files: reading.Files,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the cell file, the tables and the figures; default out/fit/NAME.")
    ] = None,
    model: Annotated[str, typer.Option(help="Error model, or auto for the best by the criterion.")] = "auto",
    criterion: Annotated[str, typer.Option(help="What models are compared by: bic or aicc.")] = "bic",
    estimator: Annotated[str, typer.Option(help="Spread of a state: normal, trimmed or student (robust).")] = "normal",
    on_off_ratio: Annotated[float | None, typer.Option(help="Full scale over the smallest current.")] = None,
    states: Annotated[int | None, typer.Option(help="Gather targets into that many ranges of the full scale.")] = None,
    eta: Annotated[float, typer.Option(help="Gate coupling behind the threshold spread, 0 to 1.")] = 1.0,
    bootstrap: Annotated[int, typer.Option(min=0, help="Replicates of cells drawn again.")] = 0,
    tail: Annotated[
        bool, typer.Option(help="Outlier cells become a tail of the cell; without, they count towards the spread.")
    ] = True,
    rounding: Annotated[
        str | None, typer.Option(help="Step that currents were rounded to, such as 10nA; 0 for none. Found by default.")
    ] = None,
    figures: Annotated[bool, typer.Option(help="Draw the page of figures.")] = True,
    panel: Annotated[
        list[str] | None,
        typer.Option(help="Draw single panels instead of the page: sigma, histograms, probability, retention, ..."),
    ] = None,
    width: Annotated[str, typer.Option(help="Width of a single panel, such as 85mm.")] = "85mm",
    name: Annotated[str | None, typer.Option(help="Name of the cell; the file's by default.")] = None,
    technology: Annotated[str | None, typer.Option(help="Process the cell belongs to, such as sonos_40nm.")] = None,
    read_only: Annotated[
        bool,
        typer.Option("--read-only", help="Say what was understood of the file, and stop: no fit, nothing written."),
    ] = False,
    target: reading.Target = None,
    value: reading.Value = None,
    column: reading.Column = None,
    units: reading.Units = None,
    read_voltage: reading.ReadVoltage = None,
    i_max: reading.IMax = None,
    layout: reading.LayoutOption = "auto",
    missing: reading.Missing = "error",
    missing_marks: reading.MissingMarks = None,
    sheet: reading.Sheet = None,
    delimiter: reading.Delimiter = None,
    decimal: reading.Decimal = "auto",
    header: reading.Header = None,
    pattern: reading.Pattern = None,
    each: reading.Each = None,
    levels: reading.Levels = None,
    only: reading.Only = None,
    ignore: reading.Ignore = None,
    flip_sign: reading.FlipSign = False,
    compliance: reading.Compliance = None,
    detection_limit: reading.DetectionLimit = None,
    bins_are_cut: reading.BinsAreCut = False,
    accept: reading.Accept = None,
    as_json: JsonOption = False,
    seed: SeedOption = 0,
) -> None:
    """Fit a memory cell to measured currents and write it as a device file.

    Prints what was understood of the file, what was not used, and the report; writes NAME.toml (the cell: give its path
    wherever a device is asked for), states.csv, models.csv and figures.png and .pdf.
    """
    given = reading.options_in(locals())
    import devicekit
    from devicekit.common.errors import DeviceError
    from devicekit.common.paths import checked_file_name
    from devicekit.measurements.read_options import number_or_text

    if name is not None:
        checked_file_name(name, "--name", DeviceError)
    with progress("Reading", as_json=as_json) as step:
        step(0, 3)
        measurements = reading.read(files, target, value, column, **given)
        if read_only:
            if as_json:
                print_json({"understood": measurements.understood})
            else:
                _print_report(measurements.describe(), context)
            return
        if name is None:
            checked_file_name(Path(measurements.place).stem, "the file's name, or --name,", DeviceError)
        step(1, 3, "Fitting")
        fitted = devicekit.fit_device(
            measurements,
            model,
            criterion=_choice("criterion", criterion, ("bic", "aicc")),
            estimator=_choice("estimator", estimator, ("normal", "trimmed", "student")),
            tail=tail,
            rounding=None if rounding is None else number_or_text(rounding),
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
        written = fitted.write(folder, figures, panel or (), width)
        step(3, 3)
    if as_json:
        print_json(fitted.to_dict() | {"files": written})
        return
    _print_report(fitted.summary(), context)
    console().print("\nWritten: " + ", ".join(str(path) for path in written.values()), markup=False, soft_wrap=True)


def _print_report(text: str, context: typer.Context) -> None:
    """Print a report line by line: what may be wrong stands out, what was not used and notes step back.

    What it asks for is said in options of the command.
    """
    from rich.text import Text

    styles = {"  warning:": "yellow", "  not used:": "dim", "  note:": "dim", "note:": "dim", "  role =": "bold"}
    text = in_options(text, {**option_names(context.command), **api_arguments()})
    shown = console()
    for number, line in enumerate(text.splitlines()):
        style = next((style for start, style in styles.items() if line.startswith(start)), "bold" if not number else "")
        shown.print(Text(line, style=style), soft_wrap=True)


def _choice(kind: str, text: str, known: tuple[str, ...]) -> Any:
    from devicekit.common.errors import MeasurementError, unknown_name

    if text not in known:
        raise MeasurementError(unknown_name(kind, text, known))
    return text
