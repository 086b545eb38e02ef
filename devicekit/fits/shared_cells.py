"""Errors of a law whose states were measured on the same cells: what their spreads share counts once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from devicekit.fits.model_fits import ModelFit, sigma_gradient
from devicekit.measurements.measurements import Measurements
from devicekit.statistics.repeated_cells import shared_deviation

Floats = NDArray[np.float64]
NOTEWORTHY = 1.05
"""Standard errors that grow by less are left as they are."""


def widened_for_shared_cells(fit: ModelFit, table: pd.DataFrame, base: Measurements) -> tuple[ModelFit, list[str]]:
    """Return the fit with the covariance that states of the same cells leave, and a note where that matters.

    With J the rows sqrt(2 nu_j) d ln sigma_j / d theta, independent states leave the covariance H H', H the
    pseudo-inverse of J. Where a cell that is high in one state is high in others, the errors of the spreads correlate
    by rho_jk^2, rho the correlation of the cells' deviations, and it becomes H R H' with R_jk = rho_jk^2.

    Args:
        fit: a law fitted to the states of the table.
        table: their statistics.
        base: their cells.
    """
    columns = base.columns
    if base.is_histogram or "cell" not in columns or len(table) < 2:
        return fit, []
    targets = table["target"].to_numpy()
    keep = np.isin(columns["target"], targets)
    code = np.searchsorted(targets, columns["target"][keep])
    z = (columns["value"][keep] - table["mean"].to_numpy()[code]) / table["sigma"].to_numpy()[code]
    roles = [role for role in ("wafer", "die", "cell") if role in columns]
    cell = np.unique(np.stack([columns[role][keep] for role in roles]), axis=1, return_inverse=True)[1].reshape(-1)
    common = shared_deviation(code, cell.astype(np.int64), z, len(targets))
    if "shared" in table:
        # Only what comes from differences between cells is shared; cycles are drawn anew at every state.
        own = np.sqrt(table["shared"].to_numpy())
        common = common * np.where(np.eye(len(own)) > 0, 1.0, np.outer(own, own))
    if not np.any(common - np.eye(len(common)) > 0):
        return fit, []
    dof = table["dof"].to_numpy()
    sigma = fit.model.sigma(targets, fit.i_max)
    gradient = sigma_gradient(fit.model, targets, fit.i_max) / np.maximum(sigma, 1e-9 * fit.i_max)[:, None]
    # In units of their own errors, parameters of any size are told from those without effect.
    unit = np.sqrt(np.maximum(np.diag(fit.covariance), 1e-300))
    influence = unit[:, None] * np.linalg.pinv(np.sqrt(2.0 * dof)[:, None] * gradient * unit, rcond=1e-6)
    covariance = fit.covariance + influence @ (common - np.eye(len(common))) @ influence.T
    growth = np.sqrt(np.diag(covariance) / np.maximum(np.diag(fit.covariance), 1e-300))
    if not np.max(growth) > NOTEWORTHY:
        return fit, []
    typical = float(np.sqrt(np.mean(common[~np.eye(len(common), dtype=bool)])))
    note = (
        f"the states were measured on the same cells, whose deviations repeat from state to state (correlation"
        f" {typical:.2g}): standard errors grow by up to {np.max(growth):.2g}"
    )
    return replace(fit, covariance=covariance), [note]
