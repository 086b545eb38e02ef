"""Results of a device fit as plain values; report, figures and files are made from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from devicekit.cells.cell import Cell
from devicekit.cells.digital_levels import ERROR_RATES, state_overlap
from devicekit.cells.measured_levels import cell_levels
from devicekit.cells.retention_laws import LawName
from devicekit.common.errors import DeviceError
from devicekit.common.plain import plain_dict
from devicekit.common.unit_checks import warn_of_current
from devicekit.fits.model_choice import Criterion
from devicekit.fits.model_fits import ModelFit, Parameter
from devicekit.fits.outliers import Outliers, fitted_columns
from devicekit.fits.retention_fits import RetentionLawFit
from devicekit.fits.temperature_fits import BakeFit, ReadTemperatureFit
from devicekit.measurements.measurements import Measurements
from devicekit.statistics.recording import Recording
from devicekit.statistics.state_tables import States
from devicekit.statistics.variance_components import VarianceComponents

Floats = NDArray[np.float64]

_UNITS = {
    "target": "target_a",
    "mean": "mean_a",
    "sigma": "sigma_a",
    "mean_stderr": "mean_stderr_a",
    "sigma_stderr": "sigma_stderr_a",
    "mean_error": "mean_error_a",
    "sigma_model": "sigma_model_a",
    "threshold_sigma": "threshold_sigma_v",
    "read_noise": "read_noise_a",
    **{
        name: f"{name}_a"
        for name in (
            "sigma_low",
            "sigma_high",
            "body_mean",
            "body_sigma",
            "body_mean_stderr",
            "body_sigma_stderr",
            "cell_sigma",
            "cell_sigma_low",
            "cell_sigma_high",
            "cycle_sigma",
            "cycle_sigma_low",
            "cycle_sigma_high",
        )
    },
}
"""Columns of the state table that get their unit into the name when they leave for a file."""


_WITHOUT_TRANSISTOR = ("rram", "reram", "pcm", "pram", "mram", "memristor", "cbram", "oxram", "resistive", "ecram")
"""Technologies whose cell is a resistance, by a part of their name."""


def is_transistor(technology: str, measurements: Measurements) -> bool:
    """Return whether a cell is read as a transistor in subthreshold rather than as a resistance.

    Resistances are cells of a resistive technology, and those that were given as conductances or resistances.

    Args:
        technology: as the user or the file names it; may be empty.
        measurements: what was fitted.
    """
    name = technology.lower()
    if any(word in name for word in _WITHOUT_TRANSISTOR):
        return False
    return bool(name) or measurements.read_voltage is None


@dataclass(frozen=True, eq=False)
class LaterFit:
    """State statistics and error model at one time after programming.

    Attributes:
        time: time after programming [s].
        states: statistics of the states at that time.
        fit: the error model fitted to them.
    """

    time: float
    states: States
    fit: ModelFit


@dataclass(frozen=True, eq=False)
class FitValues:
    """Results of a device fit: the cell, the error models compared, and the statistics behind them.

    Attributes:
        model: name of the chosen error model.
        comparison: one row a candidate, best first; see `model_choice.compare_models`.
        cell: the fitted cell, for simulations.
        fits: the fit of every candidate by name.
        states: statistics of the programmed states.
        measurements: what was fitted.
        criterion: criterion of the choice, ``"bic"`` or ``"aicc"``.
        notes: assumptions and caveats.
        eta: gate coupling that ``threshold_sigma`` was computed with.
        later: statistics and fits at later times.
        read_noise: fit of the read noise; None: not measured.
        read_noise_table: read noise by state; None: not measured.
        read_temperature: law of read temperature; None: not measured.
        bake: activation energy from bakes; None: not measured.
        components: variance components; None: no die or wafer column.
        bootstrap: parameters of the bootstrap, one row a replicate; None: not asked for.
        outliers: body and tail, and what each estimator gives; None: no outliers were found.
        retention_laws: laws of retention by name, the better first; empty: fewer than two later times.
        recording: how the instrument recorded currents.
    """

    model: str
    comparison: pd.DataFrame
    cell: Cell
    fits: dict[str, ModelFit]
    states: States
    measurements: Measurements
    criterion: Criterion
    notes: tuple[str, ...]
    eta: float = 1.0
    later: tuple[LaterFit, ...] = ()
    read_noise: ModelFit | None = None
    read_noise_table: pd.DataFrame | None = None
    read_temperature: ReadTemperatureFit | None = None
    bake: BakeFit | None = None
    components: VarianceComponents | None = None
    bootstrap: pd.DataFrame | None = None
    outliers: Outliers | None = None
    retention_laws: dict[LawName, RetentionLawFit] = field(default_factory=dict)
    recording: Recording = field(default_factory=Recording)

    @property
    def has_transistor(self) -> bool:
        """Whether the cell is a transistor in subthreshold, whose spread of current is one of threshold voltage."""
        return is_transistor(self.cell.technology, self.measurements)

    @property
    def fit(self) -> ModelFit:
        """The chosen model's fit: covariance, goodness, lmfit's result."""
        return self.fits[self.model]

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Parameters of the chosen model by name, with `.value`, `.stderr` and `.unit`."""
        return self.fit.parameters

    @property
    def table(self) -> pd.DataFrame:
        """Statistics of the programmed states, one row a state, SI units.

        ``target``, ``n``, ``mean``, ``sigma``, ``mean_stderr``, ``sigma_stderr``, ``sigma_low``, ``sigma_high`` (95 %
        interval), ``dof``, ``normality_p``, ``mean_error``, ``tail_bits``, ``sigma_model``, ``residual`` (deviance
        residual, standard normal if the model is true), ``threshold_sigma`` [V] (spread of threshold voltage behind
        sigma). Where outliers were found ``body_mean``, ``body_sigma`` and their errors, which the model is fitted to;
        where cells repeat ``cycles``, ``cell_sigma``, ``cycle_sigma`` with their intervals.
        """
        return self.states.table

    @property
    def alternatives(self) -> list[str]:
        """Models whose criterion is within 2 of the chosen one: the data do not tell them apart."""
        close = self.comparison["verdict"] == "cannot tell apart"
        return [str(name) for name in self.comparison.index[close] if name != self.model]

    @property
    def tails(self) -> pd.DataFrame:
        """Outlier cells, farthest first; see `robust_statistics.tail_bits`."""
        return self.states.tails

    @property
    def overlap(self) -> pd.DataFrame:
        """Misread probability of neighbouring measured states; see `digital_levels.state_overlap`."""
        table = fitted_columns(self.table)
        return state_overlap(table["mean"], table["sigma"])

    def levels(self, error_rate: float) -> Floats:
        """Return the target currents [A] of the digital levels that the cell holds at an error rate.

        The lowest is the lowest measured state: what the spread is below it was not measured.

        Args:
            error_rate: probability of a misread on each side of a level.

        Raises:
            DeviceError: an error rate outside 0..0.5.
        """
        return cell_levels(self.cell, error_rate)

    @property
    def states_over_time(self) -> pd.DataFrame:
        """The state tables of all times below each other, ``time_s`` beside them, units in the column names."""
        retention = self.cell.retention
        tables = [self.table.assign(time_s=retention.start if retention is not None else 0.0)]
        tables += [later.states.table.assign(time_s=later.time) for later in self.later]
        return pd.concat(tables, ignore_index=True).rename(columns=_UNITS)

    @property
    def level_counts(self) -> dict[float, int]:
        """Number of digital levels by error rate."""
        return {rate: len(self.levels(rate)) for rate in ERROR_RATES}

    def band(self, current: ArrayLike, coverage: float = 0.95, cells: float | None = None) -> tuple[Floats, Floats]:
        """Return the confidence band of sigma(I), or the prediction band of the spread of a new sample of cells.

        Args:
            current: programmed currents [A].
            coverage: probability, between 0 and 1.
            cells: number of cells of a new sample, for its prediction band; None: the confidence band of the law.

        Returns:
            Lower and upper edge [A], same shape.

        Raises:
            DeviceError: a coverage outside 0..1.
        """
        if not 0 < coverage < 1:
            raise DeviceError(f"Expected `coverage` to be above 0 and below 1, but got {coverage!r}.")
        currents = np.asarray(current, dtype=np.float64)
        warn_of_current("`current`", float(np.max(currents, initial=0.0)), self.cell.i_max, stacklevel=2)
        sigma = self.fit.model.sigma(currents, self.fit.i_max)
        variance = (self.fit.sigma_stderr(currents) / np.maximum(sigma, 1e-300)) ** 2
        if cells is not None:
            variance = variance + 0.5 / (cells - 1.0)
        # On the logarithm: a spread is positive and its error is relative.
        half = float(stats.norm.ppf(0.5 + coverage / 2)) * np.sqrt(variance)
        return sigma * np.exp(-half), sigma * np.exp(half)

    def to_dict(self) -> dict[str, Any]:
        """Return what was found as plain values: the chosen model, its parameters, all candidates and all states.

        Columns of the states carry their unit; what is not known is None.
        """
        return plain_dict(
            {
                "device": self.cell.name,
                "source": Path(self.measurements.place).name,
                "kind": self.measurements.kind,
                "cells": self.measurements.cells,
                "understood": self.measurements.understood,
                "model": self.model,
                "criterion": self.criterion,
                "alternatives": self.alternatives,
                "goodness_p": self.fit.goodness,
                "parameters": self.parameters,
                "comparison": self.comparison.reset_index(),
                "states": self.states_over_time,
                "outliers": self.outliers,
                "retention_laws": {name: found.to_dict() for name, found in self.retention_laws.items()},
                "digital_levels": {f"{rate:g}": count for rate, count in self.level_counts.items()},
                "warnings": self.measurements.warnings,
                "notes": [*self.measurements.notes, *self.notes],
            }
        )
