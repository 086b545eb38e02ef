"""Numbers in another unit are named in a warning, wrong kinds of arguments refused by name."""

import inspect
import math
import sys
import warnings
from typing import Any, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import devicekit
from devicekit.cells.subthreshold import SubthresholdTemperature, threshold_spread
from devicekit.common.errors import DevicekitError, UnitError

CELL = devicekit.load_device("sonos_40nm_tcas2022")
LAW = devicekit.SaturatingExponential(40e-9, 500e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: CELL.program(0.8, seed=1),
            r"`target` is 800 mA, far above the full scale of 1.6 uA.* 0.8 uA give 8e-07",
        ),
        (lambda: CELL.sigma(800), "`target` is 800 A, .*; for 800 nA give 8e-07"),
        (lambda: CELL.mean([50.0, 1600.0]), "`target` is 1.6 kA, .*; for 1600 nA give 1.6e-06"),
        (lambda: CELL.read_sigma(1e-3), "`current` is 1 mA, far above the full scale of 1.6 uA"),
        (lambda: devicekit.Cell(error=LAW, i_max=1.6), "`i_max` is 1.6 A, far above what cells are read with.* 1.6 uA"),
        (
            lambda: devicekit.Cell(error=devicekit.SaturatingExponential(40, 500e-9), i_max=1.6e-6),
            "the spread by `error` is .* A, far above the full scale of 1.6 uA",
        ),
        (lambda: CELL.at(temperature=25), "`temperature` is 25 K, which is -248 degC.*for 25 degC give 298.15"),
        (lambda: CELL.at(temperature=85.0), "`temperature` is 85 K"),
        (lambda: SubthresholdTemperature(i_0=1e-5, reference=27), "`reference` is 27 K"),
        (lambda: threshold_spread(1e-7, 1e-9, temperature=25), "`temperature` is 25 K"),
        (lambda: devicekit.Retention((), temperature=125.0), "Retention: `temperature` is 125 K"),
    ],
)
def test_a_number_plainly_in_another_unit_is_named(call: object, message: str) -> None:
    with pytest.warns(devicekit.UnitWarning, match=message) as caught:
        call()  # type: ignore[operator]
    assert caught[0].filename == __file__, "the warning points to the caller's line"


def test_times_of_centuries_are_named() -> None:
    cell = devicekit.Cell(error=LAW, i_max=1.6e-6)
    with pytest.warns(devicekit.UnitWarning, match=r"`time` is 8.64e\+10 s, which is 2738 years. Times are in s"):
        cell.at(time=86400e6)


@settings(deadline=None, max_examples=60)
@given(st.floats(1e-12, 1e-3), st.floats(0, 100), st.floats(200, 600), st.floats(0, 3e8))
def test_possible_numbers_are_silent(i_max: float, share: float, temperature: float, time: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", devicekit.UnitWarning)
        cell = devicekit.Cell(
            error=devicekit.StateProportional(0.05), i_max=i_max, temperature_law=SubthresholdTemperature(i_0=1e-2)
        )
        cell.at(time=time, temperature=temperature).program(share * i_max, seed=1)


@settings(deadline=None, max_examples=60)
@given(st.floats(0.11, 1.0), st.sampled_from(["mA", "uA", "nA", "pA"]), st.floats(-8, -4))
def test_the_unit_that_was_meant_is_found(share: float, unit: str, exponent: float) -> None:
    factor = {"mA": 1e-3, "uA": 1e-6, "nA": 1e-9, "pA": 1e-12}[unit]
    cell = devicekit.Cell(error=devicekit.StateProportional(0.05), i_max=10**exponent)
    number = share * cell.i_max / factor
    with pytest.warns(devicekit.UnitWarning, match="far above the full scale") as caught:
        cell.sigma(number)
    # In the unit that the warning offers, the number is a current of the cell.
    meant = {"mA": 1e-3, "uA": 1e-6, "nA": 1e-9, "pA": 1e-12}[str(caught[0].message).split(" give ")[0].split()[-1]]
    assert meant >= factor
    assert number * meant <= 1.25 * cell.i_max


def test_times_and_temperatures_are_read_from_text() -> None:
    target = np.linspace(0.1, 1.6, 5) * 1e-6
    for name, text, number in (("time", "2 days", 172800.0), ("temperature", "85 degC", 358.15)):
        np.testing.assert_array_equal(CELL.at(**{name: text}).sigma(target), CELL.at(**{name: number}).sigma(target))
    with pytest.raises(UnitError, match="Expected `time` to be a quantity in s, such as '1 s', but got '1 nA'"):
        CELL.at(time="1 nA")
    with pytest.raises(UnitError, match="Expected `temperature` to be a quantity in K"):
        CELL.at(temperature="warm")
    with pytest.raises(UnitError, match="Expected `time` to be a number in s or text with a unit, but got True"):
        CELL.at(time=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CELL.sigma("0.8 uA"), "expected `target` to be currents in A of at least 0, but got '0.8 uA'"),
        (lambda: CELL.read_sigma(math.nan), "expected `current` to be currents in A, but got nan"),
        (lambda: CELL.program(1e-7, seed=None), "Expected `seed` to be a whole number .* but got None"),
        (lambda: CELL.draw("one"), "Expected `seed` to be a whole number .* but got 'one'"),
        (lambda: devicekit.Cell(error="power_law", i_max=1e-6), "expected `error` to be an error model .*'power_law'"),
        (lambda: devicekit.Cell(error=devicekit.PowerLaw, i_max=1e-6), "expected `error` to be an error model"),
        (lambda: devicekit.Cell(error=LAW, i_max=1e-6, read_noise=0.1), "expected `read_noise` to be an error model"),
        (lambda: devicekit.Cell(error=LAW, i_max=1e-6, mean_error=0.1), "expected `mean_error` to be a MeanShift"),
        (lambda: devicekit.Cell(error=LAW, i_max=1e-6, retention=5.0), "expected `retention` to be a Retention"),
        (lambda: devicekit.Cell(error=LAW, i_max=1e-6, spatial=0.3), "expected `spatial` to be a Spatial"),
        (lambda: devicekit.Cell(error=LAW, i_max=1e-6, temperature_law=300), "expected `temperature_law`"),
        (lambda: devicekit.Cell(error=LAW, i_max=1e-6, name=None), "expected `name` to be a text"),
        (lambda: devicekit.Cell(error=LAW, i_max=1e-6, covariance=np.eye(3)), "`covariance` to be a 2 x 2 matrix"),
        (lambda: devicekit.Retention((1.0,)), "Retention: expected `points` to be RetentionPoint objects"),
        (lambda: devicekit.RetentionPoint(1.0, None, 0.05), "RetentionPoint: expected `error` to be an error model"),
        (lambda: devicekit.Spatial(die="all"), "variance shares"),
        (lambda: devicekit.load_device(3), "Expected a device's name or the path of its file, but got 3"),
        (lambda: devicekit.save_device("mine", "x.toml"), "Expected `cell` to be a Cell, but got 'mine'"),
        (lambda: devicekit.fit_device({"target": [1]}), "what read_measurements returns, or the path .* got a dict"),
        (lambda: devicekit.fit_read_noise(3), "what read_measurements returns, or the path of a file, but got a int"),
    ],
)
def test_wrong_kinds_of_arguments_are_refused_by_name(call: object, message: str) -> None:
    with pytest.raises(DevicekitError, match=message):
        call()  # type: ignore[operator]


def test_a_cell_is_taken_where_a_device_is_named() -> None:
    assert devicekit.load_device(CELL) is CELL


def test_full_scales_far_from_the_targets_are_named() -> None:
    path = devicekit.data_path("measurements/sonos_40nm_tcas2022_resampled.csv")
    with pytest.warns(devicekit.UnitWarning) as caught:
        devicekit.fit_device(path, "power_law", i_max=1.6)
    assert "`i_max` is 1.6 A, far above the highest target of 1.585 uA" in str(caught[0].message)
    with pytest.warns(devicekit.UnitWarning, match="The highest target is 1.585 uA, far above `i_max` of 1.6 nA"):
        devicekit.fit_device(path, "power_law", i_max=1.6e-9)


def test_what_public_functions_take_is_public_too() -> None:
    known = {getattr(devicekit, name) for name in devicekit.__all__}
    for name in devicekit.__all__:
        thing = getattr(devicekit, name)
        call = thing.__init__ if isinstance(thing, type) else thing
        # Results of functions are not made by users.
        if name in ("DeviceFit", "Measurements") or not inspect.isfunction(call):
            continue
        hints = get_type_hints(call, {"Any": Any, **vars(sys.modules[thing.__module__])})
        hints.pop("return", None)
        for argument, hint in hints.items():
            for part in _classes(hint):
                if part.__module__.startswith("devicekit.") and not inspect.isabstract(part):
                    assert part in known, f"{name}({argument}) takes {part.__qualname__}, which is not exported"


def _classes(hint: object) -> list[type]:
    """Return the classes in a type hint, those inside unions and containers included."""
    parts = getattr(hint, "__args__", ())
    return ([hint] if isinstance(hint, type) else []) + [each for part in parts for each in _classes(part)]


def test_a_slip_among_the_values_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """One value with a digit too many would set the spread of the whole device."""
    rng = np.random.default_rng(0)
    rows = [f"{target},{target + rng.normal(0, 10):.2f}" for target in (100, 400, 800, 1600) for _ in range(12)]
    rows[-1] = "1600,150000.00"
    path = tmp_path / "slip.csv"
    path.write_text("target (nA),current (nA)\n" + "\n".join(rows))
    with pytest.warns(devicekit.UnitWarning, match="more than the full scale of 1.6 uA: a value far from its target"):
        devicekit.fit_device(path, model="saturating_exponential")


def test_a_single_target_that_no_cell_has_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """One slip among the targets would set the full scale of the whole device."""
    rows = [f"{target},{target + step}" for target in (100, 200, 400) for step in range(-5, 6)]
    path = tmp_path / "slip.csv"
    path.write_text("target (nA),current (nA)\n" + "\n".join([*rows, "5.6e21,400"]))
    with pytest.raises(DevicekitError, match=r"slip\.csv:35: a target of 5\.6 TA, 1 above 1 A"):
        devicekit.read_measurements(path)
    assert devicekit.read_measurements(path, accept="large").columns["target"].max() > 1


def test_a_sheet_of_a_file_without_sheets_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "cells.csv"
    path.write_text(
        "target (nA),current (nA)\n" + "\n".join(f"{target},{target + 1}" for target in (100, 200, 400) * 5)
    )
    with pytest.raises(DevicekitError, match=r"cells\.csv: this file has no sheets.*leave out --sheet 'die 1'"):
        devicekit.read_measurements(path, sheet="die 1")


def test_temperatures_that_laws_cannot_divide_by_are_refused() -> None:
    """1e-320 K is above 0 and k T is not."""
    cell = devicekit.load_device("sonos_40nm_tcas2022")
    with pytest.raises(DevicekitError, match="expected `temperature` to be in K and above 0"):
        cell.at(temperature=1e-320)


@pytest.mark.parametrize(
    "text", ["logic threshold above the comparator's rest level", "a" * 59 + "'", "a b " * 14 + "'"]
)
def test_a_sentence_where_a_unit_belongs_is_refused_at_once(text: str) -> None:
    """Split into names in every possible way it took 25 s; the count of steps, not of seconds, would grow as 2^60."""
    from devicekit.common.quantities import unit_factor

    with pytest.raises(DevicekitError, match="is not a unit"):
        unit_factor(text, "F", "`x`")
