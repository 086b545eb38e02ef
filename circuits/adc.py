"""An ADC: its kind, resolution, rate, errors, energy and area; a TOML file holds one.

Energy and accuracy read the same ADC: rate, energy and area go into what a core costs, noise and transition levels into
what a network loses. What an ADC does not give is ideal in accuracy and the component library's in energy.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from circuits.adc_kinds import DEFAULT_KIND, AdcKind, adc_kind, adc_kind_names
from circuits.adc_transfer import AdcErrors, quantisation_variance, transition_levels
from devicekit.common.errors import DesignError, DevicekitError, unknown_name
from devicekit.common.foreign import reading
from devicekit.common.inheritance import read_inheriting
from devicekit.common.numbers import is_real
from devicekit.common.paths import data_path, is_file, replacing
from devicekit.common.provenance import Constant
from devicekit.common.quantities import parse_quantity, unit_factor
from devicekit.common.validation import problem_of

Floats = NDArray[np.float64]

COSTS = {"rate": "1/s", "energy": "J", "decision_energy": "J", "area": "m^2"}
"""What an ADC may give beside its errors, with the SI unit."""
_TABLES = ("inl_lsb", "dnl_lsb", "thresholds_lsb")
LARGEST_TABLE_BYTES = 4_000_000
"""Size of a file of levels up to which it is read."""
LARGEST_TABLE_BITS = 16
"""Resolution up to which transition levels are written out one by one."""


@dataclass(frozen=True)
class Adc:
    """An analog-to-digital converter.

    Attributes:
        kind: a known kind, see `circuits.register_adc_kind`: ``"ramp"``, ``"sar"``, ``"flash"`` are bundled.
        name: what tables call it; the kind where empty.
        bits: its resolution; None: that of the design it is built into.
        rate: conversions a second [1/s]; None: clock and cycles of its kind.
        noise_lsb: input-referred random noise of one conversion, rms [LSB]; None: that of its kind, ideal by default.
        enob: effective number of bits instead of `noise_lsb`: the signal-to-noise-and-distortion ratio of a full-scale
            sine is 6.02 ENOB + 1.76 dB (IEEE Std 1241-2010), quantisation and transition levels included.
        inl_lsb: integral non-linearity [LSB], any number of points, evenly spaced from the first transition to the
            last; positive where the reading is too high, as in IEEE Std 1241-2010.
        dnl_lsb: differential non-linearity [LSB] of the 2**bits - 2 inner codes, or of fewer, evenly spaced ones,
            instead of `inl_lsb`.
        thresholds_lsb: the 2**bits - 1 transition levels [LSB], instead of either; ideal is k - 1/2.
        circuit: errors of its circuit by name, such as ``{"capacitor_mismatch": 0.005}`` of a SAR, from which the ADC
            of each column is drawn; the kind's `AdcKind.circuit` says which there are. Instead of `enob` and tables of
            levels, which say what came out.
        energy: of one conversion [J], at its resolution.
        decision_energy: of one decision of a comparator [J] instead, times the kind's decisions in a conversion.
        area: of one ADC [m^2].
        source: where its numbers come from.

    `rate`, `energy` and `area` are a number in SI units, text with a unit such as ``"0.5 pJ"``, or a
    `devicekit.Constant` with its kind, source and interval, which flows into the intervals of a cost.

    Raises:
        DesignError: an unknown kind, a number out of range, tables that exclude each other or have the wrong length, or
            an ENOB that the transition levels alone fall short of.
    """

    kind: str = DEFAULT_KIND
    _: dataclasses.KW_ONLY
    name: str = ""
    bits: int | None = None
    rate: Constant | float | str | None = None
    noise_lsb: float | None = None
    enob: float | None = None
    inl_lsb: tuple[float, ...] = ()
    dnl_lsb: tuple[float, ...] = ()
    thresholds_lsb: tuple[float, ...] = ()
    circuit: Mapping[str, float] = dataclasses.field(default_factory=dict, hash=False)
    energy: Constant | float | str | None = None
    decision_energy: Constant | float | str | None = None
    area: Constant | float | str | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str):
            raise DesignError(f"Expected the kind of an ADC to be a name, but got {self.kind!r}.")
        adc_kind(self.kind)
        for field in ("name", "source"):
            if not isinstance(getattr(self, field), str):
                self._fail(field, "a text")
        bits = self.bits
        if bits is not None and (isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= 24):
            self._fail("bits", "none, or an integer from 1 to 24")
        for field, unit in COSTS.items():
            object.__setattr__(self, field, self._as_constant(field, unit))
        self._check_errors()
        self._check_circuit()
        if self.energy is not None and self.decision_energy is not None:
            raise DesignError(f"ADC {self.label!r}: expected `energy` or `decision_energy`, but got both.")
        if self.decision_energy is not None and self.its_kind.decisions is None:
            raise DesignError(f"ADC {self.label!r}: a {self.its_kind.label} has no count of decisions: give `energy`.")
        if self.bits is not None and self.has_errors:
            self.errors(self.bits)

    def _fail(self, field: str, requirement: str) -> None:
        raise DesignError(f"ADC {self.label!r}: expected `{field}` to be {requirement}, but got {self._shown(field)}.")

    def _shown(self, field: str) -> str:
        return f"{getattr(self, field)!r:.100}"

    def _as_constant(self, field: str, unit: str) -> Constant | None:
        value = getattr(self, field)
        if value is None:
            return None
        try:
            if isinstance(value, Mapping):
                value = Constant(**value)
            elif not isinstance(value, Constant):
                number = parse_quantity(value, unit, f"`{field}`")
                source = self.source or f"given with the ADC {self.label}"
                value = Constant(value=number, unit=unit, kind="assumed", source=source)
            factor = unit_factor(value.unit, unit, f"`{field}`")
        except ValidationError as error:
            key, reason, _ = problem_of(error)
            raise DesignError(f"ADC {self.label!r}: `{field}{key and '.' + key}`: {reason}.") from None
        except (DevicekitError, TypeError) as error:
            raise DesignError(f"ADC {self.label!r}: {error}") from None
        lowest = value.value if value.interval is None else value.interval[0]
        if not (value.value * factor > 0 and lowest >= 0):
            self._fail(field, f"above 0 {unit}")
        return value

    def _check_errors(self) -> None:
        for field in ("noise_lsb", "enob"):
            value = getattr(self, field)
            if value is not None and not _is_number(value, 0.0):
                self._fail(field, "none, or a finite number of at least 0")
        for field in _TABLES:
            values = getattr(self, field)
            if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
                self._fail(field, "a list of numbers")
            if not all(_is_number(value) for value in values):
                self._fail(field, "a list of finite numbers")
            object.__setattr__(self, field, tuple(float(value) for value in values))
        given = [field for field in _TABLES if getattr(self, field)]
        if len(given) > 1:
            raise DesignError(f"ADC {self.label!r}: expected one of {', '.join(_TABLES)}, but got {', '.join(given)}.")
        for field in ("inl_lsb", "dnl_lsb"):
            if len(getattr(self, field)) == 1:
                self._fail(field, "two points or more")
        if self.noise_lsb is not None and self.enob is not None:
            raise DesignError(f"ADC {self.label!r}: expected `noise_lsb` or `enob`, but got both.")

    def _check_circuit(self) -> None:
        if not isinstance(self.circuit, Mapping):
            self._fail("circuit", "a table of errors of the circuit")
        known = self.its_kind.circuit
        for name, value in self.circuit.items():
            if name not in known:
                raise DesignError(
                    f"ADC {self.label!r}: "
                    + unknown_name(f"error of the circuit of a {self.its_kind.label}", str(name), known)
                )
            if not is_real(value) or not known[name].allows(float(value)):
                raise DesignError(
                    f"ADC {self.label!r}: expected `circuit.{name}` to be {known[name].requirement}, but got {value!r}."
                )
        object.__setattr__(self, "circuit", {name: float(self.circuit[name]) for name in known if name in self.circuit})
        given = [field for field in ("enob", *_TABLES) if getattr(self, field) not in (None, ())]
        if self.circuit and given:
            raise DesignError(
                f"ADC {self.label!r}: expected errors of its circuit in `circuit`, or what came out in `{given[0]}`, "
                "but got both."
            )

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """What tables call it."""
        return self.name or self.kind

    @property
    def its_kind(self) -> type[AdcKind]:
        """The class of its kind."""
        return adc_kind(self.kind)

    @property
    def has_costs(self) -> bool:
        """Whether it gives a rate, an energy or an area of its own."""
        return any(getattr(self, field) is not None for field in COSTS)

    @property
    def has_errors(self) -> bool:
        """Whether it gives errors of its own."""
        tables = any(getattr(self, field) for field in _TABLES)
        return self.noise_lsb is not None or self.enob is not None or tables or bool(self.circuit)

    def cost(self, field: str) -> Constant | None:
        """Return rate, energy or area with its provenance, None where it is not given.

        Args:
            field: one of `COSTS`.
        """
        value = getattr(self, field)
        assert value is None or isinstance(value, Constant)
        return value

    def check_bits(self, bits: Sequence[int], design: str) -> None:
        """Refuse a design of other resolutions than this ADC's.

        Args:
            bits: resolution of each weight slice; empty for designs without ADC.
            design: name of the design.

        Raises:
            DesignError: a resolution that this ADC does not have, numbers of its own for a design without ADC, or for
                several resolutions at once.
        """
        own = self.has_errors or self.has_costs
        if not bits:
            if own or self.bits is not None:
                raise DesignError(f"Design {design!r} has no ADC (`adc_bits` is none), but the ADC {self.label!r} is.")
            return
        if self.bits is not None and any(each != self.bits for each in bits):
            shown = ", ".join(str(each) for each in sorted(set(bits)))
            raise DesignError(
                f"The ADC {self.label!r} is of {self.bits} bits, but the design {design!r} has `adc_bits` = {shown}."
            )
        if own and len(set(bits)) > 1:
            raise DesignError(
                f"The ADC {self.label!r} gives numbers for one resolution, but the design {design!r} has "
                f"`adc_bits` = {tuple(bits)}."
            )

    # -- errors -------------------------------------------------------------------------------------------------

    def errors(self, bits: int) -> AdcErrors | None:
        """Return noise and transition levels at a resolution, None for an ideal ADC.

        Args:
            bits: resolution.

        Raises:
            DesignError: a table of another length, or an ENOB that cannot be.
        """
        if any(self.circuit.values()):
            if bits > LARGEST_TABLE_BITS:
                self._fail("circuit", f"given for at most {LARGEST_TABLE_BITS} bits")
            try:
                self.its_kind.check(bits, self.circuit)
            except DesignError as error:
                raise DesignError(f"ADC {self.label!r}, {bits} bits: {error}") from None
            return AdcErrors(bits, self._noise(bits, None), None, self.kind, self.circuit)
        thresholds = self._thresholds(bits)
        noise = self._noise(bits, thresholds)
        return AdcErrors(bits, noise, thresholds) if noise > 0 or thresholds is not None else None

    def _thresholds(self, bits: int) -> Floats | None:
        count = 2**bits - 1
        given = next((field for field in _TABLES if getattr(self, field)), None)
        if given is None:
            thresholds = self.its_kind.thresholds_lsb(bits)
            if thresholds is not None and np.shape(thresholds) != (count,):
                raise DesignError(
                    f"ADC kind {self.kind!r}: expected `thresholds_lsb({bits})` to give {count} transition levels, "
                    f"but got the shape {np.shape(thresholds)}."
                )
            return None if thresholds is None else np.sort(np.asarray(thresholds, dtype=np.float64))
        if bits > LARGEST_TABLE_BITS:
            self._fail(given, f"given for at most {LARGEST_TABLE_BITS} bits")
        table = np.array(getattr(self, given))
        if given == "inl_lsb":
            return transition_levels(bits, inl_lsb=table)
        wanted = count if given == "thresholds_lsb" else count - 1
        if table.size > wanted or (table.size < wanted and given == "thresholds_lsb"):
            most = "" if given == "thresholds_lsb" else "at most "
            raise DesignError(
                f"ADC {self.label!r}: expected `{given}` to have {most}{wanted} numbers at {bits} bits, but got "
                f"{table.size}."
            )
        return np.sort(table) if given == "thresholds_lsb" else transition_levels(bits, dnl_lsb=table)

    def _noise(self, bits: int, thresholds: Floats | None) -> float:
        if self.enob is None:
            return float(self.its_kind.noise_lsb(bits) if self.noise_lsb is None else self.noise_lsb)
        total = 4.0 ** (bits - self.enob) / 12.0
        static = quantisation_variance(bits, thresholds)
        # Bits that are all effective leave nothing for noise but rounding.
        if total < static * (1.0 - 1e-9):
            reached = bits - math.log(12.0 * static, 4.0)
            raise DesignError(
                f"ADC {self.label!r}: expected `enob` of at most {reached:.4g}, what "
                + (f"{bits} ideal bits" if thresholds is None else "its transition levels")
                + f" reach without noise, but got {self.enob:g}."
            )
        return math.sqrt(max(total - static, 0.0))

    # -- plain values -------------------------------------------------------------------------------------------

    def to_mapping(self) -> dict[str, Any]:
        """Return what was given as plain values, ready for a file."""
        values: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Constant):
                entry = value.model_dump(exclude_none=True)
                values[field.name] = {key: list(v) if isinstance(v, tuple) else v for key, v in entry.items()}
            elif field.name == "circuit":
                values |= {"circuit": dict(self.circuit)} if self.circuit else {}
            elif field.name == "kind" or value not in (None, "", ()):
                values[field.name] = list(value) if isinstance(value, tuple) else value
        return values

    def save(self, path: str | Path) -> Path:
        """Write the ADC as a TOML file, whole or not at all.

        Args:
            path: where; the folder is made.

        Returns:
            The path.
        """
        import tomli_w

        with replacing(path) as temporary:
            temporary.write_text(tomli_w.dumps(self.to_mapping()), encoding="utf-8")
        return Path(path)


def _is_number(value: object, low: float = -math.inf) -> bool:
    return is_real(value) and float(value) >= low


def adc_from_mapping(values: Mapping[str, Any], where: str = "ADC") -> Adc:
    """Return an ADC from plain values, as a file holds them.

    Args:
        values: fields of `Adc`.
        where: what they came from, for the message.

    Raises:
        DesignError: an unknown field, or an impossible ADC.
    """
    known = [field.name for field in dataclasses.fields(Adc)]
    for key in values:
        if key not in known:
            raise DesignError(f"{where}: " + unknown_name("field of an ADC", str(key), known))
    try:
        return Adc(**values)
    except DesignError as error:
        raise DesignError(f"{where}: {error}") from None


def _bundled() -> dict[str, Path]:
    return {path.stem: path for path in sorted(data_path("adcs").glob("*.toml"))}


def adc_names() -> list[str]:
    """Return the names of the bundled ADCs, whose errors are those of plausible circuits."""
    return list(_bundled())


def load_adc(name_or_path: str | Path) -> Adc:
    """Return an ADC: a kind by name with nothing of its own, a bundled one, or the one that a file describes.

    A file holds fields of `Adc` at its top level; tables of levels may be the name of a text file of numbers in its
    folder. With ``base`` it holds what differs from a bundled ADC, or from
    another file of its folder.

    Args:
        name_or_path: such as ``"sar"``, one of `adc_names`, or the path of a TOML file.

    Raises:
        DesignError: no such kind or file, no TOML, a base that is missing or comes back to the file, an unknown field,
            or an impossible ADC.
    """
    if str(name_or_path) in adc_kind_names():
        return Adc(str(name_or_path))
    bundled = _bundled()
    path = bundled.get(str(name_or_path), Path(name_or_path))
    if not is_file(path):
        message = unknown_name("ADC", str(name_or_path), [*adc_kind_names(), *bundled])
        raise DesignError(message + " An ADC of your own is given as the path of its file.")
    values = read_inheriting(path, DesignError, bundled, "ADC")
    for field in _TABLES:
        if isinstance(values.get(field), str):
            values[field] = _table_beside(values[field], path, field)
    return adc_from_mapping(values, str(path))


def _table_beside(name: str, path: Path, field: str) -> list[float]:
    """Return the numbers of a text file in the folder of an ADC's file, one a line or separated by commas.

    Raises:
        DesignError: a file elsewhere, none, or one that holds anything but so many numbers as an ADC has levels.
    """
    folder = path.resolve().parent
    with reading(folder / name, DesignError, "a table of numbers"):
        table = (folder / name).resolve()
        if not table.is_relative_to(folder):
            raise DesignError(f"{path}: expected `{field}` as numbers or a file in its own folder, but got {name!r}.")
        if table.stat().st_size > LARGEST_TABLE_BYTES:
            raise DesignError(f"{table}: a table of more than {LARGEST_TABLE_BYTES // 10**6} MB is not read.")
        lines = (line.partition("#")[0] for line in table.read_text(encoding="utf-8").splitlines())
        return [float(word) for line in lines for word in line.replace(",", " ").split()]


def as_adc(adc: Adc | str | Path | Mapping[str, Any]) -> Adc:
    """Return an ADC from one, from plain values, or from the name of a kind or the path of a file.

    Raises:
        DesignError: as for `load_adc`, or something that is none of these.
    """
    if isinstance(adc, Adc):
        return adc
    if isinstance(adc, str | Path):
        return load_adc(adc)
    if isinstance(adc, Mapping):
        return adc_from_mapping(adc)
    raise DesignError(f"Expected an ADC, the name of a kind or the path of a file, but got {type(adc).__name__}.")
