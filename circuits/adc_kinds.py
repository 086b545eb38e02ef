"""Kinds of ADC and their registry: what a kind takes in clock cycles, which circuits it is made of, how it errs.

A kind is one class with a few numbers. Those of this module are known by name everywhere; a kind of one's own is made
known by `register_adc_kind`, or by an installed package through the entry-point group ``devicekit.adc_kinds``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from circuits.converters.drawn import (
    BinarySearch,
    Converters,
    Levels,
    Pipeline,
    capacitor_weights,
    droop_of,
    flash_levels,
    ramp_levels,
)
from devicekit.common.errors import DesignError
from devicekit.common.provenance import Constant
from devicekit.common.registry import Registry

DEFAULT_KIND = "ramp"
"""The kind of a core that says nothing of its ADC."""


@dataclass(frozen=True)
class AdcParameter:
    """An error of a kind's own circuit, ideal at 0.

    Attributes:
        meaning: one line.
        high: largest value.
        signed: whether it may be negative.
    """

    meaning: str
    high: float
    signed: bool = False

    @property
    def requirement(self) -> str:
        """What `allows` asks, in words."""
        return f"a number from {-self.high if self.signed else 0:g} to {self.high:g}"

    def allows(self, value: float) -> bool:
        """Whether a value is in range."""
        return abs(value) <= self.high and (self.signed or value >= 0)


_OFFSET = AdcParameter("spread of the comparators' offsets from ADC to ADC, sigma [LSB]", 1e6)
_NOISE = AdcParameter("noise of the comparator, fresh at each decision, rms [LSB]", 1e6)


class AdcKind:
    """A kind of ADC. Subclass it, give it its numbers, and register it.

    An ADC of a kind (`circuits.Adc`) may give rate, energy, area and errors of its own; what it leaves open is taken
    from the component library of the energy estimate where that knows the kind, and from here where not.

    Attributes:
        name: what files and arguments call it; a Python identifier.
        label: what tables call it.
        cycles: clock cycles of one conversion as a formula of its resolution ``bits``, in plain arithmetic.
        clock: constant of a component library that is its clock cycle [s]; None for ``timing.NAME_cycle``.
        cycle_time: clock cycle [s] for libraries without that constant.
        interval: clock cycles from one conversion to the next where a conversion begins before the last one has ended;
            None: as long as a conversion takes.
        decisions: decisions of comparators in one conversion as a formula of ``bits``, which the energy of a decision
            is multiplied with.
        circuit: errors of its circuit that an ADC of this kind may give, by name.
        components: components of a library that belong to it, the one that every column has first; None for
            ``NAME_adc`` alone.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    cycles: ClassVar[str]
    clock: ClassVar[str | None] = None
    cycle_time: ClassVar[Constant | None] = None
    interval: ClassVar[str | None] = None
    decisions: ClassVar[str | None] = None
    circuit: ClassVar[Mapping[str, AdcParameter]] = {}
    components: ClassVar[tuple[str, ...] | None] = None

    @classmethod
    def clock_constant(cls) -> str:
        """Return the name of the library's constant for a clock cycle."""
        return cls.clock or f"timing.{cls.name}_cycle"

    @classmethod
    def component_names(cls) -> tuple[str, ...]:
        """Return the names of the library's components that belong to this kind."""
        return cls.components or (f"{cls.name}_adc",)

    @classmethod
    def noise_lsb(cls, bits: int) -> float:
        """Return the input-referred rms noise [LSB] of an ADC of this kind that gives none: ideal, 0.

        Args:
            bits: resolution.
        """
        return 0.0

    @classmethod
    def thresholds_lsb(cls, bits: int) -> NDArray[np.float64] | None:
        """Return the 2**bits - 1 transition levels [LSB] of an ADC of this kind that gives none; None: ideal.

        The ideal transition from code k - 1 to code k lies at k - 1/2.

        Args:
            bits: resolution.
        """
        return None

    @classmethod
    def check(cls, bits: int, errors: Mapping[str, float]) -> None:
        """Refuse errors that are impossible together, or at a resolution; what each may be says `circuit`.

        Args:
            bits: resolution.
            errors: those that are given, by name.

        Raises:
            DesignError: such errors.
        """

    @classmethod
    def draw(
        cls,
        bits: int,
        errors: Mapping[str, float],
        converters: int,
        own: np.random.Generator,
        shared: np.random.Generator,
        noise_lsb: float = 0.0,
    ) -> Converters:
        """Return ADCs as built, with the mismatch of their circuits drawn.

        A kind that has errors in `circuit` says here what they do.

        Args:
            bits: resolution.
            errors: value of every error of `circuit`.
            converters: number of ADCs.
            own: source of what differs from ADC to ADC.
            shared: source of what all ADCs of a core have in common, such as a ramp; in the same state for all of them.
            noise_lsb: input-referred noise of a conversion, rms [LSB].
        """
        raise DesignError(f"A {cls.label} has no errors of its circuit to draw from.")


Kind = TypeVar("Kind", bound=type[AdcKind])


def _check(kind: type[AdcKind]) -> None:
    """Refuse a kind without label and cycles, or with an impossible clock cycle.

    Raises:
        DesignError: the first of them.
    """
    where = f"Cannot register {kind.__name__!r} as ADC"
    for attribute in ("label", "cycles"):
        value = getattr(kind, attribute, None)
        if not isinstance(value, str) or not value.strip():
            raise DesignError(f"{where}: expected its attribute `{attribute}` to be a text, but got {value!r}.")
    for attribute in ("interval", "decisions"):
        value = getattr(kind, attribute)
        if value is not None and not (isinstance(value, str) and value.strip()):
            raise DesignError(f"{where}: expected its attribute `{attribute}` to be a text or None, but got {value!r}.")
    parameters = kind.circuit
    known = isinstance(parameters, Mapping) and all(isinstance(each, AdcParameter) for each in parameters.values())
    if not known:
        raise DesignError(f"{where}: expected its attribute `circuit` to be AdcParameters by name, not {parameters!r}.")
    if parameters and not any("draw" in vars(base) for base in kind.__mro__[: kind.__mro__.index(AdcKind)]):
        raise DesignError(
            f"{where}: expected a method `draw`, which says what its errors in `circuit` do, but found none."
        )
    cycle = kind.cycle_time
    if cycle is not None and not (isinstance(cycle, Constant) and cycle.unit == "s" and cycle.value > 0):
        raise DesignError(f"{where}: expected its attribute `cycle_time` to be above 0 s, but got {cycle!r}.")


_KINDS: Registry[AdcKind] = Registry("ADC", AdcKind, "devicekit.adc_kinds", DesignError, check=_check)


def register_adc_kind(kind: Kind) -> Kind:
    """Make a kind of ADC known by its name; return the class, so that this may decorate it.

    Args:
        kind: a subclass of `AdcKind` with name, label and cycles.

    Raises:
        DesignError: no such class, an attribute missing or impossible, or a name that another kind has.
    """
    _KINDS.register(kind)
    return kind


def adc_kind(name: str) -> type[AdcKind]:
    """Return a kind of ADC by name.

    Raises:
        DesignError: no such kind; it says the nearest names.
    """
    return _KINDS.get(name)


def adc_kind_names() -> list[str]:
    """Return the names of all known kinds of ADC: the bundled ones, registered ones, those of installed packages."""
    return list(_KINDS.all())


@register_adc_kind
class Ramp(AdcKind):
    """One ramp shared by all columns, a comparator a column, a counter: 2**bits clock cycles."""

    name = "ramp"
    label = "ramp ADC"
    cycles = "2 ** bits"
    decisions = "2 ** bits"
    clock = "timing.ramp_step"
    components = ("comparator", "ramp")
    circuit: ClassVar[Mapping[str, AdcParameter]] = {
        "bow_lsb": AdcParameter(
            "largest INL of a bent ramp between calibrated ends, signed as INL [LSB]", 1e4, signed=True
        ),
        "step_mismatch": AdcParameter("relative spread of the ramp's steps, sigma", 1.0),
        "comparator_offset_lsb": _OFFSET,
        "comparator_noise_lsb": _NOISE,
    }

    @classmethod
    def check(cls, bits: int, errors: Mapping[str, float]) -> None:
        """Refuse a bow that no bent ramp has."""
        if bits > 1:
            droop_of(errors.get("bow_lsb", 0.0) / (2**bits - 2))

    @classmethod
    def draw(
        cls,
        bits: int,
        errors: Mapping[str, float],
        converters: int,
        own: np.random.Generator,
        shared: np.random.Generator,
        noise_lsb: float = 0.0,
    ) -> Converters:
        """Return columns that share a ramp; the comparator decides once."""
        steps = shared.standard_normal(2**bits - 2) if bits > 1 else np.empty(0)
        levels = ramp_levels(bits, errors["bow_lsb"], errors["step_mismatch"], steps)
        offsets = errors["comparator_offset_lsb"] * own.standard_normal(converters)
        return Levels(levels[None, :], offsets, float(np.hypot(noise_lsb, errors["comparator_noise_lsb"])))


@register_adc_kind
class Sar(AdcKind):
    """Successive approximation, one ADC a column: a cycle for sampling and one a bit."""

    name = "sar"
    label = "SAR ADC"
    cycles = "bits + 1"
    decisions = "bits"
    circuit: ClassVar[Mapping[str, AdcParameter]] = {
        "capacitor_mismatch": AdcParameter("relative spread of a unit capacitor, sigma", 1.0),
        "comparator_offset_lsb": _OFFSET,
        "comparator_noise_lsb": _NOISE,
    }

    @classmethod
    def draw(
        cls,
        bits: int,
        errors: Mapping[str, float],
        converters: int,
        own: np.random.Generator,
        shared: np.random.Generator,
        noise_lsb: float = 0.0,
    ) -> Converters:
        """Return columns with a capacitor array and a comparator each."""
        normals = own.standard_normal((converters, bits + 2))
        weights = capacitor_weights(bits, errors["capacitor_mismatch"], normals[:, 1:])
        offsets = errors["comparator_offset_lsb"] * normals[:, 0]
        return BinarySearch(weights, offsets, errors["comparator_noise_lsb"], noise_lsb)


@register_adc_kind
class Flash(AdcKind):
    """All thresholds at once, one ADC a column: one cycle."""

    name = "flash"
    label = "flash ADC"
    cycles = "1"
    decisions = "2 ** bits - 1"
    circuit: ClassVar[Mapping[str, AdcParameter]] = {
        "comparator_offset_lsb": AdcParameter("spread of the comparators' offsets, sigma [LSB]", 1e6),
        "ladder_mismatch": AdcParameter("relative spread of the reference ladder's resistors, sigma", 1.0),
    }

    @classmethod
    def draw(
        cls,
        bits: int,
        errors: Mapping[str, float],
        converters: int,
        own: np.random.Generator,
        shared: np.random.Generator,
        noise_lsb: float = 0.0,
    ) -> Converters:
        """Return columns with a ladder and 2**bits - 1 comparators each."""
        normals = own.standard_normal((converters, 2 ** (bits + 1) - 1))
        levels = flash_levels(bits, errors["comparator_offset_lsb"], errors["ladder_mismatch"], normals)
        return Levels(levels, np.zeros(converters), noise_lsb)


@register_adc_kind
class PipelineKind(AdcKind):
    """Stages of a bit and a half and a flash of two bits, one ADC a column: a result a cycle, bits - 1 cycles late."""

    name = "pipeline"
    label = "pipeline ADC"
    cycles = "max(bits - 1, 1)"
    interval = "1"
    decisions = "2 * max(bits - 2, 0) + where(bits > 1, 3, 1)"
    cycle_time = Constant(
        value=1e-9,
        unit="s",
        kind="assumed",
        source="one sample a cycle; as fast as the ramp counter",
        interval=(5e-10, 1e-8),
    )
    circuit: ClassVar[Mapping[str, AdcParameter]] = {
        "stage_gain_error": AdcParameter("relative gain error that all stages have, signed", 0.5, signed=True),
        "stage_gain_mismatch": AdcParameter("relative spread of the stages' gains, sigma", 0.5),
        "comparator_offset_lsb": AdcParameter("spread of the stages' comparator offsets, sigma [LSB]", 1e6),
    }

    @classmethod
    def draw(
        cls,
        bits: int,
        errors: Mapping[str, float],
        converters: int,
        own: np.random.Generator,
        shared: np.random.Generator,
        noise_lsb: float = 0.0,
    ) -> Converters:
        """Return columns with stages each."""
        normals = own.standard_normal((converters, max(bits - 2, 0), 3))
        gains = errors["stage_gain_error"] + errors["stage_gain_mismatch"] * normals[:, :, 0]
        offsets = errors["comparator_offset_lsb"] / 2.0 ** (bits - 1) * normals[:, :, 1:]
        return Pipeline(bits, gains, offsets, noise_lsb)
