"""A network on cores: a small one on paper, ResNet-50 by its published size, and the laws of tiles and copies."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import circuits
import energy
from circuits import LayerShape
from energy.errors import EnergyError
from energy.placement import balanced_replicas, tiles_of

XIAO = circuits.load_designs("xiao2022")
A = XIAO["A"]

# A small CNN on 28 x 28 images: a wide convolution, a depthwise one, a layer of two row tiles, a classifier.
SMALL = [
    LayerShape(name="conv", rows=9, columns=16, mvms=676, kind="conv2d", bias=True),
    LayerShape(name="depthwise", rows=9, columns=1, mvms=576, groups=300, kind="conv2d"),
    LayerShape(name="dense", rows=2000, columns=300, mvms=1, kind="linear", bias=True),
    LayerShape(name="classifier", rows=300, columns=10, mvms=1, kind="linear", bias=True),
]


def resnet50_shapes():
    """ResNet-50 v1.5 for 224 x 224 images: strides in the 3 x 3 convolutions."""
    shapes = [LayerShape(name="conv1", rows=147, columns=64, mvms=112 * 112)]
    size, channels = 56, 64
    for stage, (width, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for block in range(blocks):
            name = f"layer{stage + 1}.{block}"
            stride = 2 if stage > 0 and block == 0 else 1
            out = size // stride
            shapes.append(LayerShape(name=f"{name}.conv1", rows=channels, columns=width, mvms=size * size))
            shapes.append(LayerShape(name=f"{name}.conv2", rows=9 * width, columns=width, mvms=out * out))
            shapes.append(LayerShape(name=f"{name}.conv3", rows=width, columns=4 * width, mvms=out * out))
            if block == 0:
                shapes.append(LayerShape(name=f"{name}.down", rows=channels, columns=4 * width, mvms=out * out))
            size, channels = out, 4 * width
    return [*shapes, LayerShape(name="fc", rows=2048, columns=1000)]


def test_resnet50_has_its_published_size_and_149_cores():
    cost = energy.estimate_network(resnet50_shapes(), A)
    assert len(cost.layers) == 54
    assert cost.value("weights") == 25_502_912
    assert cost.value("weights") / 1e6 == pytest.approx(25.5, abs=0.05)
    assert cost.value("macs") / 1e9 == pytest.approx(4.09, abs=0.005)
    assert cost.value("cores") == 149
    assert cost.value("spatial_utilisation") == pytest.approx(25_502_912 / (149 * 1152 * 256))


def test_a_small_network_on_paper():
    """Every count, energy and time of the small network by hand, exactly."""
    cost = energy.estimate_network(SMALL, A)
    core = energy.estimate_core(A)
    table = cost.table.set_index("layer")
    # conv: 1 core; depthwise: 1152 // 9 = 128 groups a core (columns allow 256), so 3 cores; dense: 2 x 2 tiles.
    assert table["cores"].tolist() == [1, 3, 4, 1]
    assert table["groups_per_core"].tolist() == [1, 128, 1, 1]
    assert table["weights"].tolist() == [144, 2700, 600_000, 3000]
    assert table["macs"].tolist() == [144 * 676, 2700 * 576, 600_000, 3000]
    assert table["utilisation"].tolist() == [
        144 / 294912,
        2700 / (3 * 294912),
        600_000 / (4 * 294912),
        3000 / 294912,
    ]
    joules = core.energy_j_per_mvm
    # dense: 300 columns joined once over 2 row tiles; design A's outputs have 8 bits and a pair of tiles one more.
    join = 300 * 1 * 1 * (8 + 1) * core.value("digital.bit_operation")
    ungated = [676 * joules, 3 * 576 * joules, 4 * joules + join, joules]
    assert table["energy_ungated_nj"].tolist() == pytest.approx([e * 1e9 for e in ungated], rel=1e-12)
    assert cost.value("energy_ungated_uj") == pytest.approx(sum(ungated) * 1e6, rel=1e-12)
    interval, latency = core.value("interval_s"), core.value("latency_s")
    cycle = core.value("timing.digital_cycle")
    times = [latency + 675 * interval, latency + 575 * interval, latency + cycle, latency]
    assert table["latency_us"].tolist() == pytest.approx([t * 1e6 for t in times], rel=1e-12)
    assert cost.value("latency_us") == pytest.approx(sum(times) * 1e6, rel=1e-12)
    assert cost.value("interval_us") == pytest.approx(676 * interval * 1e6, rel=1e-12)
    assert cost.value("cores") == 9
    assert cost.value("area_mm2") == pytest.approx(9 * core.area_mm2, rel=1e-12)
    macs = 144 * 676 + 2700 * 576 + 600_000 + 3000
    assert cost.value("macs") == macs
    assert cost.value("spatial_utilisation") == pytest.approx(605_844 / (9 * 294912), rel=1e-12)
    assert cost.value("operation_utilisation") == pytest.approx(macs / ((676 + 3 * 576 + 4 + 1) * 294912), rel=1e-12)
    assert cost.value("utilised_tops_per_w_ungated") == pytest.approx(2 * macs / sum(ungated) * 1e-12, rel=1e-12)
    assert cost.value("peak_tops_per_w") == pytest.approx(core.tops_per_w, rel=1e-12)
    assert cost.value("peak_tops") == pytest.approx(9 * core.tops, rel=1e-12)
    assert cost.value("peak_tops_per_mm2") == pytest.approx(core.tops_per_mm2, rel=1e-12)


def gated_core_a(rows, columns, cells_in_use, constants):
    """Design A with unused rows and columns off, on paper: the ramp alone does not shrink."""
    c = constants
    driven = 8 * c["activity.per_bit"]
    mean = energy.estimate_core(A).activity.mean_conductance[0]
    return (
        2 * cells_in_use * mean * driven * c["cell.i_max"] * c["cell.read_voltage"] * c["timing.input_bit"]
        + 2
        * cells_in_use
        * mean
        * driven
        * c["integrator.supply_currents"]
        * c["cell.i_max"]
        * c["process.vdd"]
        * c["timing.input_bit"]
        + 2 * rows * columns * driven * c["row_driver.toggle.energy"]
        + rows * 8 * c["row_driver.register.energy"]
        + columns
        * (
            8 * c["integrator.integrate.energy"]
            + 8 * c["rescaling.halve.energy"]
            + c["gain.amplify.energy"]
            + c["comparator.convert.energy"]
        )
        + c["ramp.run.energy"]
    )


def test_gated_energies_on_paper():
    cost = energy.estimate_network(SMALL, A)
    c = energy.load_library("sonos_40nm").si
    conv = 676 * gated_core_a(9, 16, 144, c)
    # 300 depthwise groups of 9 x 1: two cores of 128 and one of 44, cells on the diagonal only.
    depthwise = 576 * (2 * gated_core_a(1152, 128, 1152, c) + gated_core_a(396, 44, 396, c))
    dense = (
        sum(gated_core_a(rows, columns, rows * columns, c) for rows in (1152, 848) for columns in (256, 44))
        + 300 * 9 * c["digital.bit_operation"]
    )
    classifier = gated_core_a(300, 10, 3000, c)
    expected = [energy_j * 1e9 for energy_j in (conv, depthwise, dense, classifier)]
    assert cost.table["energy_gated_nj"].tolist() == pytest.approx(expected, rel=1e-9)
    assert (cost.table["energy_gated_nj"] <= cost.table["energy_ungated_nj"]).all()


def test_groups_may_have_a_core_each():
    packed = energy.estimate_network(SMALL, A)
    each = energy.estimate_network(SMALL, A, groups="one_core_each")
    assert each.table["cores"].tolist() == [1, 300, 4, 1]
    assert each.value("energy_gated_uj") > packed.value("energy_gated_uj")


@given(
    rows=st.integers(1, 4000),
    columns=st.integers(1, 900),
    groups=st.integers(1, 40),
    packed=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_tiles_hold_every_weight_once(rows, columns, groups, packed):
    layer = LayerShape(name="x", rows=rows, columns=columns, groups=groups)
    tiles = tiles_of(layer, A, packed=packed)
    assert len(tiles) <= 4
    assert sum(t.count * t.rows * t.columns * t.density for t in tiles) == pytest.approx(layer.weights)
    assert all(t.rows <= 1152 and t.columns <= 256 and t.count > 0 for t in tiles)
    cost = energy.estimate_network([layer], A, groups="packed" if packed else "one_core_each")
    assert sum(t.count for t in tiles) == cost.value("cores")


def test_a_layer_that_fills_a_core_costs_the_core():
    layer = LayerShape(name="full", rows=1152, columns=256, mvms=10)
    for design in XIAO.values():
        cost = energy.estimate_network([layer], design)
        assert cost.value("energy_gated_uj") == pytest.approx(cost.value("energy_ungated_uj"), rel=1e-12)
        assert cost.value("utilised_tops_per_w") == pytest.approx(cost.value("peak_tops_per_w"), rel=1e-12)
        assert cost.value("operation_utilisation") == 1
        assert cost.value("utilised_tops") == pytest.approx(cost.value("peak_tops"), rel=1e-12)


@given(
    layers=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 200)), min_size=1, max_size=5),
    spare=st.integers(0, 60),
)
@settings(max_examples=100, deadline=None)
def test_copies_make_the_fastest_pipeline_the_budget_allows(layers, spare):
    cores, mvms = zip(*layers, strict=True)
    budget = sum(cores) + spare
    copies = balanced_replicas(cores, mvms, budget)
    assert sum(c * r for c, r in zip(cores, copies, strict=True)) <= budget
    steps = max(math.ceil(m / r) for m, r in zip(mvms, copies, strict=True))
    if steps > 1:
        faster = sum(c * math.ceil(m / (steps - 1)) for c, m in zip(cores, mvms, strict=True))
        assert faster > budget


def test_copies_speed_up_the_pipeline_and_leave_the_energy():
    one = energy.estimate_network(SMALL, A)
    more = energy.estimate_network(SMALL, A, core_budget=40)
    assert more.value("cores") <= 40
    assert more.value("interval_us") < one.value("interval_us") / 4
    assert more.value("energy_gated_uj") == one.value("energy_gated_uj")
    assert more.value("spatial_utilisation") == one.value("spatial_utilisation")
    with pytest.raises(EnergyError, match="core budget of at least 9"):
        energy.estimate_network(SMALL, A, core_budget=8)


def test_activity_of_a_layer_changes_that_layer_alone():
    busy = circuits.Activity([0.3], np.full(8, 0.9), "measured")
    base, other = (energy.estimate_network(SMALL, A, activity) for activity in ({}, {"dense": busy}))
    ratio = (other.table["energy_gated_nj"] / base.table["energy_gated_nj"]).tolist()
    assert ratio[2] > 1.2
    assert ratio[0] == ratio[1] == ratio[3] == 1
    everywhere = energy.estimate_network(SMALL, A, busy)
    assert (everywhere.table["energy_gated_nj"] > base.table["energy_gated_nj"]).all()
    with pytest.raises(EnergyError, match=r"Unknown layer 'dens'\. Did you mean 'dense'"):
        energy.estimate_network(SMALL, A, {"dens": busy})


def test_intervals_of_totals_hold_the_values():
    cost = energy.estimate_network(SMALL, A, seed=1)
    for name in ("energy_ungated_uj", "energy_gated_uj", "area_mm2", "utilised_tops_per_w"):
        low, high = cost.interval_of(name)
        assert low < cost.value(name) < high, name
    assert cost.interval_of("cores") == (9, 9)


def test_impossible_requests_get_one_error():
    with pytest.raises(EnergyError, match="at least one layer"):
        energy.estimate_network([], A)
    with pytest.raises(EnergyError, match="'conv' stands twice"):
        energy.estimate_network([SMALL[0], SMALL[0]], A)
    with pytest.raises(EnergyError, match="Unknown way to place groups"):
        energy.estimate_network(SMALL, A, groups="dense")
    with pytest.raises(EnergyError, match=r"Unknown total 'energy_uj'\. Did you mean"):
        energy.estimate_network(SMALL, A).value("energy_uj")
    with pytest.raises(EnergyError, match=r"Unknown layer 'cov'\. Did you mean 'conv'"):
        energy.estimate_network(SMALL, A).explain("cores", "cov")
