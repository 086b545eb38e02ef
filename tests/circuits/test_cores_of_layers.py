"""Cores of a network: which layer has which, and what a core of some layers takes from the others."""

import pytest

import circuits
from circuits import Core, Faults, NetworkCores, Wires, load_design, network_cores
from devicekit import DesignError

SONOS = "sonos_40nm_tcas2022"


def test_the_first_pattern_that_matches_a_name_of_a_layer_holds():
    cores = network_cores("A", {"layer1.*": "B", "attend": "C", "*": "E"})
    assert cores.of(["layer1.0.conv"]).name == "B"
    assert cores.of(["attend.q_proj", "attend"]).name == "C"
    assert cores.of(["attend.q_proj"]).name == "E"
    assert network_cores("A", {"conv": "B"}).of(["Conv"]).name == "A", "case counts"
    assert cores.unmatched([["layer1.0.conv"], ["fc"]]) == ["attend"]
    assert [core.name for core in cores.kinds] == ["A", "B", "C", "E"]


def test_what_is_left_open_is_that_of_the_others():
    main = Core("A", SONOS, "sar", "sonos_40nm", Wires(1e-5, "affine"), ("column_trim",), Faults(0.1), age="1 day")
    cores = network_cores(main, {"plain": "B", "own": Core("C", "sonos_40nm_iedm2022", "ramp", faults=Faults(0.2))})
    plain, own = cores.overrides["plain"], cores.overrides["own"]
    for part in ("cell", "adc", "faults", "age"):
        assert plain.to_mapping()[part] == main.to_mapping()[part], part
    assert plain.corrections == own.corrections == ("column_trim",)
    # Bit lines are the design's, their cell model is the others'.
    assert (plain.design.r_p_hat, plain.bit_line) == (load_design("B").r_p_hat, "affine")
    assert own.cell.name == "sonos_40nm_iedm2022"
    assert own.adc_in_use.kind == "ramp"
    assert own.faults == Faults(0.2)
    # A name of peripherals means another variant for another use.
    named = network_cores("A", {"fc": "E"}, peripherals="sonos_40nm")
    assert named.core.peripherals.name == "sonos_40nm"
    assert named.overrides["fc"].peripherals.name == "sonos_40nm_one_bit_unsigned"
    without = network_cores(main, {"fc": load_design("A").replace(adc_bits=None)}).overrides["fc"]
    assert without.adc is without.peripherals is None


def test_the_same_core_by_another_name_is_one_kind():
    main = Core("A", SONOS, corrections=("drift",))
    assert network_cores(main, {"conv": "A"}).kinds == (main,)
    changed = network_cores(main, {"conv": "B"}).each(lambda core: core.replace(corrections=()))
    assert [core.corrections for core in changed.kinds] == [(), ()]
    assert changed.name == "A"


def test_what_does_not_go_together_is_refused():
    with pytest.raises(DesignError, match=r"Corrections are made for the whole network, but the core 'B'"):
        network_cores("A", {"conv": Core("B", corrections=("drift",))})
    with pytest.raises(DesignError, match="Expected a name pattern of layers, but got ''"):
        NetworkCores(Core("A"), {"": Core("B")})
    with pytest.raises(DesignError, match="Expected a core for layers 'conv', but got str"):
        NetworkCores(Core("A"), {"conv": "B"})
    with pytest.raises(DesignError, match="Expected a core, a design or a name, but got int"):
        network_cores("A", {"conv": 3})
    cores = network_cores("A", {"conv": "B"})
    assert network_cores(cores) is cores
    with pytest.raises(DesignError, match="`cell` is given beside the cores of 'A', which are as built"):
        network_cores(cores, cell=SONOS)
    with pytest.raises(DesignError, match="`age`, which says nothing without a cell"):
        network_cores("A", {"conv": Core("B", age="1 day")})
    with pytest.raises(DesignError, match="Unknown design 'no such design'"):
        network_cores("A", {"conv": "no such design"})
    assert circuits.LayerShape(name="q", rows=1, columns=1, within=["attend"]).names == ("q", "attend")
