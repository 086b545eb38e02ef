"""What every result gives as plain values: JSON without our classes, the same numbers, units in the names."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import accuracy
import circuits
import devicekit
import energy
from circuits import Activity, BitLinePoint, CoreDesign, LayerShape
from reports.sources import library_sources

LAYER = LayerShape(name="fc", rows=64, columns=10)
UNITS = ("_a", "_v", "_s", "_k", "_bits")
"""Units that a plain name carries and the attribute's documentation states."""


@cache
def evaluated() -> tuple[Any, Any]:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 4))
    inputs, labels = torch.rand(12, 1, 4, 4), torch.arange(12) % 4
    converted = accuracy.convert(model, circuits.load_design("A"), devicekit.load_device("sonos_40nm_tcas2022"))
    accuracy.calibrate(converted, [(inputs, labels)])
    found = accuracy.evaluate(converted, [(inputs, labels)], trials=3)
    return found, accuracy.layer_report(converted, [(inputs, labels)])[0]


RESULTS: dict[str, Callable[[], Any]] = {
    "Cell": lambda: devicekit.load_device("sonos_40nm_iedm2022").at(time=3600.0),
    "DeviceFit": lambda: devicekit.fit_device(
        devicekit.read_measurements(devicekit.data_path("measurements/sonos_40nm_tcas2022_resampled.csv"))
    ),
    "CoreDesign": lambda: circuits.load_design("E").replace(adc_bits=(8, 7, 6, 5)),
    "CoreCost": lambda: energy.estimate_core(circuits.load_design("B")),
    "NetworkCost": lambda: energy.estimate_network([LAYER], circuits.load_design("A")),
    "Accuracy": lambda: evaluated()[0],
    "LayerReport": lambda: evaluated()[1],
    "Activity": lambda: Activity([0.1, 0.2], np.full(8, 0.3), "test"),
    "LayerShape": lambda: LAYER,
    "BitLinePoint": lambda: BitLinePoint(rows=144, r_p_hat=1e-5),
    "BitLineConfirmation": lambda: circuits.confirm_bit_line(),
    "PeripheralModel": lambda: circuits.load_peripherals("sonos_40nm"),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_json_as_it_stands(name: str) -> None:
    result = RESULTS[name]()
    assert type(result).__name__ == name
    values = result.to_dict()
    # Strict JSON: no infinity, no NaN; a round trip changes nothing, not even the last digit.
    assert json.loads(json.dumps(values, allow_nan=False)) == values


@pytest.mark.parametrize("name", RESULTS)
def test_numbers_are_those_of_the_result(name: str) -> None:
    result = RESULTS[name]()
    compared = 0
    for key, value in result.to_dict().items():
        plain = [key, *(key.removesuffix(unit) for unit in UNITS if key.endswith(unit))]
        own = next((getattr(result, name) for name in plain if hasattr(result, name)), None)
        if name == "NetworkCost" and key in result.totals:
            own = result.value(key)
        if isinstance(own, int | float | np.floating) and not isinstance(own, bool):
            assert value == own or (value is None and not math.isfinite(own)), key
            compared += 1
    assert compared or name in ("Activity", "DeviceFit")


def test_what_has_no_limit_is_none() -> None:
    design = CoreDesign(input_bits=None)
    assert math.isinf(design.b_out)
    assert design.to_dict()["b_out_bits"] is None
    assert devicekit.Cell(error=devicekit.StateIndependent(0.01), i_max=1e-6).to_dict()["on_off_ratio"] is None


def test_a_metric_without_scores_has_no_interval() -> None:
    found, _ = evaluated()
    assert found.to_dict()["loss_interval"] == list(found.loss_interval())
    assert accuracy.Accuracy(np.array([0.5, 0.6]), 0.7, 0.65, None, None, None, {}).to_dict()["loss_interval"] is None


def test_results_give_themselves_back() -> None:
    """What is read from results.json makes the same objects, so that a study can go on from it."""
    activity, design = RESULTS["Activity"](), RESULTS["CoreDesign"]()
    again = Activity(**json.loads(json.dumps(activity.to_dict())))
    assert np.array_equal(again.mean_conductance, activity.mean_conductance)
    assert np.array_equal(again.input_activity, activity.input_activity)
    assert LayerShape(**LAYER.to_dict()) == LAYER
    assert CoreDesign(**json.loads(json.dumps(design.to_dict()))["fields"]) == design


def test_constants_keep_their_units_and_sources() -> None:
    cell = devicekit.load_device("sonos_40nm_tcas2022")
    library = energy.load_library("sonos_40nm").with_cell(cell)
    for entry in library_sources("sonos_40nm", [cell]):
        constant = library.constants[entry["name"]]
        assert (entry["value"], entry["unit"], entry["source"]) == (constant.value, constant.unit, constant.source)
