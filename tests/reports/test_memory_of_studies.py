"""A study keeps one converted network in memory, however many designs it goes through."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from accuracy import analog_layers
from circuits import Core, NetworkCores, load_designs
from reports import network_step
from reports.network_step import converted, load_network
from reports.study import Study


@pytest.mark.parametrize("least", [0, 10**9], ids=["large", "small"])
def test_an_earlier_network_is_freed_where_networks_are_large(least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_step, "MANY_WEIGHTS", least)
    study = Study(network="digits_cnn", calibration_images=20)
    network = load_network(study)
    arrays: list[Any] = []
    gc.collect()
    gc.disable()
    try:
        for name in ("A", "C"):
            model = converted(study, network, NetworkCores(Core(load_designs("xiao2022")[name])))
            arrays.append(weakref.ref(analog_layers(model)[0].array))
            del model
        # Garbage in circles stays until it is looked for, which is what this is about.
        assert (arrays[0]() is None) == (least == 0)
        assert arrays[1]() is not None
    finally:
        gc.enable()
        gc.collect()
