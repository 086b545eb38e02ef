"""Which error model the data support: every candidate side by side, and what cannot be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from devicekit.common.errors import DeviceError, unknown_name
from devicekit.fits.model_fits import CANDIDATES, ModelFit, fit_model

Criterion = Literal["bic", "aicc"]
INDISTINGUISHABLE = 2.0
"""Models whose criterion differs by no more than this are not told apart by the data (Kass & Raftery, 1995)."""


def fit_candidates(
    target: ArrayLike, sigma: ArrayLike, dof: ArrayLike, i_max: float, names: Sequence[str] | None = None
) -> dict[str, ModelFit]:
    """Fit every candidate that has fewer parameters than there are states, and the table that passes through them.

    Args:
        target: programmed current of each state [A].
        sigma: spread of its cells [A].
        dof: degrees of freedom of each spread.
        i_max: full scale [A].
        names: candidates; None: all.

    Returns:
        Fits by name, in the order of the candidates.

    Raises:
        DeviceError: an unknown name, or a named candidate with more parameters than there are states.
    """
    wanted = list(CANDIDATES) if names is None else list(names)
    for name in wanted:
        if name not in CANDIDATES:
            raise DeviceError(unknown_name("error model", name, CANDIDATES))
    states = len(np.unique(np.asarray(target)))
    # A law with as many parameters as states passes through them all; it is no explanation unless asked for.
    if names is None:
        wanted = [name for name in wanted if _PARAMETERS.get(name, 0) < states]
        if states < np.size(np.asarray(target)):
            wanted.remove("table")
    return {name: fit_model(name, target, sigma, dof, i_max) for name in wanted}


_PARAMETERS = {
    "state_independent": 1,
    "state_proportional": 1,
    "saturating_exponential": 2,
    "power_law": 2,
    "floored_exponential": 3,
    "polynomial": 3,
    "spline": 5,
    "fine_spline": 9,
}
"""Parameters of the laws that have a fixed number; the table has one a state."""


def compare_models(fits: dict[str, ModelFit], criterion: Criterion = "bic") -> pd.DataFrame:
    """Return the comparison of fitted models, best first.

    Args:
        fits: fits by name.
        criterion: ``"bic"`` or ``"aicc"``.

    Returns:
        One row a model: ``parameters``, ``deviance``, ``goodness_p``, ``bic``, ``aicc``, differences ``delta_bic`` and
        ``delta_aicc`` to the best of each, ``weight`` (share of the evidence, exp(-delta / 2) normalised, by the
        criterion), and ``verdict``: ``chosen``, ``cannot tell apart`` or ``worse``.

    Raises:
        DeviceError: an unknown criterion.
    """
    if criterion not in ("bic", "aicc"):
        raise DeviceError(unknown_name("criterion", criterion, ("bic", "aicc")))
    table = pd.DataFrame(
        {
            "model": list(fits),
            "parameters": [fit.size for fit in fits.values()],
            "deviance": [fit.deviance for fit in fits.values()],
            "goodness_p": [fit.goodness for fit in fits.values()],
            "bic": [fit.bic for fit in fits.values()],
            "aicc": [fit.aicc for fit in fits.values()],
        }
    ).set_index("model")
    for name in ("bic", "aicc"):
        table[f"delta_{name}"] = table[name] - table[name].min()
    delta = table[f"delta_{criterion}"]
    weight = np.exp(-0.5 * delta)
    table["weight"] = weight / weight.sum()
    table["verdict"] = np.where(delta <= INDISTINGUISHABLE, "cannot tell apart", "worse")
    table.loc[delta.idxmin(), "verdict"] = "chosen"
    return table.sort_values(f"delta_{criterion}")
