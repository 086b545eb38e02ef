"""How signed weights are stored on cells: one class a form, from integers to digits and back.

A weight of ``weight_bits`` bits is an integer I of at most ``2^(weight_bits-1) - 1`` in magnitude. A form stores it as
digits 0..``2^cell_bits - 1`` of cells, one for each weight slice and bit line, such that

    I = sum_slices worth_s * (digit_s of the first line - digit_s of the second line) - offset

Core designs, the mapping of matrices, counts and statistics of cells ask these classes; no other place knows the forms.
Source of the forms: Xiao et al., "On the accuracy of analog neural network inference accelerators", IEEE Circuits and
Systems Magazine 22(4), 2022, doi 10.1109/MCAS.2022.3214409.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from devicekit.common.errors import DesignError
from devicekit.common.registry import Registry

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class WeightCode(ABC):
    """A form of storing signed weights, for weights and cells of given bits.

    A form of your own states its `name`, `digits`, and whichever of the rest differs from what stands here; then
    `register_weight_code` makes it known, or an entry point in the group ``devicekit.weight_codes`` of your package.
    All arithmetic is exact, in integers.

    Attributes:
        weight_bits: bits of a weight, sign included.
        cell_bits: bits a cell holds.
        name: what `CoreDesign.negative_weights` calls the form.
        lines: bit lines of a column: 1, or 2 of which the second is subtracted from the first.
        unit_column: whether a column of cells that store 0 measures what the offset draws; else it is known digitally.
        one_sign: whether all weights of a column share one sign, which is applied digitally: `digits` are those of
            magnitudes.
    """

    weight_bits: int
    cell_bits: int

    name: ClassVar[str]
    lines: ClassVar[int] = 1
    unit_column: ClassVar[bool] = False
    one_sign: ClassVar[bool] = False

    @classmethod
    def magnitude_bits(cls, weight_bits: int) -> int:
        """Return the bits of a weight that may share one cell: all but the sign."""
        return weight_bits - 1

    @abstractmethod
    def digits(self, integers: Integers) -> Integers:
        """Return what cells store, least significant slice first, positive line first.

        Args:
            integers: weights from ``-largest`` to ``largest``, any shape.

        Returns:
            Digits from 0 to ``levels``; shape (slices, lines, ...).
        """

    @property
    def worth(self) -> tuple[int, ...]:
        """Weight integers that one digit of each slice counts: powers of the base ``2^cell_bits``."""
        count = math.ceil(self.magnitude_bits(self.weight_bits) / self.cell_bits)
        return tuple(1 << (self.cell_bits * s) for s in range(count))

    @property
    def offset(self) -> int:
        """What every stored integer is raised by, and what is therefore subtracted from every product."""
        return 0

    @functools.cached_property
    def slices(self) -> int:
        """Cells (or pairs of cells) that share one weight."""
        return len(self.worth)

    @property
    def largest(self) -> int:
        """The largest magnitude of a weight integer."""
        return (1 << (self.weight_bits - 1)) - 1

    @property
    def levels(self) -> int:
        """The digit of a cell at G_max."""
        return (1 << self.cell_bits) - 1

    def base_digits(self, values: Integers, slices: int) -> Integers:
        """Return digits in base ``2^cell_bits``, least significant first, on a new leading axis.

        Args:
            values: integers of at least 0, any shape.
            slices: number of digits; the last takes what is left.
        """
        shifts = [self.cell_bits * s for s in range(slices)]
        return np.stack([*((values >> shift) & self.levels for shift in shifts[:-1]), values >> shifts[-1]])

    def integers(self, digits: Integers) -> Integers:
        """Return the weight integers that digits stand for: the inverse of `digits` (of magnitudes for `one_sign`).

        Args:
            digits: shape (slices, lines, ...).
        """
        lines = digits[:, 0] - digits[:, 1] if self.lines == 2 else digits[:, 0]
        return np.asarray(np.tensordot(np.array(self.worth, dtype=np.int64), lines, axes=1) - self.offset)

    def mean_states(self, probability: NDArray[np.float64]) -> tuple[float, ...]:
        """Return the mean state of the cells of each slice, over every cell: digit over `levels`, 0..1.

        Args:
            probability: of each weight integer from ``-largest`` to ``largest``, in order.
        """
        integers = np.arange(-self.largest, self.largest + 1)
        in_cells = self.digits(integers).sum(axis=1)
        return tuple(float(probability @ digits) / self.levels / self.lines for digits in in_cells)

    # -- flipped encoding: a dense column stores the complement of its digits ------------------------------------------

    def flips(self, digits: Integers) -> NDArray[np.bool_]:
        """Return which columns' digits sum to more than half of full scale.

        Args:
            digits: of one array, shape (slices, 1, rows, columns).

        Returns:
            Shape (slices, columns).
        """
        return np.asarray(digits[:, 0].sum(axis=1) * 2 > self.levels * digits.shape[2])

    def complement(self, digits: Integers) -> Integers:
        """Return what flipped columns store; of what they store, their digits."""
        return self.levels - digits

    # -- together with other fields of a design ------------------------------------------------------------------------

    def unmet(self, *, subtraction: str, flipped_encoding: bool) -> Iterator[tuple[str, str]]:
        """Yield the fields of a design that do not suit this form, each with what it would have to be.

        Args:
            subtraction: ``analog`` or ``digital``.
            flipped_encoding: whether columns above half of full scale are stored complemented.
        """
        most = self.magnitude_bits(self.weight_bits)
        if self.cell_bits > most:
            yield (
                "bits_per_cell",
                f"at most {most}, the bits that {self.weight_bits}-bit weights leave to a cell in {self.name} form",
            )
        if subtraction == "digital" and self.lines == 1:
            yield "subtraction", f"'analog' where negative weights are {self.name}"
        if flipped_encoding and self.lines == 2:
            yield "flipped_encoding", f"false with {self.name} cells, whose columns are already sparse"


Form = TypeVar("Form", bound=type[WeightCode])


def _check(form: type[WeightCode]) -> None:
    """Refuse a form whose digits are no digits or do not give every weight back, tried on 4-bit weights.

    Raises:
        DesignError: the first such weight.
    """
    for cell_bits in range(1, form.magnitude_bits(4) + 1):
        code = form(4, cell_bits)
        weights = np.arange(-code.largest, code.largest + 1)
        digits = code.digits(weights)
        where = f"Cannot register {form.__name__!r}: with 4-bit weights on {cell_bits}-bit cells"
        if digits.shape != (code.slices, code.lines, weights.size):
            raise DesignError(
                f"{where} expected digits of shape (slices, lines, ...) = {(code.slices, code.lines, weights.size)}, "
                f"but got {digits.shape}."
            )
        wrong = (digits < 0).any(axis=(0, 1)) | (digits > code.levels).any(axis=(0, 1))
        wrong |= code.integers(digits) != (np.abs(weights) if code.one_sign else weights)
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise DesignError(
                f"{where} the weight {weights[first]} has digits {digits[..., first].tolist()} (slices of lines), "
                f"expected from 0 to {code.levels}, which stand for {code.integers(digits)[first]}."
            )


_FORMS: Registry[WeightCode] = Registry(
    "`negative_weights`", WeightCode, "devicekit.weight_codes", DesignError, check=_check
)


def register_weight_code(cls: Form) -> Form:
    """Make a form of storing signed weights known under its `name`; return the class, so that this may decorate it.

    Args:
        cls: a concrete subclass of `WeightCode`.

    Raises:
        DesignError: no such class, or another one has its name.
    """
    _FORMS.register(cls)
    return cls


def weight_code(name: str) -> type[WeightCode]:
    """Return the form of a name.

    Args:
        name: such as ``"differential"``.

    Raises:
        DesignError: an unknown name; the message gives the nearest ones.
    """
    return _FORMS.get(name)


def weight_codes() -> Mapping[str, type[WeightCode]]:
    """Return every form by name: those of this package, registered ones, and those of installed packages."""
    return _FORMS.all()


@register_weight_code
class Differential(WeightCode):
    """The magnitude on one cell of a pair; the other cell is idle. Lines are subtracted before conversion or after."""

    name = "differential"
    lines = 2

    def digits(self, integers: Integers) -> Integers:
        """Return the magnitude's digits on the line of the weight's sign."""
        sides = (integers.clip(min=0), (-integers).clip(min=0))
        return np.stack([self.base_digits(side, self.slices) for side in sides], axis=1)


@register_weight_code
class Offset(WeightCode):
    """The weight raised by half of its range, so that it is never negative; the offset is subtracted digitally."""

    name = "offset"

    @classmethod
    def magnitude_bits(cls, weight_bits: int) -> int:
        """Return all bits: a raised weight has no sign."""
        return weight_bits

    @property
    def offset(self) -> int:
        """Half of the range, ``2^(weight_bits-1)``."""
        return 1 << (self.weight_bits - 1)

    def digits(self, integers: Integers) -> Integers:
        """Return the digits of the raised weight."""
        return self.base_digits(integers + self.offset, self.slices)[:, None]


@register_weight_code
class OffsetUnitColumn(Offset):
    """As `Offset`, the offset measured: a column that stores it passes the same cells, lines and ADCs."""

    name = "offset_unit_column"
    unit_column = True


class _SignSlice(WeightCode):
    """The sign bit in a slice of its own, whose digit counts negatively; the other bits in base ``2^cell_bits``."""

    @property
    @abstractmethod
    def sign_worth(self) -> int:
        """What the sign bit counts."""

    @property
    def worth(self) -> tuple[int, ...]:
        """Powers of the base, and the sign bit's worth last."""
        return (*super().worth, self.sign_worth)

    def digits(self, integers: Integers) -> Integers:
        """Return the digits of what the sign leaves, and the sign bit."""
        negative = integers < 0
        rest = np.where(negative, integers - self.sign_worth, integers)
        return np.concatenate([self.base_digits(rest, self.slices - 1), negative[None].astype(np.int64)])[:, None]


@register_weight_code
class TwosComplement(_SignSlice):
    """Two's complement: I modulo ``2^weight_bits``."""

    name = "twos_complement"

    @property
    def sign_worth(self) -> int:
        """``-2^(weight_bits-1)``."""
        return -(1 << (self.weight_bits - 1))


@register_weight_code
class OnesComplement(_SignSlice):
    """One's complement: a negative weight is the bitwise complement of its magnitude."""

    name = "ones_complement"

    @property
    def sign_worth(self) -> int:
        """``-(2^(weight_bits-1) - 1)``."""
        return -self.largest


@register_weight_code
class ColumnSign(WeightCode):
    """Magnitudes only: all weights of a column share one sign, which is applied digitally."""

    name = "column_sign"
    one_sign = True

    def digits(self, integers: Integers) -> Integers:
        """Return the magnitude's digits."""
        return self.base_digits(np.abs(integers), self.slices)[:, None]
