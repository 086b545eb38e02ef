"""What a published figure or table is here: a named study, the law that it must show, and what was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits import Core, CoreDesign, NetworkCores
from devicekit import Cell, StateIndependent, StateProportional
from devicekit.cells.error_model import ErrorModel
from devicekit.common.errors import DevicekitError
from devicekit.common.plain import PlainValues
from reports.cache import ResultCache, code_hash
from reports.figure import Figure
from reports.network_step import LoadedNetwork, evaluate_core, load_network
from reports.results import Values
from reports.study import Study

Floats = NDArray[np.float64]

XIAO = "Xiao et al., IEEE Circuits and Systems Magazine 22(4), 2022 (arXiv 2109.01262)"
RESNET50 = "resnet50_v1_5"
"""The network that most of the publication is about."""
RESNET50_INT4 = "resnet50_v1_5_int4"
RESAMPLES = 2000
"""Draws behind an interval that is worked out from scores."""
I_MAX = 1.6e-6
ON_OFF = 1e7


@dataclass(frozen=True)
class Finding(PlainValues):
    """What a study found.

    Attributes:
        measured: our number, in words.
        shown: whether the law shows; None where these networks do not allow to say.
        rows: the table behind it, one mapping a row; units stand in the names.
        figure: its picture; None for a table.
        note: what is left out, or why the law does not show.
        network: what it was computed on, where that is not the network of most studies.
    """

    measured: str
    shown: bool | None
    rows: list[Values]
    figure: Figure | None = None
    note: str = ""
    network: str = ""


@dataclass(frozen=True)
class PublishedStudy:
    """A published figure or table.

    Attributes:
        name: what the command calls it.
        place: where it was published.
        title: what it is about.
        law: what it must show on any network.
        published: the published number, in words.
        run: computes it again.
        networks: whether most of it is computed on the run's usual network (`Setting.network`).
        criterion: when the law counts as shown, in words that go on from "Counts as shown if"; empty where the law
            itself says it.
    """

    name: str
    place: str
    title: str
    law: str
    published: str
    run: Callable[[Setting], Finding]
    networks: bool = True
    criterion: str = ""


@dataclass
class Setting:
    """How much is computed, and on what.

    Attributes:
        quick: few images and trials on small networks; otherwise the networks of the publication where they are there.
        data: folder with data sets and weights; None for what is bundled.
        seed: of everything random.
        cache: earlier results.
        progress: told what is done now.
    """

    quick: bool
    data: Path | None
    seed: int
    cache: ResultCache
    progress: Callable[[str], None] = lambda text: None
    _loaded: dict[str, LoadedNetwork] = field(default_factory=dict)

    @cached_property
    def network(self) -> str:
        """The network that most studies use: in full that of the publication, where it is there."""
        wanted = ("resnet20_cifar10",) if self.quick else (RESNET50, "resnet20_cifar10")
        return next((name for name in wanted if self.has(name)), "digits_cnn")

    def amounts(self, network: str) -> dict[str, int]:
        """Return how many images and trials a network is evaluated with, as fields of a study.

        A law takes tens of settings, and each of them several passes; one of ResNet-50 has a hundred times the products
        of one of ResNet-20.

        Args:
            network: its name.
        """
        if self.quick:
            return {"images": 200, "trials": 3, "calibration_images": 200}
        if network == RESNET50:
            return {"images": 100, "trials": 2, "calibration_images": 20}
        return {"images": 1000, "trials": 10, "calibration_images": 1000}

    def on_long_columns(self, shown: bool) -> bool | None:
        """Return a verdict on a law of long columns: the digits' network, whose layers are short, cannot refute it.

        Args:
            shown: whether it shows.
        """
        return shown or (None if self.network == "digits_cnn" else False)

    def has(self, network: str) -> bool:
        """Return whether a network is there with its images.

        Args:
            network: its name.
        """
        try:
            self.load(network)
        except DevicekitError:
            return False
        return True

    def there(self, names: Sequence[str]) -> list[str]:
        """Return those of some networks that are there.

        Args:
            names: of networks.
        """
        return [name for name in names if self.has(name)]

    def study(self, network: str, **own: Any) -> Study:
        """Return the study that a network is evaluated with: bare cores, nothing but what the law is about.

        Args:
            network: its name.
            **own: fields of the study.
        """
        values: dict[str, Any] = {
            "network": network,
            "data": self.data,
            "seed": self.seed,
            "peripherals": "ideal",
            "corrections": (),
            "r_p_hat": 0.0,
            "stage_trials": 0,
        }
        return Study(**(values | self.amounts(network) | own))

    def load(self, network: str) -> LoadedNetwork:
        """Return a network with its images.

        Args:
            network: its name.
        """
        if network not in self._loaded:
            self._loaded[network] = load_network(self.study(network))
        return self._loaded[network]

    def accuracy(
        self,
        design: CoreDesign,
        cell: Cell | None = None,
        network: str | None = None,
        *,
        core: Core | None = None,
        with_scores: bool = False,
        **own: Any,
    ) -> Values:
        """Return the accuracy of a network on a design (`Accuracy.to_dict`), from an earlier run where it is known.

        Args:
            design: the design.
            cell: its cell; None: ideal, with the usual on/off ratio, programmed once.
            network: its name; None for the usual one.
            core: a core as built instead of design and cell.
            with_scores: whether the scores of single images stand in it.
            **own: fields of the study.
        """
        named = self.network if network is None else network
        if core is None:
            core = Core(design, cell=cell_with(StateIndependent(0.0)) if cell is None else cell)
            own = {"trials": 2} | own if cell is None else own
        text = f"{named} on {core.design.name}"
        self.progress(text)
        return evaluate_core(
            self.study(named, **own),
            self.load(named),
            NetworkCores(core),
            self.cache,
            lambda done, passes: self.progress(f"{text}, pass {done} of {passes}"),
            with_scores=with_scores,
        )

    def margins(self, network: str, images: int) -> Floats:
        """Return the score of the right class over the best other one, by the float network, shape (images,).

        Args:
            network: its name.
            images: test images.
        """
        loaded = self.load(network)
        inputs = {"network": loaded.fingerprint, "images": images, "code": code_hash()}
        known = self.cache.get(f"margins-{network}", inputs)
        if known is None:
            self.progress(f"{network}, margins")
            known = {"margins": _margins(self.study(network), loaded, images).tolist()}
            self.cache.put(f"margins-{network}", inputs, known)
        return np.asarray(known["margins"], dtype=np.float64)


def _margins(study: Study, network: LoadedNetwork, images: int) -> Floats:
    import torch

    from accuracy.batches import batch_of

    found: list[Floats] = []
    with torch.inference_mode():
        for item in network.batches(study, "test", images):
            batch = batch_of(item)
            scores = batch.run(network.model).double()
            labels = torch.as_tensor(batch.labels)[:, None]
            right = scores.gather(1, labels).squeeze(1)
            other = scores.scatter(1, labels, -torch.inf).max(dim=1).values
            found.append((right - other).numpy())
    return np.concatenate(found)


def cell_with(error: ErrorModel, on_off_ratio: float = ON_OFF) -> Cell:
    """Return a made-up cell with one kind of error.

    Args:
        error: its law.
        on_off_ratio: of its currents.
    """
    return Cell(error=error, i_max=I_MAX, on_off_ratio=on_off_ratio, name="one error")


def independent(alpha: float) -> Cell:
    """Return a cell whose error is the same in all states, `alpha` of half the largest current."""
    return cell_with(StateIndependent(alpha))


def proportional(alpha: float, on_off_ratio: float = ON_OFF) -> Cell:
    """Return a cell whose error is `alpha` of its current."""
    return cell_with(StateProportional(alpha), on_off_ratio)


def points_lost(accuracy: Values) -> float:
    """Return the loss in points.

    Args:
        accuracy: `Accuracy.to_dict`.
    """
    return 100 * float(accuracy["loss"])


def loss_columns(accuracy: Values) -> Values:
    """Return the loss with its interval of 95 % over images and chips, and what it was measured on, as columns.

    Args:
        accuracy: `Accuracy.to_dict`.
    """
    low, high = accuracy["loss_interval"]
    return {
        "loss_points": points_lost(accuracy),
        "low_points": 100 * float(low),
        "high_points": 100 * float(high),
        "images": accuracy["images"],
        "trials": len(accuracy["per_trial"]),
    }


def points(rows: Sequence[Values]) -> list[float]:
    """Return the losses of rows [points].

    Args:
        rows: with the columns of `loss_columns`.
    """
    return [float(row["loss_points"]) for row in rows]


def amount(rows: Sequence[Values]) -> str:
    """Return how many images and sets of cells rows rest on, in words, for a caption.

    Args:
        rows: with the columns of `loss_columns`.
    """
    images, trials = ({row[key] for row in rows} for key in ("images", "trials"))
    half = max((row["high_points"] - row["low_points"]) / 2 for row in rows)
    return (
        f"{_range(images)} images, {_range(trials)} set{'' if trials == {1} else 's'} of cells; intervals of 95 % over "
        f"both, up to ± {half:.1f} points."
    )


def _range(values: set[int]) -> str:
    return f"{min(values)}" if len(values) == 1 else f"{min(values)} to {max(values)}"


def bounds(rows: Sequence[Values]) -> tuple[list[float], list[float]]:
    """Return lower and upper ends of the rows' intervals, for a figure.

    Args:
        rows: with the columns of `loss_columns`.
    """
    return [row["low_points"] for row in rows], [row["high_points"] for row in rows]


def largest_tolerated(values: Sequence[float], losses: Sequence[float], limit: float) -> float:
    """Return where a rising loss crosses a limit, interpolated by the logarithm; an end where it never does.

    Args:
        values: tried, rising.
        losses: at each [points].
        limit: [points].
    """
    over = [index for index, loss in enumerate(losses) if loss > limit]
    if not over:
        return float(values[-1])
    first = over[0]
    if first == 0:
        return float(values[0])
    low, high = losses[first - 1], losses[first]
    share = (limit - low) / (high - low)
    return float(np.exp(np.log(values[first - 1]) * (1 - share) + np.log(values[first]) * share))
