"""Published accelerators and the reference cores, end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accuracy import Accuracy, calibrate, convert, data_sets, evaluate, networks
from circuits import CoreDesign, load_designs
from devicekit import load_device
from tests.accuracy.small_networks import small_data, small_network

PRESETS = load_designs("accelerators")


@pytest.mark.parametrize("name", PRESETS)
def test_every_published_preset_runs_end_to_end(name: str) -> None:
    design = PRESETS[name]
    signs = design.negative_weights == "column_sign"
    cell = load_device("sonos_40nm_tcas2022")

    def evaluated(design: CoreDesign) -> Accuracy:
        model = calibrate(convert(small_network(), design, cell, project_signs=signs), small_data(seed=2))
        return evaluate(model, small_data(32), 1, metric=lambda outputs, labels: outputs[:, 0])

    found = evaluated(design)
    assert found.scores.shape == (1, 32)
    if design.full_precision:
        without = evaluated(design.replace(adc_bits=None))
        np.testing.assert_allclose(found.ideal_scores, without.ideal_scores, atol=1e-3, err_msg="conversion is exact")


@pytest.mark.slow
def test_resnet20_keeps_its_accuracy_on_designs_a_to_d_and_loses_it_on_e(shared_data: Path) -> None:
    folder = shared_data / "cifar10"
    network = networks.load("resnet20_cifar10", weights=folder)
    data = data_sets.load("cifar10", folder)
    cell = load_device("sonos_40nm_tcas2022")
    losses = {}
    for name, design in load_designs("xiao2022").items():
        model = calibrate(convert(network, design, cell), data.batches("calibration", 100, 200))
        found = evaluate(model, data.batches("test", 100, 400), 2)
        assert found.quantisation_loss < 0.02
        losses[name] = found.loss
    assert max(losses[name] for name in "ABCD") < 0.025
    assert losses["E"] > 0.03
