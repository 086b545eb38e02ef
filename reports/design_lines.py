"""Differences between the designs of a page: a line a property, and a few words below each name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from circuits import CoreDesign
from reports.layer_cores import column_of, overrides_of
from reports.results import Values

_LABELS = {
    "max_rows": "rows an array, at most",
    "bits_per_cell": "bits a cell",
    "bits_per_input_slice": "bits an input slice",
    "adc_bits": "ADC bits",
    "adc_range": "ADC range",
    "r_p_hat": "bit-line resistance R̂ₚ",
}
"""Fields whose label is not their name in words."""
_ALWAYS = (
    "negative_weights", "weight_bits", "bits_per_cell", "max_rows", "input_bits", "bits_per_input_slice",
    "input_accumulation", "adc_bits", "adc_range", "r_p_hat",
)  # fmt: skip
"""Fields that every page shows; of the others those that differ between its designs or from their defaults."""


def design_lines(designs: Sequence[Values]) -> list[dict[str, Any]]:
    """Return one line a property, with an entry a design: every field in which two of the designs differ is there.

    Args:
        designs: as in `StudyResult`.
    """
    usual = CoreDesign().to_dict()["fields"]
    lines = []
    for key in designs[0]["fields"]:
        values = [design["fields"][key] for design in designs]
        if key in _ALWAYS or (key != "name" and any(value != usual[key] for value in values)):
            lines.append({"label": _label(key), "entries": [_shown(value) for value in values]})
    built = [built_of(design["core"], design["name"]) for design in designs]
    for label in built[0]:
        entries = [own[label] for own in built]
        if label in _ALWAYS_BUILT or any(entry != "none" for entry in entries):
            lines.append({"label": label, "entries": entries})
    if any(map(overrides_of, designs)):
        lines.append({"label": "layers on other cores", "entries": [column_of(design) or "none" for design in designs]})
    lines.append({"label": "slices × partitions", "entries": [f"{d['slices']} × {d['partitions']}" for d in designs]})
    lines.append({"label": "conversions a product", "entries": [f"{d['conversions_per_mvm']:,}" for d in designs]})
    return lines


_ALWAYS_BUILT = ("cells", "ADC")
"""Parts of a core that every page shows; of the others those that some core has."""


def built_of(core: Values, name: str = "") -> dict[str, str]:
    """Return what a core is built of beside its design, a label and a few words a part; "none" for what is left out.

    Args:
        core: `Core.to_dict`.
        name: of its design: circuits sized for it are then alike in all designs.
    """
    adc, faults, wires = core["adc"], core["faults"], core["wires"]
    stuck = [] if faults is None else [(faults["stuck_low"], "off"), (faults["stuck_high"], "on")]
    return {
        "cells": "ideal" if core["cell"] is None else core["cell"]["name"],
        "age of the cells": _duration(core["age_s"]),
        "temperature of the read": _temperature(core),
        "ADC": "none" if adc is None else _adc(adc),
        "peripherals": _own(core["peripherals"] or "none", name),
        "resistance of the virtual ground": _resistance(wires, "r_in_hat"),
        "resistance of the supply": _resistance(wires, "r_s_hat") + (f" ({wires['feed']})" if "feed" in wires else ""),
        "cell model of the bit lines": wires["bit_line"] + (", drain on the line" if "orientation" in wires else "")
        if any(wires.get(key) for key in ("r_p_hat", "r_in_hat", "r_s_hat"))
        else "none",
        "corrections": ", ".join(core["corrections"]).replace("_", " ") or "none",
        "stuck cells": ", ".join(f"{100 * share:g} % {how}" for share, how in stuck if share) or "none",
    }


def _temperature(core: Values) -> str:
    """Return at what temperature a core is read, and what follows it."""
    if core["temperature_k"] is None:
        return "none"
    bias = core.get("compensation")
    if not bias or not bias["fraction"]:
        return f"{core['temperature_k']:g} K, uncompensated"
    follows = {"reference_cell": "a reference cell", "linear_bias": "a linear bias"}[bias["tracking"]]
    return f"{core['temperature_k']:g} K, compensated {100 * bias['fraction']:g} % by {follows}, assumed"


def _resistance(wires: Values, key: str) -> str:
    """Return a resistance over the least cell resistance in words."""
    return f"{wires[key]:.3g} of a full cell's" if wires.get(key) else "none"


def _own(peripherals: str, name: str) -> str:
    ending = f" sized for {name}"
    return f"{peripherals.removesuffix(ending)}, sized for it" if name and peripherals.endswith(ending) else peripherals


def _duration(seconds: float | None) -> str:
    if not seconds:
        return "none"
    units = (("day", 86400.0), ("h", 3600.0), ("s", 1.0))
    unit, size = next((own for own in units if seconds >= own[1]), units[-1])
    return f"{seconds / size:.3g} {unit}" + ("s" if unit == "day" and seconds != size else "")


def _adc(adc: Values) -> str:
    """Return the kind of an ADC, and what it gives of its own."""
    words = [f"{adc['name']} ({adc['kind']})" if "name" in adc else adc["kind"]]
    words += [f"ENOB {adc['enob']:g}"] if "enob" in adc else []
    words += [f"noise {adc['noise_lsb']:g} LSB"] if "noise_lsb" in adc else []
    words += ["non-linear"] if any(table in adc for table in ("inl_lsb", "dnl_lsb", "thresholds_lsb")) else []
    words += ["its circuit's own errors"] if any(adc.get("circuit", {}).values()) else []
    costs = [
        cost for cost in ("rate", "energy", "area") if cost in adc or (cost == "energy" and "decision_energy" in adc)
    ]
    words += [f"own {', '.join(costs)}"] if costs else []
    return ", ".join(words)


def descriptions(designs: Sequence[Values]) -> list[str]:
    """Return a few words about each design: how weights are held; where that is alike, what is unusual about one.

    Args:
        designs: as in `StudyResult`.
    """
    plain = [_described(design) for design in designs]
    texts = []
    for design, text in zip(designs, plain, strict=True):
        alike = [other["fields"] for other, own in zip(designs, plain, strict=True) if own == text]
        apart = [
            f"{_label(key)} {_shown(value)}"
            for key, value in design["fields"].items()
            if key != "name" and value != _most_common([fields[key] for fields in alike])
        ]
        cores = [
            built_of(other["core"], other["name"]) for other, own in zip(designs, plain, strict=True) if own == text
        ]
        apart += [
            f"{label} {value}"
            for label, value in built_of(design["core"], design["name"]).items()
            if value != _most_common([core[label] for core in cores])
        ]
        texts.append(", ".join([text, *apart]))
    return texts


def _most_common(values: Sequence[Any]) -> Any:
    """Return the value that stands most often, the first of several; values of a design need no hash."""
    return max(values, key=lambda value: (values.count(value), -values.index(value)))


def _described(design: Values) -> str:
    arrays = design["slices"] * design["partitions"]
    return (
        f"{_shown(design['fields']['negative_weights'])}, {design['slices']} × {design['partitions']} "
        f"array{'s' if arrays > 1 else ''}"
    )


def _label(key: str) -> str:
    return _LABELS.get(key, key.replace("_", " "))


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")
