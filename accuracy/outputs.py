"""The tensor that is scored, in whatever a network returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from accuracy.errors import EvaluationError

_NAMES = ("logits", "prediction_logits", "out")


def logits_of(outputs: Any) -> Tensor:
    """Return the logits in a network's output.

    A tensor is itself; of a mapping or an object with fields it is ``logits`` (``prediction_logits``, ``out``), or the
    only tensor it has; of a tuple it is the first tensor that has axes.

    Args:
        outputs: what the network returned.

    Raises:
        EvaluationError: no tensor, or several fields and none of these names.
    """
    if isinstance(outputs, Tensor):
        return outputs
    fields = outputs if isinstance(outputs, Mapping) else getattr(outputs, "__dict__", {})
    for name in _NAMES:
        found = fields.get(name) if isinstance(fields, Mapping) else None
        found = getattr(outputs, name, None) if found is None and not isinstance(outputs, Mapping) else found
        if isinstance(found, Tensor):
            return found
    if isinstance(outputs, tuple | list):
        for part in outputs:
            if isinstance(part, Tensor) and part.dim():
                return part
            if not isinstance(part, Tensor):
                break
    tensors = {name: part for name, part in fields.items() if isinstance(part, Tensor)}
    if len(tensors) == 1:
        return next(iter(tensors.values()))
    held = f" with {', '.join(map(str, fields))}" if fields else ""
    raise EvaluationError(
        f"The network returned a {type(outputs).__name__}{held}, in which no logits were found: let it return a "
        "tensor, (logits, ...) or an object with a field `logits`, or give a `metric` of your own, which gets the "
        "output as it is."
    )
