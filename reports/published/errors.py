"""Published studies of cell errors in networks: Figs. 6, 9, 10, 11 and 12."""

from __future__ import annotations

from typing import Any

import numpy as np

from circuits import CoreDesign
from reports.published.drawing import lines
from reports.published.study import (
    XIAO,
    Finding,
    PublishedStudy,
    Setting,
    independent,
    largest_tolerated,
    points_lost,
    proportional,
)

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


def _sweep(setting: Setting, error: Any) -> dict[str, list[float]]:
    return {
        name: [points_lost(setting.accuracy(design, error(alpha))) for alpha in ALPHAS]
        for name, design in MAPPINGS.items()
    }


def _rows(losses: dict[str, list[float]]) -> list[dict[str, Any]]:
    return [
        {"mapping": name, "alpha": alpha, "loss_points": loss}
        for name, own in losses.items()
        for alpha, loss in zip(ALPHAS, own, strict=True)
    ]


def _figure(name: str, title: str, losses: dict[str, list[float]], network: str) -> Any:
    caption = f"Loss of {network} without ADCs, so that only the cells act; mean over trials."
    series = {label: ([100 * alpha for alpha in ALPHAS], own) for label, own in losses.items()}
    return lines(name, title, caption, series, "error [%]", "loss [points]")


def _independent(setting: Setting) -> Finding:
    losses = _sweep(setting, independent)
    at = ALPHAS.index(0.025)
    plain, unit, apart = (losses[name][at] for name in ("offset", "offset with unit column", "differential"))
    return Finding(
        f"at 2.5 %: offset loses {plain:.1f} points, with a unit column {unit:.1f}, differential {apart:.1f}",
        plain > apart + 1 and unit >= plain - 2,
        _rows(losses),
        _figure("error-independent", "Error that is the same in all states", losses, setting.network),
    )


def _proportional(setting: Setting) -> Finding:
    losses = _sweep(setting, proportional)
    ends = {name: largest_tolerated(ALPHAS, own, LIMIT) for name, own in losses.items()}
    ratio = ends["differential"] / ends["offset"]
    open_end = losses["differential"][-1] <= LIMIT
    at = ALPHAS.index(0.05)
    return Finding(
        f"{LIMIT:g} points are lost at {100 * ends['differential']:.2g} % with differential, "
        f"{100 * ends['offset']:.2g} % with offset cells: {'more than ' if open_end else ''}{ratio:.1f} times; "
        f"at 5 % differential loses {losses['differential'][at]:.2f} points",
        setting.on_long_columns(ratio >= 10 or (open_end and losses["offset"][-1] > 4 * LIMIT)),
        _rows(losses),
        _figure("error-proportional", "Error in proportion to the current", losses, setting.network),
        ("Differential cells bear more than the largest error tried. " if open_end else "")
        + "Of weights with a root mean square σ of their layer's largest, offset cells make √(1 + σ²) / σ times the "
        f"error: {_ratio_of_errors(setting):.1f} times in the median layer of {setting.network}.",
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
        f"{100 * alpha:g} %": [points_lost(setting.accuracy(BARE, proportional(alpha, ratio))) for ratio in ratios]
        for alpha in (0.05, 0.1)
    }
    gap = abs(losses["5 %"][ratios.index(100.0)] - losses["5 %"][-1])
    rows = [
        {"alpha": label, "on_off_ratio": ratio, "loss_points": loss}
        for label, own in losses.items()
        for ratio, loss in zip(ratios, own, strict=True)
    ]
    caption = f"Loss of {setting.network} on differential cells with an error in proportion to the current."
    figure = lines(
        "on-off",
        "On/off ratio",
        caption,
        {label: (ratios, own) for label, own in losses.items()},
        "on/off ratio",
        "loss [points]",
    )
    text = f"at 5 %: {losses['5 %'][ratios.index(100.0)]:.2f} points at 100, {losses['5 %'][-1]:.2f} without limit"
    return Finding(text, gap < 1.0, rows, figure)


def _compared(
    setting: Setting, names: tuple[str, ...], title: str, figure: str
) -> tuple[list[dict[str, Any]], Any, dict[str, list[float]]]:
    there = setting.there(names)
    losses = {
        name: [points_lost(setting.accuracy(BARE, proportional(alpha), name)) for alpha in ALPHAS[2:]] for name in there
    }
    rows = [
        {"network": name, "alpha": alpha, "loss_points": loss}
        for name, own in losses.items()
        for alpha, loss in zip(ALPHAS[2:], own, strict=True)
    ]
    series = {name: ([100 * alpha for alpha in ALPHAS[2:]], own) for name, own in losses.items()}
    drawn = lines(
        figure, title, "Differential cells, error in proportion to the current.", series, "error [%]", "loss [points]"
    )
    return rows, drawn if series else None, losses


def _data_sets(setting: Setting) -> Finding:
    names = ("lenet5_mnist", "resnet20_cifar10", "squeezenet1_0_deepcompression")
    rows, figure, losses = _compared(setting, names, "Difficulty of the task", "data-sets")
    if len(losses) < 2:
        return Finding("no two tasks are at hand", None, rows, figure, "Give --data, a folder with the data sets.")
    last = [own[-1] for own in losses.values()]
    words = ", ".join(f"{name} {loss:.1f}" for name, loss in zip(losses, last, strict=True))
    return Finding(f"points lost at 20 %: {words}", last == sorted(last), rows, figure)


def _networks(setting: Setting) -> Finding:
    names = ("resnet8_mlperf_tiny", "resnet20_cifar10")
    rows, figure, losses = _compared(setting, names, "Networks on one task", "networks")
    if len(losses) < 2:
        return Finding(
            "no two networks of one task are at hand",
            None,
            rows,
            figure,
            "Give --data, a folder with CIFAR-10 and its networks.",
        )
    small, large = (losses[name][ALPHAS[2:].index(0.1)] for name in names)
    return Finding(
        f"at 10 %: ResNet-8 (78 thousand weights) loses {small:.1f} points, ResNet-20 (0.27 million) {large:.1f}",
        small > large,
        rows,
        figure,
    )


STUDIES = (
    PublishedStudy(
        "error_independent",
        f"{XIAO}, Fig. 9",
        "Error that is the same in all states",
        "Offset subtraction collapses, a unit column makes it worse, differential cells bear more.",
        "near zero accuracy of ResNet-50 with offset at 2.5 %",
        _independent,
    ),
    PublishedStudy(
        "error_proportional",
        f"{XIAO}, Fig. 10",
        "Error in proportion to the current",
        "Differential cells bear at least ten times the error that offset cells do, and lose nothing below 5 %.",
        "at least 10 times",
        _proportional,
    ),
    PublishedStudy(
        "on_off_ratio",
        f"{XIAO}, Fig. 11",
        "On/off ratio",
        "A ratio of 100 is about as good as an infinite one.",
        "100",
        _on_off,
    ),
    PublishedStudy(
        "data_sets",
        f"{XIAO}, Fig. 6",
        "Difficulty of the task",
        "Sensitivity grows from MNIST over CIFAR-10 to ImageNet.",
        "order of the tasks",
        _data_sets,
    ),
    PublishedStudy(
        "networks",
        f"{XIAO}, Fig. 12",
        "Networks compared",
        "On one task the network with fewer weights is the more sensitive.",
        "MobileNet most, VGG-19 least",
        _networks,
    ),
)
