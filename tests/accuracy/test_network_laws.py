"""The published laws on a trained network: the bundled digits network, which is easier than those of the publication.

Xiao et al., IEEE Circuits and Systems Magazine 22(4), 2022, found them on ResNet-50 with ImageNet; here the same order
shows at larger errors.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from accuracy import Accuracy, calibrate, convert, data_sets, evaluate, networks
from circuits import CoreDesign
from devicekit import Cell, StateIndependent, StateProportional

DIFFERENTIAL = CoreDesign(adc_bits=None)
OFFSET = CoreDesign(negative_weights="offset", adc_bits=None)
UNIT = CoreDesign(negative_weights="offset_unit_column", adc_bits=None)


@functools.cache
def accuracy(
    design: CoreDesign, error: StateIndependent | StateProportional | None, on_off: float = 1e7, batch: int = 100
) -> Accuracy:
    cell = None if error is None else Cell(error=error, i_max=1.6e-6, on_off_ratio=on_off)
    data = data_sets.load("digits")
    model = convert(networks.load("digits_cnn"), design, cell=cell)
    calibrate(model, list(data.batches("calibration", 100)))
    return evaluate(model, list(data.batches("test", batch)), trials=1 if error is None else 3)


def test_error_independent_of_state_breaks_offset_before_differential_and_a_unit_column_first() -> None:
    error = StateIndependent(0.1)
    differential, offset, unit = (accuracy(design, error) for design in (DIFFERENTIAL, OFFSET, UNIT))
    assert differential.loss < 0.2
    assert offset.loss > differential.loss + 0.15
    assert unit.loss > offset.loss + 0.05


def test_error_in_proportion_to_state_costs_differential_cells_nothing_at_five_percent() -> None:
    error = StateProportional(0.05)
    assert accuracy(DIFFERENTIAL, error).loss < 0.015
    assert accuracy(DIFFERENTIAL, error, on_off=100.0).loss < 0.015
    assert accuracy(OFFSET, error).loss > 0.05


def test_an_on_off_ratio_of_one_hundred_is_about_as_good_as_infinite() -> None:
    error = StateProportional(0.2)
    best, hundred = accuracy(DIFFERENTIAL, error), accuracy(DIFFERENTIAL, error, on_off=100.0)
    assert hundred.mean == pytest.approx(best.mean, abs=0.04)


@pytest.mark.parametrize("bits", [5, 6, 7])
def test_differential_cells_do_with_fewer_adc_bits_than_offset_cells(bits: int) -> None:
    differential = accuracy(DIFFERENTIAL.replace(adc_bits=bits), None)
    offset = accuracy(OFFSET.replace(adc_bits=bits), None)
    assert differential.mean >= differential.baseline - 0.01
    assert differential.mean >= offset.mean
    if bits == 5:
        assert offset.mean < 0.9


def test_results_do_not_depend_on_the_batch_size() -> None:
    error, design = StateIndependent(0.1), CoreDesign()
    whole, small = accuracy(design, error), accuracy(design, error, batch=7)
    np.testing.assert_array_equal(small.scores, whole.scores)
    np.testing.assert_array_equal(small.ideal_scores, whole.ideal_scores)


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    error, design = StateIndependent(0.1), CoreDesign(negative_weights="offset", adc_bits=8)
    before = torch.get_num_threads()
    data = data_sets.load("digits")
    outputs = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            model = convert(
                networks.load("digits_cnn"), design, cell=Cell(error=error, i_max=1.6e-6, on_off_ratio=1e7), seed=3
            )
            calibrate(model, list(data.batches("calibration", 100)))
            outputs.append(evaluate(model, list(data.batches("test", 100)), trials=2))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(outputs[0].scores, outputs[1].scores)
