"""One update law fitted to ramps by maximum likelihood, with the covariance of its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from devicekit.common.errors import DeviceError
from devicekit.pulses.pulse_data import PulseData
from devicekit.pulses.pulse_likelihood import Layout, deviance
from devicekit.pulses.update_laws import UpdateLaw
from devicekit.pulses.update_models import UpdateBranch, UpdateModel

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class UpdateFit:
    """One law at its maximum likelihood.

    Attributes:
        model: the fitted model.
        stderr: standard errors by name of `model.values()`.
        deviance: minus twice the log-likelihood.
        readings: readings behind it.
        vector: the fit's own vector.
        covariance: of the vector.
        layout: what it holds.
        origin: lowest end of the measured range [S].
        span: measured range [S].
    """

    model: UpdateModel
    stderr: dict[str, float]
    deviance: float
    readings: int
    vector: Floats
    covariance: Floats
    layout: Layout
    origin: float
    span: float

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.vector)

    @property
    def bic(self) -> float:
        """Bayesian information criterion; only differences mean something."""
        return self.deviance + self.size * float(np.log(self.readings))


def fit_update(data: PulseData, law: UpdateLaw, additive: bool, noise_of: UpdateFit | None = None) -> UpdateFit:
    """Return one law fitted to ramps by maximum likelihood.

    Args:
        data: the ramps.
        law: one of `UPDATE_LAWS`.
        additive: whether the noise of a pulse is that of a step in the middle of the range, or of the step there and
            then.
        noise_of: another fit whose noises are kept; None: fit them.

    Raises:
        DeviceError: conductances that do not change along the ramps.
    """
    origin, span = measured_range(data)
    readings = (data.conductance - origin) / span
    layout = Layout(law, additive, bool(np.any(data.up)), bool(np.any(~data.up)))

    def value(vector: Floats) -> tuple[float, Floats]:
        shifts = _SHIFT * np.concatenate([np.zeros((1, len(vector))), np.eye(len(vector)), -np.eye(len(vector))])
        values = deviance(layout, vector + shifts, readings, data.up)
        rise = values[1 : 1 + len(vector)] - values[1 + len(vector) :]
        return float(values[0]), rise / (2 * _SHIFT)

    start = _start(layout, readings, data.up)
    bounds = [_BOUNDS[name.rsplit("_", 1)[0]] for name in layout.names]
    if noise_of is not None:
        model = noise_of.model
        kept = [np.log(max(model.pulse_noise, 1e-4)), np.log(max(model.read_noise / span, 1e-6))]
        start[-2:], bounds[-2:] = kept, [(each, each) for each in kept]
    result: Any = optimize.minimize(
        value, start, jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": 300, "ftol": 1e-11, "gtol": 1e-4},
    )  # fmt: skip
    vector = np.asarray(result.x, dtype=np.float64)
    covariance = _covariance(layout, vector, readings, data.up, len(vector) - (0 if noise_of is None else 2))
    model = _model(layout, vector, origin, span)
    values = model.values()

    def numbers(shifted: Floats) -> Floats:
        return np.array(list(_model(layout, shifted, origin, span).values().values()))

    # Standard errors of the parameters themselves, by their slopes against the vector.
    slopes = np.stack(
        [(numbers(vector + 1e-5 * unit) - numbers(vector - 1e-5 * unit)) / 2e-5 for unit in np.eye(len(vector))], axis=1
    )
    errors = np.sqrt(np.maximum(np.einsum("pi,ij,pj->p", slopes, covariance, slopes), 0.0))
    return UpdateFit(
        model,
        dict(zip(values, map(float, errors), strict=True)),
        float(result.fun),
        int(np.sum(np.isfinite(readings))) - len(readings),
        vector,
        covariance,
        layout,
        origin,
        span,
    )


_SHIFT = 1e-4
_BOUNDS = {
    "ln_step": (-18.0, 1.0),
    "gamma": (-1.0, 1.0),
    "ln_k": (-3.0, 8.0),
    "ln_rate": (-2.0, 4.0),
    "ln_reach": (-1.0, 3.0),
    "ln_pulse": (-9.0, 6.0),
    "ln_read": (-14.0, 1.0),
}
"""Where each entry of the vector is looked for; conductances in shares of the measured range."""


def measured_range(data: PulseData) -> tuple[float, float]:
    """Return the lowest conductance and the span [S] of all ramps, each smoothed over a thirtieth of its length."""
    bottom, top = np.inf, -np.inf
    for ramp in data.conductance:
        values = ramp[np.isfinite(ramp)]
        smooth = ndimage.uniform_filter1d(values, max(len(values) // 30, 1), mode="nearest")
        bottom, top = min(bottom, float(smooth.min())), max(top, float(smooth.max()))
    if not top > bottom:
        raise DeviceError(f"{data.place}: conductances do not change along the ramps; there is no update to fit.")
    return bottom, top - bottom


def _start(layout: Layout, readings: Floats, up: NDArray[np.bool_]) -> Floats:
    """Return where a search begins: average steps, and noises from how changes follow each other."""
    change = np.diff(readings, axis=1)
    usable = np.isfinite(change)
    mean = {side: float(np.mean(np.abs(np.nanmean(np.where(usable[rows], change[rows], np.nan), axis=1)))) or 1e-3
            for side, rows in (("up", up), ("down", ~up)) if np.any(rows)}  # fmt: skip
    own = np.where(usable, change, 0.0)
    own = own - np.where(
        usable, np.sum(own, axis=1, keepdims=True) / np.maximum(usable.sum(axis=1, keepdims=True), 1), 0.0
    )
    variance = float(np.sum(own**2) / np.sum(usable))
    # Noise of reads makes neighbouring changes go against each other; noise of pulses does not.
    against = -float(np.sum(own[:, 1:] * own[:, :-1]) / max(np.sum(usable[:, 1:] & usable[:, :-1]), 1))
    read = min(max(against, 0.02 * variance), 0.49 * variance)
    step = float(np.mean(list(mean.values())))
    entries = {
        **{f"ln_step_{side}": np.log(value) for side, value in mean.items()},
        "ln_reach_up": np.log(1.1), "ln_reach_down": np.log(1.1), "gamma_up": 0.5, "gamma_down": 0.5,
        "ln_k_up": 0.5, "ln_k_down": 0.5, "ln_rate_up": np.log(4.0), "ln_rate_down": np.log(4.0),
        "ln_pulse_noise": np.log(np.clip(np.sqrt(variance - 2 * read) / step, 1e-2, 50.0)),
        "ln_read_noise": 0.5 * np.log(max(read, 1e-10)),
    }  # fmt: skip
    return np.array([entries[name] for name in layout.names])


def _covariance(layout: Layout, vector: Floats, readings: Floats, up: NDArray[np.bool_], free: int) -> Floats:
    """Return the inverse of half the deviance's second derivatives; what is kept or at a limit has no error."""
    size = len(vector)
    step = 2e-3
    pairs = [(i, j) for i in range(free) for j in range(i, free)]
    shifts = []
    for i, j in pairs:
        for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            shift = np.zeros(size)
            shift[i] += a * step
            shift[j] += b * step
            shifts.append(shift)
    values = deviance(layout, vector + np.array(shifts), readings, up).reshape(len(pairs), 4)
    hessian = np.zeros((size, size))
    for (i, j), (pp, pm, mp, mm) in zip(pairs, values, strict=True):
        hessian[i, j] = hessian[j, i] = (pp - pm - mp + mm) / (4 * step**2)
    keep = np.diag(hessian) > 1e-6
    covariance = np.zeros_like(hessian)
    inner = 0.5 * hessian[np.ix_(keep, keep)]
    scale = 1.0 / np.sqrt(np.diag(inner))
    eigenvalues, vectors = np.linalg.eigh(inner * np.outer(scale, scale))
    inverse = (vectors / np.maximum(eigenvalues, 1e-8)) @ vectors.T
    covariance[np.ix_(keep, keep)] = inverse * np.outer(scale, scale)
    return covariance


def _model(layout: Layout, vector: Floats, origin: float, span: float) -> UpdateModel:
    found = layout.read(vector)
    return UpdateModel(
        law=layout.law,
        g_min=origin + span * float(found.low),
        g_max=origin + span * float(found.high),
        up=UpdateBranch(span * float(found.step_up), tuple(map(float, found.shape_up))) if layout.up else None,
        down=UpdateBranch(span * float(found.step_down), tuple(map(float, found.shape_down))) if layout.down else None,
        pulse_noise=float(found.pulse_noise),
        noise_kind="additive" if layout.additive else "multiplicative",
        read_noise=span * float(found.read_noise),
    )
