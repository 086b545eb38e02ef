"""Aligned ranges: a code on every level of the current, so that ideal cells are read as without an ADC."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from typer.testing import CliRunner

from accuracy import (
    calibrate,
    calibration_report,
    convert,
    evaluate,
)
from accuracy.calibration import calibrate as calibration
from accuracy.evaluation import range_remarks
from circuits import CoreDesign, assumed_line_currents, network_cores
from circuits.adc_ranges import aligned_reach, codes_to_the_end, is_whole
from circuits.weight_statistics import network_statistics
from devicekit import Cell, StateIndependent
from devicekit.common.errors import DesignError
from energy import estimate_core, estimate_designs
from reports.command import build_app
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


def doubles() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The small data in double precision."""
    return [(x.double(), label) for x, label in small_data()]


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
    reach = aligned_reach(needs, own, 1152, signed_inputs=signed)
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
@pytest.mark.parametrize("name", ["differential", "digital subtraction", "unit column", "offset", "two's complement"])
def test_idle_current_cancels_in_pairs_and_unit_columns_and_undoes_alignment_elsewhere(name: str) -> None:
    cell = Cell(error=StateIndependent(0.0), i_max=1e-6, on_off_ratio=20.0)
    outputs = []
    for bits in ({}, {"adc_bits": None}):
        model = calibrate(convert(small_network().double(), sliced(name, **bits), cell), doubles())
        with torch.inference_mode():
            outputs.append(model(doubles()[0][0]))
        if not bits:
            codes = [row["codes_per_level"] for row in calibration_report(model)]
            found = evaluate(model, doubles(), trials=1)
    if name in ("offset", "two's complement"):
        plain = calibrate(convert(small_network().double(), sliced(name, adc_range="calibrated"), cell), doubles())
        assert codes == [row["codes_per_level"] for row in calibration_report(plain)]
        assert "in 3 of 3 analog layers" in found.remarks[-1]
        assert "idle cells move the levels" in found.remarks[-1]
        return
    assert all(map(is_whole, codes))
    assert found.remarks == ()
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-9 * float(outputs[1].abs().max()))


def test_a_slice_with_too_few_codes_leaves_its_layer_calibrated_and_the_result_says_so() -> None:
    reports = []
    for kind in ("aligned", "calibrated"):
        model = calibrate(
            convert(small_network(), sliced("offset", adc_range=kind, adc_bits=(3, 8, 8, 8))), small_data()
        )
        reports.append(calibration_report(model))
        said = [text for text in evaluate(model, small_data(), trials=1).remarks if "fewer codes" in text]
        assert len(said) == (1 if kind == "aligned" else 0)
    large = [row["layer"] for row in reports[1] if row["codes_per_level"] < 1]
    assert large
    assert [row for row in reports[0] if row["layer"] in large] == [row for row in reports[1] if row["layer"] in large]


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


def test_needless_rounding_is_said_with_what_aligned_ranges_give(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, data = lopsided()
    models = {kind: calibrate(convert(layer, design("E", adc_range=kind)), data) for kind in ("calibrated", "aligned")}
    found = {kind: evaluate(model, data, trials=2) for kind, model in models.items()}
    ideal = {kind: f"{100 * one.ideal:.1f} %" for kind, one in found.items()}
    assert found["calibrated"].ideal < found["aligned"].ideal - 0.05
    assert found["aligned"].remarks == ()
    assert found["calibrated"].remarks == (
        f"With ideal cells the accuracy is {ideal['calibrated']}, that of the float network 100.0 %: in 1 of 1 analog "
        "layers (design 'E') ADCs have a code for every level of the current, but calibrated ranges put codes between "
        f"the levels. With adc_range = 'aligned' there it is {ideal['aligned']}.",
    )
    assert found["calibrated"].to_dict()["remarks"] == list(found["calibrated"].remarks)
    assert "see remarks" in repr(found["calibrated"])
    assert "see remarks" not in repr(found["aligned"])
    # The pass behind it changes nothing else.
    monkeypatch.setattr(range_remarks, "NOTED", 10.0)
    again = evaluate(models["calibrated"], data, trials=2)
    assert again.remarks == ()
    assert (again.scores == found["calibrated"].scores).all()


def test_a_loss_that_aligned_ranges_leave_is_not_put_down_to_them() -> None:
    layer, data = lopsided()
    model = calibrate(convert(layer, design("E", weight_bits=2, adc_bits=16)), data)
    found = evaluate(model, data, trials=1)
    assert found.quantisation_loss > 0.3
    assert found.remarks == ()


def test_a_perfect_float_network_is_no_division_by_zero() -> None:
    """A cross-entropy of 0, of which every other is infinitely many percent."""
    layer, data = lopsided()
    with torch.no_grad():
        layer.weight.mul_(1e7)
    model = calibrate(convert(layer, design("E")), data)
    found = evaluate(model, data, trials=1, metric="cross_entropy")
    assert found.baseline == 0.0
    assert found.ideal > 0.0
    assert "the cross-entropy is" in found.remarks[0]
    assert "that of the float network 0 nat" in found.remarks[0]


def test_a_remark_names_the_design_that_rounds() -> None:
    torch.manual_seed(5)
    head, data = lopsided()
    network = nn.Sequential(nn.Linear(72, 72, bias=False), nn.ReLU(), head).eval()
    with torch.no_grad():
        network[0].weight.copy_(torch.eye(72))
    core = network_cores(design("A"), {"2": "E"})
    found = evaluate(calibrate(convert(network, core), data), data, trials=1)
    assert "in 1 of 2 analog layers (design 'E')" in found.remarks[0]


def test_commands_and_pages_have_remarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text('[cores.few]\ndesign = "E"\nadc_bits = 6\n')
    few = ["--images", "100", "--trials", "2"]
    runner, app = CliRunner(), build_app()
    said = runner.invoke(app, ["accuracy", "mine.toml:few", *few, "--layers"])
    assert said.exit_code == 0, said.output
    words = " ".join(said.output.split())
    assert "With ideal cells the accuracy is" in words
    assert "Codes a level" in words
    said = runner.invoke(
        app,
        ["sweep", "mine.toml:few", "--vary", "adc_range=calibrated,aligned", *few, "--workers", "1", "--out", "swept"],
    )
    assert said.exit_code == 0, said.output
    for text in (" ".join(said.output.split()), " ".join(Path("swept/index.html").read_text().split())):
        assert "With ideal cells the accuracy is" in text
        assert "in 1 of 4 analog layers an ADC has fewer codes" in text


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
    silent = dataclasses.replace(network_statistics(), bit_activity=0.0)
    assert (
        assumed_line_currents(design("E", adc_range="aligned"), i_max=1.0, statistics=silent).full_scale_a == 0
    ).all()


def test_energy_of_many_designs_refuses_what_a_design_refuses() -> None:
    with pytest.raises(DesignError, match="currents have no levels"):
        estimate_designs(pd.DataFrame({"input_bits": [None], "adc_range": ["aligned"]}))


@pytest.mark.parametrize("bits", [8, 24])
def test_ranges_are_never_narrower_than_their_needs(bits: int) -> None:
    own = design("E", adc_range="aligned", adc_bits=bits)
    for need in np.random.default_rng(0).uniform(1.0, 72.0, 200):
        assert aligned_reach([need] * 4, own, 72)[0] >= need * (1 - 1e-9 if bits == 24 else 1 - 1e-3 * 3 / 255)
