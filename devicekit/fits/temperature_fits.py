"""Fits of temperature: read current by the subthreshold law, activation energy of bakes by Arrhenius."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from devicekit.cells.subthreshold import BOLTZMANN, ELEMENTARY_CHARGE, MeasuredTemperature, SubthresholdTemperature

Floats = NDArray[np.float64]
_PER_EV = ELEMENTARY_CHARGE / BOLTZMANN


@dataclass(frozen=True)
class ReadTemperatureFit:
    """Fitted law of read temperature.

    Attributes:
        law: the law, for `Cell.temperature_law`.
        i_0_stderr: standard error of the law's I_0 [A]; NaN for a table.
        misfit: root mean square of relative deviations from the subthreshold law.
        goodness: p-value of chi-square of that law.
    """

    law: SubthresholdTemperature | MeasuredTemperature
    i_0_stderr: float
    misfit: float
    goodness: float


LARGEST_MISFIT = 0.02
"""Relative deviation up to which the subthreshold law is used although chi-square rejects it."""


def fit_read_temperature(
    reference: float, current: Floats, temperature: ArrayLike, mean: Floats, stderr: Floats
) -> ReadTemperatureFit:
    """Return the subthreshold law fitted to I(T) of all states; the measured ratios as a table where it fails.

    ln(I(T) / I_r) = (1 - T_r / T) (ln I_0 - ln I_r): a linear drift of the threshold, -(eta q / k) dV_T/dT, has the
    same form and is part of this effective I_0. One weighted mean of ln I_0 over states and temperatures.

    Args:
        reference: T_r [K].
        current: mean current of each state at T_r [A], above 0, rising, shape (states,).
        temperature: the other temperatures [K], shape (temperatures,).
        mean: mean current then [A], shape (temperatures, states).
        stderr: standard error of ln(mean / current), same shape.
    """
    temperatures = np.asarray(temperature, dtype=np.float64)
    lever = (1.0 - reference / temperatures)[:, None]
    log_ratio = np.log(mean / current)
    single = log_ratio / lever + np.log(current)
    weight = (lever / stderr) ** 2
    log_i0 = float(np.sum(weight * single) / np.sum(weight))
    residual = (log_ratio - lever * (log_i0 - np.log(current))) / stderr
    chi_square = float(np.sum(residual**2))
    goodness = float(stats.chi2.sf(chi_square, residual.size - 1)) if residual.size > 1 else float("nan")
    misfit = float(np.sqrt(np.mean((residual * stderr) ** 2)))
    i_0 = float(np.exp(log_i0))
    law: SubthresholdTemperature | MeasuredTemperature
    if misfit <= LARGEST_MISFIT or not goodness < 0.01:
        law = SubthresholdTemperature(i_0=i_0, reference=reference)
        return ReadTemperatureFit(law, i_0 / float(np.sqrt(np.sum(weight))), misfit, goodness)
    rows = {reference: np.ones(len(current)), **dict(zip(temperatures.tolist(), mean / current, strict=True))}
    ordered = sorted(rows)
    law = MeasuredTemperature(
        tuple(ordered), tuple(current.tolist()), tuple(tuple(rows[t].tolist()) for t in ordered), reference
    )
    return ReadTemperatureFit(law, float("nan"), misfit, goodness)


@dataclass(frozen=True)
class BakeFit:
    """Activation energy from bakes at several temperatures.

    Attributes:
        activation_energy: E_a [eV].
        stderr: its standard error [eV], scaled by the fit's own scatter.
        exponent: power of time; 1, assumed, where every temperature has one time only.
        floor: change without activation (relaxation), root mean square over the full scale.
        temperatures: baked at [K].
        times: for [s].
        change: measured root mean square change over the full scale.
        fitted: the same by the fit.
    """

    activation_energy: float
    stderr: float
    exponent: float
    floor: float
    temperatures: Floats
    times: Floats
    change: Floats
    fitted: Floats


def fit_bake(temperature: ArrayLike, time: ArrayLike, change: ArrayLike, stderr: ArrayLike) -> BakeFit | None:
    """Return floor and activation energy of the change of cells by bakes; None for fewer than three temperatures.

    M^2 = floor^2 + C^2 [(t / t_c) exp(-(E_a / k)(1 / T - 1 / T_c))]^(2 b), M the root mean square change of the cells'
    currents over the full scale, b = 1 unless the data hold several times at one temperature.

    Args:
        temperature: bake temperatures [K], shape (bakes,).
        time: bake times [s].
        change: M of each bake.
        stderr: its standard error.
    """
    temperatures, times, changes, errors = (
        np.asarray(values, dtype=np.float64) for values in (temperature, time, change, stderr)
    )
    if len(np.unique(temperatures)) < 3 or np.any(times <= 0):
        return None
    several = len(times) > len(np.unique(temperatures)) and len(np.unique(np.round(np.log(times), 1))) > 1
    middle_time, middle = float(np.exp(np.mean(np.log(times)))), float(1.0 / np.mean(1.0 / temperatures))

    def model(parameters: Floats) -> Floats:
        energy, log_c, floor = parameters[:3]
        exponent = parameters[3] if several else 1.0
        clock = np.log(times / middle_time) - energy * _PER_EV * (1.0 / temperatures - 1.0 / middle)
        return np.asarray(np.sqrt(floor**2 + np.exp(2.0 * (log_c + exponent * clock))), dtype=np.float64)

    start = [0.5, float(np.log(changes.max() / 3.0)), float(changes.min()), *([0.5] if several else [])]
    lower = [0.0, -30.0, 0.0, *([0.01] if several else [])]
    upper = [5.0, 5.0, 10.0 * float(changes.max()), *([3.0] if several else [])]
    if len(changes) < len(start):
        return None
    result = optimize.least_squares(
        lambda p: (model(p) - changes) / errors, start, bounds=(lower, upper), x_scale=upper
    )
    spare = len(changes) - len(start)
    scale = max(1.0, 2.0 * float(result.cost) / spare) if spare > 0 else 1.0
    covariance = np.linalg.pinv(result.jac.T @ result.jac) * scale
    return BakeFit(
        activation_energy=float(result.x[0]),
        stderr=float(np.sqrt(covariance[0, 0])),
        exponent=float(result.x[3]) if several else 1.0,
        floor=float(result.x[2]),
        temperatures=temperatures,
        times=times,
        change=changes,
        fitted=model(result.x),
    )
