"""Calibration: ranges by their definitions, bounded memory, saved with the model, refused when they do not fit."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from accuracy import CalibrationError, EvaluationError, analog_layers, calibrate, calibration_report, convert
from accuracy.kernels import bit_serial, elementwise, histograms
from accuracy.kernels.histograms import BINS, INNER_FRACTION, PROBE, Histogram, input_range
from accuracy.mapping.adc import AdcRanges, given_adc_ranges, powers_of_two_ranges
from devicekit import load_device
from tests.accuracy.small_networks import design, small_data, small_network


@pytest.mark.parametrize("compiled", [True, False])
def test_histogram_quantiles_are_values_that_occurred(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr(elementwise, "available", lambda: False)
    rng = np.random.default_rng(0)
    values = np.abs(rng.standard_normal(40_000)).astype(np.float32)
    values[rng.random(values.size) < 0.3] = 0.0
    histogram = Histogram()
    for part in np.split(values * np.linspace(0.5, 1.0, values.size, dtype=np.float32), 8):
        histogram.add(torch.from_numpy(part))
    values = values * np.linspace(0.5, 1.0, values.size, dtype=np.float32)
    assert histogram.total == values.size
    assert histogram.zeros == int((values == 0).sum())
    for fraction in (0.2, 0.5, 0.99, INNER_FRACTION, 1.0):
        exact = np.quantile(values, fraction, method="inverted_cdf")
        found = histogram.quantile(fraction)
        assert exact <= found <= exact + histogram.reach / BINS
        assert np.isin(np.float32(found), values)


def test_input_range_minimises_the_l1_norm_of_quantisation_error() -> None:
    rng = np.random.default_rng(1)
    values = np.clip(rng.standard_normal(200_000), 0, None).astype(np.float32)
    values[:40] *= 4.0
    positive, negative = Histogram(), Histogram()
    positive.add(torch.from_numpy(values))
    negative.add(torch.zeros(values.size))
    x_min, x_max = input_range(positive, negative)
    assert x_min == 0.0

    def error(high: float) -> float:
        step = high / 4095
        clipped = np.minimum(values.astype(np.float64), high)
        return float(np.abs(np.rint(clipped / step) * step - values).sum())

    tried = np.linspace(0.3 * values.max(), values.max(), 300)
    assert error(x_max) <= 1.02 * min(error(high) for high in tried)
    assert x_max < values.max()


def test_signed_inputs_get_a_signed_range() -> None:
    model = nn.Linear(4, 2)
    x = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    converted = calibrate(convert(model, design("A")), [(x, None)])
    found = analog_layers(converted)[0].require_calibration()
    assert found.signed
    assert -4 < found.x_min < -2
    assert found.scale == max(-found.x_min, found.x_max)


def test_adc_ranges_hold_the_inner_fraction_of_ideal_currents() -> None:
    data = small_data()
    model = convert(small_network(), design("A"), load_device("sonos_40nm_tcas2022"))
    calibrate(model, data)
    layer = analog_layers(model)[0]
    found = layer.require_calibration()
    x = torch.cat([inputs for inputs, _ in data])
    integers = torch.round(255 * (x / found.scale).clamp(0, 1))
    matrix = torch.from_numpy(layer.array.mapping.integers()).float() / 127
    patches = nn.functional.unfold(integers, 3, padding=1).transpose(1, 2) / 255
    currents = (patches @ matrix).abs().numpy()
    exact = np.quantile(currents, INNER_FRACTION, method="inverted_cdf")
    assert found.ranges[0][1] == pytest.approx(exact, rel=1e-4)
    assert found.ranges[0][0] == -found.ranges[0][1]


def test_ranges_do_not_depend_on_seed_cells_or_batches() -> None:
    cell = load_device("sonos_40nm_tcas2022")
    first = calibrate(convert(small_network(), design("E"), cell, seed=1), small_data(batch=32))
    second = calibrate(convert(small_network(), design("E"), cell, seed=2), small_data(batch=96))
    assert calibration_report(first) == calibration_report(second)


@pytest.mark.skipif(not elementwise.available(), reason="no compiler: plain torch counts every current")
@pytest.mark.parametrize("rest", [1.0, 0.01], ids=["like the first images", "far darker"])
@pytest.mark.parametrize("name", ["D", "E"])
def test_currents_that_are_left_out_do_not_move_ranges(name: str, rest: float, monkeypatch: pytest.MonkeyPatch) -> None:
    # So many that the largest currents of the first images are less than the share beyond the range.
    data = [(x.clone(), label) for x, label in small_data() * 12]
    data = [(x[:PROBE], label[:PROBE]) for x, label in data[:1]] + [(x * rest, label) for x, label in data[1:]]
    if rest < 1.0:
        # Else it takes more images.
        monkeypatch.setattr(histograms, "_FLOOR_FRACTION", 0.999)
    passes: list[int] = []
    run = convert(small_network(), design(name))
    calibrate(run, data, progress=lambda done, total: passes.append(done))
    for module in (histograms, bit_serial):
        monkeypatch.setattr(module, "PROBE", 10**9)
    whole = calibrate(convert(small_network(), design(name)), data)
    assert len(passes) == (2 if rest == 1.0 else 3) * len(data)
    kept = [
        {key: value for key, value in row.items() if key != "used_code_fraction"} for row in calibration_report(run)
    ]
    for row, expected, all_of in zip(kept, calibration_report(whole), calibration_report(run), strict=True):
        assert row == {key: expected[key] for key in row}
        assert all_of["used_code_fraction"] == pytest.approx(expected["used_code_fraction"], rel=0.03)


def test_a_quantile_among_values_that_were_left_out_is_not_known() -> None:
    histogram = Histogram()
    histogram.add(torch.arange(1.0, 101.0))
    histogram.floor, histogram.uncounted = 50.0, 300
    # 50 of 400 values are above the floor.
    assert histogram.knows(0.9)
    assert histogram.quantile(0.9) == 60.0
    assert not histogram.knows(0.8)


def test_a_slices_range_is_a_power_of_two_below_the_largest() -> None:
    assert powers_of_two_ranges([4.0, 2.0, 1.9, 2.1, 0.0], symmetric=False) == (
        (0.0, 4.0),
        (0.0, 2.0),
        (0.0, 2.0),
        (0.0, 4.0),
        (0.0, 4.0 * 2**-24),
    )


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=8), st.booleans())
@settings(max_examples=50, deadline=None)
def test_tied_ranges_cover_their_data_by_less_than_twice(needs: list[float], symmetric: bool) -> None:
    for need, (lo, hi) in zip(needs, powers_of_two_ranges(needs, symmetric), strict=True):
        assert lo == (-hi if symmetric else 0.0)
        assert need * (1 - 2e-6) <= hi < 2 * need
        assert np.log2(max(needs) / hi) == round(np.log2(max(needs) / hi))


def test_calibration_is_saved_with_the_model() -> None:
    model = calibrate(convert(small_network(), design("C")), small_data())
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = convert(small_network(), design("C"))
    other.load_state_dict(torch.load(file))
    x = small_data()[0][0]
    with torch.no_grad():
        assert torch.equal(model(x), other(x))


def test_a_calibration_of_another_design_is_refused() -> None:
    state = calibrate(convert(small_network(), design("A")), small_data()).state_dict()
    with pytest.raises(CalibrationError, match=r"Layer 'conv1'.*another design, 'A'; .*max_rows.* differ from 'C'"):
        convert(small_network(), design("C")).load_state_dict(state)


def test_an_uncalibrated_model_is_refused_by_layer() -> None:
    with pytest.raises(CalibrationError, match=r"Layer 'conv1' has no ranges .*run accuracy.calibrate"):
        convert(small_network(), design("A"))(small_data()[0][0])


@pytest.mark.parametrize(
    ("batches", "error", "match"),
    [
        ([], CalibrationError, "calibration data are empty"),
        (iter(small_data()), EvaluationError, "one-shot iterator"),
        (3, EvaluationError, "Expected `batches` to be an iterable"),
        ([(torch.full((1, 3, 6, 6), torch.inf), None)], CalibrationError, "not finite"),
        ([(torch.zeros(1, 3, 6, 6), None)], CalibrationError, "only zeros"),
    ],
    ids=["empty", "iterator", "number", "infinite", "zeros"],
)
def test_unusable_calibration_data_are_refused(batches: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        calibrate(convert(small_network(), design("A")), batches)


def test_a_model_that_was_not_converted_is_refused() -> None:
    with pytest.raises(EvaluationError, match="convert it first"):
        calibrate(small_network(), small_data())


def test_the_report_has_a_row_for_each_layer_and_slice() -> None:
    model = calibrate(convert(small_network(), design("E")), small_data())
    rows = calibration_report(model)
    assert [row["layer"] for row in rows] == ["conv1"] * 4 + ["conv2"] * 4 + ["fc"] * 4
    for row in rows:
        assert 0 <= row["clipped_fraction"] <= 3e-4
        assert 0 < row["used_code_fraction"] <= 1
        assert 0 < row["useful_range_fraction"] <= 1.01
    bare = calibration_report(calibrate(convert(small_network(), design("A", adc_bits=None)), small_data()))
    assert bare[0]["hi"] is None


@pytest.mark.parametrize("ranges", [(1.0,), [(0, 1), (0, 1)], (1.0, 0.0), (0.0, np.inf)])
def test_impossible_adc_ranges_are_refused(ranges: Any) -> None:
    with pytest.raises(CalibrationError, match=r"adc_range|ADC range"):
        given_adc_ranges(design("A"), False, ranges)
    assert AdcRanges(((0.0, 1.0),), (256,)).uniform().codes_per_unit == 255.0


@pytest.mark.parametrize("name", ["D", "E"])
def test_ranges_hold_a_largest_current_that_is_a_power_of_two(name: str) -> None:
    """One row at full conductance draws exactly 1, the upper edge of a histogram's last bin."""
    layer = nn.Linear(1, 2, bias=False).eval()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[-0.0075], [0.536]]))
    x = torch.linspace(0.1, 0.9, 9)[:, None]
    model = calibrate(convert(layer, design(name)), [(x, None)])
    with torch.inference_mode():
        torch.testing.assert_close(model(x), layer(x), rtol=0, atol=0.005)
