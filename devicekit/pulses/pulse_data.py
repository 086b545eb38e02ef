"""Update curves as ramps: conductances after each of a train of equal pulses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from devicekit.common.errors import MeasurementError

Floats = NDArray[np.float64]
TURN = 0.5
"""Share of a trace's span that it must come back by for pulses to have changed direction."""


@dataclass(frozen=True, eq=False)
class PulseData:
    """Ramps of one or more devices.

    Attributes:
        place: the file they came from.
        conductance: after each pulse, the first before any, NaN behind a ramp's end, shape (ramps, pulses + 1) [S], or
            in the file's own unit where `unit` is empty.
        up: whether pulses raise the conductance, shape (ramps,).
        device: which device each ramp is of.
        cycle: which of its cycles.
        unit: ``"S"``, or an empty text for conductances in a unit of their own (shares of a range).
        notes: what was assumed and what was left out.
        metadata: what the file says about itself.
    """

    place: str
    conductance: Floats
    up: NDArray[np.bool_]
    device: NDArray[np.int64]
    cycle: NDArray[np.int64]
    unit: str = "S"
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """How the numbers were obtained, as the file says; measured where it says nothing."""
        return self.metadata.get("kind", "measured")

    @property
    def pulses(self) -> int:
        """Pulses of all ramps."""
        return int(np.sum(np.isfinite(self.conductance))) - len(self.up)

    def where(self, mask: NDArray[np.bool_]) -> Self:
        """Return some of the ramps."""
        return replace(
            self, conductance=self.conductance[mask], up=self.up[mask], device=self.device[mask], cycle=self.cycle[mask]
        )

    def joined(self, other: Self) -> Self:
        """Return these ramps with those of another file of the same unit.

        Raises:
            MeasurementError: the units differ.
        """
        if self.unit != other.unit:
            raise MeasurementError(
                f"{other.place}: holds {other.unit or 'numbers without a unit'}, but {self.place} holds"
                f" {self.unit or 'numbers without a unit'}."
            )
        length = max(self.conductance.shape[1], other.conductance.shape[1])
        padded = [
            np.pad(each.conductance, ((0, 0), (0, length - each.conductance.shape[1])), constant_values=np.nan)
            for each in (self, other)
        ]
        return replace(
            self,
            place=f"{self.place} and {other.place}",
            conductance=np.concatenate(padded),
            up=np.concatenate([self.up, other.up]),
            device=np.concatenate([self.device, other.device]),
            cycle=np.concatenate([self.cycle, other.cycle]),
            notes=(*self.notes, *other.notes),
            metadata={**other.metadata, **self.metadata},
        )

    def describe(self) -> str:
        """Return what was read, as text."""
        up, down = int(self.up.sum()), int((~self.up).sum())
        devices = len(np.unique(self.device))
        lines = [
            f"{self.place}: {self.pulses} pulses in {up} up and {down} down ramps of {devices}"
            f" device{'s' if devices != 1 else ''} ({self.kind})"
        ]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def ramps_of(
    traces: Iterable[tuple[Floats, bool | None, int, int]], place: str, unit: str, notes: Iterable[str] = (),
    metadata: Mapping[str, str] | None = None,
) -> PulseData:  # fmt: skip
    """Return traces cut into ramps of one direction each.

    Args:
        traces: conductances after each pulse, their direction (None: as they go), device and cycle.
        place: the file, for errors.
        unit: of the conductances.
        notes: of the reader.
        metadata: of the file.

    Raises:
        MeasurementError: no ramp has three readings or more.
    """
    ramps: list[tuple[Floats, bool, int, int]] = []
    turned, short = 0, 0
    for trace, up, device, cycle in traces:
        values = np.asarray(trace, dtype=np.float64)
        values = values[np.isfinite(values)]
        parts = [values] if up is not None else _turns(values)
        turned += len(parts) - 1
        for part in parts:
            if len(part) < 3:
                short += 1
                continue
            ramps.append((part, _rises(part) if up is None else up, device, cycle))
    if not ramps:
        raise MeasurementError(f"{place}: no train of pulses has three readings or more.")
    found = list(notes)
    if turned:
        found.append(f"{turned} changes of direction were found where the conductance turns")
    if short:
        found.append(f"{short} trains of fewer than three readings were left out")
    conductance = np.full((len(ramps), max(len(ramp[0]) for ramp in ramps)), np.nan)
    for row, (part, _, _, _) in enumerate(ramps):
        conductance[row, : len(part)] = part
    return PulseData(
        place,
        conductance,
        np.array([ramp[1] for ramp in ramps]),
        np.array([ramp[2] for ramp in ramps], dtype=np.int64),
        np.array([ramp[3] for ramp in ramps], dtype=np.int64),
        unit,
        tuple(found),
        dict(metadata or {}),
    )


def _rises(values: Floats) -> bool:
    tenth = max(len(values) // 10, 1)
    return bool(values[-tenth:].mean() >= values[:tenth].mean())


def _turns(values: Floats) -> list[Floats]:
    """Return a trace cut where it turns back by half its span or more; the reading at a turn belongs to both ramps."""
    if len(values) < 6:
        return [values]
    smooth = ndimage.uniform_filter1d(values, max(len(values) // 40, 1) | 1, mode="nearest")
    span = float(np.ptp(smooth))
    if span <= 0:
        return [values]
    found = [signal.find_peaks(side * smooth, prominence=TURN * span)[0] for side in (1, -1)]
    turns = np.sort(np.concatenate(found))
    edges = [0, *(int(turn) for turn in turns), len(values) - 1]
    return [values[begin : end + 1] for begin, end in pairwise(edges)]
