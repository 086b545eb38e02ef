"""A core design: how weights, inputs and conversions are laid out on arrays, and every quantity that follows.

Parameters are stored once; slices, partitions, conversions, cells and the ideal resolution are derived.
Source of the vocabulary and of the derived quantities: Xiao et al., "On the accuracy of analog neural network
inference accelerators", IEEE Circuits and Systems Magazine 22(4), 2022, doi 10.1109/MCAS.2022.3214409.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

from circuits.weight_codes import Differential, WeightCode, weight_code
from devicekit.common.errors import DesignError, unknown_name
from devicekit.common.numbers import is_real
from devicekit.common.paths import checked_name
from devicekit.common.plain import plain_dict

Subtraction = Literal["analog", "digital"]
WeightScale = Literal["layer", "column", "array", "given"]
BiasScale = Literal["own", "weights"]
InputAccumulation = Literal["analog", "digital"]
InputEncoding = Literal["bit_serial", "voltage", "pulse_width"]
AdcRange = Literal["calibrated", "aligned", "full"]

LARGEST_COUNT = 10**9
"""Rows or columns of the largest matrix that is believed."""
LARGEST_R_P_HAT = 1e15
"""A wire of so many cell resistances is an open line; far beyond it products of many rows overflow."""


@dataclass(frozen=True, kw_only=True)
class CoreDesign:
    """One analog core: the matrix it is sized for and how it represents weights, inputs and outputs.

    Attributes:
        name: what tables call it.
        matrix_rows: inputs of the matrix-vector product (MVM) the core is sized for.
        matrix_columns: outputs of that product.
        negative_weights: how signed weights become conductances, by the name of a `WeightCode`.
        subtraction: where the two lines of a column are subtracted; ``digital`` converts both.
        weight_bits: bits of a weight, sign included.
        weight_scale: one digital scale a layer, a column, an array (each partition of the rows by itself), or the
            quantiser's own step.
        scale_columns: columns of an array that share a scale where each array has its own; None for all of them.
        bias_rows: rows, beside those of the matrix, of cells that hold the biases of each output, on the array with
            the first rows and driven with the same input at every product; 0: biases are added digitally.
        bias_scale: what those cells hold biases against: a scale of their ``own``, set by the input that drives their
            rows, or that of the ``weights``, rows driven at full scale.
        bits_per_cell: bits a cell holds; None stands for unsliced and is replaced by the number that means.
        max_rows: rows of one array at most; more rows are split into partitions as evenly as possible.
        input_bits: bits of an input's magnitude; None leaves inputs as they are.
        bits_per_input_slice: bits applied at once; None stands for all of them.
        input_accumulation: whether input slices are summed before (analog) or after (digital) conversion.
        accumulator_bits: resolution of the analog accumulator where it is below `input_bits`.
        input_encoding: how a slice of the input is applied.
        adc_bits: resolution of the ADC: None (no ADC), one number, or one per weight slice.
        adc_range: ``calibrated`` on data; ``aligned``, which widens a calibrated range until codes fall on every level
            of the current, where the ADC has as many codes (`aligned_reach`); or ``full`` scale of the array.
        flipped_encoding: columns above half of full scale are stored complemented.
        r_p_hat: bit-line resistance between neighbouring cells over the minimum cell resistance.

    Raises:
        DesignError: a field is of the wrong type, out of range, misspelt, or at odds with another.
    """

    name: str = "custom"
    matrix_rows: int = 1152
    matrix_columns: int = 256
    negative_weights: str = Differential.name
    subtraction: Subtraction = "analog"
    weight_bits: int = 8
    weight_scale: WeightScale = "layer"
    scale_columns: int | None = None
    bias_rows: int = 0
    bias_scale: BiasScale = "own"
    bits_per_cell: int | None = None
    max_rows: int = 1152
    input_bits: int | None = 8
    bits_per_input_slice: int | None = 1
    input_accumulation: InputAccumulation = "analog"
    accumulator_bits: int | None = None
    input_encoding: InputEncoding = "bit_serial"
    adc_bits: int | tuple[int, ...] | None = 8
    adc_range: AdcRange = "calibrated"
    flipped_encoding: bool = False
    r_p_hat: float = 0.0

    def __post_init__(self) -> None:
        self._check_types()
        try:
            form = weight_code(self.negative_weights)
        except DesignError as error:
            raise DesignError(f"Design {self.name!r}: {error}") from None
        if self.bits_per_cell is None:
            object.__setattr__(self, "bits_per_cell", form.magnitude_bits(self.weight_bits))
        self._check_ranges()
        self._check_together()

    # -- validation ---------------------------------------------------------------------------------------------

    def _fail(self, field: str, requirement: str) -> None:
        raise DesignError(
            f"Design {self.name!r}: expected `{field}` to be {requirement}, but got {getattr(self, field)!r:.80}."
        )

    def _check_types(self) -> None:
        checked_name(self.name, "`name` of a design", DesignError)
        for field, choices in _CHOICES.items():
            value = getattr(self, field)
            if value not in choices:
                raise DesignError(f"Design {self.name!r}: " + unknown_name(f"`{field}`", str(value), choices))
        if not isinstance(self.flipped_encoding, bool):
            self._fail("flipped_encoding", "true or false")
        for field in (*SIZE_FIELDS, "weight_bits"):
            self._check_integer(field, optional=False)
        for field in ("bits_per_cell", "input_bits", "bits_per_input_slice", "accumulator_bits", "scale_columns"):
            self._check_integer(field, optional=True)
        if self.bias_rows != 0 or isinstance(self.bias_rows, bool):
            self._check_integer("bias_rows", optional=False, least=0)
        if isinstance(self.r_p_hat, bool) or not isinstance(self.r_p_hat, int | float):
            self._fail("r_p_hat", "a number of at least 0")
        if isinstance(self.adc_bits, list):
            object.__setattr__(self, "adc_bits", tuple(self.adc_bits))

    def _check_integer(self, field: str, *, optional: bool, least: int = 1) -> None:
        value = getattr(self, field)
        if not (is_count(value) or (value is None and optional)):
            self._fail(field, f"an integer of at least {least}" + (" or none" if optional else ""))
        if value is not None and value > LARGEST_COUNT:
            self._fail(field, f"at most {LARGEST_COUNT}")

    def _check_ranges(self) -> None:
        if not 2 <= self.weight_bits <= 16:
            self._fail("weight_bits", "from 2 to 16")
        if self.input_bits is not None and self.input_bits > 16:
            self._fail("input_bits", "at most 16")
        for field, requirement in self.weight_code.unmet(
            subtraction=self.subtraction, flipped_encoding=self.flipped_encoding
        ):
            self._fail(field, requirement)
        if self.scale_columns is not None and self.weight_scale != "array":
            self._fail("scale_columns", "none unless `weight_scale` is 'array'")
        if self.scale_columns is not None and self.has_unit_column:
            self._fail("scale_columns", "none with a unit column, which measures all columns' offset at one scale")
        if self.bias_rows and self.weight_code.one_sign:
            self._fail("bias_rows", f"0 with {self.negative_weights} weights: a bias may have the other sign")
        if self.adc_range == "aligned" and self.input_bits is None:
            self._fail("adc_range", "'calibrated' or 'full' where `input_bits` is none: currents have no levels then")
        if not (is_real(self.r_p_hat) and self.r_p_hat >= 0):
            self._fail("r_p_hat", "a finite number of at least 0")
        if self.r_p_hat > LARGEST_R_P_HAT:
            self._fail("r_p_hat", f"at most {LARGEST_R_P_HAT:g}")
        if self.adc_bits is not None:
            bits = self.adc_bits if isinstance(self.adc_bits, tuple) else (self.adc_bits,)
            if not bits or any(isinstance(b, bool) or not isinstance(b, int) or not 1 <= b <= 24 for b in bits):
                self._fail("adc_bits", "none, or from 1 to 24 (one number, or one for each weight slice)")
            if isinstance(self.adc_bits, tuple) and len(bits) != self.slices:
                self._fail("adc_bits", f"one number for each of the {self.slices} weight slices")

    def _check_together(self) -> None:
        if self.input_bits is None and self.input_accumulation == "digital":
            self._fail("input_accumulation", "'analog' where `input_bits` is none: inputs are not sliced then")
        if self.input_bits is not None and (self.bits_per_input_slice or 0) > self.input_bits:
            self._fail("bits_per_input_slice", f"at most `input_bits` = {self.input_bits}")
        if self.accumulator_bits is not None and self.input_accumulation == "digital":
            self._fail("accumulator_bits", "none where inputs are accumulated digitally")
        if self.r_p_hat > 0 and self.input_encoding == "voltage":
            self._fail("r_p_hat", "0 for voltage inputs: bit-line resistance is defined for gated cells only")
        if self.r_p_hat > 0 and self.input_encoding == "bit_serial" and self.input_slice_bits != 1:
            self._fail("r_p_hat", "0 unless inputs are applied one bit at a time or by pulse width")

    # -- derived ------------------------------------------------------------------------------------------------

    @functools.cached_property
    def weight_code(self) -> WeightCode:
        """How a weight is stored: digits, slices, lines, worth, offset."""
        return _weight_code(weight_code(self.negative_weights), self.weight_bits, self.cell_bits)

    @property
    def cell_bits(self) -> int:
        """Bits a cell holds, as a plain integer."""
        assert self.bits_per_cell is not None  # replaced in `__post_init__`
        return self.bits_per_cell

    @property
    def unsliced(self) -> bool:
        """Whether a cell holds as many bits as a weight leaves it."""
        return self.cell_bits == weight_code(self.negative_weights).magnitude_bits(self.weight_bits)

    @property
    def slices(self) -> int:
        """Cells (or pairs) that share one weight."""
        return self.weight_code.slices

    @property
    def lines_per_column(self) -> int:
        """Bit lines of one output and slice: 2 for a pair of cells, else 1."""
        return self.weight_code.lines

    @property
    def subtracts_lines(self) -> bool:
        """Whether the two lines of a column are subtracted before conversion, so that its current has a sign."""
        return self.lines_per_column == 2 and self.subtraction == "analog"

    @property
    def has_unit_column(self) -> bool:
        """Whether a column of cells that store 0 measures what is subtracted."""
        return self.weight_code.unit_column

    @property
    def partitions(self) -> int:
        """Arrays that share the rows of the core's matrix."""
        return math.ceil(self.matrix_rows / self.max_rows)

    @property
    def arrays(self) -> int:
        """Arrays of the core; the two lines of a column lie in one."""
        return self.slices * self.partitions

    @property
    def rows_per_array(self) -> int:
        """Rows of the largest array, bias rows included."""
        return math.ceil(self.matrix_rows / self.partitions) + self.bias_rows

    @property
    def array_columns(self) -> int:
        """Outputs of one array, the unit column included."""
        return self.matrix_columns + (1 if self.has_unit_column else 0)

    @property
    def input_slice_bits(self) -> int:
        """Bits of the input that are applied at once; all of them where the input is not sliced."""
        if self.input_bits is None:
            return 0
        return self.input_bits if self.bits_per_input_slice is None else self.bits_per_input_slice

    @property
    def input_slices(self) -> int:
        """Number of pieces in which an input is applied; 1 where it is not quantised."""
        return 1 if self.input_bits is None else math.ceil(self.input_bits / self.input_slice_bits)

    @property
    def conversions_per_column(self) -> int:
        """Conversions of one array column in one MVM."""
        if self.adc_bits is None:
            return 0
        digital_inputs = self.input_slices if self.input_accumulation == "digital" else 1
        return digital_inputs * (2 if self.subtraction == "digital" else 1)

    @property
    def conversions_per_mvm(self) -> int:
        """Analog-to-digital conversions of one MVM."""
        return self.arrays * self.array_columns * self.conversions_per_column

    @property
    def cells(self) -> int:
        """Memory cells of the core, the unit column and bias rows included."""
        return self.lines_per_column * self.slices * (self.matrix_rows + self.bias_rows) * self.array_columns

    @property
    def adc_bits_per_slice(self) -> tuple[int, ...]:
        """Resolution of the ADC for each weight slice; empty without ADCs."""
        if self.adc_bits is None:
            return ()
        return self.adc_bits if isinstance(self.adc_bits, tuple) else (self.adc_bits,) * self.slices

    @property
    def b_out(self) -> float:
        """Ideal analog resolution [bit] that one conversion of the largest array would need to lose nothing.

        B_W + B_in + log2(N), less 1 unless both B_W and B_in exceed 1 (Xiao et al. 2022, eq. 1-2).
        """
        weight_bits = self.cell_bits + (1 if self.subtracts_lines else 0)
        if self.input_accumulation == "analog":
            input_bits = min(self.input_bits or math.inf, self.accumulator_bits or math.inf)
        else:
            input_bits = self.input_slice_bits
        resolution = weight_bits + input_bits + math.log2(self.rows_per_array)
        return resolution if weight_bits > 1 and input_bits > 1 else resolution - 1

    @property
    def full_precision_bits(self) -> float:
        """ADC bits from which conversion over the full range loses nothing (inf for unquantised inputs)."""
        if math.isinf(self.b_out):
            return math.inf
        return math.ceil(self.b_out) - (1 if self.flipped_encoding else 0)

    @property
    def full_precision(self) -> bool:
        """Whether every ADC reaches `full_precision_bits`."""
        return self.adc_bits is not None and min(self.adc_bits_per_slice) >= self.full_precision_bits

    @property
    def operations_per_mvm(self) -> int:
        """Operations of one full MVM; a multiply-accumulate counts as two."""
        return 2 * self.matrix_rows * self.matrix_columns

    @property
    def range_from_data(self) -> bool:
        """Whether the ranges of the ADCs come from data."""
        return self.adc_range != "full"

    def input_steps(self, *, signed_inputs: bool = False) -> int | None:
        """Return the largest input integer: 255 for unsigned 8-bit inputs, 127 for signed; None if not quantised.

        Inputs that an analog accumulator sums count with no more bits than it resolves. 0 for signed inputs of one
        bit, which is the sign.

        Args:
            signed_inputs: whether the inputs carry signs.
        """
        if self.input_bits is None:
            return None
        bits = min(self.input_bits, self.accumulator_bits or self.input_bits)
        return (1 << (bits - 1 if signed_inputs else bits)) - 1

    def level_spacing(self, *, signed_inputs: bool = False, g_min: float = 0.0) -> float | None:
        """Return the distance of neighbouring currents of ideal cells, in units of one full cell; None if continuous.

        What is converted at once, the whole input or one slice of it, is a whole number of digits times input steps.

        Args:
            signed_inputs: whether the inputs carry signs.
            g_min: conductance of an idle cell.
        """
        steps = self.input_steps(signed_inputs=signed_inputs)
        if not steps:
            return None
        if self.input_accumulation == "digital":
            steps = min(steps, (1 << self.input_slice_bits) - 1)
        return (1.0 - g_min) / ((1 << self.cell_bits) - 1) / steps

    def symmetric_adc(self, *, signed_inputs: bool = False) -> bool:
        """Whether ADCs span a symmetric range with a code at 0, because a column's current can be negative.

        Args:
            signed_inputs: whether the inputs carry signs.
        """
        return signed_inputs or self.subtracts_lines

    def replace(self, **changes: Any) -> CoreDesign:
        """Return the design with some fields changed, validated again.

        A design whose weights fit one cell each keeps them in one, unless `bits_per_cell` is among the changes: other
        weights have other bits, and part of a weight in a second cell is not what was asked for.

        Args:
            **changes: fields and their new values.

        Raises:
            DesignError: unknown field, or an impossible design.
        """
        return design_from_mapping(self.changed(changes))

    def changed(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields with some changed, unchecked, as `replace` takes them.

        Args:
            changes: fields and their new values.
        """
        values = {**self.to_mapping(), **changes}
        if self.unsliced and "bits_per_cell" not in changes and {"negative_weights", "weight_bits"} & changes.keys():
            values["bits_per_cell"] = None
        return values

    def to_mapping(self) -> dict[str, Any]:
        """Return the fields as plain values, ready for a file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def to_dict(self) -> dict[str, Any]:
        """Return name, fields and what follows from them as plain values; what is without limit is None."""
        derived = ("slices", "partitions", "arrays", "rows_per_array", "input_slices", "cells", "conversions_per_mvm")
        values = {name: getattr(self, name) for name in derived}
        return plain_dict({"name": self.name, "fields": self.to_mapping(), **values, "b_out_bits": self.b_out})


_CHOICES: dict[str, tuple[str, ...]] = {
    field: get_args(hint)
    for field, hint in get_type_hints(CoreDesign).items()
    if get_args(hint) and all(isinstance(choice, str) for choice in get_args(hint))
}


SIZE_FIELDS = ("matrix_rows", "matrix_columns", "max_rows")
"""Fields that are counts, whatever the rest of a design is."""

WEIGHT_FIELDS = (
    "negative_weights",
    "subtraction",
    "weight_bits",
    "weight_scale",
    "scale_columns",
    "bias_rows",
    "bits_per_cell",
    "flipped_encoding",
    "adc_bits",
)
INPUT_FIELDS = (
    "input_bits",
    "bits_per_input_slice",
    "input_accumulation",
    "accumulator_bits",
    "input_encoding",
    "r_p_hat",
    "adc_range",
)
"""Fields whose requirements depend on each other. Every other field is checked by itself, so that a design is possible
where its weight fields, its input fields and each of the rest are possible in an otherwise default design."""


def is_count(value: object) -> bool:
    """Return whether a value is an integer of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


@functools.cache
def _weight_code(form: type[WeightCode], weight_bits: int, cell_bits: int) -> WeightCode:
    """Designs share their weight codes: a sweep has many of the one and few of the other."""
    return form(weight_bits, cell_bits)


def design_from_mapping(values: dict[str, Any]) -> CoreDesign:
    """Build a design from a mapping of field names to values, as read from a file.

    Args:
        values: field names and values.

    Raises:
        DesignError: a field that a design does not have (with the nearest names), or an impossible design.
    """
    known = [field.name for field in dataclasses.fields(CoreDesign)]
    for key in values:
        if key not in known:
            raise DesignError(f"Design {values.get('name', '?')!r}: " + unknown_name("field", str(key), known))
    return CoreDesign(**values)


def split_rows(rows: int, max_rows: int) -> tuple[int, ...]:
    """Split rows over arrays as evenly as possible, larger parts first.

    Args:
        rows: rows of the matrix.
        max_rows: rows of one array at most.

    Returns:
        Rows of each partition; 290 rows at most 128 give (97, 97, 96).

    Raises:
        DesignError: an argument below 1.
    """
    if rows < 1 or max_rows < 1:
        raise DesignError(f"Expected rows and max_rows of at least 1, but got {rows} and {max_rows}.")
    parts = math.ceil(rows / max_rows)
    small, larger = divmod(rows, parts)
    return (small + 1,) * larger + (small,) * (parts - larger)
