"""Draws of constants that reproduce printed totals exactly, by importance sampling.

The posterior is the prior restricted to the constants whose totals round to the printed digits. That is a thin slab in
many dimensions, so it is not searched for: all constants but a few *pivots* are drawn from their priors, the totals
uniformly within their rounding, and the pivots, in which the totals are linear, follow from a small linear system. Each
draw is weighted by the prior density of its pivots over the determinant of that system; the mean weight, times the
rounding widths, is the probability of the printed table under the priors, by which structures are compared.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from energy.errors import EnergyError
from energy.expressions import Array
from energy.priors import Prior

_FARTHEST = 4.0
"""Standard deviations from its prior at which a constant is said to contradict it."""

Model = Callable[[Mapping[str, Array]], Array]
"""Totals (draws, designs) of constants by name, each (draws,)."""


@dataclass(frozen=True)
class Target:
    """A total as it was printed.

    Attributes:
        value: the total, in the model's unit.
        half_digit: half a unit of its last digit.
    """

    value: float
    half_digit: float


@dataclass(frozen=True)
class Posterior:
    """Draws of the free constants.

    Attributes:
        draws: equally likely draws by name, each (count,).
        evidence: natural logarithm of the probability of the printed totals under the priors.
        effective: effective number of independent draws behind the resampled ones.
        pivots: the constants that were solved for.
    """

    draws: dict[str, Array]
    evidence: float
    effective: float
    pivots: tuple[str, ...]


def _linear_part(
    model: Model, constants: Mapping[str, Array], pivots: Sequence[str], scale: Array
) -> tuple[Array, Array]:
    """Return totals without the pivots (draws, designs) and what one scale of each adds (draws, designs, pivots)."""
    size = len(next(iter(constants.values())))
    without = {**constants, **{name: np.zeros(size) for name in pivots}}
    base = model(without)
    columns = [model({**without, name: np.full(size, scale[index])}) - base for index, name in enumerate(pivots)]
    return base, np.stack(columns, axis=-1)


def choose_pivots(
    model: Model, priors: Mapping[str, Prior], candidates: Sequence[str], targets: int
) -> tuple[str, ...]:
    """Return the constants that the totals determine best: largest determinant in units of their prior widths.

    Args:
        model: totals of constants.
        priors: of every free constant.
        candidates: constants in which the totals are linear.
        targets: number of totals.

    Raises:
        EnergyError: the totals do not determine that many constants.
    """
    medians = {name: np.array([prior.median]) for name, prior in priors.items()}
    scale = np.array([priors[name].median * priors[name].width for name in candidates])
    _, columns = _linear_part(model, medians, candidates, scale)
    relative = columns[0] / model(medians)[0][:, None]
    choices = list(itertools.combinations(range(len(candidates)), targets))
    sizes = [abs(np.linalg.det(relative[:, choice])) for choice in choices]
    if not sizes or max(sizes) < 1e-9:
        raise EnergyError(f"{targets} totals cannot be solved for constants among {', '.join(candidates)}.")
    return tuple(candidates[index] for index in choices[int(np.argmax(sizes))])


def sample(
    model: Model,
    priors: Mapping[str, Prior],
    targets: Sequence[Target],
    candidates: Sequence[str],
    *,
    count: int = 2000,
    proposals: int = 50_000,
    seed: int = 0,
    fewest: float = 50.0,
) -> Posterior:
    """Return draws of the constants given the printed totals.

    Args:
        model: totals of constants.
        priors: of every free constant.
        targets: the printed totals, in the order of the model's.
        candidates: constants in which the totals are linear, and no two of which multiply each other.
        count: draws wanted.
        proposals: draws made and weighted.
        seed: seed of all of it.
        fewest: effective draws below which the priors are said to contradict the totals.

    Raises:
        EnergyError: the priors hardly allow the totals.
    """
    generator = np.random.default_rng(seed)
    pivots = choose_pivots(model, priors, candidates, len(targets))
    scale = np.array([priors[name].median for name in pivots])
    values: dict[str, list[Array]] = {name: [] for name in priors}
    weights = []
    for chunk in np.array_split(np.arange(proposals), max(1, proposals // 20_000)):
        size = len(chunk)
        constants = {
            name: prior.value(generator.standard_normal(size)) for name, prior in priors.items() if name not in pivots
        }
        totals = np.stack(
            [target.value + target.half_digit * generator.uniform(-1, 1, size) for target in targets], axis=-1
        )
        base, columns = _linear_part(model, constants, pivots, scale)
        solved = np.linalg.solve(columns, (totals - base)[..., None])[..., 0]
        log_weight = -np.log(np.abs(np.linalg.det(columns)))
        for index, name in enumerate(pivots):
            constants[name] = solved[:, index] * scale[index]
            log_weight = log_weight + priors[name].log_density(constants[name]) + np.log(scale[index])
        weights.append(log_weight)
        for name in priors:
            values[name].append(constants[name])
    log_weights = np.concatenate(weights)
    largest = float(log_weights.max())
    weight = np.exp(log_weights - largest) if np.isfinite(largest) else np.zeros(proposals)
    effective = float(weight.sum() ** 2 / np.maximum((weight**2).sum(), 1e-300))
    if effective < fewest:
        raise EnergyError(
            f"The priors hardly allow the published totals: {effective:.0f} effective draws of {proposals}. "
            "A prior or the structure is wrong."
        )
    # Systematic resampling: one uniform number, evenly spaced picks.
    picks = (generator.uniform() + np.arange(count)) / count
    chosen = np.minimum(np.searchsorted(np.cumsum(weight) / weight.sum(), picks), proposals - 1)
    generator.shuffle(chosen)
    widths = np.array([2 * target.half_digit for target in targets])
    draws = {name: np.concatenate(parts)[chosen] for name, parts in values.items()}
    for name in pivots:
        away = float(np.median(priors[name].coordinate(draws[name])))
        if abs(away) > _FARTHEST and fewest > 1:
            raise EnergyError(
                f"The priors hardly allow the published totals: these want {name} {abs(away):.1f} standard deviations "
                f"{'above' if away > 0 else 'below'} its prior's median. A prior or the structure is wrong."
            )
    return Posterior(
        draws,
        largest + float(np.log(weight.mean())) + float(np.log(widths).sum()),
        effective,
        pivots,
    )
