"""Codes of a design's ADCs, and ranges that put one on every current that ideal cells can draw.

Such currents lie on levels a fixed distance apart (`CoreDesign.level_spacing`). Where the step of an ADC divides that
distance, ideal cells are read without rounding; any other step, finer ones too, rounds most of them, and what is added
digitally over slices multiplies the rounding by the worth of the highest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from circuits.designs import CoreDesign

_MET = 1e-6
"""Relative error of a need that lies on a level, and met by a range as if it were exact."""
_ON_A_LEVEL = 1e-3
"""Distance from a whole number of codes a level that is rounding of the arithmetic."""
_MOVED = 0.05
"""Part of a code by which the current of idle cells may move levels."""
_MOST_HALVINGS = 24
"""Halvings of the range of a slice that is never used, which keep its arithmetic finite."""


def codes_to_the_end(design: CoreDesign, *, signed_inputs: bool = False) -> tuple[int, ...]:
    """Return how many steps each slice's ADC has from a current of 0 to the end of its range.

    An ADC of b bits has ``2^b - 1`` over [0, hi], and ``2^(b - 1) - 1`` on each side of 0 over [-hi, hi].

    Args:
        design: the design; without ADCs there are none.
        signed_inputs: whether the inputs carry signs.
    """
    signs = 1 if design.symmetric_adc(signed_inputs=signed_inputs) else 0
    return tuple(2 ** (bits - signs) - 1 for bits in design.adc_bits_per_slice)


def is_whole(codes_per_level: float) -> bool:
    """Return whether a number of codes between neighbouring levels is a whole one, but for rounding."""
    return abs(codes_per_level - round(codes_per_level)) <= _ON_A_LEVEL


def halved(hi: float, need: float) -> float:
    """Return a range halved as often as it still covers a need, so that readings of both add by a shift.

    Args:
        hi: the range.
        need: what half of it may have to reach, at least 0.
    """
    halvings = 0
    # Currents on levels meet halves of the largest range but for rounding.
    while halvings < _MOST_HALVINGS and hi * 2.0 ** -(halvings + 1) >= need * (1.0 - _MET):
        halvings += 1
    return hi * 2.0**-halvings


def aligned_reach(
    needs: Sequence[float], design: CoreDesign, rows: int, *, signed_inputs: bool = False, g_min: float = 0.0
) -> tuple[float, ...] | None:
    """Return the least ADC ranges that cover needs with codes on all levels; None where there are none.

    The slice that leaves its ADC the fewest codes a level fixes their number; the others have that times a power of
    two, so that readings of equal ADCs still add by shifts. There are no such ranges where one slice has fewer codes
    than levels, and where idle cells that conduct move the levels of single lines: those of pairs cancel, and a unit
    column is read with the same ones.

    Args:
        needs: what each weight slice must reach, in units of one full cell; at least 0.
        design: the design, with ADCs and quantised inputs.
        rows: of the largest array.
        signed_inputs: whether the inputs carry signs.
        g_min: conductance of an idle cell.

    Returns:
        The upper end of each slice's range.
    """
    spacing = design.level_spacing(signed_inputs=signed_inputs, g_min=g_min)
    codes = codes_to_the_end(design, signed_inputs=signed_inputs)
    most = min((count / need for need, count in zip(needs, codes, strict=True) if need > 0), default=0.0)
    if spacing is None or not most > 0:
        return None
    most *= spacing
    codes_per_level = math.floor(most + min(_MET * most, _ON_A_LEVEL))
    cancels = design.lines_per_column == 2 or design.has_unit_column
    if codes_per_level < 1 or (not cancels and g_min * rows > _MOVED * spacing / codes_per_level):
        return None
    return tuple(halved(count * spacing / codes_per_level, need) for need, count in zip(needs, codes, strict=True))
