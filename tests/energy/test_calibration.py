"""Calibration: printed digits, priors, the prediction of a design it never saw, and the sampler against known truth."""

import numpy as np
import pytest

import circuits
import energy
from energy.calibration import totals
from energy.errors import EnergyError
from energy.library_files import save_fitted
from energy.posterior import Target, choose_pivots, sample
from energy.priors import Prior, load_priors
from energy.published import Printed, load_published

XIAO = circuits.load_designs("xiao2022")
LIBRARY = energy.load_library("sonos_40nm")


@pytest.fixture(scope="module")
def fit():
    return energy.calibrate(proposals=10_000)


def test_the_bundled_library_reproduces_every_printed_digit():
    for name, row in load_published().items():
        cost = energy.estimate_core(XIAO[name])
        for quantity, printed in row.items():
            assert printed.agrees(cost.value(quantity)), (name, quantity, cost.value(quantity))


def test_every_free_constant_lies_inside_its_prior():
    priors = load_priors(LIBRARY)
    assert len(priors) == 20
    assert sum(len(row) for row in load_published().values()) == 8
    free = {
        name
        for name, constant in LIBRARY.constants.items()
        if constant.kind == "fitted" and not name.startswith("discrepancy.")
    }
    assert free == set(priors)
    for name, prior in priors.items():
        assert prior.low <= LIBRARY.si[name] <= prior.high, name


def test_design_b_is_predicted_with_its_structural_error_and_was_never_fitted():
    assert "B" not in load_published()
    cost = energy.estimate_core(XIAO["B"])
    row = cost.row()
    for quantity, basis, times in (("energy_fj_per_op", "energy_basis", 2.0), ("area_mm2", "area_basis", 1.3)):
        low, high = cost.interval_of(quantity)
        assert cost.value(quantity) / times <= low < cost.value(quantity) < high <= times * cost.value(quantity)
        assert row[basis] == "predicted"
        draws = {name: LIBRARY.draws[name] for name in LIBRARY.draws}
        constants_alone = np.quantile(totals(LIBRARY, [XIAO["B"]], quantity)(draws)[:, 0], [0.025, 0.975])
        assert low < constants_alone[0] < constants_alone[1] < high, "wider than the constants make it"


def test_every_joint_draw_of_the_library_reproduces_the_printed_digits():
    for name, row in load_published().items():
        for quantity, printed in row.items():
            model = totals(LIBRARY, [XIAO[name]], quantity)
            values = model(LIBRARY.draws)[:, 0]
            slack = 1e-5 * printed.value  # the file's digits, and the interpolated mean conductance
            assert np.all(np.abs(values - printed.value) <= printed.half_digit + slack), (name, quantity)


def test_a_fresh_fit_returns_to_the_bundled_values(fit):
    assert fit.residuals["agrees"].all()
    assert fit.parameters["inside_prior"].all()
    assert (fit.free_values, fit.data_values) == (20, 8)
    for own in fit.fits.values():
        for name, value in own.best.items():
            assert value == pytest.approx(LIBRARY.si[name], rel=2e-3), name
    value, low, high = fit.prediction("B", "energy_fj_per_op")
    cost = energy.estimate_core(XIAO["B"])
    assert value == pytest.approx(cost.energy_fj_per_op, rel=1e-3)
    assert [low, high] == pytest.approx(list(cost.interval_of("energy_fj_per_op")), rel=0.1)


def test_what_the_table_says_of_each_constant(fit):
    left = fit.parameters.set_index("constant")["width_left"]
    assert left["comparator.convert.energy"] < 0.4, "131 072 conversions of design E"
    assert left["integrator.integrate.energy"] < 0.4, "1792 more columns in C than in A"
    assert left["digital.bit_operation"] > 0.9, "the table alone does not know"
    correlations = fit.fits["energy_fj_per_op"].correlations
    assert correlations.loc["gain.amplify.energy", "ramp.run.energy"] < -0.5, "both work once a conversion"
    assert np.allclose(np.diag(correlations), 1)


@pytest.fixture(scope="module")
def left_out():
    return energy.leave_one_out(left_out=("A", "C", "D", "E"), proposals=20_000)


def test_designs_left_out_are_predicted_inside_their_intervals(left_out):
    assert left_out["inside"].all()
    assert (left_out["relative_error"].abs() < 0.2).all()


def test_the_structural_error_is_that_of_designs_left_out(left_out):
    scales = {total: LIBRARY.si[f"discrepancy.{total}_scale"] for total in ("energy", "area")}
    assert energy.structural_scales(left_out, scales) == pytest.approx(scales, rel=0.05)


def test_a_structural_error_from_the_other_designs_covers_the_one_left_out(left_out):
    """The scale that covers a design never saw it: of the eight errors, each against the scale of the other three."""
    scales = {total: LIBRARY.si[f"discrepancy.{total}_scale"] for total in ("energy", "area")}
    covered = []
    for total, scale in scales.items():
        rows = left_out[left_out["quantity"].str.startswith(total)]
        for design in rows["design"]:
            own = rows[rows["design"] == design].iloc[0]
            others = energy.structural_scales(rows[rows["design"] != design], {total: scale})[total]
            # Student's t of three, with the width that the constants leave: of the interval less the structural part.
            structural = 3.182 * others * own["spread"] / scale
            whole = 0.5 * np.log(own["high"] / own["low"])
            constants_alone = np.sqrt(max(whole**2 - (2.776 * own["spread"]) ** 2, 0))
            covered.append(abs(np.log1p(own["relative_error"])) <= np.hypot(structural, constants_alone))
    assert len(covered) == 8
    assert sum(covered) >= 7, "95 % of eight"


def test_an_estimate_is_less_certain_the_farther_it_is_from_a_calibrated_design():
    widths = []
    for rows in (1152, 1024, 768, 512):
        cost = energy.estimate_core(XIAO["A"].replace(matrix_rows=rows, max_rows=rows))
        low, high = cost.interval_of("energy_fj_per_op")
        widths.append(high / low - 1)
        assert (cost.row()["energy_basis"] == "calibrated") == (rows == 1152)
    assert widths[0] == pytest.approx(0.1 / 8.4, rel=0.1), "the printed digits"
    assert np.all(np.diff(widths) > 0)
    assert 0.05 < widths[1] < 0.3, "a neighbour of 1024 rows"
    assert energy.estimate_core(XIAO["A"], adc="sar").row()["energy_basis"] == "predicted"
    far = energy.estimate_core(XIAO["A"].replace(matrix_rows=2, max_rows=2)).value("energy_spread")
    assert far == pytest.approx(LIBRARY.si["discrepancy.energy_scale"], rel=1e-3)
    changed = LIBRARY.with_values({"comparator.convert.energy": 1e-12}, source="test")
    assert energy.estimate_core(XIAO["A"], library=changed).row()["energy_basis"] == "predicted"


def test_what_the_publication_says_of_where_energy_goes():
    """Xiao et al., CAS Magazine 2022: integrators lead in A, ADCs in D and E; analog accumulation saves 2 to 4x."""
    shares = {}
    for name, design in XIAO.items():
        share = energy.estimate_core(design).breakdown.set_index("component")["energy_share"]
        shares[name] = share.drop(["comparator", "ramp"]).to_dict() | {"adc": share["comparator"] + share["ramp"]}
    assert max(shares["A"], key=shares["A"].get) == "integrator"
    assert max(shares["D"], key=shares["D"].get) == "adc"
    assert max(shares["E"], key=shares["E"].get) == "adc"
    for rows in (1152, 144):
        analog, digital = (
            energy.estimate_core(XIAO["A"].replace(max_rows=rows, input_accumulation=how)).energy_fj_per_op
            for how in ("analog", "digital")
        )
        assert 2 <= digital / analog <= 4, rows


@pytest.mark.parametrize("name", ["A", "D", "E"])
def test_energy_falls_with_rows_and_with_bits_of_a_cell(name):
    rows = [energy.estimate_core(XIAO[name].replace(max_rows=n)).energy_fj_per_op for n in (72, 144, 288, 576, 1152)]
    assert np.all(np.diff(rows) < 0)
    bits = [energy.estimate_core(XIAO[name].replace(bits_per_cell=n)).energy_fj_per_op for n in (1, 2, 4, 7)]
    assert np.all(np.diff(bits) < 0)


def test_structures_are_compared_by_how_well_they_foresee_the_table():
    table = energy.compare_structures(alternatives=((), ("gain_everywhere",)), proposals=10_000).set_index("structure")
    assert table.loc["as in the library", "digits_agree"]
    assert table.loc["as in the library", "probability"] > 0.99
    assert table["probability"].sum() == pytest.approx(1)
    with pytest.raises(EnergyError, match=r"Unknown structure 'gain'"):
        energy.calibrate(structure=("gain",))


def test_a_saved_calibration_is_the_library(fit, tmp_path):
    fit.save(tmp_path)
    again = energy.load_library(write_base(tmp_path))
    for name, value in fit.library.si.items():
        assert again.si[name] == pytest.approx(value, rel=1e-6), name
    assert again.draws.keys() == fit.library.draws.keys()
    assert energy.estimate_core(XIAO["E"], library=again).interval_of("energy_fj_per_op") == pytest.approx(
        energy.estimate_core(XIAO["E"], library=fit.library).interval_of("energy_fj_per_op"), rel=1e-5
    )


def write_base(folder):
    return save_fitted(energy.load_library(folder / "sonos_40nm.toml"), folder)


def test_the_sampler_finds_a_posterior_known_in_closed_form():
    """Two log-normals whose product is not needed: their sum is printed, so a ratio's posterior is one integral."""
    priors = {"a.energy": Prior(0.5, 2.0, "test"), "b.energy": Prior(1.0, 9.0, "test")}

    def model(constants):
        return (constants["a.energy"] + constants["b.energy"])[:, None]

    target = Target(5.0, 0.01)
    posterior = sample(model, priors, [target], list(priors), count=20_000, proposals=200_000, seed=3)
    total = posterior.draws["a.energy"] + posterior.draws["b.energy"]
    assert np.all(np.abs(total - 5) <= 0.01)
    # Along a + b = 5 the density of a is p_a(a) p_b(5 - a); the rounding is narrow.
    grid = np.linspace(1e-3, 5 - 1e-3, 20_001)
    density = np.exp(priors["a.energy"].log_density(grid) + priors["b.energy"].log_density(5 - grid))
    step = grid[1] - grid[0]
    cumulative = np.cumsum(density) / density.sum()
    expected = np.interp([0.025, 0.25, 0.5, 0.75, 0.975], cumulative, grid)
    assert np.quantile(posterior.draws["a.energy"], [0.025, 0.25, 0.5, 0.75, 0.975]) == pytest.approx(
        expected, rel=0.02
    )
    assert posterior.evidence == pytest.approx(np.log(density.sum() * step * 0.02), abs=0.02)


def test_pivots_are_what_the_totals_know_best():
    priors = {name: Prior(0.5, 2.0, "test") for name in ("a", "b", "c")}

    def model(constants):
        return np.stack(
            [10 * constants["a"] + 0.1 * constants["b"] + constants["c"], 0.1 * constants["b"] + 5 * constants["c"]], -1
        )

    assert set(choose_pivots(model, priors, ["a", "b", "c"], 2)) == {"a", "c"}
    with pytest.raises(EnergyError, match="2 totals cannot be solved"):
        choose_pivots(model, priors, ["b"], 2)


def test_priors_that_contradict_the_table_are_refused():
    priors = dict(load_priors(LIBRARY))
    priors["comparator.convert.energy"] = Prior(1e-15, 2e-15, "impossibly cheap")
    priors["integrator.integrate.energy"] = Prior(1e-15, 2e-15, "impossibly cheap")
    with pytest.raises(EnergyError, match="The priors hardly allow the published totals"):
        energy.calibrate(priors=priors, proposals=4000)


def test_printed_numbers_know_their_precision(tmp_path):
    assert Printed("902.0").half_digit == pytest.approx(0.05)
    assert Printed("0.24").half_digit == pytest.approx(0.005)
    assert Printed("1.3").agrees(1.349)
    assert not Printed("1.3").agrees(1.351)
    assert Printed("40").half_digit == 0.5
    bad = tmp_path / "bad.csv"
    for text, message in (
        ("design,energy_fj_per_op\nA,1\n", "missing column area_mm2"),
        ("# remark\ndesign,energy_fj_per_op,area_mm2\nA,1,1\nB,x,1\n", r"bad.csv:4: expected energy_fj_per_op .* 'x'"),
        ("design,energy_fj_per_op,area_mm2\nA,1,-1\n", r"bad.csv:2: expected area_mm2"),
    ):
        bad.write_text(text)
        with pytest.raises(EnergyError, match=message):
            load_published(bad)
    with pytest.raises(EnergyError, match="No file of published costs"):
        load_published("none.csv")
    with pytest.raises(EnergyError, match="Design 'B' is not in the published table: A, C, D, E"):
        energy.calibrate(left_out=("B",))
    bad.write_text("design,energy_fj_per_op,area_mm2\nZ,1,1\n")
    with pytest.raises(EnergyError, match="has design 'Z', which is not among A, B, C, D, E"):
        energy.calibrate(published=bad)
