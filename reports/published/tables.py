"""Published tables of accuracy: baselines, and the reference cores with ideal and SONOS cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from accuracy.evaluation.intervals import loss_interval
from circuits import Core, CoreDesign, load_designs
from devicekit import load_device
from reports.published.drawing import bars
from reports.published.study import (
    RESAMPLES,
    RESNET50,
    RESNET50_INT4,
    XIAO,
    Finding,
    PublishedStudy,
    Setting,
    amount,
    loss_columns,
)
from reports.published.whole_set import whole_set_columns
from reports.results import Values

PUBLISHED_IDEAL = {"A": 76.3, "B": 75.3, "C": 75.4, "D": 76.3, "E": 74.9}
PUBLISHED_SONOS = {"A": 74.0, "B": 75.4, "C": 73.6, "D": 74.1, "E": 50.2}
FULL_SET_ACCURACY = 0.76466
"""Published float accuracy of ResNet-50 v1.5 on all 50 000 validation images."""
BASELINE = 77.5
"""Float accuracy of ResNet-50 v1.5 on the first thousand images [%]."""
ALIGNED = "E aligned"
"""Design E with codes on every level of its currents."""


def _baselines(setting: Setting) -> Finding:
    names = (
        "digits_cnn",
        "lenet5_mnist",
        "resnet20_cifar10",
        "squeezenet1_0_deepcompression",
        RESNET50,
        RESNET50_INT4,
    )
    rows: list[dict[str, Any]] = []
    for name in setting.there(names):
        network = setting.load(name)
        rows.append(
            {
                "network": network.name,
                "data_set": network.data.name,
                "weights": sum(own.weights for own in network.layers),
                "macs": sum(own.macs for own in network.layers),
            }
        )
    known = {RESNET50: 25_502_912, RESNET50_INT4: 25_502_912}
    checks = [row["weights"] == known[row["network"]] for row in rows if row["network"] in known]
    words = ", ".join(f"{row['network']} {row['weights'] / 1e6:.3g} M" for row in rows)
    return Finding(
        f"weights: {words}",
        all(checks) if checks else None,
        rows,
        None,
        "Weights of matrices only; the others are the networks of this page. "
        + ("" if checks else "The published networks need --data, a folder with their weights and images."),
        network=", ".join(row["network"] for row in rows),
    )


def _cores(setting: Setting) -> Finding:
    cell = load_device("sonos_40nm_tcas2022")
    network = setting.network
    rows: list[dict[str, Any]] = []
    for name, design in _reference_cores().items():
        letter = name[0]
        few = _how_many(setting, network, letter)
        found = setting.accuracy(design, cell, network, core=Core(design, cell=cell), with_scores=True, **few)
        right, ideal, trials = (np.asarray(scores) for scores in found["scores"])
        low, high = (
            100 * end for end in loss_interval(ideal, trials, np.ones(ideal.size), 0.95, RESAMPLES, setting.seed)
        )
        whole: Values = {}
        if network == RESNET50:
            margins = setting.margins(network, found["images"])
            whole = whole_set_columns(margins, right, trials, FULL_SET_ACCURACY, seed=setting.seed)
        rows.append(
            {
                "design": name,
                "ideal_loss_points": 100 * (found["baseline"] - found["ideal"]),
                "cells_loss_points": 100 * (found["ideal"] - found["mean"]),
                "cells_low_points": low,
                "cells_high_points": high,
                **loss_columns(found),
                **whole,
                "published_ideal_loss_points": BASELINE - PUBLISHED_IDEAL[letter],
                "published_cells_loss_points": PUBLISHED_IDEAL[letter] - PUBLISHED_SONOS[letter],
                "published_loss_points": BASELINE - PUBLISHED_SONOS[letter],
            }
        )
    own = {row["design"]: row for row in rows}
    figure = bars(
        "cores",
        "Loss of the reference cores with SONOS cells, beyond that of ideal ones",
        f"Here: {network}, {amount(rows)}",
        {
            "here": {name: row["cells_loss_points"] for name, row in own.items()},
            "published, ResNet-50": {name: row["published_cells_loss_points"] for name, row in own.items()},
        },
        "loss [points]",
        bounds={"here": {name: (row["cells_low_points"], row["cells_high_points"]) for name, row in own.items()}},
    )
    words = ", ".join(
        f"{name} {row['cells_loss_points']:.1f} ({row['cells_low_points']:.1f} to {row['cells_high_points']:.1f})"
        for name, row in own.items()
    )
    return Finding(
        f"points lost by SONOS cells beyond ideal ones: {words}",
        _verdict_of_cores(own),
        rows,
        figure,
        "A loss whose interval reaches below 0 may be none. E is computed with calibrated ranges and "
        "with aligned ones, which put codes on all levels of its currents: what calibrated ranges round, ideal cells "
        f"lose already ({own['E']['ideal_loss_points']:.1f} points of E, {own[ALIGNED]['ideal_loss_points']:.1f} with "
        "aligned ranges), and cells cannot lose it again."
        + (
            " The images are an easier part of the validation set; the table has what the loss is on the whole set, "
            "carried over by the images' margins."
            if network == RESNET50
            else ""
        ),
        network,
    )


def _reference_cores() -> dict[str, CoreDesign]:
    """Return the published designs, and E with codes on all levels of its currents."""
    designs = load_designs("xiao2022")
    return {**designs, ALIGNED: designs["E"].replace(name=ALIGNED, adc_range="aligned")}


def _verdict_of_cores(own: dict[str, Values]) -> bool | None:
    """Return whether E loses more than all others and B no more than those; None where intervals leave it open.

    E is the one with aligned ranges: where calibrated ones leave ideal cells nothing, cells lose nothing.
    """
    others = [own[name] for name in "ABCD"]
    if own[ALIGNED]["cells_high_points"] < max(row["cells_low_points"] for row in others):
        return False
    if any(own["B"]["cells_low_points"] > own[name]["cells_high_points"] for name in ("A", "C", "D")):
        return False
    return True if own[ALIGNED]["cells_low_points"] > max(row["cells_high_points"] for row in others) else None


_ON_RESNET50 = {"A": (1300, 5), "C": (1300, 5), "D": (500, 3), "B": (200, 3), "E": (100, 3)}
"""Images and trials of each design on ResNet-50: what an hour of a processor allows. D, B and E convert every input
bit, B and E in several slices."""


def _how_many(setting: Setting, network: str, design: str) -> dict[str, int]:
    """Return images and trials."""
    if setting.quick:
        return {"images": 500, "trials": 3}
    if network != RESNET50:
        return {}
    images, trials = _ON_RESNET50[design]
    return {"images": images, "trials": trials, "calibration_images": 50}


STUDIES = (
    PublishedStudy(
        "networks_table",
        f"{XIAO}, table of networks",
        "Networks and their sizes",
        "ResNet-50 v1.5 has the published number of parameters.",
        "ResNet-50 v1.5: 25.6 million parameters",
        _baselines,
        criterion="its matrices have 25 502 912 weights, to which batch norm and biases add 54 120",
    ),
    PublishedStudy(
        "cores_accuracy",
        f"{XIAO}, table of accuracies",
        "Accuracy of the reference cores",
        "Beyond what ideal cells lose, SONOS cells cost E by far most and B nothing.",
        "A 2.3, B -0.1, C 1.8, D 2.2 and E 24.7 points beyond ideal cells",
        _cores,
        criterion="the loss of E, with aligned ranges of its ADCs, lies above those of A to D with intervals that do "
        "not overlap, and that of B above none",
    ),
)
