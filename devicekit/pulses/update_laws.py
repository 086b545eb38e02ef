"""How much one pulse changes a conductance: the laws of the update as pure functions of the position in the range.

With w = 2 (G - G_min) / (G_max - G_min) - 1 the position from -1 to 1, an up pulse adds s_up f(w) and a down pulse
takes s_down f(-w), where s is the step in the middle of the range and f(0) = 1:

- constant step: f = 1, up to the bounds;
- linear step: f = 1 - gamma w, up to the bounds;
- soft bounds: f = 1 - w, which never reaches them (Fusi & Abbott, Nat. Neurosci. 10 (2007) 485);
- exponential step: f = (1 + k exp(-r (1 + w) / 2)) / (1 + k exp(-r / 2)), large steps that fall to a floor.

These are the laws of the devices `ConstantStep`, `LinearStep`, `SoftBounds` and `ExpStep` of aihwkit (Rasch et al.,
AICAS 2021, doi 10.1109/AICAS51828.2021.9458494).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
UpdateLaw = Literal["constant_step", "soft_bounds", "linear_step", "exponential_step"]
UPDATE_LAWS: tuple[UpdateLaw, ...] = get_args(UpdateLaw)
SHAPE_PARAMETERS: dict[UpdateLaw, tuple[str, ...]] = {
    "constant_step": (),
    "soft_bounds": (),
    "linear_step": ("gamma",),
    "exponential_step": ("k", "rate"),
}
"""What each direction has beside its step."""


def step_shape(law: UpdateLaw, position: ArrayLike, shape: ArrayLike = ()) -> Floats:
    """Return f: the step over that in the middle of the range, at least 0.

    Args:
        law: one of `UPDATE_LAWS`.
        position: w for up pulses, -w for down pulses, any shape.
        shape: parameters of the direction in the order of `SHAPE_PARAMETERS`; each a number or of the shape of
        `position`.
    """
    w = np.asarray(position, dtype=np.float64)
    if law == "constant_step":
        return np.ones_like(w)
    if law == "soft_bounds":
        return np.maximum(1.0 - w, 0.0)
    values = [np.asarray(value, dtype=np.float64) for value in shape]  # type: ignore[union-attr]
    if law == "linear_step":
        return np.maximum(1.0 - values[0] * w, 0.0)
    k, rate = values
    return np.asarray((1.0 + k * np.exp(-0.5 * rate * (1.0 + w))) / (1.0 + k * np.exp(-0.5 * rate)))


def step_slope(law: UpdateLaw, position: ArrayLike, shape: ArrayLike = ()) -> Floats:
    """Return df / dw of `step_shape`; same arguments."""
    w = np.asarray(position, dtype=np.float64)
    if law == "constant_step":
        return np.zeros_like(w)
    if law == "soft_bounds":
        return -np.ones_like(w)
    values = [np.asarray(value, dtype=np.float64) for value in shape]  # type: ignore[union-attr]
    if law == "linear_step":
        return np.where(values[0] * w < 1.0, -values[0], 0.0)
    k, rate = values
    return np.asarray(-0.5 * rate * k * np.exp(-0.5 * rate * (1.0 + w)) / (1.0 + k * np.exp(-0.5 * rate)))
