"""How wrong a model of the bit line is, in ADC steps, and up to which array it may be trusted.

Arrays of random cells are solved with each model and with the transistor cell behind them (Newton's method, which
agrees with ngspice to 1e-9). The error is what is left after the differential subtraction, in least significant bits
(LSB) of the column's own ADC, as it stands and with the one gain removed that fits the array best: a common
gain is absorbed by the layer's digital scale, so what remains of it is what costs accuracy.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from circuits.bit_line.checked import CellModel
from circuits.bit_line.resistances import Feed, LineResistances
from circuits.bit_line.solve import BitLineCell, solve_bit_lines
from circuits.bit_line.transistor_cell import Orientation, load_transistor_cell
from circuits.designs import CoreDesign, split_rows
from circuits.errors import CircuitError
from circuits.network_values import Activity
from devicekit.common.errors import unknown_name
from devicekit.common.numbers import is_real
from devicekit.common.plain import PlainValues

Pairing = Literal["differential", "offset"]
Model = Literal["ideal", "resistor", "affine", "relinearised"]

INNER_RANGE = 0.9998
"""Part of a column's values that its ADC's range holds."""
LIMIT_LSB = 0.5
"""The error at which the envelope ends."""
_MOST_CONDUCTANCE: dict[str, float] = {"differential": 0.5, "offset": 1.0}
"""Mean over every cell that a pairing can have at most: one cell of a pair is always empty."""
_LEAST = 1e-9
"""Stands for no activity and no conductance, where a power law has no place."""


@dataclass(frozen=True)
class BitLinePoint(PlainValues):
    """Array and wire for which bit-line models are compared: one place of the error map.

    Attributes:
        rows: cells of a bit line.
        r_p_hat: normalised wire resistance.
        activity: fraction of the rows that are on.
        mean_conductance: mean normalised conductance over every physical cell (both lines of a differential pair).
        pairing: ``differential``: two lines a column, one cell of a pair programmed, the other empty; ``offset``: one
            line a column, conductances spread by about 0.1 around the mean.
        r_in_hat: normalised resistance of the virtual ground.
        r_s_hat: normalised resistance of the line at the cells' other end.
        feed: where that line runs and is fed, see `circuits.bit_line.resistances.LineResistances`.
        columns: that share such a line, where it runs along the rows.
        orientation: end of the transistor cells that lies on the bit line.
    """

    rows: int
    r_p_hat: float
    activity: float = 0.5
    mean_conductance: float = 0.02
    pairing: Pairing = "differential"
    r_in_hat: float = 0.0
    r_s_hat: float = 0.0
    feed: Feed = "readout"
    columns: int = 8
    orientation: Orientation = "source"

    @property
    def lines(self) -> LineResistances:
        """Resistances of the lines."""
        return LineResistances(self.r_p_hat, self.r_in_hat, self.r_s_hat, self.feed)

    @property
    def shares_rows(self) -> bool:
        """Whether columns share the lines that feed their cells, so that they have to be solved together."""
        return self.r_s_hat > 0 and self.feed == "rows"

    def __post_init__(self) -> None:
        if isinstance(self.rows, bool) or not isinstance(self.rows, int) or self.rows < 1:
            raise CircuitError(f"Expected `rows` to be an integer of at least 1, but got {self.rows!r}.")
        if isinstance(self.columns, bool) or not isinstance(self.columns, int) or self.columns < 1:
            raise CircuitError(f"Expected `columns` to be an integer of at least 1, but got {self.columns!r}.")
        _ = self.lines  # says what is wrong with them
        if self.orientation not in get_args(Orientation):
            raise CircuitError(unknown_name("`orientation`", str(self.orientation), get_args(Orientation)))
        if not 0 < self.activity <= 1:
            raise CircuitError(f"Expected `activity` to be above 0 and at most 1, but got {self.activity!r}.")
        if self.pairing not in get_args(Pairing):
            raise CircuitError(unknown_name("`pairing`", str(self.pairing), get_args(Pairing)))
        most = _MOST_CONDUCTANCE[self.pairing]
        if not 0 < self.mean_conductance < most:
            raise CircuitError(
                f"Expected `mean_conductance` above 0 and below {most:g} for {self.pairing} cells, "
                f"but got {self.mean_conductance!r}."
            )

    @classmethod
    def of(
        cls,
        design: CoreDesign,
        activity: Activity,
        rows: int | None = None,
        lines: LineResistances | None = None,
        columns: int | None = None,
        orientation: Orientation = "source",
    ) -> Self:
        """Return where a layer's arrays lie: at their busiest input slice and their densest weight slice.

        Args:
            design: gives the wire resistance, the pairing of cells and how rows are split over arrays.
            activity: of the layer. Arrays without any current, and pairs with more than half of the conductance, are
                put at the nearest place that exists.
            rows: of the layer's matrix; None for the matrix that the core is sized for.
            lines: resistances of virtual ground and supply; None for none.
            columns: of the layer's matrix; None as for `rows`.
            orientation: end of the transistor cells that lies on the bit line.

        Raises:
            DesignError: fewer than one row.
        """
        pairing = pairing_of(design)
        largest_part, *_ = split_rows(design.matrix_rows if rows is None else rows, design.max_rows)
        most = 0.999 * _MOST_CONDUCTANCE[pairing]
        own = LineResistances() if lines is None else lines
        return cls(
            rows=largest_part,
            r_p_hat=design.r_p_hat,
            activity=max(float(activity.input_activity.max()), _LEAST),
            mean_conductance=min(max(float(activity.mean_conductance.max()), _LEAST), most),
            pairing=pairing,
            r_in_hat=own.r_in_hat,
            r_s_hat=own.r_s_hat,
            feed=own.feed,
            columns=min(design.matrix_columns if columns is None else columns, design.matrix_columns),
            orientation=orientation,
        )


def pairing_of(design: CoreDesign) -> Pairing:
    """Return how the bit lines of a design's columns come: in pairs that are subtracted, or each by itself."""
    return "differential" if design.lines_per_column == 2 else "offset"


def bit_line_errors(
    point: BitLinePoint,
    *,
    models: Sequence[Model] = get_args(Model),
    transistor: CellModel | None = None,
    columns: int = 16,
    patterns: int = 64,
    seed: int = 0,
    adc_bits: int = 8,
    adc_range: float | None = None,
) -> pd.DataFrame:
    """Return the errors of several bit-line models on one random array, against the transistor cell.

    Args:
        point: the array and its inputs.
        models: which models; ``ideal`` has no resistance of any line.
        transistor: the cell that is right by definition; None for the bundled SONOS cell, with the end on the bit line
            that the point says.
        columns: columns of the array.
        patterns: input patterns, one bit a row.
        seed: of conductances and patterns.
        adc_bits: ADC's resolution: 2^bits - 1 steps over a symmetric range, 2^bits over an unsigned one.
        adc_range: the ADC's upper limit in units of one full cell; None for each column's own inner 99.98 %.

    Returns:
        One row a model: the point, ``line_error`` (mean relative error of a line's current, signed, before
        subtraction), ``error_lsb`` (largest error after subtraction), ``error_rms_lsb``, ``gain`` (best fit of the
        model to the transistor), ``error_lsb_gain_removed``, ``error_rms_lsb_gain_removed``, ``loss`` (mean part of
        the ideal line current that the wires take).

    Raises:
        CircuitError: an ADC without steps or range, or as for `solve_bit_lines`.
    """
    symmetric = point.pairing == "differential"
    if adc_bits < (2 if symmetric else 1):
        raise CircuitError(
            f"Expected `adc_bits` of at least {2 if symmetric else 1} for {point.pairing} cells, but got {adc_bits}."
        )
    if adc_range is not None and not (is_real(adc_range) and adc_range > 0):
        raise CircuitError(f"Expected `adc_range` to be finite and above 0, but got {adc_range!r}.")
    if transistor is None and point.orientation == "drain":
        transistor = load_transistor_cell(orientation="drain")
    lines, signs, active = draw_array(point, transistor, columns=columns, patterns=patterns, seed=seed)
    ideal = active @ lines
    exact = _solve_lines(lines, active, "transistor", point, transistor)
    read = _subtract(exact, signs)
    top = np.quantile(np.abs(read), INNER_RANGE, axis=0) if adc_range is None else np.float64(adc_range)
    step = np.maximum(top, 1e-300) * (2.0 / (2**adc_bits - 2) if symmetric else 1.0 / (2**adc_bits - 1))
    used = np.abs(exact) > 0
    rows = []
    for model in models:
        solved = ideal if model == "ideal" else _solve(model, lines, active, point, transistor)
        value = _subtract(solved, signs)
        square = float(np.sum(value * value))
        gain = float(np.sum(value * read)) / square if square else 1.0
        plain, fitted = (value - read) / step, (gain * value - read) / step
        rows.append(
            {
                "rows": point.rows,
                "r_p_hat": point.r_p_hat,
                "activity": point.activity,
                "mean_conductance": point.mean_conductance,
                "pairing": point.pairing,
                **({"r_in_hat": point.r_in_hat} if point.r_in_hat else {}),
                **({"r_s_hat": point.r_s_hat, "feed": point.feed} if point.r_s_hat else {}),
                "model": model,
                "loss": float(np.mean(1 - exact[used] / ideal[used])),
                "line_error": float(np.mean(solved[used] / exact[used] - 1)),
                "error_lsb": float(np.max(np.abs(plain))),
                "error_rms_lsb": float(np.sqrt(np.mean(plain**2))),
                "gain": gain,
                "error_lsb_gain_removed": float(np.max(np.abs(fitted))),
                "error_rms_lsb_gain_removed": float(np.sqrt(np.mean(fitted**2))),
            }
        )
    return pd.DataFrame(rows)


def draw_array(
    point: BitLinePoint, transistor: CellModel | None, *, columns: int, patterns: int, seed: int
) -> tuple[NDArray[np.float64], tuple[float, float] | None, NDArray[np.bool_]]:
    """Return the random array of `bit_line_errors`: conductances, signs of the two halves of the columns, patterns.

    A cell that does not turn off (its ``least_target`` above 0) cannot be programmed below that: conductances are
    ``g_min + (1 - g_min) g`` then, empty cells included, and the pedestal is part of every line.

    Args:
        point: as for `bit_line_errors`.
        transistor: as for `bit_line_errors`.
        columns: as for `bit_line_errors`.
        patterns: as for `bit_line_errors`.
        seed: as for `bit_line_errors`.
    """
    rng = np.random.default_rng(seed)
    lines, signs = _lines(point, columns, rng)
    active = rng.random((patterns, point.rows)) < point.activity
    least = float(getattr(transistor, "least_target", 0.0))
    return (least + (1 - least) * lines if least else lines), signs, active


def _solve(
    model: Model,
    cells: NDArray[np.float64],
    active: NDArray[np.bool_],
    point: BitLinePoint,
    transistor: CellModel | None,
) -> NDArray[np.float64]:
    if model not in get_args(Model):
        raise CircuitError(unknown_name("bit-line model", str(model), get_args(Model)))
    cell: BitLineCell = model if model != "ideal" else "resistor"
    return _solve_lines(cells, active, cell, point, transistor)


def _solve_lines(
    cells: NDArray[np.float64],
    active: NDArray[np.bool_],
    cell: BitLineCell,
    point: BitLinePoint,
    transistor: CellModel | None,
) -> NDArray[np.float64]:
    """Return the currents of an array's lines; a pair's lie side by side where they share a line along the rows."""
    order = np.arange(cells.shape[1])
    if point.shares_rows and point.pairing == "differential":
        order = order.reshape(2, -1).T.ravel()
    currents = np.empty((len(active), cells.shape[1]))
    currents[:, order] = solve_bit_lines(cells[:, order], active, cell=cell, model=transistor, **point.lines.to_dict())
    return currents


def _lines(
    point: BitLinePoint, columns: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], tuple[float, float] | None]:
    """Draw cells: weight magnitudes that fall off like a trained layer's, or offset weights around the middle."""
    if point.pairing == "offset":
        spread = 20.0
        shape = (spread * point.mean_conductance, spread * (1 - point.mean_conductance))
        return rng.beta(*shape, size=(point.rows, columns)), None
    programmed = 2 * point.mean_conductance
    magnitude = rng.beta(1.0, 1.0 / programmed - 1.0, size=(point.rows, columns))
    positive = rng.random(magnitude.shape) < 0.5
    return np.hstack([np.where(positive, magnitude, 0.0), np.where(positive, 0.0, magnitude)]), (1.0, -1.0)


def _subtract(currents: NDArray[np.float64], signs: tuple[float, float] | None) -> NDArray[np.float64]:
    if signs is None:
        return currents
    plus, minus = np.hsplit(currents, 2)
    return np.asarray(signs[0] * plus + signs[1] * minus)


def error_map(
    rows: Sequence[int] = (144, 288, 576, 1152, 2304),
    r_p_hat: Sequence[float] = (1e-7, 1e-6, 1e-5, 1e-4),
    activity: Sequence[float] = (0.1, 0.5),
    mean_conductance: Sequence[float] = (0.005, 0.02, 0.1),
    pairing: Pairing = "differential",
    *,
    r_in_hat: float = 0.0,
    r_s_hat: float = 0.0,
    feed: Feed = "readout",
    models: Sequence[Model] = get_args(Model),
    transistor: CellModel | None = None,
    columns: int = 16,
    patterns: int = 64,
    seed: int = 0,
    adc_bits: int = 8,
    adc_range: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Return the errors of every model at every combination of the arguments, one row a model and combination.

    Args:
        rows: as in `BitLinePoint`.
        r_p_hat: as in `BitLinePoint`.
        activity: as in `BitLinePoint`.
        mean_conductance: as in `BitLinePoint`.
        pairing: as in `BitLinePoint`.
        r_in_hat: as in `BitLinePoint`, the same for every combination; so are the next two.
        r_s_hat: as in `BitLinePoint`.
        feed: as in `BitLinePoint`.
        models: as for `bit_line_errors`.
        transistor: as for `bit_line_errors`.
        columns: as for `bit_line_errors`.
        patterns: as for `bit_line_errors`.
        seed: as for `bit_line_errors`; the same for every combination.
        adc_bits: as for `bit_line_errors`.
        adc_range: as for `bit_line_errors`.
        progress: called with (done, total).

    Raises:
        CircuitError: as for `bit_line_errors`.
    """
    grid = list(itertools.product(mean_conductance, activity, r_p_hat, rows))
    points = [BitLinePoint(n, r, a, g, pairing, r_in_hat, r_s_hat, feed, columns) for g, a, r, n in grid]
    frames = []
    for done, point in enumerate(points, start=1):
        frames.append(
            bit_line_errors(
                point,
                models=models,
                transistor=transistor,
                columns=columns,
                patterns=patterns,
                seed=seed,
                adc_bits=adc_bits,
                adc_range=adc_range,
            )
        )
        if progress is not None:
            progress(done, len(points))
    return pd.concat(frames, ignore_index=True)


def envelope(errors: pd.DataFrame, limit_lsb: float = LIMIT_LSB) -> pd.DataFrame:
    """Return the most rows at which each model stays below a limit, for every wire, activity and conductance.

    Between two sizes of the map the error is interpolated as a power of the number of rows.

    Args:
        errors: of `error_map`.
        limit_lsb: largest error allowed [LSB].

    Returns:
        One row a model, resistance, activity, conductance and pairing, with ``max_rows`` and
        ``max_rows_gain_removed``: 0 where the smallest size already exceeds the limit, inf where none does; the sizes
        of the map are between ``smallest_rows`` and ``largest_rows``.

    Raises:
        CircuitError: a limit that is not above 0.
    """
    if not limit_lsb > 0:
        raise CircuitError(f"Expected the limit of the envelope to be above 0 LSB, but got {limit_lsb!r}.")
    keys = ["pairing", "model", "mean_conductance", "activity", "r_p_hat"]
    rows = []
    for key, group in errors.groupby(keys, sort=False):
        ordered = group.sort_values("rows")
        size = ordered["rows"].to_numpy(dtype=np.float64)
        rows.append(
            dict(zip(keys, key, strict=True))
            | {
                name: _crossing(size, ordered[column].to_numpy(dtype=np.float64), limit_lsb)
                for name, column in (("max_rows", "error_lsb"), ("max_rows_gain_removed", "error_lsb_gain_removed"))
            }
            | {"smallest_rows": int(size[0]), "largest_rows": int(size[-1])}
        )
    return pd.DataFrame(rows)


def _crossing(size: NDArray[np.float64], error: NDArray[np.float64], limit: float) -> float:
    above = np.flatnonzero(error > limit)
    if above.size == 0:
        return float("inf")
    first = int(above[0])
    if first == 0:
        return 0.0
    low, high = np.log(np.maximum(error[first - 1 : first + 1], 1e-30))
    share = (np.log(limit) - low) / (high - low)
    return float(np.floor(size[first - 1] * (size[first] / size[first - 1]) ** share))
