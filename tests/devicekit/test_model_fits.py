"""Likelihood fits: closed forms, an independent optimiser, honest errors, the right model chosen."""

import numpy as np
import pytest
from scipy import optimize, stats

import devicekit
from devicekit.cells.error_models import SaturatingExponential
from devicekit.cells.error_registry import fitted_forms
from devicekit.common.errors import DeviceError
from devicekit.fits.bootstrap import bootstrap_parameters
from devicekit.fits.model_choice import compare_models, fit_candidates
from devicekit.fits.model_fits import ModelFit, deviance_residuals, fit_model
from devicekit.statistics.state_statistics import sort_states

I_MAX = 1.6e-6
TARGETS = np.linspace(1 / 24, 1, 24) * I_MAX
DOF = np.full(24, 63.0)


def spreads(law: devicekit.ErrorModel, seed: int, dof: np.ndarray = DOF) -> np.ndarray:
    """Return sample standard deviations of normal cells: s^2 is chi-square."""
    return law.sigma(TARGETS, I_MAX) * np.sqrt(np.random.default_rng(seed).chisquare(dof) / dof)


def log_likelihood(law: devicekit.ErrorModel, s: np.ndarray, dof: np.ndarray = DOF) -> float:
    """Return the log-likelihood of s^2 from scipy's own chi-square density."""
    sigma = law.sigma(TARGETS, I_MAX)
    return float(np.sum(stats.chi2.logpdf(dof * s**2 / sigma**2, dof) + np.log(dof / sigma**2)))


def test_one_parameter_laws_have_closed_forms() -> None:
    rng = np.random.default_rng(0)
    dof = rng.integers(5, 90, 24).astype(float)
    s = spreads(devicekit.StateIndependent(0.05), 1, dof)
    alpha = 2 * np.sqrt(np.sum(dof * s**2) / dof.sum()) / I_MAX
    fit = fit_model("state_independent", TARGETS, s, dof, I_MAX)
    assert fit.parameters["alpha"].value == pytest.approx(alpha, rel=1e-7)
    assert fit.parameters["alpha"].stderr == pytest.approx(alpha / np.sqrt(2 * dof.sum()), rel=1e-6)
    alpha = np.sqrt(np.sum(dof * s**2 / TARGETS**2) / dof.sum())
    fit = fit_model("state_proportional", TARGETS, s, dof, I_MAX)
    assert fit.parameters["alpha"].value == pytest.approx(alpha, rel=1e-4)


def test_deviance_is_twice_the_log_likelihood_against_the_saturated_model() -> None:
    s = spreads(SaturatingExponential(40e-9, 400e-9), 2)
    fit = fit_model("saturating_exponential", TARGETS, s, DOF, I_MAX)
    saturated = devicekit.Table(tuple(TARGETS), tuple(s))
    assert fit.deviance == pytest.approx(2 * (log_likelihood(saturated, s) - log_likelihood(fit.model, s)), rel=1e-9)
    assert fit_model("table", TARGETS, s, DOF, I_MAX).deviance == 0.0


@pytest.mark.parametrize("name", ["saturating_exponential", "power_law", "floored_exponential", "polynomial"])
def test_fits_reach_the_maximum_that_an_independent_search_finds(name: str) -> None:
    s = spreads(SaturatingExponential(40e-9, 400e-9, floor=4e-9), 3)
    fit = fit_model(name, TARGETS, s, DOF, I_MAX)
    names, start = list(fit.model.values()), np.array(list(fit.model.values().values()))

    def loss(factors: np.ndarray) -> float:
        law = fit.model.with_values(dict(zip(names, start * np.abs(factors), strict=True)))
        return -log_likelihood(law, s)

    found = optimize.minimize(
        loss, np.full(len(start), 1.05), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9, "maxiter": 4000}
    )
    assert loss(np.ones(len(start))) <= found.fun + 1e-5


@pytest.mark.parametrize("name", list(fitted_forms()))
def test_every_model_fits_data_of_its_own_and_knows_its_errors(name: str) -> None:
    law = fitted_forms()[name].guess(TARGETS, SaturatingExponential(40e-9, 300e-9, 5e-9).sigma(TARGETS, I_MAX), I_MAX)
    pulls = []
    for seed in range(20):
        fit = fit_model(name, TARGETS, spreads(law, seed), DOF, I_MAX)
        at = TARGETS[[2, 12, 22]]
        pulls.append((fit.model.sigma(at, I_MAX) - law.sigma(at, I_MAX)) / fit.sigma_stderr(at))
        assert fit.goodness > 1e-5 or name == "table"
    assert 0.7 < np.std(pulls) < 1.35
    assert abs(np.mean(pulls)) < 0.75


def test_weights_do_not_bias_the_plateau() -> None:
    # Weighting by each sample's own spread would pull s_max low by about one standard error of 24 states.
    truth = SaturatingExponential(40e-9, 200e-9)
    pulls = []
    for seed in range(100):
        fit = fit_model("saturating_exponential", TARGETS, spreads(truth, seed), DOF, I_MAX)
        parameter = fit.parameters["s_max"]
        pulls.append((parameter.value - 40e-9) / parameter.stderr)
    assert abs(np.mean(pulls)) < 0.25


def test_units_of_current_do_not_matter() -> None:
    s = spreads(SaturatingExponential(40e-9, 400e-9), 5)
    plain = fit_model("saturating_exponential", TARGETS, s, DOF, I_MAX)
    scaled = fit_model("saturating_exponential", TARGETS * 1e3, s * 1e3, DOF, I_MAX * 1e3)
    assert scaled.parameters["i_sat"].value == pytest.approx(1e3 * plain.parameters["i_sat"].value, rel=1e-6)
    assert scaled.parameters["i_sat"].stderr == pytest.approx(1e3 * plain.parameters["i_sat"].stderr, rel=1e-4)
    assert scaled.bic == pytest.approx(plain.bic, rel=1e-9)


def test_bootstrap_agrees_with_the_covariance_for_normal_cells() -> None:
    law = SaturatingExponential(40e-9, 300e-9)
    target = np.repeat(TARGETS, 64)
    cells = sort_states(target, np.random.default_rng(0).normal(target, law.sigma(target, I_MAX)))
    s = np.array([cells.of(state).std(ddof=1) for state in range(24)])
    fit = fit_model("saturating_exponential", TARGETS, s, DOF, I_MAX)
    for sample in (cells, None):
        draws = bootstrap_parameters("saturating_exponential", TARGETS, s, DOF, I_MAX, 80, 7, sample)
        for name, parameter in fit.parameters.items():
            assert draws[name].std() == pytest.approx(parameter.stderr, rel=0.3)
            assert draws[name].mean() == pytest.approx(parameter.value, abs=0.35 * parameter.stderr)
    with pytest.raises(DeviceError, match="at least 2 replicates, but got 1"):
        bootstrap_parameters("power_law", TARGETS, s, DOF, I_MAX, 1, 0)


def choose(i_sat: float, seed: int) -> tuple[dict[str, ModelFit], str, float]:
    """Return the fits to 24 x 64 cells, the chosen model, and how far the true model is from the best by BIC."""
    truth = SaturatingExponential(0.025 * I_MAX, i_sat * I_MAX)
    target = np.repeat(TARGETS, 64)
    cells = np.random.default_rng(seed).normal(target, truth.sigma(target, I_MAX)).reshape(24, 64)
    fits = fit_candidates(TARGETS, cells.std(axis=1, ddof=1), DOF, I_MAX)
    table = compare_models(fits)
    return fits, str(table.index[0]), float(table.loc["saturating_exponential", "delta_bic"])


def check_choice(i_sat: float, seeds: range, right: float, pull: float, spread: tuple[float, float]) -> None:
    chosen, near, pulls = [], [], []
    for seed in seeds:
        fits, best, delta = choose(i_sat, seed)
        chosen.append(best == "saturating_exponential")
        near.append(delta < 6)
        parameters = fits["saturating_exponential"].parameters
        truth = {"s_max": 0.025 * I_MAX, "i_sat": i_sat * I_MAX}
        pulls.append([(parameters[name].value - value) / parameters[name].stderr for name, value in truth.items()])
    if i_sat <= 1 / 3:
        assert np.mean(chosen) >= right, (i_sat, np.mean(chosen))
    assert np.mean(near) >= 0.95, (i_sat, np.mean(near))
    assert np.all(np.abs(np.mean(pulls, axis=0)) < pull), (i_sat, np.mean(pulls, axis=0))
    width = np.std(pulls, axis=0)
    assert np.all((width > spread[0]) & (width < spread[1])), (i_sat, width)


@pytest.mark.parametrize("i_sat", [0.1, 1 / 3])
def test_the_right_model_is_chosen_and_pulls_are_standard(i_sat: float) -> None:
    check_choice(i_sat, range(14), right=0.85, pull=0.85, spread=(0.5, 1.7))


@pytest.mark.slow
@pytest.mark.parametrize("i_sat", [0.1, 0.2, 1 / 3, 0.5, 0.7, 1.0])
def test_the_right_model_is_chosen_and_pulls_are_standard_over_200_seeds(i_sat: float) -> None:
    check_choice(i_sat, range(200), right=0.85, pull=0.2, spread=(0.85, 1.15))


def test_comparison_says_what_the_data_cannot_tell_apart() -> None:
    law = devicekit.PowerLaw(40e-9, 0.55)
    targets = TARGETS[12:]
    dof = np.full(12, 9.0)
    s = law.sigma(targets, I_MAX) * np.sqrt(np.random.default_rng(1).chisquare(dof) / dof)
    table = compare_models(fit_candidates(targets, s, dof, I_MAX))
    assert (table["verdict"] == "chosen").sum() == 1
    close = table[table["verdict"] == "cannot tell apart"]
    assert len(close) >= 1
    assert (close["delta_bic"] <= 2).all()
    assert (table[table["verdict"] == "worse"]["delta_bic"] > 2).all()
    assert table["delta_bic"].is_monotonic_increasing
    assert table["weight"].sum() == pytest.approx(1.0)


def test_aicc_and_bic_are_what_they_are_called() -> None:
    s = spreads(SaturatingExponential(40e-9, 300e-9), 0)
    fit = fit_model("saturating_exponential", TARGETS, s, DOF, I_MAX)
    cells = 24 * 63
    assert fit.bic == pytest.approx(fit.deviance + 2 * np.log(cells))
    assert fit.aicc == pytest.approx(fit.deviance + 4 + 12 / (cells - 3))
    table = compare_models({"saturating_exponential": fit}, "aicc")
    assert table["weight"].iloc[0] == 1.0


def test_bad_requests_are_refused_with_names() -> None:
    s = spreads(SaturatingExponential(40e-9, 300e-9), 0)
    with pytest.raises(DeviceError, match=r"Unknown error model 'saturating'. Did you mean 'saturating_exponential'"):
        fit_model("saturating", TARGETS, s, DOF, I_MAX)
    with pytest.raises(DeviceError, match="floored_exponential has 3 parameters, but there are 2 states"):
        fit_model("floored_exponential", TARGETS[:2], s[:2], DOF[:2], I_MAX)
    with pytest.raises(DeviceError, match="Unknown error model 'cubic'"):
        fit_candidates(TARGETS, s, DOF, I_MAX, ["cubic"])
    with pytest.raises(DeviceError, match="Unknown criterion 'hqic'"):
        compare_models({}, "hqic")  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="a spread above 0"):
        fit_model("power_law", TARGETS, np.zeros(24), DOF, I_MAX)


def test_deviance_residuals_keep_their_digits_near_and_far() -> None:
    expected, dof = np.ones(4), np.full(4, 10.0)
    found = deviance_residuals(expected, np.array([1 + 1e-9, 1 - 1e-9, 1e-9, 1e9]), dof)
    # Near 1 the residual is sqrt(dof / 2) * (r - 1) with r - 1 = 2e-9; far off it is the logarithm, or the ratio.
    assert found[0] == pytest.approx(np.sqrt(5.0) * 2e-9, rel=1e-6)
    assert found[1] == pytest.approx(-np.sqrt(5.0) * 2e-9, rel=1e-6)
    assert found[2] == pytest.approx(-np.sqrt(10 * (-1 + 18 * np.log(10))), rel=1e-9)
    assert found[3] == pytest.approx(np.sqrt(10) * 1e9, rel=1e-6)
