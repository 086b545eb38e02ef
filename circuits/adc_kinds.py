"""Kinds of ADC and their registry: what a kind takes in clock cycles, which circuits it is made of, how it errs.

A kind is one class with a few numbers. Those of this module are known by name everywhere; a kind of one's own is made
known by `register_adc_kind`, or by an installed package through the entry-point group ``devicekit.adc_kinds``.
"""

from __future__ import annotations

from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from devicekit.common.errors import DesignError
from devicekit.common.provenance import Constant
from devicekit.common.registry import Registry

DEFAULT_KIND = "ramp"
"""The kind of a core that says nothing of its ADC."""


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
        components: components of a library that belong to it, the one that every column has first; None for
            ``NAME_adc`` alone.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    cycles: ClassVar[str]
    clock: ClassVar[str | None] = None
    cycle_time: ClassVar[Constant | None] = None
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
    clock = "timing.ramp_step"
    components = ("comparator", "ramp")


@register_adc_kind
class Sar(AdcKind):
    """Successive approximation, one ADC a column: a cycle for sampling and one a bit."""

    name = "sar"
    label = "SAR ADC"
    cycles = "bits + 1"


@register_adc_kind
class Flash(AdcKind):
    """All thresholds at once, one ADC a column: one cycle."""

    name = "flash"
    label = "flash ADC"
    cycles = "1"
