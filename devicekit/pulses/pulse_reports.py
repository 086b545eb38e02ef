"""The report of a pulse fit as text."""

from __future__ import annotations

import math

from devicekit.common.engineering import percent, with_error
from devicekit.pulses.pulse_values import PulseValues, UpdateVariation


def summary(fit: PulseValues) -> str:
    """Return the report of a pulse fit: data, chosen law, comparison, parameters, variation, notes.

    Args:
        fit: a fitted update.
    """
    parts = [[fit.data.describe()], _model(fit), _comparison(fit), _variation(fit), [f"note: {n}" for n in fit.notes]]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _model(fit: PulseValues) -> list[str]:
    close = f"; the ramps cannot tell it from {', '.join(fit.alternatives)}" if fit.alternatives else ""
    model = fit.model
    above = float(fit.comparison.loc[fit.comparison["verdict"] == "chosen", "delta_bic"].iloc[0])
    how = "by BIC" if above <= 0 else f"as asked for, {above:.1f} of BIC above the best"
    lines = [f"Update model: {model.law} with {model.noise_kind} noise of pulses ({how}){close}"]
    lines += [
        f"  {name} = {with_error(row['value'], row['stderr'], row['unit'])}" for name, row in fit.table.iterrows()
    ]
    for side, branch in (("up", model.up), ("down", model.down)):
        if branch is not None:
            lines.append(f"  {model.range / branch.step:.3g} {side} pulses of the middle of the range span it")
    if model.up is not None and model.down is not None and not math.isnan(model.symmetry_point):
        lines.append(f"  up and down pulses cancel at {with_error(model.symmetry_point, math.nan, fit.data.unit)}")
    return lines


def _comparison(fit: PulseValues) -> list[str]:
    lines = ["Laws, best first (k parameters a device)", f"  {'law':<18}{'noise':<16}{'k':>3}{'dBIC':>11}  verdict"]
    lines += [
        f"  {row.law:<18}{row.noise:<16}{row.parameters:>3}{row.delta_bic:>11.1f}  {row.verdict}"
        for row in fit.comparison.itertuples()
    ]
    return lines


def _variation(fit: PulseValues) -> list[str]:
    lines = []
    for word, found in (("Device to device", fit.device_variation), ("Cycle to cycle", fit.cycle_variation)):
        if found is not None:
            lines.append(f"{word} ({found.groups} of them, beyond the errors of each): {_words(found, fit)}")
    lines.append(
        f"Pulse to pulse: {percent(fit.model.pulse_noise)} of a step; read to read:"
        f" {percent(fit.model.read_noise / fit.model.range)} of the range"
    )
    return lines


def _words(found: UpdateVariation, fit: PulseValues) -> str:
    span = fit.model.range
    return (
        f"step {percent(found.step)}, up against down {percent(found.up_down)}, g_min {percent(found.g_min / span)} and"
        f" g_max {percent(found.g_max / span)} of the range"
    )
