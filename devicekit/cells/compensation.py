"""Compensation of a read's temperature: a bias that follows a reference cell, as chips have it.

All cells of an array share it, so it is one factor on all currents. In subthreshold a gate voltage that moves by dV
multiplies every current by exp(eta q dV / kT). What it cannot take out is that states move differently: with a slope
that goes with 1/T, the currents of two states move apart as their ratio to the power T_r / T.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError

from devicekit.common.errors import DeviceError, unknown_name
from devicekit.common.foreign import read_toml
from devicekit.common.numbers import is_real
from devicekit.common.paths import data_path
from devicekit.common.plain import PlainValues
from devicekit.common.provenance import Constant

Tracking = Literal["reference_cell", "linear_bias"]
"""What the bias follows, see `ReadCompensation`."""
UNCOMPENSATED = "none"
_STEP = 0.5
"""Of the derivative by temperature [K]."""


class _Law(Protocol):
    def current(self, current: ArrayLike, temperature: float) -> NDArray[Any]: ...


@dataclass(frozen=True)
class ReadCompensation(PlainValues):
    """A read whose bias follows the temperature.

    With r(T) = I(T) / I(T_r) of a reference cell, all currents of a read at T are multiplied by

        reference_cell:  r(T)^-fraction
        linear_bias:     exp(-fraction (T - T_r) d ln r / dT at T_r)

    Either removes the fraction of the reference state's first-order change; a replica of the cell that sets the bias
    follows all orders, a bias generator that is linear in temperature the first. Other states keep what they move
    against the reference: in subthreshold ln(I_ref / I) / T_r a kelvin, up for states below it.

    Attributes:
        fraction: of the first-order change that is removed, 0 (uncompensated) to 1.
        reference: current of the reference cell over i_max, above 0 to 1.
        tracking: ``"reference_cell"`` or ``"linear_bias"``.

    Raises:
        DeviceError: a value out of its range, or an unknown tracking.
    """

    fraction: float
    reference: float = 0.5
    tracking: Tracking = "reference_cell"

    def __post_init__(self) -> None:
        if not (is_real(self.fraction) and 0 <= self.fraction <= 1):
            raise DeviceError(f"Expected `fraction` of a compensation to be 0 to 1, but got {self.fraction!r}.")
        if not (is_real(self.reference) and 0 < self.reference <= 1):
            raise DeviceError(
                f"Expected `reference` of a compensation, a share of i_max, above 0 and at most 1, but got "
                f"{self.reference!r}."
            )
        if self.tracking not in get_args(Tracking):
            raise DeviceError(unknown_name("`tracking`", str(self.tracking), get_args(Tracking)))

    def factor(self, law: _Law, i_max: float, temperature: float) -> float:
        """Return what all currents of a read are multiplied with.

        Args:
            law: current against read temperature.
            i_max: largest programmed current [A].
            temperature: of the read [K].

        Raises:
            DeviceError: the law leaves the reference cell without any current to follow.
        """
        if self.fraction == 0:
            return 1.0
        reference = self.reference * i_max
        if self.tracking == "reference_cell":
            ratio = float(law.current(reference, temperature)) / reference
            if not 0 < ratio < math.inf:
                raise DeviceError(
                    f"No bias follows a reference cell whose current at {temperature:g} K is {ratio:g} times what it "
                    "was: look at the cell's law of temperature."
                )
            return math.exp(-self.fraction * math.log(ratio))
        start = float(getattr(law, "reference", 300.0))
        return math.exp(-self.fraction * (temperature - start) * first_order_change(law, reference, start))

    def sentence(self) -> str:
        """Return in words what is removed."""
        if self.fraction == 0:
            return "uncompensated: gate bias and references stay as they were at calibration"
        follows = "follows a reference cell" if self.tracking == "reference_cell" else "is linear in temperature"
        return (
            f"compensated: {100 * self.fraction:g} % of the change of a state of {self.reference:g} I_max removed "
            f"by a bias that {follows}"
        )


def first_order_change(law: _Law, current: float, temperature: float) -> float:
    """Return d ln I / dT [1/K] of a state at a temperature, by a difference of half a kelvin either way.

    One-sided where the law ends there, as measured laws do.

    Args:
        law: current against read temperature.
        current: of the state at the law's reference [A].
        temperature: [K].
    """
    ends = []
    for end in (temperature + _STEP, temperature - _STEP):
        try:
            ends.append((end, math.log(float(law.current(current, end)))))
        except DeviceError:
            ends.append((temperature, math.log(float(law.current(current, temperature)))))
    (high, above), (low, below) = ends
    return 0.0 if high == low else (above - below) / (high - low)


CompensationLike = ReadCompensation | str | float | Mapping[str, Any]


def as_compensation(given: CompensationLike) -> ReadCompensation:
    """Return a compensation from one, from a tracking by name, a fraction, or plain values.

    Args:
        given: a `ReadCompensation`; ``"reference_cell"`` or ``"linear_bias"`` with the assumed fraction; ``"none"``
            for an uncompensated read; a fraction, as a number or text; or fields by name.

    Raises:
        DeviceError: none of these, or a value out of its range.
    """
    if isinstance(given, ReadCompensation):
        return given
    usual = {name: constant.value for name, constant in compensation_constants().items()}
    if isinstance(given, Mapping):
        known = [*usual, "tracking"]
        for key in given:
            if key not in known:
                raise DeviceError(unknown_name("field of a compensation", str(key), known))
        return ReadCompensation(**{**usual, **given})
    if given == UNCOMPENSATED:
        return ReadCompensation(0.0, usual["reference"])
    for tracking in get_args(Tracking):
        if given == tracking:
            return ReadCompensation(usual["fraction"], usual["reference"], tracking)
    fraction: object = given
    if isinstance(given, str):
        try:
            fraction = float(given)
        except ValueError:
            known = [*get_args(Tracking), UNCOMPENSATED]
            raise DeviceError(unknown_name("compensation", given, known) + " A fraction is given as 0 to 1.") from None
    if not is_real(fraction):
        raise DeviceError(f"Expected `compensation` to be a name, a fraction or fields, but got {given!r}.")
    return ReadCompensation(fraction, usual["reference"])


def usual_compensation() -> ReadCompensation:
    """Return what reads at another temperature are taken to have where nothing else is said."""
    return as_compensation("reference_cell")


@functools.cache
def compensation_constants() -> Mapping[str, Constant]:
    """Return the assumed fraction and reference with their sources, from ``data/reads/compensation.toml``."""
    path = data_path("reads/compensation.toml")
    try:
        return {name: Constant.model_validate(table) for name, table in read_toml(path, DeviceError).items()}
    except ValidationError as error:
        raise DeviceError(f"{path}: {error.errors()[0]['msg']}.") from None
