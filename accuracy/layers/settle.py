"""What is settled about a converted network once there are data: what is analog, and that it computes the same."""

from __future__ import annotations

import warnings

from torch import nn

from accuracy.batches import Batch
from accuracy.errors import ConversionError, EvaluationWarning
from accuracy.layers.batch_layout import layout_of
from accuracy.layers.conversion import conversion_of, copy_converted, remember
from accuracy.layers.convert import analog_layers, build
from accuracy.layers.cover import coverage_of, look_at_converted
from accuracy.layers.equivalence import require_same_outputs
from accuracy.layers.layer_state import Mode
from accuracy.layers.modes import layer_mode
from accuracy.layers.plan import matches
from accuracy.lifting import Look
from accuracy.networks.errors import NetworkError


def settle(model: nn.Module, batch: Batch) -> None:
    """Put on arrays what a first batch shows to be matrices and see that the network computes the same, in place.

    Args:
        model: converted; left as it is where it was not converted as a whole.
        batch: the first calibration batch.

    Raises:
        ConversionError: a matrix would stay digital that was not excluded, or the network computes something else.
        NetworkError: the network does not run on the batch.
    """
    conversion = conversion_of(model)
    if conversion is None:
        return
    original = conversion.original(model)
    try:
        look: Look | None = look_at_converted(model, batch)
    except (NetworkError, ConversionError):
        # Code may look at what a converted layer has no longer; with an example it is known what is one.
        if original is None:
            raise
        look = None
    if original is not None and (look is None or _is_open(look, conversion.recipe.exclude)):
        rebuilt = build(original, conversion.recipe, batch)
        remember(rebuilt, conversion)
        _become(model, rebuilt)
        original = conversion.original(model)
        look = look_at_converted(model, batch)
    assert look is not None
    conversion.coverage = coverage_of(model, look, _examples(model, batch), conversion.recipe.exclude)
    if original is not None:
        with layer_mode(analog_layers(model), Mode.FLOAT):
            require_same_outputs(original, copy_converted(model), batch, look.outputs)


def _examples(model: nn.Module, batch: Batch) -> int:
    """Inferences of a batch, wherever its examples stand."""
    with warnings.catch_warnings():
        # Said when accuracy is evaluated.
        warnings.simplefilter("ignore", EvaluationWarning)
        layout = layout_of(copy_converted(model), analog_layers(model), batch)
    return batch.examples(layout.inputs)


def _is_open(look: Look, exclude: tuple[str, ...]) -> bool:
    """Whether a stored matrix is multiplied by digitally without having been excluded."""
    return any(not matches(use.name, exclude) for use in look.uses)


def _become(model: nn.Module, other: nn.Module) -> None:
    """Let a network be another one, for whoever holds it."""
    model.__class__ = other.__class__
    vars(model).clear()
    vars(model).update(vars(other))
