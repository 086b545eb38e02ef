"""Cells read from device files: the bundled ones, and a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from devicekit.cells.cell import Cell, Spatial
from devicekit.cells.device_schema import (
    DeviceFile,
    DriftLawTable,
    ErrorTable,
    MeanPolynomial,
    MeanTable,
    MeasuredTemperatureTable,
    Number,
    RetentionLawTable,
    RetentionTable,
    SubthresholdTable,
    TailTable,
)
from devicekit.cells.drift_law import ClippedLogarithm, DriftLaw
from devicekit.cells.error_model import ErrorModel
from devicekit.cells.error_registry import error_model
from devicekit.cells.mean_shifts import MeanShift, PolynomialShift, TableShift
from devicekit.cells.retention import Retention, RetentionPoint
from devicekit.cells.retention_laws import RetentionLaw
from devicekit.cells.subthreshold import ROOM_TEMPERATURE, MeasuredTemperature, SubthresholdTemperature, TemperatureLaw
from devicekit.cells.tails import Tail
from devicekit.common.errors import DeviceError, DevicekitError, unknown_name
from devicekit.common.foreign import read_toml
from devicekit.common.paths import checked_file_name, data_path, is_file
from devicekit.common.provenance import Constant
from devicekit.common.quantities import parse_quantity, unit_factor
from devicekit.common.unit_checks import refuse_current

MOST_DRIFT = 1.5
"""Full scales by which mean currents may move; a cell that is read below 0 or far above its range is none."""


def device_names() -> list[str]:
    """Return the names of the bundled devices, sorted."""
    return sorted(_bundled())


def _bundled() -> dict[str, Path]:
    return {path.stem: path for path in sorted(data_path("devices").glob("*.toml"))}


def load_device(name_or_path: str | Path | Cell) -> Cell:
    """Return the cell of a bundled device or of a device file.

    Args:
        name_or_path: a name such as ``"sonos_40nm_tcas2022"`` (see `device_names`), or the path of a TOML file; a cell
            is returned as it is.

    Raises:
        DeviceError: no such device (with the nearest names), or a file that is malformed or describes no cell; the
            message names the file and the field.
    """
    if isinstance(name_or_path, Cell):
        return name_or_path
    content, path = read_device_file(name_or_path)
    return _built(content, path)


def cell_from_content(content: Mapping[str, Any], where: str | Path) -> Cell:
    """Return the cell that plain values describe, in the form of a device file (`device_writing.device_content`).

    Args:
        content: the values.
        where: what they came from, for the message.

    Raises:
        DeviceError: as `load_device`.
    """
    return _built(_checked(content, where), where)


def _built(content: DeviceFile, where: str | Path) -> Cell:
    try:
        # The cell's own file is named after it.
        checked_file_name(content.name, "`name`", DeviceError)
        return _Builder().cell(content)
    except DevicekitError as error:
        raise DeviceError(f"{where}: {error}") from error
    except ValidationError as error:  # of a constant: an interval without its value, an empty source
        first = error.errors()[0]
        raise DeviceError(f"{where}: {first['msg']}, but got {first['input']!r:.200}.") from error


def _checked(content: Mapping[str, Any], where: str | Path) -> DeviceFile:
    try:
        return DeviceFile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        more = f" ({error.error_count()} faults in all)" if error.error_count() > 1 else ""
        raise DeviceError(f"{where}: {place}: {first['msg']}, but got {first['input']!r:.200}{more}.") from error


def read_device_file(name_or_path: str | Path) -> tuple[DeviceFile, Path]:
    """Return the checked content of a device file, with its title and notes, and its path.

    Raises:
        DeviceError: as `load_device`.
    """
    if not isinstance(name_or_path, str | Path):
        raise DeviceError(f"Expected a device's name or the path of its file, but got {name_or_path!r}.")
    bundled = _bundled()
    path = bundled.get(str(name_or_path), Path(name_or_path))
    if not is_file(path):
        message = unknown_name("device", str(name_or_path), bundled)
        raise DeviceError(message + " A device of your own is given as the path of its file.")
    return _checked(read_toml(path, DeviceError), path), path


class _Builder:
    """Builds a cell from the checked tables of a device file, with the provenance of each number."""

    def __init__(self) -> None:
        self.provenance: dict[str, Constant] = {}

    def cell(self, content: DeviceFile) -> Cell:
        error, covariance = self.error("error", content.error)
        mean = self.mean("mean", content.mean)
        retention: Retention | None = None
        retention_covariance: dict[float, NDArray[np.float64]] = {}
        if content.retention is not None:
            retention, retention_covariance = self.retention(content.retention)
        read_noise, read_noise_covariance = None, None
        if content.read_noise is not None:
            read_noise, read_noise_covariance = self.error("read_noise", content.read_noise)
        spatial = None
        if content.spatial is not None:
            spatial = Spatial(
                self.number("spatial.die", content.spatial.die, ""),
                self.number("spatial.wafer", content.spatial.wafer, ""),
            )
        i_max = self.number("i_max", content.i_max, "A")
        if i_max > 1.0:
            raise DeviceError(f"expected `i_max` to be at most 1 A, but got {i_max:g} A.")
        if i_max > 0:
            refuse_current("the spread by [error]", float(error.sigma(i_max, i_max)), i_max, times=10.0)
            means = [mean, *(point.mean for point in (retention.points if retention is not None else ()))]
            targets = [target for shift in means if isinstance(shift, TableShift) for target in shift.targets]
            refuse_current("the highest target of the mean currents", max(targets, default=0.0), i_max)
            grid = i_max * np.linspace(0.05, 1.0, 20)
            drift = max((float(np.abs(shift.shift(grid)).max()) for shift in means if shift is not None), default=0.0)
            refuse_current("the shift of the mean currents", drift, i_max, times=MOST_DRIFT)
        measured = content.measured_range
        return Cell(
            name=content.name,
            technology=content.technology,
            error_scale=content.error_scale,
            error=error,
            covariance=covariance,
            i_max=i_max,
            on_off_ratio=self.number("on_off_ratio", content.on_off_ratio, ""),
            read_voltage=self.number("read_voltage", content.read_voltage, "V"),
            mean_error=mean,
            retention=retention,
            retention_covariance=retention_covariance,
            read_noise=read_noise,
            read_noise_covariance=read_noise_covariance,
            temperature_law=self.temperature(content.temperature),
            spatial=spatial,
            tail=None if content.tail is None else self.tail(content.tail),
            measured_range=None
            if measured is None
            else (
                parse_quantity(measured[0], "A", "measured_range"),
                parse_quantity(measured[1], "A", "measured_range"),
            ),
            provenance=self.provenance,
        )

    def number(self, name: str, number: Number, unit: str) -> float:
        self.provenance[name] = Constant(**number.model_dump())
        if unit == "K":
            return parse_quantity(f"{number.value!r} {number.unit}", unit, name)
        factor = unit_factor(number.unit, unit, name) if number.unit and unit else 1.0
        return number.value * factor

    def error(self, where: str, table: ErrorTable) -> tuple[ErrorModel, NDArray[np.float64] | None]:
        try:
            model = error_model(table.model)
        except DeviceError as unknown:
            raise DeviceError(f"{where}.model: {unknown}") from unknown
        error = model.from_table(table.parameters, where)
        values = error.values()
        covariance = None
        if table.covariance is not None:
            covariance = np.array(table.covariance, dtype=np.float64)
            size = len(values)
            if covariance.shape != (size, size) or not np.allclose(covariance, covariance.T):
                raise DeviceError(
                    f"{where}.covariance: expected a symmetric {size} x {size} matrix, got shape {covariance.shape}."
                )
        for index, (name, value) in enumerate(values.items()):
            spread = 0.0 if covariance is None else 1.96 * float(np.sqrt(max(covariance[index, index], 0.0)))
            self.provenance[f"{where}.{name}"] = Constant(
                value=value,
                unit=error.unit(name) or "1",
                kind=table.kind,
                source=table.source,
                interval=(value - spread, value + spread) if spread else None,
            )
        return error, covariance

    def mean(self, where: str, table: MeanTable | MeanPolynomial | None) -> MeanShift | None:
        if table is None:
            return None
        factor = unit_factor(table.unit, "A", f"{where}.unit")
        shift: MeanShift
        if isinstance(table, MeanTable):
            shift = TableShift(table.targets, table.means, table.stderr).scaled(factor)
            count, what = len(table.targets), "states"
        else:
            shift = PolynomialShift(table.coefficients, 1.0, table.valid).scaled(factor)
            count, what = len(table.coefficients), "coefficients"
        self.provenance[where] = Constant(value=count, unit=what, kind=table.kind, source=table.source)
        return shift

    def retention(self, table: RetentionTable) -> tuple[Retention, dict[float, NDArray[np.float64]]]:
        points = []
        covariances = {}
        for index, row in enumerate(table.points):
            where = f"retention.points.{index}"
            time = parse_quantity(row.time, "s", f"{where}.time")
            point_error, covariance = self.error(f"{where}.error", row.error)
            if covariance is not None:
                covariances[time] = covariance
            points.append(RetentionPoint(time, self.mean(f"{where}.mean", row.mean), point_error))
        energy, temperature = table.activation_energy, table.temperature
        start = parse_quantity(table.start, "s", "retention.start")
        return Retention(
            tuple(sorted(points, key=lambda point: point.time)),
            table.time_axis,
            None if energy is None else self.number("retention.activation_energy", energy, "eV"),
            ROOM_TEMPERATURE if temperature is None else self.number("retention.temperature", temperature, "K"),
            start,
            None if table.law is None else self.retention_law(table.law, start),
        ), covariances

    def retention_law(self, table: RetentionLawTable | DriftLawTable, start: float) -> RetentionLaw | DriftLaw:
        if isinstance(table, DriftLawTable):
            return self.drift_law(table, start)
        factor = unit_factor(table.unit, "A", "retention.law.unit")
        self.provenance["retention.law"] = Constant(
            value=len(table.targets), unit="states", kind=table.kind, source=table.source
        )
        return RetentionLaw(
            name=table.model,
            targets=tuple(target * factor for target in table.targets),
            rates=tuple(table.rates),
            sigma_rate=table.sigma_rate,
            start=start,
            t_0=parse_quantity(table.t_0, "s", "retention.law.t_0"),
            stderr=None if table.stderr is None else tuple(table.stderr),
            sigma_stderr=table.sigma_stderr,
        )

    def drift_law(self, table: DriftLawTable, start: float) -> DriftLaw:
        for name, values in (("nu", table.nu), ("nu_sigma", table.nu_sigma), ("flicker", table.flicker)):
            for key, value in values.model_dump().items():
                self.provenance[f"retention.law.{name}.{key}"] = Constant(
                    value=value, unit="", kind=table.kind, source=table.source
                )
        return DriftLaw(
            full_scale=parse_quantity(table.full_scale, "A", "retention.law.full_scale"),
            nu=ClippedLogarithm(**table.nu.model_dump()),
            nu_sigma=ClippedLogarithm(**table.nu_sigma.model_dump()),
            start=start,
            t_read=parse_quantity(table.t_read, "s", "retention.law.t_read"),
            flicker_coefficient=table.flicker.coefficient,
            flicker_exponent=table.flicker.exponent,
            flicker_high=table.flicker.high,
            measured_until=parse_quantity(table.measured_until, "s", "retention.law.measured_until"),
        )

    def tail(self, table: TailTable) -> Tail:
        fraction = self.number("tail.fraction", table.fraction, "")
        interval = table.fraction.interval
        stderr = 0.0
        if interval is not None and 0 < interval[0] < interval[1] < 1:
            # Intervals of fractions are symmetric in the logit.
            odds = [edge / (1.0 - edge) for edge in interval]
            stderr = fraction * (1.0 - fraction) * float(np.log(odds[1] / odds[0])) / (2 * 1.96)
        if table.scale is None:
            if table.shape != "uniform":
                raise DeviceError(
                    f"tail: a tail of shape {table.shape!r} also needs its scale, in spreads of the body."
                )
            return Tail(fraction, table.shape, stderr=stderr)
        return Tail(fraction, table.shape, self.number("tail.scale", table.scale, ""), stderr)

    def temperature(self, table: SubthresholdTable | MeasuredTemperatureTable | None) -> TemperatureLaw | None:
        if table is None:
            return None
        if isinstance(table, SubthresholdTable):
            return SubthresholdTemperature(
                i_0=self.number("temperature.i_0", table.i_0, "A"),
                eta=self.number("temperature.eta", table.eta, ""),
                threshold_slope=self.number("temperature.threshold_slope", table.threshold_slope, "V/K"),
                reference=self.number("temperature.reference", table.reference, "K"),
                i_0_exponent=0.0
                if table.i_0_exponent is None
                else self.number("temperature.i_0_exponent", table.i_0_exponent, ""),
            )
        factor = unit_factor(table.unit, "A", "temperature.unit")
        self.provenance["temperature"] = Constant(
            value=len(table.temperatures_k), unit="temperatures", kind=table.kind, source=table.source
        )
        return MeasuredTemperature(
            tuple(table.temperatures_k),
            tuple(current * factor for current in table.currents),
            tuple(map(tuple, table.ratios)),
            table.reference_k,
        )
