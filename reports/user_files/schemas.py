"""JSON schemas of user files, made from the models that check them, so that editors complete and underline."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

from circuits.design_files import NOTES
from devicekit.common.errors import unknown_name
from reports.errors import StudyError

Schema = dict[str, Any]
DRAFT = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Schema = {"type": "string"}
_QUANTITY: Schema = {
    "description": "A number in SI units, or text with a unit such as '1.6 uA'.",
    "anyOf": [{"type": "number"}, {"type": "string"}],
}


def schema_of(kind: str) -> Schema:
    """Return the JSON schema of a kind of user file.

    Args:
        kind: one of `SCHEMAS`.

    Raises:
        StudyError: a kind without a schema.
    """
    if kind not in SCHEMAS:
        raise StudyError(unknown_name("kind of file with a schema", kind, list(SCHEMAS)))
    made = SCHEMAS[kind]()
    return {"$schema": DRAFT, "title": f"devicekit: {kind}", **{key: made[key] for key in made if key != "title"}}


def _model(path: str) -> Callable[[], Schema]:
    """Return a function that makes the schema of a pydantic model, imported when it is asked for."""

    def make() -> Schema:
        from importlib import import_module

        module, name = path.split(":")
        schema: Schema = getattr(import_module(module), name).model_json_schema()
        return schema

    return make


def _fields_of(cls: type, leave_out: tuple[str, ...] = ()) -> dict[str, Schema]:
    """Return the schema of each field of a dataclass; its docstring describes them."""
    from pydantic import TypeAdapter

    names = [field.name for field in dataclasses.fields(cls) if field.name not in leave_out]
    hints = get_type_hints(cls, include_extras=True)
    words = _described(cls.__doc__ or "")
    found = {}
    for name in names:
        try:
            own = TypeAdapter(hints[name]).json_schema()
        except Exception:
            # A field whose type has no schema takes anything; the reader still checks it.
            own = {}
        found[name] = {**own, **({"description": words[name]} if name in words else {})}
    return found


def _described(docstring: str) -> dict[str, str]:
    """Return what the ``Attributes:`` section of a docstring says of each attribute."""
    words: dict[str, str] = {}
    name, inside = "", False
    for line in docstring.splitlines():
        text = line.strip()
        if text in ("Attributes:", "Args:"):
            inside = text == "Attributes:"
        elif not text or (text.endswith(":") and " " not in text):
            inside = inside and not text
        elif inside:
            head, colon, rest = text.partition(": ")
            if colon and head.isidentifier() and len(line) - len(line.lstrip()) <= 8:
                name = head
                words[name] = rest
            elif name:
                words[name] += f" {text}"
    return words


def _table(properties: dict[str, Schema], **more: Any) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False, **more}


def _constant() -> Schema:
    from devicekit import Constant

    schema = Constant.model_json_schema()
    schema.pop("title", None)
    return schema


def _design_fields() -> dict[str, Schema]:
    from circuits import CoreDesign
    from circuits.weight_codes import weight_codes

    fields = _fields_of(CoreDesign, ("name",))
    fields["negative_weights"] = {
        "description": fields["negative_weights"].get("description", ""), "type": "string",
        "examples": list(weight_codes()),
    }  # fmt: skip
    for name in ("bits_per_cell", "input_bits", "bits_per_input_slice", "accumulator_bits", "adc_bits"):
        # TOML knows no null: "none" stands for it.
        fields[name] = {**{k: v for k, v in fields[name].items() if k == "description"}, "anyOf": [
            {"type": "integer", "minimum": 1}, {"const": "none"},
            *([{"type": "array", "items": {"type": "integer", "minimum": 1}}] if name == "adc_bits" else []),
        ]}  # fmt: skip
    return fields


def _adc() -> Schema:
    from circuits import Adc, adc_kind_names

    fields = _fields_of(Adc, ("_",))
    for name in ("rate", "energy", "decision_energy", "area"):
        fields[name] = {"description": fields[name].get("description", ""), "anyOf": [*_QUANTITY["anyOf"], _constant()]}
    fields["kind"] |= {"examples": list(adc_kind_names())}
    numbers: Schema = {"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}]}
    for name in ("inl_lsb", "dnl_lsb", "thresholds_lsb"):
        fields[name] = {**numbers, "description": fields[name].get("description", "")}
    return _table({"base": _TEXT, **fields})


def _notes() -> dict[str, Schema]:
    return {name: {"description": "Where designs come from; no field of one."} for name in NOTES}


def _designs() -> Schema:
    return {
        "type": "object",
        "properties": {
            **_notes(),
            "defaults": _table({**_notes(), **_design_fields()}),
            "designs": {"type": "object", "additionalProperties": _table({**_notes(), **_design_fields()})},
        },
        "required": ["designs"],
        "additionalProperties": False,
    }


def _core() -> Schema:
    from circuits import Faults, Wires
    from circuits.core_parts import Correction

    corrections = list(get_args(Correction))
    wires = _fields_of(Wires)
    for name in ("resistance", "input_resistance", "supply_resistance"):
        if name in wires:
            wires[name] = {**_QUANTITY, "description": wires[name].get("description", "")}
    one = {"enum": corrections}
    own: dict[str, Schema] = {
        **_notes(),
        "design": {"type": "string", "description": "A bundled design, FILE:NAME, or one of [designs.NAME]."},
        "cell": {"type": "string", "description": "A bundled device or a device file."},
        "adc": {"anyOf": [_TEXT, _adc()]},
        "peripherals": {"type": "string", "description": "Sized for the design ('sized'), a bundled name, or a file."},
        "wires": {"anyOf": [{"type": "number", "minimum": 0}, _table(wires)]},
        "corrections": {"anyOf": [one, {"type": "array", "items": one}]},
        "faults": {"anyOf": [{"type": "number"}, _table(_fields_of(Faults))]},
        "age": {**_QUANTITY, "description": "Time after programming at which the cell is read."},
        "temperature": {**_QUANTITY, "description": "Of the read."},
        "compensation": {"description": "How the read follows the temperature, see docs/cores.md."},
    }  # fmt: skip
    cores = {"type": "object", "additionalProperties": _table({**_design_fields(), **own})}
    return _table({**_designs()["properties"], "cores": cores}, required=["cores"])


def _library() -> Schema:
    from energy.library import GROUPS

    constant = _constant()
    constant["properties"] = {**constant["properties"], "node_scaling": _TEXT}
    constant.pop("additionalProperties", None)
    group = {"type": "object", "additionalProperties": {"anyOf": [constant, {"type": "object"}]}}
    component = {
        "type": "object",
        "properties": {
            "label": _TEXT,
            "instances": {"description": "Formula of the design: how many there are.", "type": ["string", "number"]},
            "area": {"type": "object"},
            "leakage": {"type": "object"},
            "actions": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "properties": {"count": {"type": ["string", "number"]}, "energy": {"type": "object"}},
                },
            },
        },
    }
    return {
        "type": "object",
        "properties": {
            "base": {"type": "string", "description": "The library that this file changes: bundled, or of its folder."},
            "name": _TEXT, "technology": _TEXT, "description": _TEXT, "draws": _TEXT,
            "node_nm": {"type": "number", "exclusiveMinimum": 0}, "vdd": {"type": "number", "exclusiveMinimum": 0},
            "calibrated": {"type": "array", "items": _TEXT},
            "components": {"type": "object", "additionalProperties": component},
            **dict.fromkeys(GROUPS, group),
        },
        "additionalProperties": False,
    }  # fmt: skip


def _peripherals() -> Schema:
    from pydantic import TypeAdapter

    from circuits import PeripheralGrid, PeripheralModel

    schema: Schema = TypeAdapter(PeripheralGrid | PeripheralModel).json_schema()
    return schema


SCHEMAS: dict[str, Callable[[], Schema]] = {
    "device": _model("devicekit.cells.device_schema:DeviceFile"),
    "core": _core,
    "designs": _designs,
    "adc": _adc,
    "library": _library,
    "study": _model("reports.study:Study"),
    "training": _model("accuracy.training.settings:Training"),
    "peripherals": _peripherals,
}
"""Kinds of files that have a schema, with the function that makes it."""
