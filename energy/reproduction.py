"""A published table computed again: fit, prediction, designs left out, structures, and where each cost came from."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

from devicekit.common.errors import unknown_name
from devicekit.common.plain import plain
from energy.calibration import QUANTITIES, Calibration, calibrate
from energy.core_cost import estimate_core
from energy.errors import EnergyError
from energy.explanations import Explanation
from energy.library import Library
from energy.published import load_published
from energy.validation import ALTERNATIVES, NAIVE, UNSEEN, fit_structure, left_out_rows, structure_table

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

    @cached_property
    def fit(self) -> Calibration:
        """The fit to every published design."""
        return calibrate(self.library, proposals=self.proposals, seed=self.seed)

    def _fit_without(self, design: str, structure: tuple[str, ...] = ()) -> Calibration:
        """Return the fit of a structure to all published designs but one."""
        if structure:
            return fit_structure(self.library, structure, left_out=(design,), proposals=self.proposals, seed=self.seed)
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
            *(
                (
                    f"Predicting {name} with {_structure(names)}",
                    lambda name=name, names=names: self.without(name, names),
                )
                for names in ALTERNATIVES[1:]
                for name in self.left_out
            ),
        ]

    # -- tables ------------------------------------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """Return every table, each a list of rows; the ``name`` of a row with a cost is what `explain` takes."""
        sizes = {"free_values": self.fit.free_values, "data_values": self.fit.data_values}
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
        return {f"published.{row['design']}.{row['quantity']}": row for row in plain(self.fit.residuals)}

    def _prediction(self) -> dict[str, Row]:
        rows = {}
        slices = self.fit.designs[UNSEEN].slices // self.fit.designs[NAIVE].slices
        for quantity in self.fit.fits:
            value, low, high = self.fit.prediction(UNSEEN, quantity)
            percent = [100 * (low / value - 1), 100 * (high / value - 1)]
            row = {"design": UNSEEN, "quantity": quantity, "predicted": value, "low": low, "high": high}
            naive = load_published()[NAIVE][quantity].value * slices
            # Equally far from both on a logarithmic scale: a printed value on either side speaks for that side.
            even = (value * naive) ** 0.5
            rows[f"prediction.{UNSEEN}.{quantity}"] = row | {
                "interval_percent": percent,
                "naive": naive,
                "equally_far": even,
            }
        return rows

    def _left_out(self) -> dict[str, Row]:
        published = load_published()
        rows = [row for name in self.left_out for row in left_out_rows(self.without(name), name, published[name])]
        return {f"leave_one_out.{row['design']}.{row['quantity']}": row for row in rows}

    def _parameters(self) -> dict[str, Row]:
        return {f"parameters.{row['constant']}": row for row in plain(self.fit.parameters)}

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
        """Return what each structure makes of the table, of design B, and of each design left out."""
        table = structure_table([self.alternative(names) for names in ALTERNATIVES])
        rows = {}
        for names, row in zip(ALTERNATIVES, plain(table), strict=True):
            errors = {
                f"error_{design}": own[0]["relative_error"]
                for design in self.left_out
                if (own := left_out_rows(self.without(design, names), design, load_published()[design]))
            }
            rows[f"structures.{_structure(names)}"] = row | errors
        return rows

    # -- where they came from ------------------------------------------------------------------------------------------

    def explain(self, name: str) -> Explanation:
        """Return where a computed cost came from: the core's own formula with the constants of the fit behind it.

        Args:
            name: name of a row of ``published``, ``prediction`` or ``leave_one_out``, such as
                ``leave_one_out.C.area_mm2``, or of a structure's prediction, such as
                ``structures.library.b_energy_fj_per_op``.

        Raises:
            EnergyError: an unknown name.
        """
        known = self._costs()
        # A row and its column of the best value name the same number.
        row = name.removesuffix(".fitted").removesuffix(".predicted")
        if row not in known:
            raise EnergyError(unknown_name("computed cost", name, known))
        fit, design, quantity = known[row]
        made = fit()
        return estimate_core(made.designs[design], library=made.library).explain(quantity)

    def _costs(self) -> dict[str, tuple[Callable[[], Calibration], str, str]]:
        """Return by name the fit behind every computed cost, its design and its quantity; fits nothing yet."""
        found: dict[str, tuple[Callable[[], Calibration], str, str]] = {}
        for quantity in QUANTITIES:
            for design in load_published():
                found[f"published.{design}.{quantity}"] = (lambda: self.fit), design, quantity
            found[f"prediction.{UNSEEN}.{quantity}"] = (lambda: self.fit), UNSEEN, quantity
            for design in self.left_out:
                found[f"leave_one_out.{design}.{quantity}"] = partial(self.without, design), design, quantity
        for names in ALTERNATIVES:
            name = f"structures.{_structure(names)}.b_energy_fj_per_op"
            found[name] = partial(self.alternative, names), UNSEEN, "energy_fj_per_op"
        return found


def _structure(names: tuple[str, ...]) -> str:
    return "_and_".join(names) or "library"
