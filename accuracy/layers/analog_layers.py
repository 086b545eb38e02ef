"""Layers whose matrix sits on analog arrays, with everything else of the layer as it was.

An `AnalogLayer` keeps the digital layer it stands for, so that the same model serves as its own float baseline, as the
network with ideal cells, and as the programmed chip; `mode` says which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn.modules import module as module_hooks
from torch.utils._python_dispatch import _disable_current_modes

from accuracy.arrays.analog_array import AnalogArray
from accuracy.arrays.periphery import needs_common_current, slice_peripherals
from accuracy.arrays.physics import Physics
from accuracy.errors import CalibrationError, ConversionError, InputError, MappingError, NotFiniteError
from accuracy.kernels.histograms import Observation
from accuracy.kernels.products import mean_common
from accuracy.kernels.protocol import Reading
from accuracy.kernels.readout import read
from accuracy.layer_kinds import MatrixKind, OwnCodes, kind_of
from accuracy.layers.gradients import StraightThrough
from accuracy.layers.layer_state import Calibration, ColumnCorrection, Mode
from accuracy.layers.same_again import SameAgain
from accuracy.layers.weights_seen import WeightsSeen
from accuracy.mapping.adc import AdcRanges, Range, adc_levels, full_adc_ranges
from accuracy.mapping.biases import bias_reach, map_biases
from accuracy.mapping.operators import ConvolutionOperator, Operator
from accuracy.mapping.weights import Mapping, map_weights
from circuits import Core, CoreDesign, weight_code
from circuits.peripherals.model import PeripheralModel

Floats = NDArray[np.float64]
FOLDED_NORM = "folded_norm"
"""Attribute of a digital layer: name of the batch norm that was folded into it."""


class AnalogLayer(nn.Module):
    """A linear or convolutional layer on analog arrays.

    It answers for what code asks of its digital layer (`weight`, `bias`, `in_features`, `out_channels`, ...). Arrays
    are mapped anew when a state is loaded into it; after other changes of weights, `accuracy.synchronize` does it.

    Args:
        name: the layer's name in its network, for messages and reports.
        digital: the layer it stands for, batch norm folded.
        kind: what kind of layer that is.
        mapping: the layer's matrix on arrays.
        core: what the arrays are built of.
        key: identifies the layer's random numbers: the seed's spawn key.

    Attributes:
        within: names of what the layer is part of and may be named as a whole by.
        relu: whether the layer applies the ReLU that followed it, in the same pass over memory as its ADCs.
        vectors_only: whether a batch norm was folded into it that holds for single vectors, not for sequences.
    """

    def __init__(
        self,
        name: str,
        digital: nn.Module,
        kind: MatrixKind,
        mapping: Mapping,
        core: Core,
        key: int,
    ):
        super().__init__()
        self.name = name
        self.digital = digital
        self.kind = kind
        self.core = core
        self.design = mapping.design
        self.array = AnalogArray(mapping, kind.operator(digital), core.cell, Physics.of(core))
        self.cell = core.cell
        self.key = key
        self.within: tuple[str, ...] = ()
        self.relu = False
        self.vectors_only = False
        self.mode = Mode.ANALOG
        self.calibration: Calibration | None = None
        self.observed: Observation | None = None
        self.correction: ColumnCorrection | None = None
        self.stand_in: Callable[[AnalogLayer, Tensor], Tensor] | None = None
        self._adc_ranges: AdcRanges | None = None
        self._peripherals: tuple[PeripheralModel, ...] | None = None
        self._output_size: list[int] | None = None
        self._programmed: tuple[int, int, bool] | None = None
        self._last_call: SameAgain | None = None
        self._project_signs = False
        self._seen = WeightsSeen(self._stored())
        self.register_load_state_dict_post_hook(_map_loaded)  # type: ignore[no-untyped-call]

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the module, or of the digital layer it stands for."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            digital = self.__dict__.get("_modules", {}).get("digital")
            if digital is None or name.startswith("_"):
                raise
            return getattr(digital, name)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy starts from: its calls are other ones."""
        return {**self.__dict__, "_last_call": None}

    # -- weights ------------------------------------------------------------------------------------------------

    def matrix(self) -> Tensor:
        """Return the digital layer's matrix, shape (rows, columns)."""
        return self.kind.matrix(self.digital).detach()

    def _stored(self) -> Tensor:
        """What arrays hold: the matrix, and the biases as its last row where they lie on the array."""
        bias = self.kind.bias(self.digital) if self.design.bias_rows else None
        matrix = self.matrix()
        return matrix if bias is None else torch.cat([matrix, bias.detach()[None].to(matrix)])

    def _array_bias(self) -> Floats | None:
        """Biases that lie on the array, in double precision; None where there are none, or before calibration."""
        found = self.kind.bias(self.digital) if self.design.bias_rows and self.calibration is not None else None
        if found is None:
            return None
        bias = np.asarray(found.detach().to("cpu", torch.float64).numpy())
        if not np.isfinite(bias).all():
            raise MappingError(f"Layer {self.name!r}: expected biases to be finite, but {bias[~np.isfinite(bias)][0]}.")
        return bias

    def bias_reach(self) -> Floats | None:
        """Return the least full scale of weights at which biases on the array fit; None without; shape (columns,)."""
        bias = self._array_bias()
        if bias is None or self.calibration is None:
            return None
        return bias_reach(bias, self.design, self.calibration.scale)

    def is_stale(self, *, thoroughly: bool = False) -> bool:
        """Return whether the arrays hold other weights than the digital layer.

        Args:
            thoroughly: whether values are compared even where nothing says that they changed.
        """
        digital = self.digital
        # At every call of a layer; most have no modules of their own to look through.
        parameters = digital.parameters() if digital._modules else digital._parameters.values()
        return self._seen.differ(self._stored, parameters, thoroughly)

    def synchronize(self) -> None:
        """Map the digital layer's weights anew and program them with the seed of the last programming."""
        bias, reach = self._array_bias(), self.bias_reach()
        mapping = layer_mapping(
            self.name, self.digital, self.kind, self.design, project_signs=self._project_signs, bias_reach=reach
        )
        biases = None
        if bias is not None and self.calibration is not None:
            biases = map_biases(bias, mapping, self.calibration.scale, self.calibration.signed)
        old = self.array
        self.array = AnalogArray(mapping, self.kind.operator(self.digital), self.cell, old.physics, biases=biases)
        self._adc_ranges = None
        self._peripherals = None
        self._seen = WeightsSeen(self._stored())
        if self._programmed is not None:
            seed, trial, draw_cell = self._programmed
            self.program(seed, trial, draw_cell=draw_cell)

    def follow_own_codes(self) -> None:
        """Map the codes that the digital layer now says it has (`accuracy.layer_kinds.OwnCodes`), with its own bits.

        The layer has to be calibrated again.

        Raises:
            DesignError: the design is impossible with so few bits.
            MappingError: weights that are no such codes.
        """
        design = self.design.replace(weight_scale="given", scale_columns=None)
        self.core = with_own_bits(self.core.replace(design=design), self.digital)
        self.design = self.core.design
        self.set_calibration(None)
        self.synchronize()

    # -- state --------------------------------------------------------------------------------------------------

    def program(self, seed: int, trial: int = 0, *, draw_cell: bool = False) -> None:
        """Program the layer's cells; the same seed, trial and layer give the same cells.

        Args:
            seed: of everything random.
            trial: number of the trial.
            draw_cell: whether the cell model is drawn from its fit's uncertainty first, alike for all layers.
        """
        self._programmed = (seed, trial, draw_cell)
        self.array.cell = self.cell
        if draw_cell and self.cell is not None:
            self.array.cell = self.cell.draw(np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(trial,))))
        self.array.program(np.random.SeedSequence(seed, spawn_key=(trial, self.key)))

    def get_extra_state(self) -> dict[str, Any]:
        """Return the calibration as plain values, saved with the model's state."""
        return {"calibration": None if self.calibration is None else asdict(self.calibration)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take a saved calibration.

        Raises:
            CalibrationError: it was made for another design.
        """
        saved = state["calibration"]
        self.set_calibration(None if saved is None else Calibration(**saved))

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Take ranges for this layer's design.

        Raises:
            CalibrationError: they were made for another design.
        """
        if calibration is not None:
            own = self.design.to_mapping()
            different = [key for key, value in own.items() if calibration.design.get(key) != value and key != "name"]
            if different:
                raise CalibrationError(
                    f"Layer {self.name!r}: the calibration was made for another design, "
                    f"{calibration.design.get('name')!r}; {', '.join(different)} differ from {self.design.name!r}. "
                    "Run accuracy.calibrate on this model."
                )
        self.calibration = calibration
        self._adc_ranges = None
        self._peripherals = None
        if calibration is not None and self.design.bias_rows:
            # What drives the bias rows, and whether they reach, depends on the range of the inputs beside them.
            self.synchronize()

    def take_adc_ranges(self, ranges: tuple[Range, ...]) -> None:
        """Set the ranges of the ADCs, and nothing else of the calibration.

        Args:
            ranges: (lo, hi) of each weight slice.
        """
        self.calibration = replace(self.require_calibration(), ranges=ranges)
        self._adc_ranges = None
        self._peripherals = None

    def require_calibration(self) -> Calibration:
        """Return the layer's calibration.

        Raises:
            CalibrationError: there is none.
        """
        if self.calibration is None:
            raise CalibrationError(
                f"Layer {self.name!r} has no ranges for its inputs"
                + (" and ADCs" if self.design.adc_bits is not None else "")
                + ": run accuracy.calibrate(model, batches) with training data first."
            )
        return self.calibration

    def adc_ranges(self) -> AdcRanges | None:
        """Return the layer's ADCs, None for designs without.

        Raises:
            CalibrationError: the layer is not calibrated.
        """
        calibration = self.require_calibration()
        if self.design.adc_bits is None:
            return None
        if self._adc_ranges is None:
            if self.design.adc_range == "full":
                rows = self.array.rows_of_partitions
                self._adc_ranges = full_adc_ranges(self.design, rows, calibration.signed, self.array.g_min)
            elif not calibration.ranges:
                raise CalibrationError(f"Layer {self.name!r} has input ranges but no ADC ranges.")
            else:
                levels = adc_levels(self.design, calibration.signed)
                self._adc_ranges = AdcRanges(calibration.ranges, levels)
        return self._adc_ranges

    def peripherals(self) -> tuple[PeripheralModel, ...] | None:
        """Return the peripherals of each weight slice at its range and mean common current; None without.

        Raises:
            CalibrationError: the layer is not calibrated.
            MappingError: a sized circuit and cells without a current in ampere.
        """
        if self._peripherals is None and self.array.physics.peripherals is not None:
            common = self.require_calibration().common
            self._peripherals = slice_peripherals(self.array, self.adc_ranges(), common, self.name)
        return self._peripherals

    # -- forward ------------------------------------------------------------------------------------------------

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return the layer's output for inputs in the network's own units.

        Args:
            x: as the digital layer takes it, unbatched or empty too; outputs have its floating type.
            output_size: size of the output, for transposed convolutions.

        Raises:
            ConversionError: sequences, where a batch norm over single vectors was folded in; weights that changed
                since they were mapped.
            InputError: an input of another width, number of channels or type than the layer takes.
        """
        if output_size is not None:
            self._output_size = output_size
        try:
            if torch._C._len_torch_dispatch_stack():
                # What happens inside is not the code that is being watched.
                with _disable_current_modes():
                    return self._forward(x)
            return self._forward(x)
        finally:
            if output_size is not None:
                self._output_size = None

    def _forward(self, x: Tensor) -> Tensor:
        if self.vectors_only and x.dim() != 2:
            raise ConversionError(
                f"Layer {self.name!r}: the batch norm after it was folded into its columns, as for inputs (batch, "
                f"features), but it runs on {tuple(x.shape)}, where batch norm acts on axis 1. Leave it digital with "
                f"exclude=[{self.name!r}] (--exclude {self.name})."
            )
        if self.stand_in is not None:
            return self.stand_in(self, x)
        if self.mode is Mode.FLOAT:
            return self.float_outputs(x)
        if self.mode is Mode.OBSERVE_INPUTS:
            if self.observed is not None:
                self._check_input(x)
                self.observed.add_inputs(_single(x))
            return self.float_outputs(x)
        return self.outputs(x, relu=self.relu)

    def with_sum(self, x: Tensor, other: Tensor, relu: bool) -> Tensor:
        """Return the layer's output plus another tensor, with or without a ReLU after that.

        In the kernel's own pass over outputs where nobody looks at the layer's output by itself; the same bits.

        Args:
            x: as for `forward`.
            other: what is added, as by `torch.add`.
            relu: whether negative sums become 0.
        """
        plain = (
            self.mode is not Mode.ANALOG
            or self.stand_in is not None
            or self.correction is not None
            or self.relu
            or self.vectors_only
            or "forward" in vars(self)
            or torch.is_grad_enabled()
            or bool(torch._C._len_torch_dispatch_stack())
            or bool(self._forward_hooks or self._forward_pre_hooks)
            or bool(module_hooks._global_forward_hooks or module_hooks._global_forward_pre_hooks)
            or not (isinstance(x, Tensor) and isinstance(other, Tensor))
            or not (x.dtype == torch.float32 == other.dtype and other.dim() == x.dim() >= self.least_axes)
            or not x.numel()
        )
        if not plain:
            return self.array_outputs(x, relu=relu, added=other)
        total = self(x) + other
        return torch.relu(total) if relu else total

    def outputs(self, x: Tensor, *, relu: bool) -> Tensor:
        """Return what the arrays give, corrected where a correction is set, with or without the layer's ReLU."""
        if self.correction is None:
            return self.array_outputs(x, relu=relu)
        result = self.columns_back(self.correction.apply(self.columns_last(self.array_outputs(x))))
        return torch.relu(result) if relu else result

    def array_outputs(self, x: Tensor, *, relu: bool = False, added: Tensor | None = None) -> Tensor:
        """Return what the arrays give; where an input is not finite, what the digital layer gives of it.

        Args:
            x: as for `forward`.
            relu: whether negative outputs become 0.
            added: to outputs before that, without gradient; None for nothing.
        """
        if self._last_call is not None:
            found = self._last_call.read(self, x, relu, added)
            if found is not None:
                return found
        calibration = self.require_calibration()
        if not calibration.ran:
            raise CalibrationError(
                f"Layer {self.name!r} never ran on the calibration data, but runs now: calibrate with data that reach "
                f"it, or leave it digital with exclude=[{self.name!r}] (--exclude {self.name})."
            )
        if self.is_stale():
            raise ConversionError(
                f"Layer {self.name!r}: its weights changed after they were mapped to arrays; call "
                "accuracy.synchronize(model) to map and program them again."
            )
        self._check_input(x)
        if not x.numel():
            return self._digital(x)
        with torch.no_grad():
            result = self._read(x, calibration, relu, added)
        if torch.is_grad_enabled() and any(t.requires_grad for t in (x, *self.digital.parameters())):
            return self._with_gradient(x, result, calibration, relu)
        return result

    def _with_gradient(self, x: Tensor, result: Tensor, calibration: Calibration, relu: bool) -> Tensor:
        """Return outputs of the arrays with their straight-through gradient (`accuracy.layers.gradients`)."""
        unbatched = x.dim() < self.least_axes
        batch, outputs = (x.unsqueeze(0), result.unsqueeze(0)) if unbatched else (x, result)
        own = _single(x)
        programmed = self.array.programmed_weights().to(own.device, own.dtype)
        limits = (-calibration.scale if calibration.signed else 0.0, calibration.scale)
        how = (limits, self.sized(x), self.kind, relu)
        matrix, bias = self.kind.matrix(self.digital), self.kind.bias(self.digital)
        traced: Tensor = StraightThrough.apply(outputs, batch, matrix, bias, programmed, *how)  # type: ignore[no-untyped-call]
        return traced.squeeze(0) if unbatched else traced

    def _read(self, x: Tensor, calibration: Calibration, relu: bool, added: Tensor | None) -> Tensor:
        unbatched = x.dim() < self.least_axes
        own = _single(x.unsqueeze(0) if unbatched else x)
        if not own.is_contiguous() and not (own.dim() == 4 and own.is_contiguous(memory_format=torch.channels_last)):
            # Kernels know dense images, channels first or last; not views of anything else.
            own = own.contiguous()
        observing = self.mode is Mode.OBSERVE_CURRENTS
        self.array.to(own.device, own.dtype)
        if observing and self.observed is not None and needs_common_current(self.array):
            self.observed.add_common(mean_common(self.array, own, calibration.scale, calibration.signed))
        how = Reading(
            calibration.scale,
            calibration.signed,
            None if observing else self.adc_ranges(),
            None if observing or self.array.ideal else self.peripherals(),
            bias=self.digital_bias,
            relu=relu,
            added=None if added is None else self.columns_last(added),
            observation=self.observed if observing else None,
        )
        operator, finite, self._last_call = self.array.operator, True, None
        self.array.operator = self.sized(x)
        try:
            result = read(self.array, own, how)
        except NotFiniteError:
            finite = False
            if added is not None:
                how = replace(how, added=None, relu=False)
            result = read(self.array, own.nan_to_num(0.0, 0.0, 0.0), how, again=True)
        finally:
            self.array.operator = operator
        if own is x and finite:
            self._last_call = SameAgain.of(self, x, how)
        result = self.columns_back(result)
        result = (result.squeeze(0) if unbatched else result).to(x.dtype)
        if not finite:
            digital = self._digital(x)
            result = torch.where(torch.isfinite(digital), result, torch.relu(digital) if how.relu else digital)
            if added is not None:
                result = result + added
                return torch.relu(result) if relu else result
        return result

    @property
    def names(self) -> tuple[str, ...]:
        """What patterns may call the layer: its own name, and those of what it is part of."""
        return (self.name, *self.within)

    @property
    def least_axes(self) -> int:
        """Axes of the smallest batched input."""
        operator = self.array.operator
        return operator.dimensions + 2 if isinstance(operator, ConvolutionOperator) else 2

    def _check_input(self, x: Tensor) -> None:
        """Refuse an input that the layer's matrix does not fit: the kernels read as many numbers as it has rows."""
        operator = self.array.operator
        if not (isinstance(x, Tensor) and x.is_floating_point() and x.layout is torch.strided and not x.is_nested):
            got = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise InputError(f"Layer {self.name!r}: expected a dense floating-point tensor, but got {got}.")
        if isinstance(operator, ConvolutionOperator):
            axes = (self.least_axes - 1, self.least_axes)
            fits = x.dim() in axes and x.shape[-1 - operator.dimensions] == operator.in_channels
            wanted = f"{operator.in_channels} channels and {operator.dimensions} axes after them"
        else:
            fits = x.dim() >= 1 and x.shape[-1] == self.array.mapping.rows
            wanted = f"{self.array.mapping.rows} features along the last axis"
        if not fits:
            raise InputError(f"Layer {self.name!r}: expected an input with {wanted}, but got shape {tuple(x.shape)}.")

    def sized(self, x: Tensor) -> Operator:
        """Return the operator for an input and the output size that was asked for."""
        operator = self.array.operator
        if self._output_size is None:
            return operator
        if not (isinstance(operator, ConvolutionOperator) and operator.transposed):
            raise InputError(f"Layer {self.name!r}: only transposed convolutions take an `output_size`.")
        layer: Any = self.digital
        padding = layer._output_padding(
            x, self._output_size, layer.stride, layer.padding, layer.kernel_size, operator.dimensions, layer.dilation
        )
        return replace(operator, output_padding=tuple(padding))

    def _digital(self, x: Tensor) -> Tensor:
        result: Tensor = self.digital(x) if self._output_size is None else self.digital(x, self._output_size)
        return result

    def float_columns(self, x: Tensor) -> Tensor:
        """Return what the digital layer gives, before any ReLU that the layer took over."""
        return self._digital(x)

    def float_outputs(self, x: Tensor) -> Tensor:
        """Return what the digital layer gives, with the ReLU that the layer took over."""
        result = self.float_columns(x)
        return torch.relu(result) if self.relu else result

    @property
    def bias(self) -> Tensor | None:
        """What is added to each column, shape (columns,); at least in single precision."""
        found = self.kind.bias(self.digital)
        return None if found is None else _single(found)

    @property
    def digital_bias(self) -> Tensor | None:
        """What is added to each column digitally: `bias`, or None where that lies on the array."""
        return self.bias if self.array.biases is None else None

    def columns_last(self, outputs: Tensor) -> Tensor:
        """Return outputs of the layer with its columns as the last axis."""
        return outputs.movedim(self.kind.output_axis, -1)

    def columns_back(self, columns: Tensor) -> Tensor:
        """Return what has the columns as its last axis in the layout of the layer's outputs."""
        return columns.movedim(-1, self.kind.output_axis)

    def extra_repr(self) -> str:
        """Return the layer's matrix and design, for printing a model."""
        mapping = self.array.mapping
        return (
            f"rows={mapping.rows}, columns={mapping.columns}, arrays={len(mapping.partitions)} x {self.design.slices}, "
            f"design={self.design.name!r}"
        )


def analog_layer(
    name: str,
    digital: nn.Module,
    core: Core,
    key: int,
    *,
    project_signs: bool = False,
) -> AnalogLayer:
    """Return the analog form of a digital layer.

    Args:
        name: its name in the network.
        digital: a layer of one of the kinds of `accuracy.layer_kinds`; its own codes (`accuracy.layer_kinds.OwnCodes`)
            hold for designs with ``weight_scale="given"``.
        core: what its arrays are built of.
        key: identifies its random numbers.
        project_signs: see `map_weights`.

    Raises:
        ConversionError: the layer has no analog form.
        MappingError: its weights do not suit the design.
    """
    kind = kind_of(digital)
    if not isinstance(kind, MatrixKind):
        raise ConversionError(f"A layer of type {type(digital).__name__} has no analog form.")
    layer = AnalogLayer(
        name or type(digital).__name__.lower(),
        digital,
        kind,
        layer_mapping(name, digital, kind, core.design, project_signs=project_signs),
        core,
        key,
    )
    layer._project_signs = project_signs
    return layer


def with_own_bits(core: Core, module: nn.Module) -> Core:
    """Return a core with no more bits of weights and inputs than a quantised layer has, where the design follows it.

    Args:
        core: what the layer's arrays are built of.
        module: the digital layer.

    Raises:
        DesignError: the design is impossible with so few bits.
    """
    design, codes = core.design, OwnCodes.of(module)
    if design.weight_scale != "given":
        return core
    changes: dict[str, Any] = {}
    if codes.weight_bits is not None and codes.weight_bits < design.weight_bits:
        # Cells that held a whole magnitude hold the smaller one; sliced ones keep their bits and need fewer slices.
        held = min(design.cell_bits, weight_code(design.negative_weights).magnitude_bits(codes.weight_bits))
        changes |= {"weight_bits": codes.weight_bits, "bits_per_cell": held}
    if codes.input_bits is not None and design.input_bits is not None and codes.input_bits < design.input_bits:
        changes["input_bits"] = codes.input_bits
    return core.replace(design=design.replace(**changes)) if changes else core


def layer_mapping(
    name: str,
    digital: nn.Module,
    kind: MatrixKind,
    design: CoreDesign,
    *,
    project_signs: bool = False,
    bias_reach: Floats | None = None,
) -> Mapping:
    """Return a digital layer's matrix on arrays.

    Args:
        name: its name, for messages.
        digital: the layer; see `analog_layer`.
        kind: what kind of layer it is.
        design: how it is laid out.
        project_signs: see `map_weights`.
        bias_reach: likewise.

    Raises:
        MappingError: its weights do not suit the design.
    """
    operator = kind.operator(digital)
    step: ArrayLike | None = getattr(digital, "weight_step", None)
    try:
        return map_weights(
            kind.matrix(digital),
            design,
            weight_step=None if step is None else np.asarray(step, dtype=np.float64),
            project_signs=project_signs,
            channel_rows=operator.area,
            groups=operator.groups,
            bias_reach=bias_reach,
        )
    except MappingError as error:
        raise MappingError(f"Layer {name!r}: {error}") from None


def _single(tensor: Tensor) -> Tensor:
    """A tensor in single precision, or double where it is."""
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.to(torch.float32)


def _map_loaded(layer: nn.Module, _: Any) -> None:
    """Map weights that were loaded."""
    assert isinstance(layer, AnalogLayer)
    if layer.is_stale(thoroughly=True):
        layer.synchronize()
