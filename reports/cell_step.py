"""The cell's part of a study: measured currents fitted to a cell, or a device file as it stands."""

from __future__ import annotations

from dataclasses import dataclass

from devicekit import Cell, load_device
from reports.results import DeviceSummary, FitResult, Provenance
from reports.study import REFERENCE_MEASUREMENTS, Study
from reports.table import show_interval, significant


@dataclass(frozen=True)
class StudyCell:
    """The cell a study is made with.

    Attributes:
        cell: the cell.
        summary: what the page says of it.
        fit: how it was fitted; None where a device file was taken as it stands.
    """

    cell: Cell
    summary: DeviceSummary
    fit: FitResult | None


def cell_of(study: Study) -> StudyCell:
    """Return the cell of a study.

    Args:
        study: the study.

    Raises:
        DeviceError: unknown device, or a malformed device file.
        MeasurementError: a malformed measurement file.
    """
    cell = load_device(study.device or REFERENCE_MEASUREMENTS)
    return StudyCell(cell, _summary(cell, "Taken as it stands from its device file."), None)


def _summary(cell: Cell, origin: str) -> DeviceSummary:
    model = " ".join(_words(type(cell.error).__name__))
    values = ", ".join(_parameter(name, value, cell.error.unit(name)) for name, value in cell.error.values().items())
    return DeviceSummary(
        name=cell.name,
        label=_label(cell),
        technology=cell.technology.replace("_", " ") or "technology not stated",
        model=f"{model} ({values})" if values else model,
        i_max=cell.i_max,
        on_off_ratio=cell.on_off_ratio,
        read_voltage=cell.read_voltage,
        origin=origin,
    )


def _label(cell: Cell) -> str:
    word = (cell.technology or cell.name).split("_")[0]
    return word.upper() if word.islower() and len(word) <= 6 else word


def _words(name: str) -> list[str]:
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return spaced.split()


def _parameter(name: str, value: float, unit: str) -> str:
    shown = f"{significant(1e9 * value)} nA" if unit == "A" else f"{significant(value)} {unit}".strip()
    return f"{name} {shown}"


def device_sources(found: StudyCell) -> list[Provenance]:
    """Return every constant of the cell.

    Args:
        found: the cell of the study.
    """
    return [
        Provenance(
            room=f"cell: {found.cell.name}",
            name=name,
            value=significant(constant.value, 4),
            unit=constant.unit,
            kind=constant.kind,
            source=constant.source,
            interval=show_interval(constant.interval),
        )
        for name, constant in found.cell.provenance.items()
    ]
