"""A kept accuracy is found again for the very same cell only: every field of a cell, at any depth, counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from devicekit import Cell, ReadCompensation, device_names, load_device
from devicekit.cells.cell import Spatial
from devicekit.cells.error_models import SaturatingExponential, StateIndependent, StateProportional
from devicekit.cells.mean_shifts import TableShift
from devicekit.cells.retention import Retention, RetentionPoint
from devicekit.cells.retention_laws import RetentionLaw
from devicekit.cells.subthreshold import SubthresholdTemperature
from devicekit.cells.tails import Tail
from reports.evaluation_key import _LABELS, cell_fingerprint

_OTHERS = {"low": ["high"], "log_time": ["power"], "linear": ["log"], "reference_cell": ["linear_bias"]}
"""Another value of names that are checked."""


def whole_cell() -> Cell:
    """A cell with something in every field."""
    states = (1e-7, 8e-7)
    law = RetentionLaw("log_time", states, (-0.01, -0.004), 0.05, 3600.0, 2.0, (1e-3, 1e-3), 1e-3)
    points = (RetentionPoint(1e5, TableShift(states, (0.9e-7, 7.7e-7), (1e-9, 2e-9)), StateIndependent(0.05)),)
    return Cell(
        error=SaturatingExponential(40e-9, 500e-9, 1e-9),
        i_max=1.6e-6,
        on_off_ratio=1e5,
        technology="sonos_40nm",
        mean_error=TableShift(states, (1.01e-7, 7.9e-7)),
        retention=Retention(points, law=law, activation_energy=1.1, temperature=358.0),
        read_noise=StateProportional(0.01),
        temperature_law=SubthresholdTemperature(1e-5, 0.7, -8e-4, 330.0),
        spatial=Spatial(0.1, 0.2),
        tail=Tail(0.01, "low", 6.0, 0.001),
        measured_range=states,
        covariance=np.diag([1e-18, 1e-18, 1e-20]),
        retention_covariance={1e5: np.eye(1) * 1e-6},
        read_noise_covariance=np.eye(1) * 1e-6,
        time=1e4,
        temperature=310.0,
        compensation=ReadCompensation(0.9, 0.3),
        die_deviate=0.3,
        name="whole",
    )


def changed(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield where a value can be changed, and the value with that one change."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, float | int):
        yield "", 1e6 if math.isinf(value) else value * (1 + 1e-9) if value else 1e-12
    elif isinstance(value, np.ndarray):
        yield "", value * (1 + 1e-9)
    elif isinstance(value, str):
        yield from (("", other) for other in _OTHERS.get(value, [value + "_b"]))
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            for place, other in changed(item):
                yield f"[{number}]{place}", (*value[:number], other, *value[number + 1 :])
    elif isinstance(value, Mapping):
        for key, item in value.items():
            for place, other in changed(item):
                yield f"[{key}]{place}", {**value, key: other}
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            if isinstance(value, Cell) and field.name in _LABELS:
                continue
            for place, other in changed(getattr(value, field.name)):
                yield f".{field.name}{place}", dataclasses.replace(value, **{field.name: other})  # type: ignore[type-var]
    else:
        raise AssertionError(f"{value!r} cannot be looked into")


def test_every_field_at_any_depth_counts() -> None:
    cell = whole_cell()
    values = {field.name: getattr(cell, field.name) for field in dataclasses.fields(cell)}
    unset = [name for name, value in values.items() if value is None or (isinstance(value, str | dict) and not value)]
    assert unset == ["provenance"], "this test knows every field"
    keys = {"as it is": cell_fingerprint(cell)}
    for place, other in changed(cell):
        keys[place] = cell_fingerprint(other)
    for top in {field.name for field in dataclasses.fields(cell)} - set(_LABELS):
        assert any(place.startswith(f".{top}") for place in keys), f"`{top}` was never changed"
    assert len(keys) > 45
    assert len(set(keys.values())) == len(keys)


@pytest.mark.parametrize(
    "field",
    ["mean_error", "retention", "read_noise", "temperature_law", "spatial", "tail", "measured_range", "die_deviate"],
)
def test_a_part_that_is_taken_away_counts(field: str) -> None:
    cell = whole_cell()
    changes: dict[str, Any] = {field: None} | ({"read_noise_covariance": None} if field == "read_noise" else {})
    assert cell_fingerprint(dataclasses.replace(cell, **changes)) != cell_fingerprint(cell)


def test_the_same_cell_has_the_same_key() -> None:
    assert cell_fingerprint(whole_cell()) == cell_fingerprint(whole_cell())
    renamed = dataclasses.replace(whole_cell(), name="another", provenance={})
    assert cell_fingerprint(renamed) == cell_fingerprint(whole_cell())
    bundled = {name: cell_fingerprint(load_device(name)) for name in device_names()}
    assert bundled == {name: cell_fingerprint(load_device(name)) for name in bundled}
    assert len(set(bundled.values())) == len(bundled)
