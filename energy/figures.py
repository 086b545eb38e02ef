"""Figures of costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from circuits.adc_kinds import DEFAULT_KIND
from energy.core_cost import CoreCost
from energy.errors import EnergyError

_COLOURS = (
    "#4269d0",
    "#efb118",
    "#ff725c",
    "#6cc5b0",
    "#3ca951",
    "#ff8ab7",
    "#a463f2",
    "#97bbf5",
    "#9c6b4e",
    "#9498a0",
    "#2f3e9e",
    "#b35900",
)


def _ink(colour: str) -> str:
    """Return black or white, whichever reads better on a colour (its luma as in ITU-R BT.601)."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"


def _name(cost: CoreCost) -> str:
    """Return the design's name, with the ADC's where that is not the one of a core that says nothing."""
    usual = cost.design.adc_bits is None or cost.adc.label == DEFAULT_KIND
    return cost.design.name if usual else f"{cost.design.name} ({cost.adc.label})"


def breakdown_figure(costs: Sequence[CoreCost]) -> tuple[Any, Any]:
    """Return a figure of how energy and area divide among components.

    One bar a design, each to 100 %, the total written at its end; components that no design uses are left out.

    Args:
        costs: the cores, in the order of the bars from the top.

    Returns:
        Matplotlib figure and its two axes (energy, area).

    Raises:
        EnergyError: no cores.
    """
    from matplotlib.figure import Figure

    if not costs:
        raise EnergyError("Expected at least one core to draw, but got none.")
    tables = [cost.breakdown.set_index("component") for cost in costs]
    labels = tables[0]["label"]
    used = [
        name
        for name in labels.index
        if any(table.loc[name, "energy_share"] + table.loc[name, "area_share"] > 0.002 for table in tables)
    ]
    names = [_name(cost) for cost in costs]
    figure = Figure(figsize=(11, 1.7 + 0.5 * len(costs)), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(costs))[::-1]
    for axis, share, total, unit, title in (
        (axes[0], "energy_share", "energy_fj_per_op", "fJ/op", "Energy of an operation"),
        (axes[1], "area_share", "area_mm2", "mm$^2$", "Area of a core"),
    ):
        start = np.zeros(len(costs))
        for name in used:
            width = np.array([float(table.loc[name, share]) for table in tables])
            colour = _COLOURS[list(labels.index).index(name) % len(_COLOURS)]
            axis.barh(
                places,
                width,
                left=start,
                height=0.68,
                color=colour,
                label=labels[name],
                edgecolor="white",
                linewidth=0.6,
            )
            for place, left, own in zip(places, start, width, strict=True):
                if own > 0.075:
                    axis.text(
                        left + own / 2,
                        place,
                        f"{100 * own:.0f} %",
                        ha="center",
                        va="center",
                        fontsize=8,
                        color=_ink(colour),
                    )
            start += width
        for place, cost in zip(places, costs, strict=True):
            axis.text(1.015, place, f"{cost.value(total):.4g} {unit}", va="center", fontsize=9)
        axis.set_xlim(0, 1)
        axis.set_yticks(places, names)
        axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        axis.set_title(title, loc="left", fontsize=11)
        axis.tick_params(length=0)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
    handles, texts = axes[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=min(5, len(used)), frameon=False, fontsize=9)
    return figure, axes
