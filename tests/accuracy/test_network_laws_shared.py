"""Published laws on published networks: errors (1, 2), wires (7), difficulty of the task (8). Slow; need shared data.

Xiao et al., IEEE Circuits and Systems Magazine 22(4), 2022, found them on ResNet-50 and ImageNet; what is compared here
is the order. ADCs are left out, so that only wires or cells act.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from torch import nn

from accuracy import Accuracy, analog_layers, calibrate, convert, data_sets, evaluate, networks
from circuits import CoreDesign
from devicekit import Cell, StateIndependent, StateProportional

DIFFERENTIAL = CoreDesign(adc_bits=None)
OFFSET = CoreDesign(negative_weights="offset", adc_bits=None)
pytestmark = pytest.mark.slow


def outcome(
    shared_data: Path,
    name: str,
    design: CoreDesign,
    error: StateIndependent | StateProportional | None = None,
    *,
    images: int,
    trials: int = 1,
) -> Accuracy:
    """Accuracy of a network with the data laid beside the checkout; ideal cells with g_min = 0 without an error."""
    cell = None if error is None else Cell(error=error, i_max=1.6e-6, on_off_ratio=1e7)
    network, data = loaded(shared_data, name)
    model = convert(network, design, cell)
    calibrate(model, list(data.batches("calibration", 50, 100)))
    assert analog_layers(model)
    found = evaluate(model, list(data.batches("test", 50, images)), trials=trials)
    print(f"{name}, {design.negative_weights}, r_p_hat {design.r_p_hat:g}, {error}: loss {found.loss:.3f}")
    return found


@functools.cache
def loaded(shared_data: Path, name: str) -> tuple[nn.Module, data_sets.DataSet]:
    bundled = name in ("lenet5_mnist", "cnn6_fashion_mnist")
    network = networks.load(name) if bundled else networks.load(name, shared_data)
    return network, data_sets.load(networks.data_set(name), shared_data)


# The cells behind the envelope are transistors; the published law is that of a resistor's wires.
@pytest.mark.filterwarnings("ignore::circuits.EnvelopeWarning")
def test_wires_cost_offset_cells_more_than_a_hundred_times_as_much(shared_data: Path) -> None:
    """ResNet-20 has 576 rows at most, half of the published array's, so it stands more than that does."""
    run = functools.partial(outcome, shared_data, "resnet20_cifar10", images=200)
    ordinary = run(DIFFERENTIAL.replace(r_p_hat=1e-5))
    assert ordinary.mean >= ordinary.ideal - 0.005
    # At a hundredth of the resistance offset cells have lost the network, differential ones at all of it not yet.
    differential, offset = run(DIFFERENTIAL.replace(r_p_hat=2e-4)), run(OFFSET.replace(r_p_hat=2e-6))
    assert differential.mean > offset.mean + 0.1


@pytest.mark.parametrize("error", [StateProportional(0.2), StateIndependent(0.05)], ids=["proportional", "independent"])
def test_sensitivity_grows_with_the_difficulty_of_the_task(
    shared_data: Path, error: StateIndependent | StateProportional
) -> None:
    mnist = outcome(shared_data, "lenet5_mnist", DIFFERENTIAL, error, images=500, trials=3)
    cifar = outcome(shared_data, "resnet20_cifar10", DIFFERENTIAL, error, images=300, trials=3)
    imagenet = outcome(shared_data, "squeezenet1_0_deepcompression", DIFFERENTIAL, error, images=100)
    assert mnist.loss < 0.02
    assert cifar.loss > mnist.loss + 0.01
    assert imagenet.loss > cifar.loss + 0.1


def test_on_one_task_the_network_with_fewer_weights_is_more_sensitive(shared_data: Path) -> None:
    error = StateProportional(0.1)
    small = outcome(shared_data, "resnet8_mlperf_tiny", DIFFERENTIAL, error, images=300, trials=3)
    large = outcome(shared_data, "resnet20_cifar10", DIFFERENTIAL, error, images=300, trials=3)
    assert small.loss > large.loss + 0.05


@pytest.mark.parametrize(
    ("error", "least"),
    [(StateIndependent(0.025), 0.2), (StateProportional(0.025), 0.65)],
    ids=["independent", "proportional"],
)
def test_offset_cells_lose_imagenet_at_an_error_that_differential_ones_bear_better(
    shared_data: Path, error: StateIndependent | StateProportional, least: float
) -> None:
    run = functools.partial(outcome, shared_data, "squeezenet1_0_deepcompression", error=error, images=100)
    assert run(OFFSET).mean < 0.05
    assert run(DIFFERENTIAL).mean > least
