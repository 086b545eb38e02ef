"""The cost of a core against counts on paper, against `CoreDesign`, against published totals, and against its laws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import circuits
import devicekit
import energy
from energy.errors import EnergyError
from tests.energy.designs import core_designs

ADCS = circuits.adc_kind_names()

XIAO = circuits.load_designs("xiao2022")
LIBRARY = energy.load_library("sonos_40nm")


@given(design=core_designs())
@settings(max_examples=200, deadline=None)
def test_counts_are_those_of_the_design(design):
    cost = energy.estimate_core(design)
    for name, expected in (
        ("slices", design.slices),
        ("partitions", design.partitions),
        ("arrays", design.arrays),
        ("array_columns", design.array_columns),
        ("cells", design.cells),
        ("input_slices", design.input_slices),
        ("conversions", design.conversions_per_mvm),
        ("operations", design.operations_per_mvm),
        ("b_out", pytest.approx(design.b_out, rel=1e-14)),
        (
            "row_lines",
            design.slices * (sum(circuits.split_rows(design.matrix_rows, design.max_rows)) + design.bias_rows),
        ),
    ):
        assert cost.value(name) == expected, name


@given(design=core_designs(), adc=st.sampled_from(ADCS))
@settings(max_examples=100, deadline=None)
def test_costs_are_positive_and_their_parts_sum_to_them(design, adc):
    cost = energy.estimate_core(design, adc=adc)
    assert cost.energy_j_per_mvm > 0
    assert cost.area_mm2 > 0
    assert cost.latency_ns >= cost.interval_ns > 0
    table = cost.breakdown
    assert table["energy_pj"].sum() == pytest.approx(cost.energy_j_per_mvm * 1e12, rel=1e-12)
    assert table["area_um2"].sum() == pytest.approx(cost.area_mm2 * 1e6, rel=1e-12)
    assert (table[["energy_pj", "area_um2"]] >= 0).all(axis=None)
    assert cost.tops_per_w == pytest.approx(design.operations_per_mvm / cost.energy_j_per_mvm / 1e12)
    assert cost.power_mw == pytest.approx(cost.energy_j_per_mvm / cost.interval_ns * 1e12)


@given(design=core_designs(), times=st.integers(2, 5))
@settings(max_examples=50, deadline=None)
def test_more_columns_never_cost_less(design, times):
    more = design.replace(matrix_columns=design.matrix_columns * times)
    assert energy.estimate_core(more).energy_j_per_mvm >= energy.estimate_core(design).energy_j_per_mvm
    assert energy.estimate_core(more).area_mm2 >= energy.estimate_core(design).area_mm2


def test_the_published_order_holds_and_e_lies_two_orders_above_a():
    cost = {name: energy.estimate_core(design).energy_fj_per_op for name, design in XIAO.items()}
    assert cost["A"] < cost["D"] < cost["C"] < cost["B"] < cost["E"]
    assert 80 < cost["E"] / cost["A"] < 130


def test_design_a_on_paper():
    """Every count of design A by hand, with the library's constants."""
    c = LIBRARY.si
    bit = c["cell.i_max"] * c["cell.read_voltage"] * c["timing.input_bit"]
    mean = np.mean(energy.estimate_core(XIAO["A"]).activity.mean_conductance)
    joules = (
        589824 * mean * 8 * c["activity.per_bit"] * bit
        + 589824 * 8 * c["activity.per_bit"] * c["row_driver.toggle.energy"]
        + 1152 * 8 * c["row_driver.register.energy"]
        + 256 * 8 * c["integrator.integrate.energy"]
        + 589824 * mean * 8 * c["activity.per_bit"] * bit * 9 * c["integrator.supply_currents"]
        + 256 * 8 * c["rescaling.halve.energy"]
        + 256 * c["gain.amplify.energy"]
        + 256 * c["comparator.convert.energy"]
        + c["ramp.run.energy"]
    )
    square_metres = (
        589824 * c["array.area"]
        + 1152 * c["row_driver.area"]
        + 256 * sum(c[f"{part}.area"] for part in ("integrator", "rescaling", "gain", "comparator"))
        + c["ramp.area"]
    )
    cost = energy.estimate_core(XIAO["A"])
    assert cost.energy_j_per_mvm == pytest.approx(joules, rel=1e-12)
    assert cost.area_mm2 == pytest.approx(square_metres * 1e6, rel=1e-12)
    assert mean == pytest.approx(0.02, rel=0.1), "published: 2 % of G_max in unsliced differential pairs"
    assert c["process.vdd"] == pytest.approx(9 * c["cell.read_voltage"]), "the conveyor draws from 0.9 V, cells 0.1 V"
    settling = c["timing.settling"]
    assert cost.latency_ns == pytest.approx((8 * 10e-9 + 256e-9 + settling) * 1e9)
    assert cost.interval_ns == pytest.approx((256e-9 + settling) * 1e9)
    assert cost.counts["conversions"] == 256
    assert cost.counts["cells"] == 589824


def test_design_e_on_paper():
    """Design E: 64 arrays of 72 rows, lines of half-open cells, 131 072 conversions, sums of 16 and 26 bits."""
    c = LIBRARY.si
    cost = energy.estimate_core(XIAO["E"])
    bit = c["cell.i_max"] * c["cell.read_voltage"] * c["timing.input_bit"]
    driven = 8 * c["activity.per_bit"]
    chains = 64 * 256
    joules = (
        1152 * 256 * np.sum(cost.activity.mean_conductance) * driven * bit
        + 4 * 1152 * 256 * driven * c["row_driver.toggle.energy"]
        + 4 * 1152 * 8 * c["row_driver.register.energy"]
        + chains * 8 * c["integrator.integrate.energy"]
        + 1152 * 256 * np.sum(cost.activity.mean_conductance) * driven * bit * 9 * c["integrator.supply_currents"]
        + 131072 * c["comparator.convert.energy"]
        + 8 * c["ramp.run.energy"]
        + (chains * 8 * 16 + 256 * 64 * (16 + 4 + 3 * 2)) * c["digital.bit_operation"]
    )
    assert cost.energy_j_per_mvm == pytest.approx(joules, rel=1e-12)
    assert cost.latency_ns == pytest.approx(8 * 10 + 8 * (256 + 10) + 7)


def test_mean_conductance_follows_the_mapping():
    offset = energy.estimate_core(XIAO["E"]).activity.mean_conductance
    assert offset == pytest.approx(0.5, abs=0.06), "offset cells sit near half of full scale"
    bits = energy.estimate_core(XIAO["B"]).activity.mean_conductance
    assert 0.2 < bits[0] < 0.25, "one cell of a pair is always off, so a fair bit conducts a quarter"
    assert np.all(np.diff(bits) < 0), "higher bits of small weights are rarer"


def test_activity_of_a_network_replaces_the_statistics():
    design = XIAO["A"]
    quiet = circuits.Activity([0.01], np.full(8, 0.05), "test")
    busy = circuits.Activity([0.1], np.full(8, 0.5), "test")
    low, high = (energy.estimate_core(design, activity) for activity in (quiet, busy))
    assert low.energy_j_per_mvm < energy.estimate_core(design).energy_j_per_mvm < high.energy_j_per_mvm
    read = high.value("array.read.joules")
    assert read == pytest.approx(589824 * 0.1 * 4.0 * 1.6e-6 * 0.1 * 10e-9, rel=1e-12)
    with pytest.raises(EnergyError, match="`mean_conductance` of the activity to have 8 entries"):
        energy.estimate_core(XIAO["B"], quiet)
    with pytest.raises(EnergyError, match="`input_activity` of the activity to have 8 entries"):
        energy.estimate_core(design, circuits.Activity([0.1], [0.1]))


def test_current_and_voltage_follow_the_cell():
    design = XIAO["A"]
    error = devicekit.StateIndependent(0.05)
    cell = devicekit.Cell(error=error, i_max=3.2e-6, read_voltage=0.2, technology="sonos_40nm")
    base, other = energy.estimate_core(design), energy.estimate_core(design, cell=cell)
    assert other.value("array.read.joules") == pytest.approx(4 * base.value("array.read.joules"))
    assert other.value("integrator.integrate.joules") == base.value("integrator.integrate.joules")
    assert other.value("integrator.carry.joules") == pytest.approx(2 * base.value("integrator.carry.joules"))
    mean = float(base.activity.mean_conductance[0])
    weak = devicekit.Cell(error=error, i_max=1.6e-6, on_off_ratio=10, technology="sonos_40nm")
    assert energy.estimate_core(design, cell=weak).value("array.read.joules") == pytest.approx(
        (0.1 + 0.9 * mean) / mean * base.value("array.read.joules"), rel=3e-3
    )


def test_another_technology_is_refused():
    error = devicekit.StateIndependent(0.05)
    with pytest.raises(EnergyError, match="of technology 'pcm', but the component library 'sonos_40nm'"):
        energy.estimate_core(XIAO["A"], cell=devicekit.Cell(error=error, i_max=1e-6, technology="pcm"))
    with pytest.raises(EnergyError, match="of no named technology"):
        energy.estimate_core(XIAO["A"], cell=devicekit.Cell(error=error, i_max=1e-6))


def test_unknown_names_are_refused():
    with pytest.raises(devicekit.DesignError, match=r"Unknown ADC 'rampp'\. Did you mean 'ramp'"):
        energy.estimate_core(XIAO["A"], adc="rampp")
    with pytest.raises(EnergyError, match=r"Unknown structure 'ramp_per_arry'\. Did you mean 'ramp_per_array'"):
        energy.estimate_core(XIAO["A"], structure="ramp_per_arry")
    with pytest.raises(EnergyError, match="Unknown quantity 'energy'"):
        energy.estimate_core(XIAO["A"]).value("energy")
    with pytest.raises(EnergyError, match="one value a slice"):
        energy.estimate_core(XIAO["B"]).value("slice_cells")


def test_ramp_resolution_sets_time_and_energy():
    def ramp(bits):
        return energy.estimate_core(XIAO["A"].replace(adc_bits=bits))

    for bits in range(1, 16):
        low, high = ramp(bits), ramp(bits + 1)
        assert high.value("conversion_s") == pytest.approx(2 * low.value("conversion_s"))
        assert high.value("comparator.joules") == pytest.approx(2 * low.value("comparator.joules"))
        assert high.value("ramp.joules") == pytest.approx(2 * low.value("ramp.joules"))
        assert high.value("array.joules") == low.value("array.joules")


def test_the_survey_agrees_with_its_published_reading():
    """8 bit at 3.9 MS/s and 40 nm: 2.6 pJ and 3100 um2 (Accelergy); energy there does not depend on the rate."""
    cost = energy.estimate_core(XIAO["A"], adc="sar")
    assert cost.value("survey_energy_j") * 1e12 == pytest.approx(2.6, abs=0.05)
    rate = cost.value("survey_rate_hz")
    area = cost.value("survey_area_m2") * 1e12 * (3.90625e6 / rate) ** LIBRARY.si["survey.area_per_log_rate"]
    assert area == pytest.approx(3100, rel=0.01)


@pytest.mark.parametrize("adc", ["sar", "flash"])
def test_survey_adcs_cost_more_with_each_bit_and_are_held_below_four(adc):
    costs = [energy.estimate_core(XIAO["A"].replace(adc_bits=bits), adc=adc) for bits in range(1, 17)]
    joules = [cost.value("survey_energy_j") for cost in costs]
    assert joules[0] == joules[1] == joules[2] == joules[3]
    assert all(math.isfinite(j) for j in joules)
    assert np.all(np.diff(joules[3:]) > 0)


def test_every_accelerator_gets_a_row_with_every_adc():
    for name, design in circuits.load_designs("accelerators").items():
        for adc in ADCS:
            row = energy.estimate_core(design, adc=adc).row()
            for result in ("energy_fj_per_op", "area_mm2", "latency_ns", "tops", "tops_per_w", "tops_per_mm2"):
                assert 0 < row[f"{result}_low"] <= row[result] * (1 + 1e-9), (name, adc, result)
                assert row[result] * (1 - 1e-9) <= row[f"{result}_high"] < math.inf, (name, adc, result)


def test_intervals_are_reproducible_and_shrink_to_the_value_without_uncertainty():
    cost = energy.estimate_core(XIAO["A"], seed=3)
    assert cost.interval == energy.estimate_core(XIAO["A"], seed=3).interval
    names = [name for name, constant in LIBRARY.constants.items() if constant.interval is not None]
    exact = LIBRARY.with_values({name: LIBRARY.si[name] for name in names}, source="test")
    cost = energy.estimate_core(XIAO["A"], library=exact)
    for name, (low, high) in cost.interval.items():
        assert low == high == cost.value(name), name
