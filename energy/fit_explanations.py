"""Where the numbers of a calibration came from: totals, residuals, posterior intervals, correlations, evidence.

A total is the core's own formula with the fitted constants in it; what the fit itself gives (best values, posterior
draws, evidence) is Python that fits again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from energy.calibration import Calibration
from energy.core_cost import estimate_core
from energy.explanations import Draws, Explanation, Value, prefixed, quantile
from energy.priors import Z95, Prior
from energy.published import Printed

Columns = dict[str, Explanation]
"""Explanations of one row of a table, by column."""


class FitExplanations:
    """Explains the rows of tables about one calibration.

    Args:
        fit: the calibration.
        table: what names begin with, such as ``"published"``.
    """

    def __init__(self, fit: Calibration, table: str) -> None:
        self.fit = fit
        self.table = table

    # -- totals ------------------------------------------------------------------------------------------------------

    def published(self, row: Mapping[str, Any]) -> Columns:
        """Explain a row of `Calibration.residuals`."""
        design, quantity = str(row["design"]), str(row["quantity"])
        found = self._printed(design, quantity, self.fit.fits[quantity].targets[design])
        printed, half = found["printed"], found["half_digit"]
        fitted, found["low"], found["high"] = self._total(row, "fitted")
        found["fitted"] = fitted
        found["residual"] = self._of(
            f"{design}.{quantity}.residual",
            row["residual"],
            "computed minus printed",
            f"{fitted.name} - {printed.name}",
            (fitted, printed),
            fitted.unit,
        )
        found["agrees"] = self._of(
            f"{design}.{quantity}.agrees",
            float(row["agrees"]),
            "1 where rounding to the printed digits gives the printed number",
            f"({printed.name} - {half.name} <= {fitted.name}) * ({fitted.name} <= {printed.name} + {half.name})",
            (printed, half, fitted),
        )
        return found

    def prediction(self, row: Mapping[str, Any]) -> Columns:
        """Explain a row with a design that was not fitted: predicted, its interval, the interval in percent."""
        predicted, low, high = self._total(row, "predicted")
        percent = self._of(
            f"{row['design']}.{row['quantity']}.interval_percent",
            tuple(row["interval_percent"]),
            "ends of the interval against the prediction",
            f"[100 * ({low.name} / {predicted.name} - 1), 100 * ({high.name} / {predicted.name} - 1)]",
            (low, high, predicted),
            "%",
        )
        return {"predicted": predicted, "low": low, "high": high, "interval_percent": percent}

    def left_out(self, row: Mapping[str, Any], printed: Printed) -> Columns:
        """Explain a row of `leave_one_out`."""
        design, quantity = str(row["design"]), str(row["quantity"])
        found = self._printed(design, quantity, printed)
        own, half = found["printed"], found["half_digit"]
        predicted, low, high = self._total(row, "predicted")
        found |= {"predicted": predicted, "low": low, "high": high}
        found["relative_error"] = self._of(
            f"{design}.{quantity}.relative_error",
            row["relative_error"],
            "predicted against printed",
            f"{predicted.name} / {own.name} - 1",
            (predicted, own),
        )
        found["inside"] = self._of(
            f"{design}.{quantity}.inside",
            float(row["inside"]),
            "1 where the interval holds the printed number, as far as its digits say",
            f"({low.name} <= {own.name} + {half.name}) * ({own.name} - {half.name} <= {high.name})",
            (low, own, half, high),
        )
        return found

    def _total(self, row: Mapping[str, Any], best: str) -> tuple[Explanation, Explanation, Explanation]:
        """Explain a total at the best point and both ends of its posterior interval."""
        design, quantity = str(row["design"]), str(row["quantity"])
        name = f"{self.table}.{design}.{quantity}"
        constants = self.fit.library.constants
        core = estimate_core(self.fit.designs[design], library=self.fit.library).explain(quantity)
        core = prefixed(core, f"{design}.", constants.__contains__)
        posterior = self.fit.fits[quantity].posterior.draws
        draws = Draws(
            f"{self.fit.recipe}.fits[{quantity!r}].posterior.draws", len(next(iter(posterior.values()))), (*posterior,)
        )
        meaning = f"{core.meaning}, design {design}, with the fitted constants"
        return (
            Explanation(f"{name}.{best}", row[best], core.unit, meaning, core.name, (core,)),
            quantile(f"{name}.low", core, row["low"], 0.025, draws),
            quantile(f"{name}.high", core, row["high"], 0.975, draws),
        )

    def _printed(self, design: str, quantity: str, printed: Printed) -> Columns:
        name = f"{design}.{quantity}"
        unit = self.fit.library.formulas.by_name[quantity].unit
        decimals = self._of(f"{name}.decimals", float(printed.decimals), f"digits behind the point of {printed.text}")
        return {
            "printed": self._of(
                f"{name}.printed", printed.value, f"printed as {printed.text}; {printed.source}", unit=unit
            ),
            "half_digit": self._of(
                f"{name}.half_digit",
                printed.half_digit,
                "half a unit of the last printed digit",
                f"0.5 / 10 ** {decimals.name}",
                (decimals,),
                unit,
            ),
        }

    # -- constants ---------------------------------------------------------------------------------------------------

    def parameter(self, row: Mapping[str, Any]) -> Columns:
        """Explain a row of `Calibration.parameters`."""
        name, unit = str(row["constant"]), str(row["unit"])
        quantity = str(row["quantity"])
        prior = self.fit.fits[quantity].priors[name]
        kind = "uniform prior" if prior.uniform else "log-normal prior, 95 % interval"
        low, high = (
            self._of(f"{name}.prior_{end}", row[f"prior_{end}"], f"{end} end of the {kind}; {prior.source}", unit=unit)
            for end in ("low", "high")
        )
        own = self.fit.library.constants[name].value / self.fit.library.si[name]
        times = "" if own == 1 else f" * {own:.12g}"
        best = self._of(
            f"{name}.best",
            row["best"],
            "value at which prior and agreement with the printed totals are greatest together",
            f"{self.fit.recipe}.fits[{quantity!r}].best[{name!r}]{times}",
            unit=unit,
        )
        draws = self._draws(name, quantity)
        found = {"prior_low": low, "prior_high": high, "best": best}
        for end, level in (("low", 0.025), ("high", 0.975)):
            meaning = f"{100 * level:g} % quantile of the posterior draws"
            formula = f"numpy.quantile({draws.name}, {level}){times}"
            found[end] = self._of(f"{name}.{end}", row[end], meaning, formula, (draws,), unit)
        found["inside_prior"] = self._of(
            f"{name}.inside_prior",
            float(row["inside_prior"]),
            "1 where the best value lies inside the prior's interval",
            f"({low.name} <= {best.name}) * ({best.name} <= {high.name})",
            (low, best, high),
        )
        width = f"numpy.std(numpy.log({draws.name})) / ((log({high.name}) - log({low.name})) / (2 * {Z95}))"
        if prior.uniform:
            width = f"numpy.std(scipy.special.ndtri(({draws.name}{times} - {low.name}) / ({high.name} - {low.name})))"
        found["width_left"] = self._of(
            f"{name}.width_left",
            row["width_left"],
            "standard deviation of the posterior over that of the prior, in standard-normal coordinates of the prior",
            width,
            (draws, low, high),
        )
        return found

    def correlation(self, row: Mapping[str, Any], quantity: str) -> Columns:
        """Explain the correlation of two constants."""
        first, second = str(row["first"]), str(row["second"])
        priors = self.fit.fits[quantity].priors
        draws = self._draws(first, quantity), self._draws(second, quantity)
        normal = ", ".join(
            _normal(entry.name, priors[name]) for entry, name in zip(draws, (first, second), strict=True)
        )
        return {
            "correlation": self._of(
                f"{first}.to.{second}.correlation",
                row["correlation"],
                "correlation of the posterior draws in standard-normal coordinates of the priors",
                f"numpy.corrcoef({normal})[0, 1]",
                draws,
            )
        }

    def _draws(self, name: str, quantity: str) -> Explanation:
        recipe = f"{self.fit.recipe}.fits[{quantity!r}].posterior.draws[{name!r}]"
        size = len(self.fit.fits[quantity].posterior.draws[name])
        meaning = (
            f"{size} equally likely draws [{self.fit.library.si_units[name] or 'no unit'}] given the printed totals"
        )
        return Explanation(f"{self.table}.{name}.draws", recipe, "", meaning)

    # -- the fit as a whole --------------------------------------------------------------------------------------------

    def sizes(self) -> Columns:
        """Explain how many constants were free and how many numbers they were fitted to."""
        fits = self.fit.fits.items()
        free = [self._of(f"free_{key}", float(len(fit.priors)), f"free constants of {key}") for key, fit in fits]
        data = [self._of(f"printed_{key}", float(len(fit.targets)), f"printed numbers of {key}") for key, fit in fits]
        return {
            "free_values": self._sum("free_values", free, "free constants"),
            "data_values": self._sum("data_values", data, "published numbers"),
        }

    def structure(self, row: Mapping[str, Any]) -> Columns:
        """Explain a row of `compare_structures`, its probability apart, which rests on all of them."""
        fits = self.fit.fits
        agree = self._list("agree", [self.published(own)["agrees"] for own in records(self.fit.residuals)])
        inside = self._list("inside", [self.parameter(own)["inside_prior"] for own in records(self.fit.parameters)])
        evidence, effective = (
            [
                self._of(
                    f"{key}.{name}",
                    getattr(fit.posterior, name),
                    f"{meaning}, {key}",
                    f"{self.fit.recipe}.fits[{key!r}].posterior.{name}",
                )
                for key, fit in fits.items()
            ]
            for name, meaning in (
                ("evidence", "logarithm of the printed totals' probability under the priors"),
                ("effective", "effective number of independent draws behind the posterior"),
            )
        )
        quantity = "energy_fj_per_op"
        own = {"design": "B", "quantity": quantity, "predicted": row["b_energy_fj_per_op"]}
        predicted, low, high = self._total(own | {"low": row["b_low"], "high": row["b_high"]}, "predicted")
        digits, outside = len(agree.inputs), len(inside.inputs)
        return {
            "digits_agree": self._of(
                "digits_agree",
                float(row["digits_agree"]),
                "1 where every printed digit is met",
                f"total({agree.name}) == {digits}",
                (agree,),
            ),
            "outside_prior": self._of(
                "outside_prior",
                float(row["outside_prior"]),
                "constants outside their prior's interval",
                f"{outside} - total({inside.name})",
                (inside,),
            ),
            "log_evidence": self._sum(
                "log_evidence", evidence, "logarithm of the table's probability under the priors"
            ),
            "effective_draws": self._of(
                "effective_draws",
                row["effective_draws"],
                "of the quantity that has fewer",
                f"min({effective[0].name}, {effective[1].name})",
                tuple(effective),
            ),
            "b_energy_fj_per_op": self._same("b_energy_fj_per_op", predicted),
            "b_low": self._same("b_low", low),
            "b_high": self._same("b_high", high),
        }

    def _of(
        self,
        name: str,
        value: Value,
        meaning: str,
        formula: str | None = None,
        inputs: Sequence[Explanation] = (),
        unit: str = "",
    ) -> Explanation:
        return Explanation(f"{self.table}.{name}", value, unit, meaning, formula, tuple(inputs))

    def _sum(self, name: str, parts: Sequence[Explanation], meaning: str) -> Explanation:
        value = sum(_number(part) for part in parts)
        return self._of(name, value, meaning, " + ".join(part.name for part in parts), parts)

    def _list(self, name: str, parts: Sequence[Explanation]) -> Explanation:
        values = tuple(_number(part) for part in parts)
        return self._of(name, values, "one a row", f"[{', '.join(part.name for part in parts)}]", parts)

    def _same(self, name: str, other: Explanation) -> Explanation:
        return self._of(name, other.value, other.meaning, other.name, (other,), other.unit)


def _number(explained: Explanation) -> float:
    assert isinstance(explained.value, float)
    return explained.value


def _normal(draws: str, prior: Prior) -> str:
    """Return draws in the standard-normal coordinates of their prior, but for a factor, as Python."""
    if prior.uniform:
        return f"scipy.special.ndtri(({draws} - {prior.low!r}) / ({prior.high!r} - {prior.low!r}))"
    return f"numpy.log({draws})"


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as mappings.

    Args:
        frame: the table.
    """
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict(orient="records")]
