"""`devicekit peripherals`: integrator, accumulator, gain stage and ramp ADC in ngspice, reduced to one model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from reports.commands._adc_figures import show_adc
from reports.commands._sized_peripherals import show_sized
from reports.commands.common import JsonOption, SeedOption, examples, print_json, print_note, print_table, progress


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "peripherals",
        epilog=examples(
            "devicekit peripherals --recorded",
            "devicekit peripherals --size A --recorded --full-scale '4 uA'",
            "devicekit peripherals --adc sar_40nm",
            "devicekit peripherals sonos_40nm --behavioural --columns 2 --patterns 10 --out peripherals",
        ),
    )(peripherals)


def peripherals(
    parameters: Annotated[str, typer.Argument(help="Parameter set: a bundled name, or a TOML file.")] = "sonos_40nm",
    columns: Annotated[int, typer.Option(min=0, help="Columns drawn for the spread of mismatch; 0 for none.")] = 32,
    patterns: Annotated[int, typer.Option(min=10, help="Random bit patterns.")] = 48,
    behavioural: Annotated[
        bool, typer.Option("--behavioural", help="Macromodels instead of transistors; claims no energy.")
    ] = False,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Currents of one sign, as of offset cells: range from zero signal.")
    ] = False,
    input_bits: Annotated[
        int | None, typer.Option(min=1, help="Input bits before one conversion: 1 for digital accumulation.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="Temperature [K]; the file's by default.")] = None,
    corner: Annotated[
        str | None, typer.Option(help="Process corner, such as fast or slow; typical by default.")
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Also run other temperatures and corners; sets intervals.")
    ] = False,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Show a recorded model (bundled name or JSON file); runs no ngspice.")
    ] = False,
    size: Annotated[
        str | None, typer.Option(help="Size the circuits for this design's line currents, and run them over these.")
    ] = None,
    full_scale: Annotated[
        str | None, typer.Option(help="With --size: show the circuits at a range of this current, such as '4 uA'.")
    ] = None,
    common: Annotated[str | None, typer.Option(help="With --full-scale: mean current of a line.")] = None,
    adc: Annotated[
        str | None,
        typer.Option(help="Show what the errors of an ADC make of it instead: a kind, a bundled name, or a file."),
    ] = None,
    bits: Annotated[
        int | None, typer.Option(min=1, help="With --adc: resolution; the ADC's by default, else 8.")
    ] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="With --adc: convert in ngspice as well (SAR and ramp), and compare.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for NAME.model.json, figures and tables.")] = None,
    as_json: JsonOption = False,
    seed: SeedOption = 0,
) -> None:
    """Gain, offset, INL, noise and energy of a column's peripherals, simulated in ngspice or recorded."""
    from circuits import PeripheralError, characterize, load_peripherals, peripheral_names
    from circuits.peripherals import sweep as run_sweep
    from circuits.peripherals import with_intervals
    from circuits.peripherals.model import variant_name
    from circuits.spice.simulator import spice_missing

    if adc is not None:
        show_adc(adc, bits=bits, converters=max(columns, 1), confirm=confirm, as_json=as_json, seed=seed)
        return
    if bits is not None or confirm:
        raise PeripheralError("Expected --bits and --confirm with --adc: other circuits have no use for them.")
    if size is not None:
        show_sized(
            parameters,
            size,
            recorded=recorded,
            full_scale=full_scale,
            common=common,
            out=out,
            as_json=as_json,
            seed=seed,
        )
        return
    if full_scale is not None or common is not None:
        raise PeripheralError(
            "Expected --full-scale and --common with --size: other characterisations have one current."
        )
    missing = spice_missing()
    known = parameters
    if Path(parameters).suffix != ".json":
        known = variant_name(parameters, unsigned=unsigned, one_bit=input_bits == 1)
    own_bits = input_bits is not None and input_bits > 1
    as_recorded = temperature is None and corner is None and not sweep and not own_bits and known in peripheral_names()
    if missing and as_recorded and not recorded:
        print_note(f"{missing} Showing the characterisation of {known} that was recorded earlier instead.")
        recorded = True
    if recorded:
        _show(load_peripherals(known), [], as_json)
        return
    if sweep and (temperature is not None or corner is not None):
        raise PeripheralError("Expected --sweep without --temperature and --corner: it goes through them by itself.")
    options: dict[str, Any] = {
        "transistors": not behavioural,
        "unsigned": unsigned,
        "input_bits": input_bits,
        "seed": seed,
    }
    with progress("Simulating blocks", as_json=as_json) as step:
        run = characterize(
            parameters,
            columns=columns,
            patterns=patterns,
            temperature=temperature,
            corner=corner,
            progress=step,
            **options,
        )
    model, others = run.model, []
    if sweep:
        with progress("Temperatures and corners", as_json=as_json) as step:
            others = run_sweep(parameters, progress=step, **options)
        model = with_intervals(model, others)
    if out is not None:
        _write(out, run, model, others)
        print_note(f"Wrote {out / model.name}.model.json, figures and tables.")
    _show(model, others, as_json)


def _show(model: Any, others: list[Any], as_json: bool) -> None:
    if as_json:
        print_json({"model": model, "sweep": [_point(other) for other in others]})
        return
    print_table(_summary(model), title=f"{model.name}: {model.source}", headings={"figure": "", "value": ""})
    if model.energy:
        print_table(_energies(model), title="Energy of one conversion, blocks at transistor level only")
    if model.figures:
        print_table(_figures(model), title="Figures of the blocks")
    if others:
        print_table([_point(other) for other in others], title="Temperatures and corners, without mismatch")


def _energies(model: Any) -> list[dict[str, str]]:
    from reports.numbers import in_prefix

    rows = []
    for name, constant in model.energy.items():
        value, unit, interval = in_prefix(constant.value, constant.unit, constant.interval)
        shared = name == "ramp_generator"
        row = {"block": name.replace("_", " "), "energy": value, "unit": unit}
        row |= {} if constant.interval is None else {"interval": interval}
        rows.append(row | {"per": "generator, shared by all columns" if shared else "column"})
    return rows


def _figures(model: Any) -> list[dict[str, str]]:
    """Name every figure in words, with its value as a person writes it; intervals where there are any."""
    from reports.numbers import in_prefix

    rows = []
    for name, constant in model.figures.items():
        words, unit = name.replace("_", " "), constant.unit
        for ending, meant in ((" lsb per v", "LSB/V"), (" lsb", "LSB")):
            if words.endswith(ending):
                words, unit = words.removesuffix(ending), meant
        value, unit, interval = in_prefix(constant.value, unit, constant.interval)
        rows.append({"figure": words, "value": value, "unit": unit, "interval": interval or "–"})
    if all(constant.interval is None for constant in model.figures.values()):
        return [{key: row[key] for key in ("figure", "value", "unit")} for row in rows]
    return rows


def _summary(model: Any) -> list[dict[str, Any]]:
    inl, dnl = model.inl, model.dnl
    return [
        {"figure": "gain, and its spread from column to column", "value": f"{model.gain:.4f} ± {model.gain_sigma:.4f}"},
        {"figure": "offset and its spread [LSB]", "value": f"{model.offset_lsb:+.2f} ± {model.offset_sigma_lsb:.2f}"},
        {"figure": "INL, least and most [LSB]", "value": f"{inl.min():+.3f} to {inl.max():+.3f}"},
        {"figure": "DNL, least and most [LSB]", "value": f"{dnl.min():+.3f} to {dnl.max():+.3f}"},
        {"figure": "noise, rms [LSB]", "value": f"{model.noise_lsb:.3f}"},
        {"figure": "shot noise of a full-scale signal, rms [LSB]", "value": f"{model.shot_noise_lsb:.3f}"},
        {
            "figure": "random bit patterns, bits in powers of two, rms [LSB]",
            "value": f"{model.pattern_scatter_lsb:.3f}",
        },
        {
            "figure": "random bit patterns, bits as the circuit weighs them, rms [LSB]",
            "value": f"{model.pattern_lsb:.3f}",
        },
        {"figure": "clip points [range]", "value": f"{model.clip_low:.3f} and {model.clip_high:.3f}"},
    ]


def _point(model: Any) -> dict[str, Any]:
    row = {
        "temperature_k": model.temperature,
        "corner": model.corner,
        "gain": model.gain,
        "offset_lsb": model.offset_lsb,
        "inl_max_lsb": float(abs(model.inl).max()),
        "noise_lsb": model.noise_lsb,
        "pattern_scatter_lsb": model.pattern_scatter_lsb,
        "adc_delay_ns": model.figures["adc_delay"].value * 1e9,
    }
    if "integrator_memory" in model.figures:
        row["integrator_memory"] = model.figures["integrator_memory"].value
    if "comparator" in model.energy:
        row["comparator_pj"] = model.energy["comparator"].value * 1e12
    return row


def _write(out: Path, run: Any, model: Any, others: list[Any]) -> None:
    import pandas as pd

    from devicekit.common.figure_files import save_figure
    from devicekit.common.file_sets import replacing_together

    figure, _ = run.plot()
    with replacing_together(out, without=() if others else ("sweep.csv",)) as together:
        model.save(together / f"{model.name}.model.json")
        for name, table in run.tables().items():
            table.to_csv(together / f"{name}.csv", index=False)
        for ending in ("svg", "png"):
            save_figure(figure, together / f"peripherals.{ending}", 160)
        if others:
            pd.DataFrame([_point(other) for other in others]).to_csv(together / "sweep.csv", index=False)
