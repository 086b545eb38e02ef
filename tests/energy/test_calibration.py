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
    assert len(priors) == 21
    assert sum(len(row) for row in load_published().values()) == 8
    free = {name for name, constant in LIBRARY.constants.items() if constant.kind == "fitted"}
    assert free == set(priors)
    for name, prior in priors.items():
        assert prior.low <= LIBRARY.si[name] <= prior.high, name


def test_design_b_is_predicted_within_twenty_percent_and_was_never_fitted():
    assert "B" not in load_published()
    cost = energy.estimate_core(XIAO["B"])
    for quantity in ("energy_fj_per_op", "area_mm2"):
        low, high = cost.interval_of(quantity)
        assert 0.8 * cost.value(quantity) <= low < cost.value(quantity) < high <= 1.2 * cost.value(quantity)


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
    assert (fit.free_values, fit.data_values) == (21, 8)
    for own in fit.fits.values():
        for name, value in own.best.items():
            assert value == pytest.approx(LIBRARY.si[name], rel=2e-3), name
    value, low, high = fit.prediction("B", "energy_fj_per_op")
    cost = energy.estimate_core(XIAO["B"])
    assert value == pytest.approx(cost.energy_fj_per_op, rel=1e-3)
    assert [low, high] == pytest.approx(list(cost.interval_of("energy_fj_per_op")), rel=0.03)


def test_what_the_table_says_of_each_constant(fit):
    left = fit.parameters.set_index("constant")["width_left"]
    assert left["comparator.convert.energy"] < 0.4, "131 072 conversions of design E"
    assert left["integrator.integrate.energy"] < 0.4, "1792 more columns in C than in A"
    assert left["digital.bit_operation"] > 0.9, "the table alone does not know"
    correlations = fit.fits["energy_fj_per_op"].correlations
    assert correlations.loc["row_driver.toggle.energy", "row_driver.register.energy"] < -0.3
    assert np.allclose(np.diag(correlations), 1)


def test_designs_left_out_are_predicted_inside_their_intervals():
    table = energy.leave_one_out(left_out=("C", "D"), proposals=10_000)
    assert table["inside"].all()
    assert (table["relative_error"].abs() < 0.15).all()


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
