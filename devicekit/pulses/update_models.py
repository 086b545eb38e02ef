"""An update model: what one pulse does to a conductance on average, with the noise of pulses and reads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devicekit.common.errors import DeviceError, unknown_name
from devicekit.common.numbers import is_real
from devicekit.pulses.update_laws import SHAPE_PARAMETERS, UPDATE_LAWS, UpdateLaw, step_shape

Floats = NDArray[np.float64]
Seed = int | np.random.Generator


@dataclass(frozen=True)
class UpdateBranch:
    """One direction of the update.

    Attributes:
        step: change of a pulse in the middle of the range, above 0 [S].
        shape: parameters of the law in the order of `SHAPE_PARAMETERS`.
    """

    step: float
    shape: tuple[float, ...] = ()


@dataclass(frozen=True)
class UpdateModel:
    """Change of conductance by one pulse.

    Attributes:
        law: one of `UPDATE_LAWS`.
        g_min: lower end of the range [S]; the asymptote of down pulses for soft bounds.
        g_max: upper end [S].
        up: pulses that raise the conductance; None: not measured.
        down: pulses that lower it; None: not measured.
        pulse_noise: spread of a single pulse's change, as a share of the step: of the step there and then where
            `noise_kind` is ``"multiplicative"``, of the step in the middle of the range where it is ``"additive"``.
        noise_kind: see `pulse_noise`.
        read_noise: spread of one reading about the conductance [S].

    Raises:
        DeviceError: an unknown law, an empty range, or steps and noises that are impossible.
    """

    law: UpdateLaw
    g_min: float
    g_max: float
    up: UpdateBranch | None
    down: UpdateBranch | None
    pulse_noise: float = 0.0
    noise_kind: Literal["multiplicative", "additive"] = "multiplicative"
    read_noise: float = 0.0

    def __post_init__(self) -> None:
        if self.law not in UPDATE_LAWS:
            raise DeviceError(unknown_name("update law", str(self.law), UPDATE_LAWS))
        if not (is_real(self.g_min) and is_real(self.g_max) and self.g_min < self.g_max):
            raise DeviceError(f"Expected `g_min` below `g_max`, but got {self.g_min!r} and {self.g_max!r}.")
        for name, branch in (("up", self.up), ("down", self.down)):
            if branch is None:
                continue
            if not (0 < branch.step < math.inf) or len(branch.shape) != len(SHAPE_PARAMETERS[self.law]):
                raise DeviceError(
                    f"Expected the {name} branch of a {self.law} update to have a step above 0 and the parameters"
                    f" {SHAPE_PARAMETERS[self.law]!r}, but got {branch!r}."
                )
        if self.noise_kind not in ("multiplicative", "additive"):
            raise DeviceError(unknown_name("kind of pulse noise", str(self.noise_kind), ("multiplicative", "additive")))
        if not (self.pulse_noise >= 0 and self.read_noise >= 0):
            raise DeviceError(
                f"Expected noises of at least 0, but got pulse_noise={self.pulse_noise!r},"
                f" read_noise={self.read_noise!r}."
            )

    @property
    def range(self) -> float:
        """G_max - G_min [S]."""
        return self.g_max - self.g_min

    def branch(self, up: bool) -> UpdateBranch:
        """Return one direction.

        Raises:
            DeviceError: it was not measured.
        """
        found = self.up if up else self.down
        if found is None:
            raise DeviceError(f"The {'up' if up else 'down'} pulses of this update model were not measured.")
        return found

    def change(self, conductance: ArrayLike, up: bool) -> Floats:
        """Return the mean change of a pulse [S], above 0 for up pulses, at conductances [S] of any shape."""
        branch = self.branch(up)
        w = 2.0 * (np.asarray(conductance, dtype=np.float64) - self.g_min) / self.range - 1.0
        sign = 1.0 if up else -1.0
        return sign * branch.step * step_shape(self.law, sign * w, branch.shape)

    def noise(self, conductance: ArrayLike, up: bool) -> Floats:
        """Return the spread of a single pulse's change [S]; arguments as `change`."""
        if self.noise_kind == "additive":
            return np.full(np.shape(conductance), self.pulse_noise * self.branch(up).step)
        return self.pulse_noise * np.abs(self.change(conductance, up))

    def ramp(self, start: ArrayLike, pulses: int, up: bool, seed: Seed | None = None) -> Floats:
        """Return conductances along a train of equal pulses [S], shape (..., pulses + 1).

        Args:
            start: conductances before the first pulse [S].
            pulses: number of pulses.
            up: their direction.
            seed: draws the noise of pulses and reads; None: the mean.
        """
        generator = None if seed is None else np.random.default_rng(seed)
        now = np.array(start, dtype=np.float64)
        trace = [now]
        for _ in range(pulses):
            change = self.change(now, up)
            if generator is not None:
                change = change + self.noise(now, up) * generator.standard_normal(now.shape)
            now = np.clip(now + change, self.g_min, self.g_max)
            trace.append(now)
        result = np.stack(trace, axis=-1)
        if generator is not None:
            result = result + self.read_noise * generator.standard_normal(result.shape)
        return result

    @property
    def symmetry_point(self) -> float:
        """Conductance at which up and down pulses cancel on average [S]; NaN where they do so nowhere.

        Raises:
            DeviceError: one direction was not measured.
        """
        from scipy import optimize

        def net(conductance: float) -> float:
            return float(self.change(conductance, True) + self.change(conductance, False))

        if net(self.g_min) * net(self.g_max) > 0:
            return math.nan
        return float(optimize.brentq(net, self.g_min, self.g_max))

    def values(self) -> dict[str, float]:
        """Return all parameters by name, SI units (`unit`)."""
        result = {"g_min": self.g_min, "g_max": self.g_max}
        for side, branch in (("up", self.up), ("down", self.down)):
            if branch is not None:
                result[f"step_{side}"] = branch.step
                result |= {
                    f"{name}_{side}": value
                    for name, value in zip(SHAPE_PARAMETERS[self.law], branch.shape, strict=True)
                }
        return {**result, "pulse_noise": self.pulse_noise, "read_noise": self.read_noise}

    @staticmethod
    def unit(parameter: str) -> str:
        """Return the unit of a parameter of `values`: ``"S"``, or an empty text for a pure number."""
        return "S" if parameter in ("g_min", "g_max", "step_up", "step_down", "read_noise") else ""
