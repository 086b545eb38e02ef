"""What a layer kind says of its modules: matrix and order of rows, operator, output axis, inputs to check them on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from accuracy.layer_kinds.examples import RandomInput, require_same, run_examples
from accuracy.layer_kinds.own_codes import OwnCodes
from accuracy.mapping.operators import MatrixOperator, Operator
from circuits import LayerShape


class LayerKind(ABC):
    """One kind of module that multiplies by stored matrices: a `MatrixKind` or a `CompositeKind`.

    Attributes:
        name: what the kind is called, such as ``"linear"``.
        modules: the types of its modules. A subclass of one counts as well where it computes the same, which is found
            out by running it.
    """

    name: ClassVar[str]
    modules: ClassVar[tuple[type[nn.Module], ...]]

    def matches(self, module: nn.Module) -> bool:
        """Whether a module claims to be of the kind: its type says so, where a kind does not look at more."""
        return isinstance(module, self.modules)

    def is_plain(self, module: nn.Module) -> bool:
        """Whether a module is of the kind's own types with nothing put on top: no hooks, no forward of its own."""
        hooks = module._forward_hooks or module._forward_pre_hooks
        return type(module) in self.modules and not hooks and "forward" not in vars(module)

    @abstractmethod
    def examples(self, module: nn.Module, random: RandomInput) -> list[tuple[Any, ...]]:
        """Return the arguments of a few small calls of a module that show what it computes."""

    @abstractmethod
    def prepared(self, module: nn.Module, *, proven: bool) -> nn.Module:
        """Return a module that computes the same in the kind's plain form; a plain matrix itself.

        Args:
            module: a module that claims to be of this kind.
            proven: whether the kind is known to be right for plain modules, so that only others are run.

        Raises:
            ConversionError: it computes something else, or has no such form.
        """


class MatrixKind(LayerKind):
    """A kind of module that multiplies its input by one matrix and may add a bias to each column.

    Attributes:
        output_axis: axis of the module's output along which the columns lie. Batch norm acts on axis 1: it is folded
            into columns that lie there, and into those of a last axis where there are two.
    """

    output_axis: ClassVar[int] = -1

    @abstractmethod
    def matrix(self, module: nn.Module) -> Tensor:
        """Return the weights that the module multiplies by as (rows, columns) on the array.

        Rows lie in the order in which the operator takes them: (input channel of a group, kernel position). Columns lie
        as along the output axis, those of a group together.
        """

    @abstractmethod
    def lay_in(self, module: nn.Module, matrix: Tensor, bias: Tensor | None) -> None:
        """Give a module of one of the kind's own types another matrix and bias, as new parameters.

        The module may have no parameters yet; its other attributes (sizes, strides) are those of a whole one.
        """

    def operator(self, module: nn.Module) -> Operator:
        """Return how inputs meet the rows; a plain product unless a kind says otherwise."""
        return MatrixOperator()

    def is_plain(self, module: nn.Module) -> bool:
        """Whether a module is of the kind's own types with nothing put on top, and its weights ordinary tensors."""
        ordinary = all(
            type(parameter) is nn.Parameter for parameter in module._parameters.values() if parameter is not None
        )
        return ordinary and super().is_plain(module)

    def bias(self, module: nn.Module) -> Tensor | None:
        """Return what is added to each column, shape (columns,)."""
        bias = getattr(module, "bias", None)
        return bias if isinstance(bias, Tensor) else None

    def label(self, module: nn.Module) -> str:
        """Return what a module is called in tables of layers."""
        return self.name

    def examples(self, module: nn.Module, random: RandomInput) -> list[tuple[Any, ...]]:
        """Return vectors alone and in sequences, large and small."""
        rows = self.matrix(module).shape[0]
        return [(random(4, rows, spread=100.0),), (random(2, 3, rows, spread=100.0),)]

    def output(self, module: nn.Module, x: Tensor) -> Tensor:
        """Return what matrix, operator and bias make of an input: what a module of the kind gives for it."""
        operator, matrix, bias = self.operator(module), self.matrix(module), self.bias(module)
        columns = operator.apply(operator.prepare(x), operator.kernel(matrix, slice(0, matrix.shape[0])))
        return (columns if bias is None else columns + bias).movedim(-1, self.output_axis)

    def shape(self, name: str, module: nn.Module, output: Tensor, label: str | None = None) -> LayerShape:
        """Return the module's matrix and the number of products that one output took.

        Args:
            name: the layer's name in its network.
            module: a module of this kind.
            output: what it gave.
            label: what the table calls it; the kind's own label where None.
        """
        rows, columns = self.matrix(module).shape
        groups = self.operator(module).groups
        return LayerShape(
            name=name,
            rows=rows,
            columns=columns // groups,
            mvms=output.numel() // columns,
            groups=groups,
            kind=label or self.label(module),
            bias=self.bias(module) is not None,
        )

    def plain(self, module: nn.Module) -> nn.Module:
        """Return a module of the kind's own type with the matrix, bias and sizes of another and none of its code."""
        own = next(kind for kind in self.modules if isinstance(module, kind))
        twin: nn.Module = own.__new__(own)
        nn.Module.__init__(twin)
        internal = {*vars(twin), "forward"}
        vars(twin).update({key: value for key, value in vars(module).items() if key not in internal})
        bias = self.bias(module)
        self.lay_in(twin, self.matrix(module).detach().clone(), None if bias is None else bias.detach().clone())
        OwnCodes.of(module).say(twin)
        return twin.train(module.training)

    def prepared(self, module: nn.Module, *, proven: bool) -> nn.Module:
        """Return the module itself if it is plain, a plain one if it computes the same as one.

        Args:
            module: a module that claims to be of this kind.
            proven: whether the kind is known to be right for plain modules, so that only others are run.

        Raises:
            ConversionError: it computes something else than its matrix says.
        """
        is_plain = self.is_plain(module)
        if is_plain and proven:
            return module
        # The module runs first: wrapped weights are worked out in its forward pass.
        seen = run_examples(module, self.examples(module, RandomInput(module)))
        plain = self.plain(module)
        require_same(seen, plain)
        require_same(seen, lambda x: self.output(plain, x))
        return module if is_plain else plain


class CompositeKind(LayerKind):
    """A kind of module that is several matrices with digital arithmetic between them."""

    @abstractmethod
    def rewrite(self, module: nn.Module) -> nn.Module:
        """Return a module that computes the same in inference mode, with its matrices as modules of other kinds.

        Raises:
            ConversionError: this module has no such form.
        """

    def prepared(self, module: nn.Module, *, proven: bool) -> nn.Module:
        """Return the module rewritten.

        Args:
            module: a module that claims to be of this kind.
            proven: whether the kind is known to be right for plain modules, so that only others are run.

        Raises:
            ConversionError: it has no such form, or computes something else.
        """
        rewritten = self.rewrite(module).train(module.training)
        if not (proven and self.is_plain(module)):
            require_same(run_examples(module, self.examples(module, RandomInput(module))), rewritten)
        return rewritten
