"""Currents on the lines of arrays: what connects peripherals, wires and energy, by weight slice and input slice [A].

Two currents matter of a column. The *differential* current is what its ADC reads: the difference of its two lines where
they are subtracted in analog, otherwise the line itself. The *common* current is the mean of its lines: it loads the
conveyor and the wires, and costs supply current. `accuracy.measure_line_currents` measures both on a network;
`assumed_line_currents` takes them from the statistics of weights and inputs where nothing was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from circuits.adc_ranges import aligned_reach
from circuits.designs import CoreDesign
from circuits.weight_codes import WeightCode
from circuits.weight_statistics import NetworkStatistics, integer_probabilities, network_statistics
from devicekit.cells.cell import Cell
from devicekit.common.errors import DesignError
from devicekit.common.plain import PlainValues

INNER_RANGE = 0.9998
"""Part of the values that a useful range holds, as the range of an ADC does."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LineCurrents(PlainValues):
    """Mean, spread and useful range of line currents, pooled over partitions, columns, positions and images.

    Every array but the last has the shape (weight slices, input slices), least significant first. A current is that of
    one input slice with its rows at what they apply; signed inputs are applied in two phases, of which the differential
    current is the difference and the common current the mean.

    Attributes:
        differential_mean_a: mean of the current that an ADC reads [A].
        differential_spread_a: its standard deviation [A].
        differential_range_a: the magnitude that 99.98 % of it do not exceed [A].
        common_mean_a: mean current of a line [A].
        common_spread_a: standard deviation of the mean of a column's lines [A].
        common_range_a: what 99.98 % of it do not exceed [A].
        full_scale_a: upper end of the ADC's range, shape (weight slices,) [A]; None without an ADC range.
        source: where the numbers come from.
    """

    differential_mean_a: Floats
    differential_spread_a: Floats
    differential_range_a: Floats
    common_mean_a: Floats
    common_spread_a: Floats
    common_range_a: Floats
    full_scale_a: Floats | None
    source: str

    def __init__(
        self,
        differential_mean_a: ArrayLike,
        differential_spread_a: ArrayLike,
        differential_range_a: ArrayLike,
        common_mean_a: ArrayLike,
        common_spread_a: ArrayLike,
        common_range_a: ArrayLike,
        full_scale_a: ArrayLike | None = None,
        source: str = "given by the caller",
    ):
        given = {name: value for name, value in locals().items() if name.endswith("_a")}
        shape = np.shape(differential_mean_a)
        for name, value in given.items():
            wanted = shape[:1] if name == "full_scale_a" else shape
            array = None if value is None else np.array(value, dtype=np.float64)
            if array is not None:
                signed = name == "differential_mean_a"
                right = array.shape == wanted and len(shape) == 2 and array.size > 0 and bool(np.isfinite(array).all())
                if not (right and (signed or bool((array >= 0).all()))):
                    raise DesignError(
                        f"Expected `{name}` of LineCurrents to be finite currents of the shape {wanted}"
                        f"{'' if signed else ', at least 0'}, but got {value!r:.200}."
                    )
                array.setflags(write=False)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "source", source)

    @classmethod
    def pooled(cls, parts: Sequence[LineCurrents], weights: Sequence[float]) -> LineCurrents:
        """Return the currents of several layers together: means weighted, useful ranges the largest.

        Args:
            parts: with the same slices.
            weights: one each, at least 0 and not all 0.

        Raises:
            DesignError: nothing to pool, or shapes that differ.
        """
        total = float(np.sum(weights)) if len(weights) else 0.0
        if not parts or len(parts) != len(weights) or not total > 0:
            raise DesignError("Expected line currents with one weight each, not all 0.")
        if len({part.common_mean_a.shape for part in parts}) != 1:
            raise DesignError("Expected line currents with the same weight slices and input slices.")
        share = np.asarray(weights, dtype=np.float64)[:, None, None] / total
        values: dict[str, Floats] = {}
        for kind in ("differential", "common"):
            mean, spread = (
                np.stack([getattr(part, f"{kind}_{what}_a") for part in parts]) for what in ("mean", "spread")
            )
            values[f"{kind}_mean_a"] = center = (share * mean).sum(axis=0)
            values[f"{kind}_spread_a"] = np.sqrt((share * (spread**2 + (mean - center) ** 2)).sum(axis=0))
            values[f"{kind}_range_a"] = np.max([getattr(part, f"{kind}_range_a") for part in parts], axis=0)
        scales = [part.full_scale_a for part in parts if part.full_scale_a is not None]
        full_scale = np.max(scales, axis=0) if len(scales) == len(parts) else None
        return cls(**values, full_scale_a=full_scale, source=parts[0].source)

    def scaled(self, factor: float) -> LineCurrents:
        """Return the currents with every current multiplied, such as by the part of the cells that is used."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name.endswith("_a")}
        changed: dict[str, Any] = {name: None if value is None else value * factor for name, value in own.items()}
        return LineCurrents(**changed, source=self.source)


def weight_moments(code: WeightCode, statistics: NetworkStatistics, g_min: float) -> dict[str, Floats]:
    """Return first and second moments of what a column's pair of cells adds to its currents, for each weight slice.

    Args:
        code: how weights are stored.
        statistics: of weights.
        g_min: conductance of an idle cell over G_max.

    Returns:
        ``differential``, ``differential_squared``, ``common`` and ``common_squared``, each of shape (slices,), in
        units of one full cell.
    """
    integers = np.arange(-code.largest, code.largest + 1)
    probability = integer_probabilities(code.largest, statistics.mean_magnitude)
    conductance = g_min + (1.0 - g_min) * code.digits(integers) / code.levels
    common = conductance.mean(axis=1)
    differential = conductance[:, 0] - conductance[:, 1] if code.lines == 2 else common
    return {
        "differential": differential @ probability,
        "differential_squared": differential**2 @ probability,
        "common": common @ probability,
        "common_squared": common**2 @ probability,
    }


def assumed_line_currents(
    design: CoreDesign,
    cell: Cell | None = None,
    statistics: NetworkStatistics | None = None,
    *,
    i_max: float | None = None,
) -> LineCurrents:
    """Return the line currents of a design's largest array where no network was measured.

    Rows are driven independently with the same probability in every input bit, and weights are independent: the mean of
    a current is ``N p E[g]`` and its variance ``N (p E[g^2] - p^2 E[g]^2)`` over N rows. The useful range is that of a
    normal distribution. The ADC's range is that of the weighted sum over input bits where these are accumulated in
    analog.

    Args:
        design: gives rows, slices and how weights are stored.
        cell: gives i_max and the on/off ratio; None takes `i_max` and an idle cell without current.
        statistics: of weights and inputs; None for the bundled ones.
        i_max: current of a full cell [A], instead of the cell's.

    Raises:
        DesignError: neither a cell nor `i_max`.
    """
    if cell is None and i_max is None:
        raise DesignError("Expected a cell or `i_max`, which give line currents their unit, but got neither.")
    known = network_statistics() if statistics is None else statistics
    full = float(i_max if cell is None else cell.i_max)  # type: ignore[arg-type]
    g_min = 0.0 if cell is None else 1.0 / cell.on_off_ratio
    moments = weight_moments(design.weight_code, known, g_min)
    rows, driven, bits = design.rows_per_array, known.bit_activity, design.input_slices
    subtracted = design.subtracts_lines
    reach = float(ndtri((1 + INNER_RANGE) / 2))
    values: dict[str, Floats] = {}
    for kind in ("differential", "common"):
        of = kind if subtracted or kind == "common" else "common"
        mean = rows * driven * moments[of]
        spread = np.sqrt(rows * np.maximum(driven * moments[f"{of}_squared"] - (driven * moments[of]) ** 2, 0.0))
        values[f"{kind}_mean_a"], values[f"{kind}_spread_a"] = (
            np.tile(v[:, None] * full, bits) for v in (mean, spread)
        )
        values[f"{kind}_range_a"] = np.tile((np.abs(mean) + reach * spread)[:, None] * full, bits)
    full_scale = None
    if design.adc_bits is not None and design.range_from_data:
        mean, spread = values["differential_mean_a"][:, 0], values["differential_spread_a"][:, 0]
        if design.input_accumulation == "analog":
            worth = 2.0 ** (design.input_slice_bits * np.arange(bits))
            spread = spread * float(np.linalg.norm(worth / worth.sum()))
        full_scale = np.abs(mean) + reach * spread
        if design.adc_range == "aligned":
            aligned = aligned_reach((full_scale / full).tolist(), design, rows, g_min=g_min)
            full_scale = full_scale if aligned is None else np.array(aligned) * full
    return LineCurrents(**values, full_scale_a=full_scale, source=f"assumed: {known.source}")
