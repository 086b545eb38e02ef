"""Choice of the error model by BIC or AICc over all candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from devicekit.cells.error_model import ErrorModel
from devicekit.cells.error_registry import fitted_forms, form_name
from devicekit.common.errors import DeviceError, unknown_name
from devicekit.fits.model_fits import ModelFit, fit_model

Criterion = Literal["bic", "aicc"]
INDISTINGUISHABLE = 2.0
"""Models whose criterion differs by no more than this are not told apart (Kass & Raftery, J. Am. Stat. Assoc. 90, 1995,
doi 10.1080/01621459.1995.10476572)."""


def fit_candidates(
    target: ArrayLike,
    sigma: ArrayLike,
    dof: ArrayLike,
    i_max: float,
    names: Sequence[str | type[ErrorModel]] | None = None,
) -> dict[str, ModelFit]:
    """Return the fits of every error model with fewer parameters than states, and of the table through all states.

    Args:
        target: programmed current of each state [A].
        sigma: spread of its cells [A].
        dof: degrees of freedom of each spread.
        i_max: full scale [A].
        names: models to fit, by name or class; None: every known one.

    Returns:
        Fits by name, those with fewer parameters first unless `names` gives an order.

    Raises:
        DeviceError: an unknown name, or a named candidate with more parameters than there are states.
    """
    if names is None:
        states = len(np.unique(np.asarray(target)))
        repeated = states < np.size(np.asarray(target))
        forms = sorted(fitted_forms().items(), key=lambda item: item[1].parameters)
        # A law with as many parameters as states passes through them all; it is no explanation unless asked for.
        names = [name for name, form in forms if (not repeated if form.model.saturated else form.parameters < states)]
    return {form_name(name): fit_model(name, target, sigma, dof, i_max) for name in names}


def compare_models(fits: dict[str, ModelFit], criterion: Criterion = "bic") -> pd.DataFrame:
    """Return the comparison of fitted models as a table, best first.

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
