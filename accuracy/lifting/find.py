"""One run of a network that sees every product of matrices in it, with the module and the stored numbers behind it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from accuracy.lifting.origins import ACTIVATION, CONSTANT, Follow, Origin, storage_key, stored_tensors
from accuracy.lifting.products import Geometry, Product, matrices_of, product_of

_aten = torch.ops.aten
_LOOK_UPS = {_aten.embedding, _aten._embedding_bag, _aten.embedding_bag, _aten._embedding_bag_forward_only}
_INDEXED = {_aten.index, _aten.index_select, _aten.gather, _aten.take}
_SUMS = {_aten.sum, _aten.mean}
_MAXIMAL_RUNS = 3


@dataclass(eq=False)
class Use:
    """A stored matrix that a module's own code multiplies activations by.

    Attributes:
        name: of the parameter behind it, with its number in a stack.
        owner: name of the module whose code does.
        matrix: shape (rows, columns); the kernels of a convolution as torch keeps them.
        geometry: of a convolution.
        macs: multiply-accumulates in the run.
        problem: why no layer can take its place; empty where one can.
    """

    name: str
    owner: str
    matrix: Tensor
    geometry: Geometry | None = None
    macs: int = 0
    problem: str = ""


@dataclass(eq=False)
class Look:
    """What one run of a network did with matrices.

    Attributes:
        outputs: what the network returned, of several runs for the first.
        uses: stored matrices used by modules' own code, in the order of first use.
        layers: by name of every layer that ran, for each call the number of its input's axes and an empty output.
        inside: multiply-accumulates of products inside each whole layer.
        activations: multiply-accumulates of products of two activations, by module.
        look_ups: tables that rows are picked of, by name: their numbers of weights.
        state: names of stored tensors that change from call to call.
        untouched: names of stored matrices outside layers that nothing read.
    """

    outputs: Any = None
    uses: list[Use] = field(default_factory=list)
    layers: dict[str, list[tuple[int, Tensor]]] = field(default_factory=dict)
    inside: Counter[str] = field(default_factory=Counter)
    activations: Counter[str] = field(default_factory=Counter)
    look_ups: dict[str, int] = field(default_factory=dict)
    state: frozenset[str] = frozenset()
    untouched: frozenset[str] = frozenset()


def look_at(
    model: nn.Module,
    run: Callable[[nn.Module], Any],
    inputs: Iterable[Tensor],
    whole: Iterable[nn.Module],
    prefix: str = "",
) -> Look:
    """Run a network and return what it does with matrices.

    Args:
        model: in inference mode; state of its own moves on as by any run.
        run: calls it.
        inputs: the tensors that it is called with.
        whole: modules that are layers: what they do inside is theirs.
        prefix: name of the model in the network that it is part of.
    """
    layers, state = set(whole), frozenset[str]()
    first: Any = None
    for number in range(_MAXIMAL_RUNS):
        before = dict(stored_tensors(model))
        kept = {name: value.detach().clone() for name, value in before.items() if not isinstance(value, nn.Parameter)}
        versions = {name: _version(value) for name, value in before.items()}
        look = _look_once(model, run, inputs, layers, state, prefix)
        first = look.outputs if number == 0 else first
        changed = frozenset(
            name
            for name, value in stored_tensors(model)
            if value is not before.get(name) or _version(value) != versions[name]
            if name not in kept or not _same(kept[name], value)
        )
        if changed <= state:
            break
        state = changed
    look.state, look.outputs = state, first
    return look


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix and name else prefix or name


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and bool(torch.equal(one, other))


def _look_once(
    model: nn.Module,
    run: Callable[[nn.Module], Any],
    inputs: Iterable[Tensor],
    layers: set[nn.Module],
    state: frozenset[str],
    prefix: str,
) -> Look:
    watch = Watch(model, layers, state, prefix)
    for tensor in inputs:
        watch.mark(tensor, ACTIVATION)
    with torch.no_grad(), torch.random.fork_rng(devices=[]), _hooks(model, watch), _quietly(), watch:
        watch.look.outputs = run(model)
    watch.look.untouched = watch.untouched()
    return watch.look


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep torch's transformer layers to the code that calls their parts, and what the network warns of to itself."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _hooks(model: nn.Module, watch: Watch) -> Iterator[None]:
    handles = []
    for module in model.modules():
        handles.append(module.register_forward_pre_hook(watch.enter, prepend=True))
        handles.append(module.register_forward_hook(watch.leave, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_matrix(tensor: Tensor) -> bool:
    return sum(extent > 1 for extent in tensor.shape) > 1


def _summed(args: Any, kwargs: Any) -> set[int]:
    """The axes that a sum or mean adds up."""
    axes = args[1] if len(args) > 1 else kwargs.get("dim")
    dimensions = args[0].dim()
    if axes is None or axes == [] or axes == ():
        return set(range(dimensions))
    return {axis % dimensions for axis in ([axes] if isinstance(axes, int) else axes)}


def _tensors(value: Any) -> list[Tensor]:
    return [part for part in torch.utils._pytree.tree_leaves(value) if isinstance(part, Tensor)]


class Watch(Follow):  # type: ignore[no-untyped-call]
    """Notes the products of matrices in whatever runs inside it.

    Args:
        model: the network, whose stored tensors are known by name.
        layers: modules that are layers.
        state: names of stored tensors that change from call to call.
    """

    def __init__(self, model: nn.Module, layers: set[nn.Module], state: frozenset[str], prefix: str = ""):
        self._stored: dict[int, list[tuple[str, Tensor]]] = {}
        for name, tensor in stored_tensors(model):
            plain = _joined(prefix, name.replace("digital.", ""))
            self._stored.setdefault(storage_key(tensor), []).append((plain, tensor))
        super().__init__((held[0] for held in self._stored.values()), state, CONSTANT)
        self._touched: set[int] = set()
        # By the memory of the result: what is added up next, if anything, and along which axes it varies.
        self._written_out: dict[int, tuple[Tensor, set[int]]] = {}
        self.look = Look()
        self._layers = layers
        self._names = {module: _joined(prefix, name) for name, module in model.named_modules()}
        self._stack: list[nn.Module] = []
        self._taken: set[str] = {self._names[layer] for layer in layers if layer in self._names}

    # -- modules ------------------------------------------------------------------------------------------------

    def enter(self, module: nn.Module, arguments: Any) -> None:
        """Note that a module begins to run."""
        self._stack.append(module)

    def leave(self, module: nn.Module, arguments: Any, output: Any) -> None:
        """Note that a module has run."""
        if module not in self._stack:
            return
        while self._stack.pop() is not module:
            pass
        if module in self._layers and not self._layer():
            for tensor in _tensors(output):
                # What leaves arrays is measured, even where constants went in.
                self.mark(tensor, ACTIVATION)
            first = next(iter(_tensors(arguments)), None)
            if isinstance(output, Tensor):
                shape = torch.empty(()).expand(output.shape)
                self.look.layers.setdefault(self._names[module], []).append(
                    (0 if first is None else first.dim(), shape)
                )
            else:
                self.look.layers.setdefault(self._names[module], [])

    def _layer(self) -> nn.Module | None:
        return next((module for module in self._stack if module in self._layers), None)

    # -- operations ---------------------------------------------------------------------------------------------

    def operation(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run one operation; note it if it multiplies."""
        product = product_of(func, args, kwargs)
        sides = None if product is None else [self._origin_of(side) for side in (product.left, product.right)]
        if self._is_look_up(func, args):
            self._look_up(args[0])
        self._touched.update(storage_key(part) for part in _tensors((args, kwargs)))
        written_out = self._written_out.get(storage_key(args[0])) if func.overloadpacket in _SUMS else None
        result = super().operation(func, args, kwargs)
        if product is not None and sides is not None:
            self._note(product, sides[0], sides[1], result)
        elif written_out is not None and written_out[1].intersection(_summed(args, kwargs)):
            self._refuse(written_out[0], args[0].numel(), "a product written out as multiplication and sum")
        elif func.overloadpacket is _aten.mul:
            self._multiplied(args, result)
        return result

    def _multiplied(self, args: Any, result: Tensor) -> None:
        """Keep in mind that a stored matrix met activations number by number.

        Every row of it each column; or, where it is a parameter or its rows one by one, in any way.
        """
        tensors = [part for part in args[:2] if isinstance(part, Tensor)]
        stored = [part for part in tensors if self.level(self.origin(part)) < 2]
        self._written_out.pop(storage_key(result), None)
        if len(tensors) != 2 or len(stored) != 1 or self._layer() is not None:
            return
        (own,) = stored
        held = self._stored.get(storage_key(own), [])
        is_matrix, whole = _is_matrix(own), next((tensor for _, tensor in held if _is_matrix(tensor)), None)
        outer = is_matrix and result.numel() > max(part.numel() for part in tensors)
        if outer or ((is_matrix or whole is not None) and self._of_parameter(own)):
            before = result.dim() - own.dim()
            varying = {before + axis for axis in range(own.dim()) if own.shape[axis] > 1 and own.stride(axis)}
            self._written_out[storage_key(result)] = own if is_matrix or whole is None else whole, varying

    def _of_parameter(self, tensor: Tensor) -> bool:
        """Whether a matrix that is a parameter went into a tensor."""
        sources = self.origin(tensor).sources
        return any(
            name in sources and isinstance(own, nn.Parameter) and _is_matrix(own)
            for held in self._stored.values()
            for name, own in held
        )

    def _origin_of(self, side: Iterable[Tensor]) -> Origin:
        """The origin of one side of a product: of several tensors, what is stored shows."""
        return min((self.origin(part) for part in side), key=self.level)

    def _is_look_up(self, func: Any, args: Any) -> bool:
        """Whether rows of a stored table are picked: by anything in an embedding, by the input where code indexes."""
        if func.overloadpacket in _LOOK_UPS:
            return self.level(self.origin(args[0])) < 2
        if func.overloadpacket not in _INDEXED or not args[0].is_floating_point():
            return False
        is_table = sum(extent > 1 for extent in args[0].shape) == 2 and self.level(self.origin(args[0])) < 2
        return is_table and any(self.origin(part).varies for part in _tensors(args[1:]))

    def _look_up(self, table: Tensor) -> None:
        if self._layer() is None:
            name = self._name(table, self.origin(table))
            self.look.look_ups[name] = table.numel()

    def _note(self, product: Product, left: Origin, right: Origin, result: Any) -> None:
        layer = self._layer()
        levels = self.level(left), self.level(right)
        if layer is not None:
            self.look.inside[self._names[layer]] += product.macs(result)
            return
        picked = [origin for origin in (left, right) if origin.picked]
        if not picked and (levels == (2, 2) or levels == (0, 0)):
            if levels == (2, 2):
                self.look.activations[self._where()] += product.macs(result)
            return
        lower = left if levels[0] < levels[1] else right
        problem, origin = "", lower
        if picked:
            problem, origin = "the input picks it out of a stack", picked[0]
        elif levels == (1, 1):
            problem = "both sides depend on the network's own state"
        elif not all(part.is_floating_point() for part in (*product.left, *product.right)):
            problem = f"its product is of {product.left[0].dtype} numbers, and arrays take floating-point ones"
        elif not product.liftable:
            problem = f"{product.operation} is no product of a layer"
        elif product.geometry is not None and levels[0] < levels[1]:
            problem = "it is the input of a convolution"
        if problem:
            self._refuse(self._stored_part(product, origin), product.macs(result), problem)
        else:
            self._use(product, lower, levels[0] < levels[1], product.macs(result))

    def _where(self) -> str:
        return self._names.get(self._stack[-1], "") if self._stack else ""

    def _stored_part(self, product: Product, origin: Origin) -> Tensor:
        """The tensor of a product that has an origin."""
        side = next(side for side in (product.left, product.right) if self._origin_of(side) == origin)
        return min(side, key=lambda part: self.level(self.origin(part)))

    def _refuse(self, tensor: Tensor, macs: int, problem: str) -> None:
        name = self._name(tensor, self.origin(tensor))
        for use in self.look.uses:
            if use.name == name and use.problem == problem:
                use.macs += macs
                return
        self.look.uses.append(Use(name, self._where(), tensor.detach(), None, macs, problem))

    def _use(self, product: Product, origin: Origin, matrix_left: bool, macs: int) -> None:
        parts = matrices_of(product, matrix_left=matrix_left)
        operand = product.left[0] if matrix_left else product.right[0]
        for index, part in enumerate(parts):
            known = find_use(self.look.uses, self._where(), part, product.geometry)
            if known is None:
                name, siblings = self._stack_of(operand, part, origin, index if len(parts) > 1 else None)
                known = self._add(name, part, product.geometry)
                for other, sibling in siblings:
                    if find_use(self.look.uses, self._where(), sibling, product.geometry) is None:
                        self._add(other, sibling, product.geometry)
            known.macs += macs // len(parts)

    def _add(self, name: str, matrix: Tensor, geometry: Geometry | None) -> Use:
        unique, number = name, 2
        while unique in self._taken:
            unique, number = f"{name}#{number}", number + 1
        self._taken.add(unique)
        use = Use(unique, self._where(), matrix.detach(), geometry)
        self.look.uses.append(use)
        return use

    def untouched(self) -> frozenset[str]:
        """Return the names of stored matrices outside layers that nothing has read."""
        inside = {storage_key(part) for layer in self._layers for part in layer.parameters()}
        return frozenset(
            held[0][0]
            for key, held in self._stored.items()
            if key not in self._touched and key not in inside
            if held[0][1].is_floating_point() and sum(extent > 1 for extent in held[0][1].shape) > 1
        )

    # -- names --------------------------------------------------------------------------------------------------

    def _name(self, tensor: Tensor, origin: Origin) -> str:
        """The parameter's name, without ``.weight`` where no layer has it; of several the largest's."""
        held = self._stored.get(storage_key(tensor))
        if held is not None:
            name = next((name for name, own in held if own.numel() == tensor.numel()), held[0][0])
        else:
            sizes = {name: own.numel() for parts in self._stored.values() for name, own in parts}
            name = max(origin.sources, key=lambda source: sizes.get(source, 0), default="")
        if not name:
            where = self._where()
            return f"{where}.constant" if where else "constant"
        short = name.removesuffix(".weight")
        return name if short in self._taken or short == name else short

    def _stack_of(
        self, operand: Tensor, part: Tensor, origin: Origin, index: int | None
    ) -> tuple[str, list[tuple[str, Tensor]]]:
        """The name of a matrix, and the others of the stack that it was taken from with theirs."""
        name = self._name(operand, origin)
        held = self._stored.get(storage_key(operand))
        parent = None if held is None else next((own for _, own in held if own.dim() == 3), None)
        if index is not None:
            return f"{name}.{index}", []
        if parent is None or operand.dim() != 2 or parent.numel() == operand.numel():
            return name, []
        offset, step = operand.storage_offset() - parent.storage_offset(), parent.stride(0)
        inside = sum((extent - 1) * stride for extent, stride in zip(operand.shape, operand.stride(), strict=True))
        if step == 0 or offset % step + inside >= step:
            return name, []
        number, start = divmod(int(offset), int(step))
        others = [
            (f"{name}.{i}", part.as_strided(part.shape, part.stride(), parent.storage_offset() + i * step + start))
            for i in range(parent.shape[0])
            if i != number
        ]
        return f"{name}.{number}", others


def find_use(uses: Iterable[Use], owner: str, matrix: Tensor, geometry: Geometry | None) -> Use | None:
    """Return the use of the same numbers in the same way by a module, None where there is none."""
    for use in uses:
        if use.owner == owner and not use.problem and use.geometry == geometry and same_matrix(use.matrix, matrix):
            return use
    return None


def same_matrix(one: Tensor, other: Tensor) -> bool:
    """Whether two matrices hold the same numbers but for rounding, as where a weight is worked out anew."""
    if one.shape != other.shape or one.dtype != other.dtype or one.device != other.device:
        return False
    if one.data_ptr() == other.data_ptr() and one.stride() == other.stride():
        return True
    difference = (one - other).abs().max() if one.numel() else 0.0
    return bool(difference <= 16 * torch.finfo(one.dtype).eps * one.abs().max())
