"""How a network is trained, as a checked model; a TOML file holds one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from accuracy.training.errors import TrainingError
from devicekit.common.foreign import read_toml
from devicekit.common.quantities import parse_quantity
from devicekit.common.validation import validated

Noise = Literal["none", "weights", "arrays"]


class Training(BaseModel):
    """How a converted network is trained.

    Attributes:
        epochs: passes over the training examples.
        batch_size: examples a step, for data that are no ready batches.
        learning_rate: at the start; it falls to 0 along half a cosine.
        optimiser: ``"adamw"``, or ``"sgd"`` with momentum 0.9.
        weight_decay: of the optimiser.
        gradient_norm: gradients of a larger norm are shortened to it; None: as they are.
        noise: what the forward pass is computed with. ``"none"``: the float network (plain fine-tuning).
            ``"weights"``: float layers, inputs clipped, whose weights are rounded as on arrays and carry errors of
            cells drawn anew for every step (`accuracy.training.drawn_weights`). ``"arrays"``: mapped, programmed and
            read arrays with all that acts on them, wires, periphery and ADCs included, and straight-through gradients.
        draws: sets of cells a step; their gradients are averaged.
        error_scale: factor on the spread of the cells while training.
        age: shortest and longest time after programming [s], drawn with equal weight in the logarithm for each set of
            cells; None: the age of the core. Text such as ``"1 day"`` is understood.
        layers: name patterns of the layers that are noisy; the others are float.
        trace_penalty: weight of the explicit regulariser, half the Hessian's trace weighted with the variances of the
            weights (`accuracy.training.hessian`), 1 for what the cells of `error_scale` add to the loss in second
            order. Only without noise, which has it in already.
        trace_examples: examples of each batch that the trace is estimated on.
        distillation: share of the loss that compares outputs with those of the digital network as it was before
            training, instead of with the labels (Hinton et al., arXiv 1503.02531); examples without labels of their
            own worth serve as well. For the losses that go by a name.
        temperature: that divides both logits of classes there.
        weight_clip: weights are held within so many root mean squares of their layer, so that the scale of a layer is
            not that of its few largest weights and typical ones use larger conductances, whose errors are smaller
            relative to them; the limit comes down from the layer's largest weight in the first half of the steps.
            None: weights are free. Layers that `layers` does not name are left alone.
        average: share of the past in a moving average of the weights over steps, which is what is validated and kept
            (Polyak and Juditsky, doi 10.1137/0330046); it begins smaller, (1 + n) / (10 + n) at step n. None: the
            weights themselves.
        mirror: whether half of the images, drawn anew in every epoch, are turned left to right.
        shift: images are moved by up to so many pixels, drawn anew in every epoch; edges are repeated.
        precision: of products in training steps and validation. ``"bfloat16"``: torch's automatic mixed precision,
            activations and their gradients in 16 bits, weights, draws, loss and optimiser in 32; faster where the
            processor or accelerator multiplies such numbers, with about three digits. Conversion, calibration and
            evaluation are not touched. Not with noise "arrays", `trace_penalty` or `weight_bits`, which need
            the digits.
        weight_bits: bits of weights, sign included, that are trained with a learned step (LSQ) of each layer
            (`accuracy.training.quantisers`); afterwards the integers are mapped as they are, with no more bits. None:
            weights are trained as real numbers. Not with noise "arrays".
        activation_bits: likewise of the inputs of each layer, the sign included where they carry one; None: real.
        edge_bits: both of the first and the last layer, in the order of the network's modules.
        activation_quantiser: whether the clipping of inputs is learned as in ``"lsq"`` or as in ``"pact"``.
        validation: share of the training examples that is held out to choose the best epoch and to stop early; 0 for
            none, which keeps the last. Not used where validation data are given.
        validation_draws: sets of cells of the validation, the same after every epoch.
        patience: epochs without a better validation loss after which training stops; None: never.
        seed: of everything random.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=50, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    optimiser: Literal["adamw", "sgd"] = "adamw"
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    gradient_norm: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    noise: Noise = "weights"
    draws: int = Field(default=1, ge=1)
    error_scale: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    age: tuple[float, float] | None = None
    layers: tuple[str, ...] = ("*",)
    trace_penalty: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    trace_examples: int = Field(default=16, ge=1)
    distillation: float = Field(default=0.0, ge=0, le=1)
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    weight_clip: float | None = Field(default=None, ge=1.0, allow_inf_nan=False)
    average: float | None = Field(default=None, gt=0, lt=1)
    mirror: bool = False
    shift: int = Field(default=0, ge=0)
    precision: Literal["float32", "bfloat16"] = "float32"
    weight_bits: int | None = Field(default=None, ge=2, le=8)
    activation_bits: int | None = Field(default=None, ge=2, le=8)
    edge_bits: int = Field(default=8, ge=2, le=8)
    activation_quantiser: Literal["lsq", "pact"] = "lsq"
    validation: float = Field(default=0.1, ge=0, lt=1)
    validation_draws: int = Field(default=4, ge=1)
    patience: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)

    @field_validator("age", mode="before")
    @classmethod
    def _in_seconds(cls, value: Any) -> Any:
        if value is None:
            return None
        ends = (value, value) if isinstance(value, str | int | float) else tuple(value)
        seconds = tuple(parse_quantity(end, "s", "`age`") for end in ends)
        if len(seconds) != 2 or not all(0 <= end < math.inf for end in seconds) or seconds[0] > seconds[1]:
            raise ValueError("expected the shortest and the longest time, both at least 0 s")
        return seconds

    @field_validator("trace_penalty")
    @classmethod
    def _not_twice(cls, value: float, info: Any) -> float:
        if value and info.data.get("noise") != "none":
            raise ValueError("the explicit trace belongs to noise = 'none'; sampled errors hold it already")
        return value

    @model_validator(mode="after")
    def _quantised_alone(self) -> Self:
        if self.activation_bits is not None and self.weight_bits is None:
            raise ValueError("`activation_bits` needs `weight_bits`: layers follow integers of both, or of weights")
        if self.weight_bits is not None and (self.noise == "arrays" or self.trace_penalty):
            raise ValueError("`weight_bits` belongs to noise = 'weights' or 'none', without `trace_penalty`")
        return self

    @model_validator(mode="after")
    def _precise_where_needed(self) -> Self:
        if self.precision != "float32" and (self.noise == "arrays" or self.trace_penalty or self.weight_bits):
            raise ValueError(
                f"`precision` {self.precision!r} belongs to noise = 'weights' or 'none', without `trace_penalty` and "
                "`weight_bits`"
            )
        return self

    @classmethod
    def make(cls, values: dict[str, Any], where: str = "training") -> Self:
        """Return settings from plain values, with one clear message where they do not make any.

        Args:
            values: the attributes by name.
            where: what the values came from, for the message.

        Raises:
            TrainingError: an unknown key, or a value that is not allowed.
        """
        return validated(cls, values, where, TrainingError)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the settings that a TOML file holds.

        Raises:
            TrainingError: no such file, no TOML, an unknown key, or a value that is not allowed.
        """
        return cls.make(read_toml(path, TrainingError), str(path))
