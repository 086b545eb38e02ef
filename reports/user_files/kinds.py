"""The kinds of user files, each with what recognises it and the reader that checks it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devicekit import DevicekitError
from devicekit.common.errors import unknown_name
from devicekit.common.foreign import read_toml
from devicekit.common.paths import is_file
from devicekit.common.plain import PlainValues
from reports.errors import StudyError

Content = Mapping[str, Any]


@dataclass(frozen=True)
class FileKind:
    """One kind of file.

    Attributes:
        name: what the command calls it.
        label: in a sentence.
        endings: of its files.
        fits: whether a file's content is of this kind; content is empty for files that are no TOML or JSON.
        check: reads it as every command does; returns what is in it, as sentences.
        page: of the documentation.
    """

    name: str
    label: str
    endings: tuple[str, ...]
    fits: Callable[[Content], bool]
    check: Callable[[Path], list[str]]
    page: str


@dataclass(frozen=True)
class CheckedFile(PlainValues):
    """A file that was read without a fault.

    Attributes:
        path: of the file.
        kind: name of its kind.
        label: of its kind, in a sentence.
        facts: what is in it, as sentences.
    """

    path: str
    kind: str
    label: str
    facts: list[str]


def check_file(path: str | Path, kind: str | None = None) -> CheckedFile:
    """Return what is in a user file, read as every command reads it.

    Args:
        path: the file; a network as ``FILE.py:function``.
        kind: name of its kind; None to find out from its content.

    Raises:
        StudyError: no such file, an unknown kind, or a file of no kind that is known.
        DevicekitError: whatever is wrong with it, in the words of the room that reads it.
    """
    text = str(path)
    if kind is not None and kind not in KINDS:
        raise StudyError(unknown_name("kind of file", kind, list(KINDS)))
    python, colon, function = text.rpartition(":")
    if colon and python.endswith(".py") and function:
        own = KINDS["network"] if kind is None else KINDS[kind]
        return CheckedFile(text, own.name, own.label, own.check(Path(text)))
    where = Path(path)
    if not is_file(where):
        raise StudyError(f"{text}: no such file.")
    own = _found(where) if kind is None else KINDS[kind]
    return CheckedFile(text, own.name, own.label, own.check(where))


def _found(path: Path) -> FileKind:
    content = _content(path)
    for own in KINDS.values():
        if path.suffix.lower() in own.endings and own.fits(content):
            return own
    keys = f" with {', '.join(map(repr, list(content)[:8]))}" if content else ""
    known = ", ".join(KINDS)
    raise StudyError(f"{path}: not recognised{keys}. Say what it is with --kind: {known}.")


def _content(path: Path) -> Content:
    if path.suffix.lower() == ".toml":
        return read_toml(path, StudyError)
    if path.suffix.lower() == ".json":
        try:
            content = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise StudyError(f"{path}: no JSON: {str(error)[:200]}.") from None
        return content if isinstance(content, dict) else {}
    return {}


def _device(path: Path) -> list[str]:
    from devicekit import load_device

    cell = load_device(path)
    noise = " read noise," if cell.read_noise is not None else ""
    later = " later times," if cell.retention is not None else ""
    return [
        f"{cell.name} ({cell.technology or 'technology not stated'}): I_max {cell.i_max:.3g} A, on/off ratio "
        f"{cell.on_off_ratio:.3g}, read at {cell.read_voltage:.3g} V; error model {cell.error.name};{noise}{later} "
        f"{len(cell.provenance)} constants with their sources."
    ]


def _core(path: Path) -> list[str]:
    from circuits import load_cores

    facts = []
    for name, core in load_cores(path).items():
        parts = {"cell": core.cell, "ADC": core.adc, "peripherals": core.peripherals, "wires": core.wires,
                 "corrections": core.corrections, "faults": core.faults}  # fmt: skip
        own = [label for label, part in parts.items() if part]
        facts.append(f"core {name}: design and {', '.join(own)}." if own else f"core {name}: a design alone.")
    return facts


def _designs(path: Path) -> list[str]:
    from circuits import load_designs

    return [
        f"design {name}: {design.matrix_rows} x {design.matrix_columns}, {design.negative_weights}, {design.slices} x "
        f"{design.partitions} arrays, {design.conversions_per_mvm} conversions a product."
        for name, design in load_designs(path).items()
    ]


def _library(path: Path) -> list[str]:
    from energy import load_library

    library = load_library(path)
    return [
        f"{library.name} ({library.technology}): {len(library.components)} components, "
        f"{len(library.constants)} constants."
    ]


def _adc(path: Path) -> list[str]:
    from circuits import load_adc

    adc = load_adc(path)
    given = [name for name in ("rate", "energy", "area") if getattr(adc, name) is not None]
    errors = "with errors of its own" if adc.has_errors or adc.circuit else "ideal"
    return [f"{adc.label}: {adc.kind}, {errors}; gives {', '.join(given) or 'no costs'}."]


def _parameters(path: Path) -> list[str]:
    from circuits import load_parameters

    parameters = load_parameters(path)
    return [f"{parameters.name}: {len(parameters.values)} parameters of the circuits around the array."]


def _peripherals(path: Path) -> list[str]:
    from circuits import PeripheralGrid, load_peripherals

    model = load_peripherals(path)
    kind = "a circuit sized over a grid of currents" if isinstance(model, PeripheralGrid) else "a characterisation"
    return [f"{model.name}: {kind}, {model.adc_bits} bits. Source: {model.source}."]


def _study(path: Path) -> list[str]:
    from circuits import choose_cores, load_core
    from reports.study import Study
    from reports.sweeps.points import points_of

    study = Study.load(path)
    others = [f"{pattern} on {load_core(name).name}" for pattern, name in study.overrides.items()]
    if study.vary:
        points = points_of(study)
        bad = sum(point.cores is None for point in points)
        return [f"{len(points)} points ({bad} impossible) over {', '.join(study.vary)}: run it with devicekit sweep."]
    cores = choose_cores((*study.designs, *study.cores))
    layers = f" ({', '.join(others)})" if others else ""
    return [f"{', '.join(cores)}{layers} with {study.network}: run it with devicekit report --study {path}."]


def _training(path: Path) -> list[str]:
    from accuracy.training import Training

    settings = Training.load(path)
    return [f"training over {settings.epochs} epochs, seed {settings.seed}: run it with devicekit train."]


def _measurements(path: Path) -> list[str]:
    import numpy as np

    from devicekit import read_measurements

    found = read_measurements(path)
    states = len(np.unique(found.columns["target"]))
    roles = ", ".join(str(role) for role in found.roles)
    facts = [f"{found.rows} {'bins' if found.is_histogram else 'reads'} of {states} states; columns: {roles}."]
    facts += [f"Not read: {one}." for one in found.unused]
    return [*facts, *found.notes, *(f"Warning: {one}" for one in found.warnings)]


def _network(path: Path) -> list[str]:
    from accuracy import networks

    try:
        model = networks.load(str(path))
    except DevicekitError as error:
        # A function may give the data instead.
        if ":" not in str(path):
            raise
        try:
            return _data_set(path)
        except DevicekitError:
            raise error from None
    weights = sum(parameter.numel() for parameter in model.parameters())
    return [f"{type(model).__name__} with {weights} parameters. Whether it runs is tried with its data (--data-set)."]


def _data_set(path: Path) -> list[str]:
    from accuracy import data_sets

    data = data_sets.find(str(path), None)
    return [f"{data.size('calibration')} training and {data.size('test')} test examples."]


def _of(name: str) -> Callable[[Content], bool]:
    return lambda content: isinstance(content.get(name), dict)


_STUDY_KEYS = {
    "title", "designs", "cores", "network", "measurements", "device", "vary", "trials", "images", "objectives",
}  # fmt: skip

KINDS = {
    own.name: own
    for own in (
        FileKind("core", "cores as built", (".toml",), _of("cores"), _core, "cores.md"),
        FileKind("designs", "core designs", (".toml",), _of("designs"), _designs, "cores.md"),
        FileKind("device", "a memory cell", (".toml",), lambda c: "devicekit-cell" in str(c.get("format")), _device,
                 "devices.md"),
        FileKind("library", "a component library", (".toml",),
                 lambda c: _of("components")(c) or {"node_nm", "vdd"} & set(c) != set(), _library, "energy.md"),
        FileKind("parameters", "parameters of peripherals", (".toml",),
                 lambda c: _of("integrator")(c) or _of("sizing")(c), _parameters, "peripherals.md"),
        FileKind("adc", "an ADC", (".toml",), lambda c: isinstance(c.get("kind"), str) or _of("circuit")(c), _adc,
                 "cores.md"),
        FileKind("training", "a training", (".toml",), lambda c: "epochs" in c, _training, "training.md"),
        FileKind("study", "a study", (".toml",), lambda c: bool(set(c) & _STUDY_KEYS), _study, "report.md"),
        FileKind("peripherals", "a characterisation of peripherals", (".json",),
                 lambda c: "devicekit-peripheral" in str(c.get("format")), _peripherals, "peripherals.md"),
        FileKind("measurements", "measured cell currents", (".csv", ".tsv", ".parquet", ".xlsx"), lambda _: True,
                 _measurements, "devices.md"),
        FileKind("data_set", "data of a network", (".npz",), lambda _: True, _data_set, "networks.md"),
        FileKind("network", "a network or its data", (".onnx", ".py"), lambda _: True, _network, "networks.md"),
    )
}  # fmt: skip
"""By name, in the order in which a file is tried."""
__all__ = ["KINDS", "CheckedFile", "DevicekitError", "FileKind", "check_file"]
