"""Formulas as text: the same line is computed on arrays, printed to the reader and re-evaluated by a test.

A formula is one arithmetic expression over named quantities, such as ``integrators * unit_times`` or, for a constant
of a component, ``comparator.convert.energy * comparator_steps / 256``. The grammar is the arithmetic part of Python
(``+ - * / **``, comparisons, parentheses, numbers) with the functions of `FUNCTIONS`; nothing else is accepted.

Arrays have three axes, (designs, draws, slices): a plain count varies along the first, a constant drawn from its
distribution along the second, a quantity that differs between weight slices (or input slices) along the third.
``total(x)`` sums over the third.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import CodeType

import numpy as np
from numpy.typing import NDArray

from energy.errors import EnergyError

Array = NDArray[np.float64]
Environment = Mapping[str, Array]


def _total(values: Array) -> Array:
    return np.asarray(np.sum(values, axis=-1, keepdims=True))


def _largest(values: Array) -> Array:
    return np.asarray(np.max(values, axis=-1, keepdims=True))


FUNCTIONS: dict[str, Callable[..., Array]] = {
    "ceil": np.ceil,
    "exp": np.exp,
    "floor": np.floor,
    "log": np.log,
    "log2": np.log2,
    "max": np.maximum,
    "min": np.minimum,
    "where": np.where,
    "total": _total,
    "largest": _largest,
}
"""What a formula may call: ``where(condition, a, b)`` chooses; ``total`` and ``largest`` reduce over slices."""

_ARITHMETIC = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.USub,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.Div,
    ast.Pow,
    ast.Compare,
    ast.Gt,
    ast.GtE,
    ast.Lt,
    ast.LtE,
    ast.Eq,
    ast.Load,
)


def _dotted(node: ast.Attribute | ast.Name) -> str | None:
    """Return ``a.b.c`` for a chain of attributes on a name, None for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node.value, ast.Attribute | ast.Name):
        head = _dotted(node.value)
        return None if head is None else f"{head}.{node.attr}"
    return None


class _Flatten(ast.NodeTransformer):
    """Check every node against the grammar and turn dotted names into plain ones."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: dict[str, str] = {}

    def fail(self, what: str) -> EnergyError:
        return EnergyError(f"Formula {self.text!r}: {what}.")

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS or node.keywords:
            raise self.fail(f"only the functions {', '.join(FUNCTIONS)} may be called")
        node.args = [self.visit(argument) for argument in node.args]
        return node

    def _name(self, node: ast.Attribute | ast.Name) -> ast.AST:
        dotted = _dotted(node)
        if dotted is None:
            raise self.fail("expected a plain or dotted name")
        plain = "n_" + dotted.replace(".", "__")
        self.names.setdefault(dotted, plain)
        return ast.copy_location(ast.Name(id=plain, ctx=ast.Load()), node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self._name(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._name(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise self.fail(f"only numbers may stand in a formula, not {node.value!r}")
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if not isinstance(node, _ARITHMETIC):
            raise self.fail(f"{type(node).__name__} is not part of the arithmetic that formulas may use")
        return super().generic_visit(node)


@dataclass(frozen=True)
class Expression:
    """One checked, compiled formula.

    Attributes:
        text: the formula as it was written and as it is printed.
        names: the quantities it reads, in order of appearance.
    """

    text: str
    names: tuple[str, ...] = field(init=False)
    _plain: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _code: CodeType = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            tree = ast.parse(self.text.strip(), mode="eval")
        except SyntaxError as error:
            raise EnergyError(f"Formula {self.text!r}: not an arithmetic expression: {error.msg}.") from None
        flatten = _Flatten(self.text)
        tree = ast.fix_missing_locations(flatten.visit(tree))
        object.__setattr__(self, "names", tuple(flatten.names))
        object.__setattr__(self, "_plain", tuple(flatten.names.values()))
        object.__setattr__(self, "_code", compile(tree, "<formula>", "eval"))

    def evaluate(self, environment: Environment) -> Array:
        """Return the value of the formula.

        Args:
            environment: arrays by name, broadcastable to (designs, draws, slices).

        Returns:
            float64 array of the broadcast shape.

        Raises:
            KeyError: a name is missing; `Formulas` checks this before.
        """
        scope = {plain: environment[name] for name, plain in zip(self.names, self._plain, strict=True)}
        # The tree was checked node by node above: arithmetic, known functions and names only.
        value = eval(self._code, {"__builtins__": {}, **FUNCTIONS}, scope)
        return np.asarray(value, dtype=np.float64)


@cache
def expression(text: str) -> Expression:
    """Return the compiled form of a formula; the same text is compiled once.

    Args:
        text: the formula.

    Raises:
        EnergyError: the text is outside the grammar.
    """
    return Expression(text)
