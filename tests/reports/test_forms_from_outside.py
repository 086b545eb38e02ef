"""A form of signed weights that the package does not know, taken through every room under its name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from accuracy import AnalogMatrix, calibrate, convert
from accuracy.mapping.weights import map_weights
from circuits import CoreDesign, WeightCode, load_design, register_weight_code, weight_code, weight_codes
from energy import estimate_core, estimate_designs
from energy.statistics import mean_digits
from reports.command import build_app
from reports.evaluation_key import code_fingerprint
from reports.run import compute
from reports.study import Study
from tests.accuracy.small_networks import small_data, small_network
from tests.circuits.weight_forms import OUTSIDE
from tests.energy.printed import EVERYTHING, check_number, recompute


@pytest.fixture(params=OUTSIDE, ids=lambda form: form.name)
def form(request: pytest.FixtureRequest, own_registry: None) -> type[WeightCode]:
    return register_weight_code(request.param)


def designs(form: type[WeightCode]) -> list[CoreDesign]:
    """The form on narrow and wide cells, on several arrays, with every variant that suits it."""
    widths = sorted({1, form.magnitude_bits(8) // 2 or 1, form.magnitude_bits(8)})
    variants = [{"flipped_encoding": True}] if form.lines == 1 else [{"subtraction": "digital"}]
    return [
        CoreDesign(negative_weights=form.name, bits_per_cell=bits, max_rows=rows, **other)
        for bits in widths
        for rows in (1152, 13)
        for other in ({}, *variants)
    ]


def test_a_matrix_multiplies_exactly(form: type[WeightCode]) -> None:
    """Weights and inputs on their grids, ideal cells, no converter: the product is x @ weight."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 128, size=(40, 6)) / 127.0
    weight[0] = 1.0
    for design in designs(form):
        assert np.array_equal(map_weights(weight, design).integers(), np.rint(127 * weight))
        for signed, steps in ((False, 255), (True, 127)):
            x = rng.integers(-steps if signed else 0, steps + 1, size=(5, 40)) / steps
            found = AnalogMatrix(weight, design).matmul(torch.from_numpy(x), signed=signed).numpy()
            np.testing.assert_allclose(found, x @ weight, rtol=1e-12, atol=1e-12, err_msg=str(design))


def test_conversion_of_enough_bits_loses_nothing(form: type[WeightCode]) -> None:
    rng = np.random.default_rng(1)
    weight = rng.integers(-7, 8, size=(30, 4)) / 7.0
    weight[0] = 1.0
    x = rng.integers(0, 16, size=(6, 30)) / 15
    for design in designs(form):
        bits = min(design.cell_bits, form.magnitude_bits(4))
        small = design.replace(weight_bits=4, bits_per_cell=bits, input_bits=4, adc_bits=None, matrix_rows=30)
        exact = small.replace(adc_bits=int(small.full_precision_bits))
        found = AnalogMatrix(weight, exact, adc_range="full").matmul(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(found, x @ weight, rtol=1e-11, atol=1e-11, err_msg=str(exact))


def test_a_network_computes_what_it_does_in_any_other_form(form: type[WeightCode]) -> None:
    """The integers of the weights are the same, so are the outputs of ideal cells without converters."""
    x = small_data()[0][0].double()

    def outputs(design: CoreDesign) -> np.ndarray:
        model = calibrate(convert(small_network(), design), small_data(seed=2)).double()
        with torch.no_grad():
            return np.asarray(model(x))

    expected = outputs(load_design("A").replace(adc_bits=None))
    for design in designs(form):
        found = outputs(design.replace(adc_bits=None))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=str(design))


def test_costs_count_its_cells_and_a_sweep_agrees(form: type[WeightCode]) -> None:
    found = designs(form)
    rows = [design.to_mapping() | {"negative_weights": form.name} for design in found]
    table = estimate_designs(pd.DataFrame(rows))
    for index, design in enumerate(found):
        cost = estimate_core(design)
        code = design.weight_code
        assert cost.counts["slices"] == code.slices
        assert cost.counts["cells"] == code.lines * code.slices * 1152 * 256
        assert cost.counts["conversions"] == design.conversions_per_mvm
        for name in table.columns:
            assert table[name].iloc[index] == pytest.approx(cost.value(name), rel=1e-13), name
    cost = estimate_core(found[0], seed=3)
    for name in ("energy_fj_per_op", "energy_fj_per_op_high", "area_mm2", "slices"):
        check_number(cost.explain(name), name, cost.explain(name).value)
    assert "mean_state" in recompute(cost.explain("energy_fj_per_op").text(EVERYTHING))


def test_results_of_a_form_that_has_changed_are_not_taken_for_its_own(form: type[WeightCode]) -> None:
    """Kept results go by what a form does: its source lies where no hash over the package sees it."""

    class Mirrored(form):  # type: ignore[misc, valid-type]
        """Stores the other sign."""

        def digits(self, integers: np.ndarray) -> np.ndarray:
            return super().digits(-integers)

    assert code_fingerprint(form(8, 1)) == code_fingerprint(form(8, 1)) != code_fingerprint(Mirrored(8, 1))
    assert code_fingerprint(form(8, 1)) != code_fingerprint(form(7, 1))


@pytest.mark.parametrize("name", [*weight_codes(), *(form.name for form in OUTSIDE)])
def test_energy_takes_cells_to_conduct_what_accuracy_programs(name: str, own_registry: None) -> None:
    """All weights equally likely, which is the flattest distribution of the default statistics."""
    for outside in OUTSIDE:
        register_weight_code(outside)
    for bits in range(1, weight_code(name).magnitude_bits(6) + 1):
        design = CoreDesign(negative_weights=name, weight_bits=6, bits_per_cell=bits)
        weights = np.arange(-31, 32) / 31
        column = np.abs(weights) if design.weight_code.one_sign else weights
        programmed = np.asarray(AnalogMatrix(column[:, None], design).conductances).mean(axis=(1, 2, 3))
        assert mean_digits(design.weight_code, 1.0) == pytest.approx(programmed, rel=1e-12), design


def test_the_command_and_a_study_take_it_from_a_file(form: type[WeightCode], tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'[designs.mine]\nnegative_weights = "{form.name}"\nmax_rows = 72\n')
    done = CliRunner().invoke(build_app("energy"), ["energy", f"{file}:mine", "--json"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["designs"]
    design = load_design(f"{file}:mine")
    assert row["energy_fj_per_op"] == pytest.approx(estimate_core(design).energy_fj_per_op)
    study = Study(designs=(f"{file}:mine",), trials=2, images=20, calibration_images=20, device="sonos_40nm_iedm2022")
    result = compute(study, tmp_path / "out")
    (found,) = result.designs
    assert found["fields"]["negative_weights"] == form.name
    assert found["slices"] == design.slices
    assert 0.5 < found["accuracy"]["mean"] <= 1
