"""`devicekit reproduce`: published figures and tables computed again, with the law that each must show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from reports.commands.common import JsonOption, SeedOption, console, examples, print_json, print_table, progress

_TABLES = ("table3",)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "reproduce",
        epilog=examples(
            "devicekit reproduce sonos_fit slicing core_costs",
            "devicekit reproduce table3",
            "devicekit reproduce table3 --explain leave_one_out.C.area_mm2 --depth 3",
        ),
    )(reproduce)


def reproduce(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Published figures and tables by name, 'all' for every one, 'list' for their names; or table3: the "
            "fit to the energy and area of the reference cores in detail."
        ),
    ],
    full: Annotated[
        bool, typer.Option("--full/--quick", help="As many images, trials and networks as the data allow.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="Folder with data sets and weights, for more than the bundled digits.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("out/reproduced"),
    panels: Annotated[
        str | None,
        typer.Option(help="Write each figure as a single panel beside the page as well: png, svg or pdf."),
    ] = None,
    library: Annotated[str, typer.Option(help="table3: component library to calibrate.")] = "sonos_40nm",
    proposals: Annotated[
        int, typer.Option(min=2000, help="table3: draws made and weighted for each posterior.")
    ] = 20_000,
    explain: Annotated[
        str | None,
        typer.Option(
            help="table3: explain one computed cost by table, design and quantity, such as leave_one_out.C.area_mm2: "
            "the core's formula with the constants of the fit behind it."
        ),
    ] = None,
    depth: Annotated[int, typer.Option(min=1, help="table3: levels of formulas to print with --explain.")] = 2,
    as_json: JsonOption = False,
    seed: SeedOption = 0,
) -> None:
    """Published figures and tables computed again: the law each must show, our number, the published one, one page.

    A run that was interrupted goes on where it stopped. Quick is meant for minutes, full for hours.
    """
    from reports.published.registry import studies

    if names == list(_TABLES):
        _table3(library, proposals, explain, depth, as_json=as_json, seed=seed)
        return
    if explain is not None:
        raise _only_table3()
    if names == ["list"]:
        rows = [{"name": own.name, "published": own.place, "law": own.law} for own in studies().values()]
        if as_json:
            print_json(rows)
        else:
            print_table(rows, title="Published figures and tables", keys=1)
        return
    from reports.panels import check_name, page_panel, save
    from reports.published.run import reproduce as run

    if panels is not None:
        check_name(Path(f"figure.{panels}"), "--panels")
    with progress("Starting", as_json=as_json) as step:
        found = run(names, out, quick=not full, data=data, seed=seed, progress=step)
    for own in found if panels is not None else ():
        if own.finding is not None and own.finding.figure is not None:
            save(page_panel(own.finding.figure)[0], out / f"{own.name}.{panels}")
    if as_json:
        print_json({"page": str(out / "index.html"), "studies": [own.to_dict() for own in found]})
        return
    rows = [
        {
            "Study": own.name,
            "Law": own.verdict,
            "Here": own.finding.measured if own.finding else own.reason,
            "Published": own.published,
        }
        for own in found
    ]
    print_table(rows, title="Published figures, computed again", keys=1)
    console().print(f"Page: {out / 'index.html'}", soft_wrap=True)


def _only_table3() -> Exception:
    from reports.errors import StudyError

    return StudyError("--explain answers for table3 alone: devicekit reproduce table3 --explain ...")


def _table3(library: str, proposals: int, explain: str | None, depth: int, *, as_json: bool, seed: int) -> None:
    """Fit the component library to the published table again: agreement, prediction, leave-one-out, structures."""
    from energy import Reproduction

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
