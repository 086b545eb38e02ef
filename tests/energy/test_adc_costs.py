"""What an ADC or a kind of one's own costs: against counts on paper, the survey, and printed formulas."""

import numpy as np
import pandas as pd
import pytest

import circuits
import energy
from circuits import Adc, AdcKind, LayerShape, register_adc_kind
from circuits.adc_kinds import adc_kind
from devicekit import Constant, DesignError
from energy.adc_costs import with_adc
from energy.errors import EnergyError
from tests.energy.printed import check_number

XIAO = circuits.load_designs("xiao2022")
LIBRARY = energy.load_library("sonos_40nm")
CONVERSION = Constant(value=0.9, unit="pJ", kind="measured", source="our chip", interval=(0.7, 1.2))
OWN = Adc("sar", name="ours", bits=8, rate="20 MHz", energy=CONVERSION, area="600 um2", source="our chip")


class Cyclic(AdcKind):
    """Two cycles more than bits, 2 ns each."""

    name, label, cycles = "cyclic", "cyclic ADC", "bits + 2"
    cycle_time = Constant(value=2e-9, unit="s", kind="assumed", source="test")


@pytest.fixture
def cyclic(own_registry: None) -> type[AdcKind]:
    """A kind of ADC that no part of the package knows, known for one test."""
    return register_adc_kind(Cyclic)


def rest(cost: energy.CoreCost, *components: str) -> tuple[float, float]:
    """Energy [J] and area [m2] of everything but some components."""
    return tuple(
        cost.value(total) - sum(cost.value(f"{name}.{part}") for name in components)
        for total, part in (("energy_j_per_mvm", "joules"), ("area_m2", "square_metres"))
    )


@pytest.mark.parametrize("kind", ["ramp", "sar", "flash"])
def test_an_adc_that_gives_nothing_costs_what_the_library_says(kind: str) -> None:
    assert with_adc(LIBRARY, Adc(kind)) is LIBRARY
    assert with_adc(LIBRARY, Adc(kind, enob=7.0)) is LIBRARY
    for own in (kind, Adc(kind), Adc(kind, bits=8, noise_lsb=0.3)):
        one, other = (energy.estimate_core(XIAO["C"], adc=adc) for adc in (own, kind))
        assert one.row() | {"adc": ""} == other.row() | {"adc": ""}


@pytest.mark.parametrize("name", list(XIAO))
def test_own_energy_area_and_rate_are_counted_on_paper(name: str) -> None:
    design = XIAO[name]
    plain, cost = energy.estimate_core(design, adc="sar"), energy.estimate_core(design, adc=OWN)
    columns = design.arrays * design.array_columns
    assert cost.value("sar_adc.joules") == pytest.approx(design.conversions_per_mvm * 0.9e-12, rel=1e-12)
    assert cost.value("sar_adc.square_metres") == pytest.approx(columns * 600e-12, rel=1e-12)
    assert cost.value("conversion_s") == pytest.approx(50e-9, rel=1e-12)
    assert rest(cost, "sar_adc") == pytest.approx(rest(plain, "sar_adc"), rel=1e-12)
    assert cost.row()["adc"] == "ours"


def test_a_ramp_of_one_s_own_stands_in_for_comparators_ramp_and_counter() -> None:
    design = XIAO["D"]
    own = Adc("ramp", energy="3 pJ", area="150 um2")
    plain, cost = energy.estimate_core(design), energy.estimate_core(design, adc=own)
    assert cost.value("comparator.joules") == pytest.approx(2048 * 3e-12, rel=1e-12)
    assert cost.value("comparator.square_metres") == pytest.approx(256 * 150e-12, rel=1e-12)
    assert (cost.value("ramp.joules"), cost.value("ramp.square_metres")) == (0, 0)
    parts = ("comparator", "ramp")
    assert rest(cost, *parts) == pytest.approx(rest(plain, *parts), rel=1e-12)
    assert cost.latency_ns == plain.latency_ns, "it gives no rate: the kind's clock"
    only_energy = energy.estimate_core(design, adc=Adc("ramp", energy="3 pJ"))
    assert only_energy.area_mm2 == plain.area_mm2


def test_intervals_of_an_adc_flow_into_those_of_the_core() -> None:
    exact = Adc("sar", energy="0.9 pJ", area="600 um2", rate="20 MHz")
    narrow, wide = (energy.estimate_core(XIAO["D"], adc=adc) for adc in (exact, OWN))
    low, high = wide.interval_of("sar_adc.joules")
    conversions = XIAO["D"].conversions_per_mvm
    assert (low, high) == pytest.approx((conversions * 0.7e-12, conversions * 1.2e-12), rel=0.05)
    assert narrow.interval_of("sar_adc.joules")[0] == narrow.interval_of("sar_adc.joules")[1]


RATE = Constant(value=4, unit="MHz", kind="measured", source="our chip", interval=(3.5, 4.5))


@pytest.mark.parametrize("adc", [OWN, Adc("ramp", energy="3 pJ", rate=RATE)])
def test_every_number_of_an_adc_of_one_s_own_can_be_computed_again(adc: Adc) -> None:
    cost = energy.estimate_core(XIAO["C"], adc=adc, seed=4)
    for name, value in cost.row().items():
        if isinstance(value, int | float):
            check_number(cost.explain(name), name, float(value))
    for component in cost.breakdown["component"]:
        check_number(
            cost.explain(f"{component}.energy_pj"), f"{component}.energy_pj", cost.value(f"{component}.energy_pj")
        )


def test_a_kind_from_outside_costs_its_cycles_and_the_survey(cyclic: type[AdcKind]) -> None:
    cost = energy.estimate_core("D", adc="cyclic")
    assert cost.value("conversion_s") == pytest.approx((8 + 2) * 2e-9, rel=1e-12)
    same = energy.estimate_core("D", adc=Adc("sar", rate=50e6))
    for part in ("joules", "square_metres"):
        assert cost.value(f"cyclic_adc.{part}") == pytest.approx(same.value(f"sar_adc.{part}"), rel=1e-12)
    assert cost.energy_j_per_mvm == pytest.approx(same.energy_j_per_mvm, rel=1e-12)
    assert cost.latency_ns == pytest.approx(same.latency_ns, rel=1e-12)
    assert "Cyclic ADC" in list(cost.breakdown["label"])
    for name, value in cost.row().items():
        if isinstance(value, int | float):
            check_number(cost.explain(name), name, float(value))
    # The usual kinds cost what they did.
    assert energy.estimate_core("D").row() == energy.estimate_core("D", library=LIBRARY).row()


def test_a_kind_from_outside_with_its_own_numbers(cyclic: type[AdcKind], tmp_path) -> None:
    path = Adc("cyclic", energy="2 pJ", area="900 um2", rate="100 MHz").save(tmp_path / "own.toml")
    cost = energy.estimate_core(XIAO["A"], adc=path)
    assert cost.value("cyclic_adc.joules") == pytest.approx(256 * 2e-12, rel=1e-12)
    assert cost.value("cyclic_adc.square_metres") == pytest.approx(256 * 900e-12, rel=1e-12)
    assert cost.value("conversion_s") == pytest.approx(10e-9, rel=1e-12)


def test_a_library_may_know_a_kind_from_outside(cyclic: type[AdcKind], tmp_path) -> None:
    path = tmp_path / "library.toml"
    path.write_text(
        """base = "sonos_40nm"
name = "ours"
[timing.cyclic_cycle]
value = 4
unit = "ns"
kind = "measured"
source = "our chip"
[components.cyclic_adc]
label = "Cyclic"
instances = "slice_chains * has_adc * cyclic_adc / 4"
[components.cyclic_adc.area]
value = 1000
unit = "um2"
kind = "measured"
source = "our chip"
[components.cyclic_adc.actions.convert]
count = "slice_conversions * cyclic_adc"
value = 1.5
unit = "pJ"
kind = "measured"
source = "our chip"
"""
    )
    cost = energy.estimate_core("A", adc="cyclic", library=path)
    assert cost.value("cyclic_adc.instances") == 64
    assert cost.value("cyclic_adc.joules") == pytest.approx(256 * 1.5e-12, rel=1e-12)
    assert cost.value("conversion_s") == pytest.approx(40e-9, rel=1e-12)


def test_networks_and_sweeps_take_any_adc(cyclic: type[AdcKind]) -> None:
    layers = [LayerShape(name="a", rows=300, columns=70, mvms=9), LayerShape(name="b", rows=1152, columns=256)]
    for adc in (OWN, "cyclic"):
        cost = energy.estimate_network(layers, "D", adc=adc)
        full = energy.estimate_core("D", adc=adc)
        used = energy.estimate_core(XIAO["D"].replace(matrix_rows=300, matrix_columns=70, max_rows=1152), adc=adc)
        wanted = 9 * used.energy_j_per_mvm + full.energy_j_per_mvm
        assert cost.value("energy_gated_uj") == pytest.approx(wanted * 1e6, rel=1e-9)
    table = energy.estimate_designs(pd.DataFrame({"max_rows": [72, 1152], "adc": ["cyclic", "sar"]}))
    for rows, adc, found in zip((72, 1152), ("cyclic", "sar"), table["energy_fj_per_op"], strict=True):
        alone = energy.estimate_core(circuits.CoreDesign(max_rows=rows), adc=adc)
        assert found == pytest.approx(alone.energy_fj_per_op, rel=1e-12)


@pytest.mark.usefixtures("own_registry")
def test_a_kind_without_a_clock_needs_a_rate() -> None:
    class Clockless(AdcKind):
        name, label, cycles = "clockless", "clockless ADC", "1"

    class Odd(AdcKind):
        name, label, cycles = "odd", "odd ADC", "bits + rows"
        cycle_time = Cyclic.cycle_time

    class Worse(AdcKind):
        name, label, cycles = "worse", "worse ADC", "bits ++ +"
        cycle_time = Cyclic.cycle_time

    for kind in (Clockless, Odd, Worse):
        register_adc_kind(kind)
    with pytest.raises(EnergyError, match=r"has no `timing.clockless_cycle`, the clock cycle of a clockless ADC"):
        energy.estimate_core("A", adc="clockless")
    timed = energy.estimate_core("A", adc=Adc("clockless", rate=1e8))
    assert timed.value("conversion_s") == pytest.approx(1e-8, rel=1e-12)
    with pytest.raises(EnergyError, match=r"ADC kind 'odd': expected `cycles` as a formula of `bits`"):
        energy.estimate_core("A", adc="odd").value("conversion_s")
    with pytest.raises(EnergyError, match=r"ADC kind 'worse': `cycles`: .*not an arithmetic expression"):
        energy.estimate_core("A", adc="worse").value("conversion_s")


def test_an_adc_beside_one_of_the_core_s_own_is_refused() -> None:
    core = circuits.Core("A", adc=OWN)
    assert energy.estimate_core(core).row()["adc"] == "ours"
    with pytest.raises(DesignError, match="`adc` is given beside the core 'A', which has its own"):
        energy.estimate_core(core, adc="sar")
    with pytest.raises(DesignError, match="The ADC 'ours' is of 8 bits, but the design 'A' has `adc_bits` = 6"):
        energy.estimate_core(XIAO["A"].replace(adc_bits=6), adc=OWN)
    assert np.isfinite(energy.estimate_core("guo2017", adc="sar").energy_fj_per_op), (
        "a kind alone does nothing without ADC"
    )


# -- scaling with resolution ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "cycles", "decisions"),
    [
        ("ramp", lambda bits: 2**bits, lambda bits: 2**bits),
        ("sar", lambda bits: bits + 1, lambda bits: bits),
        ("flash", lambda bits: 1, lambda bits: 2**bits - 1),
        ("pipeline", lambda bits: bits - 1, lambda bits: 2 * (bits - 2) + 3),
    ],
)
@pytest.mark.parametrize("bits", [4, 7, 10])
def test_time_and_decisions_of_a_conversion_scale_with_resolution(kind, cycles, decisions, bits: int) -> None:
    """A ramp takes 2^N cycles and a SAR N + 1; a flash has 2^N - 1 comparators and a SAR decides N times."""
    design = XIAO["D"].replace(adc_bits=bits)
    cost = energy.estimate_core(design, adc=Adc(kind, decision_energy="4 fJ"))
    assert cost.value("conversion_s") == pytest.approx(cycles(bits) * 1e-9, rel=1e-12)
    first = adc_kind(kind).component_names()[0]
    joules = sum(cost.value(f"{name}.joules") for name in adc_kind(kind).component_names() if name != "ramp")
    assert first != "ramp"
    assert joules == pytest.approx(design.conversions_per_mvm * decisions(bits) * 4e-15, rel=1e-12)
    check_number(cost.explain(f"{first}.energy_pj"), f"{first}.energy_pj", cost.value(f"{first}.energy_pj"))


def test_a_pipeline_takes_a_sample_a_cycle_and_is_late() -> None:
    """Eight conversions a line in design D, one a cycle with settling; the last one's way through the stages counts."""
    cost = energy.estimate_core("D", adc="pipeline")
    settling = LIBRARY.si["timing.settling"]
    assert cost.value("conversion_interval_s") == pytest.approx(1e-9, rel=1e-12)
    assert cost.value("converting_s") == pytest.approx(8 * (1e-9 + settling), rel=1e-12)
    assert cost.value("conversions_s") == pytest.approx(8 * (1e-9 + settling) + 6e-9, rel=1e-12)
    assert cost.value("interval_s") == pytest.approx(max(cost.value("integration_s"), 8 * (1e-9 + settling)), rel=1e-12)
    own = energy.estimate_core("D", adc=Adc("pipeline", rate="100 MHz"))
    assert own.value("conversion_interval_s") == pytest.approx(10e-9, rel=1e-12)
    assert own.value("conversion_s") == pytest.approx(7 * 10e-9, rel=1e-12)
    for name, value in cost.row().items():
        if isinstance(value, int | float):
            check_number(cost.explain(name), name, float(value))


def test_a_kind_that_counts_no_decisions_needs_the_energy_of_a_conversion(cyclic: type[AdcKind]) -> None:
    with pytest.raises(DesignError, match="a cyclic ADC has no count of decisions: give `energy`"):
        Adc("cyclic", decision_energy="5 fJ")
