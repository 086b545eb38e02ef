"""The recorded envelope of the bit-line models: what error to expect somewhere, and a warning outside of it."""

from __future__ import annotations

import functools
import warnings
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from circuits.bit_line.line_errors import LIMIT_LSB, BitLinePoint, Model, bit_line_errors
from circuits.errors import CircuitError
from devicekit.common.errors import unknown_name
from devicekit.common.paths import data_path

_COLUMNS, _PATTERNS = 8, 32
"""Columns and patterns of the arrays of the recorded map."""
AXES = ("rows", "r_p_hat", "activity", "mean_conductance")


class EnvelopeWarning(UserWarning):
    """A bit-line model is used where it is known to be wrong by more than half an ADC step."""


def recorded_errors() -> pd.DataFrame:
    """Return the error map that was recorded with the package, see ``scripts/record_bit_line_errors.py``.

    Columns as of `circuits.bit_line.line_errors.error_map`, and ``transistor``: the cell that was right by definition
    (``ekv`` for the bundled SONOS cell, ``bsim4`` for ngspice's built-in model, each with its source on the bit line).
    """
    return pd.read_csv(data_path("circuits/bit_line_errors.csv"))


def expected_error_lsb(
    point: BitLinePoint, model: Model | Literal["transistor"] = "resistor", *, gain_removed: bool = False
) -> float:
    """Return the largest error [LSB of 8 bits] that a model is to be expected to make at a place.

    Interpolated in the recorded map as a power law of rows, wire resistance, activity and conductance; a place beyond
    the map takes the law of its edge, and no less than the edge itself where more is wrong: errors saturate there.
    Where virtual ground or supply have a resistance, or drains lie on the bit line, a random array of that place is
    solved instead (up to seconds).

    Args:
        point: the place.
        model: the bit-line model in use; ``"transistor"`` is right by definition.
        gain_removed: after the best-fit gain is removed.

    Raises:
        CircuitError: a model that the map does not hold.
    """
    if model == "transistor":
        return 0.0
    column = "error_lsb_gain_removed" if gain_removed else "error_lsb"
    models, axes, values = _tables(point.pairing, column)
    if model not in models:
        raise CircuitError(unknown_name("bit-line model", str(model), [*models, "transistor"]))
    if not point.lines.any:
        return 0.0
    if not in_map(point):
        return float(_solved(point, model)[column])
    place = np.log([float(getattr(point, axis)) for axis in AXES])
    edge = np.minimum(place, [axis[-1] for axis in axes])
    return float(np.exp(max(_interpolate(axes, values[models.index(model)], where) for where in (place, edge))))


def in_map(point: BitLinePoint) -> bool:
    """Return whether the recorded map is of such lines: sources on bit lines that alone have a resistance."""
    return not (point.r_in_hat or point.r_s_hat) and point.orientation == "source"


@functools.lru_cache(maxsize=256)
def _solved(point: BitLinePoint, model: Model) -> pd.Series:
    """Return the errors of one model on a random array of the map's size, or of all columns that share a line."""
    columns = point.columns if point.shares_rows else _COLUMNS
    found = bit_line_errors(point, models=[model], columns=columns, patterns=max(2, _COLUMNS * _PATTERNS // columns))
    return found.iloc[0]


def beyond_map(point: BitLinePoint) -> list[str]:
    """Return the axes along which a place lies beyond the recorded map, where its law is only continued.

    None where virtual ground or supply have a resistance, or drains lie on the bit line: such a place is solved.

    Args:
        point: the place.
    """
    if not in_map(point):
        return []
    _, axes, _ = _tables(point.pairing, "error_lsb")
    place = {axis: float(getattr(point, axis)) for axis in AXES}
    return [
        axis
        for axis, grid in zip(AXES, axes, strict=True)
        if place[axis] > 0 and not grid[0] - 1e-9 <= np.log(place[axis]) <= grid[-1] + 1e-9
    ]


def warn_outside_envelope(
    point: BitLinePoint, model: Model | Literal["transistor"] = "resistor", *, limit_lsb: float = LIMIT_LSB
) -> float:
    """Warn, once for a model in a process, where it is expected to be wrong by more than the limit after its gain.

    For a layer: ``warn_outside_envelope(BitLinePoint.of(design, activity, rows), model)``.

    Args:
        point: the place.
        model: the bit-line model in use.
        limit_lsb: largest error allowed [LSB of 8 bits].

    Returns:
        The expected error [LSB].

    Raises:
        CircuitError: as for `expected_error_lsb`.
    """
    error = expected_error_lsb(point, model, gain_removed=True)
    if error > limit_lsb and model not in _warned:
        _warned.add(model)
        better = {"ideal": "affine", "resistor": "affine", "affine": "relinearised"}.get(model)
        advice = f" The {better} cell is closer." if better else ""
        beyond = beyond_map(point)
        far = f" That is beyond the map in {' and '.join(beyond)}: its law is continued." if beyond else ""
        warnings.warn(
            f"The bit-line model {model!r} is expected to be off by {error:.2g} LSB of an 8-bit ADC where cells "
            f"are transistors with their {point.orientation} on the bit line: {point.rows} rows, "
            f"R_p_hat = {point.r_p_hat:g}, {_others(point)}"
            f"{point.activity:.0%} of the rows on, mean conductance {point.mean_conductance:.3g}. Its envelope ends at "
            f"{limit_lsb:g} LSB.{far}{advice}",
            EnvelopeWarning,
            stacklevel=2,
        )
    return error


def _others(point: BitLinePoint) -> str:
    """Return the other resistances of a place in words."""
    ground = f"R_in_hat = {point.r_in_hat:g}, " if point.r_in_hat else ""
    return ground + (f"R_s_hat = {point.r_s_hat:g} (fed from {point.feed}), " if point.r_s_hat else "")


_warned: set[str] = set()


def forget_warnings() -> None:
    """Let `warn_outside_envelope` warn again."""
    _warned.clear()


@functools.cache
def _tables(pairing: str, column: str) -> tuple[list[str], list[NDArray[np.float64]], NDArray[np.float64]]:
    table = recorded_errors()
    table = table[(table["pairing"] == pairing) & (table["transistor"] == "ekv")]
    axes = [np.sort(table[axis].unique()) for axis in AXES]
    models = list(dict.fromkeys(table["model"]))
    shape = tuple(axis.size for axis in axes)
    order = table.sort_values(list(AXES))
    values = np.stack([order.loc[order["model"] == model, column].to_numpy().reshape(shape) for model in models])
    # Errors at rounding level follow no law; they are far below any limit.
    return models, [np.log(axis.astype(np.float64)) for axis in axes], np.log(np.maximum(values, 1e-9))


def _interpolate(axes: list[NDArray[np.float64]], values: NDArray[Any], place: NDArray[np.float64]) -> float:
    """Interpolate linearly along the first axis, after the others; beyond the ends along the last piece."""
    axis, rest = axes[0], axes[1:]
    if axis.size == 1:
        low, share = 0, 0.0
    else:
        low = int(np.clip(np.searchsorted(axis, place[0]) - 1, 0, axis.size - 2))
        share = float((place[0] - axis[low]) / (axis[low + 1] - axis[low]))
    ends = [values[low], values[min(low + 1, axis.size - 1)]]
    first, last = (_interpolate(rest, end, place[1:]) if rest else float(end) for end in ends)
    return first + share * (last - first)
