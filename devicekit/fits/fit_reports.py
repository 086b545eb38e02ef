"""The report of a device fit as text."""

from __future__ import annotations

import math

from devicekit.cells.retention_laws import LawName, ratio_of
from devicekit.common.engineering import duration, engineering, long_duration, percent, with_error
from devicekit.fits.fit_values import FitValues
from devicekit.fits.outliers import fitted_columns

LN_10 = math.log(10.0)
TEN_YEARS = 10 * 365.25 * 86400.0
MOST_PARAMETERS = 9
MOST_STATES = 40
"""Longer tables are thinned in the report; the table file has every state."""


def summary(fit: FitValues) -> str:
    """Return the report of a fit as text: data, chosen model, comparison, states, further measurements, notes.

    Args:
        fit: a fitted device.
    """
    parts = [
        [fit.measurements.describe()],
        _model(fit),
        _comparison(fit),
        _states(fit),
        _memory(fit),
        *(
            part
            for part in (
                _outliers(fit),
                _levels_of_variation(fit),
                _retention(fit),
                _laws(fit),
                _noise(fit),
                _temperature(fit),
                _components(fit),
            )
            if part
        ),
        [f"note: {note}" for note in fit.notes if note not in fit.measurements.warnings],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _model(fit: FitValues) -> list[str]:
    goodness = f", goodness of fit p = {fit.fit.goodness:.2g}" if fit.fit.goodness == fit.fit.goodness else ""
    close = f"; the data cannot tell it from {', '.join(fit.alternatives)}" if fit.alternatives else ""
    lines = [f"Error model: {fit.model} (by {fit.criterion.upper()}{goodness}){close}"]
    if len(fit.parameters) > MOST_PARAMETERS:
        return [*lines, f"  {len(fit.parameters)} parameters; the cell file has them"]
    for name, parameter in fit.parameters.items():
        lines.append(f"  {name} = {with_error(parameter.value, parameter.stderr, parameter.unit)}")
        if fit.bootstrap is not None:
            spread = float(fit.bootstrap[name].std(ddof=1))
            lines[-1] += f"   (bootstrap of {len(fit.bootstrap)}: +- {engineering(spread, parameter.unit, 2)})"
    return lines


def _comparison(fit: FitValues) -> list[str]:
    lines = ["Models, best first (k parameters, deviance D, goodness p)"]
    lines.append(f"  {'model':<24}{'k':>3}{'D':>11}{'p':>10}{'dBIC':>10}{'dAICc':>10}  verdict")
    for name, row in fit.comparison.iterrows():
        lines.append(
            f"  {name!s:<24}{int(row['parameters']):>3}{_figure(row['deviance']):>11}{row['goodness_p']:>10.2g}"
            f"{_figure(row['delta_bic']):>10}{_figure(row['delta_aicc']):>10}  {row['verdict']}"
        )
    return lines


def _figure(value: float) -> str:
    """Return a deviance with one decimal; one that fills its column, of a model far from the data, by its magnitude."""
    return f"{value:.1f}" if abs(value) < 1e6 else f"{value:.1e}"


def _states(fit: FitValues) -> list[str]:
    table = fit.table
    body = "body_sigma" in table
    head = f"  {'target':>10}{'cells':>9}{'mean':>22}{'sigma':>20}{'95 % interval':>20}{'model':>10}"
    lines = ["States", head + (f"{'body':>10}" if body else "") + f"{'V_T':>9}{'normal p':>10}"]
    if not fit.has_transistor:
        lines[-1] = head + (f"{'body':>10}" if body else "") + f"{'normal p':>10}"
    step = 1 if len(table) <= MOST_STATES else -(-len(table) // MOST_STATES)
    for row in table.iloc[::step].itertuples():
        interval = f"{engineering(row.sigma_low, 'A', 3)} .. {engineering(row.sigma_high, 'A', 3)}"
        line = (
            f"  {engineering(row.target, 'A', 3):>10}{row.n:>9.0f}{with_error(row.mean, row.mean_stderr, 'A'):>22}"
            f"{with_error(row.sigma, row.sigma_stderr, 'A'):>20}{interval:>20}"
            f"{engineering(row.sigma_model, 'A', 3):>10}"
        )
        if body:
            line += f"{engineering(row.body_sigma, 'A', 3):>10}"
        if fit.has_transistor:
            line += f"{'-' if math.isnan(row.threshold_sigma) else engineering(row.threshold_sigma, 'V', 3):>9}"
        lines.append(line + (f"{'-':>10}" if math.isnan(row.normality_p) else f"{row.normality_p:>10.2g}"))
    if step > 1:
        lines.append(f"  ({len(table)} states, one in {step} shown; the table file has all)")
    if body:
        lines.append("  sigma: of all cells; body: without the tail, which the model describes")
    if fit.has_transistor:
        lines.append(f"  V_T: threshold spread behind sigma in subthreshold, eta = {fit.eta:g}")
    return lines


def _outliers(fit: FitValues) -> list[str]:
    found = fit.outliers
    if found is None:
        return []
    given = found.estimators
    parts = ", ".join(
        f"{word} {engineering(given[name], 'A', 3)}"
        for name, word in (
            ("plain", "all cells"),
            ("trimmed", "inner 90 %"),
            ("student", "Student t"),
            ("body", "body of body and tail"),
        )
    )
    low, high = found.tail.interval
    return [
        f"Outliers: {found.tail.describe()} (95 % interval {100 * low:.2g} to {100 * high:.2g} %)",
        f"  sigma at half scale by estimator: {parts}",
    ]


def _levels_of_variation(fit: FitValues) -> list[str]:
    table = fit.table
    if "cycle_sigma" not in table:
        return []
    lines = [
        "Cell to cell and cycle to cycle (restricted maximum likelihood, 95 % intervals)",
        f"  {'target':>10}{'cells':>7}{'cycles':>8}{'cell to cell':>30}{'cycle to cycle':>30}",
    ]
    for row in table.itertuples():
        parts = []
        for level in ("cell", "cycle"):
            value, low, high = (getattr(row, f"{level}_sigma{end}") for end in ("", "_low", "_high"))
            parts.append(f"{engineering(value, 'A', 3)} ({engineering(low, 'A', 3)} .. {engineering(high, 'A', 3)})")
        lines.append(
            f"  {engineering(row.target, 'A', 3):>10}{row.n:>7.0f}{row.cycles:>8.3g}{parts[0]:>30}{parts[1]:>30}"
        )
    return lines


def _memory(fit: FitValues) -> list[str]:
    counts = ", ".join(f"{count} at {rate:g}" for rate, count in fit.level_counts.items())
    lines = [f"Digital levels that stay apart, by chance of a misread on each side: {counts}"]
    overlap = fit.overlap
    if len(overlap):
        worst = overlap.loc[overlap["misread"].idxmax()]
        lines.append(
            f"Closest measured states: {engineering(worst['low'], 'A', 3)} and {engineering(worst['high'], 'A', 3)},"
            f" misread with chance {worst['misread']:.2g} at {engineering(worst['threshold'], 'A', 4)}"
        )
    if len(fit.tails):
        far = fit.tails.iloc[0]
        lines.append(
            f"Tail bits: {len(fit.tails)} cells beyond {fit.tails.attrs['limit']:.1f} robust deviations,"
            f" {fit.tails.attrs['expected']:.2g} expected; farthest {engineering(far['value'], 'A')} in state"
            f" {engineering(far['target'], 'A', 3)}"
        )
    elif "limit" in fit.tails.attrs:
        lines.append(f"Tail bits: none beyond {fit.tails.attrs['limit']:.1f} robust deviations")
    return lines


def _retention(fit: FitValues) -> list[str]:
    if not fit.later:
        return []
    start = fit.cell.retention.start if fit.cell.retention is not None else 0.0
    lines = [f"Retention ({fit.model}, sigma at half scale; mean shift of the worst state)"]
    half = fit.cell.i_max / 2
    for time, table, model in [
        (start, fit.table, fit.fit),
        *((later.time, later.states.table, later.fit) for later in fit.later),
    ]:
        worst = table.loc[table["mean_error"].abs().idxmax()]
        lines.append(
            f"  {duration(time):>10}  sigma {engineering(float(model.model.sigma(half, fit.cell.i_max)), 'A'):>10}"
            f"   mean {engineering(worst['mean_error'], 'A', 3):>10} at {engineering(worst['target'], 'A', 3)}"
            f"   goodness p = {model.goodness:.2g}"
        )
    return lines


def _laws(fit: FitValues) -> list[str]:
    """Return the laws of retention, and what they and the interpolation say of the worst state later on."""
    if not fit.retention_laws or not fit.later:
        return []
    lines = ["Laws of retention (means; better first)"]
    for name, found in fit.retention_laws.items():
        law = found.law
        worst = max(range(len(law.rates)), key=lambda index: abs(law.rates[index]))
        error = 0.0 if law.stderr is None else law.stderr[worst]
        lines.append(
            f"  {name.replace('_', '-'):<10} goodness p = {found.goodness:.2g}; worst state"
            f" {engineering(law.targets[worst], 'A', 3)}: {_a_decade(name, law.rates[worst], error)} of time; spread"
            f" {_a_decade(name, law.sigma_rate, law.sigma_stderr)}"
        )
    last = fit.later[-1].time
    table = fitted_columns(fit.table)
    for time in (10 * last, TEN_YEARS):
        if not time > last:
            continue
        parts = []
        for name, found in fit.retention_laws.items():
            law = found.law
            worst = max(range(len(law.rates)), key=lambda index: abs(law.rates[index]))
            target = law.targets[worst]
            start = float(table.loc[table["target"] == target, "mean"].iloc[0])
            low, high = sorted(float(start * end) for end in law.mean_ratio_interval(target, time))
            mean = float(start * law.mean_ratio(target, time))
            parts.append(
                f"{name.replace('_', '-')} {engineering(mean, 'A')} (95 %: {engineering(low, 'A')} to"
                f" {engineering(high, 'A')})"
            )
        lines.append(f"  {engineering(target, 'A', 3)} after {long_duration(time)}: {', '.join(parts)}")
    if not next(iter(fit.retention_laws.values())).paired:
        lines.append(
            "  cells are not told apart, or too few, to be followed one by one: errors of different times count as"
            " independent"
        )
    return lines


def _a_decade(name: LawName, rate: float, stderr: float) -> str:
    """Return what a rate amounts to in a decade of time, as a share with its standard error."""
    change = float(ratio_of(name, rate, LN_10)) - 1.0 if name == "power" else LN_10 * rate
    slope = (1.0 + change) if name == "power" else 1.0
    return f"{percent(change)} +- {percent(LN_10 * stderr * slope)} a decade"


def _noise(fit: FitValues) -> list[str]:
    if fit.read_noise is None or fit.read_noise_table is None:
        return []
    lines = [f"Read noise: {fit.read_noise.name}, goodness of fit p = {fit.read_noise.goodness:.2g}"]
    if len(fit.read_noise.parameters) <= MOST_PARAMETERS:
        lines += [
            f"  {name} = {with_error(parameter.value, parameter.stderr, parameter.unit)}"
            for name, parameter in fit.read_noise.parameters.items()
        ]
    return lines


def _temperature(fit: FitValues) -> list[str]:
    lines = []
    if fit.read_temperature is not None:
        law = fit.read_temperature.law
        found = (
            f"subthreshold law with I_0 = {with_error(law.i_0, fit.read_temperature.i_0_stderr, 'A')}"
            " (a linear drift of the threshold is part of it)"
            if hasattr(law, "i_0")
            else "the subthreshold law does not fit; measured ratios are interpolated"
        )
        lines.append(f"Read temperature: {found}; misfit {fit.read_temperature.misfit:.2%}")
    if fit.bake is not None:
        bake = fit.bake
        lines.append(
            f"Bake: activation energy {bake.activation_energy:.2f} +- {bake.stderr:.2f} eV above a change of"
            f" {bake.floor:.2%} of full scale that no temperature explains (power of time {bake.exponent:.2g}"
            + (", assumed)" if bake.exponent == 1 else ")")
        )
        lines += [
            f"  {kelvin - 273.15:6.0f} degC, {duration(seconds):>10}: {change:.2%} of full scale (fit {fitted:.2%})"
            for kelvin, seconds, change, fitted in zip(
                bake.temperatures, bake.times, bake.change, bake.fitted, strict=True
            )
        ]
    return lines


def _components(fit: FitValues) -> list[str]:
    parts = fit.components
    if parts is None:
        return []
    return [
        f"Variance: {parts.within:.1%} within die, {parts.die:.1%} between {parts.dies} dies (p = {parts.die_p:.2g}),"
        f" {parts.wafer:.1%} between {parts.wafers} wafers (p = {parts.wafer_p:.2g})"
    ]
