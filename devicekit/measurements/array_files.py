"""Arrays of NumPy (.npz, .npy) and MATLAB (.mat) as tables: vectors of one length are columns, matrices are tables."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devicekit.common.errors import MeasurementError
from devicekit.common.foreign import reading
from devicekit.measurements.header_names import split_header
from devicekit.measurements.labelled_columns import wide_name
from devicekit.measurements.raw_tables import RawTable, Unused, check_headers

_RATES = ("fs", "rate", "sample_rate", "sampling_rate", "frequency", "sampling_frequency")
"""Names of a number of reads a second (Hz)."""


def read_numpy_tables(content: bytes, place: str, name: str, sheet: str | None) -> list[RawTable]:
    """Return the tables of an .npz archive or an .npy array.

    Raises:
        MeasurementError: not such a file, Python objects in it, or no numbers.
    """
    with reading(place, MeasurementError, "a NumPy file of plain arrays"):
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        arrays = {name: loaded} if isinstance(loaded, np.ndarray) else {key: loaded[key] for key in loaded.files}
    return _tables(arrays, place, sheet)


def read_matlab_tables(content: bytes, place: str, sheet: str | None) -> list[RawTable]:
    """Return the tables of a MATLAB file of versions 4 to 7.

    Raises:
        MeasurementError: not such a file, version 7.3, or no numbers.
    """
    from scipy.io import loadmat

    if content[:128].startswith(b"MATLAB 7.3") or content.startswith(b"\x89HDF"):
        raise MeasurementError(f"{place}: a MATLAB file of version 7.3 is HDF5; save it with save(..., '-v7').")
    with reading(place, MeasurementError, "a MATLAB file"):
        loaded = loadmat(io.BytesIO(content), squeeze_me=True, struct_as_record=False)
    arrays: dict[str, Any] = {}
    for key, value in loaded.items():
        if not key.startswith("__"):
            arrays |= _fields(key, value)
    return _tables(arrays, place, sheet)


def _fields(name: str, value: Any) -> dict[str, Any]:
    """Return a MATLAB variable, or the fields of a struct, by name."""
    if hasattr(value, "_fieldnames"):
        return {field: getattr(value, field) for field in value._fieldnames}
    return {name: value}


def _tables(arrays: Mapping[str, Any], place: str, sheet: str | None) -> list[RawTable]:
    plain: dict[str, NDArray[Any]] = {}
    unused: list[Unused] = []
    for name, value in arrays.items():
        array = np.asarray(value)
        if array.dtype.names:
            plain |= {field: np.asarray(array[field]).ravel() for field in array.dtype.names}
        elif array.dtype.kind in "fiubU" and array.ndim <= 2 and array.size:
            plain[name] = array
        else:
            unused.append(Unused("column", repr(name), f"an array of type {array.dtype}, shape {array.shape}"))
    if sheet is not None and sheet in plain and plain[sheet].ndim == 2:
        return [_matrix(sheet, plain[sheet], place, tuple(unused))]
    vectors = {name: array for name, array in plain.items() if array.ndim == 1 and len(array) > 1}
    matrices = {name: array for name, array in plain.items() if array.ndim == 2}
    numbers = {name: array for name, array in plain.items() if array.size == 1}
    if not vectors and len(matrices) > 1:
        traces = _traces(matrices, numbers, place, unused)
        if traces is not None:
            return [traces]
        return [_matrix(name, array, place, tuple(unused)) for name, array in matrices.items()]
    if not vectors and len(matrices) == 1:
        ((name, array),) = matrices.items()
        return [_matrix(name, array, place, tuple(unused))]
    if not vectors:
        raise MeasurementError(f"{place}: no array of numbers; there are {', '.join(map(repr, arrays)) or 'none'}.")
    if len(vectors) > 1 and all(wide_name(name) for name in vectors):
        longest = max(map(len, vectors.values()))
        vectors = {name: np.append(array, np.full(longest - len(array), np.nan)) for name, array in vectors.items()}
    length = Counter(len(array) for array in vectors.values()).most_common(1)[0][0]
    for name, array in plain.items():
        if name in matrices or (name in vectors and len(array) != length):
            unused.append(Unused("column", repr(name), f"shape {array.shape}, not {length} entries as the others"))
    kept = {name: array for name, array in vectors.items() if len(array) == length}
    for name, array in matrices.items():
        if len(matrices) == 1 and array.shape.count(length) == 1:
            # A row (or a column) of the matrix belongs to each entry of the vectors: a state, say, with its cells.
            cells = array if len(array) == length else array.T
            quantity, unit = split_header(name)
            kept |= {f"{quantity} {n + 1}" + (f" ({unit})" if unit else ""): c for n, c in enumerate(cells.T)}
            unused = [item for item in unused if item.name != repr(name)]
    check_headers(list(kept), place)
    metadata = {name.lower(): str(array.item()) for name, array in numbers.items()}
    return [RawTable(place, tuple(kept), tuple(map(_column, kept.values())), metadata=metadata, unused=tuple(unused))]


def _column(array: NDArray[Any]) -> Any:
    if array.dtype.kind == "U":
        return [str(item) for item in array]
    # What was stored in single precision is written in as many digits as it has.
    return array.astype(str).astype(np.float64) if array.dtype == np.float32 else array


def _matrix(name: str, array: NDArray[Any], place: str, unused: tuple[Unused, ...]) -> RawTable:
    """Return a matrix as a table without header, as it lies."""
    headers = tuple(f"column {number}" for number in range(1, array.shape[1] + 1))
    check_headers(headers, place)
    columns = tuple(_column(column) for column in array.T)
    return RawTable(f"{place}[{name}]", headers, columns, name=name, named=False, unused=unused)


def _traces(
    matrices: Mapping[str, NDArray[Any]], numbers: Mapping[str, NDArray[Any]], place: str, unused: list[Unused]
) -> RawTable | None:
    """Return reads of a few cells over time (a row a cell) as a long table, with the columns of what tells them apart.

    The longest matrix holds the reads; another matrix of as many rows says what each row is; a number called ``fs``
    gives the time of a read.
    """
    name, reads = max(matrices.items(), key=lambda item: item[1].size)
    facts = {key: array for key, array in matrices.items() if key != name and len(array) == len(reads)}
    if len(facts) != len(matrices) - 1 or reads.shape[1] < 10 * len(reads):
        return None
    cells, count = reads.shape
    headers = ["cell", name]
    columns: list[Any] = [np.repeat(np.arange(cells), count), _column(reads.ravel())]
    for key, array in facts.items():
        for index in range(array.shape[1]):
            headers.append(f"{key} {index + 1}" if array.shape[1] > 1 else key)
            columns.append(np.repeat(array[:, index], count))
    for key, value in numbers.items():
        if split_header(key.replace("_Hz", ""))[0] in _RATES:
            headers.append("time (s)")
            columns.append(np.tile(np.arange(count) / float(value), cells))
    notes = (f"{name!r} was read as {count} reads of {cells} cells, a row a cell",)
    return RawTable(place, tuple(headers), tuple(columns), notes=notes, unused=tuple(unused))
