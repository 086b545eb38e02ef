"""An evaluator of printed explanations: their text alone, parsed and computed again without the package's formulas."""

import math
import re
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

import circuits
import devicekit
import energy

EVERYTHING = 100  # levels, more than any explanation has

_VALUE = r"\[[^\]]*\]|[^\s:]+"
_HEAD = re.compile(rf"^([\w.]+) = ({_VALUE})(?: (\S+))?$")
_INPUT = re.compile(rf"^ {{4}}([\w.]+) = ({_VALUE})(?: ([^\s:]+))?: (.+)$")
_DRAWS = re.compile(r"^ {4}over (\d+) draws, `(.+)`$")


class Vector(list):
    """A plain list with arithmetic entry by entry: an evaluator of its own, not numpy's and not the package's."""


def listed(function):
    """Make a function of numbers work on lists entry by entry, a number standing for as many as needed."""

    def apply(*values):
        length = max((len(value) for value in values if isinstance(value, Vector)), default=0)
        if not length:
            return function(*values)
        return Vector(
            function(*(value[k] if isinstance(value, Vector) else value for value in values)) for k in range(length)
        )

    return apply


for _name, _function in {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "truediv": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
}.items():
    setattr(Vector, f"__{_name}__", lambda a, b, f=_function: listed(f)(a, b))
    setattr(Vector, f"__r{_name}__", lambda a, b, f=_function: listed(f)(b, a))
for _name, _function in {
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
}.items():
    setattr(Vector, f"__{_name}__", lambda a, b, f=_function: listed(f)(a, b))


_MODULES = {
    "energy": energy,
    "circuits": circuits,
    "devicekit": devicekit,
    "numpy": np,
    "__builtins__": {},
}
_NUMBERS = {
    **_MODULES,
    "ceil": listed(math.ceil),
    "floor": listed(math.floor),
    "exp": listed(math.exp),
    "log": listed(math.log),
    "log2": listed(math.log2),
    "max": listed(lambda a, b: max(a, b)),
    "min": listed(lambda a, b: min(a, b)),
    "where": listed(lambda condition, a, b: a if condition else b),
    "total": lambda x: math.fsum(x) if isinstance(x, Vector) else x,
    "largest": lambda x: max(x) if isinstance(x, Vector) else x,
}
"""What a printed formula may call, on numbers and lists."""
_ARRAYS = {
    **_MODULES,
    "ceil": np.ceil,
    "floor": np.floor,
    "exp": np.exp,
    "log": np.log,
    "log2": np.log2,
    "max": np.maximum,
    "min": np.minimum,
    "where": np.where,
    "total": lambda x: x.sum(axis=1, keepdims=True),
    "largest": lambda x: x.max(axis=1, keepdims=True),
}
"""The same on arrays (draws, entries of a list)."""


@dataclass(frozen=True)
class Block:
    """One printed number: what stands in its lines."""

    name: str
    value: object
    unit: str | None
    formula: str | None
    draws: str | None
    inputs: dict
    sources: dict


def _parsed(text):
    if text.startswith("["):
        return Vector(float(entry) for entry in text[1:-1].split(","))
    return float(text)


@cache
def _block(text):
    head, *lines = text.split("\n")
    match = _HEAD.match(head)
    assert match, head
    formulas = [line[6:] for line in lines if line.startswith("    = ")]
    draws = [found for line in lines if (found := _DRAWS.match(line))]
    given = [found for line in lines if (found := _INPUT.match(line)) and not line.startswith("    = ")]
    assert len(formulas) <= 1
    return Block(
        match[1],
        _parsed(match[2]),
        match[3],
        formulas[0] if formulas else None,
        draws[0][2] if draws else None,
        {found[1]: _parsed(found[2]) for found in given},
        {found[1]: found[4] for found in given},
    )


def _parts(text):
    """Return the blocks of an explanation's text: each begins with a name at the margin."""
    return re.split(r"\n(?=\S)", text)


def blocks(text):
    """Return the printed numbers of an explanation by name, and hold them to be consistent with each other."""
    found = {}
    for part in _parts(text):
        block = _block(part)
        assert block.name not in found, f"{block.name} stands twice"
        found[block.name] = block
    for block in found.values():
        for name, value in block.inputs.items():
            if name in found:
                assert found[name].value == value, f"{name} has two values"
    return found


@cache
def _recipe(text):
    return eval(text, dict(_MODULES))


def _namespace(values):
    """Return names with dots as nested namespaces, so that Python itself can read the printed formula."""
    tree = {}
    for name, value in values.items():
        *path, last = name.split(".")
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value

    def nested(node):
        return SimpleNamespace(**{k: nested(v) for k, v in node.items()}) if isinstance(node, dict) else node

    return {name: nested(value) for name, value in tree.items()}


def _plain(value):
    """Return a result as a number or a list of numbers."""
    if isinstance(value, list | np.ndarray):
        flat = np.concatenate([np.ravel(entry) for entry in value]) if isinstance(value, list) else value.ravel()
        return float(flat[0]) if flat.size == 1 else Vector(float(entry) for entry in flat)
    return float(value)


def _again(block):
    """Compute a printed number from the values printed below it."""
    return _plain(eval(block.formula, dict(_NUMBERS), _namespace(block.inputs)))


@cache
def _arrays_of(recipe, text):
    """Return a function that gives every printed number of a text over the draws that a recipe makes."""
    found = blocks(text)
    known = {name: np.asarray(values)[:, None] for name, values in _recipe(recipe).items()}

    def array(name, printed):
        if name not in known:
            own = found.get(name)
            known[name] = np.atleast_2d(printed) if own is None or own.formula is None else computed(own)
        return known[name]

    def computed(own):
        inputs = _namespace({name: array(name, value) for name, value in own.inputs.items()})
        value = eval(own.formula, dict(_ARRAYS), inputs)
        if isinstance(value, list):
            value = np.concatenate(np.broadcast_arrays(*value), axis=1)
        return np.asarray(value, dtype=float)

    return computed


def _over_draws(part, text):
    """Compute a printed quantile: every formula below it over the draws, then its own."""
    block = _block(part)
    below = "\n".join(other for other in _parts(text) if other != part)
    return float(_arrays_of(block.draws, below)(block))


@cache
def _check(text):
    block = _block(text)
    if block.formula is not None:
        again, value = _again(block), block.value
        if isinstance(value, Vector) and not isinstance(again, Vector):
            again = Vector([again] * len(value))
        assert again == pytest.approx(value, rel=1e-9, abs=1e-40), text
    return block


def recompute(text):
    """Compute every number of an explanation's text again; return the printed numbers by name."""
    found = blocks(text)
    for part in _parts(text):
        block = _block(part)
        if block.draws is None:
            _check(part)
        else:
            assert _over_draws(part, text) == pytest.approx(block.value, rel=1e-9, abs=1e-40), part
    return found


def check_number(explained, name, value):
    """Hold an explanation to a number of a table: its name, its value, and the printed way to it."""
    found = recompute(explained.text(EVERYTHING))
    printed = found[name].value
    wanted = Vector(value) if isinstance(value, list | tuple) else float(value)
    assert printed == pytest.approx(wanted, rel=1e-12, abs=0), name
    assert next(iter(found)) == name
    return found
