"""The cell's part of a study: measured currents fitted to a cell, or a device file as it stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devicekit import (
    Cell,
    Constant,
    DeviceFit,
    MeasurementError,
    data_path,
    device_names,
    fit_device,
    load_device,
    read_measurements,
)
from devicekit.common.errors import unknown_name
from reports.results import DeviceSummary, FitResult, FittedParameter, Provenance
from reports.study import REFERENCE_MEASUREMENTS, Study
from reports.table import in_prefix

_FORMS = (".csv", ".tsv", ".parquet", ".xlsx")


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
    """Return the cell of a study: fitted to its measurements, or its device as it stands.

    A device whose measurements are bundled is shown with a fit to them all the same, so that a reader sees what it
    rests on.

    Args:
        study: the study.

    Raises:
        DeviceError: unknown device, or a malformed device file.
        MeasurementError: unknown or malformed measurements, or ones that cannot be fitted.
    """
    device = None if study.device is None else load_device(study.device)
    asked = study.measurements or (REFERENCE_MEASUREMENTS if device is None else None)
    if asked is not None:
        # A device beside measurements gives what currents alone do not; without one, the file says it or it is assumed.
        known = {} if device is None else _not_from_currents(device)
        fit = fit_device(read_measurements(find_measurements(asked)), **known)
        origin = f"Fitted to {Path(fit.measurements.place).name}, {fit.measurements.kind}."
        return StudyCell(fit.cell, _summary(fit.cell, origin), _fit_result(fit))
    assert device is not None
    bundled = _bundled_measurements().get(f"{device.name}_resampled", _bundled_measurements().get(device.name))
    shown = None if bundled is None else _fit_result(fit_device(read_measurements(bundled)))
    return StudyCell(device, _summary(device, "Taken as it stands from its device file."), shown)


def _not_from_currents(device: Cell) -> dict[str, Any]:
    return {
        "i_max": device.i_max,
        "on_off_ratio": device.on_off_ratio,
        "read_voltage": device.read_voltage,
        "technology": device.technology,
    }


def _bundled_measurements() -> dict[str, Path]:
    return {path.stem: path for path in sorted(data_path("measurements").iterdir()) if path.suffix in _FORMS}


def find_measurements(name: str) -> Path:
    """Return the path of measurements: a file, or the name of bundled ones.

    Args:
        name: what the user wrote.

    Raises:
        MeasurementError: neither.
    """
    if Path(name).is_file():
        return Path(name)
    bundled = _bundled_measurements()
    if name in bundled:
        return bundled[name]
    raise MeasurementError(unknown_name("measurement file or bundled measurements", name, bundled))


def _fit_result(fit: DeviceFit) -> FitResult:
    import numpy as np

    table = fit.table
    current = np.linspace(0.0, max(float(table["target"].max()), fit.cell.i_max), 121)
    sigma = fit.cell.error.sigma(current, fit.cell.i_max)
    margin = 1.96 * fit.fit.sigma_stderr(current)
    published = _published(fit)
    values = {} if published is None else published.error.values()
    drawn = () if published is None else tuple(map(float, published.error.sigma(current, published.i_max)))
    return FitResult(
        source=Path(fit.measurements.place).name,
        kind=fit.measurements.kind,
        round_trip=fit.measurements.kind.startswith("resampled"),
        model=fit.model,
        parameters=tuple(
            FittedParameter(name=name, value=p.value, stderr=p.stderr, unit=p.unit, published=values.get(name))
            for name, p in fit.parameters.items()
        ),
        target=tuple(map(float, table["target"])),
        sigma=tuple(map(float, table["sigma"])),
        sigma_stderr=tuple(map(float, table["sigma_stderr"])),
        cells=tuple(map(int, table["n"])),
        curve_current=tuple(map(float, current)),
        curve_sigma=tuple(map(float, sigma)),
        curve_low=tuple(map(float, np.maximum(sigma - margin, 0.0))),
        curve_high=tuple(map(float, sigma + margin)),
        curve_published=drawn,
        notes=tuple(_sentence(note) for note in (*fit.measurements.notes, *fit.notes)),
    )


def _published(fit: DeviceFit) -> Cell | None:
    """Return the published cell that bundled measurements were drawn from, where its model is of the fitted kind."""
    name = Path(fit.measurements.place).stem.removesuffix("_resampled")
    if not fit.measurements.kind.startswith("resampled") or name not in device_names():
        return None
    cell = load_device(name)
    return cell if type(cell.error) is type(fit.cell.error) else None


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


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
    return f"{name} {' '.join(in_prefix(value, unit)[:2]).strip()}"


def device_sources(found: StudyCell) -> list[Provenance]:
    """Return every constant of the cell.

    Args:
        found: the cell of the study.
    """
    return [constant_entry(f"cell: {found.cell.name}", name, entry) for name, entry in found.cell.provenance.items()]


def constant_entry(room: str, name: str, constant: Constant) -> Provenance:
    """Return a constant as the provenance table shows it.

    Args:
        room: what it belongs to.
        name: its name.
        constant: the constant.
    """
    value, unit, interval = in_prefix(constant.value, constant.unit, constant.interval)
    return Provenance(
        room=room, name=name, value=value, unit=unit, kind=constant.kind, source=constant.source, interval=interval
    )
