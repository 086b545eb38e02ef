"""A `PeripheralModel` applied to values before conversion: pure array functions, see `PeripheralModel` for the law."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.peripherals.model import ColumnErrors, PeripheralError, PeripheralModel


def draw_columns(model: PeripheralModel, columns: int, seed: int | np.random.Generator | None) -> ColumnErrors:
    """Return gain and offset of each column, drawn from the spread that mismatch gives them.

    Column k gets the same errors however many columns are drawn.

    Args:
        model: the peripherals.
        columns: number of columns, each with its own integrator, accumulator, gain stage and comparator.
        seed: seed or generator; None gives every column the mean.

    Returns:
        Gain and offset, each of shape (columns,).

    Raises:
        PeripheralError: fewer than one column.
    """
    if columns < 1:
        raise PeripheralError(f"Expected at least 1 column, but got {columns}.")
    return column_errors(model, column_deviates(columns, seed))


def column_deviates(columns: int, seed: int | np.random.Generator | None) -> NDArray[np.float64]:
    """Return the standard normals behind the errors of columns, shape (columns, 3); see `column_errors`.

    Args:
        columns: how many.
        seed: seed or generator; None gives every column the mean.
    """
    if seed is None:
        return np.zeros((columns, 3))
    generator = np.random.default_rng(seed)
    # A stream of its own for the third, so that what is drawn of the first two does not change.
    lines = generator.spawn(1)[0].standard_normal((columns, 1))
    return np.concatenate([generator.standard_normal((columns, 2)), lines], axis=1)


def column_errors(model: PeripheralModel, deviates: NDArray[np.float64]) -> ColumnErrors:
    """Return gain and offset of columns from standard normals.

    Args:
        model: the peripherals.
        deviates: of gain, offset, and the offset that goes with the common current; shape (columns, 3).
    """
    return ColumnErrors(
        gain=model.gain + model.gain_sigma * deviates[:, 0],
        offset_lsb=model.offset_lsb + model.offset_sigma_lsb * deviates[:, 1],
        common_offset_lsb=model.common_offset_sigma_lsb * deviates[:, 2] if model.common_offset_sigma_lsb else None,
    )


def apply_peripherals(
    positions: ArrayLike,
    model: PeripheralModel,
    errors: ColumnErrors | None = None,
    *,
    zero: float | None = None,
    weighted: bool = True,
    common: ArrayLike | None = None,
    generator: np.random.Generator | None = None,
) -> NDArray[np.float64]:
    """Return what the ADC reads, before rounding, for values given as positions in its range.

    With v the value before conversion and (lo, hi) the ADC's range, ``positions = (v - lo) / (hi - lo)``; the
    code is ``rint(clip(result, 0, 1) * (levels - 1))``.

    Args:
        positions: values before conversion, shape (..., columns); 0 is the lowest code and 1 the highest.
        model: the peripherals.
        errors: gain and offset of each column from `draw_columns`; None takes the mean for all.
        zero: position of zero signal, about which the gain acts; None takes the model's own. On a range with another
            one than was characterised the circuits are the same, so that each signal, as a share of full scale,
            meets the same errors, as shares of full scale.
        weighted: whether the values were summed with `bit_weights`; otherwise what the weights would have moved
            enters as noise.
        common: common current of each conversion over the model's `common_current`, of the shape of `positions`; None
            takes its mean.
        generator: source of the noise, drawn in array order, so that a stream split into batches gets the same
            noise; None leaves noise out.

    Returns:
        Positions as read, shape (..., columns); they may lie outside 0..1.

    Raises:
        PeripheralError: the columns of `positions` and `errors` differ, or `zero` is not in 0..1.
    """
    positions = np.asarray(positions, dtype=np.float64)
    zero = model.zero if zero is None else zero
    if not 0 <= zero < 1:
        raise PeripheralError(f"Expected `zero` from 0 to below 1, but got {zero}.")
    errors_of_all = (np.asarray(model.gain), np.asarray(model.offset_lsb))
    gain, offset = errors_of_all if errors is None else (errors.gain, errors.offset_lsb)
    if errors is not None and positions.shape[-1:] != errors.gain.shape:
        raise PeripheralError(
            f"Expected positions of {errors.gain.size} columns, as drawn, but got the shape {positions.shape}."
        )
    scale = scale_of(model, zero)
    own = positions if scale == 1 else model.zero + (positions - zero) * scale
    if common is not None and model.follows_common_current:
        excess = np.asarray(common, dtype=np.float64) - 1
        gain = gain * (1 + model.common_gain * excess)
        offset = offset + model.common_offset_lsb * excess
        if errors is not None and errors.common_offset_lsb is not None:
            offset = offset + errors.common_offset_lsb * (1 + excess)
    elif errors is not None and errors.common_offset_lsb is not None:
        offset = offset + errors.common_offset_lsb
    analog = own + (gain - 1) * (own - model.zero) + offset * model.lsb
    analog = np.clip(analog, model.clip_low, model.clip_high)
    reading = analog + non_linearity(analog, model) * model.lsb
    if scale != 1:
        reading = zero + (reading - model.zero) / scale
    if generator is not None:
        reading += (
            noise_rms(positions, model, zero=zero, weighted=weighted)
            * generator.standard_normal(positions.shape)
            * model.lsb
        )
    return reading


def scale_of(model: PeripheralModel, zero: float) -> float:
    """Return full scale as a share of the range characterised, over the same as a share of the range in use.

    Args:
        model: the peripherals.
        zero: position of zero signal in the range in use.
    """
    return (1 - model.zero) / (1 - zero)


def non_linearity(positions: ArrayLike, model: PeripheralModel) -> NDArray[np.float64]:
    """Return the integral non-linearity at any position, held constant beyond the ends of the range.

    Args:
        positions: positions in the ADC's range, any shape.
        model: the peripherals.

    Returns:
        INL [LSB], of the same shape.
    """
    grid = np.linspace(0, 1, len(model.inl_lsb))
    return np.asarray(np.interp(np.asarray(positions, dtype=np.float64), grid, model.inl))


def noise_rms(
    positions: ArrayLike, model: PeripheralModel, *, zero: float | None = None, weighted: bool = True
) -> NDArray[np.float64]:
    """Return the rms noise of a conversion: constant parts, and shot noise that goes with the root of the signal.

    Args:
        positions: positions in the ADC's range, any shape.
        model: the peripherals.
        zero: position of zero signal, see `apply_peripherals`; None takes the model's own.
        weighted: whether the values were summed with `bit_weights`, see `apply_peripherals`.

    Returns:
        Standard deviation [LSB of the range in use], of the same shape.
    """
    zero = model.zero if zero is None else zero
    signal = np.abs(np.asarray(positions, dtype=np.float64) - zero) / (1 - zero)
    constant, shot = noise_variances(model, weighted=weighted)
    rms: NDArray[np.float64] = np.sqrt(constant + shot * signal) / scale_of(model, zero)
    return rms


def noise_variances(model: PeripheralModel, *, weighted: bool = True) -> tuple[float, float]:
    """Return the variance of a conversion's noise: the constant part, and that of a full-scale signal's shot noise.

    Args:
        model: the peripherals.
        weighted: whether the values were summed with `bit_weights`, see `apply_peripherals`.

    Returns:
        Both [LSB^2 of the range characterised].
    """
    pattern = model.pattern_lsb if weighted else model.pattern_scatter_lsb
    return model.noise_lsb**2 + pattern**2, model.shot_noise_lsb**2
