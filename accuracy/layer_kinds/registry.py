"""The registry: kinds of this package, of other packages' entry points, and of the user's own program."""

from __future__ import annotations

import functools
import inspect
from importlib.metadata import entry_points
from typing import TypeVar

from torch import nn

from accuracy.errors import ConversionError
from accuracy.layer_kinds.attention import AttentionKind
from accuracy.layer_kinds.convolution import ConvolutionKind, TransposedConvolutionKind
from accuracy.layer_kinds.kind import CompositeKind, LayerKind, MatrixKind
from accuracy.layer_kinds.linear import LinearKind
from accuracy.layer_kinds.products import BilinearKind, Conv1DKind
from accuracy.layer_kinds.recurrent import RecurrentCellKind, RecurrentKind

ENTRY_POINTS = "devicekit.layer_kinds"
"""Entry points under which an installed package names its kinds: ``NAME = "package.module:Class"``."""

_BUILT_IN: tuple[type[LayerKind], ...] = (
    LinearKind,
    ConvolutionKind,
    TransposedConvolutionKind,
    AttentionKind,
    RecurrentKind,
    RecurrentCellKind,
    BilinearKind,
    Conv1DKind,
)
_kinds: dict[str, LayerKind] = {}

_Kind = TypeVar("_Kind", bound=LayerKind)


def register_layer_kind(kind: type[_Kind]) -> type[_Kind]:
    """Make a kind of layer known to conversion, calibration, corrections and the list of layers for energy.

    A kind registered later is asked first, so that one for a subclass goes before the one for its base. The same class
    defined anew takes the place of the old one.

    Args:
        kind: a subclass of `MatrixKind` or `CompositeKind` that is made without arguments. Usable as a decorator.

    Returns:
        The class.

    Raises:
        ConversionError: no such class, without name or module types, or with the name of another kind.
    """
    if not (inspect.isclass(kind) and issubclass(kind, MatrixKind | CompositeKind)) or inspect.isabstract(kind):
        raise ConversionError(
            f"Expected `kind` to be a subclass of MatrixKind or CompositeKind with all its methods, but got {kind!r}."
        )
    name, modules = getattr(kind, "name", None), getattr(kind, "modules", None)
    if not isinstance(name, str) or not name:
        raise ConversionError(f"Expected `name` of {kind.__name__} to be a word for its layers, but got {name!r}.")
    if not (
        isinstance(modules, tuple)
        and modules
        and all(inspect.isclass(each) and issubclass(each, nn.Module) for each in modules)
    ):
        raise ConversionError(
            f"Expected `modules` of {kind.__name__} to be a tuple of torch.nn.Module types, but got {modules!r}."
        )
    known = _kinds.get(name)
    if known is not None and _path(type(known)) != _path(kind):
        raise ConversionError(
            f"A layer kind {name!r} is registered already, by {_path(type(known))}: use another name."
        )
    _kinds.pop(name, None)
    _kinds[name] = kind()
    return kind


def layer_kinds() -> list[LayerKind]:
    """Return all kinds in the order in which they are asked, the latest first.

    Raises:
        ConversionError: an installed package names a kind that cannot be used.
    """
    _load_installed()
    return list(reversed(_kinds.values()))


def kind_of(module: nn.Module) -> LayerKind | None:
    """Return the kind that a module says it is of, None for one without a matrix; what it computes is not checked.

    Raises:
        ConversionError: an installed package names a kind that cannot be used.
    """
    return next((kind for kind in layer_kinds() if kind.matches(module)), None)


def is_built_in(kind: LayerKind) -> bool:
    """Whether a kind is one of this package, whose tests prove it for plain modules."""
    return type(kind) in _BUILT_IN


def kind_names() -> str:
    """Return the names of all kinds, for messages."""
    return ", ".join(kind.name for kind in reversed(layer_kinds()))


@functools.cache
def _load_installed() -> None:
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            register_layer_kind(entry.load())
        except Exception as error:
            # Importing another package may raise anything.
            package = "unknown" if entry.dist is None else entry.dist.name
            raise ConversionError(
                f"The layer kind {entry.name!r} of the installed package {package!r} ({entry.value}) cannot be used: "
                f"{type(error).__name__}: {error}"
            ) from error


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


for _own in _BUILT_IN:
    register_layer_kind(_own)
