"""`devicekit results`: the runs of a store, and their tables as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from reports.commands.common import JsonOption, console, examples, print_json, print_table

DEFAULT_STORE = Path("out/studies.sqlite")


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(
        "results",
        epilog=examples(
            "devicekit results",
            "devicekit results --json",
        ),
    )(results)


def results(
    run: Annotated[str | None, typer.Argument(help="Name of a run; all runs are listed without.")] = None,
    store: Annotated[Path, typer.Option(help="File that keeps the results.")] = DEFAULT_STORE,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="Rows to keep: a condition on columns of the table, such as 'adc_bits == 8' or "
            "'network_area_mm2 < 1'; repeatable."
        ),
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Columns to keep, with commas between; all by default.")] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write the table to a file: .csv, .parquet, .md or .tex (LaTeX, booktabs).")
    ] = None,
    remove: Annotated[bool, typer.Option(help="Forget the run; its evaluations stay for others.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What has been run: the runs of a store, one run's table, and that table as a file."""
    from reports.commands.sweep import show
    from reports.errors import StudyError
    from reports.store import Store
    from reports.store.exports import export as written
    from reports.sweeps.result import sweep_result

    if run is None:
        if where or columns or export or remove:
            raise StudyError("Expected the name of a run beside --where, --columns, --export or --remove.")
        _list(store, as_json)
        return
    with Store(store, create=False) as opened:
        if remove:
            opened.remove(run)
            console().print(f"Removed the run {run} from {store}.")
            return
        result = sweep_result(opened, run)
    rows = _kept(result.rows, where or [], columns)
    if export is not None:
        written(rows, export)
    if as_json:
        print_json({"run": result.name, "study": result.study, "table": rows})
    elif export is not None:
        console().print(f"Wrote {len(rows)} rows to {export}.", soft_wrap=True)
    elif where or columns:
        print_table([{key: value for key, value in row.items() if value is not None} for row in rows] if not columns
                    else rows, title=result.name, keys=1)  # fmt: skip
    else:
        show(result)


def _list(store: Path, as_json: bool) -> None:
    from reports.store import Store

    found: list[dict[str, Any]] = []
    if store.is_file():
        with Store(store, create=False) as opened:
            found = opened.runs()
    if as_json:
        print_json({"store": store, "runs": found})
        return
    if not found:
        console().print(f"{store} holds no runs yet: make one with devicekit sweep.", soft_wrap=True)
        return
    rows = [
        {
            "Run": entry["name"],
            "Points": sum(entry["points"].values()),
            "Done": entry["points"].get("done", 0),
            "Failed": entry["points"].get("failed", 0),
            "Started": entry["started"],
            "Finished": entry["finished"],
            "devicekit": f"{entry['version']} ({entry['code'][:8]})",
        }
        for entry in found
    ]
    print_table(rows, title=f"Runs in {store}")


def _kept(rows: list[dict[str, Any]], where: list[str], columns: str | None) -> list[dict[str, Any]]:
    """Return the rows that keep to all conditions, with the columns asked for.

    Raises:
        StudyError: a condition or a column that does not fit the table.
    """
    from devicekit.common.errors import unknown_name
    from reports.errors import StudyError
    from reports.store.conditions import keeps

    for text in where:
        rows = [row for row in rows if keeps(row, text)]
    if not columns:
        return rows
    names = [name.strip() for name in columns.split(",") if name.strip()]
    for name in names if rows else ():
        if name not in rows[0]:
            raise StudyError("--columns: " + unknown_name("column", name, rows[0]))
    return [{name: row[name] for name in names} for row in rows]
