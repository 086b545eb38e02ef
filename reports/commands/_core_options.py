"""Options of commands that build a core: when its cells are read, its wires, and what each trial draws."""

from __future__ import annotations

from collections.abc import Sequence
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
OverrideOption = Annotated[
    list[str] | None,
    typer.Option(
        help="PATTERN=DESIGN: another core for layers of that name, such as 'conv1=B' or 'layer1.*=mine.toml:wide'; "
        "repeatable, the first match holds."
    ),
]


def overrides_of(texts: Sequence[str] | None) -> dict[str, str]:
    """Return the name of another core by the pattern of the layers it is for, in the order given.

    Args:
        texts: of `OverrideOption`.

    Raises:
        DesignError: another form, or a pattern that stands twice.
    """
    from devicekit import DesignError

    overrides: dict[str, str] = {}
    for text in texts or ():
        pattern, equals, name = (part.strip() for part in text.partition("="))
        if not (pattern and equals and name):
            raise DesignError(f"Expected --override as PATTERN=DESIGN, such as 'conv1=B', but got {text!r}.")
        if pattern in overrides:
            raise DesignError(f"--override: the pattern {pattern!r} stands twice.")
        overrides[pattern] = name
    return overrides
