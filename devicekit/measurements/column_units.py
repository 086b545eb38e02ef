"""The unit of every column, where it came from, and the numbers in SI."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from devicekit.common.errors import MeasurementError, UnitError
from devicekit.common.quantities import parse_quantity
from devicekit.measurements.column_roles import CURRENTS, ColumnRole
from devicekit.measurements.header_names import TIME_WORDS, HeaderName, parse_header
from devicekit.measurements.number_formats import MISSING
from devicekit.measurements.raw_tables import RawTable
from devicekit.measurements.read_options import ReadOptions, number_or_text
from devicekit.measurements.unit_conversions import Conversion, conversion

Floats = NDArray[np.float64]

WITH_UNIT = re.compile(
    r"(?P<number>[+\-−]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?)\s*(?P<unit>(?![eE][+-]?\d)[A-Za-zµμ°ΩΩ%]\S*)"
)
"""A number with its unit, as one entry."""
_VOLTAGES = ("read_voltage", "v_read", "vread", "lesespannung")


class ColumnUnits:
    """Turns the columns of one table into SI and keeps the account of it.

    Attributes:
        account: what each column was taken for, in the order of reading.
        read_voltage: voltage of the read [V]; None: not known.
        absolute_time: whether the times read are stamps of a clock.
        target_scale: factor that turned the numbers of the target column into SI.
    """

    def __init__(self, table: RawTable, options: ReadOptions) -> None:
        self.table = table
        self.options = options
        self.account: list[ColumnRole] = []
        self.absolute_time = False
        self.target_scale = 1.0
        self.read_voltage = options.read_voltage
        self.voltage_from = "option" if self.read_voltage is not None else ""
        self.notes: list[str] = []
        for key in _VOLTAGES:
            if self.read_voltage is None and key in table.metadata:
                self._set_voltage(table.metadata[key], "the file")
        for index, header in enumerate(table.headers):
            said = parse_header(header)
            if self.read_voltage is None and said.read_at:
                self._set_voltage(said.read_at, f"header {header!r}")
            elif self.read_voltage is None and said.name in _VOLTAGES and said.unit and table.is_numeric(index):
                volts = np.unique(table.numbers(index))
                if len(volts) == 1:
                    self._set_voltage(f"{volts[0]} {said.unit}", f"column {header!r}")
                    self.notes.append(f"the read voltage is that of the column {header!r}: {volts[0]:g} {said.unit}")

    def _set_voltage(self, text: str, source: str) -> None:
        try:
            volts = parse_quantity(number_or_text(text), "V", "`read_voltage`")
        except UnitError as error:
            raise MeasurementError(f"{self.table.place}: {error}") from error
        if volts <= 0:
            raise MeasurementError(f"{self.table.place}: expected `read_voltage` to be above 0 V, but got {text!r}.")
        self.read_voltage, self.voltage_from = volts, source

    def column(self, role: str, index: int, borrow: int | None = None) -> Floats:
        """Return a whole column in SI; missing entries and marks are NaN.

        Args:
            role: what it is.
            index: which column.
            borrow: a column whose unit holds where this one has none of its own.
        """
        if role == "count":
            numbers = self.table.numbers(index)
            self.note(role, index, "", "name", "", len(numbers))
            return numbers
        if role == "time" and (stamps := _stamps(self.table, index)) is not None:
            self.absolute_time = True
            self.note(role, index, "s", "name", "dates", len(stamps))
            return stamps
        parts = self._entries_with_units(role, index)
        if parts is not None:
            return parts
        numbers = self.table.numbers(index)
        header = parse_header(self.table.headers[index])
        return self.convert(role, numbers, index, header, borrow)

    def convert(
        self, role: str, numbers: Floats, index: int, header: HeaderName, borrow: int | None, told: str = ""
    ) -> Floats:
        """Return numbers in SI by the unit of a header, and note where it came from.

        Args:
            role: what they are.
            numbers: as written.
            index: the column they stand in, for errors.
            header: what its header says.
            borrow: see `column`.
            told: what to call the column in the account; its header by default.
        """
        unit, source = self._unit(role, index, header, borrow)
        where = self.where(index)
        if unit is None:
            if role != "time":
                raise MeasurementError(f"{where}: {self._no_unit(role)}")
            how = Conversion("s", 1.0, base=self._base(header, index, role))
            self.note(role, index, "s", "assumed", "assumed", len(numbers), told)
            return how(numbers)
        found = conversion(role, unit, where)
        base = self._base(header, index, role)
        if base != 1.0 and found.base == 1.0:
            found = replace(found, base=base)
        found = self._scaled(found, where)
        if role == "target" and found.quantity != "resistance" and found.base == 1.0:
            self.target_scale = float(found(np.array([1.0]))[0])
        how_told = "argument" if source == "option" else "name"
        shown = f"log {unit}" if found.base != 1.0 and "log" not in unit and "ln" not in unit else unit
        self.note(role, index, shown, how_told, source, len(numbers), told)
        values = found(numbers)
        if role not in ("target_low", "target_high"):
            self._check_finite(values, numbers, index, found)
        return values

    def where(self, index: int) -> str:
        """Return the file and the column, for an error."""
        return f"{self.table.place}, column {self.table.headers[index]!r}"

    def note(self, role: str, index: int, unit: str, how: str, source: str, rows: int, told: str = "") -> None:
        """Add a line to the account."""
        self.account.append(ColumnRole(role, told or self.table.headers[index], unit, how, source, rows))

    def _unit(self, role: str, index: int, header: HeaderName, borrow: int | None) -> tuple[str | None, str]:
        table, units = self.table, self.options.units
        own = header.unit
        if own is None and role == "time":
            own = TIME_WORDS.get(header.name.split("_")[0])
        candidates: list[tuple[str | None, str]] = [(units.get(role), "option"), (own, "header")]
        if role in CURRENTS:
            candidates.append((units.get("current"), "option"))
        candidates.append((table.units.get(index), table.units_from))
        if role in CURRENTS and borrow is not None:
            lender = repr(table.headers[borrow])
            candidates += [
                (parse_header(table.headers[borrow]).unit, f"column {lender}"),
                (table.units.get(borrow), f"column {lender}, {table.units_from}"),
            ]
        if role in CURRENTS:
            candidates.append((table.metadata.get("unit") or table.metadata.get("units"), "comment"))
        return next(((unit, source) for unit, source in candidates if unit), (None, ""))

    def _no_unit(self, role: str) -> str:
        if role in CURRENTS:
            return f"the {role} has no unit; write it in the header, such as 'current (nA)', or pass units=\"nA\"."
        return f"the {role} has no unit; write '{role} (degC)' or pass units={{'{role}': 'K'}}."

    def _base(self, header: HeaderName, index: int, role: str) -> float:
        if header.base is None and not self.options.units.get(role, "").lower().startswith(("log10", "lg", "ln")):
            unit = header.unit or {"time": "s"}.get(role, "A")
            raise MeasurementError(
                f"{self.where(index)}: a logarithm to base 10 or e? Pass units={{'{role}': 'log10 {unit}'}} or"
                f" units={{'{role}': 'ln {unit}'}}."
            )
        return 1.0 if header.base is None else header.base

    def _scaled(self, found: Conversion, where: str) -> Conversion:
        if found.quantity in ("conductance", "resistance"):
            if self.read_voltage is None:
                raise MeasurementError(
                    f"{where}: {found.quantity}s ({found.unit}) need the voltage they were read at; pass"
                    " read_voltage=\"0.1 V\" or write '# read_voltage = 0.1 V' into the file."
                )
            return replace(found, read_voltage=self.read_voltage)
        if found.quantity == "share":
            scale = self.options.i_max
            if scale is None and "i_max" in self.table.metadata:
                scale = parse_quantity(number_or_text(self.table.metadata["i_max"]), "A", f"{where}: i_max")
            if scale is None:
                raise MeasurementError(
                    f'{where}: shares of the full scale ({found.unit}) need it; pass i_max="1.6 uA".'
                )
            return replace(found, i_max=scale)
        return found

    def _check_finite(self, values: Floats, numbers: Floats, index: int, how: Conversion) -> None:
        bad = np.isinf(values)
        if np.any(bad) and len(values) == self.table.rows:
            row = int(np.flatnonzero(bad)[0])
            raise MeasurementError(
                f"{self.table.where(row, index)}: {numbers[row]:g} {how.unit} is no finite current"
                + ("; a resistance must be above 0." if how.quantity == "resistance" else ".")
            )

    def _entries_with_units(self, role: str, index: int) -> Floats | None:
        """Return a column whose entries carry their own units (``100 nA``, ``1.6 uA``) in SI, or None."""
        raw = self.table.columns[index]
        if isinstance(raw, np.ndarray) and raw.dtype.kind in "fiub":
            return None
        first = next((text for item in raw if (text := str(item).strip()).lower() not in MISSING), "")
        if WITH_UNIT.fullmatch(first) is None:
            return None
        texts = [str(item).strip() for item in raw]
        values = np.full(len(texts), np.nan)
        converted: dict[str, Conversion] = {}
        for row, text in enumerate(texts):
            match = WITH_UNIT.fullmatch(text)
            if match is None:
                if text.lower() in MISSING:
                    continue
                raise MeasurementError(
                    f"{self.table.where(row, index)}: expected a number with a unit, as {first!r}, but got"
                    f" {text[:60]!r}."
                )
            unit = match["unit"]
            if unit not in converted:
                converted[unit] = self._scaled(conversion(role, unit, self.where(index)), self.where(index))
            number = float(match["number"].replace(",", ".").replace("−", "-"))
            values[row] = converted[unit](np.array([number]))[0]
        self.note(role, index, ", ".join(converted), "name", "entries", len(values))
        return values


def _stamps(table: RawTable, index: int) -> Floats | None:
    """Return a column of dates as seconds, or None where its entries are none.

    ISO dates and ``15.04.2021 02:45`` have one reading; ``04/05/2021`` has one where some day is above 12.

    Raises:
        MeasurementError: days and months that cannot be told apart.
    """
    raw = table.columns[index]
    if isinstance(raw, np.ndarray) and raw.dtype.kind in "fiub":
        return None
    first = next((text for item in raw if (text := str(item).strip())), "")
    if not re.match(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}", first):
        return None
    texts = [str(item).strip() for item in raw]
    for shape in ("", "%d.%m.%Y", "%Y/%m/%d"):
        seconds = _parsed(texts, shape)
        if seconds is not None:
            return seconds
    american, european = _parsed(texts, "%m/%d/%Y"), _parsed(texts, "%d/%m/%Y")
    if (
        american is not None
        and european is not None
        and not np.allclose(american - american.min(), european - european.min())
    ):
        raise MeasurementError(
            f"{table.place}, column {table.headers[index]!r}: {first!r} can be day/month or month/day; write dates as"
            " 2021-04-15."
        )
    return american if american is not None else european


def _parsed(texts: list[str], shape: str) -> Floats | None:
    values = np.empty(len(texts))
    for row, text in enumerate(texts):
        for clock in ("%H:%M:%S.%f", "%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p", ""):
            try:
                whole = f"{shape} {clock}".strip()
                stamp = datetime.strptime(text, whole) if shape else datetime.fromisoformat(text)
                values[row] = stamp.replace(tzinfo=stamp.tzinfo or UTC).timestamp()
                break
            except ValueError:
                if not shape:
                    return None
        else:
            return None
    return values


def units_that_lost(account: list[ColumnRole], units: Mapping[str, str]) -> list[str]:
    """Return a note where a unit for all currents was given and a header states another."""
    told = units.get("current")
    return [
        f"units={told!r} was not used for {entry.header!r}: its {entry.unit_from} says {entry.unit}"
        for entry in account
        if told and entry.role in CURRENTS and entry.unit and entry.unit != told and entry.unit_from != "option"
    ]
