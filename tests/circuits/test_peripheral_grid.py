"""Sized peripherals over range and common current: laws of the interpolation, and ngspice where it was not run."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

import circuits
from circuits import EnvelopeWarning, Load, PeripheralError, PeripheralGrid, load_design, load_peripherals
from circuits.peripherals import load_parameters, sized_names
from circuits.peripherals.apply import apply_peripherals, column_deviates, column_errors
from circuits.peripherals.characterization import characterize
from circuits.peripherals.grid import GridPoint, forget_grid_warnings
from circuits.peripherals.grid_runs import at_currents, mismatch_responses, patterns, read_patterns
from circuits.peripherals.sizing import parameters_for, recorded_loads, size_peripherals, tap_for
from devicekit.cells.cell import Cell

NOMINAL = load_parameters("sonos_40nm")


def _point(scale: float, common: float, tap: float = 1.0) -> GridPoint:
    """Return what a circuit gives whose noise is 2 mV, and whose offset 1 mV and, by the common current, 1 nA an uA."""
    lsb = scale * 2 / 255
    figures = dict.fromkeys(("common_gain", "common_offset_lsb", "gain_sigma", "shot_noise_lsb", "pattern_lsb"), 0.0)
    figures |= {
        "gain": 1.0,
        "clip_low": -0.5,
        "clip_high": 1.5,
        "ramp": 1.0,
        "settling_time": 1e-9,
        "kick_back_lsb": 0.0,
    }
    figures |= {
        "offset_lsb": 1e-9 / lsb,
        "offset_sigma_lsb": 2e-9 / lsb,
        "common_offset_sigma_lsb": 1e-3 * common / lsb,
        "noise_lsb": math.hypot(3e-9, math.sqrt(common * 1e-12)) / lsb,
        "noise_common_lsb": math.sqrt(common * 1e-12) / lsb,
        "noise_before_adc_lsb": 1e-9 / lsb,
        "common_gain": -0.01 * common / 4e-6,
        "calibration": 1 - 0.01 * common / 4e-6,
    }
    return GridPoint(full_scale_a=scale, common_a=common, tap=tap, figures=figures, inl_lsb=(0.0, 0.1, 0.0))


def _grid(*commons: float) -> PeripheralGrid:
    points = [_point(scale, common) for scale in (4e-6, 8e-6) for common in commons]
    load = Load(8e-6, 4e-6, 1e-5, 4e-6, 2e-6)
    sizing = {"load": load.to_dict(), "rows": 1152, "cell_bits": 7}
    return PeripheralGrid(name="test", design="A", source="made up", adc_bits=8, zero=0.5, sizing=sizing, points=points)


@pytest.mark.parametrize("commons", [(4e-6,), (2e-6, 8e-6)])
def test_voltages_and_currents_that_do_not_change_are_interpolated_exactly(commons: tuple[float, ...]) -> None:
    grid = _grid(*commons)
    for scale, common in ((5e-6, 4e-6), (7.3e-6, 6e-6), (4e-6, 2.5e-6)):
        model, lsb = grid.at(scale, common), scale * 2 / 255
        assert model.offset_lsb == pytest.approx(1e-9 / lsb, rel=1e-9)
        assert model.offset_sigma_lsb == pytest.approx(2e-9 / lsb, rel=1e-9)
        assert model.noise_lsb == pytest.approx(math.hypot(3e-9, math.sqrt(common * 1e-12)) / lsb, rel=1e-9)
        # What goes with the common current goes with it, and the fitted range as well.
        assert model.common_offset_sigma_lsb == pytest.approx(1e-3 * common / lsb, rel=1e-9)
        assert model.common_gain == pytest.approx(-0.01 * common / 4e-6, rel=1e-9)
        assert grid.calibration(scale, common)[0] == pytest.approx(1 - 0.01 * common / 4e-6, rel=2e-4)
    assert grid.without_adc().at(5e-6, 4e-6).noise_lsb == pytest.approx(1e-9 / (5e-6 * 2 / 255), rel=1e-9)


def test_outside_of_the_runs_it_warns_once_and_takes_the_edge() -> None:
    forget_grid_warnings()
    grid = _grid(4e-6)
    with pytest.warns(EnvelopeWarning, match="full scale of 2e-05 A, outside 4e-06 to 8e-06 A"):
        model = grid.at(2e-5, 4e-6)
    assert model.offset_lsb == grid.at(8e-6, 4e-6).offset_lsb
    assert grid.at(2e-5, 4e-6) is not None, "only once"
    with pytest.raises(PeripheralError, match="above 0"):
        grid.at(0.0, 1e-6)
    with pytest.raises(PeripheralError, match="full grid of currents"):
        PeripheralGrid.from_mapping(_grid(2e-6, 8e-6).to_dict() | {"points": _grid(2e-6, 8e-6).points[:3]}, "here")


def test_the_common_current_moves_gain_and_offset_of_each_conversion() -> None:
    model = _grid(4e-6).at(8e-6, 4e-6).model_copy(update={"common_offset_lsb": 2.0, "inl_lsb": (0.0,) * 256})
    errors = column_errors(model, np.array([[0.0, 0.0, 1.0]]))
    signal, common = np.array([[0.8], [0.8], [0.5]]), np.array([[1.0], [1.5], [0.5]])
    found = apply_peripherals(signal, model, errors, common=common)
    gain = 1 + model.common_gain * (common - 1)
    offset = model.offset_lsb + 2.0 * (common - 1) + model.common_offset_sigma_lsb * common
    np.testing.assert_allclose(found, 0.5 + gain * (signal - 0.5) + offset * model.lsb, rtol=1e-12)
    # Trimmed columns have lost what is constant; what follows the pattern stays.
    trimmed = model.trimmed(columns=True)
    assert trimmed.common_gain == model.common_gain
    assert trimmed.common_offset_sigma_lsb == 0
    # A third normal a column; the first two are those of before.
    before = np.random.default_rng(5).standard_normal((6, 2))
    np.testing.assert_array_equal(column_deviates(6, 5)[:, :2], before)
    np.testing.assert_array_equal(column_deviates(4, 5), column_deviates(6, 5)[:4])


@pytest.mark.parametrize("name", "ABCDE")
def test_a_circuit_is_sized_by_its_currents(name: str) -> None:
    p = parameters_for(NOMINAL, load_design(name))
    load = recorded_loads()[name]
    sizing = size_peripherals(p, load, name)
    # The largest bit fills the integrator's swing, unless the whole range needs more room at the ADC.
    swing = load.largest_bit_a * p["timing.integration_time"] / sizing.capacitance_f
    assert swing <= p["sizing.integrator_swing"] * (1 + 1e-9)
    assert sizing.noise_lsb < 2
    assert sizing.variation_lsb < 2
    # At the optimum of n^2 + v^2, n^2 grows with the current of the branch and v^2 falls with its square: n^2 = 2 v^2.
    assert sizing.noise_lsb**2 == pytest.approx(2 * sizing.variation_lsb**2, rel=0.1)
    for scale in (load.smallest_range_a, load.largest_range_a):
        own = at_currents(sizing.apply(p), sizing, scale, load.common_a)
        voltage, most = own.full_scale_voltage, p["sizing.unsigned_range" if p.unsigned else "sizing.signed_range"]
        assert voltage <= most * (1 + 1e-9)
        largest = own["gain_stage.gain"] == sizing.taps[-1]
        assert largest or voltage > most / 2, "the next tap would have served"


def test_where_no_circuit_works_it_says_why() -> None:
    p = parameters_for(NOMINAL, load_design("E"))
    load = recorded_loads()["E"]
    with pytest.raises(PeripheralError, match=r"bit of 0.00056 A takes an integration capacitor of 1.91e-11 F"):
        size_peripherals(p, dataclasses.replace(load, largest_bit_a=560e-6), "design E")
    drowned = dataclasses.replace(load, largest_range_a=2e-7, smallest_range_a=1e-7)
    with pytest.raises(PeripheralError, match=r"design E: with the best conveyor bias.*codes are left"):
        size_peripherals(p, drowned, "design E")
    assert tap_for(p, 1.9e-12, (1.0, 2.0), 1.0) == 1.0, "the least, where none fits"


def test_recorded_circuits_are_found_by_design_and_go_through_core_files(tmp_path: Path) -> None:
    assert sized_names() == list("ABCDE")
    for name in "ABCDE":
        design = load_design(name)
        grid = load_peripherals("sized", design)
        assert isinstance(grid, PeripheralGrid)
        assert grid.design == name
        assert load_peripherals(grid.save(tmp_path / f"{name}.json")) == grid
        core = circuits.Core(design, cell="sonos_40nm_tcas2022", peripherals="sized")
        assert core.to_mapping()["peripherals"] == "sized"
        assert circuits.load_core(core.save(tmp_path / "core.toml")) == core
        # The circuit covers the ranges that it was sized for.
        low, high = grid.currents
        # The highest of B's eight slices holds next to nothing: its least ranges are below what the last tap resolves.
        assert name == "B" or low <= grid.sizing["load"]["smallest_range_a"]
        assert high >= grid.sizing["load"]["largest_range_a"]
    # A design of one's own takes the circuit recorded for its use that is nearest to it.
    own = load_design("A").replace(name="mine", max_rows=160)
    found = load_peripherals("sized", own)
    assert isinstance(found, PeripheralGrid)
    assert found.design == "C"
    with pytest.raises(PeripheralError, match=r"No sized peripherals are recorded.*--size odd"):
        load_peripherals("sized", load_design("A").replace(name="odd", input_bits=4))
    with pytest.raises(PeripheralError, match="Expected a design"):
        load_peripherals("sized")


@pytest.mark.slow
@pytest.mark.usefixtures("ngspice")
@pytest.mark.parametrize("name", "ABCDE")
def test_between_its_runs_the_grid_is_what_ngspice_gives(name: str) -> None:
    """At currents that no run of the grid was made at, with range and ramp set from the grid, not fitted again."""
    design, load = load_design(name), recorded_loads()[name]
    grid = load_peripherals("sized", design)
    assert isinstance(grid, PeripheralGrid)
    nominal = parameters_for(NOMINAL, design)
    sizing = size_peripherals(nominal, load, name)
    scale = math.sqrt(load.smallest_range_a * load.largest_range_a) * 0.93
    common = 1.6 * load.common_a
    p = at_currents(sizing.apply(nominal), sizing, scale, common)
    front_end, ramp = grid.calibration(scale, common)
    fitted = p.calibrated(front_end=front_end, adc=ramp)
    run = characterize(fitted, columns=32, patterns=max(12, p.bits + 2), calibrate=False, seed=7)
    model = grid.at(scale, common)
    assert run.model.gain == pytest.approx(model.gain, rel=0.005)
    assert run.model.noise_lsb == pytest.approx(model.noise_lsb, rel=0.1)
    # The spread is that of responses to each mismatch; these give the offsets of columns with all of them at once.
    responses = mismatch_responses(fitted)
    spread = math.hypot(model.offset_sigma_lsb, model.common_offset_sigma_lsb)
    assert math.hypot(*(offset for _, offset in responses.values())) == pytest.approx(spread, rel=0.1)
    _, columns, thresholds = np.random.SeedSequence(7).generate_state(3)
    names = sorted(fitted.mismatch)
    normals = np.random.default_rng(columns).standard_normal((32, len(names)))
    predicted = sum(normals[:, names.index(own)] * responses[own][1] for own in names if own in responses)
    pair, load_pair = np.random.default_rng(thresholds).standard_normal((32, 2)).T
    predicted = predicted + pair * responses["comparator.pair"][1] + load_pair * responses["comparator.load"][1]
    assert np.std(run.column_offset_lsb) == pytest.approx(np.std(predicted), rel=0.1)
    levels, commons = patterns(p, seed=11)
    positions = read_patterns(fitted, run, levels, commons)
    weights = np.array(model.bit_weights or (1.0,))
    ideal = model.zero + (levels @ weights) * (1 - model.zero)
    found = apply_peripherals(ideal, model, common=commons @ weights)
    steps = 2**model.adc_bits - 1
    apart = np.abs(np.rint(np.clip(found, 0, 1) * steps) - np.rint(np.clip(positions, 0, 1) * steps))
    assert np.mean(apart <= 1) >= 0.99


def test_a_sized_circuit_counts_with_its_conveyor_in_energy() -> None:
    import energy

    cell: Cell = circuits.Core("A", cell="sonos_40nm_tcas2022").cell  # type: ignore[assignment]
    grid = load_peripherals("sized", load_design("A"))
    assert isinstance(grid, PeripheralGrid)
    library = energy.load_library("sonos_40nm").with_cell(cell).with_peripherals(grid)
    model = grid.nominal
    both = model.energy["integrator_amplifier"].value + model.energy["conveyor"].value
    assert library.si["integrator.integrate.energy"] == pytest.approx(both / 8)
