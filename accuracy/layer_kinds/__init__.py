"""Which modules of a network are matrices: one registry of layer kinds, asked by everything that meets a layer.

A `MatrixKind` is a module that multiplies by one matrix (linear, convolution); a `CompositeKind` is a module that can
be rewritten into several of them with digital arithmetic between (attention). `accuracy.convert`, calibration,
corrections and `accuracy.layer_shapes`, and through it energy, all read the registry, so that what is analog in
accuracy is paid for in energy. A kind from outside is registered with `register_layer_kind`, or named by an installed
package under the entry points ``devicekit.layer_kinds``.
"""

from accuracy.layer_kinds.examples import RandomInput
from accuracy.layer_kinds.find import (
    FoundLayer,
    check_patterns,
    copy_model,
    find_layers,
    is_as_written,
    is_rewritten,
    prepare_layers,
    replace_modules,
)
from accuracy.layer_kinds.kind import CompositeKind, LayerKind, MatrixKind
from accuracy.layer_kinds.own_codes import OwnCodes
from accuracy.layer_kinds.registry import kind_names, kind_of, layer_kinds, register_layer_kind

__all__ = [
    "CompositeKind",
    "FoundLayer",
    "LayerKind",
    "MatrixKind",
    "OwnCodes",
    "RandomInput",
    "check_patterns",
    "copy_model",
    "find_layers",
    "is_as_written",
    "is_rewritten",
    "kind_names",
    "kind_of",
    "layer_kinds",
    "prepare_layers",
    "register_layer_kind",
    "replace_modules",
]
