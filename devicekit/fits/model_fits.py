"""Maximum-likelihood fits of error models to the spreads of the states, with covariance and goodness of fit.

For normal cells (n - 1) s^2 / sigma^2 is chi-square with nu = n - 1 degrees of freedom, independently of the mean.
The log-likelihood of sigma(I; theta) over all states is therefore, up to a constant of the data,

    log L = -1/2 sum_j nu_j (ln sigma_j^2 + s_j^2 / sigma_j^2).

Against the saturated model sigma_j = s_j it is -D/2 with the deviance D = sum_j nu_j (r_j - 1 - ln r_j),
r_j = s_j^2 / sigma_j^2, a sum of squares of signed deviance residuals. Least squares on these (lmfit) is therefore
exactly maximum likelihood, and no state is weighted by its own noisy s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lmfit
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from devicekit.cells.error_model import ErrorModel
from devicekit.cells.error_registry import fitted_forms, form_name
from devicekit.common.errors import DeviceError

Floats = NDArray[np.float64]

_LEAST = 1e-6
"""Smallest sigma, as a fraction of the full scale, that a fit considers: a law that gives 0 has no likelihood."""

_SMALLEST = 1e-9
"""Where a search stops towards a lower limit of 0, in units of the full scale."""

_MOST = 1e9
"""Largest parameter and sigma, in units of the full scale, that a search considers."""


@dataclass(frozen=True)
class Parameter:
    """Estimate of one parameter with its standard error.

    Attributes:
        value: estimate, in `unit`.
        stderr: standard error, in `unit`.
        unit: ``"A"`` or an empty text.
    """

    value: float
    stderr: float
    unit: str


@dataclass(frozen=True, eq=False)
class ModelFit:
    """Maximum-likelihood fit of one error model: the model, its covariance, its deviance.

    Attributes:
        name: name of the error model, or of the form of it that was fitted.
        model: the fitted error model, SI units.
        covariance: covariance matrix of `model.values()`, in their order and units.
        deviance: 2 (log L_saturated - log L), L_saturated with sigma = s in every state; chi-square for a true model.
        cells: degrees of freedom of all spreads, sum over the states of (cells - 1).
        states: number of states.
        i_max: full scale the fit was made with [A].
        result: lmfit's MinimizerResult, in units of the full scale; None for the saturated model (table).
    """

    name: str
    model: ErrorModel
    covariance: Floats
    deviance: float
    cells: float
    states: int
    i_max: float
    result: Any

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.model.values())

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Estimates with standard errors."""
        errors = np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
        return {
            name: Parameter(value, float(error), self.model.unit(name))
            for (name, value), error in zip(self.model.values().items(), errors, strict=True)
        }

    @property
    def bic(self) -> float:
        """Bayesian information criterion D + k ln N, N = `cells`; only differences mean something."""
        return self.deviance + self.size * float(np.log(self.cells))

    @property
    def aicc(self) -> float:
        """Akaike's criterion with its small-sample correction, D + 2k + 2k(k+1) / (N-k-1)."""
        spare = self.cells - self.size - 1
        correction = 2.0 * self.size * (self.size + 1) / spare if spare > 0 else np.inf
        return self.deviance + 2.0 * self.size + correction

    @property
    def goodness(self) -> float:
        """p-value of the deviance, chi-square with states - k degrees of freedom; NaN where there are none."""
        spare = self.states - self.size
        return float(stats.chi2.sf(self.deviance, spare)) if spare > 0 else float("nan")

    def sigma_stderr(self, current: ArrayLike) -> Floats:
        """Return the standard error of sigma(current) [A], propagated from the covariance to first order."""
        currents = np.asarray(current, dtype=np.float64)
        gradient = sigma_gradient(self.model, currents.ravel(), self.i_max)
        variance = np.einsum("ip,pq,iq->i", gradient, self.covariance, gradient)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)).reshape(currents.shape), dtype=np.float64)


def sigma_gradient(model: ErrorModel, current: Floats, i_max: float) -> Floats:
    """Return d sigma / d parameter [A per unit of the parameter], central differences, (currents, parameters)."""
    values = model.values()
    columns = []
    for name, value in values.items():
        domain = model.domain(name)
        step = 1e-5 * (abs(value) if value else 1e-6 * i_max**domain.power)
        low, high = max(value - step, domain.minimum), min(value + step, domain.maximum)
        rise = model.with_values({name: high}).sigma(current, i_max)
        columns.append((rise - model.with_values({name: low}).sigma(current, i_max)) / (high - low))
    return np.stack(columns, axis=-1)


def fit_model(
    model: str | type[ErrorModel], target: ArrayLike, sigma: ArrayLike, dof: ArrayLike, i_max: float
) -> ModelFit:
    """Return the maximum-likelihood fit of one error model to the spreads of all states.

    Args:
        model: name of an error model (see `devicekit.error_models`) or of one of its forms, or its class.
        target: programmed current of each state [A], shape (states,).
        sigma: spread of its cells [A], above 0.
        dof: degrees of freedom of each sigma squared.
        i_max: full scale [A].

    Raises:
        DeviceError: an unknown model (with the nearest names), a state without spread, or fewer states than parameters.
    """
    name = form_name(model)
    # In units of the full scale every parameter is of order one, which is what the optimiser's steps assume.
    targets, sigmas = (np.asarray(values, dtype=np.float64) / i_max for values in (target, sigma))
    freedom = np.asarray(dof, dtype=np.float64)
    if np.any(sigmas <= 0):
        raise DeviceError("Expected every state to have a spread above 0.")
    start = fitted_forms()[name].guess(targets, sigmas, 1.0)
    if len(start.values()) > len(np.unique(targets)):
        raise DeviceError(
            f"The model {name} has {len(start.values())} parameters, but there are {len(np.unique(targets))} states."
        )
    if start.saturated:
        return _saturated(name, start, freedom[np.argsort(targets)], i_max)
    parameters = lmfit.Parameters()
    for key, value in start.values().items():
        domain = start.domain(key)
        parameters.add(key, value=value, min=domain.minimum or _SMALLEST, max=domain.maximum)

    def held(values: dict[str, float]) -> ErrorModel:
        # A step of the search may run away; the law there only has to be bad, not infinite.
        return start.with_values({key: float(np.clip(value, -_MOST, _MOST)) for key, value in values.items()})

    def residuals(current: lmfit.Parameters) -> Floats:
        return deviance_residuals(_bounded(held(current.valuesdict()).sigma(targets, 1.0)), sigmas, freedom)

    result = lmfit.minimize(
        residuals, parameters, method="leastsq", scale_covar=False, calc_covar=False, ftol=1e-9, xtol=1e-9
    )
    normalised = held(result.params.valuesdict())
    expected = _bounded(normalised.sigma(targets, 1.0))
    gradient = sigma_gradient(normalised, targets, 1.0) / expected[:, None]
    information = 2.0 * np.einsum("jp,j,jq->pq", gradient, freedom, gradient)
    fitted = normalised.scaled(i_max)
    units = np.array([i_max ** fitted.domain(key).power for key in fitted.values()])
    return ModelFit(
        name=name,
        model=fitted,
        covariance=_inverse(information) * np.outer(units, units),
        deviance=float(np.sum(deviance_residuals(expected, sigmas, freedom) ** 2)),
        cells=float(freedom.sum()),
        states=len(targets),
        i_max=i_max,
        result=result,
    )


def _bounded(sigma: Floats) -> Floats:
    return np.asarray(np.clip(np.nan_to_num(sigma, nan=_MOST), _LEAST, _MOST), dtype=np.float64)


def _saturated(name: str, start: ErrorModel, dof: Floats, i_max: float) -> ModelFit:
    """Return the saturated model, sigma = s in every state: the largest likelihood there is."""
    model = start.scaled(i_max)
    variance = np.square(list(model.values().values())) / (2.0 * dof)
    return ModelFit(
        name=name,
        model=model,
        covariance=np.diag(variance),
        deviance=0.0,
        cells=float(dof.sum()),
        states=len(dof),
        i_max=i_max,
        result=None,
    )


def deviance_residuals(expected: Floats, sigma: Floats, dof: Floats) -> Floats:
    """Return the signed deviance residuals sign(r - 1) sqrt(nu (r - 1 - ln r)) of each state, r = s^2 / sigma^2.

    Args:
        expected: sigma of the model, above 0.
        sigma: spread s of the cells, same unit.
        dof: degrees of freedom nu of s squared.
    """
    ratio = (sigma / expected) ** 2
    excess = ratio - 1.0
    # Near 1 the difference needs log1p's digits; far below 1 the excess has lost the ratio.
    logarithm = np.where(np.abs(excess) < 0.5, np.log1p(np.maximum(excess, -0.5)), np.log(ratio))
    deviance = dof * np.maximum(excess - logarithm, 0.0)
    return np.asarray(np.sign(excess) * np.sqrt(deviance), dtype=np.float64)


def _inverse(information: Floats) -> Floats:
    """Return the inverse of a Fisher information, computed with its diagonal scaled to 1.

    Directions without information (a parameter without effect) get very large variances.
    """
    scale = np.sqrt(np.maximum(np.diag(information), 1e-100))
    eigenvalues, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    inverse = (vectors / np.maximum(eigenvalues, 1e-14)) @ vectors.T
    return np.asarray(inverse / np.outer(scale, scale), dtype=np.float64)
