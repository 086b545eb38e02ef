"""Draws of parameters from what a fit knows about them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from devicekit.cells.error_models import ErrorModel
from devicekit.cells.mean_shifts import MeanShift, TableShift


def draw_error(error: ErrorModel, covariance: NDArray[np.float64] | None, generator: np.random.Generator) -> ErrorModel:
    """Return the error model with parameters drawn from their covariance.

    Models of positive parameters are drawn on the logarithms (covariance C_ij / (v_i v_j)), so a draw is always a
    possible model; the others on the parameters themselves.

    Args:
        error: the fitted model.
        covariance: in the order and units of `error.values()`; None: returned as it is.
        generator: where the normals come from.
    """
    if covariance is None:
        return error
    values = error.values()
    vector = np.array(list(values.values()))
    if error.positive:
        free = vector > 0
        relative = covariance[np.ix_(free, free)] / np.outer(vector[free], vector[free])
        vector[free] *= np.exp(_normal(relative, generator))
    else:
        vector = vector + _normal(covariance, generator)
    return error.with_values(dict(zip(values, map(float, vector), strict=True)))


def draw_shift(shift: MeanShift | None, generator: np.random.Generator) -> MeanShift | None:
    """Return the shift with each mean drawn from its standard error; others as they are."""
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
