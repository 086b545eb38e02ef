"""Forms of signed weights that are no part of the package, defined as a user would define them, and the laws' cases."""

from __future__ import annotations

import numpy as np

from circuits import WeightCode, weight_codes


class SignedDigit(WeightCode):
    """Canonical signed digits on pairs of one-bit cells: no two neighbouring digits are other than 0.

    G. W. Reitwiesner, "Binary arithmetic", Advances in Computers 1, 231 (1960): the fewest programmed cells.
    """

    name = "canonical_signed_digit"
    lines = 2

    @classmethod
    def magnitude_bits(cls, weight_bits: int) -> int:
        return 1

    @property
    def worth(self) -> tuple[int, ...]:
        return tuple(1 << bit for bit in range(self.weight_bits))

    def digits(self, integers: np.ndarray) -> np.ndarray:
        magnitude = np.abs(integers)
        changed = (magnitude >> 1) ^ (magnitude + (magnitude >> 1))
        plus, minus = changed & (magnitude + (magnitude >> 1)), changed & (magnitude >> 1)
        sides = np.where(integers < 0, minus, plus), np.where(integers < 0, plus, minus)
        return np.stack([self.base_digits(side, self.slices) for side in sides], axis=1)


class Excess(WeightCode):
    """Raised by the largest weight, as exponents of floating-point numbers are: the least weight stores 0."""

    name = "excess"

    @classmethod
    def magnitude_bits(cls, weight_bits: int) -> int:
        return weight_bits

    @property
    def offset(self) -> int:
        return self.largest

    def digits(self, integers: np.ndarray) -> np.ndarray:
        return self.base_digits(integers + self.offset, self.slices)[:, None]


OUTSIDE = (SignedDigit, Excess)


CASES = {
    # Eight bits on two-bit cells, worked out by hand: 91 = 0b01_01_10_11, -91 + 128 = 0b00_10_01_01.
    "differential": (-91, [[0, 3], [0, 2], [0, 1], [0, 1]], [1, 4, 16, 64], 0),
    "offset": (-91, [[1], [1], [2], [0]], [1, 4, 16, 64], 128),
    "offset_unit_column": (-91, [[1], [1], [2], [0]], [1, 4, 16, 64], 128),
    # -91 is 0b1_010_0101 in two's complement and 0b1_010_0100 in one's: seven bits in two-bit cells, then the sign.
    "twos_complement": (-91, [[1], [1], [2], [0], [1]], [1, 4, 16, 64, -128], 0),
    "ones_complement": (-91, [[0], [1], [2], [0], [1]], [1, 4, 16, 64, -127], 0),
    "column_sign": (-91, [[3], [2], [1], [1]], [1, 4, 16, 64], 0),
}
"""By form: an 8-bit weight, its digits (slices of lines), the worth of slices and the offset, with two-bit cells."""


def without_case() -> set[str]:
    """Return the registered forms that the laws would pass over."""
    return set(weight_codes()) - set(CASES)
