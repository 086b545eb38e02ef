"""Networks on cores of several designs: sums of their parts, one set of draws, and every number computed again."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from typer.testing import CliRunner

import circuits
import energy
from circuits import Activity, Core, LayerShape, NetworkCores
from devicekit import DesignError, load_device
from energy.errors import EnergyError
from energy.placement import balanced_replicas
from energy.uncertainty import draw_all, draw_constants
from reports.command import build_app, main
from tests.energy.printed import check_number

LAYERS = [
    LayerShape(name="conv", rows=9, columns=16, mvms=676),
    LayerShape(name="block.0.depthwise", rows=9, columns=1, mvms=576, groups=300),
    LayerShape(name="attend.q_proj", rows=500, columns=300, mvms=20, within=("attend",)),
    LayerShape(name="dense", rows=2000, columns=300),
]
OVERRIDES = {"conv": "B", "attend": "E"}
HALF = dataclasses.replace(load_device("sonos_40nm_tcas2022"), i_max=0.8e-6, name="half the current")
ADDED = ("energy_gated_uj", "energy_ungated_uj", "area_mm2", "latency_us", "peak_tops", "weights", "macs", "cores")


def parts_by_hand(**options):
    """The same network taken apart: each design's layers as a network of their own."""
    on = {"A": [LAYERS[1], LAYERS[3]], "B": [LAYERS[0]], "E": [LAYERS[2]]}
    return {name: energy.estimate_network(layers, name, **options) for name, layers in on.items()}


@pytest.mark.parametrize(
    "options", [{}, {"adc": "sar", "seed": 3}, {"cell": "sonos_40nm_iedm2022", "groups": "packed"}]
)
def test_a_mixture_is_the_sum_of_its_parts_draw_by_draw(options):
    cost, parts = energy.estimate_network(LAYERS, "A", overrides=OVERRIDES, **options), parts_by_hand(**options)
    for name in ADDED:
        assert cost.value(name) == pytest.approx(sum(part.value(name) for part in parts.values()), rel=1e-12), name
        drawn = sum(part.draws_of(name) for part in parts.values())
        assert cost.draws_of(name) == pytest.approx(drawn, rel=1e-12), name
    slowest = np.max([part.draws_of("interval_us") for part in parts.values()], axis=0)
    assert cost.draws_of("interval_us") == pytest.approx(slowest, rel=1e-12)
    assert cost.value("peak_tops_per_w") == pytest.approx(
        cost.value("peak_tops")
        / sum(part.value("peak_tops") / part.value("peak_tops_per_w") for part in parts.values()),
        rel=1e-12,
    )
    assert cost.cores_by_kind == {name: int(part.value("cores")) for name, part in parts.items()}
    # Layer by layer they are the very same numbers.
    rows = cost.table.set_index("layer")
    assert rows["core"].tolist() == ["B", "A", "E", "A"]
    for part in parts.values():
        own = part.table.set_index("layer")
        assert rows.loc[own.index, own.columns].equals(own)


def test_a_mixture_of_one_design_is_that_design_to_the_last_bit():
    for name, overrides in (("B", {"*": "B"}), ("A", {"conv": "A", "dense": circuits.load_design("A")})):
        plain, mixed = energy.estimate_network(LAYERS, name), energy.estimate_network(LAYERS, "A", overrides=overrides)
        assert mixed.totals == plain.totals
        assert all(np.array_equal(mixed.draws_of(total), plain.draws_of(total)) for total in plain.totals)
        assert mixed.table[plain.table.columns].equals(plain.table)
    # A core that is the rest's own leaves no trace.
    assert mixed.to_dict() == plain.to_dict()


def test_the_same_design_by_another_name_changes_no_draw():
    """Shared constants and structural errors go together between kinds of cores."""
    twin = circuits.load_design("C").replace(name="twin")
    plain, mixed = energy.estimate_network(LAYERS, "C"), energy.estimate_network(LAYERS, "C", overrides={"conv": twin})
    assert mixed.cores_by_kind["twin"] == 1
    for total in plain.totals:
        assert np.array_equal(mixed.draws_of(total), plain.draws_of(total)), total
    assert mixed.labels == ("C", "twin")
    named = energy.estimate_network(LAYERS, "C", overrides={"conv": circuits.load_design("C").replace(max_rows=72)})
    assert named.labels == ("C", "C (2)")


def test_what_an_overriding_core_leaves_open_is_that_of_the_others():
    cell = load_device("sonos_40nm_iedm2022")
    cost = energy.estimate_network(LAYERS, Core("A", cell=cell, adc="sar"), overrides={"conv": "B"})
    alone = energy.estimate_network(LAYERS[:1], Core("B", cell=cell, adc="sar"))
    assert cost.table["energy_gated_nj"][0] == alone.table["energy_gated_nj"][0]
    own = energy.estimate_network(LAYERS, Core("A", cell=cell), overrides={"conv": Core("B", cell=HALF)})
    assert [core.library.si["cell.i_max"] for core in own.cores] == [cell.i_max, 0.8e-6]
    # Simulated peripherals are looked up for each design.
    sized = energy.estimate_network(LAYERS, "A", overrides={"conv": "B"}, peripherals="sized")
    for place, (layer, name) in enumerate(zip(LAYERS, "BAAA", strict=True)):
        alone = energy.estimate_network([layer], name, peripherals="sized")
        assert sized.table["energy_gated_nj"][place] == alone.table["energy_gated_nj"][0]


def test_the_first_pattern_that_matches_holds():
    cost = energy.estimate_network(LAYERS, "A", overrides={"attend": "C", "*o*": "B", "conv": "E", "attend.*": "E"})
    assert cost.table["core"].tolist() == ["B", "B", "C", "A"]
    built = circuits.network_cores("A", {"attend": "C"})
    assert (
        energy.estimate_network(LAYERS, built).totals
        == energy.estimate_network(LAYERS, "A", overrides={"attend*": "C"}).totals
    )


SAR = {"kind": "sar", "energy": "2 pJ", "area": "500 um^2", "rate": "20 MHz"}
MIXTURES = {
    "designs": {"design": "A", "overrides": {"conv": "B", "attend": "E"}},
    "copies": {"design": "A", "overrides": {"conv": "B"}, "core_budget": 60},
    "cells": {"design": "A", "overrides": {"conv": Core("B", cell=HALF)}},
    "adc": {
        "design": "D",
        "overrides": {
            "conv": Core("A", adc={"kind": "sar", "energy": "2 pJ", "area": "500 um^2", "rate": "20 MHz"}),
            "dense": "E",
        },
    },
    "peripherals": {"design": "A", "overrides": {"dense": "E"}, "peripherals": "sized"},
}


@pytest.mark.parametrize("kind", MIXTURES)
def test_every_number_of_a_mixture_can_be_computed_again(kind):
    cost = energy.estimate_network(LAYERS, **MIXTURES[kind], seed=2)
    row = {name: value for name, value in cost.row().items() if name not in ("design", "placed_on")}
    for name, value in row.items():
        check_number(cost.explain(name), name, value)
    for number, layer in enumerate(LAYERS):
        for column in ("energy_gated_nj", "latency_us", "area_mm2", "utilisation"):
            explained = cost.explain(column, layer.name)
            check_number(explained, explained.name, float(cost.table[column][number]))
    for name in ("energy_gated_uj", "latency_us"):
        for part in cost.explain(name).parts():
            assert cost.explain(part.name) == part, part.name


def test_a_constant_that_differs_bears_the_name_of_its_core():
    cost = energy.estimate_network(LAYERS, **MIXTURES["cells"])
    names = {part.name for part in cost.explain("energy_gated_uj").parts()}
    assert {"core.cell.i_max", "core_B.cell.i_max", "process.vdd"} <= names
    assert not {"cell.i_max", "core.process.vdd", "core_B.process.vdd"} & names
    own = cost.cores[1].library
    assert cost.explain("core_B.cell.i_max").value == own.si["cell.i_max"]
    assert cost.explain("core_B.energy_fj_per_op").value == energy.estimate_core("B", cell=HALF).energy_fj_per_op
    drawn = draw_all({"core.": cost.core.library, "core_B.": own}, seed=5)
    for prefix, library in (("core.", cost.core.library), ("core_B.", own)):
        for name, values in draw_constants(library, seed=5).items():
            assert np.array_equal(drawn.get(prefix + name, drawn.get(name)), values), name


def test_copies_go_by_time_and_not_by_products():
    """Against every allotment there is: the fastest pipeline, and no copy more than it needs."""
    random = np.random.default_rng(0)
    for _ in range(60):
        count = int(random.integers(1, 4))
        cores, mvms = (random.integers(1, high, count).tolist() for high in (4, 9))
        intervals = random.choice([1.0, 0.3, 2.7], count).tolist()
        budget = sum(cores) + int(random.integers(0, 12))
        found = balanced_replicas(cores, mvms, budget, intervals)

        def time(copies, mvms=mvms, intervals=intervals):
            return max(-(-m // r) * i for m, r, i in zip(mvms, copies, intervals, strict=True))

        allowed = [
            copies
            for copies in itertools.product(*(range(1, m + 1) for m in mvms))
            if sum(c * r for c, r in zip(cores, copies, strict=True)) <= budget
        ]
        best = min(map(time, allowed))
        assert found in allowed
        assert time(found) == best
        assert sum(found) == min(sum(copies) for copies in allowed if time(copies) == best)


def test_impossible_mixtures_get_one_error():
    with pytest.raises(EnergyError, match=r"Unknown layer or pattern 'cov'\. Did you mean 'conv'"):
        energy.estimate_network(LAYERS, "A", overrides={"cov": "B"})
    with pytest.raises(DesignError, match="Unknown design 'AA'"):
        energy.estimate_network(LAYERS, "A", overrides={"conv": "AA"})
    measured = Activity([0.1], np.full(8, 0.2), "measured")
    with pytest.raises(EnergyError, match="Design 'B': expected `mean_conductance` of the activity to have 8 entries"):
        energy.estimate_network(LAYERS, "A", {"conv": measured}, overrides={"conv": "B"})
    assert energy.estimate_network(LAYERS, "A", {"dense": measured}, overrides={"conv": "B"}).activities
    with pytest.raises(DesignError, match="`overrides` is given beside the cores of 'A'"):
        energy.estimate_network(LAYERS, NetworkCores(Core("A")), overrides={"conv": "B"})
    foreign = Core("B", cell=dataclasses.replace(load_device("sonos_40nm_tcas2022"), technology="other"))
    with pytest.raises(EnergyError, match="of technology 'other'"):
        energy.estimate_network(LAYERS, "A", overrides={"conv": foreign})


def test_the_command_places_layers_on_other_cores(capsys):
    def document(*arguments):
        result = CliRunner().invoke(build_app("energy"), ["energy", *arguments, "--network", "digits_cnn", "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    mixed, plain = document("A", "E", "--override", "conv1=B"), document("A", "E")
    assert [row["placed_on"] for row in mixed["networks"]] == ["3 A, 1 B", "3 E, 1 B"]
    assert [row["core"] for row in mixed["layers"]] == ["B", "A", "A", "A", "B", "E", "E", "E"]
    assert "placed_on" not in plain["networks"][0]
    assert mixed["designs"] == plain["designs"]
    for row, own in zip(mixed["layers"], plain["layers"], strict=True):
        same = {key: value for key, value in row.items() if key != "core"}
        assert (same == own) == (row["layer"] != "conv1")
    for options, message in (
        (["--override", "conv1", "--network", "digits_cnn"], "PATTERN=DESIGN"),
        (["--override", "conv9=B", "--network", "digits_cnn"], "'conv9'"),
        (["--override", "conv1=B"], "--override needs a network"),
        (["--override", "a=B", "--override", "a=C", "--network", "digits_cnn"], "stands twice"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["energy", "A", *options])
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err
