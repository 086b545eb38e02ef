"""Options of commands that build a core: when its cells are read, its wires, and what each trial draws."""

from __future__ import annotations

from typing import Annotated

import typer

AgeOption = Annotated[str | None, typer.Option(help="Time since programming, such as '2 days'.")]
TemperatureOption = Annotated[str | None, typer.Option(help="Temperature while reading, such as '350 K'.")]
CompensationOption = Annotated[
    str | None,
    typer.Option(
        help="What follows that temperature: reference_cell (default), linear_bias, the fraction removed (0 to 1), "
        "or 'none' for an uncompensated read."
    ),
]
InputHatOption = Annotated[
    float | None, typer.Option(help="Resistance of the virtual ground (input of the readout), relative.")
]
InputResistanceOption = Annotated[
    str | None,
    typer.Option(help="The same in Ohm, such as '500 Ohm'; 'sized' for that of the circuit sized for each design."),
]
SupplyHatOption = Annotated[
    float | None, typer.Option(help="Resistance of the supply (or source) line between cells, relative.")
]
SupplyResistanceOption = Annotated[str | None, typer.Option(help="The same in Ohm, such as '0.5 Ohm'.")]
FeedOption = Annotated[
    str | None,
    typer.Option(
        help="Where that line is fed: readout (default), far (both along the column) or rows (along the row)."
    ),
]
OrientationOption = Annotated[
    str | None,
    typer.Option(help="End of the cells on the bit line: source (default), or drain, with a source line at the other."),
]
ToleranceOption = Annotated[
    float | None, typer.Option(help="Stop once the mean is known within this many points (95 %).")
]
DrawCellsOption = Annotated[bool, typer.Option(help="Draw each chip's cell model from the fit's uncertainty.")]
ProjectSignsOption = Annotated[
    bool, typer.Option(help="Column-sign designs: drop the minority sign of each column instead of refusing.")
]
