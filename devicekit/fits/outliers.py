"""Outlier cells of a fit: body and tail of the programmed states, and what each estimator of the spread would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from devicekit.cells.tails import Tail
from devicekit.common.plain import plain_dict
from devicekit.fits.model_fits import fit_model
from devicekit.measurements.measurements import Measurements
from devicekit.statistics.robust_statistics import student_spread, trimmed_spread
from devicekit.statistics.state_statistics import Spread, StateSample, normal_spread, sort_states
from devicekit.statistics.state_tables import States
from devicekit.statistics.tail_mixture import TailFit, find_tail, fit_tail

BODY = ("mean", "sigma", "mean_stderr", "sigma_stderr", "dof")
"""Columns that the body of a state has of its own, as ``body_mean`` and so on."""


@dataclass(frozen=True, eq=False)
class Outliers:
    """Outlier cells of the programmed states.

    Attributes:
        fit: body and tail.
        estimators: sigma at half scale by estimator [A]: ``plain``, ``trimmed``, ``student``, ``body``.
    """

    fit: TailFit
    estimators: dict[str, float]

    @property
    def tail(self) -> Tail:
        """The tail, as a cell has it."""
        return self.fit.tail

    def to_dict(self) -> dict[str, Any]:
        """Return fraction with its interval, shape and scale of the tail, and sigma at half scale by estimator [A]."""
        tail = self.tail
        return plain_dict(
            {
                "fraction": tail.fraction,
                "fraction_interval": tail.interval,
                "shape": tail.shape,
                "scale": None if tail.shape == "uniform" else tail.scale,
                "sigma_at_half_scale_a": self.estimators,
            }
        )


def find_outliers(states: States, i_max: float, later: Sequence[Measurements]) -> tuple[TailFit | None, list[str]]:
    """Return body and tail of the programmed states, and a note of what was found.

    None where there are no outliers, where cells are not known one by one, and where the same tail, in spreads of the
    body then, describes later times worse than none: a cell has one tail at all times.

    Args:
        states: the programmed states.
        i_max: full scale [A].
        later: cells at each later time.
    """
    if not (states.is_plain and isinstance(states.sample, StateSample) and len(states.tails)):
        return None, []
    fit = find_tail(states.sample, i_max)
    if fit is None:
        return None, []
    samples = [sort_states(rows.columns["target"], rows.columns["value"]) for rows in later]
    if sum(fit_tail(sample, fit.tail.shape, i_max, kept=fit.tail).evidence for sample in samples) < 0:
        return None, [
            f"{fit.tail.describe()}, but not at later times; the cell has no tail, outliers count towards the spread"
        ]
    return fit, [f"{fit.tail.describe()}; the error model describes the others, and the cell draws both"]


def with_body(states: States, fit: TailFit) -> States:
    """Return states whose table has the body of each state beside its plain statistics.

    Args:
        states: the states that were fitted.
        fit: body and tail of the same cells.
    """
    return replace(states, table=states.table.assign(**_columns(fit.body)))


def later_body(states: States, tail: Tail, i_max: float) -> States:
    """Return states at a later time with their own body, beside the tail of the programmed states.

    A cell has one tail at all times, in spreads of its body then; the body is what describes the cells best with it.

    Args:
        states: the states then.
        tail: of the programmed states.
        i_max: full scale [A].
    """
    if not (states.is_plain and isinstance(states.sample, StateSample)):
        return states
    return with_body(states, fit_tail(states.sample, tail.shape, i_max, kept=tail))


def _columns(body: Spread) -> dict[str, np.ndarray]:
    return {f"body_{name}": getattr(body, name) for name in BODY}


def fitted_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return the state table with the statistics that models are fitted to: those of the body where there is one."""
    if "body_sigma" not in table:
        return table
    own = {name: table[f"body_{name}"] for name in BODY}
    return table.assign(**own, mean_error=table["body_mean"] - table["target"])


def compare_estimators(states: States, model: str, fit: TailFit, i_max: float) -> dict[str, float]:
    """Return sigma at half scale [A] by the chosen model, fitted to the spreads of each estimator.

    Args:
        states: the programmed states.
        model: name of the model.
        fit: body and tail.
        i_max: full scale [A].
    """
    assert isinstance(states.sample, StateSample)
    spreads = {
        "plain": normal_spread(states.sample),
        "trimmed": trimmed_spread(states.sample),
        "student": student_spread(states.sample)[0],
        "body": fit.body,
    }
    return {
        name: float(
            fit_model(model, states.sample.targets, spread.sigma, spread.dof, i_max).model.sigma(0.5 * i_max, i_max)
        )
        for name, spread in spreads.items()
    }
