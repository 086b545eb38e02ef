"""The report of a device fit as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devicekit.engineering import engineering, with_error

if TYPE_CHECKING:
    from devicekit.device_fits import DeviceFit


def summary(fit: DeviceFit) -> str:
    """Return what was read, the states, the comparison, the chosen model, and the notes."""
    lines = [fit.measurements.describe(), ""]
    lines.append(f"Chosen by {fit.criterion.upper()}: {fit.model}, goodness of fit p = {fit.fit.goodness:.2g}")
    lines += [f"  {name} = {with_error(p.value, p.stderr, p.unit)}" for name, p in fit.parameters.items()]
    lines += ["", "Models, best first (D: deviance; p: goodness of fit)"]
    lines.append(f"  {'model':<24}{'k':>3}{'D':>10}{'p':>9}{'dBIC':>9}{'dAICc':>9}  verdict")
    for name, row in fit.comparison.iterrows():
        lines.append(
            f"  {name!s:<24}{int(row['parameters']):>3}{row['deviance']:>10.1f}{row['goodness_p']:>9.2g}"
            f"{row['delta_bic']:>9.1f}{row['delta_aicc']:>9.1f}  {row['verdict']}"
        )
    lines += ["", "States"]
    lines.append(f"  {'target':>10}{'n':>8}{'mean':>22}{'sigma':>22}{'model':>10}{'normal p':>10}")
    shown = fit.table if len(fit.table) <= 40 else fit.table.iloc[:: len(fit.table) // 32]
    for row in shown.itertuples():
        lines.append(
            f"  {engineering(row.target, 'A', 3):>10}{row.n:>8.0f}{with_error(row.mean, row.mean_stderr, 'A'):>22}"
            f"{with_error(row.sigma, row.sigma_stderr, 'A'):>22}{engineering(row.sigma_model, 'A', 3):>10}"
            f"{row.normality_p:>10.2g}"
        )
    if len(shown) < len(fit.table):
        lines.append(f"  ({len(fit.table)} states, every {len(fit.table) // 32}th shown; the table has all)")
    lines += ["", *(f"note: {note}" for note in fit.notes)]
    return "\n".join(lines)
