"""A core as built: design, cells as they are read, ADC, peripherals, wires, corrections, faults; a TOML file holds one.

Every room takes a core where it takes a design: `accuracy.convert` and `energy.estimate_core` then speak of the same
cells, the same ADC and the same wires.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from circuits.adc import Adc, as_adc
from circuits.adc_kinds import DEFAULT_KIND
from circuits.adc_transfer import AdcErrors
from circuits.bit_line.resistances import LineResistances
from circuits.bit_line.solve import BitLineCell
from circuits.bit_line.transistor_cell import Orientation
from circuits.core_entries import cell_entry, design_entry, peripherals_entry
from circuits.core_files import KEYS, CoreTable, find_core
from circuits.core_parts import (
    SIZED_RESISTANCE,
    Correction,
    Faults,
    FaultsLike,
    Wires,
    WiresLike,
    as_faults,
    as_wires,
    checked_corrections,
)
from circuits.design_files import load_design
from circuits.designs import CoreDesign, design_from_mapping
from circuits.peripherals.load import (
    Peripherals,
    as_peripherals,
    peripherals_from_mapping,
    sized_input_resistance,
)
from devicekit.cells.cell import Cell
from devicekit.cells.compensation import (
    UNCOMPENSATED,
    CompensationLike,
    ReadCompensation,
    as_compensation,
    usual_compensation,
)
from devicekit.cells.device_files import cell_from_content, load_device
from devicekit.common.errors import DesignError, DeviceError, DevicekitError, UnitError
from devicekit.common.paths import checked_name, replacing
from devicekit.common.quantities import parse_quantity

CellLike = Cell | str | Path
AdcLike = Adc | str | Path | Mapping[str, Any]
PeripheralsLike = Peripherals | str | Path


@dataclass(frozen=True, eq=False, init=False)
class Core:
    """A core as built. Immutable; `replace` gives another one.

    What is None is left open: accuracy takes it as ideal (no cell errors, an ideal ADC, ideal columns), energy as the
    component library has it (its cell, a ramp ADC), and a function that is given the same by itself fills it in.

    Attributes:
        design: how weights, inputs and conversions are laid out; its `r_p_hat` is that of the wires.
        cell: the memory cell as it is read, at `age` and `temperature`.
        adc: the ADC.
        peripherals: what stands between columns and codes, as characterised; a circuit sized for the design is one over
            its line currents.
        wires: resistances of the lines, of the virtual ground and of what feeds the cells, and the cell model they are
            solved with; None: the design's bit lines, resistors.
        corrections: what the digital side corrects after programming, in order.
        faults: cells that do not take their target.
        age: time after programming at which the cell is read [s]; 0 is fresh. None: of whichever cell comes.
        temperature: of the read [K]; None: that of the cell's measurement.
        compensation: bias that follows that temperature; fraction 0 where nothing does. None without a temperature.
        name: what tables call it.

    The constructor takes names wherever it takes objects: a bundled design, device or characterisation, a kind of ADC,
    or the path of a file; `age` and `temperature` also as text such as ``"1 day"``; `wires` also as a plain R_p_hat.

    Args:
        design: a design, or its name.
        cell: a cell as programmed, or already moved in time and temperature; None leaves it open.
        adc: an ADC, a kind, a file, or plain values.
        peripherals: a model, or a name, of which the variant for the design's use is taken; ``"sized"`` is the circuit
            sized for the design.
        wires: resistance and cell model; a resistance given here stands in for the design's own.
        corrections: names of `circuits.core_parts.Correction`.
        faults: stuck cells.
        age: [s].
        temperature: [K].
        compensation: as for `devicekit.cells.compensation.as_compensation`, such as ``"none"`` or a fraction. None,
            with a temperature: the bias follows a reference cell, as chips do it.
        name: the design's name where empty.

    Raises:
        DesignError: a part that is unknown, impossible, of the wrong type, or at odds with another.
        DeviceError: an unknown cell, or one without a law for the age or temperature asked for.
        PeripheralError: unknown or malformed peripherals.
    """

    design: CoreDesign
    cell: Cell | None
    adc: Adc | None
    peripherals: Peripherals | None
    wires: Wires | None
    corrections: tuple[Correction, ...]
    faults: Faults | None
    age: float | None
    temperature: float | None
    compensation: ReadCompensation | None
    name: str

    def __init__(
        self,
        design: CoreDesign | str,
        cell: CellLike | None = None,
        adc: AdcLike | None = None,
        peripherals: PeripheralsLike | None = None,
        wires: WiresLike | None = None,
        corrections: str | Sequence[str] = (),
        faults: FaultsLike | None = None,
        *,
        age: float | str | None = None,
        temperature: float | str | None = None,
        compensation: CompensationLike | None = None,
        name: str = "",
    ) -> None:
        own = load_design(design) if isinstance(design, str) else design
        if not isinstance(own, CoreDesign):
            raise DesignError(f"Expected `design` of a core to be a design or its name, but got {_kind(design)}.")
        if not isinstance(name, str):
            raise DesignError(f"Expected `name` of a core to be a text, but got {name!r}.")
        called = checked_name(name, "`name` of a core", DesignError) if name else own.name
        with _about(called):
            time, kelvin = _quantity(age, "s", "age"), _quantity(temperature, "K", "temperature")
            as_read = None if cell is None else load_device(cell)
            bias = None if compensation is None else as_compensation(compensation)
            if kelvin is not None:
                bias = usual_compensation() if bias is None else bias
            elif as_read is not None and as_read.temperature is not None:
                # A cell that was moved by itself is read as it is.
                bias = (as_read.compensation or as_compensation(UNCOMPENSATED)) if bias is None else bias
            elif bias is not None:
                raise DesignError("`compensation` says nothing without a `temperature` of the read: give one.")
            if as_read is not None and not (time is None and kelvin is None and bias is None):
                as_read = as_read.at(time=time, temperature=kelvin, compensation=bias)
            lines = None if wires is None else as_wires(wires)
            own = _wired(own if own.name == called else own.replace(name=called), lines, as_read)
            if lines is not None and lines.resistance is None:
                lines = dataclasses.replace(lines, r_p_hat=own.r_p_hat)
            values = {
                "design": own,
                "cell": as_read,
                "adc": None if adc is None else as_adc(adc),
                "peripherals": None if peripherals is None else as_peripherals(peripherals, own),
                "wires": lines,
                "corrections": checked_corrections(corrections),
                "faults": None if faults is None else as_faults(faults),
                "age": time if as_read is None else as_read.time,
                "temperature": kelvin if as_read is None else as_read.temperature,
                "compensation": bias,
                "name": called,
            }
        for field, value in values.items():
            object.__setattr__(self, field, value)
        with _about(called):
            self._check_together()

    def _check_together(self) -> None:
        bits = self.design.adc_bits_per_slice
        if self.adc is not None:
            self.adc.check_bits(bits, self.name)
            for each in set(bits):
                self.adc.errors(each)
        if self.peripherals is not None and not bits:
            raise DesignError("Peripherals act on an ADC's range, but the design has no ADC (`adc_bits` is none).")
        if self.wires is not None:
            self._check_wires(self.wires)

    def _check_wires(self, wires: Wires) -> None:
        """Refuse resistances that stand twice, or that the design's inputs have no current law for."""
        design = self.design
        grounded = any((wires.r_in_hat, wires.input_resistance))
        if grounded and self.peripherals is not None and getattr(self.peripherals, "kind", "simulated") != "assumed":
            raise DesignError(
                f"The peripherals {self.peripherals.name!r} have the effect of their own input resistance in gain and "
                "non-linearity, and the wires give it again (`r_in_hat`, `input_resistance`): leave one of them out."
            )
        if not (grounded or wires.r_s_hat or wires.supply_resistance):
            return
        one_bit = design.input_encoding == "bit_serial" and design.input_slice_bits == 1
        if design.input_bits is None or not (one_bit or design.input_encoding == "pulse_width"):
            raise DesignError(
                "Wires: resistances of virtual ground and supply are defined for inputs applied one bit at a time or "
                "by pulse width."
            )

    # -- what acts ----------------------------------------------------------------------------------------------

    @property
    def bit_line(self) -> BitLineCell:
        """Cell model with which bit lines are solved."""
        return "resistor" if self.wires is None else self.wires.bit_line

    @cached_property
    def lines(self) -> LineResistances:
        """Resistances of the lines, relative to the least cell resistance.

        Raises:
            DesignError: a resistance in Ohm and no cell to relate it to.
            PeripheralError: the input resistance of a sized circuit, and none is recorded for such a design.
        """
        if self.wires is None:
            return LineResistances(self.design.r_p_hat)
        g_max = None if self.cell is None else self.cell.g_max
        return self.wires.line_resistances(self.design.r_p_hat, g_max, lambda: sized_input_resistance(self.design))

    @property
    def orientation(self) -> Orientation:
        """End of the cells that lies on the bit lines."""
        return "source" if self.wires is None else self.wires.orientation

    @property
    def adc_in_use(self) -> Adc:
        """The ADC, an ideal one of the default kind where it is left open."""
        return Adc(DEFAULT_KIND) if self.adc is None else self.adc

    @property
    def adc_errors(self) -> tuple[AdcErrors | None, ...]:
        """Errors of the ADC of each weight slice, None for an ideal one; empty without ADC."""
        return tuple(self.adc_in_use.errors(bits) for bits in self.design.adc_bits_per_slice)

    @property
    def column_peripherals(self) -> Peripherals | None:
        """The peripherals before the ADC.

        A characterisation holds the noise of the ramp ADC it was made with. It stays where the core's ADC is a ramp
        without errors of its own; otherwise the core's ADC takes its place.
        """
        if self.peripherals is None or self.adc is None:
            return self.peripherals
        own_errors = self.adc.has_errors or any(errors is not None for errors in self.adc_errors)
        return self.peripherals.without_adc() if own_errors or self.adc.kind != DEFAULT_KIND else self.peripherals

    @property
    def programmed_cell(self) -> Cell | None:
        """The cell as programmed: at age 0 and the temperature of its measurement."""
        if self.cell is None:
            return None
        return dataclasses.replace(self.cell, time=0.0, temperature=None, compensation=None)

    def require_cell(self) -> None:
        """Refuse an age, a temperature or a wire resistance in Ohm that no cell gives a meaning.

        Raises:
            DesignError: the core has one of them and no cell.
        """
        if self.cell is not None:
            return
        given = {"age": self.age is not None, "temperature": self.temperature is not None}
        given |= {f"wires.{name}": True for name in ([] if self.wires is None else self.wires.in_ohm)}
        for what, there in given.items():
            if there:
                raise DesignError(f"Core {self.name!r} has `{what}`, which says nothing without a cell: give `cell`.")

    def replace(self, **changes: Any) -> Core:
        """Return the core with some parts changed, validated again.

        Args:
            **changes: arguments of the constructor. Another design takes the wires of this core, another cell its age
                and temperature, unless they are changed as well.

        Raises:
            DesignError: an argument that a core does not have, or as for the constructor.
        """
        known = [field.name for field in dataclasses.fields(self)]
        unknown = [key for key in changes if key not in known]
        if unknown:
            raise DesignError(f"A core has no {unknown[0]!r}; it has {', '.join(known)}.")
        values = {field: getattr(self, field) for field in known}
        values |= {"cell": self.programmed_cell, "age": self.age or None}
        if "temperature" in changes and changes["temperature"] is None:
            values["compensation"] = None
        if "design" in changes and self.name == self.design.name and "name" not in changes:
            values["name"] = ""
        return Core(**{**values, **changes})

    # -- plain values and files ---------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Core):
            return NotImplemented
        return self is other or (self.name == other.name and _key(self) == _key(other))

    def __hash__(self) -> int:
        return hash((self.name, self.design, self.corrections))

    def to_dict(self) -> dict[str, Any]:
        """Return what is in the core, as plain values for tables and JSON; units stand in the names."""
        cell, model, bias = self.cell, self.peripherals, self.compensation
        wires: dict[str, Any] = {"r_p_hat": self.design.r_p_hat, "bit_line": self.bit_line}
        wires |= {} if self.orientation == "source" else {"orientation": self.orientation}
        if self.wires is not None:
            own = self.wires
            numbers = {name: value for name in own.in_ohm if not isinstance(value := getattr(own, name), str)}
            wires |= {f"{name}_ohm": value for name, value in numbers.items()}
            wires |= {} if own.input_resistance != SIZED_RESISTANCE else {"input_resistance": SIZED_RESISTANCE}
            if cell is not None or not own.in_ohm:
                lines = self.lines
                wires |= {"r_in_hat": lines.r_in_hat} if lines.r_in_hat else {}
                wires |= {"r_s_hat": lines.r_s_hat, "feed": lines.feed} if lines.r_s_hat else {}
        return {
            "name": self.name,
            "design": self.design.to_mapping(),
            "cell": None
            if cell is None
            else {
                "name": cell.name,
                "technology": cell.technology,
                "i_max_a": cell.i_max,
                "read_voltage_v": cell.read_voltage,
                "on_off_ratio": cell.on_off_ratio,
                **({} if cell.error_scale == 1.0 else {"error_scale": cell.error_scale}),
            },
            "age_s": self.age,
            "temperature_k": self.temperature,
            "compensation": None if self.temperature is None or bias is None else bias.to_dict(),
            "adc": None if self.design.adc_bits is None else self.adc_in_use.to_mapping(),
            "peripherals": None if model is None else model.name,
            "wires": wires,
            "corrections": list(self.corrections),
            "faults": None if self.faults is None else dataclasses.asdict(self.faults),
        }

    def to_mapping(self) -> dict[str, Any]:
        """Return the core as its table in a core file: what is bundled by name, everything else written out.

        Raises:
            DeviceError: the cell has no form in a file.
        """
        values: dict[str, Any] = {"design": design_entry(self.design, of_wires=self.wires is not None)}
        if self.cell is not None:
            values["cell"] = cell_entry(self.cell)
        values |= {"age": self.age} if self.age else {}
        values |= {} if self.temperature is None else {"temperature": self.temperature}
        if self.temperature is not None and self.compensation not in (None, usual_compensation()):
            assert self.compensation is not None
            values["compensation"] = self.compensation.to_dict() if self.compensation.fraction else UNCOMPENSATED
        if self.adc is not None:
            entry = self.adc.to_mapping()
            values["adc"] = self.adc.kind if len(entry) == 1 else entry
        if self.peripherals is not None:
            values["peripherals"] = peripherals_entry(self.peripherals, self.design)
        if self.wires is not None:
            values["wires"] = self.wires.to_mapping()
        values |= {"corrections": list(self.corrections)} if self.corrections else {}
        values |= {} if self.faults is None else {"faults": dataclasses.asdict(self.faults)}
        return values

    def save(self, path: str | Path) -> Path:
        """Write the core as a file that `load` and every command take; what is not bundled is written out in it.

        Args:
            path: a ``.toml`` file, written whole or not at all.

        Returns:
            The path.

        Raises:
            DeviceError: the cell has no form in a file.
        """
        import tomli_w

        text = tomli_w.dumps({"cores": {self.name: self.to_mapping()}})
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return Path(path)

    @classmethod
    def load(cls, name_or_path: str | Path) -> Core:
        """Return a core by name, see `load_core`."""
        return load_core(name_or_path)


def load_core(name_or_path: str | Path) -> Core:
    """Return a core by name: ``FILE:NAME`` of a core or design file, or a bundled design.

    A core file has one table ``[cores.NAME]`` a core, with ``design`` (a name, or a table of fields), fields in which
    it differs from that design, and the arguments of `Core`; paths are taken from the file's folder. The path of a
    file with one core needs no name.

    Args:
        name_or_path: the name.

    Raises:
        DesignError: an unknown name, key or file, or an impossible core; the message says the file.
        DevicekitError: as for `Core`.
    """
    return core_of(find_core(name_or_path))


def _kind(value: object) -> str:
    return type(value).__name__


@contextmanager
def _about(core: str) -> Iterator[None]:
    """Say in an error which core it is about."""
    try:
        yield
    except DesignError as error:
        raise DesignError(f"Core {core!r}: {error}") from None


def _quantity(value: float | str | None, unit: str, what: str) -> float | None:
    try:
        return None if value is None else parse_quantity(value, unit, f"`{what}`")
    except UnitError as error:
        raise DesignError(str(error)) from None


def _wired(design: CoreDesign, wires: Wires | None, cell: Cell | None) -> CoreDesign:
    """Return the design with the wires' resistance; one in Ohm waits for its cell."""
    if wires is None or (wires.resistance is not None and cell is None):
        return design
    r_p_hat = wires.relative_resistance(None if cell is None else cell.g_max)
    return design if r_p_hat is None or r_p_hat == design.r_p_hat else design.replace(r_p_hat=r_p_hat)


# -- tables -----------------------------------------------------------------------------------------------------------


def core_of(table: CoreTable) -> Core:
    """Return the core of a table of a core file.

    Raises:
        DevicekitError: as for `Core`; the message says the place.
    """
    values = {key: table.values[key] for key in KEYS if key in table.values and key != "design"}
    try:
        design = design_from_mapping(dict(table.values["design"]))
        if isinstance(values.get("cell"), Mapping):
            values["cell"] = cell_from_content(values["cell"], "`cell`")
        if isinstance(values.get("peripherals"), Mapping):
            values["peripherals"] = peripherals_from_mapping(values["peripherals"], "`peripherals`")
        return Core(design, name=table.name, **values)
    except DevicekitError as error:
        # The same kind of error, with the place.
        raise type(error)(f"{table.where}: {error}") from None


def _key(core: Core) -> Any:
    """Return what two equal cores have in common."""
    try:
        return core.to_mapping()
    except DeviceError:
        # A cell without a form in a file equals only itself.
        return {**core.replace(cell=None).to_mapping(), "cell": id(core.cell)}
