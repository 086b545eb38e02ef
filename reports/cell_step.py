"""The cell's part of a study: measured currents fitted to a cell, or a device file as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from devicekit import (
    Cell,
    DeviceFit,
    MeasurementError,
    Measurements,
    data_path,
    device_names,
    fit_device,
    load_device,
    read_measurements,
)
from devicekit.common.errors import unknown_name
from devicekit.common.paths import is_file
from devicekit.common.plain import plain_dict
from reports.results import Values
from reports.study import REFERENCE_MEASUREMENTS, Study

_FORMS = (".csv", ".tsv", ".parquet", ".xlsx")


@dataclass(frozen=True)
class StudyCell:
    """The cell a study is made with.

    Attributes:
        cell: the cell.
        device: what the page says of it, see `StudyResult`.
        fit: how it was fitted, see `StudyResult`; None where a device file was taken and no measurements are bundled.
    """

    cell: Cell
    device: Values
    fit: Values | None


def cell_of(study: Study, own: Sequence[Cell | None] = ()) -> StudyCell:
    """Return the cell of a study: fitted to its measurements, or its device as it stands.

    A device whose measurements are bundled is shown with a fit to them all the same, so that a reader sees what it
    rests on. Where the study names neither and every core has a cell of its own, it is the first of those.

    Args:
        study: the study.
        own: the cell of each of its cores, None where a core has none.

    Raises:
        DeviceError: unknown device, or a malformed device file.
        MeasurementError: unknown or malformed measurements, or ones that cannot be fitted.
    """
    device, origin = None if study.device is None else load_device(study.device), "its device file"
    if device is None and study.measurements is None and own and all(own):
        assert own[0] is not None
        device, origin = replace(own[0], time=0.0, temperature=None, compensation=None), "the core's file"
    asked = study.measurements or (REFERENCE_MEASUREMENTS if device is None else None)
    if asked is not None:
        # A device beside measurements gives what currents alone do not; without one, the file says it or it is assumed.
        known = {} if device is None else _not_from_currents(device)
        fit = fit_device(_read(find_measurements(asked)), **known)
        fitted = f"Fitted to {Path(fit.measurements.place).name}, {fit.measurements.kind}."
        return StudyCell(fit.cell, _described(fit.cell, fitted, own), _shown_fit(fit))
    assert device is not None
    bundled = _bundled_measurements().get(f"{device.name}_resampled", _bundled_measurements().get(device.name))
    shown = None if bundled is None else _shown_fit(fit_device(read_measurements(bundled)))
    return StudyCell(device, _described(device, f"Taken as it stands from {origin}.", own), shown)


def _read(path: Path) -> Measurements:
    try:
        return read_measurements(path)
    except MeasurementError as error:
        raise MeasurementError(
            f"{error} A study reads files that need no option; 'devicekit fit' has them all, and the cell file that it"
            " writes is given as `device`."
        ) from error


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
    if is_file(name):
        return Path(name)
    bundled = _bundled_measurements()
    if name in bundled:
        return bundled[name]
    raise MeasurementError(unknown_name("measurement file or bundled measurements", name, bundled))


def _shown_fit(fit: DeviceFit) -> Values:
    import numpy as np

    current = np.linspace(0.0, max(float(fit.table["target"].max()), fit.cell.i_max), 121)
    sigma = fit.cell.error.sigma(current, fit.cell.i_max)
    margin = 1.96 * fit.fit.sigma_stderr(current)
    published = _published(fit)
    curve = {
        "current_a": current,
        "sigma_a": sigma,
        "low_a": np.maximum(sigma - margin, 0.0),
        "high_a": sigma + margin,
        "published_a": None if published is None else published.error.sigma(current, published.i_max),
    }
    shown = {
        "round_trip": fit.measurements.kind.startswith("resampled"),
        "published": {} if published is None else published.error.values(),
        "curve": curve,
    }
    return fit.to_dict() | plain_dict(shown)


def _published(fit: DeviceFit) -> Cell | None:
    """Return the published cell that bundled measurements were drawn from, where its model is of the fitted kind."""
    name = Path(fit.measurements.place).stem.removesuffix("_resampled")
    if not fit.measurements.kind.startswith("resampled") or name not in device_names():
        return None
    cell = load_device(name)
    return cell if type(cell.error) is type(fit.cell.error) else None


def _described(cell: Cell, origin: str, others: Sequence[Cell | None]) -> Values:
    labels = {_label(cell), *(_label(other) for other in others if other is not None)}
    # The constants stand with all the others.
    own = {name: value for name, value in cell.to_dict().items() if name != "provenance"}
    return own | {"label": labels.pop() if len(labels) == 1 else "Analog", "origin": origin}


def _label(cell: Cell) -> str:
    """Return a short name for headings."""
    word = (cell.technology or cell.name).split("_")[0]
    return word.upper() if word.islower() and len(word) <= 6 else word
