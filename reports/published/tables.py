"""Published tables of accuracy: baselines, and the reference cores with ideal and SONOS cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from circuits import Core, load_designs
from devicekit import load_device
from reports.published.drawing import bars
from reports.published.study import RESNET50, RESNET50_INT4, XIAO, Finding, PublishedStudy, Setting
from reports.published.whole_set import whole_set_columns
from reports.results import Values

PUBLISHED_IDEAL = {"A": 76.3, "B": 75.3, "C": 75.4, "D": 76.3, "E": 74.9}
PUBLISHED_SONOS = {"A": 74.0, "B": 75.4, "C": 73.6, "D": 74.1, "E": 50.2}
FULL_SET_ACCURACY = 0.76466
"""Published float accuracy of ResNet-50 v1.5 on all 50 000 validation images."""
BASELINE = 77.5
"""Float accuracy of ResNet-50 v1.5 on the first thousand images [%]."""


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
        "" if checks else "The published networks need --data, a folder with their weights and images.",
    )


def _cores(setting: Setting) -> Finding:
    cell = load_device("sonos_40nm_tcas2022")
    network = setting.network
    rows: list[dict[str, Any]] = []
    for name, design in load_designs("xiao2022").items():
        few = _how_many(setting, network, name)
        found = setting.accuracy(design, cell, network, core=Core(design, cell=cell), with_scores=True, **few)
        right, _, trials = (np.asarray(scores) for scores in found["scores"])
        low, high = found["loss_interval"]
        whole: Values = {}
        if network == RESNET50:
            margins = setting.margins(network, found["images"])
            whole = whole_set_columns(margins, right, trials, FULL_SET_ACCURACY, seed=setting.seed)
        rows.append(
            {
                "design": name,
                "ideal_loss_points": 100 * (found["baseline"] - found["ideal"]),
                "sonos_loss_points": 100 * found["loss"],
                "sonos_low_points": 100 * low,
                "sonos_high_points": 100 * high,
                **whole,
                "published_ideal_loss_points": BASELINE - PUBLISHED_IDEAL[name],
                "published_sonos_loss_points": BASELINE - PUBLISHED_SONOS[name],
                "images": found["images"],
                "trials": len(trials),
            }
        )
    losses = {row["design"]: row["sonos_loss_points"] for row in rows}
    groups = {
        "here": losses,
        "published, ResNet-50": {row["design"]: row["published_sonos_loss_points"] for row in rows},
    }
    figure = bars("cores", "Loss of the reference cores with SONOS cells", f"Here: {network}.", groups, "loss [points]")
    others, least = max(losses[name] for name in "ABCD"), min(losses[name] for name in "ACD")
    return Finding(
        "SONOS loss: " + ", ".join(f"{name} {loss:.1f}" for name, loss in losses.items()) + " points",
        setting.on_long_columns(losses["E"] > others + 0.5 and losses["B"] <= least + 1.0),
        rows,
        figure,
        "The law: E loses by far most, B least of the differential ones."
        + (
            " The images are an easier part of the validation set; the table has what the loss is on the whole set, "
            "carried over by the images' margins."
            if network == RESNET50
            else ""
        ),
        network,
    )


_ON_RESNET50 = {"A": (1300, 5), "C": (1300, 5), "D": (500, 3), "B": (200, 3), "E": (100, 3)}
"""Images and trials of each design on ResNet-50: what an hour of a processor allows. D, B and E convert every input
bit, B and E in several slices."""


def _how_many(setting: Setting, network: str, design: str) -> dict[str, int]:
    """Return images and trials."""
    if setting.quick:
        return {"images": 100, "trials": 2}
    if network != RESNET50:
        return {}
    images, trials = _ON_RESNET50[design]
    return {"images": images, "trials": trials, "calibration_images": 50}


STUDIES = (
    PublishedStudy(
        "networks_table",
        f"{XIAO}, table of networks",
        "Networks and their sizes",
        "The networks are those of the publication.",
        "ResNet-50 v1.5: 25.6 million parameters",
        _baselines,
    ),
    PublishedStudy(
        "cores_accuracy",
        f"{XIAO}, table of accuracies",
        "Accuracy of the reference cores",
        "With SONOS cells E loses by far most, and B about nothing.",
        "losses of 3.5, 2.1, 3.9, 3.4 and 27.3 points of 77.5 %",
        _cores,
    ),
)
