"""Networks from ONNX files: read by onnx2torch, products as linear layers, compared with ONNX's own evaluator."""

from __future__ import annotations

import logging
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from accuracy.networks.errors import NetworkError
from devicekit.common.errors import shortened
from devicekit.common.foreign import LONGEST_REASON, describe, reading
from devicekit.common.paths import is_file

_INSTALL = "pip install 'devicekit[onnx]'"
_VERSION = 17
"""Of ONNX's operators: newer ones are translated to it where onnx2torch does not read them."""

_REDUCTIONS = {
    f"Reduce{name}" for name in ("Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")
}

_TOLERANCE = 1e-3
"""Of the outputs, relative to their norm: what the order of sums in single precision may make."""


def is_onnx(name: str) -> bool:
    """Say whether a network's name means an ONNX file."""
    return name.endswith(".onnx")


def read(path: str | Path) -> nn.Module:
    """Return the network of an ONNX file in inference mode.

    What depends on stored numbers only is worked out. A ``MatMul`` or ``Gemm`` with a stored matrix becomes a linear
    layer of its node's name. The network is run once on random inputs, axes of unknown length 1, and compared with
    ONNX's reference evaluator.

    Args:
        path: a file with its weights inside or beside it.

    Raises:
        NetworkError: onnx2torch is not installed; no such file; not an ONNX file; an operator that onnx2torch does not
            read; weights that are not finite; or a network that computes something else than the reference.
    """
    path = Path(path)
    if not is_file(path):
        raise NetworkError(f"Expected an ONNX file at {path}, but there is none.")
    onnx, onnx2torch = _package("onnx"), _package("onnx2torch")
    with reading(path, NetworkError, "a readable ONNX file"), _quietly():
        proto = onnx.load(str(path))
        onnx.checker.check_model(proto)
        folded = _folded(onnx, proto)
    model = _linear(_as_torch(onnx2torch, _known_version(onnx, folded, path), path).eval())
    _require_reference(onnx, proto, model, path)
    return model


def _package(name: str) -> Any:
    """Return an optional package.

    onnx2torch imports torchvision, for two operators of object detection; one whose compiled operators do not load
    beside this torch is left out, and a network with these operators does not run.

    Raises:
        NetworkError: it is not installed, or cannot be imported.
    """
    try:
        with _without_broken_torchvision(), _quietly():
            return import_module(name)
    except ImportError as error:
        raise NetworkError(f"ONNX files are read by the package onnx2torch: {_INSTALL} ({describe(error)}).") from error


@contextmanager
def _without_broken_torchvision() -> Iterator[None]:
    try:
        import_module("torchvision")
    except (ImportError, RuntimeError) as error:
        names = [name for name in sys.modules if name.partition(".")[0] == "torchvision"]
        kept = {name: sys.modules.pop(name) for name in names}
        place = types.ModuleType("torchvision")
        operators = types.ModuleType("torchvision.ops")
        reason = f"torchvision's operators cannot be loaded: {describe(error)}"

        def unavailable(*_: Any, **__: Any) -> Any:
            raise NetworkError(reason)

        for name in ("nms", "box_convert", "roi_align"):
            setattr(operators, name, unavailable)
        place.ops = operators  # type: ignore[attr-defined]
        sys.modules |= {"torchvision": place, "torchvision.ops": operators}
        try:
            yield
        finally:
            for name in ("torchvision", "torchvision.ops"):
                sys.modules.pop(name, None)
            sys.modules |= kept
    else:
        yield


def _known_version(onnx: Any, proto: Any, path: Path) -> Any:
    """Return a network in a version of ONNX's operators that onnx2torch reads.

    Raises:
        NetworkError: it reads some of the operators in no version.
    """
    missing = _not_read(onnx, proto)
    if not missing:
        return proto
    older = _not_read(onnx, proto, _VERSION)
    if older:
        raise NetworkError(f"{path}: onnx2torch does not read these operators of the network: {', '.join(older)}.")
    try:
        return import_module("onnx.version_converter").convert_version(proto, _VERSION)
    except Exception:
        # Not every operator has a translation; most are the same in the older version.
        renamed = _renamed(onnx, proto)
    try:
        onnx.checker.check_model(renamed)
    except Exception as error:
        raise NetworkError(
            f"{path}: onnx2torch reads these operators only in an older version: {', '.join(missing)}. Export the "
            f"network with opset_version={_VERSION}."
        ) from error
    return renamed


def _renamed(onnx: Any, proto: Any) -> Any:
    """Return a network as if it were written in the older version, in which axes of reductions are attributes."""
    result = type(proto)()
    result.CopyFrom(proto)
    for own in result.opset_import:
        if own.domain in ("", "ai.onnx"):
            own.version = _VERSION
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in result.graph.initializer}
    for node in result.graph.node:
        if node.op_type in _REDUCTIONS and len(node.input) == 2 and node.input[1] in stored:
            axes = [int(axis) for axis in stored[node.input.pop()]]
            node.attribute.append(onnx.helper.make_attribute("axes", axes))
    return result


def _not_read(onnx: Any, proto: Any, version: int | None = None) -> list[str]:
    """Names of the operators that onnx2torch does not read, in the network's version of them or another."""
    converter = import_module("onnx2torch.node_converters").get_converter
    versions = {own.domain: version or own.version for own in proto.opset_import}
    found = []
    for kind, domain in sorted({(node.op_type, node.domain) for node in proto.graph.node}):
        try:
            converter(operation_type=kind, version=versions.get(domain, 1), domain=domain)
        except NotImplementedError:
            found.append(kind)
    return found


def _folded(onnx: Any, proto: Any) -> Any:
    """Return a network without the nodes whose inputs are all stored: their results are stored instead.

    onnx2torch takes kernels and matrices from what is stored, and exporters write them as copies or transposed.
    """
    result = type(proto)()
    result.CopyFrom(proto)
    graph = result.graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    outputs = {value.name for value in graph.output}
    kept = []
    for node in graph.node:
        known = all(name in stored for name in node.input if name) and not outputs.intersection(node.output)
        found = _worked_out(onnx, result, node, stored) if known else None
        if found is None:
            kept.append(node)
        else:
            stored |= found
    wanted = {name for node in kept for name in node.input}
    del graph.node[:]
    graph.node.extend(kept)
    del graph.initializer[:]
    graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(values), name) for name, values in stored.items() if name in wanted
    )
    return result


def _worked_out(onnx: Any, proto: Any, node: Any, stored: dict[str, Any]) -> dict[str, Any] | None:
    """Outputs of a node by name, from what is stored; None where chance or another graph takes part."""
    chance = node.op_type.startswith(("Random", "Bernoulli", "Multinomial"))
    if chance or any(part.HasField("g") for part in node.attribute):
        return None
    names = [name for name in node.output if name]
    graph = onnx.helper.make_graph([node], "stored", [], [onnx.ValueInfoProto(name=name) for name in names])
    model = onnx.helper.make_model(graph, opset_imports=proto.opset_import, ir_version=proto.ir_version)
    try:
        values = _evaluator(model).run(None, {name: stored[name] for name in node.input if name})
    except Exception:
        # An operator that the evaluator does not know stays as it is.
        return None
    return dict(zip(names, values, strict=True))


def _evaluator(proto: Any) -> Any:
    return import_module("onnx.reference").ReferenceEvaluator(proto)


def _as_torch(onnx2torch: Any, proto: Any, path: Path) -> fx.GraphModule:
    inputs = {value.name for value in proto.graph.input} - {tensor.name for tensor in proto.graph.initializer}
    try:
        with _quietly():
            model: fx.GraphModule = onnx2torch.convert(proto, save_input_names=all(map(str.isidentifier, inputs)))
    except Exception as error:
        # onnx2torch raises many unrelated types for what it does not know.
        text = shortened(f"{path}: onnx2torch cannot read this network: {describe(error)}", LONGEST_REASON)
        raise NetworkError(f"{text}.") from error
    return model


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep to themselves what the packages warn of."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _linear(model: fx.GraphModule) -> fx.GraphModule:
    """Put linear layers in place of products with a stored matrix on the right, under the names of their nodes."""
    modules = dict(model.named_modules())
    for node in list(model.graph.nodes):
        if node.op != "call_module" or type(modules[node.target]).__name__ != "OnnxMatMul":
            continue
        x, stored = node.args
        if stored.op != "get_attr":
            continue
        matrix = _stored(model, stored.target)
        if matrix.dim() != 2 or not matrix.is_floating_point():
            continue
        layer = nn.Linear(matrix.shape[0], matrix.shape[1], bias=False, device="meta")
        layer.weight = nn.Parameter(matrix.t().contiguous())
        model.add_module(node.target, layer.eval())
        node.args = (x,)
    model.graph.eliminate_dead_code()
    model.delete_all_unused_submodules()
    model.graph.lint()
    model.recompile()
    return model


def _stored(model: nn.Module, target: str) -> Tensor:
    owner, _, name = target.rpartition(".")
    found: Tensor = getattr(model.get_submodule(owner), name)
    return found


def _require_reference(onnx: Any, proto: Any, model: nn.Module, path: Path) -> None:
    """Refuse a network that computes something else than ONNX's evaluator.

    Raises:
        NetworkError: it does, or one of them does not run.
    """
    inputs = _example(onnx, proto)
    with reading(path, NetworkError, "a network that ONNX's reference evaluator runs"), _quietly():
        wanted = _evaluator(proto).run(None, inputs)
    with reading(path, NetworkError, "a network that onnx2torch's translation runs"), _quietly(), torch.no_grad():
        outputs = model(*(torch.from_numpy(value) for value in inputs.values()))
    found = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    if len(found) != len(wanted):
        raise NetworkError(f"{path}: onnx2torch gives {len(found)} outputs for the {len(wanted)} of the ONNX file.")
    for output, own, other in zip(proto.graph.output, found, wanted, strict=True):
        error = _apart(own, other)
        if not error <= _TOLERANCE:
            raise NetworkError(
                f"{path}: as onnx2torch reads it, the network's output {output.name!r} is off from ONNX's reference "
                f"evaluator by {error:.2g} of its norm on random inputs."
            )


def _example(onnx: Any, proto: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Random inputs by name: normal numbers, or zeros where they are whole."""
    stored = {tensor.name for tensor in proto.graph.initializer}
    draw = np.random.default_rng(0)
    found = {}
    for value in proto.graph.input:
        if value.name in stored:
            continue
        kind = value.type.tensor_type
        shape = [axis.dim_value or 1 for axis in kind.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        found[value.name] = np.asarray(draw.normal(size=shape) if dtype.kind == "f" else np.zeros(shape)).astype(dtype)
    return found


def _apart(found: Tensor, wanted: Any) -> float:
    """How far an output is from another, relative to its norm; infinite for other shapes."""
    own, other = found.to(torch.float64), torch.from_numpy(np.asarray(wanted)).to(torch.float64)
    if own.shape != other.shape:
        return float("inf")
    same = (own == other) | (own.isnan() & other.isnan())
    own, other = own.masked_fill(same, 0.0), other.masked_fill(same & ~other.isfinite(), 0.0)
    apart = float((own - other.masked_fill(same, 0.0)).norm())
    return apart / float(other.norm()) if apart else 0.0
