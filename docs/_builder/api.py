"""Pages of the API reference: one for each part of a room, from the public names and their docstrings."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType
from typing import NamedTuple

ROOMS = ("devicekit", "circuits", "energy", "accuracy", "reports")
# Public modules of a room, with names of their own.
MODULES = ("accuracy.data_sets", "accuracy.networks", "accuracy.training", "circuits.peripherals")


class Part(NamedTuple):
    """A page of the reference: its path and title, and the modules whose public names stand on it."""

    path: str
    title: str
    modules: tuple[str, ...]


# A name stands on the page with the longest module that its own home starts with.
PARTS = (
    Part("devicekit/cells", "Cells and error models", ("devicekit.cells",)),
    Part("devicekit/measurements", "Measurements and fits", ("devicekit.measurements", "devicekit.fits")),
    Part("devicekit/pulses", "Update curves", ("devicekit.pulses",)),
    Part("devicekit/common", "Constants, paths, errors", ("devicekit",)),
    Part("circuits/cores", "Core designs and cores", ("circuits",)),
    Part("circuits/adc", "ADCs", tuple(f"circuits.{name}" for name in (
        "adc", "adc_confirmation", "adc_figures", "adc_kinds", "adc_transfer", "converters",
    ))),
    Part("circuits/bit_line", "Bit lines", ("circuits.bit_line",)),
    Part("circuits/peripherals", "Peripherals", ("circuits.peripherals",)),
    Part("energy/energy", "Energy, area and latency", ("energy",)),
    Part("accuracy/networks", "Networks on arrays", ("accuracy",)),
    Part("accuracy/calibration", "Calibration and evaluation", ("accuracy.calibration", "accuracy.evaluation")),
    Part("accuracy/bundled", "Networks and data sets by name", ("accuracy.networks", "accuracy.data_sets")),
    Part("accuracy/training", "Training", ("accuracy.training",)),
    Part("reports/reports", "Studies, sweeps, the store", ("reports",)),
)  # fmt: skip


def public_names() -> dict[str, object]:
    """Return every public name, as it is imported, with its object."""
    found: dict[str, object] = {}
    for module in (*ROOMS, *MODULES):
        own = importlib.import_module(module)
        for name in own.__all__:
            value = getattr(own, name)
            # A name of a room is one of the room; the same object is not listed again under its module.
            if not isinstance(value, ModuleType) and all(value is not other for other in found.values()):
                found[f"{module}.{name}"] = value
    return found


def first_line(value: object) -> str:
    """Return the first line of a docstring; a constant has none of its own."""
    if not callable(value):
        return ""
    return (inspect.getdoc(value) or "").split("\n", 1)[0]


def pages() -> dict[str, str]:
    """Return the Markdown of every page of the reference, by its path."""
    names = public_names()
    by_part: dict[str, list[str]] = {part.path: [] for part in PARTS}
    for name, value in names.items():
        home = getattr(value, "__module__", "") if first_line(value) else name.rpartition(".")[0]
        by_part[_part_of(home, name)].append(name)
    made = {f"reference/api/{part.path}.md": _page(part, by_part[part.path], names) for part in PARTS}
    made["reference/api/index.md"] = _index(by_part, names)
    return made


def nav() -> list[object]:
    """Return the navigation of the API reference."""
    rooms: dict[str, list[object]] = {}
    for part in PARTS:
        rooms.setdefault(part.path.split("/")[0], []).append({part.title: f"reference/api/{part.path}.md"})
    return ["reference/api/index.md", *({room: pages} for room, pages in rooms.items())]


def _part_of(home: str, name: str) -> str:
    # What a room takes over from another one stands with the room that made it.
    fitting = [
        (len(module), part.path)
        for part in PARTS
        for module in part.modules
        if home == module or home.startswith(f"{module}.")
    ]
    assert fitting, f"{name} (of {home}) has no page in the reference: add its module to PARTS"
    return max(fitting)[1]


def _page(part: Part, names: list[str], values: dict[str, object]) -> str:
    ordered = sorted(names, key=lambda name: _short(name).lower())
    rows = [f"| [`{_short(name)}`][{name}] | {first_line(values[name])} |" for name in ordered]
    blocks = [line for name in ordered for line in (f"::: {name}", "")]
    return "\n".join([f"# {part.title}", "", "| name | what it is |", "| --- | --- |", *rows, "", *blocks])


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _index(by_part: dict[str, list[str]], values: dict[str, object]) -> str:
    count = sum(len(names) for names in by_part.values())
    lines = [
        "# API",
        "",
        f"{count} public names. SI units inside; a docstring states units in brackets (`[A]`), shapes, the equation "
        "with its source, and what is raised. A name that stands here keeps its meaning as the "
        "[deprecation policy](../../contributing.md#versions-and-deprecation) says; whatever is not here may change.",
    ]
    for part in PARTS:
        page = f"{part.path}.md"
        lines += ["", f"## [{part.title}]({page})", "", "| name | what it is |", "| --- | --- |"]
        lines += [f"| [`{name}`][{name}] | {first_line(values[name])} |" for name in sorted(by_part[part.path])]
    return "\n".join(lines) + "\n"
