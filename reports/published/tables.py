"""Published tables of accuracy: baselines, and the reference cores with ideal and SONOS cells."""

from __future__ import annotations

from typing import Any

from circuits import Core, load_designs
from devicekit import load_device
from reports.published.drawing import bars
from reports.published.study import XIAO, Finding, PublishedStudy, Setting

PUBLISHED_IDEAL = {"A": 76.3, "B": 75.3, "C": 75.4, "D": 76.3, "E": 74.9}
PUBLISHED_SONOS = {"A": 74.0, "B": 75.4, "C": 73.6, "D": 74.1, "E": 50.2}
BASELINE = 77.5
"""Float accuracy of ResNet-50 v1.5 on the first thousand images [%]."""


def _baselines(setting: Setting) -> Finding:
    names = (
        "digits_cnn",
        "lenet5_mnist",
        "resnet20_cifar10",
        "squeezenet1_0_deepcompression",
        "resnet50_v1_5",
        "resnet50_v1_5_int4",
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
    known = {"resnet50_v1_5": 25_502_912, "resnet50_v1_5_int4": 25_502_912}
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
    network = "resnet50_v1_5" if not setting.quick and setting.has("resnet50_v1_5") else setting.network
    few = {"images": 100, "trials": 2} if setting.quick else {}
    rows: list[dict[str, Any]] = []
    for name, design in load_designs("xiao2022").items():
        found = setting.accuracy(design, cell, network, core=Core(design, cell=cell), **few)
        rows.append(
            {
                "design": name,
                "ideal_loss_points": 100 * (found["baseline"] - found["ideal"]),
                "sonos_loss_points": 100 * found["loss"],
                "published_ideal_loss_points": BASELINE - PUBLISHED_IDEAL[name],
                "published_sonos_loss_points": BASELINE - PUBLISHED_SONOS[name],
                "images": found["images"],
                "trials": found["trials"],
            }
        )
    own = {row["design"]: row["sonos_loss_points"] for row in rows}
    groups = {
        "here": own,
        "published, ResNet-50": {row["design"]: row["published_sonos_loss_points"] for row in rows},
    }
    figure = bars("cores", "Loss of the reference cores with SONOS cells", f"Here: {network}.", groups, "loss [points]")
    others = max(own[name] for name in "ABCD")
    return Finding(
        "SONOS loss: " + ", ".join(f"{name} {loss:.1f}" for name, loss in own.items()) + " points",
        setting.on_long_columns(own["E"] > others + 0.5 and own["B"] <= min(own[name] for name in "ACD") + 1.0),
        rows,
        figure,
        "The law: E loses by far most, B least of the differential ones.",
    )


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
