"""Aligned ranges: a code on every level of the current, so that ideal cells are read as without an ADC."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from accuracy import (
    calibrate,
    calibration_report,
    convert,
    evaluate,
)
from accuracy.calibration import calibrate as calibration
from circuits import CoreDesign, assumed_line_currents
from circuits.adc_ranges import aligned_reach, codes_to_the_end
from devicekit import Cell, StateIndependent
from devicekit.common.errors import DesignError
from energy import estimate_core
from tests.accuracy.small_networks import design, small_data, small_network

SLICED = {
    "offset": {"negative_weights": "offset"},
    "unit column": {"negative_weights": "offset_unit_column"},
    "two's complement": {"negative_weights": "twos_complement"},
    "differential": {"negative_weights": "differential"},
    "digital subtraction": {"negative_weights": "differential", "subtraction": "digital"},
    "one bit a cell": {"negative_weights": "offset", "bits_per_cell": 1},
    "two input bits": {"negative_weights": "offset", "bits_per_input_slice": 2, "adc_bits": 10},
    "unequal adcs": {"negative_weights": "offset", "adc_bits": (9, 8, 8, 10)},
}


def sliced(name: str, **changes: object) -> CoreDesign:
    """A design that converts every input slice, with few enough levels for 8 bits."""
    fields = {"max_rows": 12, "bits_per_cell": 2, "bits_per_input_slice": 1, "input_accumulation": "digital"}
    return CoreDesign(**({"name": name, "adc_range": "aligned"} | fields | SLICED[name] | changes))


@pytest.fixture
def nothing_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges hold all calibration currents, so that rounding is the only error of an ADC."""
    monkeypatch.setattr(calibration, "INNER_FRACTION", 1.0)


@given(
    st.lists(st.floats(0.0, 100.0), min_size=1, max_size=4),
    st.integers(1, 4),
    st.integers(2, 12),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_ranges_cover_their_needs_with_whole_codes_a_level(
    needs: list[float], cell_bits: int, adc_bits: int, signed: bool
) -> None:
    assume(max(needs) > 0.01)
    own = CoreDesign(
        negative_weights="offset",
        weight_bits=cell_bits * len(needs) if cell_bits * len(needs) > 1 else 2,
        bits_per_cell=cell_bits,
        input_accumulation="digital",
        adc_bits=adc_bits,
        adc_range="aligned",
    )
    needs = (needs * 2)[: own.slices]
    spacing = own.level_spacing(signed_inputs=signed)
    assert spacing == 1 / (2**cell_bits - 1)
    codes = codes_to_the_end(own, signed_inputs=signed)[0]
    assert codes == (2 ** (adc_bits - 1) - 1 if signed else 2**adc_bits - 1)
    reach = aligned_reach(needs, own, signed_inputs=signed)
    if reach is None:
        # One code a level does not reach the largest need.
        assert codes * spacing < max(needs)
        return
    for hi, need in zip(reach, needs, strict=True):
        per_level = codes * spacing / hi
        assert hi >= need * (1 - 2e-6)
        assert per_level == pytest.approx(round(per_level), rel=1e-12)
        assert math.log2(max(reach) / hi) == round(math.log2(max(reach) / hi))
    # One more code a level would leave the largest need out.
    assert codes * spacing / (codes * spacing / max(reach) + 1) < max(needs) * (1 + 2e-6)


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("name", SLICED)
@pytest.mark.usefixtures("nothing_clipped")
def test_ideal_cells_are_read_as_without_an_adc(name: str, signed: bool) -> None:
    data = [((x - 0.5 if signed else x).double(), label) for x, label in small_data()]
    outputs = {}
    for adc_range, bits in (("aligned", {}), ("calibrated", {}), ("calibrated", {"adc_bits": None})):
        model = calibrate(convert(small_network().double(), sliced(name, adc_range=adc_range, **bits)), data)
        with torch.inference_mode():
            outputs[adc_range, not bits] = model(data[0][0])
        if adc_range == "aligned":
            codes = [row["codes_per_level"] for row in calibration_report(model)]
            assert all(abs(count - round(count)) < 1e-6 and count > 0.99 for count in codes), codes
    exact = outputs["calibrated", False]
    scale = float(exact.abs().max())
    torch.testing.assert_close(outputs["aligned", True], exact, rtol=0, atol=1e-9 * scale)
    assert float((outputs["calibrated", True] - exact).abs().max()) > 1e-4 * scale


def test_too_few_codes_leave_the_calibrated_range() -> None:
    reports = [
        calibration_report(calibrate(convert(small_network(), design("A", adc_range=kind)), small_data()))
        for kind in ("aligned", "calibrated")
    ]
    assert reports[0] == reports[1]
    assert all(0 < row["codes_per_level"] < 1 for row in reports[0])


def test_inputs_without_levels_are_refused() -> None:
    with pytest.raises(DesignError, match=r"adc_range.*currents have no levels"):
        CoreDesign(adc_range="aligned", input_bits=None)
    bare = calibrate(convert(small_network(), design("A", input_bits=None, bits_per_input_slice=None)), small_data())
    assert all(row["codes_per_level"] is None and row["hi"] for row in calibration_report(bare))


@pytest.mark.usefixtures("nothing_clipped")
def test_idle_current_moves_the_levels_of_single_lines_alone() -> None:
    """A pair's idle currents cancel before its ADC; those of a single line add what is no whole number of levels."""
    cell = Cell(error=StateIndependent(0.0), i_max=1e-6, on_off_ratio=20.0)
    errors = {}
    for name in ("differential", "offset"):
        outputs = []
        for bits in ({}, {"adc_bits": None}):
            model = calibrate(convert(small_network(), sliced(name, **bits), cell), small_data())
            with torch.inference_mode():
                outputs.append(model(small_data()[0][0]))
        errors[name] = float((outputs[0] - outputs[1]).abs().max() / outputs[1].abs().max())
    assert errors["differential"] < 1e-5
    assert errors["offset"] > 1e-4


def lopsided() -> tuple[nn.Module, list[tuple[torch.Tensor, torch.Tensor]]]:
    """A layer whose classes hang on weights far below its largest, which most images do not use."""
    torch.manual_seed(5)
    layer = nn.Linear(72, 10, bias=False).eval()
    with torch.no_grad():
        layer.weight.copy_(0.03 * torch.randn(10, 72))
        layer.weight[:, 0] = 1.0
    x = torch.rand(400, 72)
    x[:, 0] = 0.0
    x[0, 0] = 1.0
    with torch.no_grad():
        return layer, [(x, layer(x).argmax(dim=1))]


def test_needless_rounding_is_said_and_aligned_ranges_end_it() -> None:
    layer, data = lopsided()
    found = {}
    for kind in ("calibrated", "aligned"):
        model = calibrate(convert(layer, design("E", adc_range=kind)), data)
        found[kind] = evaluate(model, data, trials=2)
        said = found[kind].remarks
        assert len(said) == (1 if kind == "calibrated" else 0)
        assert found[kind].to_dict()["remarks"] == list(said)
        assert ("see remarks" in repr(found[kind])) == bool(said)
        if said:
            lost = found[kind].baseline - found[kind].ideal
            assert f"design 'E' the accuracy is {100 * lost:.1f} points worse" in said[0]
            assert "In 1 of 1 analog layers" in said[0]
            assert "adc_range = 'aligned'" in said[0]
        # What is much of a user's own metric nobody knows.
        assert not evaluate(model, data, trials=1, metric=lambda out, labels: (out.argmax(1) == labels) * 1.0).remarks
    assert found["calibrated"].ideal < found["aligned"].ideal - 0.05


def test_it_costs_what_a_calibrated_range_costs() -> None:
    costs = [estimate_core(design("E", adc_range=kind)) for kind in ("aligned", "calibrated")]
    assert costs[0].energy_fj_per_op == costs[1].energy_fj_per_op
    assert costs[0].area_mm2 == costs[1].area_mm2


def test_assumed_line_currents_have_the_range() -> None:
    scales = {
        kind: assumed_line_currents(design("E", adc_range=kind), i_max=1.0).full_scale_a
        for kind in ("aligned", "calibrated")
    }
    codes = 255 / 3 / scales["aligned"]
    assert codes == pytest.approx(codes.round(), rel=1e-12)
    assert (scales["aligned"] >= scales["calibrated"] * (1 - 1e-6)).all()
