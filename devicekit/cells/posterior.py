"""Random draws of parameters from the uncertainty of their fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from devicekit.cells.error_model import ErrorModel
from devicekit.cells.mean_shifts import MeanShift, TableShift


def draw_error(error: ErrorModel, covariance: NDArray[np.float64] | None, generator: np.random.Generator) -> ErrorModel:
    """Return the error model with parameters drawn from their covariance.

    Parameters that cannot be negative are drawn on their logarithms (covariance C_ij / (v_i v_j)), so that a draw is
    always a possible model; the others on themselves. A parameter at 0 stays there; all stay in their range.

    Args:
        error: the fitted model.
        covariance: in the order and units of `error.values()`; None: returned as it is.
        generator: where the normals come from.
    """
    if covariance is None:
        return error
    values = error.values()
    vector = np.array(list(values.values()))
    domains = [error.domain(name) for name in values]
    logarithmic = np.array([domain.positive for domain in domains])
    free = (vector > 0) | ~logarithmic
    scale = np.where(logarithmic, vector, 1.0)[free]
    draw = _normal(covariance[np.ix_(free, free)] / np.outer(scale, scale), generator)
    linear = ~logarithmic[free]
    vector[free] = vector[free] * np.exp(np.where(linear, 0.0, draw)) + np.where(linear, draw, 0.0)
    vector = np.clip(vector, [domain.minimum for domain in domains], [domain.maximum for domain in domains])
    return error.with_values(dict(zip(values, map(float, vector), strict=True)))


def draw_shift(shift: MeanShift | None, generator: np.random.Generator) -> MeanShift | None:
    """Return the shift with each mean drawn from its standard error; shifts without standard errors unchanged."""
    if not isinstance(shift, TableShift) or shift.stderr is None:
        return shift
    means = np.asarray(shift.means) + np.asarray(shift.stderr) * generator.standard_normal(len(shift.means))
    return replace(shift, means=tuple(map(float, means)))


def _normal(covariance: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Return one draw of a zero-mean normal; rounding may leave a covariance slightly indefinite."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    eigenvalues, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    draw = vectors @ (np.sqrt(np.maximum(eigenvalues, 0.0)) * generator.standard_normal(len(eigenvalues)))
    return np.asarray(scale * draw, dtype=np.float64)
