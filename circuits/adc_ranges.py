"""Codes of a design's ADCs, and ranges that put one on every current that ideal cells can draw.

Such currents lie on levels a fixed distance apart (`CoreDesign.level_spacing`). Where the step of an ADC divides that
distance, ideal cells are read without rounding; any other step, finer ones too, rounds most of them, and what is added
digitally over slices multiplies the rounding by the worth of the highest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from circuits.designs import CoreDesign

_ROUNDING = 1e-6
"""Relative error of a need that lies on a level."""
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


def aligned_reach(
    needs: Sequence[float], design: CoreDesign, *, signed_inputs: bool = False, g_min: float = 0.0
) -> tuple[float, ...] | None:
    """Return the least ADC ranges that cover needs with codes on all levels; None where there are too few codes.

    The slice that leaves its ADC the fewest codes a level fixes their number; the others have that times a power of
    two, so that readings of equal ADCs still add by shifts.

    Args:
        needs: what each weight slice must reach, in units of one full cell; at least 0, one of them above 0.
        design: the design, with ADCs and quantised inputs.
        signed_inputs: whether the inputs carry signs.
        g_min: conductance of an idle cell.

    Returns:
        The upper end of each slice's range.
    """
    spacing = design.level_spacing(signed_inputs=signed_inputs, g_min=g_min)
    assert spacing is not None  # refused by the design
    codes = codes_to_the_end(design, signed_inputs=signed_inputs)
    most = min(count * spacing / need for need, count in zip(needs, codes, strict=True) if need > 0)
    codes_per_level = math.floor(most * (1.0 + _ROUNDING))
    if codes_per_level < 1:
        return None
    reach = []
    for need, count in zip(needs, codes, strict=True):
        hi, halvings = count * spacing / codes_per_level, 0
        while halvings < _MOST_HALVINGS and hi / 2 >= need * (1.0 - _ROUNDING):
            hi, halvings = hi / 2, halvings + 1
        reach.append(hi)
    return tuple(reach)
