"""The whole fit: from measurements to a cell, its error model and whatever else was measured."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from devicekit.cells.cell import Cell
from devicekit.cells.error_model import ErrorModel
from devicekit.cells.error_registry import form_name
from devicekit.cells.mean_shifts import TableShift
from devicekit.cells.subthreshold import threshold_spread
from devicekit.common.engineering import engineering
from devicekit.common.errors import DeviceError
from devicekit.common.provenance import Constant
from devicekit.common.unit_checks import FAR, UnitWarning, refuse_current, warn_of_current
from devicekit.fits.bootstrap import bootstrap_parameters
from devicekit.fits.cell_facts import CellFacts
from devicekit.fits.cell_retention import laws_of, retention_of
from devicekit.fits.conditions import Conditions, bake_fit, later_fits, read_temperature_fit
from devicekit.fits.device_fits import DeviceFit
from devicekit.fits.model_choice import INDISTINGUISHABLE, Criterion, compare_models, fit_candidates
from devicekit.fits.model_fits import ModelFit, deviance_residuals
from devicekit.fits.outliers import Outliers, compare_estimators, find_outliers, fitted_columns, with_body
from devicekit.fits.recording_facts import recording_of
from devicekit.fits.repeated_reads import average_reads, fit_read_noise, without_read_noise
from devicekit.fits.shared_cells import widened_for_shared_cells
from devicekit.measurements.measurements import Measurements
from devicekit.measurements.reading import as_measurements
from devicekit.statistics.read_rounds import gather_rounds
from devicekit.statistics.recording import Recording
from devicekit.statistics.state_statistics import StateSample
from devicekit.statistics.state_tables import Estimator, state_statistics
from devicekit.statistics.tail_mixture import TailFit
from devicekit.statistics.target_groups import group_targets
from devicekit.statistics.variance_components import VarianceComponents, variance_components


def fit_device(
    measurements: Measurements | str | Path,
    model: str | type[ErrorModel] = "auto",
    *,
    criterion: Criterion = "bic",
    candidates: str | type[ErrorModel] | Sequence[str | type[ErrorModel]] | None = None,
    estimator: Estimator = "normal",
    tail: bool = True,
    rounding: float | str | None = None,
    states: int | None = None,
    i_max: float | str | None = None,
    on_off_ratio: float | None = None,
    read_voltage: float | str | None = None,
    eta: float = 1.0,
    bootstrap: int = 0,
    seed: int = 0,
    name: str | None = None,
    technology: str | None = None,
) -> DeviceFit:
    """Return a cell fitted to measurements: mean and spread of every state, and the error model that describes them.

    The spreads are fitted by maximum likelihood, the error model is chosen by `criterion` with every candidate shown.
    Later times become retention with a law of time, cells programmed more than once a split into cell to cell and cycle
    to cycle, outlier cells a tail, repeated reads read noise, other read temperatures a law of temperature, bakes an
    activation energy, and die and wafer columns a correlation, where the measurements have them.

    Args:
        measurements: from `read_measurements`, or the path of a file that it reads without further word.
        model: an error model's name or class, or ``"auto"`` for the best by `criterion`.
        criterion: ``"bic"`` or ``"aicc"``.
        candidates: names or classes of the models to compare; None: all, those of `register_error_model` included.
        estimator: of each state's spread: ``"normal"``, ``"trimmed"`` or ``"student"`` (robust).
        tail: whether outlier cells, where they are found, become a tail of the cell beside the body that the model then
            describes; False: they stay in the spreads.
        rounding: step that currents were rounded to [A], 0 for none; None: what the file states, else what the numbers
            show.
        states: gather targets into so many equal ranges of i_max; None: only where targets are continuous, into 32.
        i_max: full scale [A]; None: what the file states, else the highest target.
        on_off_ratio: full scale over the smallest current; None: what the file states, else the span of the targets.
        read_voltage: voltage of the read [V]; None: what the measurements were read with, else 0.1 V, assumed.
        eta: gate coupling, for the threshold spread behind the current spread.
        bootstrap: replicates of cells drawn again; 0: none.
        seed: seed of the bootstrap.
        name: the cell's name; None: the file's.
        technology: process the cell belongs to; None: what the file states.

    Returns:
        The fit; its `.cell` is ready for simulation.

    Raises:
        MeasurementError: a file that cannot be read, too few cells in a state, or states without spread; the message
            names the file and the target.
        DeviceError: an unknown model or criterion, or more parameters than states.

    Warns:
        UnitWarning: an `i_max` that is plainly in another unit than the targets, or a spread above the full scale.
    """
    measurements = as_measurements(measurements, read_voltage)
    wanted, named = _models(model, candidates)
    facts = CellFacts(measurements)
    highest = float(measurements.columns["target"].max())
    full_scale = facts.number("i_max", i_max, "A", highest, "the highest target")
    if not full_scale > 0:
        raise DeviceError(f"Expected `i_max` to be above 0 A, but got {full_scale!r}.")
    refuse_current("The highest target", highest, full_scale)
    warn_of_current("`i_max`", full_scale, highest, stacklevel=2, called="the highest target")
    warn_of_current("The highest target", highest, full_scale, stacklevel=2, called="`i_max`")
    gathered, round_notes = gather_rounds(measurements)
    grouped, group_notes = group_targets(gathered, full_scale, states)
    reads = average_reads(grouped)
    conditions = Conditions(grouped if reads is None else reads.cells)
    recording = recording_of(measurements, conditions.base, rounding) if reads is None else Recording()
    base = state_statistics(conditions.base, estimator, recording)
    body, tail_notes = find_outliers(base, full_scale, [rows for _, rows in conditions.later()]) if tail else (None, [])
    if body is not None:
        base = with_body(base, body)
    if reads is not None:
        base = replace(base, table=without_read_noise(base.table, reads.noise))
    table = base.table
    fitted = fitted_columns(table)
    lowest = float(table["target"].min())
    span = full_scale / lowest if lowest > 0 else math.inf
    ratio = facts.number("on_off_ratio", on_off_ratio, "", span if span > 1 else math.inf, "the span of the targets")
    volts = facts.number("read_voltage", read_voltage, "V", 0.1, "a usual read voltage")

    fits = fit_candidates(fitted["target"], fitted["sigma"], fitted["dof"], full_scale, named)
    comparison = compare_models(fits, criterion)
    chosen = wanted or str(comparison.index[0])
    best, shared_notes = widened_for_shared_cells(fits[chosen], fitted, conditions.base)
    best, width_notes = _widened(best)
    fits[chosen] = best
    _complete(table, best, eta, conditions.temperature)

    shift, mean_note = _mean_error(fitted, full_scale)
    later = later_fits(conditions, estimator, chosen, full_scale, recording, None if body is None else body.tail)
    laws, law_notes = laws_of(conditions, fitted, later)
    noise = None if reads is None else fit_read_noise(grouped, full_scale)[0]
    temperature = read_temperature_fit(conditions, base)
    bake = bake_fit(conditions, full_scale)
    components = _components(conditions.base, table)
    draws = None
    if bootstrap:
        plain = base.is_plain and body is None and reads is None
        cells = base.sample if plain and isinstance(base.sample, StateSample) else None
        draws = bootstrap_parameters(
            chosen,
            fitted["target"].to_numpy(),
            fitted["sigma"].to_numpy(),
            fitted["dof"].to_numpy(),
            full_scale,
            bootstrap,
            seed,
            cells,
        )
    notes = [
        *facts.notes,
        *measurements.warnings,
        *round_notes,
        *group_notes,
        *(() if reads is None else reads.notes),
        *base.notes,
        *tail_notes,
        *conditions.notes,
        mean_note,
        *_choice_notes(comparison, best, chosen, criterion),
        *shared_notes,
        *width_notes,
        *law_notes,
        *_normality_notes(table, body is not None),
        *_cycle_notes(conditions.base),
    ]
    retention, retention_covariance = retention_of(conditions, later, bake, laws)
    outliers = None if body is None else Outliers(body, compare_estimators(base, chosen, body, full_scale))
    provenance = {**facts.provenance, **_fit_provenance(best, measurements), **_tail_provenance(body, measurements)}
    _warn_of_spread(best, body, full_scale)
    cell = Cell(
        name=name or Path(measurements.place).stem,
        technology=technology if technology is not None else measurements.metadata.get("technology", ""),
        error=best.model,
        covariance=best.covariance,
        i_max=full_scale,
        on_off_ratio=ratio,
        read_voltage=volts,
        mean_error=shift,
        retention=retention,
        retention_covariance=retention_covariance,
        read_noise=None if noise is None else noise.model,
        read_noise_covariance=None if noise is None else noise.covariance,
        temperature_law=None if temperature is None else temperature.law,
        spatial=None if components is None else components.spatial,
        tail=None if body is None else body.tail,
        measured_range=(lowest, float(table["target"].max())),
        provenance=provenance,
    )
    return DeviceFit(
        model=chosen,
        comparison=comparison,
        cell=cell,
        fits=fits,
        states=base,
        measurements=measurements,
        criterion=criterion,
        notes=tuple(notes),
        eta=eta,
        later=tuple(later),
        read_noise=noise,
        read_noise_table=None if reads is None else reads.noise,
        read_temperature=temperature,
        bake=bake,
        components=components,
        bootstrap=draws,
        outliers=outliers,
        retention_laws=laws,
        recording=recording,
    )


def _warn_of_spread(best: ModelFit, body: TailFit | None, i_max: float) -> None:
    """Warn of a spread, or of a tail, that reaches beyond the full scale: cells do not, slips do."""
    spread = float(np.max(best.model.sigma(np.array([0.5, 1.0]) * i_max, i_max)))
    what, advice = "fitted spread", ", or take an `estimator` that is robust ('student', 'trimmed')"
    most = FAR * i_max  # beyond, the cell says so itself
    if body is not None and body.tail.shape != "uniform":
        what, advice, spread, most = "tail of outlier cells", "", spread * body.tail.scale, math.inf
    if i_max < spread <= most:
        warnings.warn(
            f"The {what} reaches {engineering(spread, 'A')}, more than the full scale of {engineering(i_max, 'A')}: a"
            f" value far from its target (a slip, a broken cell) sets it. Look at the states{advice}.",
            UnitWarning,
            stacklevel=3,
        )


def _models(
    model: str | type[ErrorModel], candidates: str | type[ErrorModel] | Sequence[str | type[ErrorModel]] | None
) -> tuple[str | None, list[str] | None]:
    """Return the name of the model that is asked for, and those to compare; None: the best, and all."""
    several = [candidates] if candidates is None or isinstance(candidates, str | type) else list(candidates)
    named = [form_name(each) for each in several if each is not None]
    wanted = None if isinstance(model, str) and model == "auto" else form_name(model)
    if wanted is not None:
        named.append(wanted)
    return wanted, list(dict.fromkeys(named)) or None


def _complete(table: pd.DataFrame, best: ModelFit, eta: float, temperature: float) -> None:
    """Add model, residual and threshold spread to the row of every state."""
    fitted = fitted_columns(table)
    mean, sigma = fitted["mean"].to_numpy(), fitted["sigma"].to_numpy()
    expected = best.model.sigma(table["target"].to_numpy(), best.i_max)
    table["sigma_model"] = expected
    table["residual"] = deviance_residuals(np.maximum(expected, 1e-6 * best.i_max), sigma, fitted["dof"].to_numpy())
    positive = mean > 0
    volts = np.full(len(table), np.nan)
    volts[positive] = threshold_spread(mean[positive], sigma[positive], eta, temperature)
    table["threshold_sigma"] = volts


def _mean_error(table: pd.DataFrame, i_max: float) -> tuple[TableShift | None, str]:
    """Return the shift of the means where it is significant, and a sentence that says so."""
    z = table["mean_error"] / table["mean_stderr"]
    p = float(stats.chi2.sf(float((z**2).sum()), len(z)))
    if p > 0.01:
        return None, f"means agree with their targets (chi-square p = {p:.2g}); no mean error was put into the cell"
    shift = TableShift(table["target"].tolist(), table["mean"].tolist(), table["mean_stderr"].tolist())
    worst = table.loc[table["mean_error"].abs().idxmax()]
    size = f"{engineering(worst['mean_error'], 'A', 3)}, {abs(worst['mean_error']) / i_max:.2%} of full scale,"
    return shift, (
        f"means differ from their targets (p = {p:.2g}, most by {size} at {engineering(worst['target'], 'A', 3)});"
        " the cell has them"
    )


def _components(base: Measurements, table: pd.DataFrame) -> VarianceComponents | None:
    if base.is_histogram or not ("die" in base.columns or "wafer" in base.columns):
        return None
    base = base.where(np.isin(base.columns["target"], table["target"].to_numpy()))
    row = np.searchsorted(table["target"].to_numpy(), base.columns["target"])
    z = (base.columns["value"] - table["mean"].to_numpy()[row]) / table["sigma"].to_numpy()[row]
    frame = pd.DataFrame({role: base.columns[role] for role in ("wafer", "die") if role in base.columns}).assign(z=z)
    if "cycles" in table:
        # Cycles of a cell are not cells: dies are compared by the means of theirs.
        keys = {role: base.columns[role] for role in ("wafer", "die", "cell", "target") if role in base.columns}
        frame = frame.assign(**keys).groupby(list(keys), as_index=False)["z"].mean()
    die = frame["die"].to_numpy(dtype=np.int64) if "die" in frame else np.zeros(len(frame), dtype=np.int64)
    return variance_components(
        frame["z"].to_numpy(), die, frame["wafer"].to_numpy(dtype=np.int64) if "wafer" in frame else None
    )


def _choice_notes(comparison: pd.DataFrame, best: ModelFit, chosen: str, criterion: str) -> list[str]:
    notes = []
    close = [str(name) for name in comparison.index[comparison["verdict"] == "cannot tell apart"] if name != chosen]
    if close:
        notes.append(
            f"the data cannot tell {chosen} from {', '.join(close)} ({criterion} within {INDISTINGUISHABLE:g})"
        )
    if chosen != comparison.index[0]:
        notes.append(f"{comparison.index[0]} has the better {criterion}; {chosen} was asked for")
    if best.model.saturated:
        notes.append("no law describes the spreads; the cell interpolates the measured ones")
    return notes


def _widened(fit: ModelFit) -> tuple[ModelFit, list[str]]:
    """Return the fit with its covariance widened by the scatter of the spreads, where the model does not fit them."""
    if not fit.goodness < 0.01:
        return fit, []
    factor = fit.deviance / (fit.states - fit.size)
    return replace(fit, covariance=fit.covariance * factor), [
        f"the spreads scatter more around {fit.name} than their errors allow (goodness p = {fit.goodness:.2g});"
        f" standard errors were widened by {np.sqrt(factor):.2g}"
    ]


def _cycle_notes(base: Measurements) -> list[str]:
    columns = base.columns
    if base.is_histogram or "cycle" not in columns or "cell" in columns or len(np.unique(columns["cycle"])) < 2:
        return []
    return [
        "the file has cycles but does not say of which cells: what differs from cell to cell and what from cycle to"
        " cycle cannot be told apart; name the column with the cell"
    ]


def _normality_notes(table: pd.DataFrame, has_tail: bool) -> list[str]:
    p = table["normality_p"].dropna()
    if not has_tail and len(p) and float(p.min()) * len(p) < 0.01:
        return [
            f"{int((p * len(p) < 0.01).sum())} of {len(p)} states are not normal (Anderson-Darling or binned test,"
            " corrected for their number); mean and spread describe them, their tails do not follow"
        ]
    return []


def _tail_provenance(body: TailFit | None, measurements: Measurements) -> dict[str, Constant]:
    if body is None:
        return {}
    source = f"fitted to {Path(measurements.place).name} ({measurements.kind})"
    tail = body.tail
    found = {
        "tail.fraction": Constant(value=tail.fraction, unit="1", kind="fitted", source=source, interval=tail.interval)
    }
    if tail.shape != "uniform":
        spread = 1.96 * body.scale_stderr
        found["tail.scale"] = Constant(
            value=tail.scale,
            unit="1",
            kind="fitted",
            source=source,
            interval=(tail.scale - spread, tail.scale + spread),
        )
    return found


def _fit_provenance(fit: ModelFit, measurements: Measurements) -> dict[str, Constant]:
    source = f"fitted to {Path(measurements.place).name} ({measurements.kind})"
    return {
        f"error.{name}": Constant(
            value=parameter.value,
            unit=parameter.unit or "1",
            kind="fitted",
            source=source,
            interval=(parameter.value - 1.96 * parameter.stderr, parameter.value + 1.96 * parameter.stderr),
        )
        for name, parameter in fit.parameters.items()
    }
