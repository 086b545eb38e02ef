"""Layers for matrices that a module's own code multiplies by, and the products sent to them while the module runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from accuracy.errors import ConversionError
from accuracy.layer_kinds.find import find_layers, name_layer
from accuracy.lifting.find import Use, same_matrix
from accuracy.lifting.origins import ACTIVATION, Follow, stored_tensors
from accuracy.lifting.products import Geometry, Product, matrices_of, product_of, with_layers

_HELD = "lifted_matrices"
"""Name under which a module holds the layers of its own matrices."""

_CONVOLUTIONS = {
    (1, False): nn.Conv1d,
    (2, False): nn.Conv2d,
    (3, False): nn.Conv3d,
    (1, True): nn.ConvTranspose1d,
    (2, True): nn.ConvTranspose2d,
    (3, True): nn.ConvTranspose3d,
}


class LiftedMatrices(nn.Module):
    """The layers of one module's own matrices.

    Args:
        owner: name of the module in its network.
        state: names, inside the module, of stored tensors that change from call to call.
    """

    def __init__(self, owner: str, state: frozenset[str]):
        super().__init__()
        self.owner = owner
        self.state = state
        self.geometries: list[Geometry | None] = []
        self.digital: list[tuple[Tensor, Geometry | None]] = []
        self.running: list[tuple[Reroute, bool]] = []

    def add(self, use: Use) -> None:
        """Make a layer for a matrix."""
        layer = _linear(use.matrix) if use.geometry is None else _convolution(use.matrix, use.geometry)
        name_layer(layer, use.name, "matrix product" if use.geometry is None else None)
        self.add_module(str(len(self.geometries)), layer)
        self.geometries.append(use.geometry)

    def leave(self, use: Use) -> None:
        """Let a matrix stay digital."""
        self.digital.append((use.matrix, use.geometry))

    def layer_of(self, matrix: Tensor, geometry: Geometry | None) -> nn.Module | None:
        """Return the layer with the same numbers, None where there is none."""
        for index, own in enumerate(self.geometries):
            layer = getattr(self, str(index))
            digital: Any = getattr(layer, "digital", layer)
            if own == geometry and same_matrix(digital.weight if own is not None else digital.weight.t(), matrix):
                found: nn.Module = layer
                return found
        return None

    def stays_digital(self, product: Product, side: Iterable[Tensor], *, matrix_left: bool) -> bool:
        """Whether the stored side of a product was left digital on purpose."""
        parts = matrices_of(product, matrix_left=matrix_left) if product.liftable else side
        return all(
            any(own == product.geometry and same_matrix(known, part) for known, own in self.digital) for part in parts
        )


class Reroute(Follow):  # type: ignore[no-untyped-call]
    """Sends the products of a running module to the layers of its matrices.

    Args:
        owner: the module.
        held: its layers.
    """

    def __init__(self, owner: nn.Module, held: LiftedMatrices):
        # What layers inside the module do is theirs.
        inside = {id(part) for layer in find_layers(owner) for part in layer.module.parameters()}
        own = ((name, tensor) for name, tensor in stored_tensors(owner) if id(tensor) not in inside)
        super().__init__(own, held.state, ACTIVATION)
        self.held = held

    def operation(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run one operation, a product of a stored matrix by its layer.

        Raises:
            ConversionError: a stored matrix that has none.
        """
        product = product_of(func, args, kwargs)
        if product is None:
            return super().operation(func, args, kwargs)
        for matrix_left in self._sides(product):
            layers = [
                self.held.layer_of(matrix, product.geometry) for matrix in matrices_of(product, matrix_left=matrix_left)
            ]
            if layers and None not in layers:
                result = with_layers(product, layers, matrix_left=matrix_left)  # type: ignore[arg-type]
                if product.operation.endswith("_"):
                    result = args[0].copy_(result)
                elif isinstance(kwargs.get("out"), Tensor):
                    result = kwargs["out"].copy_(result)
                self.mark(result, ACTIVATION)
                return result
        self._require_known(product)
        return super().operation(func, args, kwargs)

    def _sides(self, product: Product) -> tuple[bool, ...]:
        """On which sides of a product a layer's matrix may stand: left or not."""
        if not product.liftable:
            return ()
        return (False, True) if product.geometry is None else (False,)

    def _require_known(self, product: Product) -> None:
        """Refuse a product with a stored matrix that neither has a layer nor stays digital on purpose."""
        left, right = (
            min((self.origin(part) for part in side), key=self.level) for side in (product.left, product.right)
        )
        levels = self.level(left), self.level(right)
        if min(levels) == 2 or levels == (0, 0):
            return
        matrix_left = levels[0] < levels[1]
        side = product.left if matrix_left else product.right
        if self.held.stays_digital(product, side, matrix_left=matrix_left):
            return
        sources = ", ".join(sorted((left if matrix_left else right).sources)) or "a constant"
        where = f"module {self.held.owner!r}" if self.held.owner else "the network"
        raise ConversionError(
            f"The code of {where} multiplies by a matrix from {sources} that is on no array: it was not used on the "
            "first calibration batch, or has changed since. Convert again with an example that uses it, or calibrate "
            "with such a batch first."
        )


def lift(model: nn.Module, uses: Iterable[Use], exclude: Iterable[str], state: frozenset[str]) -> None:
    """Give every module whose own code multiplies by stored matrices a layer for each of them, in place.

    Args:
        model: the network.
        uses: the matrices.
        exclude: names of those that stay digital.
        state: names of stored tensors that change from call to call.
    """
    left = set(exclude)
    for use in uses:
        owner = model.get_submodule(use.owner)
        if _HELD not in owner._modules:
            hold(owner, use.owner, state)
        held = owner.get_submodule(_HELD)
        assert isinstance(held, LiftedMatrices)
        if use.problem or use.name in left:
            held.leave(use)
        else:
            held.add(use)


def hold(owner: nn.Module, name: str, state: frozenset[str]) -> None:
    """Watch a module's own products from now on, whose stored matrices must have layers.

    Args:
        owner: the module.
        name: its name in the network.
        state: names of the network's stored tensors that change from call to call.
    """
    prefix = f"{name}." if name else ""
    own = frozenset(part.removeprefix(prefix) for part in state if part.startswith(prefix))
    owner.add_module(_HELD, LiftedMatrices(name, own))
    owner.register_forward_pre_hook(_begin)
    owner.register_forward_hook(_end, always_call=True)


def is_lifted_owner(module: nn.Module) -> bool:
    """Whether a module's own code multiplies by matrices that have layers."""
    return _HELD in module._modules


def _begin(owner: nn.Module, arguments: Any) -> None:
    held = owner.get_submodule(_HELD)
    assert isinstance(held, LiftedMatrices)
    mode = Reroute(owner, held)
    # Torch's fused attention would go around the products.
    held.running.append((mode, torch.backends.mha.get_fastpath_enabled()))
    torch.backends.mha.set_fastpath_enabled(False)
    mode.__enter__()  # type: ignore[no-untyped-call]


def _end(owner: nn.Module, arguments: Any, output: Any) -> None:
    held = owner.get_submodule(_HELD)
    assert isinstance(held, LiftedMatrices)
    if held.running:
        mode, fused = held.running.pop()
        mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        torch.backends.mha.set_fastpath_enabled(fused)


def _linear(matrix: Tensor) -> nn.Linear:
    layer = nn.Linear(matrix.shape[0], matrix.shape[1], bias=False, device="meta")
    layer.weight = nn.Parameter(matrix.t())
    return layer.eval()


def _convolution(kernels: Tensor, geometry: Geometry) -> nn.Module:
    axes = kernels.dim() - 2
    first, second = kernels.shape[:2]
    inputs, outputs = (first, second * geometry.groups) if geometry.transposed else (second * geometry.groups, first)
    more: dict[str, Any] = {"output_padding": geometry.output_padding} if geometry.transposed else {}
    layer: Any = _CONVOLUTIONS[axes, geometry.transposed](
        inputs,
        outputs,
        tuple(kernels.shape[2:]),
        stride=geometry.stride,
        padding=geometry.padding,
        dilation=geometry.dilation,
        groups=geometry.groups,
        bias=False,
        device="meta",
        **more,
    )
    layer.weight = nn.Parameter(kernels)
    result: nn.Module = layer.eval()
    return result
