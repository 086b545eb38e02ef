"""The cells of a matrix: their conductances, worked out row by row whenever they are wanted.

Eight bytes a cell are too many for a network of a billion weights. What is kept is one integer a weight and the state
of a random generator; from these the same conductances come every time, a few rows in double precision at once.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from accuracy.arrays import cell_kernels
from accuracy.mapping.weights import PIECE_CELLS, Digits, Mapping
from circuits import Faults
from devicekit import Cell
from devicekit.cells.tails import Tail

Floats = NDArray[np.float64]
Seed = int | np.random.SeedSequence | np.random.Generator
Draw = Callable[[np.random.Generator, Floats], object]
"""Fills a dense array with the next numbers of a generator."""

_AT_ONCE = 1 << 18
"""Cells of a matrix whose random numbers are drawn together; those of more are drawn row by row, twice."""


class Cells(Protocol):
    """Conductances of all cells of a matrix."""

    def rows(self, pieces: Sequence[slice]) -> Iterator[Floats]:
        """Yield normalised conductances, shape (slices, lines, rows, physical columns), for each piece.

        Args:
            pieces: consecutive rows, which together are all rows.
        """
        ...


@dataclass(frozen=True, eq=False)
class ExactCells:
    """Cells that hold exactly what belongs to their digits.

    Attributes:
        mapping: digits of every cell.
        levels: conductance of each digit.
    """

    mapping: Mapping
    levels: Floats

    def rows(self, pieces: Sequence[slice]) -> Iterator[Floats]:
        """Yield the conductances of the digits."""
        for piece in pieces:
            yield self.levels.take(self.mapping.digits_of(piece))


@dataclass(frozen=True, eq=False)
class GivenCells:
    """Cells of conductances that someone set.

    Attributes:
        conductances: shape (slices, lines, rows, physical columns).
    """

    conductances: Floats

    def rows(self, pieces: Sequence[slice]) -> Iterator[Floats]:
        """Yield views of the conductances."""
        for piece in pieces:
            yield self.conductances[:, :, piece]


def program_cells(
    digits: Digits,
    mean: Floats,
    sigma: Floats,
    deviates: Floats,
    tail: Tail | None = None,
    chance: Floats | None = None,
) -> Floats:
    """Return programmed conductances: mean of each digit plus its spread times a deviate, clipped at 0, never at 1.

    These are the currents that `Cell.program` gives over i_max, tail cells included, but mean and spread are worked out
    once for each digit instead of once for each cell.

    Args:
        digits: what each cell holds, any shape.
        mean: mean normalised conductance of each digit.
        sigma: spread of each digit.
        deviates: standard normals, one a cell, dense; overwritten.
        tail: outlier cells.
        chance: one uniform number a cell, for the tail.
    """
    result = deviates if tail is None or chance is None else tail.redraw(deviates, chance)
    if not cell_kernels.program(digits, mean, sigma, result):
        _program(digits.reshape(-1), mean, sigma, result.reshape(-1))
    return result if tail is None or chance is None else tail.misplace(result, chance, 1.0)


def _program(chosen: Digits, mean: Floats, sigma: Floats, flat: Floats) -> None:
    own = np.empty(min(PIECE_CELLS, flat.size))
    # Means and spreads stay in the cache.
    for start in range(0, flat.size, PIECE_CELLS):
        part = flat[start : start + PIECE_CELLS]
        index, values = chosen[start : start + PIECE_CELLS].astype(np.intp), own[: part.size]
        part *= sigma.take(index, out=values, mode="clip")
        part += mean.take(index, out=values, mode="clip")
        np.maximum(part, 0.0, out=part)


def _uniform(generator: np.random.Generator, out: Floats) -> None:
    generator.random(out=out)


class _Drawn(NamedTuple):
    """Random numbers of cells: for their errors, for outliers, for faults; None where there are none."""

    deviates: Floats | None
    tail: Floats | None
    faults: Floats | None


class _Streams(NamedTuple):
    """Generators at the first cell of each slice and line, for the three kinds of `_Drawn`."""

    deviates: tuple[np.random.Generator, ...]
    tail: tuple[np.random.Generator, ...]
    faults: tuple[np.random.Generator, ...]


@lru_cache(maxsize=32)
def _laws_of(cell: Cell, levels: bytes) -> tuple[Floats, Floats]:
    """Mean and spread of each digit, whose levels are those numbers: the same for the layers of a network."""
    currents = np.frombuffer(levels) * cell.i_max
    return np.asarray(cell.mean(currents) / cell.i_max), np.asarray(cell.sigma(currents) / cell.i_max)


def _copy(seed: Seed) -> Seed:
    # Of a generator all has to be copied, which takes longer than to make one of a seed.
    return copy.deepcopy(seed) if isinstance(seed, np.random.Generator) else copy.copy(seed)


class ProgrammedCells:
    """Cells that were programmed: exact for no cell model, else with its mean shift and error; some may be stuck.

    Random numbers are those of one generator in the order of the cells (slices, lines, rows, columns): the errors of
    all cells, the die where the cell model leaves it open, outliers, stuck cells.

    Args:
        mapping: digits of every cell.
        levels: conductance that each digit is programmed to.
        cell: memory cell; None for exact targets.
        faults: stuck cells; None for none.
        seed: of the random numbers; a generator is left as it is.
    """

    def __init__(self, mapping: Mapping, levels: Floats, cell: Cell | None, faults: Faults | None, seed: Seed) -> None:
        self._mapping, self._levels, self._cell, self._faults = mapping, levels, cell, faults
        self._seed = _copy(seed)
        self._streams: _Streams | None = None
        self._end: np.random.Generator | None = None
        self._laws: tuple[Floats, Floats] | None = None
        self._on_die = cell
        if cell is not None and not self._draws_die:
            self._laws = _laws_of(cell, levels.tobytes())

    @property
    def _draws_die(self) -> bool:
        return self._cell is not None and self._cell.spatial is not None and self._cell.die_deviate is None

    @property
    def _small(self) -> bool:
        return math.prod(self._mapping.shape) <= _AT_ONCE

    def rest(self) -> np.random.Generator:
        """Return the generator as it is after all cells, for what is drawn next."""
        if self._end is None:
            if self._small:
                self._all_numbers()
            else:
                self._find_streams()
        assert self._end is not None
        return copy.deepcopy(self._end)

    def cell_on_die(self) -> Cell | None:
        """Return the cell of the die that these cells lie on."""
        self.rest()
        return self._on_die

    def rows(self, pieces: Sequence[slice]) -> Iterator[Floats]:
        """Yield programmed conductances."""
        for piece, numbers in zip(pieces, self._numbers(pieces), strict=True):
            yield self._programmed(self._mapping.digits_of(piece), numbers)

    def _programmed(self, digits: Digits, numbers: _Drawn) -> Floats:
        if self._cell is None or numbers.deviates is None:
            result = self._levels.take(digits)
        else:
            assert self._laws is not None
            result = program_cells(digits, *self._laws, numbers.deviates, self._cell.tail, numbers.tail)
        if self._faults is not None and numbers.faults is not None:
            g_min = float(self._levels[0])
            result = self._faults.apply(result, g_min, numbers.faults)
        return result

    def _generator(self) -> np.random.Generator:
        """The generator before all cells."""
        return np.random.default_rng(_copy(self._seed))

    def _draw_die(self, generator: np.random.Generator) -> None:
        if self._draws_die:
            assert self._cell is not None
            self._on_die = self._cell.on_die(generator)
            self._laws = _laws_of(self._on_die, self._levels.tobytes())

    # -- random numbers -------------------------------------------------------------------------------------------

    def _numbers(self, pieces: Sequence[slice]) -> Iterator[_Drawn]:
        if self._small:
            drawn = self._all_numbers()
            if len(pieces) == 1:
                yield drawn
                return
            for piece in pieces:
                yield _Drawn(*(None if values is None else values[:, :, piece].copy() for values in drawn))
            return
        deviates, tail, faults = copy.deepcopy(self._find_streams())
        for piece in pieces:
            yield _Drawn(
                self._further(deviates, piece, cell_kernels.standard_normal),
                self._further(tail, piece, _uniform),
                self._further(faults, piece, _uniform),
            )

    def _further(self, streams: tuple[np.random.Generator, ...], piece: slice, draw: Draw) -> Floats | None:
        """The next numbers of every slice and line, for the rows of a piece."""
        if not streams:
            return None
        slices, lines, _, columns = self._mapping.shape
        result = np.empty((slices, lines, piece.stop - piece.start, columns))
        for stream, plane in zip(streams, result.reshape(slices * lines, -1), strict=True):
            draw(stream, plane)
        return result

    def _all_numbers(self) -> _Drawn:
        """The numbers of all cells."""
        generator, shape = self._generator(), self._mapping.shape
        deviates = None if self._cell is None else cell_kernels.standard_normal(generator, np.empty(shape))
        self._draw_die(generator)
        tail = None if self._cell is None or self._cell.tail is None else generator.random(shape)
        faults = None if self._faults is None else generator.random(shape)
        self._end = generator
        return _Drawn(deviates, tail, faults)

    def _find_streams(self) -> _Streams:
        """Where the numbers of each slice and line begin: found by drawing them once."""
        if self._streams is None:
            generator = self._generator()
            deviates = () if self._cell is None else self._skipped(generator, cell_kernels.standard_normal)
            self._draw_die(generator)
            tail = () if self._cell is None or self._cell.tail is None else self._skipped(generator, _uniform)
            faults = () if self._faults is None else self._skipped(generator, _uniform)
            self._streams, self._end = _Streams(deviates, tail, faults), generator
        return self._streams

    def _skipped(self, generator: np.random.Generator, draw: Draw) -> tuple[np.random.Generator, ...]:
        slices, lines, rows, columns = self._mapping.shape
        buffer, found = np.empty(PIECE_CELLS), []
        for _ in range(slices * lines):
            found.append(copy.deepcopy(generator))
            for start in range(0, rows * columns, PIECE_CELLS):
                draw(generator, buffer[: rows * columns - start])
        return tuple(found)
