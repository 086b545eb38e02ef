"""The accuracy of a network on many cores, estimated without programming a single cell."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from accuracy.batches import Batches
from accuracy.calibration.calibrate import Progress
from accuracy.screening.decisions import right_decisions, spread_over_chips
from accuracy.screening.errors import ScreeningError
from accuracy.screening.estimate import Margins, is_trimmed, margins_on
from accuracy.screening.sensitivities import COMPETITORS, IMAGES, Sensitivities, measure_sensitivities
from circuits import Core, CoreDesign, NetworkCores, as_core, network_cores
from devicekit.common.plain import plain_dict

Floats = NDArray[np.float64]

FACTORS = (0.5, 0.75, 1.0, 1.4, 2.0)
"""Factors on the spread of the margins at which accuracies are kept, so that trials can say which one is right."""
UNSURE = 0.15
"""Share of decisions that change, above which errors are too large for first order."""
LEAST_ERROR = 0.002
ERROR_SHARE = 0.35
"""Stated error of a screened accuracy: `LEAST_ERROR` plus this share of the decisions that change."""


@dataclass(frozen=True, eq=False)
class Screened:
    """Accuracy of a network on one core as the screen estimates it; no trial was made.

    Attributes:
        core: name of the core.
        baseline: accuracy of the float network on the images looked at.
        mean: expected accuracy over chips.
        std: standard deviation over chips.
        error: stated error of the mean [fractions]: what trials differ from it by, one standard deviation.
        changed: expected share of decisions that differ from the float network's.
        images: images looked at.
        right: probability of a right decision by image; shape (images,).
        baseline_scores: whether the float network is right; shape (images,).
        means_at: the mean with all spreads multiplied by each of `FACTORS`.
    """

    core: str
    baseline: float
    mean: float
    std: float
    error: float
    changed: float
    images: int
    right: Floats = field(repr=False)
    baseline_scores: Floats = field(repr=False)
    means_at: tuple[float, ...] = field(repr=False)

    @property
    def loss(self) -> float:
        """Baseline minus mean, in 0..1."""
        return self.baseline - self.mean

    @property
    def unsure(self) -> bool:
        """Whether errors are too large for first order: the core ranks low, and its loss is a guess."""
        return self.changed > UNSURE

    def image_draws(self, resamples: int = 1000, seed: int = 0) -> Floats:
        """Return draws of the loss over test images alone, shape (resamples,).

        Args:
            resamples: draws.
            seed: with the same one, the same images are drawn for every core.
        """
        count = len(self.right)
        drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), size=resamples) / count
        return np.asarray(drawn @ (self.baseline_scores - self.right))

    def loss_draws(self, resamples: int = 1000, seed: int = 0) -> Floats:
        """Return draws of the loss over test images and the stated error, shape (resamples,).

        Args:
            resamples: draws.
            seed: with the same one, the same images are drawn for every core; stated errors are drawn for each.
        """
        own = np.random.default_rng([seed, zlib.crc32(self.core.encode())])
        return self.image_draws(resamples, seed) + self.error * own.standard_normal(resamples)

    def loss_interval(self, confidence: float = 0.95, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
        """Return the interval of the loss over test images and the stated error."""
        tail = (1.0 - confidence) / 2.0
        low, high = np.quantile(self.loss_draws(resamples, seed), [tail, 1.0 - tail])
        return float(low), float(high)

    def to_dict(self) -> dict[str, Any]:
        """Return the estimate as plain values, marked as screened."""
        return plain_dict(
            {
                "screened": True, "core": self.core, "baseline": self.baseline, "mean": self.mean, "std": self.std,
                "loss": self.loss, "loss_interval": self.loss_interval(), "error": self.error,
                "changed": self.changed, "unsure": self.unsure, "images": self.images, "means_at": self.means_at,
            }
        )  # fmt: skip

    def __repr__(self) -> str:
        """Return the estimate on one line."""
        unsure = ", unsure" if self.unsure else ""
        return (
            f"Screened({self.core!r}: {100 * self.mean:.2f} ± {100 * self.error:.2f} %, "
            f"loss {100 * self.loss:.2f} points{unsure})"
        )


def screen(
    model: nn.Module,
    cores: Iterable[Core | CoreDesign | str],
    batches: Batches,
    calibration: Batches,
    *,
    images: int = IMAGES,
    competitors: int = COMPETITORS,
    exclude: Sequence[str] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Screened]:
    """Return the accuracy of a network on many cores without trials.

    Errors of cells, inputs, ADCs, wires and periphery are propagated to the margins of the network's decisions by its
    sensitivities, which are measured once; docs/screening.md has the derivation and what was found against trials.

    Args:
        model: the float network, in inference mode.
        cores: designs, cores as built, or their names.
        batches: test data with labels, in a form of `accuracy.batches`.
        calibration: training data that set ranges.
        images: test images looked at, at most.
        competitors: classes beside the label whose margins are differentiated, nearest first.
        exclude: name patterns of layers that stay digital.
        seed: of drawn peripheries and noise.
        progress: called with (steps done, steps in all): images, then cores.

    Raises:
        ScreeningError: a network, data or core that the screen has no law for.
        DevicekitError: as for `accuracy.convert` and `accuracy.calibrate`.
    """
    chosen = [as_core(core) for core in cores]
    found = measure_sensitivities(
        model, batches, calibration, images=images, competitors=competitors, exclude=exclude,
        scales=scales_of(chosen), progress=None if progress is None else _first_half(progress, len(chosen)),
    )  # fmt: skip
    result = []
    for number, core in enumerate(chosen):
        result.append(screen_core(found, core, seed=seed))
        if progress is not None:
            progress(found.images + number + 1, found.images + len(chosen))
    return result


def scales_of(cores: Iterable[Core]) -> tuple[str, ...]:
    """Return the full scales of weights that cores have: what sensitivities are sorted by."""
    return tuple(sorted({core.design.weight_scale for core in cores} & {"layer", "column"}, reverse=True)) or ("layer",)


def _first_half(progress: Progress, cores: int) -> Progress:
    return lambda done, images: progress(done, images + cores)


def screen_core(sensitivities: Sensitivities, core: Core | NetworkCores, *, seed: int = 0) -> Screened:
    """Return the accuracy on one core, or on the cores of all layers, from the sensitivities of a network.

    Args:
        sensitivities: of the network.
        core: as built.
        seed: of drawn peripheries and noise.

    Raises:
        ScreeningError: a core that the screen has no law for.
        DevicekitError: the network is impossible on the core.
    """
    cores = network_cores(core)
    found = margins_on(sensitivities, cores, seed=seed)
    if not (np.isfinite(found.mean).all() and np.isfinite(found.weights).all() and np.isfinite(found.readings).all()):
        raise ScreeningError(f"Core {core.name!r}: the errors of its layers are not finite.")
    right = _right(sensitivities, found, 1.0)
    mean = float(right.mean())
    scores = sensitivities.correct.astype(np.float64)
    changed = float(np.abs(right - scores).mean())
    return Screened(
        core=core.name,
        baseline=sensitivities.baseline,
        mean=mean,
        std=_spread(sensitivities, found, right, trimmed=is_trimmed(cores.core)),
        error=LEAST_ERROR + ERROR_SHARE * changed,
        changed=changed,
        images=sensitivities.images,
        right=right,
        baseline_scores=scores,
        means_at=tuple(
            mean if factor == 1.0 else float(_right(sensitivities, found, factor).mean()) for factor in FACTORS
        ),
    )


def _right(sensitivities: Sensitivities, found: Margins, factor: float) -> Floats:
    """Probability of right decisions; classes that were not differentiated err as those that were do on average."""
    spread = factor * np.sqrt(found.weights + found.readings)
    others = sensitivities.margins[:, found.mean.shape[1] :]
    mean = np.concatenate([found.mean, others], axis=1)
    spreads = np.concatenate([spread, np.broadcast_to(spread.mean(axis=1, keepdims=True), others.shape)], axis=1)
    return right_decisions(mean, spreads, sensitivities.correlation)


def _spread(sensitivities: Sensitivities, found: Margins, right: Floats, *, trimmed: bool) -> float:
    variance = found.weights[:, 0] + found.readings[:, 0]
    root = np.sqrt(np.where(variance > 0, variance, 1.0))
    correlation = np.zeros((len(root), len(root)))
    for own, part in zip(sensitivities.layers, found.layers, strict=True):
        share = np.sqrt(part[:, 0]) / root
        correlation += np.outer(share, share) * own.grams[trimmed]
    place = found.mean[:, 0] / np.where(variance > 0, root, 1e-12)
    return spread_over_chips(place, right, np.clip(correlation, -1.0, 1.0))
