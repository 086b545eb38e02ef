"""The options of reading measurements as every command that reads them has them; their names are those in Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from devicekit.measurements.read_options import HELP

if TYPE_CHECKING:
    from devicekit import Measurements

_PANEL = "Reading the file"


def _option(name: str, *spellings: str) -> Any:
    return typer.Option(*spellings, help=HELP[name], rich_help_panel=_PANEL, show_default=False)


Files = Annotated[
    list[Path],
    typer.Argument(
        help="Measurements: one file, or several that are read together (or a folder with --pattern). CSV and other"
        " text, .xlsx, .xls, .parquet, .npz, .npy, .mat, IC-CAP .mdm, Keysight CSV; each also as .gz.",
        show_default=False,
    ),
]
Target = Annotated[
    str | None,
    typer.Option(help="Header (or number) of the column of programmed targets.", rich_help_panel=_PANEL,
                 show_default=False),
]  # fmt: skip
Value = Annotated[
    str | None,
    typer.Option(help="Header (or number) of the column of measured currents.", rich_help_panel=_PANEL,
                 show_default=False),
]  # fmt: skip
Column = Annotated[
    list[str] | None,
    typer.Option(
        help="ROLE=HEADER for any other column, such as time=t_ret, die=x+y (two columns), cell=3 (by number)."
        " cell=row counts rows.",
        rich_help_panel=_PANEL, show_default=False,
    ),
]  # fmt: skip
Units = Annotated[list[str] | None, _option("units", "--unit", "--units")]
ReadVoltage = Annotated[str | None, _option("read_voltage", "--read-voltage")]
IMax = Annotated[str | None, _option("i_max", "--i-max")]
LayoutOption = Annotated[str, typer.Option("--layout", help=HELP["layout"], rich_help_panel=_PANEL)]
Missing = Annotated[str, typer.Option("--missing", help=HELP["missing"], rich_help_panel=_PANEL)]
MissingMarks = Annotated[list[float] | None, _option("missing_marks", "--missing-marks")]
Sheet = Annotated[str | None, _option("sheet", "--sheet")]
Delimiter = Annotated[str | None, _option("delimiter", "--delimiter")]
Decimal = Annotated[str, typer.Option("--decimal", help=HELP["decimal"], rich_help_panel=_PANEL)]
Header = Annotated[bool | None, _option("header", "--header/--no-header")]
Pattern = Annotated[str | None, _option("pattern", "--pattern")]
Each = Annotated[list[str] | None, _option("each", "--each")]
Levels = Annotated[str | None, _option("levels", "--levels")]
Only = Annotated[list[str] | None, _option("only", "--only")]
Ignore = Annotated[list[str] | None, _option("ignore", "--ignore")]
FlipSign = Annotated[bool, _option("flip_sign", "--flip-sign")]
Compliance = Annotated[str | None, _option("compliance", "--compliance")]
DetectionLimit = Annotated[str | None, _option("detection_limit", "--detection-limit")]
BinsAreCut = Annotated[bool, _option("bins_are_cut", "--bins-are-cut")]
Accept = Annotated[list[str] | None, _option("accept", "--accept")]


def options_in(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of reading among a command's arguments, those that were given."""
    return {name: given for name, given in arguments.items() if name in HELP and given is not None and given != []}


def read(
    files: list[Path], target: str | None, value: str | None, column: list[str] | None, **given: Any
) -> Measurements:
    """Return the measurements of files, from what the command line gave.

    Args:
        files: one, or several that are read together.
        target: header of the targets.
        value: header of the values.
        column: ``ROLE=HEADER`` of any other column.
        **given: the other options, by their names in Python.

    Raises:
        MeasurementError: a column that is not ROLE=HEADER, or what `read_measurements` raises.
    """
    from devicekit import MeasurementError, read_measurements

    roles: dict[str, Any] = {
        role: header for role, header in (("target", target), ("value", value)) if header is not None
    }
    for pair in column or []:
        role, equals, header = pair.partition("=")
        if not equals or not header:
            raise MeasurementError(f"Expected --column to be ROLE=HEADER, such as time=t_ret, but got {pair!r}.")
        roles[role.strip()] = header
    return read_measurements(files[0] if len(files) == 1 else files, **given, **roles)
