"""`devicekit energy`: what cores and networks on them cost, with intervals, counts and the source of every number."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reports.commands._core_options import OverrideOption, overrides_of
from reports.commands.common import (
    DesignsArgument,
    JsonOption,
    SeedOption,
    examples,
    print_json,
    print_table,
    progress,
)

if TYPE_CHECKING:
    from circuits import LayerShape
    from energy import CoreCost, Library, NetworkCost

_TABLES = ("cost", "counts", "breakdown", "network", "layers")
_SUFFIXES = {".csv": "csv", ".md": "markdown", ".tex": "latex"}
_IMAGES = {
    "digits": (1, 8, 8),
    "mnist": (1, 28, 28),
    "fashion_mnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
    "cifar10_raw": (3, 32, 32),
}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "energy",
        epilog=examples(
            "devicekit energy",
            "devicekit energy accelerators --adc sar --format markdown",
            "devicekit energy B --table breakdown --figure breakdown.png",
            "devicekit energy xiao2022 --front front.pdf",
            "devicekit energy A --explain energy_fj_per_op --depth 3",
            "devicekit energy A --network digits_cnn",
            "devicekit energy A --network digits_cnn --explain conv2.energy_gated_nj",
            "devicekit energy A --network digits_cnn --override conv1=B",
        ),
    )(energy)


def energy(
    designs: DesignsArgument = None,
    library: Annotated[
        str, typer.Option(help="Component library: a name or a file; 'borrow:sonos_40nm' for cells of any technology.")
    ] = "sonos_40nm",
    device: Annotated[
        str | None,
        typer.Option(help="Device whose read current and voltage are used; the core's, or the library's, by default."),
    ] = None,
    peripherals: Annotated[
        str | None, typer.Option(help="Simulated peripherals whose energies are used: a name or a file.")
    ] = None,
    adc: Annotated[
        str | None,
        typer.Option(
            help="ADC: ramp, sar, flash, pipeline, sar_40nm ..., or a file; the core's, or a ramp, by default."
        ),
    ] = None,
    structure: Annotated[str | None, typer.Option(help="A structural alternative, such as ramp_per_array.")] = None,
    network: Annotated[
        str | None, typer.Option(help="Network to place on the cores: a name, module:function or file.py:function.")
    ] = None,
    image: Annotated[
        str | None, typer.Option("--input", help="Shape of the network's input, such as 3x224x224.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Name pattern of the network's layers that stay digital; repeatable.")
    ] = None,
    override: OverrideOption = None,
    layers: Annotated[
        Path | None, typer.Option(help="Layers instead of a network: CSV with name, rows, columns, mvms, groups.")
    ] = None,
    groups: Annotated[
        str | None, typer.Option(help="Grouped layers: packed block-diagonally (default), or one_core_each.")
    ] = None,
    core_budget: Annotated[
        int | None, typer.Option(help="Cores to spend on copies of slow layers; no copies by default.")
    ] = None,
    table: Annotated[str | None, typer.Option(help="Which table: cost, counts, breakdown, network or layers.")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="table (default), csv (every digit), markdown or latex.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write to this file; .csv, .md and .tex say the format by themselves.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the breakdown to this file (png, svg or pdf).")] = None,
    front: Annotated[
        Path | None, typer.Option(help="Draw energy against area of the cores, and their front, to this file.")
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option(
            help="Explain one number: a column's name or heading, energy_fj_per_op_low for an end of its interval, "
            "COMPONENT.energy_pj of a breakdown, LAYER.energy_gated_nj of a network, any count or constant."
        ),
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer whose number is explained, if not given before it.")] = None,
    depth: Annotated[int, typer.Option(min=1, help="Levels of formulas to print with --explain.")] = 2,
    as_json: JsonOption = False,
    seed: SeedOption = 0,
) -> None:
    """Energy, area and latency of analog cores, and of networks on them, with intervals, counts and sources."""
    from circuits import as_core, choose_cores, load_core
    from devicekit.common.errors import unknown_name
    from energy import EnergyError, estimate_core, estimate_network, load_library
    from energy.tables import FORMATS
    from reports import panels

    if front is not None:
        panels.check_name(front, "--front")
    placed = network is not None or layers is not None
    form = _format(form, out, as_json)
    if form not in ("table", *FORMATS):
        raise EnergyError(unknown_name("table format", form, ("table", *FORMATS)))
    if table is not None and table not in _TABLES:
        raise EnergyError(unknown_name("table", table, _TABLES))
    if network is not None and layers is not None:
        raise EnergyError("Expected either --network or --layers, but got both.")
    given: dict[str, Any] = {
        "--groups": groups,
        "--core-budget": core_budget,
        "--layer": layer,
        f"--table {table}": table,
    }
    given |= {"--override": override or None}
    for option in (name for name, value in given.items() if value not in (None, "cost", "counts", "breakdown")):
        if not placed:
            raise EnergyError(f"{option} needs a network: give --network or --layers.")
    if image is not None and network is None:
        raise EnergyError("--input is the shape of a network's input: give --network.")
    if exclude and network is None:
        raise EnergyError("--exclude names layers of a network: give --network.")
    loaded = load_library(library)
    chosen = [as_core(core, cell=device, adc=adc) for core in choose_cores(designs or ["xiao2022"]).values()]
    overrides = {pattern: load_core(name) for pattern, name in overrides_of(override).items()}
    options: dict[str, Any] = {"library": loaded, "peripherals": peripherals, "structure": structure, "seed": seed}
    costs = [estimate_core(core, **options) for core in chosen]
    networks: list[NetworkCost] = []
    shapes = _layers(network, image, layers, exclude or [])
    if shapes:
        options |= {"overrides": overrides, "groups": groups or "packed", "core_budget": core_budget}
        with progress("Placing the network", as_json=as_json) as step:
            for number, core in enumerate(chosen):
                step(number, len(chosen), f"Placing the network on {core.name}")
                networks.append(estimate_network(shapes, core, **options))
    if figure is not None:
        _draw(costs, figure)
    if front is not None:
        panels.save(panels.front_panel([cost.row() for cost in costs], [core.name for core in chosen])[0], front)
    if explain is not None:
        _explain(costs, networks, explain, layer, depth, as_json)
    elif as_json:
        _json(costs, networks, loaded)
    else:
        _show(costs, networks, table, form, out, loaded)


def api_arguments() -> dict[str, str]:
    """Return the options for arguments of the API that are called otherwise here."""
    return {"cell": "--device"}


def _format(form: str | None, out: Path | None, as_json: bool) -> str:
    """Return the format asked for, or the one that the file's name says.

    Raises:
        EnergyError: JSON asked for beside another format or file, or a file whose format nothing says.
    """
    from energy import EnergyError

    if as_json and (form or out):
        raise EnergyError("Expected either --json, which prints one document, or --format and --out, but got both.")
    if form is None and out is not None:
        if out.suffix not in _SUFFIXES:
            raise EnergyError(f"Expected --format, or --out to end in {', '.join(_SUFFIXES)}, but got {out.name!r}.")
        return _SUFFIXES[out.suffix]
    if form == "table" and out is not None:
        raise EnergyError("The format table is for the terminal: give --format csv, markdown or latex with --out.")
    return form or "table"


def _layers(network: str | None, image: str | None, layers: Path | None, exclude: list[str]) -> list[LayerShape]:
    """Return the layers to place: of a file, or traced from a network with random weights."""
    if layers is not None:
        from energy import read_layers

        return read_layers(layers)
    if network is None:
        return []
    import torch

    from accuracy import layer_shapes, networks
    from accuracy.batches import Batch

    model = networks.load(network, None if networks.is_own(network) else "random")
    if image is not None:
        from energy import EnergyError

        if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", image):
            raise EnergyError(f"Expected --input to be sizes such as 3x224x224, but got {image!r}.")
        size = tuple(int(part) for part in image.split("x"))
    else:
        size = _image_of(networks.data_set(network))
    example = torch.zeros(1, *size)
    networks.try_out(network, model, Batch((example,), {}))
    return layer_shapes(model, example, exclude=exclude)


def _image_of(data_set: str) -> tuple[int, ...]:
    """Return the shape of a data set's images; those of ImageNet have their side in the name."""
    if data_set in _IMAGES:
        return _IMAGES[data_set]
    side = data_set.rpartition("_")[2]
    if not side.isdigit():
        from energy import EnergyError

        raise EnergyError(f"The shape of {data_set!r} images is not known here: give --input.")
    return (3, int(side), int(side))


def _draw(costs: list[CoreCost], path: Path) -> None:
    from devicekit.common.figure_files import save_figure
    from devicekit.common.paths import replacing
    from energy import EnergyError
    from energy.figures import breakdown_figure

    if path.suffix not in (".png", ".svg", ".pdf"):
        raise EnergyError(f"Expected --figure to end in .png, .svg or .pdf, but got {path.name!r}.")
    drawn, _ = breakdown_figure(costs)
    with replacing(path) as temporary:
        save_figure(drawn, temporary)


def _named(cost: CoreCost | NetworkCost) -> dict[str, Any]:
    row = cost.row()
    return {"name": row["design"], "cost": row}


def _explain(
    costs: list[CoreCost], networks: list[NetworkCost], name: str, layer: str | None, depth: int, as_json: bool
) -> None:
    from energy.tables import name_of
    from reports.sources import borrowed_note

    # With a network its own tables come first; the core's numbers are found by their names as well.
    name = name_of(name, layers=layer is not None, network=bool(networks))
    texts = {}
    for number, cost in enumerate(costs):
        explained = networks[number].explain(name, layer) if networks else cost.explain(name)
        note = borrowed_note([_named(networks[number] if networks else cost)])
        texts[cost.design.name] = "\n".join(filter(None, (explained.text(depth), note)))
    if as_json:
        print_json(texts)
        return
    for design, text in texts.items():
        typer.echo(f"design {design}\n{text}\n" if len(texts) > 1 else text)


def _json(costs: list[CoreCost], networks: list[NetworkCost], library: Library) -> None:
    from energy.tables import layer_rows, network_rows

    cores = [*costs, *(core for cost in networks for core in cost.cores)]
    borrowed = " and ".join(sorted({core.library.borrowed for core in cores if core.library.borrowed}))
    document: dict[str, Any] = {"library": library.name, "borrowed_from": borrowed, "designs": costs}
    if networks:
        document["networks"] = network_rows(networks)
        document["layers"] = layer_rows(networks)
    print_json(document)


def _calibrated(costs: list[CoreCost], loaded: Library) -> str:
    """Return which designs the library was fitted to, as a sentence; none once their totals are other than printed."""
    from circuits import Core
    from energy import load_published
    from reports.sources import calibration_note

    printed = load_published()
    agree = not any(cost.library.borrowed for cost in costs) and all(
        number.agrees(cost.value(quantity))
        for cost in costs
        for quantity, number in printed.get(cost.design.name, {}).items()
    )
    return calibration_note([Core(cost.design, cost.aged, cost.adc) for cost in costs], loaded) if agree else ""


def _show(
    costs: list[CoreCost], networks: list[NetworkCost], table: str | None, form: str, out: Path | None, loaded: Library
) -> None:
    from energy import tables
    from reports.sources import borrowed_note

    brackets = "In brackets: 95 % interval. " + _calibrated(costs, loaded)
    captions = {"cost": brackets + borrowed_note([_named(own) for own in costs])}
    captions["network"] = brackets + borrowed_note([_named(own) for own in networks])
    explained = "Where a number comes from: --explain with its heading, or its name as --format csv prints it."
    full: dict[str, Any] = {
        "cost": (lambda: [cost.row() for cost in costs], tables.SHORT, 1),
        "counts": (lambda: [cost.row() for cost in costs], tables.COUNT_HEADINGS, 1),
        "breakdown": (lambda: tables.breakdown_rows(costs), tables.BREAKDOWN_HEADINGS, 2),
        "network": (lambda: tables.network_rows(networks), tables.network_headings(networks), 1),
        "layers": (
            lambda: tables.layer_rows(networks),
            tables.layer_headings(networks),
            2 if len(networks) > 1 else 1,
        ),
    }
    titles = {
        "cost": f"Cost of a core, library {loaded.name}",
        "counts": "Counts of one matrix-vector product",
        "breakdown": f"Cost by component, library {loaded.name}",
        "network": "The network on cores of a design"
        if not any(own.is_mixed for own in networks)
        else "The network on cores of several designs",
        "layers": "Layer by layer",
    }
    wanted = [table] if table else ["network", "layers"] if networks else ["cost", "counts"]
    if form == "table":
        for name in wanted:
            rows, headings, keys = full[name]
            lines = [captions.get(name, ""), explained if name == wanted[-1] else ""]
            print_table(
                tables.selected(rows(), headings),
                title=titles[name],
                caption="\n".join(line.strip() for line in lines if line) or None,
                headings=headings,
                keys=keys,
            )
        return
    rows, headings, _ = full[wanted[0]]
    text = tables.as_text(rows() if form == "csv" else tables.selected(rows(), headings), form, headings)
    if out is None:
        typer.echo(text, nl=False)
        return
    from devicekit.common.paths import replacing

    with replacing(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
