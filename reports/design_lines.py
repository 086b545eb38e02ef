"""Differences between the designs of a page: a line a property, and a few words below each name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from circuits import CoreDesign
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
    lines.append({"label": "slices × partitions", "entries": [f"{d['slices']} × {d['partitions']}" for d in designs]})
    lines.append({"label": "conversions a product", "entries": [f"{d['conversions_per_mvm']:,}" for d in designs]})
    return lines


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
