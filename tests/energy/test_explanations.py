"""Every number of every table, computed again from its printed formula, counts and constants alone."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

import circuits
import energy
from circuits import LayerShape
from energy.adc_formulas import flag
from energy.core_formulas import FIELDS
from energy.errors import EnergyError
from energy.explanations import Explanation
from energy.network_formulas import NETWORK_FORMULAS
from energy.reproduction import Reproduction
from energy.sweeps import design_fields
from reports.command import build_app
from tests.energy.printed import EVERYTHING, check_number, recompute

ADCS = circuits.adc_kind_names()

XIAO = circuits.load_designs("xiao2022")
ACCELERATORS = circuits.load_designs("accelerators")
LABELS = {"name", "design", "adc", "label", "component", "layer", "kind", "activity", "energy_basis", "area_basis"}
"""Entries of tables that are no numbers."""


def document_of(*arguments):
    result = CliRunner().invoke(build_app("energy"), ["energy", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def numbers(row):
    """Yield every entry of a row that is no label; texts must be numbers as they were printed."""
    for name, value in row.items():
        if name not in LABELS:
            yield name, float(value) if isinstance(value, str) else value


CASES = [(name, adc) for name in XIAO for adc in ADCS] + [
    (name, ADCS[place % len(ADCS)]) for place, name in enumerate(ACCELERATORS)
]


@pytest.mark.parametrize(("name", "adc"), CASES)
def test_every_number_of_the_core_tables_can_be_computed_again(name, adc):
    """What the command prints as JSON holds every number of its tables in every format, intervals included."""
    (row,) = document_of(name, "--adc", adc, "--seed", "3")["designs"]
    cost = energy.estimate_core(circuits.load_design(name), adc=adc, seed=3)
    breakdown = row.pop("breakdown")
    columns = dict(numbers(row))
    assert sum(column.endswith(("_low", "_high")) for column in columns) == 2 * len(cost.library.results)
    for column, value in columns.items():
        check_number(cost.explain(column), column, value)
    assert len(breakdown) == len(cost.library.components)
    for part in breakdown:
        for column, value in numbers(part):
            own = f"{part['component']}.{column}"
            check_number(cost.explain(own), own, value)


LAYERS = [
    LayerShape(name="conv", rows=9, columns=16, mvms=676),
    LayerShape(name="block.0.depthwise", rows=9, columns=1, mvms=576, groups=300),
    LayerShape(name="dense", rows=2000, columns=300),
]


@pytest.mark.parametrize("options", [("A", "--core-budget", "60"), ("E",), ("B", "--groups", "one_core_each")])
def test_every_number_of_the_network_tables_can_be_computed_again(options, tmp_path):
    path = tmp_path / "layers.csv"
    lines = [f"{layer.name},{layer.rows},{layer.columns},{layer.mvms},{layer.groups}" for layer in LAYERS]
    path.write_text("\n".join(["name,rows,columns,mvms,groups", *lines]))
    document = document_of(*options, "--layers", str(path))
    keywords = {"core_budget": 60} if options[0] == "A" else {"groups": options[2]} if options[0] == "B" else {}
    cost = energy.estimate_network(LAYERS, XIAO[options[0]], **keywords)
    (totals,) = document["networks"]
    ends = [column for column, _ in numbers(totals) if column.endswith(("_low", "_high"))]
    assert len(ends) == 2 * sum(formula.unit != "" for formula in NETWORK_FORMULAS)
    for column, value in numbers(totals):
        check_number(cost.explain(column), column, value)
    assert [row["layer"] for row in document["layers"]] == [layer.name for layer in LAYERS]
    for row in document["layers"]:
        for column, value in numbers(row):
            explained = cost.explain(column, row["layer"])
            assert explained == cost.explain(f"{row['layer']}.{column}")
            check_number(explained, explained.name, value)
    # The cores' own numbers stand in the same document, under the same names with `core.` before them.
    for column, value in numbers(document["designs"][0]):
        if column != "breakdown":
            check_number(cost.explain(f"core.{column}"), f"core.{column}", value)


@pytest.mark.parametrize("name", ["A", "E"])
def test_both_ends_of_the_interval_of_every_total_can_be_computed_again(name):
    """Also of those totals whose interval no table shows; a layer with a measured activity keeps it in every draw."""
    design = XIAO[name]
    measured = circuits.Activity([0.1] * design.slices, [0.3] * 8, "measured on a test network")
    cost = energy.estimate_network(LAYERS, design, {"dense": measured}, seed=2)
    for total in cost.totals:
        low, high = cost.interval_of(total)
        check_number(cost.explain(f"{total}_low"), f"{total}_low", low)
        found = check_number(cost.explain(f"{total}_high"), f"{total}_high", high)
    sources = {key: source for block in found.values() for key, source in block.sources.items()}
    assert sources["dense.tile1.mean_conductance"].endswith("measured on a test network")


def test_every_number_of_a_sweep_is_that_of_its_design():
    frame = pd.DataFrame({"max_rows": [72, 1152], "adc_bits": [6, 9]})
    table = energy.estimate_designs(frame, intervals=True)
    for index in range(2):
        cost = energy.estimate_core(circuits.CoreDesign(**design_fields(frame.iloc[index])))
        for column in table.columns:
            check_number(cost.explain(column), column, cost.explain(column).value)
            assert table[column].iloc[index] == pytest.approx(cost.explain(column).value, rel=1e-12), column


@pytest.fixture(scope="module")
def reproduction():
    return Reproduction(proposals=2000, seed=1)


def test_every_cost_of_the_reproduced_table_can_be_computed_again(reproduction):
    """Published, predicted and left-out costs, and what each structure predicts, from the printed text alone."""
    costs = {"published": "fitted", "prediction": "predicted", "leave_one_out": "predicted"}
    for table, column in costs.items():
        rows = reproduction.rows_of(table)
        assert len(rows) == (2 if table == "prediction" else 8)
        for name, row in rows.items():
            explained = reproduction.explain(name)
            assert explained == reproduction.explain(f"{name}.{column}")
            check_number(explained, row["quantity"], explained.value)
            # The fit computes with constants in SI units, the table with those of the library file.
            assert explained.value == pytest.approx(row[column], rel=1e-12), name
    for name, row in reproduction.rows_of("structures").items():
        explained = reproduction.explain(f"{name}.b_energy_fj_per_op")
        check_number(explained, "energy_fj_per_op", explained.value)
        assert explained.value == pytest.approx(row["b_energy_fj_per_op"], rel=1e-12), name


def test_a_constant_behind_a_prediction_is_that_of_its_own_fit(reproduction):
    """A design left out is predicted with constants that never saw it, and the explanation prints those."""
    found = recompute(reproduction.explain("leave_one_out.C.energy_fj_per_op.predicted").text(EVERYTHING))
    printed = {name: value for block in found.values() for name, value in block.inputs.items()}
    sources = {name: source for block in found.values() for name, source in block.sources.items()}
    for name, value in reproduction.without("C").fits["energy_fj_per_op"].best.items():
        assert printed[name] == pytest.approx(value, rel=1e-12), name
        assert "published totals of designs A, D, E with" in sources[name]
    assert printed["comparator.convert.energy"] != reproduction.fit.library.si["comparator.convert.energy"]


def test_unknown_numbers_of_the_reproduction_are_refused(reproduction):
    with pytest.raises(EnergyError, match=r"Unknown computed cost .* Did you mean 'published.A.energy_fj_per_op'"):
        reproduction.explain("publish.A.energy_fj_per_op")
    with pytest.raises(EnergyError, match=r"Unknown computed cost 'parameters.ramp.run.energy.best'"):
        reproduction.explain("parameters.ramp.run.energy.best")


def test_every_constant_behind_the_tables_names_its_source():
    cost = energy.estimate_core(XIAO["E"])
    sources = {}
    for name in ("tops_per_mm2", "energy_fj_per_op"):
        for block in recompute(cost.explain(name).text(EVERYTHING)).values():
            sources |= block.sources
    constants = {name: text for name, text in sources.items() if name in cost.library.constants}
    assert len(constants) > 20
    for name, text in constants.items():
        constant = cost.library.constants[name]
        assert constant.source in text
        assert constant.kind in text
    assert "fitted, 95 % interval" in constants["comparator.convert.energy"]


def test_leaves_are_constants_and_fields_of_the_design():
    cost = energy.estimate_core(XIAO["B"])
    leaves = {leaf.name for leaf in cost.explain("energy_fj_per_op").leaves()}
    flags = {flag(kind) for kind in cost.library.adc_kinds}
    assert leaves <= set(FIELDS) | flags | set(cost.library.constants)
    assert {"comparator.convert.energy", "matrix_rows", "activity.mean_magnitude"} <= leaves
    assert "mean_conductance" not in leaves, "it follows from the statistics"


WRITING = "".join(
    f'[cell.{name}]\nvalue = {value}\nunit = "{unit}"\nkind = "assumed"\nsource = "test"\n'
    f"interval = [{0.5 * value}, {2 * value}]\n"
    for name, value, unit in (
        ("write_pulse_energy", 2, "pJ"),
        ("write_pulse_time", 1, "us"),
        ("write_pulses", 10, ""),
        ("cells_written_at_once", 512, ""),
    )
)


def test_numbers_of_a_library_of_ones_own_can_be_computed_again(tmp_path):
    """Overridden, simulated and device-specific constants stand in the Python that makes the draws."""
    path = tmp_path / "own.toml"
    path.write_text(
        'base = "sonos_40nm"\nname = "own"\nvdd = 0.8\n[cell.off_on_ratio]\nvalue = 0.01\nunit = ""\n'
        'kind = "measured"\nsource = "test"\ninterval = [0.001, 0.1]\n' + WRITING
    )
    library = energy.load_library(path).with_peripherals(circuits.load_peripherals("sonos_40nm"))
    cost = energy.estimate_core(XIAO["C"], library=library, structure="register_shared")
    row = dict(numbers(cost.row()))
    assert row["write_energy_uj_low"] < row["write_energy_uj"] < row["write_energy_uj_high"]
    for column, value in row.items():
        check_number(cost.explain(column), column, value)
    recipe = cost.explain("energy_fj_per_op_high").draws.recipe
    for part in ("own.toml", "with_constants", "with_values({'structure.register_per_array': 0.0}"):
        assert part in recipe


def test_numbers_of_a_measured_activity_can_be_computed_again():
    activity = circuits.Activity([0.03], [0.2, 0.3, 0.2, 0.1, 0.1, 0.1, 0.05, 0.01], "measured on a test network")
    cost = energy.estimate_core(XIAO["A"], activity)
    for column, value in numbers(cost.row()):
        check_number(cost.explain(column), column, value)
    assert "measured on a test network" in cost.explain("array.energy_pj").text(EVERYTHING)


def test_unknown_numbers_are_refused():
    with pytest.raises(EnergyError, match=r"Unknown quantity 'energy_fj_per_ops'\. Did you mean 'energy_fj_per_op'"):
        energy.estimate_core(XIAO["A"]).explain("energy_fj_per_ops")
    network = energy.estimate_network(LAYERS, XIAO["A"])
    with pytest.raises(EnergyError, match=r"Unknown quantity 'energy_gated_u'\. Did you mean 'energy_gated_uj'"):
        network.explain("energy_gated_u")
    with pytest.raises(EnergyError, match=r"Unknown quantity of a layer 'core'\. Did you mean 'cores'"):
        network.explain("core", "conv")


def test_every_name_that_an_explanation_prints_may_be_asked_for():
    network = energy.estimate_network(LAYERS, XIAO["E"])
    for cost, name in ((network.core, "energy_fj_per_op"), (network, "energy_gated_uj"), (network, "latency_us")):
        for part in cost.explain(name).parts():
            assert cost.explain(part.name) == part, part.name


def test_depth_limits_what_is_printed():
    explained = energy.estimate_core(XIAO["A"]).explain("energy_fj_per_op")
    assert isinstance(explained, Explanation)
    lengths = [len(explained.text(depth).split("\n")) for depth in (1, 2, 3)]
    assert lengths[0] == 5
    assert lengths[0] < lengths[1] < lengths[2]


def test_an_end_of_an_interval_says_what_it_is():
    text = energy.estimate_core(XIAO["A"], seed=4).explain("area_mm2_low").text()
    assert "    2.5 % quantile of area_mm2 over draws of its constants" in text
    assert "over 512 draws, `energy.uncertainty.draw_constants(energy.load_library('sonos_40nm'), seed=4)`" in text
    assert "drawn together: array.area, row_driver.area" in text
    text = energy.estimate_core(XIAO["A"]).explain("latency_ns_high").text()
    assert "drawn each from its interval: timing.settling" in text


def test_layers_have_names_that_formulas_can_read():
    layers = [LayerShape(name=name, rows=9, columns=9) for name in ("a.b", "a_b", "1", "core", "if", "é")]
    cost = energy.estimate_network(layers, XIAO["A"])
    names = [cost.explain("cores", layer.name).name for layer in layers]
    assert names == [f"{own}.cores" for own in ("a_b", "a_b_", "layer_1", "layer_core", "layer_if", "_")]
    recompute(cost.explain("energy_gated_uj").text(EVERYTHING))
