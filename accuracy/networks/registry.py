"""The networks that are known by name: how to build each, where its weights lie, which data set it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from accuracy.networks.digits_cnn import DigitsCNN
from accuracy.networks.resnet50 import ResNet50
from accuracy.networks.resnet_cifar import CifarResNet


@dataclass(frozen=True)
class Entry:
    """One network.

    Attributes:
        build: makes the module with random weights.
        data_set: name of its data set for `accuracy.data_sets.load`.
        file: its weight file in a data folder.
        folder: sub-folder looked in as well.
        bundled: whether the file is in the project's `data/networks`.
        description: what it is, and whose weights the file holds.
    """

    build: Callable[[], nn.Module]
    data_set: str
    file: str
    folder: str
    description: str
    bundled: bool = False


def _cifar_resnet(depth: int) -> Entry:
    return Entry(
        build=lambda: CifarResNet((depth - 2) // 6),
        data_set="cifar10",
        file=f"resnet{depth}.safetensors",
        folder="cifar10",
        description=f"ResNet-{depth} for CIFAR-10, option-A shortcuts (He et al. 2016; weights by Y. Idelbayev)",
    )


ENTRIES: dict[str, Entry] = {
    "digits_cnn": Entry(
        build=DigitsCNN,
        data_set="digits",
        file="digits_cnn.safetensors",
        folder="networks",
        bundled=True,
        description="small convolutional network for scikit-learn's digits, trained by scripts/train_digits_cnn.py",
    ),
    "resnet50_v1_5": Entry(
        build=ResNet50,
        data_set="imagenet_224",
        file="resnet50.safetensors",
        folder="imagenet",
        description="ResNet-50 v1.5 for ImageNet (He et al. 2016, stride in the 3 x 3), torchvision's parameter names",
    ),
    **{f"resnet{depth}_cifar10": _cifar_resnet(depth) for depth in (20, 32, 44, 56)},
}
