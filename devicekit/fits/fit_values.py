"""What a device fit found, as plain values: what its report, its figures and its files are made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from devicekit.cells.cell import Cell
from devicekit.cells.digital_levels import ERROR_RATES, digital_levels, state_overlap
from devicekit.fits.model_choice import Criterion
from devicekit.fits.model_fits import ModelFit, Parameter
from devicekit.fits.temperature_fits import BakeFit, ReadTemperatureFit
from devicekit.measurements.measurements import Measurements
from devicekit.statistics.state_tables import States
from devicekit.statistics.variance_components import VarianceComponents

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LaterFit:
    """The states at a later time.

    Attributes:
        time: time after programming [s].
        states: their statistics.
        fit: the error model fitted then.
    """

    time: float
    states: States
    fit: ModelFit


@dataclass(frozen=True, eq=False)
class FitValues:
    """The values of a fitted device; `DeviceFit` adds the report, the figure and the file.

    Attributes:
        model: name of the chosen error model.
        comparison: every candidate, best first; see `model_choice.compare_models`.
        cell: the cell that simulations use.
        fits: every candidate's fit by name.
        states: statistics of the programmed states.
        measurements: what was fitted.
        criterion: what the choice was made by.
        notes: what a person should know before using the cell.
        eta: gate coupling behind ``threshold_sigma``.
        later: the states at later times.
        read_noise: fit of the read noise; None: not measured.
        read_noise_table: noise by state; None: not measured.
        read_temperature: law of read temperature; None: not measured.
        bake: activation from bakes; None: not measured.
        components: variance components; None: no die or wafer column.
        bootstrap: parameters of cells drawn again, one row a replicate; None: not asked for.
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
        """One row a state, SI units.

        ``target``, ``n``, ``mean``, ``sigma``, ``mean_stderr``, ``sigma_stderr``, ``dof``, ``normality_p``,
        ``mean_error``, ``tail_bits``, ``sigma_model``, ``residual`` (deviance residual, standard normal if the model is
        true), ``threshold_sigma`` [V] (spread of threshold voltage behind sigma).
        """
        return self.states.table

    @property
    def alternatives(self) -> list[str]:
        """Models that the data cannot tell from the chosen one."""
        close = self.comparison["verdict"] == "cannot tell apart"
        return [str(name) for name in self.comparison.index[close] if name != self.model]

    @property
    def tails(self) -> pd.DataFrame:
        """Cells too far out for their state, farthest first; see `robust_statistics.tail_bits`."""
        return self.states.tails

    @property
    def overlap(self) -> pd.DataFrame:
        """Chance of mistaking neighbouring measured states; see `digital_levels.state_overlap`."""
        return state_overlap(self.table["mean"], self.table["sigma"])

    def levels(self, error_rate: float) -> Floats:
        """Return the target currents [A] of as many digital levels as the cell holds.

        Args:
            error_rate: chance of a misread on each side.

        Raises:
            DeviceError: an error rate outside 0..0.5.
        """
        return digital_levels(
            lambda current: float(self.cell.sigma(current)), self.cell.i_min, self.cell.i_max, error_rate
        )

    @property
    def level_counts(self) -> dict[float, int]:
        """Number of digital levels by error rate."""
        return {rate: len(self.levels(rate)) for rate in ERROR_RATES}

    def band(self, current: ArrayLike, coverage: float = 0.95, cells: float | None = None) -> tuple[Floats, Floats]:
        """Return the band that sigma(current) lies in, or that the spread of a new sample of cells would.

        Args:
            current: programmed currents [A].
            coverage: chance of lying in it.
            cells: cells of a new sample; its own scatter is added. None: the band of the law itself.

        Returns:
            Lower and upper edge [A], same shape.
        """
        currents = np.asarray(current, dtype=np.float64)
        sigma = self.fit.model.sigma(currents, self.fit.i_max)
        variance = (self.fit.sigma_stderr(currents) / np.maximum(sigma, 1e-300)) ** 2
        if cells is not None:
            variance = variance + 0.5 / (cells - 1.0)
        # On the logarithm: a spread is positive and its error is relative.
        half = float(stats.norm.ppf(0.5 + coverage / 2)) * np.sqrt(variance)
        return sigma * np.exp(-half), sigma * np.exp(half)
