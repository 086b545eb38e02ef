"""Files of measuring instruments that are no plain table: IC-CAP data and Keysight EasyEXPERT exports."""

from __future__ import annotations

from pathlib import Path

from devicekit.common.errors import MeasurementError
from devicekit.measurements.raw_tables import RawTable, check_headers
from devicekit.measurements.text_tables import read_text

_UNIT_OF_KIND = {"V": "V", "I": "A", "T": "s", "F": "Hz", "C": "F", "G": "S"}
"""What the type letter of an IC-CAP input or output means, in SI units."""


def is_iccap(path: Path) -> bool:
    """Return whether a file is IC-CAP measured data, by its ending or its keywords."""
    if path.suffix.lower() == ".mdm":
        return True
    with path.open("rb") as file:
        return b"BEGIN_HEADER" in (head := file.read(4096)) and (b"ICCAP" in head or b"BEGIN_DB" in head)


def read_iccap_table(path: Path) -> RawTable:
    """Return the rows of all data blocks of an IC-CAP ``.mdm`` file.

    Values that are fixed in a block (``ICCAP_VAR name value`` and ``USER_VAR``) become columns; units follow from the
    type letters of the header's inputs and outputs, in SI.

    Args:
        path: the file.

    Raises:
        MeasurementError: a block without header, without end, or with rows of another width; with the line.
    """
    kinds: dict[str, str] = {}
    headers: list[str] | None = None
    rows: list[list[str]] = []
    lines: list[int] = []
    fixed: dict[str, str] = {}
    block_header: list[str] | None = None
    section = ""
    opened = 0
    for number, raw in enumerate(read_text(path).splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("!"):
            continue
        fields = line.split()
        if fields[0] in ("BEGIN_HEADER", "BEGIN_DB"):
            section, fixed, block_header, opened = fields[0], {}, None, number
        elif fields[0] in ("END_HEADER", "END_DB"):
            section = ""
        elif section == "BEGIN_HEADER":
            if len(fields) >= 2 and not fields[0].startswith("ICCAP_") and fields[1] in _UNIT_OF_KIND:
                kinds[fields[0]] = _UNIT_OF_KIND[fields[1]]
        elif section == "BEGIN_DB" and fields[0] in ("ICCAP_VAR", "USER_VAR") and len(fields) >= 3:
            fixed[fields[1]] = fields[2]
        elif section == "BEGIN_DB" and block_header is None:
            block_header = [*fixed, *line.lstrip("#").split()]
            if headers is None:
                headers = block_header
                check_headers(headers, f"{path}:{number}")
            elif block_header != headers:
                raise MeasurementError(
                    f"{path}:{number}: this data block has columns {block_header!r}, the first one {headers!r}."
                )
        elif section == "BEGIN_DB" and block_header is not None:
            row = [*fixed.values(), *fields]
            if len(row) != len(block_header):
                raise MeasurementError(
                    f"{path}:{number}: expected {len(block_header) - len(fixed)} numbers, but got {len(fields)}."
                )
            rows.append(row)
            lines.append(number)
    if section:
        raise MeasurementError(f"{path}:{opened}: {section} has no end; the file is cut off.")
    if headers is None or not rows:
        raise MeasurementError(f"{path}: no data block (BEGIN_DB ... END_DB) with rows.")
    units = {index: kinds[name] for index, name in enumerate(headers) if name in kinds}
    return RawTable(
        str(path),
        tuple(headers),
        tuple(zip(*rows, strict=True)),
        lines,
        units=units,
        notes=("IC-CAP data: values are in SI units",),
    )


def is_easyexpert(path: Path) -> bool:
    """Return whether a file is a Keysight EasyEXPERT export: rows are labelled DataName and DataValue."""
    with path.open("rb") as file:
        head = file.read(65536)
    return b"DataName" in head and (b"DataValue" in head or b"SetupTitle" in head)


def read_easyexpert_table(path: Path) -> RawTable:
    """Return the rows of a Keysight EasyEXPERT CSV export; every other labelled line is metadata.

    Args:
        path: the file.

    Raises:
        MeasurementError: no DataName line, a row before it or of another width; with the line.
    """
    headers: list[str] | None = None
    rows: list[list[str]] = []
    lines: list[int] = []
    metadata: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        label, _, rest = line.partition(",")
        label = label.strip().strip('"')
        fields = [field.strip().strip('"') for field in rest.split(",")]
        if label == "DataName":
            if headers is not None and fields != headers:
                raise MeasurementError(
                    f"{path}:{number}: this part has columns {fields!r}, the first one {headers!r}; give one file each."
                )
            headers = fields
            check_headers(headers, f"{path}:{number}")
        elif label == "DataValue":
            if headers is None:
                raise MeasurementError(f"{path}:{number}: a DataValue line stands before any DataName line.")
            if len(fields) != len(headers):
                raise MeasurementError(f"{path}:{number}: expected {len(headers)} values, but got {len(fields)}.")
            rows.append(fields)
            lines.append(number)
        elif label and rest:
            metadata.setdefault(label.lower(), rest.strip())
    if headers is None or not rows:
        raise MeasurementError(f"{path}: no DataName line with DataValue lines after it.")
    units = {index: "A" for index, name in enumerate(headers) if name.lower().startswith("i")}
    units |= {index: "s" for index, name in enumerate(headers) if name.lower() in ("time", "t")}
    return RawTable(
        str(path),
        tuple(headers),
        tuple(zip(*rows, strict=True)),
        lines,
        metadata,
        units,
        ("Keysight EasyEXPERT export: values without a unit are in SI units",),
    )
