"""`devicekit compare`: two results, or two cells, side by side; what changed, and whether it is more than chance."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from reports.commands.common import JsonOption, console, examples, print_json, print_note, print_table


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(
        "compare",
        epilog=examples(
            "devicekit compare sonos_40nm_tcas2022 sonos_40nm_iedm2022",
            "devicekit compare sonos_40nm_tcas2022_resampled sonos_40nm_tcas2022_resampled --json",
        ),
    )(compare)


_SIDE = (
    "A run (STORE.sqlite:NAME), the folder or results.json of a report or a sweep; or a cell: measurements, a device "
    "file, a bundled device."
)


def compare(
    old: Annotated[str, typer.Argument(help=_SIDE)],
    new: Annotated[str, typer.Argument(help="The other, of the same kind.")],
    as_json: JsonOption = False,
) -> None:
    """What changed from one result to another, or from one cell to another (wafers, code versions, ages)."""
    from reports.sweeps.comparison import compare as compared

    found = compared(old, new)
    if as_json:
        print_json(found)
        return
    for sentence in found.sentences:
        console().print(sentence, markup=False, soft_wrap=True)
    if found.cells:
        print_table([_cell_row(row) for row in found.cells], title=f"Cells: {old} → {new}")
    if found.designs:
        print_table([_design_row(row) for row in found.designs], title=f"{old} → {new}", keys=1)
    for name, left in ((old, found.only_old), (new, found.only_new)):
        if left:
            print_note(f"Only in {name}: {', '.join(left[:8])}{' ...' if len(left) > 8 else ''}")


def _cell_row(row: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"target [nA]": f"{1e9 * row['target_a']:.4g}"}
    for what, word in (("mean", "mean"), ("sigma", "sigma")):
        shown[f"{word} old [nA]"] = f"{1e9 * row[f'{what}_old_a']:.4g}"
        shown[f"{word} new [nA]"] = f"{1e9 * row[f'{what}_new_a']:.4g}"
        shown[f"{word}: changed"] = _verdict(row[f"{what}_significant"], row[f"{what}_p"])
    return shown


def _design_row(row: dict[str, Any]) -> dict[str, Any]:
    accuracy = [None if row[f"accuracy_{when}"] is None else 100 * row[f"accuracy_{when}"] for when in ("old", "new")]
    shown: dict[str, Any] = {
        "Design": row["design"],
        "Accuracy old [%]": None if accuracy[0] is None else f"{accuracy[0]:.2f}",
        "new [%]": None if accuracy[1] is None else f"{accuracy[1]:.2f}",
        "changed": _verdict(row["accuracy_significant"], row["accuracy_p"]),
    }
    for column, label in (
        ("network_energy_uj", "Energy [uJ]"),
        ("network_area_mm2", "Area [mm2]"),
        ("network_latency_us", "Latency [us]"),
    ):
        before, after = row[f"{column}_old"], row[f"{column}_new"]
        shown[f"{label} old"], shown[f"{label} new"] = before, after
    return shown


def _verdict(significant: bool | None, p: float | None) -> str | None:
    if significant is None or p is None:
        return None
    chance = "p < 0.001" if p < 1e-3 else f"p = {p:.2g}"
    return f"{'yes' if significant else 'no'} ({chance})"
