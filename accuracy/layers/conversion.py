"""What a converted network remembers of its conversion: the original, how it was converted, what is analog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from accuracy.layer_kinds import copy_model
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.layers.coverage import Coverage
from circuits import NetworkCores

_HELD = "conversion"


@dataclass(frozen=True, eq=False)
class Recipe:
    """How a network is converted; see `accuracy.convert`.

    Attributes:
        cores: that its layers lie on.
        seed: of programming.
        exclude: name patterns of what stays digital.
        project_signs: whether column-sign designs drop the minority sign.
    """

    cores: NetworkCores
    seed: int
    exclude: tuple[str, ...]
    project_signs: bool


class Conversion:
    """The original of a converted network, without a second copy of its weights, and how it was converted.

    Args:
        original: the network as it was given.
        recipe: how it was converted.

    Attributes:
        coverage: which matrices are analog, once a run has shown it.
    """

    def __init__(self, original: nn.Module, recipe: Recipe) -> None:
        self.recipe = recipe
        self.coverage: Coverage | None = None
        self._original: nn.Module | None = copy_model(original, share_weights=True)
        self._versions = _versions(original)
        self._converted: tuple[int, ...] = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Conversion:
        """Return itself: it is the same original."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave the original behind: what is sent or saved is the converted network, which was found to equal it."""
        return {**vars(self), "_original": None}

    def original(self, converted: nn.Module) -> nn.Module | None:
        """Return a copy of the original with the same weights, to run; None where either's weights have changed since.

        Args:
            converted: the converted network.
        """
        if self._original is None:
            return None
        if _versions(self._original) != self._versions or _versions(converted) != self._converted:
            return None
        return copy_model(self._original, share_weights=True)

    def template(self) -> nn.Module | None:
        """Return a copy of the original with its own weights, whatever the converted network has; None without it."""
        return None if self._original is None else copy_model(self._original, share_weights=True)

    def forget_original(self) -> None:
        """Note that the converted network has other weights now."""
        self._original = None

    def belongs_to(self, converted: nn.Module) -> None:
        """Note the weights of the converted network as those of the original."""
        self._converted = _versions(converted)


def remember(converted: nn.Module, conversion: Conversion) -> None:
    """Let a converted network remember its conversion."""
    conversion.belongs_to(converted)
    _holder(converted)[_HELD] = conversion


def conversion_of(model: nn.Module) -> Conversion | None:
    """Return what a network remembers of its conversion, None for one that was not converted as a whole."""
    found = _holder(model).get(_HELD)
    return found if isinstance(found, Conversion) else None


def synchronize(model: nn.Module) -> nn.Module:
    """Map and program again, with the same seeds, every analog layer whose weights changed since it was mapped.

    Ranges stay as calibrated; calibrate again where weights moved far.

    Args:
        model: a converted model whose digital weights were changed (an optimiser, or by hand).

    Returns:
        The same model.

    Raises:
        MappingError: new weights that do not suit the design.
    """
    stale = [layer for layer in model.modules() if isinstance(layer, AnalogLayer) and layer.is_stale(thoroughly=True)]
    for layer in stale:
        layer.synchronize()
    conversion = conversion_of(model)
    if stale and conversion is not None:
        conversion.forget_original()
    return model


def _holder(model: nn.Module) -> dict[str, Any]:
    """What survives a copy: a graph keeps its `meta` only."""
    return model.meta if isinstance(model, fx.GraphModule) else vars(model)


def copy_converted(model: nn.Module) -> nn.Module:
    """Return a converted network with the same arrays and weights, whose own state may move on by itself."""
    layers = [module for module in model.modules() if isinstance(module, AnalogLayer)]
    return copy_model(model, share_weights=True, keep=layers)


def _versions(model: nn.Module) -> tuple[int, ...]:
    return tuple(-1 if p.is_inference() else p._version for p in model.parameters())
