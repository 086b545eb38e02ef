"""What errors of a network's matrices do to its decisions: measured once, for every design.

For the class k next to the label t, the margin ``m_k = z_t - z_k`` of an image has the derivatives ``g_p = dm_k/dy_p``
by the outputs of a layer at every position p. An error of a stored weight changes y_p by ``delta_ij x_ip``, so that to
first order

    m_k -> m_k + sum_ij delta_ij G_ij,     G_ij = sum_p x_ip g_jp

and for independent errors ``Var m_k = sum_ij sigma_ij^2 G_ij^2``. The spread of a cell depends on what it holds, so
sums of G and of G^2 are kept by the weight's place between minus and plus full scale (`weight_moments.BINS`); they do
not grow with the network. Errors of conversions are independent from position to position: for them sums of g^2, of g
and of g y are kept by column. Docs: docs/screening.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from accuracy.batches import Batch, Batches, batch_of, model_device, require_reiterable
from accuracy.calibration.calibrate import Progress
from accuracy.kernels.histograms import Observation
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.layers.convert import analog_layers, convert
from accuracy.layers.layer_state import Mode
from accuracy.layers.modes import layer_mode
from accuracy.layers.settle import settle
from accuracy.outputs import logits_of
from accuracy.screening.errors import ScreeningError
from accuracy.screening.products import image_products
from accuracy.screening.weight_moments import BINS, SIDE
from circuits import CoreDesign

Floats = NDArray[np.float64]

COMPETITORS = 3
"""Classes beside the label whose margins are differentiated, nearest first."""
OTHERS = 12
"""Classes beside the label whose margins are known, nearest first."""
IMAGES = 500
"""Test images that are looked at, at most: what is kept grows with them, and with their square for the spread."""
SAMPLE_VECTORS = 1024
"""Inputs of each layer that are kept to read designs with."""
SAMPLE_IMAGES = 4
"""Images that they come from, at least."""
_SKETCH = 512
SCALES = ("layer", "column")
"""Full scales of weights that the screen knows."""


@dataclass(eq=False)
class LayerSensitivity:
    """Sensitivities of one layer; arrays are by (images, competitors, ...) where nothing else is said.

    The array sums come twice: of the layer as it is, and of one whose columns are trimmed, see `trimming`.

    Attributes:
        layer: the analog form of the layer on some design: its digital module, name and key.
        x: inputs from calibration images.
        inputs: histograms of the inputs of all calibration images.
        sums: sums of ``G s`` by weight bin, s the full scale; by (scale, trimmed), shape (..., BINS).
        squares: sums of ``(G s)^2``, likewise.
        unit: sum over rows of ``(sum_j G_ij s_j)^2``, what a unit column shares among its columns; by scale.
        powers: sum over positions of g^2, by column.
        slopes: sum of g, by column.
        products: sum of g y, y without bias, by column.
        grams: correlations of the first competitor's G between images, by whether it is trimmed; (images, images).
        drift: what a unit of weight error in each bin adds to the layer's mean gain; by scale, shape (BINS,).
    """

    layer: AnalogLayer
    x: Tensor
    inputs: Observation
    sums: dict[tuple[str, bool], Floats] = field(default_factory=dict)
    squares: dict[tuple[str, bool], Floats] = field(default_factory=dict)
    unit: dict[str, Floats] = field(default_factory=dict)
    powers: Floats = field(default_factory=lambda: np.empty(0))
    slopes: Floats = field(default_factory=lambda: np.empty(0))
    products: Floats = field(default_factory=lambda: np.empty(0))
    grams: dict[bool, Floats] = field(default_factory=dict)
    drift: dict[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Sensitivities:
    """Sensitivities of a network on some images.

    Attributes:
        layers: of its analog layers, in order.
        margins: label minus the nearest other classes, ascending; shape (images, classes).
        correlation: of the margins' errors between competitors, for equal errors of all weights; shape (images,).
        competitors: classes whose margins were differentiated.
        correct: whether the float network is right; shape (images,).
        images_in_all: test images that there were.
        known: conversions that were read, for cores that differ in their cells' errors alone.
    """

    layers: tuple[LayerSensitivity, ...]
    margins: Floats
    correlation: Floats
    competitors: int
    correct: NDArray[np.bool_]
    images_in_all: int
    known: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def images(self) -> int:
        """Images looked at."""
        return len(self.margins)

    @property
    def baseline(self) -> float:
        """Accuracy of the float network on them."""
        return float(self.correct.mean())


def measure_sensitivities(
    model: nn.Module,
    batches: Batches,
    calibration: Batches,
    *,
    images: int = IMAGES,
    competitors: int = COMPETITORS,
    exclude: Sequence[str] = (),
    scales: Sequence[str] = SCALES,
    progress: Progress | None = None,
) -> Sensitivities:
    """Measure the sensitivities of a network: one forward and a few backward passes over its images.

    Args:
        model: the float network, in inference mode.
        batches: test data with labels, (images, classes) logits; see `accuracy.batches`.
        calibration: training data, for ranges and for the errors of conversions.
        images: test images that are looked at, at most.
        competitors: classes beside the label that are differentiated, nearest first.
        exclude: name patterns of layers that stay digital.
        scales: full scales of weights that designs will have (`CoreDesign.weight_scale`).
        progress: called with (images done, images in all); 0 in all where that is not known.

    Raises:
        ScreeningError: labels that are no classes of whole images, or layers that do not see each image as one example.
        ConversionError: as for `accuracy.convert`.
        EvaluationError: data of another form.
    """
    require_reiterable(batches)
    require_reiterable(calibration)
    plain = CoreDesign(name="screen", adc_bits=None, input_bits=None)
    network = convert(model, plain, exclude=tuple(exclude))
    device = model_device(model)
    for item in calibration:
        settle(network, batch_of(item, device))
        break
    layers = [_Measured(layer, scales) for layer in analog_layers(network)]
    _observe(network, layers, calibration)
    for own in layers:
        own.find_trimming()
    margins: list[Tensor] = []
    correlation: list[Tensor] = []
    seen = total = 0
    for item in batches:
        batch = batch_of(item, device)
        count = batch.examples()
        total += count
        if seen < images:
            few = _first(batch, images - seen)
            found, alike = _measure(network, layers, few, competitors)
            margins.append(found)
            correlation.append(alike)
            seen += len(found)
            if progress is not None:
                progress(seen, images)
    if not margins:
        raise ScreeningError("The test data are empty: give at least one batch (inputs, labels).")
    stacked = torch.cat(margins).double().numpy()
    return Sensitivities(
        tuple(own.result() for own in layers if own.ran),
        stacked,
        torch.cat(correlation).double().numpy(),
        min(competitors, stacked.shape[1]),
        stacked[:, 0] > 0,
        total,
    )


class _Measured:
    """What is measured of one layer, and sums on the way."""

    def __init__(self, layer: AnalogLayer, scales: Sequence[str]) -> None:
        self.layer = layer
        self.inputs = Observation(1)
        self.kept: list[Tensor] = []
        self.vectors = 0
        self.calls: list[tuple[Tensor, Tensor]] = []
        self.parts: dict[tuple[str, ...], list[Tensor]] = {}
        self.matrix = layer.matrix().float()
        columns = self.matrix.abs().amax(dim=0)
        known = {"layer": columns.max().expand_as(columns), "column": columns}
        self.scales = {name: known[name] for name in scales}
        self.full_scale = known["layer"]
        self.bins = {
            name: torch.where(scale > 0, self.matrix / torch.where(scale > 0, scale, 1.0), 0.0)
            .mul(SIDE)
            .round()
            .long()
            .add(SIDE)
            for name, scale in self.scales.items()
        }
        generator = torch.Generator().manual_seed(layer.key)
        self.bucket = torch.randint(0, _SKETCH, (self.matrix.numel(),), generator=generator)
        self.sign = torch.randint(0, 2, (self.matrix.numel(),), generator=generator).float() * 2 - 1

    @property
    def ran(self) -> bool:
        return bool(self.kept) and bool(self.parts)

    # -- calibration data -----------------------------------------------------------------------------------------

    def observe(self, x: Tensor, y: Tensor) -> None:
        self.inputs.add_inputs(x)
        positions = y.numel() // self.matrix.shape[1] // max(x.shape[0], 1)
        held = sum(len(part) for part in self.kept)
        missing = max(-(-(SAMPLE_VECTORS - self.vectors) // max(positions, 1)), SAMPLE_IMAGES - held)
        if missing > 0:
            part = x[:missing].detach().clone()
            self.kept.append(part)
            self.vectors += len(part) * positions

    def columns(self, x: Tensor) -> Tensor:
        """Return the layer's outputs without bias, columns last."""
        found = self.layer.columns_last(self.layer.float_columns(x))
        bias = self.layer.bias
        return found if bias is None else found - bias

    def find_trimming(self) -> None:
        """Find what a trim of the columns takes out of G: the regression of ``delta x`` on 1 and y."""
        if not self.kept:
            return
        self.x = torch.cat(self.kept)
        with torch.no_grad():
            y = self.columns(self.x)
            operator, flat = self.layer.sized(self.x), y.reshape(-1, y.shape[-1])
            count, mean = len(flat), flat.mean(dim=0)
            variance = flat.var(dim=0, unbiased=False)
            ones = image_products(operator, self.x, torch.ones_like(y)).sum(dim=0) / count
            moved = image_products(operator, self.x, y - mean).sum(dim=0) / count
            self.mean_input, self.mean_output = ones, mean
            self.slope = torch.where(variance > 0, moved / torch.where(variance > 0, variance, 1.0), 0.0)
            signed = image_products(operator, self.x, y.sign()).sum(dim=0)
            magnitude = flat.abs().sum()
            self.drift = {
                name: _by_bin((signed * self.scales[name])[None], self.bins[name])[0] / magnitude.clamp(min=1e-30)
                for name in self.scales
            }

    # -- test data ------------------------------------------------------------------------------------------------

    def add(self, gradients: Sequence[Sequence[Tensor]]) -> Tensor:
        """Take the gradients of each use by competitor; return the products of G between competitors."""
        images = len(self.calls[0][0])
        total: list[Tensor] = []
        powers, slopes, products = [], [], []
        for index in range(len(gradients)):
            found: Tensor | float = 0.0
            power: Tensor | float = 0.0
            slope: Tensor | float = 0.0
            along: Tensor | float = 0.0
            for (x, y), g in zip(self.calls, gradients[index], strict=True):
                last = self.layer.columns_last(g).float()
                flat = last.reshape(images, -1, last.shape[-1])
                outputs = self.layer.columns_last(y).reshape(images, -1, last.shape[-1])
                bias = self.layer.bias
                outputs = outputs if bias is None else outputs - bias
                found = found + image_products(self.layer.sized(x), x, last)
                power = power + (flat**2).sum(dim=1)
                slope = slope + flat.sum(dim=1)
                along = along + (flat * outputs).sum(dim=1)
            assert isinstance(found, Tensor)
            total.append(found)
            powers.append(power)
            slopes.append(slope)
            products.append(along)
        for name, parts in (("powers", powers), ("slopes", slopes), ("products", products)):
            self._keep((name,), torch.stack(parts, dim=1))  # type: ignore[arg-type]
        slope, along = torch.stack(slopes, dim=1), torch.stack(products, dim=1)  # type: ignore[arg-type]
        every = torch.stack(total, dim=1)
        trimmed = every - self.mean_input * slope[:, :, None]
        trimmed -= self.slope * (along - self.mean_output * slope)[:, :, None]
        for is_trimmed, values in ((False, every), (True, trimmed)):
            for name in self.scales:
                scaled = values * self.scales[name]
                self._keep(("sums", name, str(is_trimmed)), _by_bin(scaled.flatten(0, 1), self.bins[name]), images)
                self._keep(
                    ("squares", name, str(is_trimmed)), _by_bin(scaled.flatten(0, 1) ** 2, self.bins[name]), images
                )
                if not is_trimmed:
                    groups = self.layer.array.operator.groups
                    rows = scaled.reshape(*scaled.shape[:-1], groups, -1).sum(dim=-1)
                    self._keep(("unit", name), (rows**2).sum(dim=(-1, -2)))
            flat = values[:, 0].flatten(1) * self.full_scale.repeat(values.shape[2]) * self.sign
            sketch = torch.zeros(images, _SKETCH).index_add_(1, self.bucket, flat)
            self._keep(("sketch", str(is_trimmed)), sketch)
        scaled = (every * self.full_scale).flatten(2)
        return scaled @ scaled.transpose(1, 2)

    def _keep(self, key: tuple[str, ...], values: Tensor, images: int | None = None) -> None:
        own = values if images is None else values.reshape(images, -1, values.shape[-1])
        self.parts.setdefault(key, []).append(own.float())

    def result(self) -> LayerSensitivity:
        found = {key: torch.cat(parts).double().numpy() for key, parts in self.parts.items()}
        grams = {}
        for trimmed in (False, True):
            sketch = found["sketch", str(trimmed)]
            norms = np.linalg.norm(sketch, axis=1, keepdims=True)
            unit = sketch / np.where(norms > 0, norms, 1.0)
            grams[trimmed] = unit @ unit.T
        kinds = [(name, trimmed) for name in self.scales for trimmed in (False, True)]
        return LayerSensitivity(
            self.layer,
            self.x,
            self.inputs,
            {(name, cut): found["sums", name, str(cut)] for name, cut in kinds},
            {(name, cut): found["squares", name, str(cut)] for name, cut in kinds},
            {name: found["unit", name] for name in self.scales},
            found[("powers",)],
            found[("slopes",)],
            found[("products",)],
            grams,
            {name: values.double().numpy() for name, values in self.drift.items()},
        )


def _by_bin(values: Tensor, bins: Tensor) -> Tensor:
    """Sum matrices (n, rows, columns) over the weights of each bin; shape (n, BINS)."""
    flat = values.flatten(1)
    return torch.zeros(len(flat), BINS, dtype=flat.dtype).index_add_(1, bins.reshape(-1), flat)


def _first(batch: Batch, images: int) -> Batch:
    count = batch.examples()
    if count <= images:
        return batch
    part = batch.mapped(lambda tensor: tensor[:images])
    return Batch(part.arguments, part.keywords, batch.labels[:images])


def _observe(network: nn.Module, layers: Sequence[_Measured], calibration: Batches) -> None:
    by_layer = {id(own.layer): own for own in layers}

    def observe(layer: AnalogLayer, x: Tensor) -> Tensor:
        y = layer.float_columns(x)
        by_layer[id(layer)].observe(x, y)
        return torch.relu(y) if layer.relu else y

    _run(network, layers, calibration, observe)


def _run(network: nn.Module, layers: Sequence[_Measured], batches: Batches, function: object) -> None:
    device = model_device(network)
    for own in layers:
        own.layer.stand_in = function  # type: ignore[assignment]
    try:
        with torch.no_grad(), layer_mode([own.layer for own in layers], Mode.FLOAT):
            for item in batches:
                batch_of(item, device).run(network)
    finally:
        for own in layers:
            own.layer.stand_in = None


def _measure(network: nn.Module, layers: Sequence[_Measured], batch: Batch, competitors: int) -> tuple[Tensor, Tensor]:
    """Add what a batch shows; return its margins (images, classes) and correlations (images,)."""
    images = batch.examples()
    by_layer = {id(own.layer): own for own in layers}
    for own in layers:
        own.calls = []

    def hold(layer: AnalogLayer, x: Tensor) -> Tensor:
        with torch.enable_grad():
            y = layer.float_columns(x)
            y = y if y.requires_grad else y.detach().requires_grad_()
            by_layer[id(layer)].calls.append((x.detach(), y))
            # What comes after may work in place.
            return torch.relu(y) if layer.relu else y.clone()

    for own in layers:
        own.layer.stand_in = hold
    try:
        with torch.enable_grad(), layer_mode([own.layer for own in layers], Mode.FLOAT):
            logits = logits_of(batch.run(network))
    finally:
        for own in layers:
            own.layer.stand_in = None
    labels = _labels(batch, logits)
    others = logits.detach().clone()
    others[torch.arange(images), labels] = -torch.inf
    order = others.argsort(dim=1, descending=True)[:, : min(logits.shape[1] - 1, OTHERS)]
    label = logits[torch.arange(images), labels]
    margins = label[:, None] - logits.gather(1, order)
    used = [own for own in layers if own.calls]
    for own in used:
        if any(len(part) != images for call in own.calls for part in call):
            raise ScreeningError(
                f"Layer {own.layer.name!r} takes {own.calls[0][0].shape[0]} vectors for {images} examples of a batch: "
                "the screen follows networks whose layers have the examples on their first axis."
            )
    outputs = [y for own in used for _, y in own.calls]
    chosen = min(competitors, order.shape[1])
    found = [
        torch.autograd.grad(margins[:, index].sum(), outputs, retain_graph=index + 1 < chosen, materialize_grads=True)
        for index in range(chosen)
    ]
    alike = torch.zeros(images, chosen, chosen)
    place = 0
    with torch.no_grad():
        for own in used:
            uses = len(own.calls)
            alike += own.add([gradients[place : place + uses] for gradients in found])
            place += uses
            own.calls = []
    return margins.detach().float(), _mean_correlation(alike)


def _labels(batch: Batch, logits: Tensor) -> Tensor:
    labels = batch.labels
    if not isinstance(labels, Tensor) or labels.dim() != 1 or logits.dim() != 2 or labels.is_floating_point():
        raise ScreeningError(
            "The screen looks at margins between classes of whole examples: expected logits of shape (images, classes) "
            f"and one label an image, but got logits {tuple(logits.shape)} and labels "
            f"{tuple(labels.shape) if isinstance(labels, Tensor) else type(labels).__name__}."
        )
    if logits.shape[1] < 2:
        raise ScreeningError("The screen looks at margins between classes, but the network has one output.")
    if int(labels.min()) < 0 or int(labels.max()) >= logits.shape[1]:
        raise ScreeningError(f"Expected labels from 0 to {logits.shape[1] - 1}, but got {int(labels.max())}.")
    return labels.long()


def _mean_correlation(products: Tensor) -> Tensor:
    """Return the mean correlation between different competitors; 0 for a single one."""
    size = products.shape[1]
    if size < 2:
        return torch.zeros(len(products))
    norms = products.diagonal(dim1=1, dim2=2).clamp(min=1e-30).sqrt()
    alike = products / norms[:, :, None] / norms[:, None, :]
    return ((alike.sum(dim=(1, 2)) - size) / (size * (size - 1))).clamp(0.0, 0.99)
