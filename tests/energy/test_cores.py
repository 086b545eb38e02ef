"""Costs of cores as built: a core, a design or a name; the cell's own numbers; currents at an age and a temperature."""

import numpy as np
import pandas as pd
import pytest

import circuits
import devicekit
import energy
from circuits import Activity, Core, LayerShape
from devicekit import DesignError, DeviceError
from energy.errors import EnergyError
from tests.energy.printed import check_number

XIAO = circuits.load_designs("xiao2022")
SONOS = "sonos_40nm_tcas2022"
DAY = 86400.0
LAYERS = [LayerShape(name="a", rows=300, columns=70, mvms=9), LayerShape(name="b", rows=9, columns=1, groups=300)]


def rows_of(cost: energy.NetworkCost) -> dict:
    return cost.totals | {"ends": cost.interval_of("energy_gated_uj")}


@pytest.mark.parametrize("name", list(XIAO))
def test_a_core_a_design_and_a_name_cost_the_same(name: str, tmp_path) -> None:
    path = Core(XIAO[name], SONOS, adc="sar").save(tmp_path / "core.toml")
    cell = devicekit.load_device(SONOS)
    wanted = energy.estimate_core(XIAO[name], cell=cell, adc="sar").row()
    for core in (Core(XIAO[name], SONOS, adc="sar"), path, f"{path}:{name}"):
        assert energy.estimate_core(core).row() == wanted
        assert rows_of(energy.estimate_network(LAYERS, core)) == rows_of(
            energy.estimate_network(LAYERS, XIAO[name], cell=cell, adc="sar")
        )
    assert energy.estimate_core(name, cell=SONOS, adc="sar").row() == wanted
    assert energy.estimate_core(Core(name, adc="sar"), cell=SONOS).row() == wanted
    assert energy.estimate_core(Core(name)).row() == energy.estimate_core(name).row() == plain_row(name)


def plain_row(name: str) -> dict:
    return energy.estimate_core(XIAO[name]).row()


@pytest.mark.parametrize("thing", [3, None, ["A"], {"design": "A"}])
def test_what_is_no_core_is_refused_by_name(thing: object) -> None:
    for function in (energy.estimate_core, lambda core: energy.estimate_network(LAYERS, core)):
        with pytest.raises(DesignError, match=f"Expected a core, a design or a name, but got {type(thing).__name__}"):
            function(thing)


def test_parts_of_the_wrong_kind_are_refused_by_name() -> None:
    with pytest.raises(DeviceError, match="Expected a device's name or the path of its file, but got 3"):
        energy.estimate_core("A", cell=3)
    with pytest.raises(DesignError, match="Expected an ADC, the name of a kind or the path of a file, but got int"):
        energy.estimate_core("A", adc=3)
    with pytest.raises(DesignError, match="`cell` is given beside the core 'A', which has its own"):
        energy.estimate_core(Core("A", SONOS), cell=SONOS)
    with pytest.raises(DesignError, match="Core 'A' has `age`, which says nothing without a cell"):
        energy.estimate_core(Core("A", age=DAY))
    with pytest.raises(EnergyError, match="of technology 'pcm_90nm'"):
        energy.estimate_core(Core("A", "pcm_joshi2020"))
    with pytest.raises(DesignError, match=r"Row 0: Unknown ADC 'sarr'"):
        energy.estimate_designs(pd.DataFrame({"adc": ["sarr"]}))


def test_read_current_and_voltage_are_the_cell_s() -> None:
    import dataclasses

    cell = dataclasses.replace(devicekit.load_device(SONOS), i_max=3.2e-6, read_voltage=0.05, on_off_ratio=1e3)
    usual, own = energy.estimate_core("A"), energy.estimate_core(Core("A", cell))
    mean = [cost.activity.mean_conductance[0] for cost in (usual, own)]
    assert mean[1] == pytest.approx(1e-3 + (1 - 1e-3) * (mean[0] - 1e-7) / (1 - 1e-7), rel=1e-9)
    assert own.value("array.joules") / usual.value("array.joules") == pytest.approx(mean[1] / mean[0], rel=1e-9)


def weights_of(mean: float, largest: int) -> tuple[np.ndarray, np.ndarray]:
    """Integers and their probability, two-sided exponential of a mean magnitude, by bisection."""
    k = np.arange(-largest, largest + 1)
    low, high = 1e-6, 50.0
    for _ in range(200):
        rate = (low + high) / 2
        p = np.exp(-rate * np.abs(k))
        p /= p.sum()
        low, high = (rate, high) if p @ np.abs(k) > mean * largest else (low, rate)
    return k, p


@pytest.mark.parametrize(
    ("age", "temperature", "compensation"), [(5 * DAY, None, None), (0, 350.0, "none"), (DAY, 320.0, "reference_cell")]
)
def test_cells_conduct_what_they_do_then_and_there(
    age: float, temperature: float | None, compensation: str | None
) -> None:
    """Design A: the magnitude on one cell of a pair, the other idle; E: four 2-bit digits of the raised weight."""
    cell = devicekit.load_device(SONOS).at(time=age, temperature=temperature, compensation=compensation)
    g_min = 1 / cell.on_off_ratio
    magnitude = energy.load_library("sonos_40nm").si["activity.mean_magnitude"]
    integers, p = weights_of(magnitude, 127)

    def read(digit: np.ndarray, levels: int) -> np.ndarray:
        return cell.mean((g_min + (1 - g_min) * digit / levels) * cell.i_max) / cell.i_max

    pair = p @ (read(np.abs(integers), 127) + read(np.zeros(integers.size), 127)) / 2
    sliced = [p @ read((integers + 128) // 4**s % 4, 3) for s in range(4)]
    for name, wanted in (("A", [pair]), ("E", sliced)):
        core = Core(name, SONOS, age=age, temperature=temperature, compensation=compensation)
        cost = energy.estimate_core(core, seed=2)
        assert cost.activity.mean_conductance == pytest.approx(wanted, rel=1e-6)
        fresh = energy.estimate_core(Core(name, SONOS), seed=2)
        ratio = np.mean(wanted) / np.mean(fresh.activity.mean_conductance)
        assert cost.value("array.joules") == pytest.approx(ratio * fresh.value("array.joules"), rel=1e-6)
        assert abs(ratio - 1) > 1e-3, "it matters"
        low, high = cost.interval_of("energy_fj_per_op")
        assert low < cost.energy_fj_per_op < high
        for number in ("energy_fj_per_op", "energy_fj_per_op_low", "array.energy_pj"):
            explained = cost.explain(number)
            check_number(explained, number, explained.value)


def test_networks_and_sweeps_see_the_aged_cell_too() -> None:
    core = Core("D", SONOS, age=5 * DAY, temperature=350)
    full = [LayerShape(name="full", rows=1152, columns=256)]
    cost, one = energy.estimate_network(full, core), energy.estimate_core(core)
    assert cost.value("energy_gated_uj") == pytest.approx(one.energy_j_per_mvm * 1e6, rel=1e-12)
    assert cost.interval_of("energy_gated_uj") == pytest.approx(
        [end * 1e-3 for end in one.interval_of("energy_nj_per_mvm")], rel=1e-9
    )
    fields = {key: [value] for key, value in XIAO["D"].to_mapping().items() if value is not None}
    table = energy.estimate_designs(pd.DataFrame(fields), cell=core.cell, intervals=True)
    assert table["energy_fj_per_op"].iloc[0] == pytest.approx(one.energy_fj_per_op, rel=1e-12)
    assert table["energy_fj_per_op_high"].iloc[0] == pytest.approx(one.interval_of("energy_fj_per_op")[1], rel=1e-9)
    by_name = energy.estimate_designs(pd.DataFrame(fields), cell=SONOS)
    assert by_name["energy_fj_per_op"].iloc[0] == pytest.approx(
        energy.estimate_core("D", cell=SONOS).energy_fj_per_op, rel=1e-12
    )


def test_a_measured_activity_is_taken_as_it_is() -> None:
    measured = Activity([0.1], [0.3] * 8, "measured")
    costs = [energy.estimate_core(Core("A", SONOS, age=age), measured) for age in (0, 5 * DAY)]
    assert costs[0].value("array.joules") == costs[1].value("array.joules")
