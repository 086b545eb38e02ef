"""Formulas as text: the same line is computed on arrays, printed to the reader and re-evaluated by a test.

A formula is one arithmetic expression over named quantities, such as ``integrators * unit_times`` or, for a constant
of a component, ``comparator.convert.energy * comparator_steps / 256``. The grammar is the arithmetic part of Python
(``+ - * / **``, comparisons, parentheses, numbers) with the functions of `FUNCTIONS`; nothing else is accepted. Size,
numbers and powers are bounded, so that no text takes long to read or to compute.

Arrays have three axes, (designs, draws, slices): a plain count varies along the first, a constant drawn from its
distribution along the second, a quantity that differs between weight slices (or input slices) along the third.
``total(x)`` sums over the third.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, reduce
from types import CodeType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from energy.errors import EnergyError

Array = NDArray[np.float64]
Environment = Mapping[str, Array]


def _total(values: Array) -> Array:
    return np.asarray(np.sum(values, axis=-1, keepdims=True))


def _largest(values: Array) -> Array:
    return np.asarray(np.max(values, axis=-1, keepdims=True))


@dataclass(frozen=True)
class Function:
    """What a formula may call.

    Attributes:
        compute: the function on arrays; it gets the arguments of the formula and nothing else.
        least: fewest arguments.
        most: most arguments.
    """

    compute: Callable[..., Array]
    least: int
    most: int


MOST_ARGUMENTS = 16
FUNCTIONS: dict[str, Function] = {
    "ceil": Function(np.ceil, 1, 1),
    "exp": Function(np.exp, 1, 1),
    "floor": Function(np.floor, 1, 1),
    "log": Function(np.log, 1, 1),
    "log2": Function(np.log2, 1, 1),
    # A further argument of a numpy function is where it writes to, so more than two are taken in turn.
    "max": Function(lambda *values: reduce(np.maximum, values), 2, MOST_ARGUMENTS),
    "min": Function(lambda *values: reduce(np.minimum, values), 2, MOST_ARGUMENTS),
    "where": Function(np.where, 3, 3),
    "total": Function(_total, 1, 1),
    "largest": Function(_largest, 1, 1),
}
"""What a formula may call: ``where(condition, a, b)`` chooses; ``total`` and ``largest`` reduce over slices."""

_COMPUTE = {name: function.compute for name, function in FUNCTIONS.items()}
LONGEST_TEXT = 4000
DEEPEST = 200
LARGEST_NUMBER = 1e300

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


def _failed(text: str, what: str) -> EnergyError:
    return EnergyError(f"Formula {text!r:.200}: {what}.")


class _Flatten(ast.NodeTransformer):
    """Check every node against the grammar and turn dotted names into plain ones."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: dict[str, str] = {}
        self.depth = 0

    def fail(self, what: str) -> EnergyError:
        return _failed(self.text, what)

    def visit(self, node: ast.AST) -> Any:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.fail(f"operations and parentheses are nested more than {DEEPEST} deep")
        visited = super().visit(node)
        self.depth -= 1
        return visited

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS or node.keywords:
            raise self.fail(f"only the functions {', '.join(FUNCTIONS)} may be called")
        function, given = FUNCTIONS[node.func.id], len(node.args)
        if not function.least <= given <= function.most:
            wanted = str(function.least) if function.least == function.most else f"{function.least} or more"
            raise self.fail(f"{node.func.id} takes {wanted} argument{'s' * (wanted != '1')}, not {given}")
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

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        if len(node.ops) > 1:
            raise self.fail("one comparison at a time; write (a < b) * (b < c)")
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise self.fail(f"only numbers may stand in a formula, not {node.value!r:.60}")
        if not abs(node.value) <= LARGEST_NUMBER:
            raise self.fail(f"numbers up to {LARGEST_NUMBER:g} may stand in a formula")
        # As a float a power of numbers overflows at once; Python's whole numbers grow until memory is full.
        return ast.copy_location(ast.Constant(float(node.value)), node)

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
        if len(self.text) > LONGEST_TEXT:
            raise _failed(self.text, f"longer than {LONGEST_TEXT} characters")
        try:
            with warnings.catch_warnings():
                # Such as "1if": Python warns of it, and the grammar below refuses it.
                warnings.simplefilter("ignore", SyntaxWarning)
                tree = ast.parse(self.text.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = getattr(error, "msg", None) or str(error) or "nested too deeply"
            raise _failed(self.text, f"not an arithmetic expression: {reason}") from None
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
            EnergyError: numbers alone that overflow or divide by zero, or arrays that do not fit together.
            KeyError: a name is missing; `Formulas` checks this before.
        """
        scope = {plain: environment[name] for name, plain in zip(self.names, self._plain, strict=True)}
        try:
            # A branch that `where` does not choose may divide by zero; what is chosen is checked by `Formulas`.
            with np.errstate(all="ignore"):
                # The tree was checked node by node above: arithmetic, known functions and names only.
                value = eval(self._code, {"__builtins__": {}, **_COMPUTE}, scope)
            return np.asarray(value, dtype=np.float64)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise _failed(self.text, str(error)) from None


@cache
def expression(text: str) -> Expression:
    """Return the compiled form of a formula; the same text is compiled once.

    Args:
        text: the formula.

    Raises:
        EnergyError: the text is outside the grammar.
    """
    return Expression(text)
