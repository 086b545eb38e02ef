"""Published studies of cell errors in networks: Figs. 6, 9, 10, 11 and 12."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from circuits import CoreDesign
from reports.figure import Figure
from reports.published.drawing import lines
from reports.published.study import (
    XIAO,
    Finding,
    PublishedStudy,
    Setting,
    amount,
    bounds,
    independent,
    largest_tolerated,
    loss_columns,
    points,
    proportional,
)
from reports.results import Values

BARE = CoreDesign(adc_bits=None)
MAPPINGS = {
    "differential": BARE,
    "differential, 2 bits a cell": BARE.replace(weight_bits=9, bits_per_cell=2),
    "offset": BARE.replace(negative_weights="offset"),
    "offset with unit column": BARE.replace(negative_weights="offset_unit_column"),
    "offset, 2 bits a cell": BARE.replace(negative_weights="offset", bits_per_cell=2),
}
ALPHAS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2)
LIMIT = 5.0
"""Points of loss at which an error counts as no longer tolerated."""
APART = 0.7
"""Share of the error that differential cells bear below which offset cells count as bearing less: the error at which 5
points are lost is known to a tenth or two."""
TEN = 10.0
"""How many times the error of offset cells differential ones bear, as published."""
TASKS = {"lenet5_mnist": "MNIST", "resnet20_cifar10": "CIFAR-10", "squeezenet1_0_deepcompression": "ImageNet"}


Losses = dict[str, list[Values]]
"""Columns of the loss at each error tried, by the label of a line."""


def _sweep(setting: Setting, error: Any) -> Losses:
    return {
        name: [loss_columns(setting.accuracy(design, error(alpha))) for alpha in ALPHAS]
        for name, design in MAPPINGS.items()
    }


def _rows(losses: Losses, key: str, values: tuple[float, ...], label: str = "mapping") -> list[Values]:
    return [
        {label: name, key: value, **columns}
        for name, own in losses.items()
        for value, columns in zip(values, own, strict=True)
    ]


def _figure(name: str, title: str, caption: str, losses: Losses, values: tuple[float, ...], across: str) -> Figure:
    every = [row for own in losses.values() for row in own]
    return lines(
        name,
        title,
        f"{caption} {amount(every)}",
        {label: ([100 * value for value in values], points(own)) for label, own in losses.items()},
        across,
        "loss [points]",
        bounds={label: bounds(own) for label, own in losses.items()},
    )


def _independent(setting: Setting) -> Finding:
    losses = _sweep(setting, independent)
    ends = {name: largest_tolerated(ALPHAS, points(own), LIMIT) for name, own in losses.items()}
    plain, unit, apart = (ends[name] for name in ("offset", "offset with unit column", "differential"))
    at = ALPHAS.index(0.025)
    collapse = losses["offset"][at]["loss_points"]
    open_end = max(points(losses["differential"])) <= LIMIT
    return Finding(
        f"{LIMIT:g} points are lost at an error of {100 * plain:.2g} % with offset cells, {100 * unit:.2g} % with "
        f"a unit column, {'more than ' if open_end else ''}{100 * apart:.2g} % with differential ones; at 2.5 % offset "
        f"loses {collapse:.1f} points",
        setting.on_long_columns(plain < APART * apart and unit < plain),
        _rows(losses, "alpha", ALPHAS),
        _figure(
            "error-independent",
            "Error that is the same in all states",
            f"Loss of {setting.network} without ADCs, so that only the cells act.",
            losses,
            ALPHAS,
            "spread [% of half the full scale]",
        ),
        "Errors of the rows of a column add up: the longer columns of ResNet-50 lose more at the same error.",
    )


def _proportional(setting: Setting) -> Finding:
    losses = _sweep(setting, proportional)
    ends = {name: largest_tolerated(ALPHAS, points(own), LIMIT) for name, own in losses.items()}
    ratio = ends["differential"] / ends["offset"]
    open_end = max(points(losses["differential"])) <= LIMIT
    small = losses["differential"][ALPHAS.index(0.05)]
    law, expected = ratio >= TEN, _ratio_of_errors(setting)
    return Finding(
        f"{LIMIT:g} points are lost at {'more than ' if open_end else ''}{100 * ends['differential']:.2g} % with "
        f"differential, {100 * ends['offset']:.2g} % with offset cells: {'more than ' if open_end else ''}{ratio:.1f} "
        f"times; at 5 % differential loses {small['loss_points']:.2f} points",
        None if open_end and not law else setting.on_long_columns(law and small["low_points"] <= 0.0),
        _rows(losses, "alpha", ALPHAS),
        _figure(
            "error-proportional",
            "Error in proportion to the current",
            f"Loss of {setting.network} without ADCs, so that only the cells act.",
            losses,
            ALPHAS,
            "spread [% of the cell's current]",
        ),
        ("Differential cells bear more than the largest error tried. " if open_end else "")
        + "Of weights with a root mean square σ of their layer's largest, offset cells make √(1 + σ²) / σ times the "
        f"error of differential ones: {expected:.1f} times in the median layer of {setting.network}."
        + (f" Less than {TEN:g} times is what this network must show." if expected < TEN else ""),
    )


def _ratio_of_errors(setting: Setting) -> float:
    """Return how many times the error of differential cells that of offset cells is, in the median layer.

    A weight w of a full scale of 1 is a cell of conductance |w| in the one, and of (1 + w) / 2, read back doubled, in
    the other; independent errors in proportion to conductances add up in squares.
    """
    from accuracy import analog_layers, convert

    layers = analog_layers(convert(setting.load(setting.network).model, BARE, seed=setting.seed))
    weights = [layer.weight.detach() for layer in layers]
    shares = np.array([float(own.square().mean().sqrt() / own.abs().max()) for own in weights])
    return float(np.median(np.sqrt(1 + shares**2) / shares))


def _on_off(setting: Setting) -> Finding:
    ratios = (3.0, 10.0, 30.0, 100.0, 1000.0, 1e7)
    losses = {
        f"spread {100 * alpha:g} %": [
            loss_columns(setting.accuracy(BARE, proportional(alpha, ratio))) for ratio in ratios
        ]
        for alpha in (0.05, 0.1)
    }
    at_hundred, without = (losses["spread 5 %"][ratios.index(own)]["loss_points"] for own in (100.0, 1e7))
    rows = _rows(losses, "on_off_ratio", ratios, "cells")
    figure = lines(
        "on-off",
        "On/off ratio",
        f"Loss of {setting.network} on differential cells with an error in proportion to the current. {amount(rows)}",
        {label: (ratios, points(own)) for label, own in losses.items()},
        "on/off ratio",
        "loss [points]",
        bounds={label: bounds(own) for label, own in losses.items()},
    )
    text = f"at a spread of 5 %: {at_hundred:.2f} points are lost at a ratio of 100, {without:.2f} at 10⁷"
    return Finding(text, abs(at_hundred - without) < 1.0, rows, figure)


def _compared(setting: Setting, names: tuple[str, ...], title: str, figure: str) -> tuple[Finding | None, Losses]:
    """Return the table and figure of several networks, and their losses; no finding where fewer than two are there."""
    values = ALPHAS[2:]
    losses = {
        name: [loss_columns(setting.accuracy(BARE, proportional(alpha), name)) for alpha in values]
        for name in setting.there(names)
    }
    if len(losses) < 2:
        return None, losses
    drawn = _figure(
        figure,
        title,
        "Differential cells without ADCs.",
        losses,
        values,
        "spread [% of the cell's current]",
    )
    rows = _rows(losses, "alpha", values, "network")
    return Finding("", None, rows, drawn, network=", ".join(losses)), losses


def _data_sets(setting: Setting) -> Finding:
    names = ("lenet5_mnist", "resnet20_cifar10", "squeezenet1_0_deepcompression")
    found, losses = _compared(setting, names, "Difficulty of the task", "data-sets")
    if found is None:
        return Finding("no two tasks are at hand", None, [], None, "Give --data, a folder with the data sets.")
    last = [own[-1]["loss_points"] for own in losses.values()]
    words = ", ".join(f"{TASKS[name]} {loss:.1f}" for name, loss in zip(losses, last, strict=True))
    return replace(
        found,
        measured=f"points lost at a spread of 20 %: {words}",
        shown=last == sorted(last),
        note="The networks differ with the tasks: LeNet-5, ResNet-20 and, for ImageNet, SqueezeNet 1.0.",
    )


def _networks(setting: Setting) -> Finding:
    names = ("resnet8_mlperf_tiny", "resnet20_cifar10")
    found, losses = _compared(setting, names, "Networks on one task", "networks")
    if found is None:
        missing = "Give --data, a folder with CIFAR-10 and its networks."
        return Finding("no two networks of one task are at hand", None, [], None, missing)
    small, large = (losses[name][ALPHAS[2:].index(0.1)] for name in names)
    apart = small["low_points"] > large["high_points"] or small["high_points"] < large["low_points"]
    return replace(
        found,
        measured=f"at a spread of 10 %: ResNet-8 (78 thousand weights) loses {small['loss_points']:.1f} points, "
        f"ResNet-20 (0.27 million) {large['loss_points']:.1f}",
        shown=small["loss_points"] > large["loss_points"] if apart else None,
        note="Both are trained on CIFAR-10; the published networks are of ImageNet.",
    )


STUDIES = (
    PublishedStudy(
        "error_independent",
        f"{XIAO}, Fig. 9",
        "Error that is the same in all states",
        "Offset subtraction collapses, a unit column makes it worse, differential cells bear more.",
        "near zero accuracy of ResNet-50 with offset at 2.5 %",
        _independent,
        criterion="offset cells lose 5 points at less than 0.7 times the error at which differential ones do, and "
        "with a unit column at less still",
    ),
    PublishedStudy(
        "error_proportional",
        f"{XIAO}, Fig. 10",
        "Error in proportion to the current",
        "Differential cells bear at least ten times the error that offset cells do, and lose nothing below 5 %.",
        "at least 10 times",
        _proportional,
        criterion="differential cells lose 5 points at 10 or more times the error at which offset cells do, and at 5 % "
        "nothing beyond chance",
    ),
    PublishedStudy(
        "on_off_ratio",
        f"{XIAO}, Fig. 11",
        "On/off ratio",
        "A ratio of 100 is about as good as an infinite one.",
        "100",
        _on_off,
        criterion="at a spread of 5 % the losses at 100 and at 10⁷ differ by less than a point",
    ),
    PublishedStudy(
        "data_sets",
        f"{XIAO}, Fig. 6",
        "Difficulty of the task",
        "Sensitivity grows from MNIST over CIFAR-10 to ImageNet.",
        "order of the tasks",
        _data_sets,
        criterion="the losses at the largest spread stand in that order",
    ),
    PublishedStudy(
        "networks",
        f"{XIAO}, Fig. 12",
        "Networks compared",
        "On one task the network with fewer weights is the more sensitive.",
        "MobileNet most, VGG-19 least",
        _networks,
        criterion="the smaller network loses more at a spread of 10 %, and the intervals do not overlap",
    ),
)
