"""`devicekit bitline`: how wrong bit-line models are, and up to which array each may be trusted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from reports.commands.common import JsonOption, SeedOption, examples, print_json, print_note, print_table, progress

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
        ),
    )(bitline)


def bitline(
    rows: Annotated[str, typer.Option(help="Cells of a bit line, separated by commas.")] = "144,288,576,1152",
    r_p_hat: Annotated[
        str, typer.Option(help="Wire resistance between cells over the least cell resistance.")
    ] = "1e-6,1e-5,1e-4",
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
        bool, typer.Option("--subcircuit", help="The card is a subcircuit with terminals drain, gate, source, body.")
    ] = False,
    instance: Annotated[str, typer.Option(help="Parameters of one transistor of that card.")] = "w=1u l=200n",
    orientation: Annotated[str, typer.Option(help="End of the cell on the bit line: source or drain.")] = "source",
    adc_bits: Annotated[int, typer.Option(min=1, max=24, help="Resolution of the ADC.")] = 8,
    adc_range: Annotated[
        float | None, typer.Option(help="Upper end of its range in full cells; each column's inner 99.98 % by default.")
    ] = None,
    limit: Annotated[float, typer.Option(help="Largest error of the envelope [LSB].")] = 0.5,
    columns: Annotated[int, typer.Option(min=1, help="Columns of the random array.")] = 16,
    patterns: Annotated[int, typer.Option(min=1, help="Input patterns.")] = 64,
    out: Annotated[Path | None, typer.Option(help="Folder for errors.csv, envelope.csv and the figures.")] = None,
    as_json: JsonOption = False,
    seed: SeedOption = 0,
) -> None:
    """Errors of bit-line models against the transistor cell, and the arrays in which they stay small."""
    from circuits import confirm_bit_line, envelope, error_map

    confirmation = confirm_bit_line()
    transistor = _cell(cell, orientation, card, instance, section, subcircuit)
    with progress("Solving bit lines", as_json=as_json) as step:
        errors = error_map(
            rows=_numbers(rows, int, "--rows"),
            r_p_hat=_numbers(r_p_hat, float, "--r-p-hat"),
            activity=_numbers(activity, float, "--activity"),
            mean_conductance=_numbers(mean_conductance, float, "--mean-conductance"),
            pairing=pairing,  # type: ignore[arg-type]  # checked by the point itself
            transistor=transistor,
            columns=columns,
            patterns=patterns,
            seed=seed,
            adc_bits=adc_bits,
            adc_range=adc_range,
            progress=step,
        )
    limits = envelope(errors, limit)
    limits.insert(0, "transistor", f"{card} (card)" if _is_model_file(cell) else f"{cell} (EKV)")
    if orientation == "source" and adc_bits == 8 and adc_range is None:
        limits = _beside_recorded(limits, cell, limit)
    if out is not None:
        _write(out, errors, limits, limit)
    if as_json:
        print_json({"confirmation": confirmation, "limit_lsb": limit, "errors": errors, "envelope": limits})
        return
    how = "recorded earlier, ngspice is absent here" if confirmation.recorded else "run now"
    print_note(
        f"ngspice {confirmation.ngspice_version} ({how}): {confirmation.cells} resistor cells agree with the exact "
        f"solution to {confirmation.relative_difference:.1e}."
    )
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
    return {"library": "--cell"}


def _is_model_file(cell: str) -> bool:
    return Path(cell).suffix not in ("", ".toml")


def _cell(cell: str, orientation: str, card: str | None, instance: str, section: str | None, subcircuit: bool) -> Any:
    from circuits import CircuitError, SpiceCell, load_transistor_cell

    if not _is_model_file(cell):
        return load_transistor_cell(cell, orientation)  # type: ignore[arg-type]  # checked by the cell itself
    if card is None:
        raise CircuitError(f"Expected --card NAME, the card of {cell} to use.")
    base = load_transistor_cell(orientation=orientation)  # type: ignore[arg-type]  # checked by the cell itself
    return SpiceCell(
        library=Path(cell),
        model=card,
        instance=instance,
        kind="subcircuit" if subcircuit else "mosfet",
        section=section,
        base=base,
    )


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
    from devicekit.common.paths import replacing

    for name, table in (("errors.csv", errors), ("envelope.csv", limits)):
        with replacing(out / name) as path:
            table.to_csv(path, index=False)
    for name, removed in (("envelope.png", False), ("envelope_gain_removed.png", True)):
        figure, _ = plot_envelope(errors, limit, gain_removed=removed)
        with replacing(out / name) as path:
            figure.savefig(path, dpi=150)
