"""Update models as preset devices of aihwkit, each a Python file with one dataclass.

The form is that of its `simulator/presets/devices.py`. Weights run from -1 at G_min to 1 at G_max. The fields are
those of aihwkit's device configurations (version 1.x): `dw_min` is the larger of the two steps at weight 0, and
`up_down` lowers the other one: up (1 + min(up_down, 0)) dw_min and down (1 - max(up_down, 0)) dw_min, as its C++ core
has it; `write_noise_std` is in steps of `dw_min`; `*_dtod` are relative. Variation that was not measured is written as
0, which aihwkit's own defaults are not.
"""

from __future__ import annotations

import ast
import keyword
import re
from pathlib import Path

import numpy as np

from devicekit.common.errors import DeviceError
from devicekit.common.paths import replacing
from devicekit.pulses.pulse_values import PulseValues
from devicekit.pulses.update_laws import UpdateLaw
from devicekit.pulses.update_models import UpdateBranch, UpdateModel

DEVICES: dict[UpdateLaw, str] = {
    "constant_step": "LinearStepDevice",
    "linear_step": "LinearStepDevice",
    "soft_bounds": "SoftBoundsDevice",
    "exponential_step": "ExpStepDevice",
}
"""The class of aihwkit that follows each law; its `ConstantStepDevice` has no write noise, one of slope 0 has."""
_EXPONENT = -0.5
"""a and b of `ExpStepDevice`: z = 2 a w / (w_max - w_min) + b runs from 0 at w = -1 to -1 at w = 1."""


def preset_fields(fit: PulseValues) -> dict[str, float | bool]:
    """Return the fields of the aihwkit device, by name.

    Args:
        fit: a fitted update with both directions.

    Raises:
        DeviceError: one direction was not measured.
    """
    model = fit.model
    up, down = model.branch(True), model.branch(False)
    half = 0.5 * model.range
    scales = [up.step / half, down.step / half]
    fields: dict[str, float | bool] = {"w_max": 1.0, "w_min": -1.0}
    if model.law in ("linear_step", "constant_step"):
        slopes = [*up.shape, *down.shape] or [0.0, 0.0]
        fields |= {"gamma_up": slopes[0], "gamma_down": slopes[1], "gamma_up_dtod": 0.0, "gamma_down_dtod": 0.0}
        fields["allow_increasing"] = min(slopes) < 0
    if model.law == "exponential_step":
        # s f = s (1 + k exp(-r x)) / (1 + k exp(-r / 2)), x = -z from 0 to 1; for down pulses x runs the other way.
        floors = [
            branch.step / half / (1.0 + branch.shape[0] * np.exp(-0.5 * branch.shape[1])) for branch in (up, down)
        ]
        scales = [float(floor) for floor in floors]
        fields |= {
            "a": _EXPONENT,
            "b": _EXPONENT,
            "gamma_up": up.shape[1],
            "gamma_down": down.shape[1],
            "A_up": -up.shape[0],
            "A_down": -down.shape[0] * float(np.exp(-down.shape[1])),
        }
    dw_min = max(scales)
    fields["dw_min"] = dw_min
    fields["up_down"] = (scales[0] - scales[1]) / dw_min
    devices = fit.device_variation
    fields["dw_min_dtod"] = 0.0 if devices is None else devices.step
    fields["up_down_dtod"] = 0.0 if devices is None else devices.up_down
    fields["w_max_dtod"] = 0.0 if devices is None else devices.g_max / half
    fields["w_min_dtod"] = 0.0 if devices is None else devices.g_min / half
    fields["dw_min_std"] = model.pulse_noise
    if model.law != "exponential_step":
        fields["mult_noise"] = model.noise_kind == "multiplicative"
    fields["write_noise_std"] = model.read_noise / half / dw_min
    return fields


def write_preset(fit: PulseValues, path: str | Path, name: str | None = None) -> Path:
    """Write a Python file with the preset device; it imports aihwkit only when it is used.

    Args:
        fit: a fitted update with both directions.
        path: a ``.py`` file; written whole or not at all.
        name: of the class; None: made from the measurements' file.

    Raises:
        DeviceError: one direction was not measured, or a name that is no name of a class.
    """
    title = name or _class_name(Path(fit.data.place.split(" and ")[0]).stem)
    if not title.isidentifier() or keyword.iskeyword(title):
        raise DeviceError(f"Expected `name` to be the name of a Python class, but got {title!r}.")
    model = fit.model
    unit = fit.data.unit
    base = DEVICES[model.law]
    lines = [
        f'"""Preset device of aihwkit, fitted to {Path(fit.data.place).name} ({fit.data.kind}) by devicekit."""',
        "",
        "from dataclasses import dataclass",
        "",
        f"from aihwkit.simulator.configs.devices import {base}",
        "",
        "",
        "@dataclass",
        f"class {title}({base}):",
        f'    """{model.law.replace("_", " ").capitalize()} update fitted to {len(fit.data.up)} ramps.',
        "",
        f"    Weight -1 is {f'{model.g_min:.6g} {unit}'.strip()}, weight 1 is {f'{model.g_max:.6g} {unit}'.strip()}.",
        *([] if fit.device_variation else ["    How devices vary was not measured: *_dtod are 0."]),
        '    """',
        "",
        *(f"    {field}: {'bool' if isinstance(value, bool) else 'float'} = {_plain(value)!r}"
          for field, value in preset_fields(fit).items()),
    ]  # fmt: skip
    target = Path(path)
    with replacing(target) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return target


def _plain(value: float | bool) -> float | bool:
    return value if isinstance(value, bool) else float(value)


def _class_name(stem: str) -> str:
    words = [word for word in re.split(r"[^A-Za-z0-9]+", stem) if word]
    joined = "".join(word[0].upper() + word[1:] for word in words)
    return (joined if joined and not joined[0].isdigit() else f"Device{joined}") + "PresetDevice"


def read_preset(path: str | Path, g_min: float = -1.0, g_max: float = 1.0) -> UpdateModel:
    """Return the update model of a file with one preset device; the file is read, not run.

    Args:
        path: a Python file as `write_preset` and aihwkit have them, with one dataclass.
        g_min: conductance of weight `w_min` [S].
        g_max: conductance of weight `w_max` [S].

    Raises:
        DeviceError: no preset of a device whose law is known, or a field that is no plain number.
    """
    place = Path(path)
    laws: dict[str, UpdateLaw] = {device: law for law, device in DEVICES.items()}
    try:
        tree = ast.parse(place.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise DeviceError(f"{place}: cannot be read as a Python file: {error}.") from error
    found = [
        (node, base.id)
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Name) and base.id in laws
    ]
    if len(found) != 1:
        raise DeviceError(f"{place}: expected one preset of {', '.join(laws)}, but found {len(found)}.")
    node, device = found[0]
    fields: dict[str, float] = {}
    for statement in node.body:
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and statement.value is not None
        ):
            try:
                fields[statement.target.id] = ast.literal_eval(statement.value)
            except ValueError as error:
                raise DeviceError(f"{place}: {statement.target.id} is not a plain number.") from error
    return _model_of(laws[device], fields, g_min, g_max, str(place))


def _model_of(law: UpdateLaw, fields: dict[str, float], g_min: float, g_max: float, place: str) -> UpdateModel:
    missing = [name for name in ("dw_min", "up_down", "w_max", "w_min") if name not in fields]
    if missing:
        raise DeviceError(f"{place}: the preset does not state {', '.join(missing)}.")
    if abs(fields["w_max"] + fields["w_min"]) > 1e-9 * fields["w_max"]:
        raise DeviceError(
            f"{place}: expected bounds that lie evenly about 0, but got {fields['w_min']}, {fields['w_max']}."
        )
    half = 0.5 * (g_max - g_min) / fields["w_max"]
    bias = fields["up_down"]
    scales = [(1.0 + min(bias, 0.0)) * fields["dw_min"] * half, (1.0 - max(bias, 0.0)) * fields["dw_min"] * half]
    shapes: list[tuple[float, ...]] = [(), ()]
    slopes = (fields.get("gamma_up", 0.0), fields.get("gamma_down", 0.0))
    if law == "linear_step" and slopes == (0.0, 0.0):
        law = "constant_step"
    elif law == "linear_step":
        shapes = [(slopes[0],), (slopes[1],)]
    if law == "exponential_step":
        if (fields.get("a"), fields.get("b")) != (_EXPONENT, _EXPONENT):
            raise DeviceError(
                f"{place}: expected a = b = {_EXPONENT}, but got {fields.get('a')} and {fields.get('b')}."
            )
        k = [-fields["A_up"], -fields["A_down"] * float(np.exp(fields["gamma_down"]))]
        rates = [fields["gamma_up"], fields["gamma_down"]]
        scales = [
            scale * (1.0 + own * float(np.exp(-0.5 * rate))) for scale, own, rate in zip(scales, k, rates, strict=True)
        ]
        shapes = [(k[0], rates[0]), (k[1], rates[1])]
    return UpdateModel(
        law,
        g_min,
        g_max,
        UpdateBranch(scales[0], shapes[0]),
        UpdateBranch(scales[1], shapes[1]),
        fields.get("dw_min_std", 0.0),
        "multiplicative" if fields.get("mult_noise", True) else "additive",
        fields.get("write_noise_std", 0.0) * fields["dw_min"] * half,
    )
