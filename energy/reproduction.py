"""A published table computed again: fit, prediction, designs left out, structures, and where each number came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from devicekit.common.errors import unknown_name
from energy.calibration import Calibration, calibrate
from energy.errors import EnergyError
from energy.explanations import Explanation
from energy.fit_explanations import Columns, FitExplanations, records
from energy.library import Library
from energy.published import load_published
from energy.validation import ALTERNATIVES, UNSEEN, fit_structure, left_out_rows, structure_table

Row = dict[str, Any]
TABLES = ("published", "prediction", "leave_one_out", "parameters", "correlations", "structures")


class Reproduction:
    """The published energy and area of the reference cores, fitted and predicted again.

    Fits are made when they are first needed: a number of one table does not wait for the others.

    Args:
        library: component library to calibrate.
        proposals: draws made and weighted for each posterior.
        seed: seed of the draws.
        left_out: designs that are predicted from the others.
    """

    TITLE = "Xiao et al., IEEE CAS Magazine 22(4) 2022, Table 3"

    def __init__(
        self,
        library: str | Path | Library = "sonos_40nm",
        *,
        proposals: int = 20_000,
        seed: int = 0,
        left_out: tuple[str, ...] = ("A", "C", "D", "E"),
    ) -> None:
        self.library = library
        self.proposals = proposals
        self.seed = seed
        self.left_out = left_out
        self.without = cache(self._fit_without)
        self.alternative = cache(self._fit_alternative)
        self.rows_of = cache(self._make_rows)
        self._columns = cache(self._explain_row)
        self._of_structure = cache(self._explain_structure)

    @cached_property
    def fit(self) -> Calibration:
        """The fit to every published design."""
        return calibrate(self.library, proposals=self.proposals, seed=self.seed)

    def _fit_without(self, design: str) -> Calibration:
        """Return the fit to all published designs but one."""
        return calibrate(self.library, left_out=(design,), proposals=self.proposals, seed=self.seed)

    def _fit_alternative(self, structure: tuple[str, ...]) -> Calibration:
        """Return the fit of a structural alternative."""
        return fit_structure(self.library, structure, proposals=self.proposals, seed=self.seed)

    def steps(self) -> list[tuple[str, Callable[[], object]]]:
        """Return every fit with a line that says what it is, for whoever shows progress."""
        return [
            ("Fitting the published designs", lambda: self.fit),
            *((f"Predicting {name} from the others", lambda name=name: self.without(name)) for name in self.left_out),
            *((f"Fitting {_structure(names)}", lambda names=names: self.alternative(names)) for names in ALTERNATIVES),
        ]

    # -- tables ------------------------------------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """Return every table, each a list of rows; a row's ``name`` and a column's together name a number."""
        sizes = {name: int(_number(explained)) for name, explained in self._sizes.items()}
        tables = {table: [{"name": name, **row} for name, row in self.rows_of(table).items()] for table in TABLES}
        return {"table": self.TITLE, **sizes, **tables}

    def _make_rows(self, table: str) -> dict[str, Row]:
        """Return the rows of one of `TABLES` by name."""
        make = {
            "published": self._published,
            "prediction": self._prediction,
            "leave_one_out": self._left_out,
            "parameters": self._parameters,
            "correlations": self._correlations,
            "structures": self._structures,
        }
        return make[table]()

    def _published(self) -> dict[str, Row]:
        return {f"published.{row['design']}.{row['quantity']}": row for row in records(self.fit.residuals)}

    def _prediction(self) -> dict[str, Row]:
        rows = {}
        for quantity in self.fit.fits:
            value, low, high = self.fit.prediction(UNSEEN, quantity)
            percent = [100 * (low / value - 1), 100 * (high / value - 1)]
            row = {"design": UNSEEN, "quantity": quantity, "predicted": value, "low": low, "high": high}
            rows[f"prediction.{UNSEEN}.{quantity}"] = row | {"interval_percent": percent}
        return rows

    def _left_out(self) -> dict[str, Row]:
        published = load_published()
        rows = [row for name in self.left_out for row in left_out_rows(self.without(name), name, published[name])]
        return {f"leave_one_out.{row['design']}.{row['quantity']}": row for row in rows}

    def _parameters(self) -> dict[str, Row]:
        return {f"parameters.{row['constant']}": row for row in records(self.fit.parameters)}

    def _correlations(self, count: int = 6) -> dict[str, Row]:
        """Return the pairs of constants of each quantity that the data tie together most."""
        rows = {}
        for quantity, fit in self.fit.fits.items():
            table = fit.correlations
            names = list(table.columns)
            pairs = [
                {"quantity": quantity, "first": first, "second": second, "correlation": float(table.loc[first, second])}
                for place, first in enumerate(names)
                for second in names[place + 1 :]
            ]
            for pair in sorted(pairs, key=lambda pair: -abs(pair["correlation"]))[:count]:
                rows[f"correlations.{pair['first']}.to.{pair['second']}"] = pair
        return rows

    def _structures(self) -> dict[str, Row]:
        table = structure_table([self.alternative(names) for names in ALTERNATIVES])
        return {f"structures.{_structure(names)}": row for names, row in zip(ALTERNATIVES, records(table), strict=True)}

    # -- where they came from ------------------------------------------------------------------------------------------

    def explain(self, name: str) -> Explanation:
        """Return where a number came from.

        Args:
            name: a row's name and a column, such as ``published.A.energy_fj_per_op.residual`` or
                ``parameters.ramp.run.energy.low``; or ``free_values``, ``data_values``.

        Raises:
            EnergyError: an unknown name.
        """
        table = name.partition(".")[0]
        if name in ("free_values", "data_values"):
            return self._sizes[name]
        if table not in TABLES:
            raise EnergyError(unknown_name("table of numbers", table, TABLES))
        rows = self.rows_of(table)
        row, _, column = name.rpartition(".")
        if row not in rows or column not in self._columns(table, row):
            known = [f"{own}.{key}" for own, values in rows.items() for key in values if key not in _LABELS]
            raise EnergyError(unknown_name("number", name, known))
        return self._columns(table, row)[column]

    @cached_property
    def _sizes(self) -> Columns:
        found = FitExplanations(self.fit, "fit").sizes()
        return {name: replace(explained, name=name) for name, explained in found.items()}

    def _explain_row(self, table: str, name: str) -> Columns:
        """Return the explanations of one row by column."""
        row = self.rows_of(table)[name]
        if table == "published":
            return FitExplanations(self.fit, table).published(row)
        if table == "prediction":
            return FitExplanations(self.fit, table).prediction(row)
        if table == "leave_one_out":
            design = str(row["design"])
            printed = load_published()[design][str(row["quantity"])]
            return FitExplanations(self.without(design), table).left_out(row, printed)
        if table == "parameters":
            return FitExplanations(self.fit, table).parameter(row)
        if table == "correlations":
            return FitExplanations(self.fit, table).correlation(row, str(row["quantity"]))
        evidence = [self._of_structure(names)["log_evidence"] for names in ALTERNATIVES]
        own = next(self._of_structure(names) for names in ALTERNATIVES if name == f"structures.{_structure(names)}")
        return own | {"probability": _probability(name, row["probability"], own["log_evidence"], evidence)}

    def _explain_structure(self, names: tuple[str, ...]) -> Columns:
        name = f"structures.{_structure(names)}"
        return FitExplanations(self.alternative(names), name).structure(self.rows_of("structures")[name])


_LABELS = ("design", "quantity", "constant", "unit", "first", "second", "structure")


def _structure(names: tuple[str, ...]) -> str:
    return "_and_".join(names) or "library"


def _number(explained: Explanation) -> float:
    assert isinstance(explained.value, float)
    return explained.value


def _probability(name: str, value: float, own: Explanation, evidence: list[Explanation]) -> Explanation:
    """Explain how probable a structure is among the alternatives that were fitted."""
    together = Explanation(
        "log_evidences",
        tuple(_number(entry) for entry in evidence),
        "",
        "of each alternative",
        f"[{', '.join(entry.name for entry in evidence)}]",
        tuple(evidence),
    )
    return Explanation(
        f"{name}.probability",
        value,
        "",
        "probability among the alternatives, equally probable before the table is seen",
        f"exp({own.name} - largest(log_evidences)) / total(exp(log_evidences - largest(log_evidences)))",
        (own, together),
    )
