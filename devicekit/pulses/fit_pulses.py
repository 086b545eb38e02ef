"""Update curves in, an update model out: the law the ramps support, its noise, and how cycles and devices vary."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from devicekit.common.errors import DeviceError, MeasurementError, unknown_name
from devicekit.pulses.aihwkit_presets import write_preset
from devicekit.pulses.crosssim_tables import write_tables
from devicekit.pulses.pulse_data import PulseData
from devicekit.pulses.pulse_figures import plot_pulses
from devicekit.pulses.pulse_files import read_pulses
from devicekit.pulses.pulse_fits import UpdateFit, fit_update
from devicekit.pulses.pulse_outputs import write_outputs
from devicekit.pulses.pulse_reports import summary
from devicekit.pulses.pulse_values import PulseValues, UpdateVariation
from devicekit.pulses.update_laws import UPDATE_LAWS, UpdateLaw
from devicekit.pulses.update_models import UpdateBranch, UpdateModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]
INDISTINGUISHABLE = 2.0
"""Laws whose BIC differs by no more than this for each device are not told apart (Kass & Raftery, 1995)."""
MOST_COMPARED = 8
"""Laws are compared on so many devices; the chosen one is fitted to all."""
MOST_CYCLES = 12
"""The variation from cycle to cycle is taken from so many cycles of each device, evenly picked."""


@dataclass(frozen=True, eq=False)
class PulseFit(PulseValues):
    """A fitted update: the model, its noise and variation, with report, figure and files for other simulators.

    The attributes are those of `PulseValues`: `model`, `comparison`, `table`, `device_variation` and others.
    """

    def summary(self) -> str:
        """Return the report as text."""
        return summary(self)

    def plot(self) -> tuple[Figure, Any]:
        """Return a figure of the ramps with the model, the changes, and the comparison, and its axes by name."""
        return plot_pulses(self)

    def write(self, folder: str | Path, figures: bool = True) -> dict[str, Path]:
        """Write report, parameters, comparison and figure into a folder; return paths by what they hold."""
        return write_outputs(self, folder, figures)

    def to_aihwkit(self, path: str | Path, name: str | None = None) -> Path:
        """Write the model as a preset device of aihwkit, a Python file; see `aihwkit_presets.write_preset`."""
        return write_preset(self, path, name)

    def to_crosssim(self, folder: str | Path, points: int = 501) -> tuple[Path, Path]:
        """Write the lookup tables of CrossSim, `dG_increasing.txt` and `dG_decreasing.txt`; see `crosssim_tables`."""
        return write_tables(self.model, folder, points, self.data.unit)


def fit_pulses(data: PulseData | str | Path, law: str = "auto", progress: Progress | None = None) -> PulseFit:
    """Fit update models to ramps of conductance against pulse number.

    Every device is fitted by itself, by a likelihood that tells noise of pulses from noise of reads; laws are compared
    by BIC. The model of several devices is their mean, and what their errors do not explain is their variation.

    Args:
        data: from `read_pulses`, or the path of a file that it reads without further word.
        law: one of `UPDATE_LAWS`, or ``"auto"`` for the best by BIC.
        progress: called with what is done and what there is to do.

    Raises:
        DeviceError: an unknown law, or ramps that do not change.
        MeasurementError: a file that cannot be read, or something that is no file.
    """
    if isinstance(data, str | Path):
        data = read_pulses(data)
    if not isinstance(data, PulseData):
        raise MeasurementError(
            f"Expected `data` to be what read_pulses returns, or the path of a file, but got a {type(data).__name__}."
        )
    if law != "auto" and law not in UPDATE_LAWS:
        raise DeviceError(unknown_name("update law", law, ("auto", *UPDATE_LAWS)))
    codes = np.unique(data.device)
    parts = {int(code): data.where(data.device == code) for code in codes}
    compared = [
        int(code) for code in codes[np.unique(np.linspace(0, len(codes) - 1, MOST_COMPARED).round().astype(int))]
    ]
    laws: Sequence[UpdateLaw] = UPDATE_LAWS
    candidates = [
        (own, additive) for own in laws for additive in (False, True) if not (own == "exponential_step" and additive)
    ]
    total = len(candidates) * len(compared) + len(codes)
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    fits: dict[tuple[UpdateLaw, bool], dict[int, UpdateFit]] = {}
    for candidate in candidates:
        fits[candidate] = {}
        for code in compared:
            fits[candidate][code] = fit_update(parts[code], *candidate)
            tell()
    comparison = _compare(fits, law)
    chosen: tuple[UpdateLaw, bool] = next(
        (row.law, row.noise == "additive") for row in comparison.itertuples() if row.verdict == "chosen"
    )
    own = fits[chosen]
    for code, part in parts.items():
        if code not in own:
            own[code] = fit_update(part, *chosen)
        tell()
    own = {code: own[code] for code in parts}
    model, stderr = _mean(list(own.values()))
    devices = _variation([fit.model for fit in own.values()], [fit.stderr for fit in own.values()])
    return PulseFit(
        model,
        stderr,
        comparison,
        {code: fit.model for code, fit in own.items()},
        devices,
        _cycles(parts, own),
        data,
        tuple(_notes(data, model, devices, comparison, law)),
    )


def _compare(fits: dict[tuple[UpdateLaw, bool], dict[int, UpdateFit]], law: str) -> pd.DataFrame:
    rows = [
        {
            "law": name,
            "noise": "additive" if additive else "multiplicative",
            "parameters": next(iter(own.values())).size,
            "bic": sum(fit.bic for fit in own.values()),
        }
        for (name, additive), own in fits.items()
    ]
    table = pd.DataFrame(rows)
    table["delta_bic"] = table["bic"] - table["bic"].min()
    # The noise of a constant step is the same either way. Laws stand from simple to rich; ties go to the simpler.
    order = table["delta_bic"].round(1).sort_values(kind="stable").index
    table = table.loc[order].drop_duplicates(["law", "bic"]).reset_index(drop=True)
    limit = INDISTINGUISHABLE * len(next(iter(fits.values())))
    table["verdict"] = np.where(table["delta_bic"] <= limit, "cannot tell apart", "worse")
    allowed = table.index[table["law"] == law] if law != "auto" else table.index
    table.loc[allowed[0], "verdict"] = "chosen"
    return table


def _mean(fits: Sequence[UpdateFit]) -> tuple[UpdateModel, dict[str, float]]:
    """Return the mean model, steps and shapes on their logarithms, with the standard errors of the mean."""
    models = [fit.model for fit in fits]
    first = models[0]
    if len(models) == 1:
        return first, fits[0].stderr

    def geometric(values: Sequence[float]) -> float:
        return float(np.exp(np.mean(np.log(np.maximum(np.asarray(values, dtype=np.float64), 1e-300)))))

    def branch(side: str) -> UpdateBranch | None:
        branches = [getattr(model, side) for model in models]
        if any(each is None for each in branches):
            return None
        mean = np.mean if first.law == "linear_step" else geometric
        shape = tuple(float(mean([each.shape[index] for each in branches])) for index in range(len(branches[0].shape)))
        return UpdateBranch(geometric([each.step for each in branches]), shape)

    model = replace(
        first,
        g_min=float(np.mean([model.g_min for model in models])),
        g_max=float(np.mean([model.g_max for model in models])),
        up=branch("up"),
        down=branch("down"),
        pulse_noise=float(np.sqrt(np.mean([model.pulse_noise**2 for model in models]))),
        read_noise=float(np.sqrt(np.mean([model.read_noise**2 for model in models]))),
    )
    values = pd.DataFrame([each.values() for each in models])
    return model, {name: float(values[name].std(ddof=1) / np.sqrt(len(models))) for name in model.values()}


def _variation(models: Sequence[UpdateModel], errors: Sequence[dict[str, float]]) -> UpdateVariation | None:
    """Return the standard deviations between models beyond their errors; None for fewer than three."""
    if len(models) < 3:
        return None
    sides = [side for side in ("up", "down") if getattr(models[0], side) is not None]
    logs = np.log(np.array([[model.branch(side == "up").step for side in sides] for model in models]))
    own = np.array([[error.get(f"step_{side}", 0.0) for side in sides] for error in errors]) / np.exp(logs)

    def beyond(values: Floats, stderr: Floats) -> float:
        return math.sqrt(max(float(np.var(values, ddof=1)) - float(np.mean(stderr**2)), 0.0))

    both = np.sqrt(np.mean(own**2, axis=1) / len(sides))
    return UpdateVariation(
        len(models),
        beyond(logs.mean(axis=1), both),
        beyond(0.5 * (logs[:, 0] - logs[:, 1]), both) if len(sides) == 2 else 0.0,
        *(
            beyond(
                np.array([getattr(model, name) for model in models]),
                np.array([error.get(name, 0.0) for error in errors]),
            )
            for name in ("g_min", "g_max")
        ),
    )


def _cycles(parts: dict[int, PulseData], fits: dict[int, UpdateFit]) -> UpdateVariation | None:
    """Return how cycles of a device vary, pooled over devices; noises stay those of the device."""
    found: list[UpdateVariation] = []
    for code, part in parts.items():
        fit = fits[code]
        cycles = np.unique(part.cycle)
        if len(cycles) < 3:
            continue
        picked = cycles[np.unique(np.linspace(0, len(cycles) - 1, MOST_CYCLES).round().astype(int))]
        whole = set(np.unique(part.up))
        rows = [part.where(part.cycle == cycle) for cycle in picked]
        own = [
            fit_update(row, fit.layout.law, fit.layout.additive, noise_of=fit) for row in rows if set(row.up) == whole
        ]
        each = _variation([one.model for one in own], [one.stderr for one in own])
        if each is not None:
            found.append(each)
    if not found:
        return None
    pooled = {
        name: float(np.sqrt(np.mean([getattr(each, name) ** 2 for each in found])))
        for name in ("step", "up_down", "g_min", "g_max")
    }
    return UpdateVariation(sum(each.groups for each in found), **pooled)


def _notes(
    data: PulseData, model: UpdateModel, devices: UpdateVariation | None, comparison: pd.DataFrame, law: str
) -> list[str]:
    notes = []
    for side, there in (("up", model.up), ("down", model.down)):
        if there is None:
            notes.append(f"no {side} pulses were measured: the model has the other direction only")
    if devices is None:
        count = len(np.unique(data.device))
        notes.append(
            f"{count} device{'s were' if count > 1 else ' was'} measured: how devices vary is not known, and exports"
            " leave it out"
        )
    if not data.unit:
        notes.append("conductances have no unit of their own: steps and ranges are in the numbers of the file")
    if law != "auto" and comparison["law"].iloc[0] != model.law:
        notes.append(f"{comparison['law'].iloc[0]} describes the ramps better; {law} was asked for")
    if model.law == "soft_bounds":
        reached = data.conductance[np.isfinite(data.conductance)]
        beyond = [
            f"{name} lies {distance / model.range:.0%} of the range beyond the last reading"
            for name, distance, there in (
                ("g_max", model.g_max - float(reached.max()), model.up),
                ("g_min", float(reached.min()) - model.g_min, model.down),
            )
            if there is not None and distance > 0.1 * model.range
        ]
        notes += [f"{text}: pulses beyond it are extrapolated" for text in beyond]
    return notes
