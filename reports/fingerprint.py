"""Hash over what objects hold and what their code does, so that a kept result is found for the same network only.

Data are hashed by content; functions and classes by their compiled code, by what they reach (helpers in other modules,
global values, closures), and by the source of the modules they come from. The compiled code is what runs: it stands for
lambdas, notebooks and modules edited after they were imported. This package and the standard library are left out
(`reports.cache.code_hash` stands for the first); an installed package counts by its version, unless the network's own
classes come from it. What only a compiled extension knows is settled by hashing the network's outputs beside this.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import enum
import functools
import hashlib
import re
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

_OURS = ("devicekit", "circuits", "energy", "accuracy", "reports")
_NEVER_FOLLOWED = (*_OURS, "torch", "numpy", "scipy")
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("purelib", "platlib"))
_DEEP = 30
"""Objects inside one another that are looked into at once."""
_ADDRESS = re.compile(r" at 0x[0-9a-f]+", re.IGNORECASE)
# Of a class: what says nothing of what it computes, or differs from one process to the next.
_NOT_CODE = {
    "__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__annotate_func__", "__annotations_cache__",
    "__firstlineno__", "__static_attributes__", "_abc_impl",
}  # fmt: skip


def fingerprint(*values: Any) -> str:
    """Return a hash over values: the same in every process for the same data and the same code.

    Args:
        values: plain values, arrays, tensors, modules of torch, functions, classes and objects with attributes.
    """
    roots = {
        type(module).__module__.partition(".")[0]
        for value in values
        if isinstance(value, nn.Module)
        for module in value.modules()
    }
    walk = _Walk(roots.difference(_NEVER_FOLLOWED))
    for value in values:
        walk.add(value)
    return walk.finish()


class _Walk:
    """One walk over values and everything they reach.

    Functions and classes are put into a queue when they are met, and so is what lies deep inside others, so that a long
    chain of calls or of objects is not a deep recursion.
    """

    def __init__(self, own: set[str], inside: tuple[int, ...] = ()) -> None:
        self.own = own
        self.inside = inside
        self.depth = 0
        self.digest = hashlib.sha256()
        self.seen: dict[int, int] = {}
        self.alive: list[Any] = []
        self.queue: list[Callable[[], None]] = []
        self.modules: dict[str, types.ModuleType] = {}

    def finish(self) -> str:
        while self.queue:
            self.queue.pop(0)()
        for name in sorted(self.modules):
            self.file(name, getattr(self.modules[name], "__file__", None))
        return self.digest.hexdigest()

    def body(self, value: types.FunctionType | type) -> None:
        self.home(value.__module__)
        if isinstance(value, type):
            self.class_body(value)
        else:
            self.function_body(value)

    def file(self, name: str, path: str | None) -> None:
        self.note(name)
        if path is not None and Path(path).is_file():
            self.note(Path(path).read_bytes())

    def note(self, *parts: object) -> None:
        for part in parts:
            content = part if isinstance(part, bytes | memoryview) else str(part).encode()
            self.digest.update(f"{len(content)}:".encode())
            self.digest.update(content)

    def add(self, value: Any) -> None:
        """Hash one value, or note that it was met before."""
        if value is None or isinstance(value, bool | int | float | complex | str | bytes) or value is Ellipsis:
            self.note(type(value).__name__, repr(value))
            return
        if isinstance(value, tuple | frozenset | types.CodeType):
            # Whether equal constants are one object depends on whether the module was compiled just now.
            self.content(value)
            return
        if id(value) in self.seen:
            self.note("again", self.seen[id(value)])
            return
        self.seen[id(value)] = len(self.seen)
        # What is hashed stays, or its place in memory could be another's later.
        self.alive.append(value)
        if self.depth >= _DEEP:
            self.note("later")
            self.queue.append(functools.partial(self.content, value))
            return
        self.depth += 1
        self.content(value)
        self.depth -= 1

    def content(self, value: Any) -> None:
        if isinstance(value, torch.Tensor):
            self.tensor(value)
        elif isinstance(value, np.ndarray | np.generic):
            self.array(np.asarray(value))
        elif isinstance(value, types.ModuleType):
            self.note("module", value.__name__)
            self.home(value.__name__)
        elif isinstance(value, types.FunctionType | type):
            self.note("code", value.__module__, value.__qualname__)
            if self.followed(value.__module__):
                self.queue.append(functools.partial(self.body, value))
            else:
                self.home(value.__module__)
        elif isinstance(value, Mapping):
            self.mapping(value)
        elif isinstance(value, list | tuple):
            self.note(type(value).__qualname__, len(value))
            for item in value:
                self.add(item)
        elif isinstance(value, set | frozenset):
            self.unordered(value)
        elif isinstance(value, enum.Enum):
            self.note(type(value).__qualname__, value.name)
        elif isinstance(value, types.CodeType):
            self.code(value)
        else:
            self.other(value)

    def unordered(self, value: set[Any] | frozenset[Any]) -> None:
        """Hash a set, whose order differs from one process to the next: code by name, other items each by itself."""
        self.note("set", len(value))
        if id(value) in self.inside:
            # An item leads back to the set that it is taken out of.
            return
        code = [item for item in value if isinstance(item, types.FunctionType | type)]
        for item in sorted(code, key=lambda item: (item.__module__, item.__qualname__)):
            self.add(item)
        others = [item for item in value if not isinstance(item, types.FunctionType | type)]
        self.note(*sorted(self.apart(item, id(value)) for item in others))

    def apart(self, value: Any, inside: int) -> str:
        """Return the hash of an item of a set by itself."""
        walk = _Walk(self.own, (*self.inside, inside))
        walk.add(value)
        return walk.finish()

    def tensor(self, value: torch.Tensor) -> None:
        self.note("tensor", value.dtype, tuple(value.shape), value.layout)
        if value.is_meta:
            return
        dense = (value.detach().to_dense() if value.layout != torch.strided else value.detach()).cpu()
        if dense.is_quantized:
            self.note(dense.q_scale() if dense.qscheme() == torch.per_tensor_affine else repr(dense))
            dense = dense.int_repr()
        dense = dense.resolve_conj().resolve_neg().contiguous().reshape(-1)
        self.note(dense.view(torch.uint8).numpy().data)

    def array(self, value: np.ndarray[Any, Any]) -> None:
        self.note("array", value.dtype.str, value.shape)
        if value.dtype.hasobject:
            self.add(value.ravel().tolist())
        else:
            self.note(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)

    def mapping(self, value: Mapping[Any, Any]) -> None:
        self.note(type(value).__qualname__, len(value))
        for key, item in value.items():
            self.add(key)
            self.add(item)

    def other(self, value: Any) -> None:
        kind = type(value)
        self.add(kind)
        inner = list(_inner(value))
        if isinstance(value, torch.jit.ScriptModule):
            self.note(str(value.inlined_graph))
            inner = [value.state_dict()]
        elif isinstance(value, torch.jit.ScriptFunction):
            self.note(str(value.graph))
        elif isinstance(value, torch.fx.GraphModule):
            self.note(value.code)
            inner = [[node.target for node in value.graph.nodes], _without_handles(vars(value))]
        elif isinstance(value, nn.Module):
            inner = [_without_handles(vars(value))]
        elif isinstance(value, ctypes.CDLL):
            self.file(str(value._name), value._name)
        elif dataclasses.is_dataclass(value):
            inner = [[getattr(value, field.name, None) for field in dataclasses.fields(value)]]
        elif not inner and self.followed(kind.__module__):
            slots = [name for base in kind.__mro__ for name in _slots(base)]
            inner = [getattr(value, "__dict__", {}), {name: getattr(value, name, None) for name in slots}]
        elif not inner:
            self.note(_ADDRESS.sub("", repr(value)))
            self.home(getattr(value, "__module__", None))
        for item in inner:
            self.add(item)

    def followed(self, name: str | None) -> bool:
        """Whether code of a module is the user's: neither ours, nor the standard library's, nor a library's."""
        root = (name or "").partition(".")[0]
        if root in self.own or root == "__main__" or not root:
            return True
        return root not in _NEVER_FOLLOWED and root not in sys.stdlib_module_names and not _installed(root)

    def home(self, name: Any) -> None:
        """Note the module some code comes from: its source if it is the user's, its version if it is a library's."""
        if not isinstance(name, str) or name in self.modules:
            return
        module = sys.modules.get(name)
        if module is not None and self.followed(name):
            self.modules[name] = module
        root = name.partition(".")[0]
        if root not in sys.stdlib_module_names and root not in _OURS:
            self.note(root, getattr(sys.modules.get(root), "__version__", ""))

    def class_body(self, value: type) -> None:
        self.note("class", value.__module__, value.__qualname__)
        for base in value.__bases__:
            self.add(base)
        for name, item in vars(value).items():
            if name not in _NOT_CODE:
                self.note(name)
                self.add(item)

    def function_body(self, value: types.FunctionType) -> None:
        self.note("function", value.__module__, value.__qualname__)
        self.add(value.__code__)
        self.add(value.__defaults__)
        self.add(value.__kwdefaults__)
        for cell in value.__closure__ or ():
            # A name that is not bound yet has an empty cell.
            with contextlib.suppress(ValueError):
                self.add(cell.cell_contents)
        self.reached(value.__globals__, sorted(set(_names(value.__code__))))

    def code(self, value: types.CodeType) -> None:
        # Neither file nor line: moving a function or commenting it changes nothing.
        self.note("bytecode", value.co_code, value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars)
        for constant in value.co_consts:
            self.add(constant)

    def reached(self, place: dict[str, Any], names: list[str]) -> None:
        """Hash what names in a function mean: globals, attributes of the user's modules, modules imported inside it."""
        package = place.get("__package__") or ""
        modules: list[types.ModuleType] = []
        for name in names:
            if name in place:
                self.note(name)
                self.add(place[name])
                if isinstance(place[name], types.ModuleType):
                    modules.append(place[name])
            for full in (name, f"{package}.{name}"):
                module = sys.modules.get(full)
                if module is not None and self.followed(full):
                    self.add(module)
                    modules.append(module)
        for module in modules:
            if not self.followed(module.__name__):
                continue
            for name in names:
                item = vars(module).get(name)
                if item is not None and not any(item is known for known in modules):
                    self.note(module.__name__, name)
                    self.add(item)
                    if isinstance(item, types.ModuleType):
                        modules.append(item)


def _names(code: types.CodeType) -> Iterator[str]:
    """Yield the names in a function, those of functions inside it, and its texts (a module may be imported by text)."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
        elif isinstance(constant, str) and constant.isprintable() and len(constant) < 100:
            yield constant.lstrip(".")


def _inner(value: Any) -> Iterator[Any]:
    """Yield what a wrapper of functions holds."""
    if isinstance(value, functools.partial):
        yield from (value.func, list(value.args), value.keywords)
    elif isinstance(value, property):
        yield from (value.fget, value.fset)
    elif isinstance(value, types.MethodType):
        yield from (value.__func__, value.__self__)
    else:
        # staticmethod and classmethod, cached functions and properties, numba's compiled functions.
        for name in ("__func__", "__wrapped__", "func", "py_func"):
            held = vars(type(value)).get(name) is not None or name in getattr(value, "__dict__", {})
            if held and isinstance(getattr(value, name, None), types.FunctionType):
                yield getattr(value, name)
                return


def _without_handles(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return a torch module's attributes with hooks by order: their handles are numbered through the process."""
    return {
        name: list(value.values()) if "hooks" in name and isinstance(value, Mapping) else value
        for name, value in attributes.items()
    }


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


@functools.cache
def _installed(root: str) -> bool:
    """Whether a module lies among installed packages."""
    module = sys.modules.get(root)
    places = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", ())]
    return any(str(place).startswith(_LIBRARIES) for place in places if place)
