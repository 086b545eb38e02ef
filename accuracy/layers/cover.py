"""Which matrices of a network are on arrays: one run that sees every product, and what conversion made of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from accuracy.batches import Batch, batch_of, model_device
from accuracy.errors import CalibrationError
from accuracy.layer_kinds import FoundLayer, MatrixKind, find_layers
from accuracy.layers.conversion import conversion_of
from accuracy.layers.convert import analog_layers
from accuracy.layers.coverage import Coverage, Matrix
from accuracy.layers.layer_state import Mode
from accuracy.layers.modes import layer_mode
from accuracy.layers.plan import plan, run_look
from accuracy.lifting import Look, storage_key

EXCLUDED = "excluded"
ACTIVATIONS = "product of two activations: no stored matrix"
LOOK_UP = "look-up: a row is read, not multiplied"
UNUSED = "did not run"


def coverage(
    model: nn.Module, example: Any = None, batch_size: int | None = None, *, exclude: Iterable[str] = ()
) -> Coverage:
    """Return which matrices of a network are on arrays.

    Args:
        model: a converted network; or any other, with an example, for what conversion would put on arrays.
        example: inputs to run: a tensor, a tuple of positional or a dict of keyword arguments, the first axis the
            batch; None for the first calibration batch of a converted network.
        batch_size: inferences that the example holds; None takes the first axis of its first tensor.
        exclude: name patterns that stay digital, for a network that is not converted yet.

    Raises:
        CalibrationError: no example, and none seen by `calibrate`.
        ConversionError: a stored matrix that no layer can take over and that is not excluded.
        NetworkError: the network does not run on the example.
    """
    conversion = conversion_of(model)
    if example is None:
        if conversion is None or conversion.coverage is None:
            raise CalibrationError(
                "What is analog is known once the network has run: give `example`, or run accuracy.calibrate first."
            )
        return conversion.coverage
    batch = batch_of((example, None), model_device(model))
    images = batch.examples() if batch_size is None else batch_size
    if analog_layers(model):
        return coverage_of(
            model,
            look_at_converted(model, batch),
            images,
            () if conversion is None else conversion.recipe.exclude,
        )
    planned = plan(model, exclude, batch, share_weights=True)
    layers = planned.layers
    look = run_look(planned.model, batch, (layer.module for layer in layers))
    return coverage_of(planned.model, look, images, tuple(exclude), would_be=True)


def look_at_converted(model: nn.Module, batch: Batch) -> Look:
    """Return what a converted network does with matrices, its analog layers in float mode.

    Args:
        model: converted.
        batch: an example.

    Raises:
        NetworkError: it does not run.
    """
    layers = analog_layers(model)
    with layer_mode(layers, Mode.FLOAT):
        whole = [*layers, *(layer.module for layer in _digital(model))]
        return run_look(model, batch, whole, keep=layers)


def _digital(model: nn.Module) -> list[FoundLayer]:
    """Layers of a converted network that stayed digital."""
    inside = {part for layer in analog_layers(model) for part in layer.modules()}
    return [layer for layer in find_layers(model) if layer.module not in inside]


def coverage_of(
    model: nn.Module, look: Look, images: int, exclude: tuple[str, ...], *, would_be: bool = False
) -> Coverage:
    """Return the coverage that a run shows.

    Args:
        model: the network that ran.
        look: its run.
        images: inferences of the run.
        exclude: name patterns that stay digital.
        would_be: whether layers count as analog unless they are excluded, for a network before conversion.
    """
    rows: list[Matrix] = []
    names = {module: name for name, module in model.named_modules()}
    for layer in analog_layers(model):
        calls = look.layers.get(names[layer], [])
        label = getattr(layer.digital, "rewritten_as", None)
        shapes = [layer.kind.shape(layer.name, layer.digital, output, label) for _, output in calls]
        kind = label or layer.kind.label(layer.digital)
        weights = int(layer.kind.matrix(layer.digital).numel())
        rows.append(Matrix(layer.name, kind, weights, sum(shape.macs for shape in shapes) / images, analog=True))
    stores = {storage_key(p) for layer in analog_layers(model) for p in layer.digital.parameters()}
    stores |= {storage_key(use.matrix) for use in look.uses}
    for found in _digital(model):
        if names[found.module] not in look.layers and _holds(found.module, stores):
            # Another module's code uses its weights, which have a row already.
            continue
        rows.append(_row(found, look, names[found.module], images, exclude, would_be))
    for use in look.uses:
        rows.append(
            Matrix(
                use.name,
                "matrix product" if use.geometry is None else "convolution",
                use.matrix.numel(),
                use.macs / images,
                analog=False,
                reason=EXCLUDED,
            )
        )
    for name, size in look.look_ups.items():
        rows.append(Matrix(name, "embedding", size, 0.0, analog=False, reason=LOOK_UP))
    for name, macs in look.activations.items():
        rows.append(Matrix(name, "activations", 0, macs / images, analog=False, reason=ACTIVATIONS))
    return Coverage(tuple(rows))


def _holds(module: nn.Module, stores: set[int]) -> bool:
    return any(storage_key(parameter) in stores for parameter in module.parameters())


def _row(found: FoundLayer, look: Look, path: str, images: int, exclude: tuple[str, ...], would_be: bool) -> Matrix:
    calls = look.layers.get(path)
    kind, module = found.kind, found.module
    if isinstance(kind, MatrixKind) and kind.is_plain(module):
        shapes = [kind.shape(found.name, module, output, found.label) for _, output in calls or ()]
        macs, weights = sum(shape.macs for shape in shapes), int(kind.matrix(module).numel())
        label = found.label or kind.label(module)
    else:
        macs = look.inside.get(path, 0)
        weights, label = sum(p.numel() for p in module.parameters() if p.dim() > 1), kind.name
    analog = would_be and not found.matches(exclude) and calls is not None
    reason = "" if analog else EXCLUDED if found.matches(exclude) else UNUSED
    return Matrix(found.name, label, weights, macs / images, analog, reason)
