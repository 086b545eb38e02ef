"""What a layer of a quantised network says of its own codes, so that they reach the arrays as the integers they are."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from torch import nn


@dataclass(frozen=True)
class OwnCodes:
    """A layer's own quantiser, as attributes of the module; what is None it does not say.

    Designs with ``weight_scale="given"`` follow it: weights and inputs are then mapped unchanged, and a layer that
    needs fewer bits than the design has is laid out with fewer.

    Attributes:
        weight_step: value of one weight integer, one number or one a column.
        weight_bits: bits of its weights, sign included.
        input_step: value of one input integer.
        input_bits: bits of its inputs, the sign included where they carry one.
        input_clips: whether inputs beyond the last integer count as it; else they are refused.
    """

    weight_step: Any = None
    weight_bits: int | None = None
    input_step: float | None = None
    input_bits: int | None = None
    input_clips: bool | None = None

    @classmethod
    def of(cls, module: nn.Module) -> OwnCodes:
        """Return what a module says."""
        return cls(**{field.name: getattr(module, field.name, None) for field in fields(cls)})

    def say(self, module: nn.Module) -> None:
        """Let a module say this."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                setattr(module, field.name, value)
