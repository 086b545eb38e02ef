"""A result made by hand, with round numbers: what the table, the figures and the page are tested with."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.support.ui import WebDriverWait

from accuracy.evaluation.measures import measure_of
from circuits import load_designs
from reports.results import StudyResult, Values
from tests.browser import *  # noqa: F403 - fixtures
from tests.reports.built_cores import core_of

ENERGY = {"A": 8.4, "B": 61.0, "C": 43.3, "D": 25.8, "E": 902.0}
AREA = {"A": 0.24, "B": 1.6, "C": 1.3, "D": 0.27, "E": 11.14}
LATENCY = {"A": 376.0, "B": 376.0, "C": 376.0, "D": 2208.0, "E": 2208.0}
LOSS = {"A": 0.0050, "B": -0.0010, "C": 0.0060, "D": 0.0040, "E": 0.0610}
S_MAX, I_SAT = 39.5656e-9, 1 / 0.00188704e9


def sigma(current: float) -> float:
    return S_MAX * (1 - math.exp(-current / I_SAT))


def accuracy(name: str) -> Values:
    mean = 0.965 - LOSS[name]
    spread = (-0.004, -0.002, 0.0, 0.002, 0.004)
    return {
        "baseline": 0.965,
        "ideal": 0.964,
        "mean": mean,
        "std": 0.00316,
        "per_trial": [mean + step for step in spread],
        "trials": len(spread),
        "loss": LOSS[name],
        "loss_interval": [LOSS[name] - 0.006, LOSS[name] + 0.006],
        "images": 360,
        "labels": 360,
    }


def cost(name: str) -> Values:
    energy, area = ENERGY[name], AREA[name]
    parts = {"integrator": 0.4, "ramp ADC": 0.3, "array": 0.2, "row_driver": 0.09, "adder": 0.01}
    return {
        "energy_fj_per_op": energy,
        "energy_fj_per_op_low": 0.8 * energy,
        "energy_fj_per_op_high": 1.2 * energy,
        "area_mm2": area,
        "area_mm2_low": 0.9 * area,
        "area_mm2_high": 1.1 * area,
        "latency_ns": LATENCY[name],
        "latency_ns_low": LATENCY[name],
        "latency_ns_high": LATENCY[name],
        "tops_per_w": 1e3 / energy,
        "breakdown": [
            {"label": part, "energy_fj_per_op": share * energy, "area_mm2": share * area}
            for part, share in parts.items()
        ],
    }


def network_cost(name: str) -> Values:
    return {
        "cores": 4,
        "area_mm2": 4 * AREA[name],
        "energy_gated_uj": 0.02 * ENERGY[name],
        "energy_gated_uj_low": 0.015 * ENERGY[name],
        "energy_gated_uj_high": 0.025 * ENERGY[name],
        "energy_ungated_uj": 0.1 * ENERGY[name],
        "latency_us": 0.1 * LATENCY[name],
        "inferences_per_s": 1e7 / LATENCY[name],
        "spatial_utilisation": 0.014,
        "peak_tops_per_w": 1e3 / ENERGY[name],
        "utilised_tops_per_w": 1e2 / ENERGY[name],
        "layers": [
            {"layer": layer, "energy_gated_nj": nj * ENERGY[name]}
            for layer, nj in (("conv1", 6.0), ("conv2", 9.0), ("fc", 0.5))
        ],
    }


def fit() -> Values:
    target = [1e-7 * (number + 0.5) for number in range(16)]
    curve = [1.6e-6 * number / 40 for number in range(41)]
    return {
        "source": "sonos_40nm.csv",
        "kind": "resampled from published statistics",
        "round_trip": True,
        "model": "saturating_exponential",
        "parameters": {
            "s_max": {"value": 39.9e-9, "stderr": 0.6e-9, "unit": "A"},
            "i_sat": {"value": 530e-9, "stderr": 12e-9, "unit": "A"},
        },
        "published": {"s_max": S_MAX, "i_sat": I_SAT},
        "states": [
            {"target_a": own, "sigma_a": sigma(own), "sigma_stderr_a": 0.09 * sigma(own), "n": 64, "time_s": 0.0}
            for own in target
        ],
        "curve": {
            "current_a": curve,
            "sigma_a": list(map(sigma, curve)),
            "low_a": [0.97 * sigma(current) for current in curve],
            "high_a": [1.03 * sigma(current) for current in curve],
            "published_a": [1.01 * sigma(current) for current in curve],
        },
        "notes": ["all 1024 cells were used"],
    }


@pytest.fixture(scope="session")
def made_up() -> StudyResult:
    return StudyResult(
        title="digits_cnn on five cores",
        settings={"designs": list("ABCDE"), "network": "digits_cnn", "trials": 5, "seed": 0},
        fit=fit(),
        device={
            "name": "sonos_40nm",
            "label": "SONOS",
            "technology": "40 nm SONOS",
            "error_model": "saturating_exponential",
            "parameters": {"s_max": {"value": S_MAX, "unit": "A"}},
            "i_max_a": 1.6e-6,
            "on_off_ratio": 1e7,
            "read_voltage_v": 0.1,
            "origin": "Fitted to sonos_40nm.csv.",
        },
        spice={"ngspice_version": "39", "cells": 64, "relative_difference": 3e-12, "recorded": False},
        metric=measure_of("top1").facts.to_dict(),
        network={
            "name": "digits_cnn",
            "data_set": "digits",
            "example": "image",
            "labels": 360,
            "places_per_inference": 1,
            "coverage": {"analog_weights": 1.0, "analog_macs": 1.0, "matrices": []},
            "description": "Handwritten 8 × 8 digits.",
            "baseline": 0.965,
            "test_images": 360,
            "calibration_images": 1077,
            "classes": 10,
            "layers": [{"name": "conv1", "rows": 9, "columns": 16, "mvms": 64}],
            "notes": ["An easy network <& honest>."],
        },
        designs=[
            {
                **design.to_dict(),
                "core": core_of(design),
                "accuracy": accuracy(name),
                "cost": cost(name),
                "network_cost": network_cost(name),
                "stages": [
                    {"name": part, "accuracy": {"mean": 0.965 - LOSS[name] - more, "trials": 3}}
                    for part, more in (("cells", 0.0), ("wires", 0.001), ("periphery", 0.5))
                ],
                "last_stage": "trim",
                "wire_cost": None,
                "layer_reports": [
                    {"name": layer, "snr_db": db, "network_snr_db": db - 3}
                    for layer, db in (("conv1", 25.0), ("conv2", 18.0), ("fc", 22.0))
                ],
            }
            for name, design in load_designs("xiao2022").items()
        ],
        provenance=[
            {
                "room": "device",
                "name": "s_max",
                "value": 39.6e-9,
                "unit": "A",
                "kind": "published",
                "source": "Xiao et al. 2022, Fig. 4",
                "interval": None,
            },
            {
                "room": "energy",
                "name": "integrator energy",
                "value": 0.94,
                "unit": "pJ",
                "kind": "fitted",
                "source": "calibration",
                "interval": [0.8, 1.1],
            },
        ],
        software={"devicekit": "0.1.0", "python": "3.11"},
        remarks=["Nothing was skipped."],
        wires=[
            {
                "designs": names,
                "rows": rows,
                "pairing": pairing,
                "mean_conductance": 0.02,
                "r_p_hat": r_p_hat,
                "model": model,
                "error_lsb_gain_removed": 1e5 * scale * r_p_hat,
            }
            for names, rows, pairing in ((["A", "B", "D"], 1152, "differential"), (["E"], 72, "offset"))
            for r_p_hat in (1e-6, 1e-5, 1e-4)
            for model, scale in (("ideal", 30.0), ("resistor", 20.0), ("affine", 2.0), ("relinearised", 0.01))
        ],
        peripherals={
            "name": "sonos_40nm",
            "kind": "simulated",
            "source": "ngspice 39",
            "adc_bits": 8,
            "gain": 0.9615,
            "gain_sigma": 0.01,
            "offset_sigma_lsb": 0.5,
            "noise_lsb": 0.4,
            "pattern_lsb": 0.3,
            "pattern_scatter_lsb": 1.0,
            "inl_lsb": [0.3 * math.sin(code / 40) for code in range(256)],
            "energy": {"comparator": {"value": 3.8e-12, "unit": "J"}},
        },
        seconds=42,
    )


class Opened:
    """A page opened in headless Chromium without a network.

    Attributes:
        driver: the browser.
        requests: addresses of everything it asked for, the page itself left out.
        errors: what it wrote to its console as warnings or errors.
    """

    def __init__(self, driver: Any, page: Path) -> None:
        self.driver = driver
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        driver.get("about:blank")
        # What the browser itself asked for until now (its start page) is not the page's doing.
        driver.get_log("performance")
        driver.get_log("browser")
        driver.get(page.as_uri())
        WebDriverWait(driver, 60).until(lambda d: d.execute_script("return document.documentElement.dataset.drawn"))
        self.errors = [entry for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        self.requests = []
        for entry in driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if url != page.as_uri() and not url.startswith(("data:", "blob:")):
                    self.requests.append(url)

    def run(self, script: str, *arguments: object) -> Any:
        """Return what a script returns in the page."""
        return self.driver.execute_script(script, *arguments)

    def wait_until(self, script: str) -> None:
        """Wait until a script returns something true."""
        WebDriverWait(self.driver, 60).until(lambda driver: driver.execute_script(script))

    def resize(self, width: int) -> None:
        """Show the page as a screen of that width would."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
        )

    def dark(self) -> None:
        """Show the page as a system set to dark would."""
        feature = {"name": "prefers-color-scheme", "value": "dark"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


@pytest.fixture
def open_page(browser: Any) -> Callable[[Path], Opened]:
    """Open a page file."""
    return lambda page: Opened(browser, page)
