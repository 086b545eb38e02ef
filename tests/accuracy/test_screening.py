"""The screen against closed forms on linear networks, against programmed cells, and against full trials."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import accuracy
from accuracy import ScreeningError, calibrate_screen, measure_sensitivities, screen, screen_core
from accuracy.arrays.analog_array import AnalogArray
from accuracy.mapping.operators import ConvolutionOperator, MatrixOperator
from accuracy.mapping.weights import map_weights
from accuracy.screening.calibration import ScreenCalibration
from accuracy.screening.decisions import right_decisions, spread_over_chips
from accuracy.screening.estimate import margins_on
from accuracy.screening.products import image_products
from accuracy.screening.screen import ERROR_SHARE, FACTORS, LEAST_ERROR
from accuracy.screening.weight_moments import SIDE, bin_centres, weight_moments
from circuits import Core, CoreDesign, Faults, load_designs, network_cores
from devicekit import Cell, StateIndependent, StateProportional, load_device
from devicekit.cells.tails import Tail

PLAIN = CoreDesign(name="plain", adc_bits=None, input_bits=None)
DESIGNS = load_designs("xiao2022")


def linear_network(rows: int, classes: int, seed: int = 0) -> nn.Module:
    """One linear layer whose weights are integers of eight bits but for the full scale."""
    random = np.random.default_rng(seed)
    integers = random.integers(-SIDE, SIDE + 1, (classes, rows))
    integers[0, 0] = SIDE
    layer = nn.Linear(rows, classes, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(integers / SIDE * 0.7))
    return nn.Sequential(layer).eval()


def examples(rows: int, classes: int, count: int, seed: int = 1) -> list[tuple[torch.Tensor, torch.Tensor]]:
    random = np.random.default_rng(seed)
    x = torch.from_numpy(random.random((count, rows)).astype(np.float32))
    return [(x, torch.from_numpy(random.integers(0, classes, count)))]


def test_a_linear_network_is_exact():
    """Var m = sum_j x_j^2 (s_jt^2 + s_jk^2), and with two classes P(right) = Phi(m / s): nothing is left out."""
    rows, cell = 40, Cell(error=StateProportional(0.08), on_off_ratio=1e7, i_max=1.6e-6)
    model, data = linear_network(rows, 2), examples(rows, 2, 30)
    core = Core(PLAIN, cell=cell)
    found = measure_sensitivities(model, data, data)
    margins = margins_on(found, core)
    (x, labels), weight = data[0], model[0].weight.detach().double().numpy()
    x = x.double().numpy()
    # One cell of a pair holds |w|, the other sits at g_min, and errs by alpha of its current.
    share = np.abs(weight) / np.abs(weight).max()
    sigma2 = 0.7**2 * 0.08**2 * ((1e-7 + (1 - 1e-7) * share) ** 2 + 1e-14) / (1 - 1e-7) ** 2
    own, other = labels.numpy(), 1 - labels.numpy()
    expected = np.einsum("nj,nj->n", x**2, sigma2[own] + sigma2[other])
    # These weights sit on bin centres; others are rounded by up to half a step.
    rounding = 0.7**2 / SIDE**2 / 12 * 2 * (x**2).sum(axis=1)
    np.testing.assert_allclose(margins.weights[:, 0], expected, rtol=1e-4)
    np.testing.assert_allclose(margins.readings[:, 0], rounding, rtol=1e-4)
    mean = np.einsum("nj,nj->n", x, weight[own] - weight[other])
    np.testing.assert_allclose(margins.mean[:, 0], mean, atol=1e-5)
    result = screen_core(found, core)
    exact = stats.norm.cdf(mean / np.sqrt(expected + rounding)).mean()
    assert result.mean == pytest.approx(exact, abs=1e-5)


def test_mean_shifts_of_cells_move_margins():
    """Mean margins of a linear network over many programmings of aged cells."""
    model, data = linear_network(30, 3), examples(30, 3, 20)
    cell = load_device("pcm_joshi2020").at(time=8.0e4)
    found = measure_sensitivities(model, data, data)
    (x, labels), design = data[0], PLAIN
    margins = margins_on(found, Core(design, cell=cell))
    array = AnalogArray(map_weights(model[0].weight.detach().t(), design), MatrixOperator(), cell)
    z = x.double() @ model[0].weight.detach().double().t()
    nearest = z.scatter(1, labels[:, None], -torch.inf).argmax(dim=1)
    drawn = []
    for trial in range(300):
        array.program(trial)
        z = x.double() @ array.programmed_weights().double()
        drawn.append((z.gather(1, labels[:, None]) - z.gather(1, nearest[:, None]))[:, 0].numpy())
    error = np.std(drawn, axis=0, ddof=1) / np.sqrt(300)
    assert np.abs((np.mean(drawn, axis=0) - margins.mean[:, 0]) / error).max() < 4.5
    assert np.abs(margins.mean[:, 0] - found.margins[:, 0]).mean() > 20 * error.mean()
    np.testing.assert_allclose(np.var(drawn, axis=0, ddof=1).mean(), margins.weights[:, 0].mean(), rtol=0.15)


CELLS = {
    "plain": Cell(error=StateIndependent(0.05), on_off_ratio=100.0, i_max=1.6e-6),
    "tail": Cell(error=StateIndependent(0.04), on_off_ratio=100.0, i_max=1.6e-6, tail=Tail(0.05, "high", 4.0)),
    "stuck tail": Cell(error=StateIndependent(0.04), on_off_ratio=100.0, i_max=1.6e-6, tail=Tail(0.03, "uniform")),
}
FORMS = [
    {"negative_weights": "differential", "bits_per_cell": 7},
    {"negative_weights": "differential", "bits_per_cell": 2},
    {"negative_weights": "offset", "bits_per_cell": 4},
    {"negative_weights": "twos_complement", "bits_per_cell": 1},
    {"negative_weights": "offset_unit_column", "bits_per_cell": 8},
    {"negative_weights": "offset", "bits_per_cell": 2, "flipped_encoding": True},
]


@pytest.mark.parametrize(("form", "cell", "faults"), [
    *itertools.product(FORMS, ["plain"], [None]),
    (FORMS[1], "tail", None),
    (FORMS[2], "stuck tail", None),
    (FORMS[0], "plain", Faults(stuck_low=0.02, stuck_high=0.03)),
], ids=str)  # fmt: skip
def test_moments_are_those_of_programmed_weights(form, cell, faults):
    """Weights of one value, programmed many times, have the mean error and variance that the moments say."""
    design = CoreDesign(name="form", weight_bits=8, adc_bits=None, input_bits=None, **form)
    place = 64
    weight = torch.full((4000, 4), place / SIDE)
    weight[0] = 1.0
    mapping = map_weights(weight, design)
    from accuracy.arrays.physics import Physics

    array = AnalogArray(mapping, MatrixOperator(), CELLS[cell], Physics(faults=faults))
    array.program(3)
    errors = array.programmed_weights().double().numpy()[1:] - place / SIDE
    found = weight_moments(design, CELLS[cell], faults, [float(part.mean()) for part in mapping.flipped])
    mean, variance = found.mean[SIDE + place], found.variance[SIDE + place]
    if design.has_unit_column:
        # The unit column is one for all columns: its part is common to a row.
        variance += found.unit_variance
    count = errors.size if not design.has_unit_column else errors.shape[0]
    assert errors.mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / count))
    kurtosis = float(((errors - errors.mean()) ** 4).mean() / errors.var() ** 2)
    assert errors.var() == pytest.approx(variance, rel=5 * np.sqrt((kurtosis - 1) / count))


def test_weights_of_few_bits_round():
    """The mean error of a weight is what rounding to the design's integers makes of it."""
    found = weight_moments(PLAIN.replace(weight_bits=4, bits_per_cell=3), None)
    centres = bin_centres()
    np.testing.assert_allclose(found.rounding, np.rint(centres * 7) / 7 - centres)
    assert not weight_moments(PLAIN, None).rounding.any()


@pytest.mark.parametrize("groups", [1, 3])
def test_products_of_convolutions_are_gradients(groups):
    convolution = nn.Conv2d(6, 9, 3, stride=2, padding=1, groups=groups, bias=False)
    operator = ConvolutionOperator(6, (3, 3), (2, 2), (1, 1), (1, 1), groups)
    x, g = torch.randn(4, 6, 7, 7), torch.randn(4, 4, 4, 9)
    found = image_products(operator, x, g)
    for image in range(4):
        (expected,) = torch.autograd.grad(
            convolution(x[image : image + 1]), convolution.weight, g[image : image + 1].movedim(-1, 1)
        )
        torch.testing.assert_close(found[image], expected.reshape(9, -1).t(), rtol=1e-4, atol=1e-4)


def test_right_decisions_are_those_of_correlated_normals():
    random = np.random.default_rng(2)
    mean, spread, rho = (
        np.array([[1.0, 1.5, 2.0], [-0.5, 0.3, 3.0]]),
        np.array([[1.0, 2.0, 1.5]] * 2),
        np.array([0.5, 0.3]),
    )
    label, others = random.standard_normal((400_000, 2, 1)), random.standard_normal((400_000, 2, 3))
    drawn = mean + spread * (np.sqrt(rho)[:, None] * label + np.sqrt(1 - rho)[:, None] * others)
    seen = (drawn > 0).all(axis=2).mean(axis=0)
    np.testing.assert_allclose(right_decisions(mean, spread, rho), seen, atol=5 * 0.5 / np.sqrt(400_000))


def test_spread_over_chips_is_that_of_correlated_images():
    random = np.random.default_rng(3)
    images = 12
    root = random.standard_normal((images, 4))
    covariance = root @ root.T + np.eye(images)
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale)
    place = random.uniform(-1.0, 2.0, images)
    drawn = random.multivariate_normal(place, correlation, size=100_000) > 0
    found = spread_over_chips(place, stats.norm.cdf(place), correlation)
    assert found == pytest.approx(drawn.mean(axis=1).std(), rel=0.02)


@pytest.fixture(scope="module")
def digits():
    data = accuracy.data_sets.find("digits")
    return accuracy.networks.load("digits_cnn"), data.batches("test", 100, 200), data.batches("calibration", 100, 200)


@pytest.fixture(scope="module")
def digits_sensitivities(digits):
    return measure_sensitivities(*digits)


def logits(model, batches):
    with torch.inference_mode():
        return torch.cat([model(x) for x, _ in batches]).double()


@pytest.mark.parametrize("corrections", [(), ("column_trim",)])
def test_margins_of_a_deep_network_vary_as_programmed_cells_make_them(digits, digits_sensitivities, corrections):
    """First order through four layers: spreads of margins over 40 programmings of the cells, small errors."""
    model, test, training = digits
    cell = dataclasses.replace(load_device("sonos_40nm_tcas2022"), error_scale=0.5)
    core = Core(PLAIN, cell=cell, corrections=corrections)
    found = margins_on(digits_sensitivities, core)
    converted = accuracy.calibrate(accuracy.convert(model, core), training)
    layers = accuracy.analog_layers(converted)
    labels = torch.cat([labels for _, labels in test])
    nearest = logits(model, test).scatter(1, labels[:, None], -torch.inf).argmax(dim=1)
    from accuracy.calibration.corrections import apply_corrections

    drawn = []
    for trial in range(40):
        for layer in layers:
            layer.program(0, trial)
        apply_corrections(converted, layers, corrections, training)
        z = logits(converted, test)
        drawn.append((z.gather(1, labels[:, None]) - z.gather(1, nearest[:, None]))[:, 0].numpy())
    seen = np.var(drawn, axis=0, ddof=1).mean()
    assert seen == pytest.approx(found.weights[:, 0].mean(), rel=0.2)


def test_each_layer_errs_as_on_its_own_core(digits_sensitivities):
    """Variances of layers are those of networks on one core each; a mixture of one is that core."""
    cell = load_device("sonos_40nm_tcas2022")
    pure = {name: margins_on(digits_sensitivities, Core(DESIGNS[name], cell=cell)) for name in ("A", "C")}
    mixed = margins_on(digits_sensitivities, network_cores("A", {"conv2": "C"}, cell=cell))
    for place, layer in enumerate(digits_sensitivities.layers):
        own = pure["C" if layer.layer.name == "conv2" else "A"]
        np.testing.assert_array_equal(mixed.layers[place], own.layers[place])
    every = network_cores("A", {"*": "C"}, cell=cell)
    found, wanted = (screen_core(digits_sensitivities, core) for core in (every, Core(DESIGNS["C"], cell=cell)))
    assert (found.mean, found.std, found.error) == (wanted.mean, wanted.std, wanted.error)
    assert found.core == "A"


def test_conversions_spread_margins_as_they_do_on_arrays(digits, digits_sensitivities):
    """ADCs of five bits on exact cells: what they move margins by, over images."""
    model, test, training = digits
    core = Core(DESIGNS["A"].replace(adc_bits=6))
    found = margins_on(digits_sensitivities, core)
    converted = accuracy.calibrate(accuracy.convert(model, core), training)
    labels = torch.cat([labels for _, labels in test])
    exact, z = logits(model, test), logits(converted, test)
    nearest = exact.scatter(1, labels[:, None], -torch.inf).argmax(dim=1)
    moved = [(own.gather(1, labels[:, None]) - own.gather(1, nearest[:, None]))[:, 0].numpy() for own in (exact, z)]
    errors = moved[1] - moved[0]
    assert errors.std() == pytest.approx(np.sqrt(found.readings[:, 0].mean()), rel=0.25)
    assert abs(errors.mean()) < errors.std()


def ranked_cores(count: int) -> list[Core]:
    cell = load_device("sonos_40nm_tcas2022")
    cores = [
        *(("A", scale, {}) for scale in (2.0, 4.0)),
        ("E", 1.0, {}),
        ("A", 1.0, {"adc_bits": 4}),
        ("B", 1.0, {}),
        ("E", 1.5, {}),
        ("A", 0.5, {}),
        *(("A", scale, {}) for scale in (1.0, 1.5, 2.5, 3.0)),
        ("E", 0.5, {}),
        *(("B", scale, {}) for scale in (3.0, 5.0)),
        *(("A", 1.0, {"adc_bits": bits}) for bits in (5, 6)),
        *(("A", 1.0, {"weight_bits": bits, "bits_per_cell": bits - 1}) for bits in (3, 4)),
        ("C", 2.0, {"weight_scale": "column"}),
        ("D", 4.0, {}),
    ]
    return [
        Core(DESIGNS[name].replace(**fields), cell=dataclasses.replace(cell, error_scale=scale), name=f"{number}")
        for number, (name, scale, fields) in enumerate(cores[:count])
    ]


def compared(digits, cores, trials):
    model, test, training = digits
    screened, tried = screen(model, cores, test, training), []
    for core in cores:
        converted = accuracy.calibrate(accuracy.convert(model, core), training)
        tried.append(accuracy.evaluate(converted, test, trials=trials))
    return screened, tried


def test_designs_rank_as_in_trials(digits):
    screened, tried = compared(digits, ranked_cores(5), 4)
    apart = 0
    for (one, tried_one), (other, tried_other) in itertools.combinations(zip(screened, tried, strict=True), 2):
        noise = np.hypot(max(tried_one.std, 0.002), max(tried_other.std, 0.002)) / 2
        if abs(tried_one.mean - tried_other.mean) > 3 * noise:
            apart += 1
            assert (one.mean - other.mean) * (tried_one.mean - tried_other.mean) > 0
    assert apart >= 3
    for one, other in zip(screened, tried, strict=True):
        assert not one.unsure
        assert abs(one.mean - other.mean) < 3 * np.hypot(one.error, other.std / 2)
        assert 0.3 * one.std < max(other.std, 0.002) < 4 * one.std
        low, high = one.loss_interval()
        assert low < one.loss < high


@pytest.mark.slow
def test_twenty_designs_rank_as_in_ten_trials(digits):
    screened, tried = compared(digits, ranked_cores(20), 10)
    # Neighbours in the order are closer than ten trials tell apart.
    assert stats.kendalltau([one.mean for one in screened], [one.mean for one in tried]).statistic >= 0.85
    apart = [
        (one.mean - other.mean) * (tried_one.mean - tried_other.mean) > 0
        for (one, tried_one), (other, tried_other) in itertools.combinations(zip(screened, tried, strict=True), 2)
        if abs(tried_one.mean - tried_other.mean) > 3 * np.hypot(tried_one.std, tried_other.std) / np.sqrt(10)
    ]
    assert len(apart) > 100
    assert np.mean(apart) > 0.97
    sure = [one for one in screened if not one.unsure]
    assert len(sure) >= 18
    assert sum(abs(one.mean - other.mean) < 2 * np.hypot(one.error, other.std / 3) for one, other in
               zip(screened, tried, strict=True) if not one.unsure) >= len(sure) - 1  # fmt: skip


def test_large_errors_are_called_unsure(digits_sensitivities):
    cell = dataclasses.replace(load_device("sonos_40nm_tcas2022"), error_scale=8.0)
    found = screen_core(digits_sensitivities, Core(DESIGNS["A"], cell=cell))
    assert found.unsure
    assert "unsure" in repr(found)
    assert found.to_dict()["screened"] is True


def test_trials_set_the_factor_of_the_spreads():
    """Accuracies that come from spreads two fifths larger give that factor back, and next to no error."""
    ease = np.linspace(0.8, 2.5, 6)
    means_at = [[float(stats.norm.cdf(own / factor)) for factor in FACTORS] for own in ease]
    changed = [1 - row[FACTORS.index(1.0)] for row in means_at]
    found = calibrate_screen(means_at, changed, [row[FACTORS.index(1.4)] for row in means_at], [0.001] * 6)
    assert found.factor == pytest.approx(1.4, rel=0.06)
    assert found.designs == 6
    assert found.share < ERROR_SHARE / 2
    assert found.mean(means_at[0]) == pytest.approx(means_at[0][FACTORS.index(1.4)], abs=0.01)
    assert ScreenCalibration().error(0.1) == pytest.approx(LEAST_ERROR + 0.1 * ERROR_SHARE)
    with pytest.raises(ScreeningError, match="at least one design"):
        calibrate_screen(np.empty((0, len(FACTORS))), [], [], [])
    with pytest.raises(ScreeningError, match="one row of 5 accuracies"):
        calibrate_screen([[1.0]], [0.1], [0.9], [0.1])


def test_what_has_no_law_is_refused(digits, digits_sensitivities):
    model, test, training = digits
    with pytest.raises(ScreeningError, match="'array'"):
        screen_core(digits_sensitivities, Core(DESIGNS["A"].replace(weight_scale="array")))
    with pytest.raises(ScreeningError, match="measured"):
        screen_core(measure_sensitivities(model, test, training, images=10, scales=("column",)), Core(DESIGNS["A"]))
    with pytest.raises(ScreeningError, match="one label an image"):
        measure_sensitivities(model, [(x, labels.float()) for x, labels in test], training)
    with pytest.raises(ScreeningError, match="labels from 0 to 9"):
        measure_sensitivities(model, [(x, labels + 5) for x, labels in test], training)


def test_errors_below_half_a_code_are_rounded_away(digits, digits_sensitivities):
    """One-bit cells and ADCs that resolve single cells: what a small spread does in products never leaves the ADCs."""
    cell = Cell(error=StateIndependent(0.01), on_off_ratio=1e6, i_max=1.6e-6)
    exact = CoreDesign(
        name="exact", weight_bits=8, bits_per_cell=1, max_rows=16, adc_bits=8, adc_range="full",
        input_accumulation="digital",
    )  # fmt: skip
    rounded = margins_on(digits_sensitivities, Core(exact, cell=cell))
    passed = margins_on(digits_sensitivities, Core(exact.replace(adc_bits=None), cell=cell))
    assert rounded.weights.mean() < 0.05 * passed.weights.mean()
    model, test, training = digits
    converted = accuracy.calibrate(accuracy.convert(model, Core(exact, cell=cell)), training)
    tried = accuracy.evaluate(converted, test, trials=2)
    assert tried.std == 0.0
    assert tried.mean == tried.ideal
