"""Cells written as device files, which `load_device` reads back to the same cell."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from devicekit.cells.cell import Cell
from devicekit.cells.device_schema import FORMAT
from devicekit.cells.drift_law import DriftLaw
from devicekit.cells.error_model import ErrorModel
from devicekit.cells.error_registry import error_model
from devicekit.cells.mean_shifts import MeanShift, PolynomialShift, TableShift
from devicekit.cells.subthreshold import MeasuredTemperature, SubthresholdTemperature
from devicekit.cells.tails import Tail
from devicekit.common.errors import DeviceError
from devicekit.common.paths import replacing

LARGEST_RATIO = 1e12
"""An infinite on/off ratio has no number in a file; this one is infinite for every circuit."""


def save_device(
    cell: Cell,
    path: str | Path,
    title: str | None = None,
    notes: Sequence[str] = (),
    fit: Mapping[str, Any] | None = None,
) -> Path:
    """Write a cell to a device file, which `load_device` reads back to the same cell; return the file's path.

    Args:
        cell: as it was programmed: time 0 and the temperature of its measurement.
        path: a ``.toml`` file; written whole or not at all.
        title: one line about the device; None: its name.
        notes: what a reader should know.
        fit: what a fit reports about itself, plain values.

    Raises:
        DeviceError: no cell, or one at another time or temperature or on a die: files describe it as programmed. Or an
            error model that is not registered, which a file could not name.
    """
    content = device_content(cell, title, notes, fit)
    with replacing(path) as temporary:
        temporary.write_text(tomli_w.dumps(content), encoding="utf-8")
    return Path(path)


def device_content(
    cell: Cell, title: str | None = None, notes: Sequence[str] = (), fit: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what a device file of a cell holds, as plain values; arguments and errors as for `save_device`."""
    if not isinstance(cell, Cell):
        raise DeviceError(f"Expected `cell` to be a Cell, but got {cell!r}.")
    if cell.temperature is not None or cell.time or cell.die_deviate is not None:
        raise DeviceError(f"Cell {cell.name!r} was moved in time, temperature or to a die; save it as programmed.")
    content: dict[str, Any] = {
        "format": FORMAT,
        "name": cell.name,
        "technology": cell.technology,
        "title": cell.name if title is None else title,
        "notes": list(notes),
        "i_max": _number(cell, "i_max", cell.i_max, "A"),
        "on_off_ratio": _number(cell, "on_off_ratio", min(cell.on_off_ratio, LARGEST_RATIO), ""),
        "read_voltage": _number(cell, "read_voltage", cell.read_voltage, "V"),
        "error": _error(cell, "error", cell.error, cell.covariance),
    }
    if cell.error_scale != 1.0:
        content["error_scale"] = float(cell.error_scale)
    if fit:
        content["fit"] = dict(fit)
    if cell.mean_error is not None:
        content["mean"] = _mean(cell, "mean", cell.mean_error)
    if cell.retention is not None:
        content["retention"] = _retention(cell)
    if cell.read_noise is not None:
        content["read_noise"] = _error(cell, "read_noise", cell.read_noise, cell.read_noise_covariance)
    if cell.temperature_law is not None:
        content["temperature"] = _temperature(cell)
    if cell.spatial is not None:
        content["spatial"] = {
            "die": _number(cell, "spatial.die", cell.spatial.die, ""),
            "wafer": _number(cell, "spatial.wafer", cell.spatial.wafer, ""),
        }
    if cell.tail is not None:
        content["tail"] = _tail(cell, cell.tail)
    if cell.measured_range is not None:
        content["measured_range"] = [_ampere(edge) for edge in cell.measured_range]
    return content


def _number(cell: Cell, name: str, value: float, unit: str) -> dict[str, Any]:
    known = cell.provenance.get(name)
    if known is None:
        return {"value": float(value), "unit": unit, "kind": "assumed", "source": "set in a program"}
    entry: dict[str, Any] = {"value": float(value), "unit": unit, "kind": known.kind, "source": known.source}
    if known.interval is not None and known.unit in (unit, unit or "1"):
        entry["interval"] = list(known.interval)
    return entry


def _source(cell: Cell, where: str) -> dict[str, str]:
    for key, constant in cell.provenance.items():
        if key == where or key.startswith(where + "."):
            return {"kind": constant.kind, "source": constant.source}
    fitted = next((each for key, each in cell.provenance.items() if key.startswith("error.")), None)
    if fitted is not None:
        return {"kind": fitted.kind, "source": fitted.source}
    return {"kind": "assumed", "source": "set in a program"}


def _error(cell: Cell, where: str, error: ErrorModel, covariance: NDArray[np.float64] | None) -> dict[str, Any]:
    if error_model(error.name) is not type(error):
        raise DeviceError(
            f"Cell {cell.name!r}: a file would not find its error model {type(error).__qualname__} again; make it known"
            " with devicekit.register_error_model."
        )
    table: dict[str, Any] = {"model": error.name, **_source(cell, where), "parameters": error.to_table()}
    if covariance is not None:
        table["covariance"] = [[float(value) for value in row] for row in covariance]
    return table


def _tail(cell: Cell, tail: Tail) -> dict[str, Any]:
    fraction = _number(cell, "tail.fraction", tail.fraction, "")
    if tail.stderr:
        fraction["interval"] = list(tail.interval)
    table: dict[str, Any] = {"shape": tail.shape, "fraction": fraction}
    return table if tail.shape == "uniform" else {**table, "scale": _number(cell, "tail.scale", tail.scale, "")}


def _ampere(value: float) -> str:
    return f"{value!r} A"


def _mean(cell: Cell, where: str, shift: MeanShift) -> dict[str, Any]:
    if isinstance(shift, TableShift):
        table: dict[str, Any] = {
            "model": "table",
            "unit": "A",
            "targets": list(shift.targets),
            "means": list(shift.means),
            **_source(cell, where),
        }
        return table if shift.stderr is None else {**table, "stderr": list(shift.stderr)}
    if isinstance(shift, PolynomialShift):
        return {
            "model": "polynomial",
            "unit": _ampere(shift.scale),
            "coefficients": list(shift.coefficients),
            "valid": [edge / shift.scale for edge in shift.valid],
            **_source(cell, where),
        }
    raise DeviceError(f"Cell {cell.name!r}: a mean shift of type {type(shift).__name__} has no form in a file.")


def _retention(cell: Cell) -> dict[str, Any]:
    retention = cell.retention
    assert retention is not None
    table: dict[str, Any] = {"time_axis": retention.time_axis, "start": f"{retention.start!r} s"}
    table["temperature"] = _number(cell, "retention.temperature", retention.temperature, "K")
    if retention.activation_energy is not None:
        table["activation_energy"] = _number(cell, "retention.activation_energy", retention.activation_energy, "eV")
    rows = []
    for index, point in enumerate(retention.points):
        where = f"retention.points.{index}"
        row: dict[str, Any] = {"time": f"{point.time!r} s"}
        if point.mean is not None:
            row["mean"] = _mean(cell, f"{where}.mean", point.mean)
        row["error"] = _error(cell, f"{where}.error", point.error, cell.retention_covariance.get(point.time))
        rows.append(row)
    table["points"] = rows
    law = retention.law
    if isinstance(law, DriftLaw):
        table["law"] = {
            "model": law.name,
            "full_scale": _ampere(law.full_scale),
            "nu": dataclasses.asdict(law.nu),
            "nu_sigma": dataclasses.asdict(law.nu_sigma),
            "flicker": {
                "coefficient": law.flicker_coefficient,
                "exponent": law.flicker_exponent,
                "high": law.flicker_high,
            },
            "t_read": f"{law.t_read!r} s",
            "measured_until": f"{law.measured_until!r} s",
            **_source(cell, "retention.law"),
        }
    elif law is not None:
        table["law"] = {
            "model": law.name,
            "unit": "A",
            "targets": list(law.targets),
            "rates": list(law.rates),
            **({} if law.stderr is None else {"stderr": list(law.stderr)}),
            "sigma_rate": law.sigma_rate,
            "sigma_stderr": law.sigma_stderr,
            "t_0": f"{law.t_0!r} s",
            **_source(cell, "retention.law"),
        }
    return table


def _temperature(cell: Cell) -> dict[str, Any]:
    law = cell.temperature_law
    if isinstance(law, SubthresholdTemperature):
        return {
            "model": "subthreshold",
            "i_0": _number(cell, "temperature.i_0", law.i_0, "A"),
            "eta": _number(cell, "temperature.eta", law.eta, ""),
            "threshold_slope": _number(cell, "temperature.threshold_slope", law.threshold_slope, "V/K"),
            "reference": _number(cell, "temperature.reference", law.reference, "K"),
            **(
                {"i_0_exponent": _number(cell, "temperature.i_0_exponent", law.i_0_exponent, "")}
                if law.i_0_exponent
                else {}
            ),
        }
    assert isinstance(law, MeasuredTemperature)
    return {
        "model": "measured",
        "unit": "A",
        "temperatures_k": list(law.temperatures),
        "currents": list(law.currents),
        "ratios": [list(row) for row in law.ratios],
        "reference_k": law.reference,
        **_source(cell, "temperature"),
    }
