"""`devicekit bitline`: how wrong bit-line models are, and up to which array each may be trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from reports.commands.common import (
    JsonOption,
    SeedOption,
    examples,
    print_answer,
    print_json,
    print_note,
    print_table,
    progress,
)

_R_P_HAT = "1e-6,1e-5,1e-4"
_INSTANCE = "w=1u l=200n"
_HEADINGS = {
    "transistor": "true cell",
    "mean_conductance": "mean g",
    "r_p_hat": "R_p_hat",
    "loss": "taken by wires",
}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "bitline",
        epilog=examples(
            "devicekit bitline --rows 72,144 --r-p-hat 1e-5,1e-4 --columns 4 --patterns 16",
            "devicekit bitline --rows 144,288 --r-p-hat 1e-5 --columns 4 --patterns 16 --pairing offset "
            "--mean-conductance 0.5 --out bitline",
            "devicekit bitline --cell {data}/circuits/example_nmos.lib --card example_nmos --rows 144 --r-p-hat 1e-5 "
            "--columns 2 --patterns 4",
            'devicekit bitline --rows 144 --wire-resistance "1.2 ohm" --cell-resistance "60 kohm" --columns 2 '
            "--patterns 4",
            'devicekit bitline --rows 144 --r-p-hat 0 --input-resistance "500 ohm" --columns 2 --patterns 4',
        ),
    )(bitline)


def bitline(
    rows: Annotated[str, typer.Option(help="Cells of a bit line, separated by commas.")] = "144,288,576,1152",
    r_p_hat: Annotated[
        str | None,
        typer.Option(help=f"Wire resistance between cells over the least cell resistance; {_R_P_HAT} by default."),
    ] = None,
    wire_resistance: Annotated[
        str | None, typer.Option(help='Instead of --r-p-hat: wire resistance between cells, such as "1.2 ohm".')
    ] = None,
    cell_resistance: Annotated[
        str | None,
        typer.Option(
            help='Least cell resistance, such as "60 kohm", which sets the full current; else the cell\'s own.'
        ),
    ] = None,
    r_in_hat: Annotated[
        float | None, typer.Option(help="Resistance of the virtual ground over the least cell resistance.")
    ] = None,
    input_resistance: Annotated[str | None, typer.Option(help='The same in Ohm, such as "500 ohm".')] = None,
    r_s_hat: Annotated[
        float | None,
        typer.Option(help="Resistance of the supply (or source) line between cells, over the least cell resistance."),
    ] = None,
    supply_resistance: Annotated[str | None, typer.Option(help='The same in Ohm, such as "0.5 ohm".')] = None,
    feed: Annotated[
        str, typer.Option(help="Where that line is fed: readout or far end of the column, or rows (along the row).")
    ] = "readout",
    activity: Annotated[str, typer.Option(help="Fraction of the rows that are on.")] = "0.5",
    mean_conductance: Annotated[str, typer.Option(help="Mean conductance over all cells, G_max = 1.")] = "0.002,0.02",
    pairing: Annotated[str, typer.Option(help="differential or offset.")] = "differential",
    cell: Annotated[
        str, typer.Option(help="The true cell: a bundled name, a TOML file, or a SPICE model file (.lib, .model, ...).")
    ] = "sonos_cell",
    card: Annotated[str | None, typer.Option(help="Name of the card in a SPICE model file.")] = None,
    section: Annotated[
        str | None, typer.Option(help="Section of a .lib file that has several, such as a process corner.")
    ] = None,
    subcircuit: Annotated[
        bool, typer.Option("--subcircuit", help="The card is a subcircuit; by default what the file holds is taken.")
    ] = False,
    terminals: Annotated[
        str | None,
        typer.Option(
            help="Roles of a subcircuit's terminals in its order: drain,gate,source,body or top,bottom, others open; "
            "by default after their names, else in this order."
        ),
    ] = None,
    polarity: Annotated[
        str | None, typer.Option(help="n or p of a transistor, where its card does not say it.")
    ] = None,
    instance: Annotated[
        str | None,
        typer.Option(help="Parameters of one transistor or cell; w=1u l=200n for a card by default."),
    ] = None,
    gate_range: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="Gate voltages [V] that reach off and the full current; else searched."),
    ] = None,
    state_parameter: Annotated[
        str | None, typer.Option(help="Parameter that programs a two-terminal cell; its only one by default.")
    ] = None,
    state_range: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="Its values that reach off and the full current; else searched."),
    ] = None,
    orientation: Annotated[str, typer.Option(help="End of the cell on the bit line: source or drain.")] = "source",
    adc_bits: Annotated[int, typer.Option(min=1, max=24, help="Resolution of the ADC.")] = 8,
    adc_range: Annotated[
        float | None, typer.Option(help="Upper end of its range in full cells; each column's inner 99.98 % by default.")
    ] = None,
    limit: Annotated[float, typer.Option(help="Largest error of the envelope [LSB].")] = 0.5,
    columns: Annotated[int, typer.Option(min=1, help="Columns of the random array.")] = 16,
    patterns: Annotated[int, typer.Option(min=1, help="Input patterns.")] = 64,
    confirm_seconds: Annotated[
        float, typer.Option(min=0.0, help="Time limit of the runs in ngspice that confirm these lines; 0 for none.")
    ] = 20.0,
    out: Annotated[Path | None, typer.Option(help="Folder for errors.csv, envelope.csv and the figures.")] = None,
    as_json: JsonOption = False,
    seed: SeedOption = 0,
) -> None:
    """Errors of bit-line models against the transistor cell, and the arrays in which they stay small."""
    from circuits import BitLinePoint, envelope, error_map, simplest_models, verdict

    spice_options = {
        "--card": card,
        "--section": section,
        "--subcircuit": subcircuit or None,
        "--terminals": terminals,
        "--polarity": polarity,
        "--instance": instance,
        "--gate-range": gate_range,
        "--state-parameter": state_parameter,
        "--state-range": state_range,
    }
    transistor = _cell(cell, orientation, cell_resistance, spice_options)
    wires = _wires(r_p_hat, wire_resistance, transistor)
    others: dict[str, Any] = {
        "r_in_hat": _relative(r_in_hat, input_resistance, "input-resistance", "r-in-hat", transistor),
        "r_s_hat": _relative(r_s_hat, supply_resistance, "supply-resistance", "r-s-hat", transistor),
        "feed": feed,
    }
    sizes, activities = _numbers(rows, int, "--rows"), _numbers(activity, float, "--activity")
    conductances = _numbers(mean_conductance, float, "--mean-conductance")
    points = [
        BitLinePoint(n, wire, a, g, pairing, columns=columns, **others)  # type: ignore[arg-type]  # it checks itself
        for g in conductances
        for a in activities
        for wire in wires
        for n in sizes
    ]
    understood = transistor.understood() if _is_model_file(cell) else None
    with progress("Solving bit lines", as_json=as_json) as step:
        errors = error_map(
            rows=sizes,
            r_p_hat=wires,
            activity=activities,
            mean_conductance=conductances,
            pairing=pairing,  # type: ignore[arg-type]  # checked by the point itself
            transistor=transistor,
            **others,
            columns=columns,
            patterns=patterns,
            seed=seed,
            adc_bits=adc_bits,
            adc_range=adc_range,
            progress=step,
        )
    limits = envelope(errors, limit)
    limits.insert(0, "transistor", f"{card} (card)" if _is_model_file(cell) else f"{cell} (EKV)")
    as_recorded = orientation == "source" and adc_bits == 8 and adc_range is None and cell_resistance is None
    if as_recorded and not (others["r_in_hat"] or others["r_s_hat"]):
        limits = _beside_recorded(limits, cell, limit)
    confirmation = _confirm(points, transistor, columns, patterns, seed, confirm_seconds)
    answer, holds = verdict(errors, limit, adc_bits), simplest_models(errors, limit)
    if out is not None:
        _write(out, errors, limits, limit)
    if as_json:
        document = {"verdict": answer, "holds": holds, "cell": understood, "confirmation": confirmation}
        print_json({**document, "limit_lsb": limit, "errors": errors, "envelope": limits})
        return
    if understood is not None:
        print_note(understood.sentence())
    print_note(_confirmed(confirmation, confirm_seconds))
    print_answer(answer)
    print_table(
        _by_model(errors),
        title=f"Largest error against the transistor cell after subtraction [LSB of {adc_bits} bits; gain removed]",
        headings=_HEADINGS,
    )
    print_table(
        _limits_by_model(limits),
        title=f"Envelope: rows up to which the error stays below {limit:g} LSB ({adc_bits} bits), as converted / with "
        "the gain removed",
        headings=_HEADINGS,
    )


def api_arguments() -> dict[str, str]:
    """Return the options for arguments of the API that are called otherwise here."""
    return {"library": "--cell", "model": "--card", "kind": "--subcircuit"}


def _is_model_file(cell: str) -> bool:
    return Path(cell).suffix not in ("", ".toml")


def _cell(cell: str, orientation: str, cell_resistance: str | None, options: dict[str, Any]) -> Any:
    """Return the true cell; its full current is V_D over the least cell resistance where that is given."""
    from circuits import CircuitError, SpiceCell, load_transistor_cell

    if not _is_model_file(cell):
        given = [option for option, value in options.items() if value is not None]
        if given:
            raise CircuitError(f"{' and '.join(given)} belong to a SPICE model file, but --cell is {cell!r}.")
        base = load_transistor_cell(cell, orientation)  # type: ignore[arg-type]  # checked by the cell itself
    else:
        base = load_transistor_cell(orientation=orientation)  # type: ignore[arg-type]  # as above
    if cell_resistance is not None:
        resistance = _resistance(cell_resistance, "--cell-resistance")
        if resistance == 0:
            raise CircuitError("Expected --cell-resistance to be above 0 Ohm, but got 0.")
        base = replace(base, full_current=base.drive_voltage / resistance)
    if not _is_model_file(cell):
        return base
    if options["--card"] is None:
        raise CircuitError(f"Expected --card NAME, the card of {cell} to use.")
    terminals = options["--terminals"]
    fields = {
        "library": Path(cell),
        "model": options["--card"],
        "instance": options["--instance"] or "",
        "kind": "subcircuit" if options["--subcircuit"] else None,
        "section": options["--section"],
        "base": base,
        "gate_range": options["--gate-range"],
        "polarity": options["--polarity"],
        "terminals": None if terminals is None else tuple(part.strip().lower() for part in terminals.split(",")),
        "state_parameter": options["--state-parameter"],
        "state_range": options["--state-range"],
    }
    made = SpiceCell(**fields)
    return replace(made, instance=_INSTANCE) if options["--instance"] is None and made.card.mosfet else made


def _wires(r_p_hat: str | None, wire_resistance: str | None, transistor: Any) -> list[float]:
    """Return R_p_hat of every wire."""
    from circuits import CircuitError

    if wire_resistance is None:
        return _numbers(_R_P_HAT if r_p_hat is None else r_p_hat, float, "--r-p-hat")
    if r_p_hat is not None:
        raise CircuitError("Expected either --r-p-hat or --wire-resistance, but got both.")
    base = getattr(transistor, "base", transistor)
    least = base.drive_voltage / base.full_current
    return [_resistance(part.strip(), "--wire-resistance") / least for part in wire_resistance.split(",")]


def _relative(relative: float | None, ohm: str | None, option: str, relative_option: str, transistor: Any) -> float:
    """Return a resistance over the least cell resistance, from either of its two options."""
    from circuits import CircuitError

    if ohm is None:
        return relative or 0.0
    if relative is not None:
        raise CircuitError(f"Expected either --{relative_option} or --{option}, but got both.")
    base = getattr(transistor, "base", transistor)
    return _resistance(ohm, f"--{option}") * float(base.full_current) / float(base.drive_voltage)


def _resistance(text: str, option: str) -> float:
    from circuits import CircuitError
    from devicekit.common.quantities import parse_quantity

    value = parse_quantity(text, "Ohm", option)
    if value < 0:
        raise CircuitError(f"Expected {option} to be at least 0 Ohm, but got {text!r:.60}.")
    return value


def _confirm(points: list[Any], transistor: Any, columns: int, patterns: int, seed: int, seconds: float) -> Any:
    """Return what ngspice says of these lines; where it does not, what it said of resistors when it was recorded."""
    from circuits import confirm_lines
    from circuits.spice.simulator import spice_missing

    if seconds == 0 and spice_missing() is None:
        return None
    return confirm_lines(points, transistor, columns=columns, patterns=patterns, seed=seed, seconds=seconds)


def _confirmed(confirmation: Any, seconds: float) -> str:
    from circuits.spice.simulator import spice_missing

    if confirmation is None:
        return (
            "no line was confirmed in ngspice, which cannot hold wires of so little resistance."
            if seconds
            else "not confirmed in ngspice (--confirm-seconds 0)."
        )
    if confirmation.recorded:
        why = "ngspice is absent here" if spice_missing() else f"for nothing came of it here: {confirmation.reason}"
        return (
            f"ngspice {confirmation.ngspice_version} (recorded earlier, {why.rstrip('.')}): {confirmation.cells} "
            f"resistor cells agree with the exact solution to {confirmation.relative_difference:.1e}; the lines below "
            "are not confirmed."
        )
    return str(confirmation.sentence())


def _numbers(text: str, kind: Callable[[str], Any], option: str) -> list[Any]:
    from circuits import CircuitError

    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise CircuitError(f"Expected {option} to be numbers separated by commas, but got {text!r}.") from None


def _by_model(errors: Any) -> list[dict[str, Any]]:
    """One line a place of the map, one column a model."""
    keys = ["mean_conductance", "activity", "r_p_hat", "rows"]
    lines: list[dict[str, Any]] = []
    for key, group in errors.groupby(keys, sort=False):
        line: dict[str, Any] = dict(zip(keys, key, strict=True)) | {"loss": f"{group['loss'].iloc[0]:.2%}"}
        for row in group.to_dict("records"):
            line[row["model"]] = f"{row['error_lsb']:.2g} ({row['error_lsb_gain_removed']:.2g})"
        lines.append(line)
    return lines


def _beside_recorded(limits: Any, cell: str, limit: float) -> Any:
    """Add the envelope of the recorded transistors where they were solved at the same places."""
    import pandas as pd

    from circuits import envelope
    from circuits.bit_line.envelope import recorded_errors

    places = limits[["pairing", "mean_conductance", "activity", "r_p_hat"]].drop_duplicates()
    frames = [limits]
    for transistor, errors in recorded_errors().groupby("transistor", sort=False):
        if not (transistor == "ekv" and cell == "sonos_cell"):
            found = places.merge(envelope(errors, limit), on=list(places))
            found.insert(0, "transistor", f"{str(transistor).upper()}, recorded")
            frames.append(found)
    return pd.concat(frames, ignore_index=True)


def _limits_by_model(limits: Any) -> list[dict[str, Any]]:
    """One line a place and transistor, one column a model."""
    keys = ["mean_conductance", "activity", "r_p_hat", "transistor"]
    lines = []
    for key, group in limits.groupby(keys, sort=False):
        line: dict[str, Any] = dict(zip(keys, key, strict=True))
        for row in group.to_dict("records"):
            line[row["model"]] = " / ".join(_worded(row, name) for name in ("max_rows", "max_rows_gain_removed"))
        lines.append(line)
    places = list(dict.fromkeys(tuple(line[key] for key in keys[:3]) for line in lines))
    return sorted(lines, key=lambda line: places.index(tuple(line[key] for key in keys[:3])))


def _worded(row: dict[Any, Any], name: str) -> str:
    value = row[name]
    if value == 0:
        return f"< {row['smallest_rows']}"
    return f"≥ {row['largest_rows']}" if value == float("inf") else f"{value:.0f}"


def _write(out: Path, errors: Any, limits: Any, limit: float) -> None:
    from circuits import plot_envelope
    from devicekit.common.file_sets import replacing_together

    with replacing_together(out) as together:
        errors.to_csv(together / "errors.csv", index=False)
        limits.to_csv(together / "envelope.csv", index=False)
        for name, removed in (("envelope.png", False), ("envelope_gain_removed.png", True)):
            figure, _ = plot_envelope(errors, limit, gain_removed=removed)
            figure.savefig(together / name, dpi=150)
