"""Gain, offset, non-linearity, noise and clipping of a column's peripherals as one small model: `PeripheralModel`.

The model stands between SPICE and the networks: `circuits.characterize` writes it, `circuits.apply_peripherals` and
the energy library read it. It needs neither ngspice nor PySpice.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from circuits.errors import CircuitError
from devicekit.common.paths import replacing
from devicekit.common.provenance import Constant, Kind
from devicekit.common.validation import problem_of

ADC_NOISE = (
    "noise_comparator_lsb",
    "noise_comparator_flicker_lsb",
    "noise_clock_jitter_lsb",
    "noise_kick_back_of_neighbours_lsb",
)
"""Figures of a characterisation that are noise of its ADC; the rest of `noise_lsb` stands before it."""

NonNegative = Annotated[float, Field(ge=0)]


class PeripheralError(CircuitError):
    """A peripheral's parameters or a `PeripheralModel` are unknown, malformed or impossible."""


class PeripheralModel(BaseModel):
    """Integrator, rescaling accumulator, gain stage and ADC of a column, as seen by one conversion.

    Values are positions in the ADC's range, u = (v - lo) / (hi - lo): 0 at the lowest code, 1 at the highest.
    One LSB is 1 / (2**adc_bits - 1) of that range *at this model's own* `adc_bits`; an ADC of another
    resolution sees the same analog errors, as fractions of the range. With `zero` the position of zero signal
    (0 on an unsigned range, 0.5 on a symmetric one) and z, z' standard normals per column and per conversion:

        a = u + (gain + gain_sigma * z_g - 1) * (u - zero) + (offset_lsb + offset_sigma_lsb * z_o) * lsb
        b = clip(a, clip_low, clip_high)
        reading = b + (INL(b) + sqrt(noise_lsb**2 + pattern_lsb**2 + shot_noise_lsb**2 * s) * z') * lsb
        s = |u - zero| / (1 - zero)

    Where the common current c of a conversion is known (`common_current` its mean), the gain about zero signal is
    multiplied by 1 + common_gain (c / common_current - 1), and (common_offset_lsb (c / common_current - 1)
    + common_offset_sigma_lsb z_m c / common_current) is added to the offset, z_m a standard normal per column.

    A range with another `zero` than was characterised is read by the same circuits: u is first taken to the range
    characterised, where full scale lies at 1 in both, and the reading back.

    The reading is rounded to a code by whoever converts. `INL(b)` interpolates `inl_lsb`, given at the positions
    k / (len - 1); positive means that the reading is too high.

    Attributes:
        name: what tables call it.
        kind: how the numbers were obtained, ``"simulated"`` for those of ngspice.
        source: the simulator, its version, the parameter file and the seed.
        adc_bits: resolution of the ADC that was characterised; sets the LSB.
        zero: position of zero signal in the range that was characterised.
        temperature: of the characterisation [K].
        corner: process corner of the characterisation.
        gain: gain about zero signal without mismatch, for random bit patterns; 1 is ideal.
        gain_sigma: standard deviation of the gain from column to column.
        offset_lsb: offset without mismatch [LSB].
        offset_sigma_lsb: standard deviation of the offset from column to column [LSB].
        inl_lsb: integral non-linearity at 2**adc_bits evenly spaced positions, after gain and offset [LSB].
        noise_lsb: signal-independent random noise of one conversion, rms [LSB].
        shot_noise_lsb: shot noise of a full-scale bit-line current, rms [LSB]; its variance goes with the current.
        pattern_lsb: rms of what random input bit patterns add to the static curve beyond gain, offset and
            `bit_weights`: a different value each conversion, hence applied as noise [LSB]. Where the weights are not
            applied, `pattern_scatter_lsb` is what they would have explained and this together.
        clip_low: lowest position the analog part can reach; below 0 where the ADC clips first.
        clip_high: highest such position; above 1 where the ADC clips first.
        full_scale_current: current that fills the range of the characterisation [A]; None where it was not noted.
        common_current: mean of a column's lines for which gain and offset hold [A]; 0 for lines by themselves.
        common_gain: relative change of the gain over the relative change of the common current.
        common_offset_lsb: shift of zero signal by a relative change of the common current of 1 [LSB].
        common_offset_sigma_lsb: standard deviation from column to column of the offset that goes with the common
            current, at its mean: unequal gains of the two lines [LSB].
        bit_weights: weights that the input bits really get, least significant first, sum 1: unequal capacitors, and
            memory of the bit before. Ideal are 2**b / (2**bits - 1). None without accumulation.
        energy: energy of one conversion of one column by block, in J; blocks simulated at transistor level only.
        figures: every other figure of the characterisation, by name, with unit and source.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["devicekit-peripherals-1"] = "devicekit-peripherals-1"
    name: str = Field(min_length=1)
    kind: Kind
    source: str = Field(min_length=1)
    adc_bits: int = Field(ge=1, le=16)
    zero: float = Field(default=0.5, ge=0, lt=1)
    temperature: float = Field(default=300.15, gt=0)
    corner: str = "typical"
    gain: float = Field(default=1.0, gt=0)
    gain_sigma: NonNegative = 0.0
    offset_lsb: float = 0.0
    offset_sigma_lsb: NonNegative = 0.0
    inl_lsb: tuple[float, ...]
    noise_lsb: NonNegative = 0.0
    shot_noise_lsb: NonNegative = 0.0
    pattern_lsb: NonNegative = 0.0
    clip_low: float = -1.0
    clip_high: float = 2.0
    full_scale_current: float | None = Field(default=None, gt=0)
    common_current: NonNegative = 0.0
    common_gain: float = 0.0
    common_offset_lsb: float = 0.0
    common_offset_sigma_lsb: NonNegative = 0.0
    bit_weights: tuple[NonNegative, ...] | None = None
    energy: dict[str, Constant] = Field(default_factory=dict)
    figures: dict[str, Constant] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.inl_lsb) != 2**self.adc_bits:
            raise ValueError(f"inl_lsb: expected 2**adc_bits = {2**self.adc_bits} numbers, but got {len(self.inl_lsb)}")
        if not self.clip_low < self.clip_high:
            raise ValueError(f"expected clip_low below clip_high, but got {self.clip_low} and {self.clip_high}")
        if self.bit_weights is not None and not math.isclose(sum(self.bit_weights), 1, rel_tol=1e-6):
            raise ValueError(f"bit_weights: expected a sum of 1, but got {sum(self.bit_weights):.9g}")
        for block, energy in self.energy.items():
            if energy.unit != "J" or energy.value < 0:
                raise ValueError(f"energy of {block}: expected at least 0 in J, but got {energy.value} {energy.unit}")
        return self

    @classmethod
    def ideal(cls, adc_bits: int = 8, *, zero: float = 0.5) -> Self:
        """Return the model of peripherals that change nothing.

        Args:
            adc_bits: resolution that sets the LSB.
            zero: position of zero signal.
        """
        return cls(
            name="ideal",
            kind="assumed",
            source="no error by definition",
            adc_bits=adc_bits,
            zero=zero,
            inl_lsb=(0.0,) * 2**adc_bits,
        )

    @property
    def lsb(self) -> float:
        """One LSB as a fraction of the ADC's range."""
        return 1.0 / float(2**self.adc_bits - 1)

    @property
    def inl(self) -> NDArray[np.float64]:
        """Integral non-linearity [LSB] as an array of shape (2**adc_bits,)."""
        return np.array(self.inl_lsb)

    @property
    def dnl(self) -> NDArray[np.float64]:
        """Differential non-linearity [LSB]: step of the reading between neighbouring positions, less one; one fewer."""
        return np.diff(self.inl)

    @property
    def input_bits(self) -> int:
        """Input bits before one conversion, over which the integrator's energy counts."""
        return 1 if self.bit_weights is None else len(self.bit_weights)

    @property
    def follows_common_current(self) -> bool:
        """Whether a conversion depends on the common current of its lines."""
        return self.common_current > 0 and bool(
            self.common_gain or self.common_offset_lsb or self.common_offset_sigma_lsb
        )

    @property
    def pattern_scatter_lsb(self) -> float:
        """Scatter of random patterns whose bits count in powers of two, `bit_weights` not applied, rms [LSB].

        The figure of that name, or `pattern_lsb` where a model was written without it.
        """
        scatter = self.figures.get("pattern_scatter_lsb")
        return self.pattern_lsb if scatter is None else max(scatter.value, self.pattern_lsb)

    def to_dict(self) -> dict[str, Any]:
        """Return the model as plain values: the content of its file, temperature in [K] and pattern scatter by name."""
        values = self.model_dump(mode="json")
        values["temperature_k"] = values.pop("temperature")
        return values | {"pattern_scatter_lsb": self.pattern_scatter_lsb}

    def trimmed(self, *, columns: bool = False) -> PeripheralModel:
        """Return the model after a digital gain and offset trim, which real chips do.

        Args:
            columns: whether each column is trimmed by itself; otherwise only the mean over columns is.

        Returns:
            The model with gain 1 and offset 0, and without their spread where columns are trimmed. What the analog
            part or the ADC cut off stays cut off: the clip points become the ends of the reachable range,
            seen through the trim. The table of INL is kept by position, which neglects gain times its slope.
        """

        def seen(position: float) -> float:
            return self.zero + (position - self.offset_lsb * self.lsb - self.zero) / self.gain

        changes: dict[str, float] = {
            "gain": 1.0,
            "offset_lsb": 0.0,
            "clip_low": seen(max(self.clip_low, 0.0)),
            "clip_high": seen(min(self.clip_high, 1.0)),
        }
        if columns:
            changes |= {"gain_sigma": 0.0, "offset_sigma_lsb": 0.0, "common_offset_sigma_lsb": 0.0}
        return self.model_copy(update=changes)

    def without_adc(self) -> PeripheralModel:
        """Return the model for another ADC behind the same columns: without the noise of the one characterised.

        Its comparator, clock and the kick-back on its ramp are taken out of `noise_lsb` as the figures `ADC_NOISE`
        give them; a model without such figures has nothing to take out. Offset spread and non-linearity are those of
        the whole chain and stay.
        """
        own = sum(self.figures[name].value ** 2 for name in ADC_NOISE if name in self.figures)
        return self.model_copy(update={"noise_lsb": math.sqrt(max(self.noise_lsb**2 - own, 0.0))})

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], where: str = "peripherals") -> Self:
        """Return a model from plain values, as a file holds them.

        Args:
            values: fields by name.
            where: what they came from, for the message.

        Raises:
            PeripheralError: a field missing, unknown or out of its range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise PeripheralError(f"{where}: {first_problem(error)}") from None

    def save(self, path: Path | str) -> Path:
        """Write the model as a JSON file, whole or not at all.

        Args:
            path: where; the folder is made.

        Returns:
            The path.
        """
        path = Path(path)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n", "utf-8")
        return path


@dataclasses.dataclass(frozen=True)
class ColumnErrors:
    """Gain and offset of each column, as drawn from a model's spread.

    Attributes:
        gain: shape (columns,).
        offset_lsb: shape (columns,) [LSB of the model].
        common_offset_lsb: offset that goes with the common current, at its mean, shape (columns,); None for none.
    """

    gain: NDArray[np.float64]
    offset_lsb: NDArray[np.float64]
    common_offset_lsb: NDArray[np.float64] | None = None


def variant_name(name: str, *, unsigned: bool, one_bit: bool) -> str:
    """Return the name under which a parameter set's characterisation for another use is recorded.

    Args:
        name: of the parameter set, characterised for both signs and all input bits before one conversion.
        unsigned: for currents of one sign, over a range that starts at zero signal.
        one_bit: for a conversion after every input bit.
    """
    return name + ("_one_bit" if one_bit else "") + ("_unsigned" if unsigned else "")


def first_problem(error: ValidationError) -> str:
    """Return one sentence for the first thing that validation found."""
    problem = error.errors()[0]
    where, message, value = problem_of(error)
    received = "" if problem["type"] in ("value_error", "missing") else f", but got {value!r:.80}"
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where + ': ' if where else ''}{message}{received}{more}."
