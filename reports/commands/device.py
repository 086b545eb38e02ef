"""`devicekit device`: the cells that simulations know, one by one and side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reports.commands.common import JsonOption, console, examples, print_json, print_table

if TYPE_CHECKING:
    from devicekit import Cell


def register(app: typer.Typer) -> None:
    """Add the command and its subcommands to the application."""
    own = typer.Typer(help="Memory cells: list, show, compare.", no_args_is_help=True, rich_markup_mode="rich")
    own.command("list", epilog=examples("devicekit device list"))(list_devices)
    own.command("show", epilog=examples("devicekit device show sonos_40nm_iedm2022 --time 2days"))(show)
    own.command(
        "compare", epilog=examples("devicekit device compare sonos_40nm_tcas2022 pcm_joshi2020 --figure cells.pdf")
    )(compare)
    app.add_typer(own, name="device")


TimeOption = Annotated[str | None, typer.Option(help="Time after programming, such as 100s or 2days.")]
FigureOption = Annotated[Path | None, typer.Option(help="Draw the spread to this file (png, svg or pdf).")]
TemperatureOption = Annotated[str | None, typer.Option(help="Temperature of the read, such as 350 (K) or 85degC.")]
SHARES = (0.01, 0.1, 0.25, 0.5, 1.0)
"""Fractions of the full scale that tables show."""
MISREAD = 1e-3
"""Chance of a misread on each side that digital levels are counted for."""


def list_devices(as_json: JsonOption = False) -> None:
    """List the bundled cells."""
    from devicekit import device_names, load_device
    from devicekit.cells.device_files import read_device_file
    from devicekit.common.engineering import engineering

    rows: list[dict[str, Any]] = []
    for name in device_names():
        content, cell = read_device_file(name)[0], load_device(name)
        rows.append(
            {
                "name": name,
                "technology": cell.technology,
                "title": content.title,
                "i_max_a": cell.i_max,
                "on_off_ratio": cell.on_off_ratio,
                "error_model": cell.error.name,
                "sigma_percent_of_i_max": 100 * float(cell.sigma(cell.i_max / 2)) / cell.i_max,
                "retention_s": cell.retention.measured_until if cell.retention is not None else None,
                "read_noise": cell.read_noise is not None,
            }
        )
    if as_json:
        print_json({"devices": rows})
        return
    shown = [{**row, "i_max_a": engineering(row["i_max_a"], "A")} for row in rows]
    for row in shown:
        del row["technology"]
    print_table(
        shown,
        title="Bundled devices",
        caption="sigma at half scale after programming. A device of your own is given as the path of its file.",
        headings={"i_max_a": "I_max", "on_off_ratio": "on/off", "error_model": "error model",
                  "sigma_percent_of_i_max": "sigma [% I_max]", "retention_s": "retention to [s]",
                  "read_noise": "read noise"},
    )  # fmt: skip


def show(
    device: Annotated[str, typer.Argument(help="A bundled device's name, or the path of a device file.")],
    time: TimeOption = None,
    temperature: TemperatureOption = None,
    figure: FigureOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a cell: its numbers with their sources, and its mean and spread."""
    from devicekit import load_device
    from devicekit.cells.device_files import read_device_file
    from devicekit.common.engineering import engineering

    content, path = read_device_file(device)
    cell = _moved(load_device(device), time, temperature)
    _draw({cell.name or device: cell}, figure)
    states = [_state(cell, share) for share in SHARES]
    if as_json:
        facts = {"title": content.title, "file": path, "notes": content.notes, "states": states}
        print_json(cell.to_dict() | facts)
        return
    out = console()
    out.print(f"{cell.name}: {content.title}", markup=False, soft_wrap=True, style="bold")
    for note in content.notes:
        out.print(f"  {note}", markup=False, soft_wrap=True)
    when = f" after {time}" if time else " after programming"
    where = f", read at {cell.temperature:g} K, uncompensated" if cell.temperature else ""
    print_table(
        [{k: engineering(v, "A") if k.endswith("_a") else v for k, v in row.items()} for row in states],
        title=f"Cells{when}{where}",
        headings={
            "fraction_of_i_max": "fraction of I_max",
            "target_a": "target",
            "mean_a": "mean",
            "sigma_a": "sigma",
            "sigma_percent_of_target": "sigma [% of target]",
            "read_noise_a": "noise of a read",
            "flicker_a": "1/f noise, in sigma",
        },
    )
    if cell.tail is not None:
        out.print(f"Outliers: {cell.tail.describe()}", markup=False, soft_wrap=True)
    rows = [
        {"name": name, "value": f"{c.value:.6g} {c.unit}".strip(), "kind": c.kind, "source": c.source}
        for name, c in cell.provenance.items()
    ]
    print_table(rows, title="Where the numbers come from")


def compare(
    devices: Annotated[list[str], typer.Argument(help="Two or more devices: names or paths.")],
    time: TimeOption = None,
    figure: FigureOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare cells at equal fractions of their full scale."""
    from devicekit import load_device
    from devicekit.cells.measured_levels import cell_levels
    from devicekit.common.errors import DeviceError

    if len(devices) < 2:
        raise DeviceError("Expected two or more devices to compare.")
    cells = {name: _moved(load_device(name), time, None) for name in devices}
    _draw(cells, figure)
    rows: list[dict[str, Any]] = [
        {
            "at": f"{share:g} I_max",
            **{name: 100 * float(cell.sigma(share * cell.i_max)) / cell.i_max for name, cell in cells.items()},
        }
        for share in SHARES
    ]
    levels = {name: len(cell_levels(cell, MISREAD)) for name, cell in cells.items()}
    facts: list[dict[str, Any]] = [
        {"quantity": "I_max [uA]", **{name: cell.i_max * 1e6 for name, cell in cells.items()}},
        {"quantity": "G_max [uS]", **{name: cell.g_max * 1e6 for name, cell in cells.items()}},
        {"quantity": "on/off ratio", **{name: cell.on_off_ratio for name, cell in cells.items()}},
        {"quantity": "error model", **{name: cell.error.name for name, cell in cells.items()}},
        {"quantity": "outlier cells [%]", **{name: 100 * _outliers(cell) for name, cell in cells.items()}},
        {
            "quantity": "states known [uA]",
            **{
                name: "–" if cell.measured_range is None else _range(cell.measured_range)
                for name, cell in cells.items()
            },
        },
        {"quantity": f"digital levels at {MISREAD:g}, within them", **levels},
    ]
    if as_json:
        print_json({"sigma_percent_of_i_max": rows, "facts": facts, "time": time})
        return
    print_table(facts, title="Cells")
    print_table(
        rows,
        title="Spread [% of I_max]" + (f" after {time}" if time else " after programming"),
        headings={"at": "programmed to"},
    )


def _draw(cells: dict[str, Cell], path: Path | None) -> None:
    if path is None:
        return
    from reports import panels

    panels.check_name(path)
    panels.save(panels.cells_panel(cells)[0], path)


def _outliers(cell: Cell) -> float:
    return 0.0 if cell.tail is None else cell.tail.fraction


def _range(edges: tuple[float, float]) -> str:
    return f"{edges[0] * 1e6:.4g} to {edges[1] * 1e6:.4g}"


def _moved(cell: Cell, time: str | None, temperature: str | None) -> Cell:
    return cell if time is None and temperature is None else cell.at(time=time, temperature=temperature)


def _state(cell: Cell, share: float) -> dict[str, Any]:
    target = share * cell.i_max
    return {
        "fraction_of_i_max": share,
        "target_a": target,
        "mean_a": float(cell.mean(target)),
        "sigma_a": float(cell.sigma(target)),
        "sigma_percent_of_target": 100 * float(cell.sigma(target)) / target,
        "read_noise_a": float(cell.read_sigma(cell.mean(target))),
        "flicker_a": float(cell.flicker_sigma(target)),
    }
