"""Parameters of the peripheral blocks: a file with provenance, the value at which each error vanishes, and variants.

One flat table of names such as ``integrator.dc_gain``; sweeps, corners, temperatures, mismatch and the ideal circuit
are the same operation on it: some values replaced.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from circuits.peripherals.definitions import DEFINITIONS
from circuits.peripherals.model import PeripheralError
from devicekit.common.errors import UnitError, unknown_name
from devicekit.common.inheritance import read_inheriting
from devicekit.common.numbers import is_temperature
from devicekit.common.paths import checked_file_name, data_path, is_file
from devicekit.common.provenance import Constant
from devicekit.common.quantities import unit_factor

NOMINAL_TEMPERATURE = 300.15
"""Temperature at which the file's values hold [K]."""


@dataclass(frozen=True)
class Parameters:
    """Values of all blocks in SI units, with where each comes from.

    Attributes:
        name: what tables call the set.
        values: value by parameter name [the SI unit of `DEFINITIONS`].
        constants: the same as the file gives them: unit, kind, source, interval.
        mismatch: standard deviation from column to column by name: absolute where the ideal value is 0, else
            relative.
        temperature_exponents: value goes as (T / 300.15 K) to this power, by name.
        corners: factor by name for each process corner.
        temperature: of the circuit [K].
        corner: of the circuit.
        full_scale_voltage: ideal voltage at the ADC of an input that is full scale in every bit [V].
        ramp_current: current that gives the nominal ramp one LSB a clock period [A]. This and the voltage before are
            designed for the file's values: a corner, a mismatch or a temperature does not change them.
        calibration: factor by which the range was fitted to a front end, see `calibrated`.
        unsigned: whether the ADC's range starts at zero signal, see `for_use`.
    """

    name: str
    values: Mapping[str, float]
    constants: Mapping[str, Constant]
    mismatch: Mapping[str, float]
    temperature_exponents: Mapping[str, float]
    corners: Mapping[str, Mapping[str, float]]
    temperature: float = NOMINAL_TEMPERATURE
    corner: str = "typical"
    full_scale_voltage: float = 0.0
    ramp_current: float = 0.0
    calibration: float = 1.0
    unsigned: bool = False

    def __getitem__(self, name: str) -> float:
        try:
            return self.values[name]
        except KeyError:
            raise PeripheralError(unknown_name("parameter", name, self.values)) from None

    @property
    def bits(self) -> int:
        """Input bits that are accumulated before one conversion."""
        return round(self["timing.bits"])

    @property
    def codes(self) -> int:
        """Codes of the ADC."""
        return 1 << round(self["adc.bits"])

    @property
    def zero(self) -> float:
        """Position of zero signal in the ADC's range: its start, or its middle."""
        return 0.0 if self.unsigned else 0.5

    @property
    def lowest_voltage(self) -> float:
        """Lowest voltage of the ADC's range, from zero signal [V]; the highest is `full_scale_voltage`."""
        return 0.0 if self.unsigned else -self.full_scale_voltage

    @property
    def lsb_voltage(self) -> float:
        """One code at the ADC's input [V]."""
        return (self.full_scale_voltage - self.lowest_voltage) / (self.codes - 1)

    @property
    def bit_period(self) -> float:
        """Time from one input bit to the next [s]."""
        return self["timing.integration_time"] + self["timing.transfer_time"]

    def with_values(self, changes: Mapping[str, float], *, redesign: bool = False) -> Parameters:
        """Return the set with some values replaced.

        Args:
            changes: new values by name [SI].
            redesign: whether the nominal range and ramp follow the new values; otherwise they stay, and the change
                acts as an error.

        Raises:
            PeripheralError: unknown name.
        """
        for name in changes:
            self[name]
        changed = dataclasses.replace(self, values={**self.values, **changes})
        return changed.designed() if redesign else changed

    def for_use(self, *, unsigned: bool = False, input_bits: int | None = None) -> Parameters:
        """Return the set for another use of the same circuits, with range and ramp designed for it.

        Args:
            unsigned: for currents of one sign: one bit line a column, nothing subtracted, and a ramp that starts at
                zero signal and rises half as fast, so that one code is half the voltage.
            input_bits: bits before one conversion; None stays.

        Raises:
            PeripheralError: fewer than one bit.
        """
        if input_bits is not None and input_bits < 1:
            raise PeripheralError(f"Expected `input_bits` of at least 1, but got {input_bits}.")
        bits = {} if input_bits is None else {"timing.bits": float(input_bits)}
        return dataclasses.replace(self, unsigned=unsigned).with_values(bits, redesign=True)

    def ideal(self, *keep: str) -> Parameters:
        """Return the set with every error at the value where it vanishes.

        Args:
            *keep: names, or beginnings of names such as ``"integrator."``, that keep their values.
        """
        changes = {
            name: definition.ideal
            for name, definition in DEFINITIONS.items()
            if definition.ideal is not None and not any(name.startswith(kept) for kept in keep)
        }
        return self.with_values(changes)

    def at(self, *, temperature: float | None = None, corner: str | None = None) -> Parameters:
        """Return the set at another temperature and process corner.

        Args:
            temperature: [K]; None stays.
            corner: ``"typical"`` or one that the file names; None stays.

        Raises:
            PeripheralError: unknown corner, a temperature not above 0, or a set that is already moved.
        """
        if self.temperature != NOMINAL_TEMPERATURE or self.corner != "typical":
            raise PeripheralError("Expected the nominal parameters, but these are at another temperature or corner.")
        temperature = self.temperature if temperature is None else temperature
        corner = self.corner if corner is None else corner
        if not is_temperature(temperature):
            raise PeripheralError(f"Expected a temperature above 0 K, but got {temperature}.")
        if corner != "typical" and corner not in self.corners:
            raise PeripheralError(unknown_name("corner", corner, ["typical", *self.corners]))
        factors = dict(self.corners.get(corner, {}))
        for name, exponent in self.temperature_exponents.items():
            factors[name] = factors.get(name, 1.0) * (temperature / NOMINAL_TEMPERATURE) ** exponent
        moved = self.with_values({name: self[name] * factor for name, factor in factors.items()})
        return dataclasses.replace(moved, temperature=temperature, corner=corner)

    def draw(self, columns: int, seed: int) -> list[Parameters]:
        """Return one parameter set a column, with mismatch drawn; column k is the same however many are drawn.

        Args:
            columns: number of columns.
            seed: of the standard normals.
        """
        names = sorted(self.mismatch)
        normals = np.random.default_rng(seed).standard_normal((columns, len(names)))
        drawn = []
        for row in normals:
            changes = {}
            for name, z in zip(names, row, strict=True):
                step = self.mismatch[name] * float(z)
                changes[name] = self[name] + (step if DEFINITIONS[name].ideal == 0 else step * self[name])
            drawn.append(self.with_values(changes))
        return drawn

    def calibrated(self, *, front_end: float = 1.0, adc: float = 1.0) -> Parameters:
        """Return the set with the ADC's range and ramp fitted to gains that are not the ideal ones.

        Args:
            front_end: gain of the front end over the ideal one; range and ramp follow it.
            adc: gain of the ADC, above 1 where its ramp is too slow; the ramp's current follows it.
        """
        return dataclasses.replace(
            self,
            full_scale_voltage=self.full_scale_voltage * front_end,
            ramp_current=self.ramp_current * front_end * adc,
            calibration=self.calibration * front_end,
        )

    def designed(self) -> Parameters:
        """Return the set with the nominal range and ramp computed from its present values."""
        charge = self["input.full_scale_current"] * self["timing.integration_time"]
        binary = 1 - 2.0**-self.bits
        full_scale = self["gain_stage.gain"] * charge / self["integrator.capacitance"] * binary
        ranged = dataclasses.replace(self, full_scale_voltage=full_scale)
        slope = ranged.lsb_voltage * self["adc.clock_frequency"]
        return dataclasses.replace(ranged, ramp_current=slope * self["adc.ramp_capacitance"])


def parameter_names() -> list[str]:
    """Return the names of the parameter sets that come with the project."""
    return sorted(path.stem for path in data_path("peripherals").glob("*.toml"))


def load_parameters(name_or_path: str | Path) -> Parameters:
    """Return a parameter set: a bundled one by name, or that of a file.

    Every name of `DEFINITIONS` has an entry ``{value, unit, kind, source}`` in the table of its block; ``[mismatch]``,
    ``[temperature]`` and ``[corners.NAME]`` hold entries keyed by quoted parameter names. With ``base``, a bundled name
    or another file of its folder, a file holds only the entries that differ.

    Args:
        name_or_path: one of `parameter_names`, or the path of a TOML file.

    Raises:
        PeripheralError: no such name or file, no TOML, a base that is missing or comes back to the file, or a parameter
            missing, unknown, malformed or out of range.
    """
    names = parameter_names()
    bundled = str(name_or_path) in names
    path = data_path(f"peripherals/{name_or_path}.toml") if bundled else Path(name_or_path)
    if not is_file(path):
        raise PeripheralError(unknown_name("parameter set or file", str(name_or_path), names))
    shipped = {name: data_path(f"peripherals/{name}.toml") for name in names}
    content = read_inheriting(path, PeripheralError, shipped, "parameter set")
    try:
        return _parse(content, path.stem).designed()
    except PeripheralError as error:
        raise PeripheralError(f"{path}: {error}") from None


_VARIANTS = ("mismatch", "temperature", "corners")


def _parse(content: dict[str, Any], stem: str) -> Parameters:
    constants: dict[str, Constant] = {}
    values: dict[str, float] = {}
    for block, table in content.items():
        if block in _VARIANTS or not isinstance(table, dict):
            continue
        for key, entry in table.items():
            name = f"{block}.{key}"
            if name not in DEFINITIONS:
                raise PeripheralError(unknown_name("parameter", name, DEFINITIONS))
            constants[name], values[name] = _entry(name, entry, DEFINITIONS[name].unit)
            if not DEFINITIONS[name].allows(values[name]):
                raise PeripheralError(
                    f"Expected `{name}` {DEFINITIONS[name].requirement}, but got {values[name]:g} "
                    f"{DEFINITIONS[name].unit}."
                )
    missing = [name for name in DEFINITIONS if name not in values]
    if missing:
        raise PeripheralError(f"Expected an entry for `{missing[0]}`, but found none ({len(missing)} missing).")
    variants: dict[str, dict[str, float]] = {}
    for table_name in ("mismatch", "temperature"):
        variants[table_name] = {}
        for name, entry in _table(content, table_name, f"[{table_name}]").items():
            absolute = table_name == "mismatch" and _known(name).ideal == 0
            unit = DEFINITIONS[name].unit if absolute else ""
            constants[f"{table_name}.{name}"], variants[table_name][name] = _entry(name, entry, unit)
    corners: dict[str, dict[str, float]] = {}
    for corner in _table(content, "corners", "[corners]"):
        corners[corner] = {}
        for name, entry in _table(content["corners"], corner, f"[corners.{corner}]").items():
            _known(name)
            constants[f"corners.{corner}.{name}"], corners[corner][name] = _entry(name, entry, "")
    return Parameters(
        name=checked_file_name(str(content.get("name", stem)), "`name`", PeripheralError),
        values=values,
        constants=constants,
        mismatch=variants["mismatch"],
        temperature_exponents=variants["temperature"],
        corners=corners,
    )


def _known(name: str) -> Any:
    if name not in DEFINITIONS:
        raise PeripheralError(unknown_name("parameter", name, DEFINITIONS))
    return DEFINITIONS[name]


def _table(content: Mapping[str, Any], key: str, shown: str) -> Mapping[str, Any]:
    """A table of a file; empty where it is left out."""
    table = content.get(key, {})
    if not isinstance(table, Mapping):
        raise PeripheralError(f"Expected {shown} to be a table, but got {table!r:.80}.")
    return table


def _entry(name: str, entry: Any, unit: str) -> tuple[Constant, float]:
    """Return an entry as the file gives it, and its value in the SI unit."""
    _known(name)
    try:
        constant = Constant.model_validate(entry)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join([name, *map(str, problem["loc"])])
        raise PeripheralError(f"`{where}`: {problem['msg'].removeprefix('Value error, ')}.") from None
    if not unit:
        if constant.unit not in ("", "1"):
            raise PeripheralError(f"Expected `{name}` to be a plain number (unit '1'), but got {constant.unit!r}.")
        return constant, constant.value
    try:
        return constant, constant.value * unit_factor(constant.unit, unit, name)
    except UnitError as error:
        raise PeripheralError(str(error)) from None
