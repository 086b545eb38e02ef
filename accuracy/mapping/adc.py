"""Ranges and resolutions of the ADCs that read column currents, and the codes that follow from them.

An ADC of b bits has ``2^b`` levels over [0, hi] where currents cannot be negative, and ``2^b - 1`` levels over
[-hi, hi], with a code at 0, where they can. Currents are in units of one full cell with input 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.errors import CalibrationError
from circuits import CoreDesign
from circuits.adc_ranges import aligned_reach, codes_to_the_end, halved
from devicekit.common.numbers import is_real

Range = tuple[float, float]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class UniformAdc:
    """Ideal uniform ADCs: codes and readings of column currents, for each block (weight slice, line) of a column.

    The code of a current v is ``rint((clip(v, lo, hi) - lo) * q)``, and its reading ``code / q + lo``.

    Attributes:
        lo: lower edge of each block's range; shape (blocks,).
        hi: upper edge.
        codes_per_unit: the factor q, (levels - 1) / (hi - lo).
    """

    lo: NDArray[np.floating]
    hi: NDArray[np.floating]
    codes_per_unit: NDArray[np.floating]

    def read(self, v: Tensor, *, overwrite: bool = False) -> Tensor:
        """Return the readings of currents, shape (..., blocks, columns).

        Args:
            v: the currents.
            overwrite: whether they become the readings.
        """
        lo, hi, q = self._edges(v.device, v.dtype)
        found = torch.clamp(v, lo, hi, out=v if overwrite else None)
        return found.sub_(lo).mul_(q).round_().div_(q).add_(lo)

    def _edges(self, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Return lo, hi and codes_per_unit on a device, made once: a copy to an accelerator waits for it."""
        known = self._known
        if (device, dtype) not in known:
            parts = (self.lo, self.hi, self.codes_per_unit)
            with torch.inference_mode(False):
                known[device, dtype] = tuple(torch.from_numpy(part).to(device, dtype)[:, None] for part in parts)
        return known[device, dtype]

    @cached_property
    def _known(self) -> dict[tuple[torch.device, torch.dtype], tuple[Tensor, ...]]:
        return {}

    @cached_property
    def single(self) -> UniformAdc:
        """The same in single precision, as the C kernels take it."""
        return UniformAdc(*(np.ascontiguousarray(e, np.float32) for e in (self.lo, self.hi, self.codes_per_unit)))

    @property
    def addresses(self) -> tuple[int, int, int]:
        """Where lo, hi and codes_per_unit lie in memory, for C."""
        return self.lo.ctypes.data, self.hi.ctypes.data, self.codes_per_unit.ctypes.data

    @property
    def lowest(self) -> Floats:
        """Lower edge of the range in codes, ``lo * q``: what is added to a code for its reading."""
        return self.lo.astype(np.float64) * self.codes_per_unit.astype(np.float64)

    def worth(self, factors: Floats) -> Floats:
        """Return what one code adds to each output, from what a unit current adds; both (..., blocks, columns)."""
        return np.asarray(factors / self.codes_per_unit[:, None])

    def levels(self, block: int) -> int:
        """Return the number of codes of a block's ADC."""
        return round(float((self.hi[block] - self.lo[block]) * self.codes_per_unit[block])) + 1

    def positions(self, v: NDArray[np.floating], block: int) -> Floats:
        """Return where currents of a block lie in its range: 0 at the lowest code, 1 at the highest."""
        return np.asarray((v - self.lo[block]) / (self.hi[block] - self.lo[block]))

    def currents(self, positions: Floats, block: int) -> Floats:
        """Return the currents that lie at positions of a block's range."""
        return np.asarray(self.lo[block] + positions * (self.hi[block] - self.lo[block]))


@dataclass(frozen=True)
class AdcRanges:
    """Ranges and resolutions of one matrix's ADCs, one for each weight slice.

    Attributes:
        ranges: (lo, hi) of each slice.
        levels: number of codes of each slice.
    """

    ranges: tuple[Range, ...]
    levels: tuple[int, ...]

    def __post_init__(self) -> None:
        for lo, hi in self.ranges:
            if not (is_real(lo) and is_real(hi) and lo < hi):
                raise CalibrationError(f"Expected an ADC range (lo, hi) with lo < hi, but got ({lo}, {hi}).")

    def uniform(self, lines: int = 1) -> UniformAdc:
        """Return the ideal ADCs of all blocks, with so many lines a slice."""
        return _uniform(self, lines)


@lru_cache(maxsize=4096)
def _uniform(ranges: AdcRanges, lines: int) -> UniformAdc:
    lo, hi = np.repeat(np.array(ranges.ranges, np.float64), lines, axis=0).T
    return UniformAdc(lo, hi, (np.repeat(ranges.levels, lines) - 1) / (hi - lo))


def adc_levels(design: CoreDesign, signed_inputs: bool) -> tuple[int, ...]:
    """Return the number of codes of each slice's ADC.

    Raises:
        CalibrationError: one bit for currents of both signs, which leaves the code of 0 alone.
    """
    symmetric = design.symmetric_adc(signed_inputs=signed_inputs)
    if symmetric and min(design.adc_bits_per_slice, default=2) < 2:
        raise CalibrationError(
            f"Expected `adc_bits` of at least 2 where currents have both signs, but design {design.name!r} has "
            f"{design.adc_bits}: an ADC of one bit has the code of 0 alone then."
        )
    return tuple(
        2 * codes + 1 if symmetric else codes + 1 for codes in codes_to_the_end(design, signed_inputs=signed_inputs)
    )


def full_adc_ranges(design: CoreDesign, rows: Sequence[int], signed_inputs: bool, g_min: float) -> AdcRanges:
    """Return ADC ranges over everything that the arrays can draw.

    Where a slice's bits reach the full-precision guarantee of a matrix with these rows, one code is one digit at the
    least input step, so that the reading is exact. Otherwise hi is the rows of the largest partition, half of
    that with flipped encoding.

    Args:
        design: a design with ADCs (`adc_bits` is set).
        rows: rows of each partition.
        signed_inputs: whether inputs carry signs.
        g_min: conductance of an idle cell; a digit is worth ``(1 - g_min) / levels``.
    """
    largest = max(rows)
    symmetric = design.symmetric_adc(signed_inputs=signed_inputs)
    needed = design.replace(matrix_rows=sum(rows), max_rows=largest).full_precision_bits
    reach = largest / 2 if design.flipped_encoding else float(largest)
    digit = design.level_spacing(signed_inputs=signed_inputs, g_min=g_min)
    ranges = []
    for bits, levels in zip(design.adc_bits_per_slice, adc_levels(design, signed_inputs), strict=True):
        hi = reach
        if digit is not None and bits >= needed:
            exact = digit * (levels - 1) / (2 if symmetric else 1)
            # Signed inputs on unsigned cells need a bit that the guarantee does not count: then nothing is exact.
            if exact >= reach * (1.0 - g_min) * (1.0 - 1e-9):
                hi = exact
        ranges.append((-hi if symmetric else 0.0, hi))
    return AdcRanges(tuple(ranges), adc_levels(design, signed_inputs))


def given_adc_ranges(
    design: CoreDesign, signed_inputs: bool, ranges: Sequence[float] | Sequence[Sequence[float]]
) -> AdcRanges:
    """Return the ADC ranges that a caller gives: one (lo, hi) for all slices, or one for each slice.

    Raises:
        CalibrationError: not one pair and not one pair a slice, or an empty range.
    """
    pairs = np.array(ranges, dtype=np.float64)
    if pairs.shape == (2,):
        pairs = np.tile(pairs, (design.slices, 1))
    if pairs.shape != (design.slices, 2):
        raise CalibrationError(
            f"Expected `adc_range` to be None, 'full', one (lo, hi) or {design.slices} of them, one for each slice of "
            f"design {design.name!r}, but got {ranges!r}."
        )
    checked = tuple((float(lo), float(hi)) for lo, hi in pairs)
    return AdcRanges(checked, adc_levels(design, signed_inputs))


def ranges_over(
    needs: Sequence[float], design: CoreDesign, rows: int, signed_inputs: bool, g_min: float
) -> tuple[Range, ...]:
    """Return ADC ranges that cover what each slice needs, as a design whose ranges come from data has them.

    Args:
        needs: what each slice must reach, in units of one full cell; all at least 0, and at least one above 0.
        design: its `adc_range` says whether codes are to fall on the levels of the current.
        rows: of the largest partition.
        signed_inputs: whether inputs carry signs.
        g_min: conductance of an idle cell.
    """
    symmetric = design.symmetric_adc(signed_inputs=signed_inputs)
    if design.adc_range == "aligned":
        reach = aligned_reach(needs, design, rows, signed_inputs=signed_inputs, g_min=g_min)
        if reach is not None:
            return tuple((-hi if symmetric else 0.0, hi) for hi in reach)
    return powers_of_two_ranges(needs, symmetric)


def codes_per_level(
    ranges: Sequence[Range], design: CoreDesign, signed_inputs: bool, g_min: float
) -> tuple[float, ...] | None:
    """Return how many codes lie between neighbouring currents of ideal cells, by slice; None without levels.

    A whole number reads ideal cells without rounding, unless idle cells of single lines conduct; below 1 there are
    fewer codes than levels.

    Args:
        ranges: of each slice.
        design: the design.
        signed_inputs: whether inputs carry signs.
        g_min: conductance of an idle cell.
    """
    spacing = design.level_spacing(signed_inputs=signed_inputs, g_min=g_min)
    if spacing is None:
        return None
    codes = codes_to_the_end(design, signed_inputs=signed_inputs)
    return tuple(count * spacing / hi for count, (_, hi) in zip(codes, ranges, strict=True))


def powers_of_two_ranges(quantiles: Sequence[float], symmetric: bool) -> tuple[Range, ...]:
    """Tie the ranges of slices together by powers of two, so that readings add by shifts.

    The slice with the largest need r fixes the scale; the others take ``r * 2^-n``, n the largest integer that still
    covers their need.

    Args:
        quantiles: what each slice must reach; all at least 0, and at least one above 0.
        symmetric: whether ranges are (-hi, hi) rather than (0, hi).

    Raises:
        CalibrationError: no slice ever saw a current.
    """
    largest = max(quantiles)
    if not largest > 0:
        raise CalibrationError("The calibration data draw no current in any slice: inputs or weights are all zero.")
    ranges = []
    for need in quantiles:
        hi = halved(largest, need)
        ranges.append((-hi if symmetric else 0.0, hi))
    return tuple(ranges)
