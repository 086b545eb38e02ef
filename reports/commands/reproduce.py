"""`devicekit reproduce`: published tables computed again, with what was fitted and what was predicted."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from reports.commands.common import JsonOption, SeedOption, examples, print_json, print_table, progress

_TABLES = ("table3",)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "reproduce",
        epilog=examples(
            "devicekit reproduce table3",
            "devicekit reproduce table3 --explain leave_one_out.C.area_mm2 --depth 3",
        ),
    )(reproduce)


def reproduce(
    table: Annotated[str, typer.Argument(help="Published table: table3 (energy and area of the reference cores).")],
    library: Annotated[str, typer.Option(help="Component library to calibrate.")] = "sonos_40nm",
    proposals: Annotated[int, typer.Option(min=2000, help="Draws made and weighted for each posterior.")] = 20_000,
    explain: Annotated[
        str | None,
        typer.Option(
            help="Explain one computed cost by table, design and quantity, such as leave_one_out.C.area_mm2: the "
            "core's formula with the constants of the fit behind it."
        ),
    ] = None,
    depth: Annotated[int, typer.Option(min=1, help="Levels of formulas to print with --explain.")] = 2,
    as_json: JsonOption = False,
    seed: SeedOption = 0,
) -> None:
    """Fit the component library to a published table again: agreement, prediction, leave-one-out, structures."""
    from devicekit.common.errors import unknown_name
    from energy import EnergyError, Reproduction

    if table not in _TABLES:
        raise EnergyError(unknown_name("table to reproduce", table, _TABLES))
    made = Reproduction(library, proposals=proposals, seed=seed)
    if explain is not None:
        text = made.explain(explain).text(depth)
        if as_json:
            print_json({explain: text})
        else:
            typer.echo(text)
        return
    with progress("Fitting", as_json=as_json) as step:
        steps = made.steps()
        for number, (what, make) in enumerate(steps):
            step(number, len(steps), what)
            make()
    document = made.document()
    if as_json:
        print_json(document)
    else:
        _show(document)


def _show(document: dict[str, Any]) -> None:
    from energy.tables import between, with_interval

    print_table(
        [
            {
                "Design": row["design"],
                "Quantity": row["quantity"],
                "Printed": row["printed"],
                "Computed": f"{row['fitted']:.6g}",
                "Residual": f"{row['residual']:+.1e}",
                "Every digit": row["agrees"],
            }
            for row in document["published"]
        ],
        keys=2,
        title=f"{document['table']}: {document['data_values']} published numbers, {document['free_values']} free "
        "constants held by priors (published)",
    )
    print_table(
        [
            {
                "Design": row["design"],
                "Quantity": row["quantity"],
                "Predicted": with_interval(row["predicted"], (row["low"], row["high"])),
                "in percent": "{:+.0f}..{:+.0f} %".format(*row["interval_percent"]),
                "A times slices": f"{row['naive']:.3g}",
                "Equally far": f"{row['equally_far']:.3g}",
            }
            for row in document["prediction"]
        ],
        keys=2,
        title="Design B, which the fit never saw (prediction)",
        caption="A times slices: the printed cost of A for each of B's weight slices, what no model is needed for.\n"
        "A printed value beyond `equally far` is closer to the prediction, one before it to A times slices.",
    )
    print_table(
        [
            {
                "Design": row["design"],
                "Quantity": row["quantity"],
                "Printed": row["printed"],
                "Predicted": with_interval(row["predicted"], (row["low"], row["high"])),
                "Error": f"{100 * row['relative_error']:+.1f} %",
                "Inside": row["inside"],
            }
            for row in document["leave_one_out"]
        ],
        keys=2,
        title="Left out and predicted from the other three (leave_one_out)",
    )
    print_table(
        [
            {
                "Constant": row["constant"],
                "Unit": row["unit"],
                "Prior 95 %": between(row["prior_low"], row["prior_high"]),
                "Best": f"{row['best']:.4g}",
                "Posterior 95 %": between(row["low"], row["high"]),
                "Inside prior": row["inside_prior"],
                "Width left": f"{100 * row['width_left']:.0f} %",
            }
            for row in document["parameters"]
        ],
        keys=1,
        title="Free constants (parameters)",
        caption="Width left: spread after the fit over the prior's; near 100 % the table says nothing of the constant.",
    )
    print_table(
        [
            {"First": row["first"], "Second": row["second"], "Correlation": f"{row['correlation']:+.2f}"}
            for row in document["correlations"]
        ],
        keys=2,
        title="Strongest correlations after the fit: these are known together only (correlations)",
    )
    print_table(
        [
            {
                "Structure": row["structure"],
                "Every digit": row["digits_agree"],
                "Outside priors": row["outside_prior"],
                "Probability": f"{row['probability']:.2g}",
                "B [fJ/op]": with_interval(row["b_energy_fj_per_op"], (row["b_low"], row["b_high"])),
                "Energy left out": ", ".join(
                    f"{key.removeprefix('error_')} {100 * value:+.0f} %"
                    for key, value in row.items()
                    if key.startswith("error_")
                ),
            }
            for row in document["structures"]
        ],
        keys=1,
        title="Structural alternatives (structures)",
        caption="Probability among these, from how well the priors foresee the published table.\n"
        "Where a computed cost comes from: --explain TABLE.DESIGN.QUANTITY with the table's name in brackets.",
    )
