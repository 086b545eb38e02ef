"""Measurements in, a fitted cell out, with everything a person needs to trust it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from devicekit.cells import Cell
from devicekit.errors import MeasurementError
from devicekit.mean_shifts import TableShift
from devicekit.measurements import Measurements
from devicekit.model_choice import INDISTINGUISHABLE, Criterion, compare_models, fit_candidates
from devicekit.model_fits import ModelFit, Parameter, deviance_residuals
from devicekit.provenance import Constant
from devicekit.quantities import parse_quantity
from devicekit.state_statistics import anderson_darling, normal_spread, sort_states

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, eq=False)
class DeviceFit:
    """A fitted device.

    Attributes:
        model: name of the chosen error model.
        parameters: its parameters by name, with `.value`, `.stderr` and `.unit`.
        table: one row a state, SI units: ``target``, ``n``, ``mean``, ``sigma``, ``mean_stderr``, ``sigma_stderr``,
            ``dof``, ``normality_p``, ``mean_error``, ``sigma_model``, ``residual``.
        comparison: every candidate, best first.
        cell: the cell that simulations use.
        fits: every candidate's fit by name.
        measurements: what was fitted.
        criterion: what the choice was made by.
        notes: what a person should know before using the cell.
    """

    model: str
    parameters: dict[str, Parameter]
    table: pd.DataFrame
    comparison: pd.DataFrame
    cell: Cell
    fits: dict[str, ModelFit]
    measurements: Measurements
    criterion: Criterion
    notes: tuple[str, ...]

    @property
    def fit(self) -> ModelFit:
        """The chosen model's fit: covariance, goodness, lmfit's result."""
        return self.fits[self.model]

    @property
    def alternatives(self) -> list[str]:
        """Models that the data cannot tell from the chosen one."""
        return [str(name) for name in self.comparison.index[self.comparison["verdict"] == "cannot tell apart"]]

    def summary(self) -> str:
        """Return the report as text."""
        from devicekit.fit_reports import summary

        return summary(self)


def fit_device(
    measurements: Measurements,
    model: str = "auto",
    *,
    criterion: Criterion = "bic",
    candidates: Sequence[str] | None = None,
    i_max: float | str | None = None,
    on_off_ratio: float | None = None,
    read_voltage: float | str | None = None,
    name: str | None = None,
    technology: str | None = None,
) -> DeviceFit:
    """Fit a cell to measurements: statistics of every state, an error model by likelihood, the choice explained.

    Args:
        measurements: from `read_measurements`.
        model: an error model's name, or ``"auto"`` for the best by `criterion`.
        criterion: ``"bic"`` or ``"aicc"``.
        candidates: models to compare; None: all.
        i_max: full scale [A]; None: what the file states, else the highest target.
        on_off_ratio: full scale over the smallest current; None: what the file states, else the span of the targets.
        read_voltage: voltage of the read [V]; None: what the measurements were read with, else 0.1 V, assumed.
        name: the cell's name; None: the file's.
        technology: process the cell belongs to; None: what the file states.

    Returns:
        The fit; its `.cell` is ready for simulation.

    Raises:
        MeasurementError: too few cells in a state, or states without spread; the message names the file and target.
        DeviceError: an unknown model or criterion.
    """
    table = state_table(measurements)
    facts = _Facts(measurements)
    full_scale = facts.number("i_max", i_max, "A", float(table["target"].max()), "the highest target")
    lowest = float(table["target"].min())
    span = full_scale / lowest if lowest > 0 else math.inf
    ratio = facts.number("on_off_ratio", on_off_ratio, "", span if span > 1 else math.inf, "the span of the targets")
    volts = facts.number("read_voltage", read_voltage, "V", measurements.read_voltage or 0.1, "a usual read voltage")
    names = None if model == "auto" else [model]
    if candidates is not None:
        names = list(candidates) if model == "auto" else list(dict.fromkeys([*candidates, model]))
    fits = fit_candidates(table["target"], table["sigma"], table["dof"], full_scale, names)
    comparison = compare_models(fits, criterion)
    chosen = str(comparison.index[0]) if model == "auto" else model
    best = fits[chosen]
    expected = best.model.sigma(table["target"].to_numpy(), full_scale)
    table["sigma_model"] = expected
    table["residual"] = deviance_residuals(
        np.maximum(expected, 1e-6 * full_scale), table["sigma"].to_numpy(), table["dof"].to_numpy()
    )
    notes = list(facts.notes)
    shift, note = _mean_error(table)
    notes.append(note)
    notes += _choice_notes(comparison, best, chosen, criterion)
    cell_name = name or Path(measurements.place).stem
    return DeviceFit(
        model=chosen,
        parameters=best.parameters,
        table=table,
        comparison=comparison,
        cell=Cell(
            name=cell_name,
            technology=technology if technology is not None else measurements.metadata.get("technology", ""),
            error=best.model,
            covariance=best.covariance,
            i_max=full_scale,
            on_off_ratio=ratio,
            read_voltage=volts,
            mean_error=shift,
            provenance={**facts.provenance, **_fit_provenance(best, measurements)},
        ),
        fits=fits,
        measurements=measurements,
        criterion=criterion,
        notes=tuple(notes),
    )


def state_table(measurements: Measurements) -> pd.DataFrame:
    """Return the statistics of every state.

    Args:
        measurements: cells at one condition.

    Raises:
        MeasurementError: a state of one cell, or of cells that are all equal.
    """
    sample = sort_states(measurements.columns["target"], measurements.columns["value"])
    spread = normal_spread(sample)
    for fault, what in (
        (sample.counts < 2, "has one cell; a spread needs at least two"),
        (spread.sigma <= 1e-12 * np.abs(spread.mean), "has cells that are all equal; a spread cannot be fitted"),
    ):
        if np.any(fault):
            target = float(sample.targets[np.flatnonzero(fault)[0]])
            raise MeasurementError(
                f"{measurements.place}: the target {target:.6g} A {what} ({int(fault.sum())} such targets of"
                f" {len(sample.targets)})."
            )
    return pd.DataFrame(
        {
            "target": sample.targets,
            "n": sample.counts,
            "mean": spread.mean,
            "sigma": spread.sigma,
            "mean_stderr": spread.mean_stderr,
            "sigma_stderr": spread.sigma_stderr,
            "dof": spread.dof,
            "normality_p": anderson_darling(sample, spread),
            "mean_error": spread.mean - sample.targets,
        }
    )


def _mean_error(table: pd.DataFrame) -> tuple[TableShift | None, str]:
    """Return the shift of the means if it is more than their noise, and a sentence that says so."""
    z = table["mean_error"] / table["mean_stderr"]
    p = float(stats.chi2.sf(float((z**2).sum()), len(z)))
    if p > 0.01:
        return None, f"means agree with their targets (chi-square p = {p:.2g}); no mean error was put into the cell"
    worst = float((table["mean_error"].abs() / table["target"].clip(lower=1e-300)).max())
    shift = TableShift(table["target"].tolist(), table["mean"].tolist(), table["mean_stderr"].tolist())
    return shift, f"means differ from their targets (p = {p:.2g}, up to {worst:.1%} of the target); the cell has them"


def _choice_notes(comparison: pd.DataFrame, best: ModelFit, chosen: str, criterion: str) -> list[str]:
    notes = []
    close = [str(name) for name in comparison.index[comparison["verdict"] == "cannot tell apart"] if name != chosen]
    if close:
        notes.append(
            f"the data cannot tell {chosen} from {', '.join(close)} ({criterion} within {INDISTINGUISHABLE:g})"
        )
    if chosen != comparison.index[0]:
        notes.append(f"{comparison.index[0]} has the better {criterion}; {chosen} was asked for")
    if best.goodness < 0.01:
        notes.append(
            f"the spreads scatter more around {chosen} than their errors allow (goodness p = {best.goodness:.2g})"
        )
    return notes


def _fit_provenance(fit: ModelFit, measurements: Measurements) -> dict[str, Constant]:
    source = f"fitted to {Path(measurements.place).name} ({measurements.kind})"
    return {
        f"error.{name}": Constant(
            value=parameter.value,
            unit=parameter.unit or "1",
            kind="fitted",
            source=source,
            interval=(parameter.value - 1.96 * parameter.stderr, parameter.value + 1.96 * parameter.stderr),
        )
        for name, parameter in fit.parameters.items()
    }


class _Facts:
    """Collects the cell's constants from arguments, the file's metadata, or an assumption that is said."""

    def __init__(self, measurements: Measurements) -> None:
        self.measurements = measurements
        self.provenance: dict[str, Constant] = {}
        self.notes: list[str] = []

    def number(self, name: str, given: float | str | None, unit: str, otherwise: float, reason: str) -> float:
        place = Path(self.measurements.place).name
        stated = self.measurements.metadata.get(name)
        source: Any
        if given is not None:
            value, kind, source = parse_quantity(given, unit or "dimensionless", name), "measured", "given by the user"
        elif stated is not None:
            try:
                stated_value: float | str = float(stated)
            except ValueError:
                stated_value = stated
            value = parse_quantity(stated_value, unit or "dimensionless", f"{place}: {name}")
            kind, source = "measured", f"stated in {place}"
        elif name == "read_voltage" and self.measurements.read_voltage is not None:
            value, kind, source = otherwise, "measured", f"the measurements of {place} were read with it"
        else:
            value, kind, source = otherwise, "assumed", reason
            self.notes.append(f"{name} is assumed: {value:.4g} {unit}".rstrip() + f", {reason}")
        if math.isfinite(value):
            self.provenance[name] = Constant(value=value, unit=unit or "1", kind=kind, source=source)  # type: ignore[arg-type]
        return value
