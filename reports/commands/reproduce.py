"""`devicekit reproduce`: published tables computed again, with what was fitted and what was predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from reports.commands.common import JsonOption, SeedOption, examples, print_json, print_table, progress

if TYPE_CHECKING:
    from energy import Calibration

_TABLES = ("table3",)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("reproduce", epilog=examples("devicekit reproduce table3"))(reproduce)


def reproduce(
    table: Annotated[str, typer.Argument(help="Published table: table3 (energy and area of the reference cores).")],
    library: Annotated[str, typer.Option(help="Component library to calibrate.")] = "sonos_40nm",
    proposals: Annotated[int, typer.Option(min=2000, help="Draws made and weighted for each posterior.")] = 20_000,
    as_json: JsonOption = False,
    seed: SeedOption = 0,
) -> None:
    """Fit the component library to a published table again: agreement, prediction, leave-one-out, structures."""
    from devicekit.errors import unknown_name
    from energy import EnergyError, calibrate, compare_structures, leave_one_out

    if table not in _TABLES:
        raise EnergyError(unknown_name("table to reproduce", table, _TABLES))
    with progress("Fitting", as_json=as_json) as step:
        step(0, 8, "Fitting A, C, D, E")
        fit = calibrate(library, proposals=proposals, seed=seed)
        left_out = []
        for number, design in enumerate(("C", "D"), start=1):
            step(number, 8, f"Predicting {design} from the others")
            left_out += _rows(leave_one_out(library, left_out=(design,), proposals=proposals, seed=seed))

        def other(done: int, total: int) -> None:
            step(3 + done, 3 + total, "Fitting other structures")

        structures = _rows(compare_structures(library, proposals=proposals, seed=seed, progress=other))
    document: dict[str, Any] = {
        "table": "Xiao et al., IEEE CAS Magazine 22(4) 2022, Table 3",
        "data_values": fit.data_values,
        "free_values": fit.free_values,
        "published": _rows(fit.residuals),
        "prediction": _prediction(fit),
        "parameters": [_own_unit(fit, row) for row in _rows(fit.parameters)],
        "correlations": {quantity: _strongest(fit, quantity) for quantity in fit.fits},
        "leave_one_out": left_out,
        "structures": structures,
    }
    if as_json:
        print_json(document)
    else:
        _show(document)


def _rows(frame: Any) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict(orient="records")]


def _own_unit(fit: Calibration, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of constants in the unit of the library file instead of SI."""
    name = row["constant"]
    constant = fit.library.constants[name]
    factor = constant.value / fit.library.si[name]
    scaled = {key: row[key] * factor for key in ("prior_low", "prior_high", "best", "low", "high")}
    return row | scaled | {"unit": constant.unit}


def _prediction(fit: Calibration) -> list[dict[str, Any]]:
    rows = []
    for quantity in fit.fits:
        value, low, high = fit.prediction("B", quantity)
        rows.append(
            {
                "design": "B",
                "quantity": quantity,
                "predicted": value,
                "low": low,
                "high": high,
                "interval_percent": [100 * (low / value - 1), 100 * (high / value - 1)],
            }
        )
    return rows


def _strongest(fit: Calibration, quantity: str, count: int = 6) -> list[dict[str, Any]]:
    """Return the pairs of constants that the data tie together most."""
    table = fit.fits[quantity].correlations
    names = list(table.columns)
    pairs = [
        {"first": first, "second": second, "correlation": float(table.loc[first, second])}
        for place, first in enumerate(names)
        for second in names[place + 1 :]
    ]
    return sorted(pairs, key=lambda pair: -abs(pair["correlation"]))[:count]


def _show(document: dict[str, Any]) -> None:
    print_table(
        [
            {
                "Design": row["design"],
                "Quantity": row["quantity"],
                "Printed": row["printed"],
                "Computed": f"{row['fitted']:.6g}",
                "Every digit": row["agrees"],
            }
            for row in document["published"]
        ],
        title=f"{document['table']}: {document['data_values']} published numbers, {document['free_values']} free "
        "constants held by priors",
    )
    print_table(
        [
            {
                "Design": row["design"],
                "Quantity": row["quantity"],
                "Predicted": f"{row['predicted']:.4g}",
                "95 % interval": f"{row['low']:.4g}..{row['high']:.4g}",
                "in percent": "{:+.0f}..{:+.0f} %".format(*row["interval_percent"]),
            }
            for row in document["prediction"]
        ],
        title="Design B, which the fit never saw",
    )
    print_table(
        [
            {
                "Design": row["design"],
                "Quantity": row["quantity"],
                "Printed": row["printed"],
                "Predicted": f"{row['predicted']:.4g}",
                "Error": f"{100 * row['relative_error']:+.1f} %",
                "95 % interval": f"{row['low']:.4g}..{row['high']:.4g}",
                "Inside": row["inside"],
            }
            for row in document["leave_one_out"]
        ],
        title="Left out and predicted from the other three",
    )
    print_table(
        [
            {
                "Constant": row["constant"],
                "Unit": row["unit"],
                "Prior 95 %": f"{row['prior_low']:.3g}..{row['prior_high']:.3g}",
                "Best": f"{row['best']:.4g}",
                "Posterior 95 %": f"{row['low']:.3g}..{row['high']:.3g}",
                "Inside prior": row["inside_prior"],
                "Width left": f"{100 * row['width_left']:.0f} %",
            }
            for row in document["parameters"]
        ],
        title="Free constants",
        caption="Width left: spread after the fit over the prior's; near 100 % the table says nothing of the constant.",
    )
    print_table(
        [
            {"First": row["first"], "Second": row["second"], "Correlation": f"{row['correlation']:+.2f}"}
            for rows in document["correlations"].values()
            for row in rows
        ],
        title="Strongest correlations after the fit: these are known together only",
    )
    print_table(
        [
            {
                "Structure": row["structure"],
                "Every digit": row["digits_agree"],
                "Outside priors": row["outside_prior"],
                "Probability": f"{row['probability']:.2g}",
                "B [fJ/op]": f"{row['b_energy_fj_per_op']:.4g} ({row['b_low']:.4g}..{row['b_high']:.4g})",
            }
            for row in document["structures"]
        ],
        title="Structural alternatives",
        caption="Probability among these, from how well the priors foresee the published table.",
    )
