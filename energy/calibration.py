"""Free component values fitted to published totals: a best point, a posterior, and what each of them is worth."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import lmfit
import numpy as np
import pandas as pd

from circuits import CoreDesign, load_designs
from circuits.adc_kinds import DEFAULT_KIND
from energy.core_cost import STRUCTURES, with_structure
from energy.core_model import constants, default_activity, default_draws, design_arrays
from energy.errors import EnergyError
from energy.expressions import Array
from energy.formulas import needed
from energy.library import Library
from energy.library_files import load_library, save_fitted
from energy.posterior import Model, Posterior, Target, sample
from energy.priors import Prior, load_priors
from energy.published import COLUMNS, Printed, load_published
from energy.structural_error import anchors, with_spreads
from energy.uncertainty import draw_constant

QUANTITIES = tuple(COLUMNS)


def totals(library: Library, designs: Sequence[CoreDesign], result: str) -> Model:
    """Return a function from drawn constants to one result of some designs.

    Args:
        library: components and constants; its activity statistics are used.
        designs: the designs.
        result: such as ``"energy_fj_per_op"``.

    Returns:
        A function of constants [SI] by name, each (draws,), with values (draws, designs).
    """
    formulas, names = needed(library.formulas, [result])
    arrays = design_arrays(
        designs, [default_activity(design, library) for design in designs], [DEFAULT_KIND] * len(designs)
    )
    fixed = {name: value for name, value in constants(library).items() if name in names}

    def model(drawn: Mapping[str, Array]) -> Array:
        own = {name: value[None, :, None] for name, value in drawn.items() if name in fixed}
        values = default_draws(designs, library, arrays, dict(drawn))
        values = formulas.evaluate({**fixed, **own, **{name: values[name] for name in names if name in values}})
        size = len(next(iter(drawn.values())))
        return np.ascontiguousarray(np.broadcast_to(values[result][:, :, 0], (len(designs), size)).T)

    return model


def _linear(names: Sequence[str]) -> list[str]:
    return [name for name in names if name.endswith((".energy", ".area", ".bit_operation"))]


@dataclass(frozen=True)
class QuantityFit:
    """Fit of one quantity, energy or area: they share no constants.

    Attributes:
        quantity: column of the published table.
        priors: of its free constants.
        best: constants [SI] that maximise prior times agreement, by name.
        posterior: draws given the printed totals.
        targets: what was printed, by design.
        minimizer: lmfit's result in standard-normal coordinates of the priors.
    """

    quantity: str
    priors: Mapping[str, Prior]
    best: Mapping[str, float]
    posterior: Posterior
    targets: Mapping[str, Printed]
    minimizer: lmfit.minimizer.MinimizerResult = field(repr=False)

    @property
    def correlations(self) -> pd.DataFrame:
        """Correlations over the posterior, in standard-normal coordinates of the priors."""
        draws = self.posterior.draws
        return pd.DataFrame({name: prior.coordinate(draws[name]) for name, prior in self.priors.items()}).corr()


def fit_quantity(
    library: Library,
    designs: Mapping[str, CoreDesign],
    published: Mapping[str, Mapping[str, Printed]],
    quantity: str,
    priors: Mapping[str, Prior],
    *,
    count: int = 2000,
    proposals: int = 50_000,
    seed: int = 0,
    fewest: float = 50.0,
) -> QuantityFit:
    """Return the fit of the constants that one quantity depends on.

    Args:
        library: components; constants without a prior keep their values.
        designs: by name; those of `published` are used.
        published: the printed totals.
        quantity: ``"energy_fj_per_op"`` or ``"area_mm2"``.
        priors: of all free constants.
        count: posterior draws.
        proposals: draws made and weighted to get them.
        seed: seed of the draws.
        fewest: see `energy.posterior.sample`.

    Raises:
        EnergyError: an unknown design, or priors that hardly allow the totals.
    """
    missing = [name for name in published if name not in designs]
    if missing:
        raise EnergyError(f"The published table has design {missing[0]!r}, which is not among {', '.join(designs)}.")
    own_designs = [designs[name] for name in published]
    printed = {name: row[quantity] for name, row in published.items()}
    _, names = needed(library.formulas, [quantity])
    # The default activity is made of its statistics outside the formulas.
    statistics = ("activity.per_bit", "activity.mean_magnitude") if "input_activity" in names else ()
    own = {name: prior for name, prior in priors.items() if name in names or name in statistics}
    model = totals(library, own_designs, quantity)
    values = np.array([p.value for p in printed.values()])
    widths = np.array([p.half_digit for p in printed.values()]) / 3  # so that the best point rounds to the digits

    def constants_at(z: Array) -> dict[str, Array]:
        return {name: prior.value(z[:, index]) for index, (name, prior) in enumerate(own.items())}

    def coordinates(parameters: lmfit.Parameters) -> Array:
        return np.array([parameters[f"p{index}"].value for index in range(len(own))])

    def residual(parameters: lmfit.Parameters, slack: float) -> Array:
        z = coordinates(parameters)
        return np.concatenate([z, (model(constants_at(z[None, :]))[0] - values) / (widths * slack)])

    def jacobian(parameters: lmfit.Parameters, slack: float) -> Array:
        # Central differences in all directions by one evaluation of the model.
        z, step = coordinates(parameters), 1e-5
        moves = step * np.eye(len(own))
        ends = model(constants_at(np.concatenate([z + moves, z - moves])))
        slopes = (ends[: len(own)] - ends[len(own) :]).T / (2 * step)
        return np.concatenate([np.eye(len(own)), slopes / (widths * slack)[:, None]])

    parameters = lmfit.Parameters()
    for index in range(len(own)):
        parameters.add(f"p{index}", value=0.0)
    # The printed digits make a valley 1e-5 wide; the search enters it wide and narrows, or it takes ten times longer.
    for slack in (100.0, 10.0, 1.0):
        result = lmfit.minimize(residual, parameters, args=(slack,), method="leastsq", Dfun=jacobian, max_nfev=20_000)
        parameters = result.params
    best = {
        name: float(prior.value(np.array([result.params[f"p{index}"].value]))[0])
        for index, (name, prior) in enumerate(own.items())
    }
    posterior = sample(
        model,
        own,
        [Target(p.value, p.half_digit) for p in printed.values()],
        _linear(list(own)),
        count=count,
        proposals=proposals,
        seed=seed,
        fewest=fewest,
    )
    return QuantityFit(quantity, own, best, posterior, printed, result)


@dataclass(frozen=True)
class Calibration:
    """A calibrated library and the evidence for it.

    Attributes:
        library: the library with fitted values, their intervals and their joint draws.
        fits: by quantity.
        designs: designs by name, predicted ones included.
        structure: the structural alternatives chosen.
    """

    library: Library
    fits: Mapping[str, QuantityFit]
    designs: Mapping[str, CoreDesign]
    structure: tuple[str, ...]

    @property
    def free_values(self) -> int:
        """Number of free constants."""
        return sum(len(fit.priors) for fit in self.fits.values())

    @property
    def data_values(self) -> int:
        """Number of published numbers."""
        return sum(len(fit.targets) for fit in self.fits.values())

    @property
    def log_evidence(self) -> float:
        """Natural logarithm of the probability of the printed table under the priors."""
        return sum(fit.posterior.evidence for fit in self.fits.values())

    def prediction(self, design: str, quantity: str) -> tuple[float, float, float]:
        """Return (best, low, high): the value at the best point and the 95 % interval, structural error included."""
        fit = self.fits[quantity]
        model = totals(self.library, [self.designs[design]], quantity)
        best = model({name: np.array([value]) for name, value in fit.best.items()})[0, 0]
        total = quantity.partition("_")[0]
        drawn = model(fit.posterior.draws)[:, 0]
        unit = draw_constant(self.library.constants[f"discrepancy.{total}"], np.random.default_rng(0), drawn.size)
        low, high = np.quantile(drawn * unit ** self.spread(design, quantity), [0.025, 0.975])
        return float(best), float(low), float(high)

    def spread(self, design: str, quantity: str) -> float:
        """Return the standard deviation of the logarithm of a design's true total over the model's."""
        own = self.designs[design]
        arrays = design_arrays([own], [default_activity(own, self.library)], [DEFAULT_KIND])
        return float(with_spreads(self.library, arrays)[f"{quantity.partition('_')[0]}_spread"].ravel()[0])

    def save(self, directory: str | Path) -> Path:
        """Write the calibrated library and its draws, ready to take the place of the bundled files.

        Args:
            directory: folder to write ``NAME.toml`` and ``NAME_draws.csv`` to; the library's own file is the template.

        Returns:
            Path of the library file.
        """
        return save_fitted(self.library, Path(directory))

    @property
    def residuals(self) -> pd.DataFrame:
        """One row a published number: printed, at the best point, whether every digit agrees."""
        rows = []
        for quantity, fit in self.fits.items():
            for design, printed in fit.targets.items():
                best, low, high = self.prediction(design, quantity)
                rows.append(
                    {
                        "design": design,
                        "quantity": quantity,
                        "printed": printed.text,
                        "fitted": best,
                        "residual": best - printed.value,
                        "half_digit": printed.half_digit,
                        "agrees": printed.agrees(best),
                        "low": low,
                        "high": high,
                    }
                )
        return pd.DataFrame(rows)

    @property
    def parameters(self) -> pd.DataFrame:
        """One row a free constant: prior and posterior intervals, and how much of the prior's width is left.

        In the units of the library file. ``width_left`` is the standard deviation of the posterior over that of the
        prior, both in standard-normal coordinates of the prior.
        """
        rows = []
        for quantity, fit in self.fits.items():
            for name, prior in fit.priors.items():
                draws = fit.posterior.draws[name]
                constant = self.library.constants[name]
                own = constant.value / self.library.si[name]
                low, high = np.quantile(draws, [0.025, 0.975])
                rows.append(
                    {
                        "constant": name,
                        "quantity": quantity,
                        "unit": constant.unit,
                        "prior_low": prior.low * own,
                        "prior_high": prior.high * own,
                        "best": fit.best[name] * own,
                        "low": float(low) * own,
                        "high": float(high) * own,
                        "inside_prior": prior.low <= fit.best[name] <= prior.high,
                        "width_left": float(np.std(prior.coordinate(draws))),
                    }
                )
        return pd.DataFrame(rows)


def calibrate(
    library: str | Path | Library = "sonos_40nm",
    published: str | Path | Mapping[str, Mapping[str, Printed]] = "cores_published.csv",
    designs: Mapping[str, CoreDesign] | None = None,
    *,
    priors: Mapping[str, Prior] | None = None,
    structure: Sequence[str] = (),
    left_out: Sequence[str] = (),
    count: int = 2000,
    proposals: int = 50_000,
    seed: int = 0,
    fewest: float = 50.0,
) -> Calibration:
    """Return a library whose free component values are fitted to published totals, with the evidence for it.

    Energy and area are fitted one after the other, for no constant enters both.

    Args:
        library: the library; its constants without priors stay as they are.
        published: printed totals, or a file of them.
        designs: designs by name; the five of Xiao et al. by default.
        priors: of the free constants; by default the library's own file.
        structure: structural alternatives to choose first, see `STRUCTURES`.
        left_out: designs of the table that are not fitted.
        count: posterior draws.
        proposals: draws made and weighted to get them.
        seed: seed of the draws.
        fewest: effective draws below which the priors are said to contradict the totals.

    Raises:
        EnergyError: unknown names, a bad file, or priors that hardly allow the totals.
    """
    loaded = load_library(library)
    options = {"structure": tuple(structure), "left_out": tuple(left_out)}
    numbers = {"count": count, "proposals": proposals, "seed": seed, "fewest": fewest}
    objects = {"published": published, "designs": designs, "priors": priors}
    recipe = _recipe(loaded.recipe, {**objects, **options, **numbers})
    for name in structure:
        loaded = with_structure(loaded, name)
    table = dict(published if isinstance(published, Mapping) else load_published(published))
    for name in left_out:
        if name not in table:
            raise EnergyError(f"Design {name!r} is not in the published table: {', '.join(table)}.")
    table = {name: row for name, row in table.items() if name not in left_out}
    known = dict(designs) if designs is not None else load_designs("xiao2022")
    chosen = {name for alternative in structure for name in STRUCTURES[alternative]}
    own_priors = {
        name: prior
        for name, prior in (priors if priors is not None else load_priors(loaded)).items()
        if name not in chosen
    }
    fits = {
        quantity: fit_quantity(
            loaded,
            known,
            table,
            quantity,
            own_priors,
            count=count,
            proposals=proposals,
            seed=seed + index,
            fewest=fewest,
        )
        for index, quantity in enumerate(QUANTITIES)
    }
    return Calibration(_fitted(loaded, fits, known, tuple(table), recipe), fits, known, tuple(structure))


def _recipe(library: str, arguments: Mapping[str, object]) -> str:
    """Return Python that fits again: what differs from the defaults; objects of the caller's by their names."""
    defaults = inspect.signature(calibrate).parameters
    shown = [library]
    for name, value in arguments.items():
        if value != defaults[name].default:
            plain = str(value) if isinstance(value, Path) else value
            shown.append(f"{name}={plain!r}" if isinstance(plain, str | int | float | tuple) else f"{name}={name}")
    return f"energy.calibrate({', '.join(shown)})"


def _fitted(
    library: Library,
    fits: Mapping[str, QuantityFit],
    designs: Mapping[str, CoreDesign],
    published: Sequence[str],
    recipe: str,
) -> Library:
    """Return the library with best values, posterior intervals and joint draws."""
    best: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    draws: dict[str, Array] = {}
    for fit in fits.values():
        for name, value in fit.best.items():
            low, high = np.quantile(fit.posterior.draws[name], [0.025, 0.975])
            best[name] = value
            intervals[name] = (min(float(low), value), max(float(high), value))
            draws[name] = fit.posterior.draws[name]
    source = (
        f"fitted to the published totals of designs {', '.join(published)} with the priors of {library.name}_priors"
    )
    fitted = library.with_fitted(best, intervals, draws, source=source, recipe=f"{recipe}.library")
    return replace(fitted, anchors=anchors(fitted, [designs[name] for name in published]))
