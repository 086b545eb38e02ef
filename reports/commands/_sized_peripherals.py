"""`devicekit peripherals --size DESIGN`: circuits sized for the line currents of a design, simulated or recorded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.commands.common import print_json, print_note, print_table, progress

if TYPE_CHECKING:
    from circuits import CoreDesign, Load, PeripheralGrid


def show_sized(
    parameters: str, name: str, *, recorded: bool, full_scale: str | None, common: str | None, out: Path | None,
    as_json: bool, seed: int,
) -> None:  # fmt: skip
    """Size a circuit for a design, simulate or load it, and show what it does over its currents.

    Args:
        parameters: parameter set whose process numbers it is sized with.
        name: the design.
        recorded: whether the recorded circuit is shown instead.
        full_scale: current of a range to show it at, with unit; None for the runs.
        common: common current for that.
        out: folder for the grid's file.
        as_json: whether JSON is printed.
        seed: of the patterns.
    """
    from circuits import load_design, load_parameters, load_peripherals, simulate_grid, size_peripherals
    from circuits.peripherals.sizing import parameters_for
    from circuits.spice.simulator import spice_missing
    from devicekit.common.quantities import parse_quantity

    design = load_design(name)
    missing = spice_missing()
    if missing and not recorded:
        print_note(f"{missing} Showing the sized peripherals that were recorded earlier instead.")
        recorded = True
    if recorded:
        grid: Any = load_peripherals("sized", design)
    else:
        nominal = parameters_for(load_parameters(parameters), design)
        sizing = size_peripherals(nominal, load_of(design), f"design {design.name}")
        with progress("Simulating currents", as_json=as_json) as step:
            grid = simulate_grid(sizing.apply(nominal), sizing, design, seed=seed, progress=step)
    if out is not None:
        print_note(f"Wrote {grid.save(out / f'{design.name}.grid.json')}.")
    asked: list[tuple[float, float]] = []
    if full_scale is not None:
        own = parse_quantity(common, "A", "`--common`") if common else grid.sizing["load"]["common_a"]
        asked = [(parse_quantity(full_scale, "A", "`--full-scale`"), own)]
    places = asked or sorted({(point.full_scale_a, point.common_a) for point in grid.points})
    rows = [_row(grid, *place) for place in places]
    if as_json:
        print_json({"grid": grid, "at": rows})
        return
    print_table(_sizing_rows(grid), title=f"{grid.name}: {grid.source}", headings={"what": "", "value": ""})
    print_table(rows, title="Over its currents", headings=_HEADINGS)


def load_of(design: CoreDesign) -> Load:
    """Return the line currents that a design is sized for: measured ones where they are recorded, else assumed ones."""
    from circuits import Load, assumed_line_currents
    from circuits.peripherals.sizing import recorded_loads
    from devicekit import load_device

    known = recorded_loads()
    if design.name in known:
        return known[design.name]
    return Load.of([assumed_line_currents(design, load_device("sonos_40nm_tcas2022"))])


_HEADINGS = {
    "full_scale_ua": "Range [uA]",
    "common_ua": "Common [uA]",
    "tap": "Tap",
    "noise_lsb": "Noise [LSB]",
    "offset_sigma_lsb": "Offset spread [LSB]",
    "gain_sigma": "Gain spread",
    "common_gain": "Gain by common current",
    "inl_lsb": "Largest INL [LSB]",
}


def _row(grid: PeripheralGrid, full_scale: float, common: float) -> dict[str, Any]:
    """Return what the circuit does at a place, rounded as a table shows it."""
    from math import hypot

    model = grid.at(full_scale, common)
    return {
        "full_scale_ua": round(full_scale * 1e6, 3),
        "common_ua": round(common * 1e6, 3),
        "tap": round(model.figures["tap"].value),
        "noise_lsb": round(hypot(model.noise_lsb, model.pattern_lsb), 3),
        "offset_sigma_lsb": round(hypot(model.offset_sigma_lsb, model.common_offset_sigma_lsb), 2),
        "gain_sigma": f"{100 * model.gain_sigma:.2f} %",
        "common_gain": round(model.common_gain, 4),
        "inl_lsb": round(float(abs(model.inl).max()), 3),
    }


def _sizing_rows(grid: PeripheralGrid) -> list[dict[str, str]]:
    from reports.numbers import in_prefix

    load = grid.sizing["load"]
    values = {
        "largest range": (load["largest_range_a"], "A"),
        "smallest range": (load["smallest_range_a"], "A"),
        "largest input bit": (load["largest_bit_a"], "A"),
        "mean line current": (load["common_a"], "A"),
        "integration capacitor": (grid.sizing["capacitance_f"], "F"),
        "bias of the integrator's amplifier": (grid.sizing["tail_current_a"], "A"),
        "bias of each line's conveyor": (grid.sizing["bias_current_a"], "A"),
        "input resistance of the conveyor": (grid.sizing["input_resistance_ohm"], "Ohm"),
    }
    rows = [
        {"what": what, "value": " ".join(in_prefix(value, unit, digits=3)[:2])}
        for what, (value, unit) in values.items()
    ]
    return [*rows, {"what": "gain taps", "value": ", ".join(f"{tap:g}" for tap in grid.sizing["taps"])}]
