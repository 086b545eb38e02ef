"""Every number of every table, computed again from its printed formula, counts and constants alone."""

import math
import re
from types import SimpleNamespace

import numpy as np
import pytest

import circuits
import energy
from circuits import LayerShape
from energy.core_formulas import FIELDS
from energy.errors import EnergyError
from energy.explanations import Explanation
from energy.network_formulas import LAYER_COLUMNS, NETWORK_FORMULAS
from energy.tables import cost_table

XIAO = circuits.load_designs("xiao2022")
LINE = re.compile(r"^ {4}([\w.]+) = (\[.*?\]|[^ :]+)(?: ([^:]+))?: (.+)$")
HEAD = re.compile(r"^([\w.]+) = (\[.*?\]|\S+)(?: (\S+))?$")


def listed(function):
    """Make a function of numbers work on lists entry by entry, a number standing for as many as needed."""

    def apply(*values):
        length = max((len(value) for value in values if isinstance(value, Vector)), default=0)
        if not length:
            return function(*values)
        return Vector(
            function(*(value[k] if isinstance(value, Vector) else value for value in values)) for k in range(length)
        )

    return apply


class Vector(list):
    """A plain list with arithmetic entry by entry: an evaluator of its own, not numpy's and not ours."""


for name, function in {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "truediv": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
}.items():
    setattr(Vector, f"__{name}__", lambda a, b, f=function: listed(f)(a, b))
    setattr(Vector, f"__r{name}__", lambda a, b, f=function: listed(f)(b, a))
for name, function in {"gt": lambda a, b: a > b, "ge": lambda a, b: a >= b, "lt": lambda a, b: a < b}.items():
    setattr(Vector, f"__{name}__", lambda a, b, f=function: listed(f)(a, b))

SCOPE = {
    "ceil": listed(math.ceil),
    "floor": listed(math.floor),
    "exp": listed(math.exp),
    "log": listed(math.log),
    "log2": listed(math.log2),
    "max": listed(lambda a, b: max(a, b)),
    "min": listed(lambda a, b: min(a, b)),
    "where": listed(lambda condition, a, b: a if condition else b),
    "total": lambda x: math.fsum(x) if isinstance(x, Vector) else x,
    "largest": lambda x: max(x) if isinstance(x, Vector) else x,
    "__builtins__": {},
}


def parsed(text):
    """Return a printed value: a number, or a list of them."""
    if text.startswith("["):
        return Vector(float(entry) for entry in text[1:-1].split(","))
    return float(text)


def namespace(values):
    """Return names with dots as nested namespaces, so that Python itself can read the printed formula."""
    tree = {}
    for name, value in values.items():
        *path, last = name.split(".")
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value

    def nested(node):
        return SimpleNamespace(**{k: nested(v) for k, v in node.items()}) if isinstance(node, dict) else node

    return {name: nested(value) for name, value in tree.items()}


def recompute(text):
    """Compute every formula of an explanation's text again; return (values by name, constants with their sources)."""
    printed, sources = {}, {}
    for block in re.split(r"\n(?=\S)", text):
        lines = block.split("\n")
        head = HEAD.match(lines[0])
        assert head, lines[0]
        value = parsed(head[2])
        formula = next((line.strip()[2:] for line in lines[1:] if line.startswith("    = ")), None)
        inputs = {}
        for line in lines[1:]:
            if match := LINE.match(line):
                inputs[match[1]] = parsed(match[2])
                sources[match[1]] = match[4]
        if formula is not None:
            again = eval(formula, dict(SCOPE), namespace(inputs))
            if isinstance(value, Vector):
                again = again if isinstance(again, Vector) else Vector([again] * len(value))
                assert list(again) == pytest.approx(list(value), rel=1e-9, abs=1e-30), block
            else:
                assert again == pytest.approx(value, rel=1e-9, abs=1e-30), block
        printed[head[1]] = value
    return printed, sources


ACCELERATORS = circuits.load_designs("accelerators")
CASES = [(design, "ramp") for design in XIAO.values()] + [
    (ACCELERATORS[name], adc)
    for name, adc in (("isaac2016", "sar"), ("timely2020", "ramp"), ("guo2017", "ramp"), ("prime2016", "flash"))
]


@pytest.mark.parametrize(("design", "adc"), CASES, ids=lambda value: getattr(value, "name", value))
def test_every_number_of_the_core_tables_can_be_computed_again(design, adc):
    cost = energy.estimate_core(design, adc=adc)
    table = cost_table([cost]).iloc[0]
    names = [name for name in table.index if name not in ("design", "adc") and not name.endswith(("_low", "_high"))]
    assert len(names) > 20
    for name in names:
        printed, _ = recompute(cost.explain(name).text(depth=20))
        assert printed[name] == pytest.approx(float(table[name]), rel=1e-9), name
    breakdown = cost.breakdown.set_index("component")
    for component, row in breakdown.drop(columns="label").iterrows():
        for column, value in row.items():
            printed, _ = recompute(cost.explain(f"{component}.{column}").text(depth=20))
            assert printed[f"{component}.{column}"] == pytest.approx(value, rel=1e-9, abs=1e-30)


def test_every_constant_behind_the_tables_names_its_source():
    cost = energy.estimate_core(XIAO["E"])
    _, sources = recompute(cost.explain("tops_per_mm2").text(20) + "\n" + cost.explain("energy_fj_per_op").text(20))
    constants = {name: text for name, text in sources.items() if name in cost.library.constants}
    assert len(constants) > 20
    for name, text in constants.items():
        constant = cost.library.constants[name]
        assert constant.source in text
        assert constant.kind in text
    assert "fitted, 95 % interval" in constants["comparator.convert.energy"]


def test_leaves_are_constants_and_given_counts():
    cost = energy.estimate_core(XIAO["B"])
    leaves = {leaf.name for leaf in cost.explain("energy_fj_per_op").leaves()}
    assert leaves <= set(FIELDS) | set(cost.library.constants)
    assert {"comparator.convert.energy", "matrix_rows", "mean_conductance"} <= leaves


@pytest.mark.parametrize(
    ("name", "result"), [("A", "tops_per_w"), ("B", "energy_fj_per_op"), ("E", "area_mm2"), ("E", "latency_ns")]
)
def test_ends_of_intervals_are_quantiles_of_the_printed_formula(name, result):
    """Each of the draws goes through the printed formulas in the evaluator of this file."""
    cost = energy.estimate_core(XIAO[name], seed=4)
    low, high = (cost.explain(f"{result}_{end}") for end in ("low", "high"))
    assert "2.5 % quantile of" in low.text()
    assert "512 draws" in low.text()
    assert low.value == cost.row()[f"{result}_low"]
    assert high.value == cost.row()[f"{result}_high"]
    explained = cost.explain(result)
    again = []
    for draw in range(512):
        values = {}
        for leaf in explained.leaves():
            array = cost.drawn[leaf.name]
            row = array[0, draw if array.shape[1] > 1 else 0]
            values[leaf.name] = float(row[0]) if row.size == 1 else Vector(row.tolist())
        again.append(computed(explained, values))
    assert np.quantile(again, [0.025, 0.975]) == pytest.approx([low.value, high.value], rel=1e-9)


def computed(explained, values):
    """Compute an explanation from its leaves, formula by formula."""
    if explained.name not in values:
        inputs = {entry.name: computed(entry, values) for entry in explained.inputs}
        values[explained.name] = eval(explained.formula, dict(SCOPE), namespace(inputs))
    return values[explained.name]


LAYERS = [
    LayerShape(name="conv", rows=9, columns=16, mvms=676),
    LayerShape(name="depthwise", rows=9, columns=1, mvms=576, groups=300),
    LayerShape(name="dense", rows=2000, columns=300),
]


@pytest.mark.parametrize("name", ["A", "E"])
def test_every_number_of_the_network_tables_can_be_computed_again(name):
    cost = energy.estimate_network(LAYERS, XIAO[name], core_budget=60)
    for formula in NETWORK_FORMULAS:
        printed, _ = recompute(cost.explain(formula.name).text(depth=20))
        assert printed[formula.name] == pytest.approx(cost.totals[formula.name], rel=1e-9)
    for index, layer in enumerate(LAYERS):
        for column in LAYER_COLUMNS:
            text = cost.explain(column, layer.name).text(depth=20)
            printed, _ = recompute(text)
            assert printed[column] == pytest.approx(float(cost.table[column].iloc[index]), rel=1e-9), column


def test_unknown_numbers_are_refused():
    with pytest.raises(EnergyError, match=r"Unknown quantity 'energy_fj_per_ops'\. Did you mean 'energy_fj_per_op'"):
        energy.estimate_core(XIAO["A"]).explain("energy_fj_per_ops")


def test_depth_limits_what_is_printed():
    explained = energy.estimate_core(XIAO["A"]).explain("energy_fj_per_op")
    assert isinstance(explained, Explanation)
    lengths = [len(explained.text(depth).split("\n")) for depth in (1, 2, 3)]
    assert lengths[0] == 5
    assert lengths[0] < lengths[1] < lengths[2]


def test_ends_of_network_intervals_are_quantiles_of_the_core():
    """A layer that fills one core, ten times: its ends are ten times the core's, draw by draw."""
    layer = LayerShape(name="full", rows=1152, columns=256, mvms=10)
    network = energy.estimate_network([layer], XIAO["B"], seed=5)
    core = energy.estimate_core(XIAO["B"], seed=5)
    for end in ("low", "high"):
        explained = network.explain(f"energy_gated_uj_{end}")
        assert explained.value == pytest.approx(10 * core.explain(f"energy_j_per_mvm_{end}").value * 1e6, rel=1e-12)
        assert "% quantile of energy_gated_uj over 512 draws of its constants, seed 5" in explained.text()
        assert "drawn together (calibrated): activity.per_bit" in explained.text()
