"""Files of measuring instruments that are no plain table: IC-CAP data and Keysight EasyEXPERT exports."""

from __future__ import annotations

import re

from devicekit.common.errors import MeasurementError
from devicekit.measurements.raw_tables import RawTable, check_headers

_UNIT_OF_KIND = {"V": "V", "I": "A", "T": "s", "F": "Hz", "C": "F", "G": "S"}
"""What the type letter of an IC-CAP input or output means, in SI units."""


_NETLIST = re.compile(r"^\s*\.(subckt|model|ends|include|lib)\b", re.IGNORECASE | re.MULTILINE)


def refuse_netlist(text: str, suffix: str, place: str) -> None:
    """Refuse a SPICE library: it describes a cell, it does not measure one.

    Raises:
        MeasurementError: what the file is and which command reads it.
    """
    if suffix in (".lib", ".sp", ".spice", ".cir", ".mod", ".net", ".scs") or _NETLIST.search(text[:4096]):
        raise MeasurementError(
            f"{place}: a SPICE netlist or model library, not measurements; 'devicekit bitline --cell' takes it."
        )


def is_iccap(text: str, suffix: str) -> bool:
    """Return whether a file is IC-CAP measured data, by its ending or its keywords."""
    head = text[:4096]
    return suffix == ".mdm" or ("BEGIN_HEADER" in head and ("ICCAP" in head or "BEGIN_DB" in head))


def read_iccap_table(text: str, path: str) -> RawTable:
    """Return the rows of all data blocks of an IC-CAP ``.mdm`` file.

    Values that are fixed in a block (``ICCAP_VAR name value`` and ``USER_VAR``) become columns; units follow from the
    type letters of the header's inputs and outputs, in SI.

    Args:
        text: the file's text.
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
    for number, raw in enumerate(text.splitlines(), start=1):
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
        path,
        tuple(headers),
        tuple(zip(*rows, strict=True)),
        lines,
        units=units,
        units_from="IC-CAP header",
        notes=("IC-CAP data: values are in SI units",),
    )


def is_easyexpert(text: str) -> bool:
    """Return whether a file is a Keysight EasyEXPERT export: rows are labelled DataName and DataValue."""
    head = text[:65536]
    return "DataName" in head and ("DataValue" in head or "SetupTitle" in head)


def read_easyexpert_table(text: str, path: str) -> RawTable:
    """Return the rows of a Keysight EasyEXPERT CSV export; every other labelled line is metadata.

    Args:
        text: the file's text.
        path: the file.

    Raises:
        MeasurementError: no DataName line, a row before it or of another width; with the line.
    """
    headers: list[str] | None = None
    rows: list[list[str]] = []
    lines: list[int] = []
    records: list[str] = []
    record = 0
    metadata: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
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
            record += 1
        elif label == "DataValue":
            if headers is None:
                raise MeasurementError(f"{path}:{number}: a DataValue line stands before any DataName line.")
            if len(fields) != len(headers):
                raise MeasurementError(f"{path}:{number}: expected {len(headers)} values, but got {len(fields)}.")
            rows.append(fields)
            lines.append(number)
            records.append(str(record))
        elif label and rest:
            metadata.setdefault(label.lower(), rest.strip())
    if headers is None or not rows:
        raise MeasurementError(f"{path}: no DataName line with DataValue lines after it.")
    units = {index: "A" for index, name in enumerate(headers) if name.lower().startswith("i")}
    columns = [*zip(*rows, strict=True)]
    if record > 1:
        # What differs between records stands in their own lines; a column of them shows whether it matters.
        headers, columns = [*headers, "record"], [*columns, tuple(records)]
    units |= {index: "s" for index, name in enumerate(headers) if name.lower() in ("time", "t")}
    return RawTable(
        path,
        tuple(headers),
        tuple(columns),
        lines,
        metadata,
        units,
        "EasyEXPERT, in SI units",
        ("Keysight EasyEXPERT export: values without a unit are in SI units",),
    )
