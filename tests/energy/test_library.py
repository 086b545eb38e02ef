"""Component libraries: provenance, overrides, scaling and refusals."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import circuits
import devicekit
import energy
from devicekit import Constant, data_path
from devicekit.common.errors import UnitError
from energy.errors import EnergyError
from energy.node_scaling import scale_factor
from energy.priors import load_priors
from energy.uncertainty import draw_constant, draw_constants

A = circuits.load_designs("xiao2022")["A"]
LIBRARY = energy.load_library("sonos_40nm")


def write(tmp_path, text, name="own.toml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


OVERRIDE = """
base = "sonos_40nm"
name = "mine"

[components.comparator.actions.convert]
value = 1.0
unit = "pJ"
kind = "measured"
source = "test chip"
interval = [0.9, 1.1]

[components.buffer]
label = "Input buffer"
instances = "matrix_rows * input_bits"
[components.buffer.area]
value = 1.5
unit = "um2"
kind = "assumed"
source = "test"
[components.buffer.leakage]
value = 2
unit = "nW"
kind = "assumed"
source = "test"
[components.buffer.actions.write]
count = "matrix_rows * input_bits"
value = 3
unit = "fJ"
kind = "assumed"
source = "test"
"""


def test_every_constant_has_unit_kind_and_source_and_fitted_ones_an_interval():
    for name, constant in LIBRARY.constants.items():
        assert constant.source.strip(), name
        assert (constant.unit == "") == (LIBRARY.si_units[name] == ""), name
        if constant.kind == "fitted" and not name.startswith("discrepancy."):
            low, high = constant.interval
            assert low < constant.value < high, name
            assert name in LIBRARY.draws, name


def test_values_are_converted_to_si_once():
    assert LIBRARY.si["cell.i_max"] == pytest.approx(1.6e-6)
    assert LIBRARY.si["timing.input_bit"] == pytest.approx(10e-9)
    convert = LIBRARY.constants["comparator.convert.energy"]
    assert convert.unit == "pJ"
    assert LIBRARY.si["comparator.convert.energy"] == pytest.approx(convert.value * 1e-12)
    assert LIBRARY.si["array.area"] == pytest.approx(LIBRARY.constants["array.area"].value * 1e-12)


def test_a_file_of_ones_own_overrides_and_adds(tmp_path):
    library = energy.load_library(write(tmp_path, OVERRIDE))
    base, own = energy.estimate_core(A), energy.estimate_core(A, library=library)
    before, after = (cost.breakdown.set_index("component") for cost in (base, own))
    assert after.loc["comparator", "energy_pj"] == pytest.approx(256)
    assert after.loc["buffer", "energy_pj"] == pytest.approx(1152 * 8 * 3e-3)
    assert after.loc["buffer", "area_um2"] == pytest.approx(1152 * 8 * 1.5)
    assert own.value("buffer.watts") == pytest.approx(1152 * 8 * 2e-9)
    untouched = [name for name in before.index if name != "comparator"]
    assert after.loc[untouched, "energy_pj"].tolist() == before.loc[untouched, "energy_pj"].tolist()
    assert "comparator.convert.energy" not in library.draws
    assert library.draws["ramp.run.energy"].tolist() == LIBRARY.draws["ramp.run.energy"].tolist()
    assert "test chip" in own.explain("comparator.convert.joules").text()
    swept = energy.estimate_designs(pd.DataFrame({"max_rows": [1152]}), library)
    assert swept["energy_fj_per_op"].iloc[0] == pytest.approx(own.energy_fj_per_op, rel=1e-13)


def test_optional_costs_of_writing(tmp_path):
    entries = "".join(
        f'[cell.{name}]\nvalue = {value}\nunit = "{unit}"\nkind = "assumed"\nsource = "test"\n'
        for name, value, unit in (
            ("write_pulse_energy", 2, "pJ"),
            ("write_pulse_time", 1, "us"),
            ("write_pulses", 10, ""),
            ("cells_written_at_once", 512, ""),
        )
    )
    cost = energy.estimate_core(A, library=write(tmp_path, 'base = "sonos_40nm"\nname = "w"\n' + entries))
    assert cost.value("write_energy_uj") == pytest.approx(589824 * 10 * 2e-12 * 1e6)
    assert cost.row()["write_ms"] == pytest.approx(589824 / 512 * 10 * 1e-6 * 1e3)
    assert "write_ms" not in energy.estimate_core(A).row()


def edited(old, new):
    text = (
        data_path("components/sonos_40nm.toml")
        .read_text(encoding="utf-8")
        .replace('draws = "sonos_40nm_draws.csv"\n', "")
    )
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "value = 2.60847",
            "value = -2.60847",
            r"`comparator.convert.energy`: interval .* does not hold the value -2.60847",
        ),
        ("interval = [5, 20]", "interval = [-5, 20]", "`timing.settling` to be at least 0, but got -5 ns"),
        ('unit = "uA"', 'unit = "uV"', "cell.i_max to be a quantity in A"),
        ('unit = "uA"', 'unit = "uAmpp"', "cell.i_max to be a quantity in A"),
        ('unit = "uA"', 'unit = ""', "`cell.i_max` to have a unit of A, but got ''"),
        ('kind = "published"', 'kind = "guessed"', r"`cell.i_max.kind`: Input should be 'measured'"),
        ("[timing.settling]", "[timming.settling]", r"Unknown key 'timming'\. Did you mean 'timing'"),
        ("[cell.i_max]", "[cell.imax]", r"\[cell\]: Unknown key 'imax'\. Did you mean 'i_max'"),
        ('instances = "cells"', 'instances = "cels"', "reads 'cels', which no count or constant defines"),
        ('instances = "cells"', 'instances = "cells("', "not an arithmetic expression"),
        ("node_nm = 40", "node_nm = 0", "`node_nm` to be a number above 0, but got 0"),
        ('node_scaling = "none"', 'node_scaling = "linear"', "Unknown node_scaling 'linear'"),
        ('technology = "sonos_40nm"', "technology = 40", "a text `technology`, but got 40"),
        ('name = "sonos_40nm"', 'name = "x"\ndraws = "gone.csv"', "no such file 'gone.csv'"),
        ('name = "sonos_40nm"', "name = ", "not a TOML file"),
    ],
)
def test_an_impossible_library_gets_one_error(tmp_path, old, new, message):
    with pytest.raises(EnergyError, match=message) as caught:
        energy.load_library(write(tmp_path, edited(old, new)))
    assert "own.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("comparator", "comparater", r"Unknown component 'comparater'\. Did you mean 'comparator'.* needs `instances`"),
        ("convert", "convrt", r"Unknown action 'convrt'\. Did you mean 'convert'.* A new action needs `count`"),
        ("1.0\n", "-1.0\n", "`comparator.convert.energy`: interval .* does not hold the value -1"),
        ('"pJ"', '"pJoules"', "comparator.convert.energy to be a quantity in J"),
        ('"measured"', '"guessed"', "`comparator.convert.energy.kind`: Input should be 'measured'"),
    ],
)
def test_a_misspelt_override_gets_one_error(tmp_path, old, new, message):
    assert old in OVERRIDE
    with pytest.raises(EnergyError, match=message) as caught:
        energy.load_library(write(tmp_path, OVERRIDE.replace(old, new, 1)))
    assert "own.toml" in str(caught.value)


def test_unknown_libraries_are_refused(tmp_path):
    with pytest.raises(EnergyError, match=r"Unknown component library or file 'sonos_40'\. Did you mean 'sonos_40nm'"):
        energy.load_library("sonos_40")
    with pytest.raises(EnergyError, match="`base`: Unknown component library 'sonos'"):
        energy.load_library(write(tmp_path, 'base = "sonos"\n'))
    with pytest.raises(EnergyError, match=r"expected a table \[components.NAME\]"):
        energy.load_library(write(tmp_path, 'name = "x"\ntechnology = "x"\nnode_nm = 40\nvdd = 1\n'))


def test_another_node_is_refused_where_nothing_is_known(tmp_path):
    with pytest.raises(EnergyError, match=r"no scaling data from 40 nm to 28 nm for cell.i_max, .* more\."):
        energy.load_library(write(tmp_path, 'base = "sonos_40nm"\nname = "x"\nnode_nm = 28\n'))


def test_digital_circuits_follow_the_supply(tmp_path):
    library = energy.load_library(write(tmp_path, 'base = "sonos_40nm"\nname = "x"\nvdd = 0.7\n'))
    factor = library.si["digital.bit_operation"] / LIBRARY.si["digital.bit_operation"]
    assert 0.5 < factor < 0.8
    assert factor == pytest.approx(scale_factor("digital_energy", 40, 40, 0.9, 0.7))
    assert "scaled from 40 nm, 0.9 V to 40 nm, 0.7 V" in library.constants["digital.bit_operation"].source
    assert library.si["integrator.integrate.energy"] == LIBRARY.si["integrator.integrate.energy"]
    assert library.draws["digital.bit_operation"] == pytest.approx(LIBRARY.draws["digital.bit_operation"] * factor)


def test_scaling_reproduces_the_published_tables():
    assert scale_factor("digital_area", 45, 32, 1, 1) == pytest.approx(0.46)
    assert scale_factor("digital_area", 45, 130, 1, 1) == pytest.approx(6.4)
    assert scale_factor("digital_energy", 65, 7, 1, 1) == pytest.approx(
        (0.1776 - 0.09097 + 0.02447) / (3.755 - 4.398 + 1.975)
    )
    assert scale_factor("none", 65, 7, 1, 2) == 1
    with pytest.raises(EnergyError, match="known from 7 to 130 nm, but got 180 nm"):
        scale_factor("digital_energy", 40, 180, 1, 1)


@given(there=st.floats(7, 130), back=st.floats(7, 130), scaling=st.sampled_from(["digital_energy", "digital_area"]))
def test_scaling_there_and_back_is_one(there, back, scaling):
    assert scale_factor(scaling, there, back, 0.9, 0.8) * scale_factor(scaling, back, there, 0.8, 0.9) == pytest.approx(
        1
    )


def test_draws_have_the_value_as_median_and_the_interval_as_quantiles():
    constant = LIBRARY.constants["survey.energy_spread"]
    drawn = draw_constant(constant, np.random.default_rng(0), 200_000)
    low, middle, high = np.quantile(drawn, [0.025, 0.5, 0.975])
    assert middle == pytest.approx(constant.value, rel=0.02)
    assert [low, high] == pytest.approx(list(constant.interval), rel=0.05)
    assert (
        draw_constants(LIBRARY, seed=1)["timing.settling"].tolist()
        == draw_constants(LIBRARY, seed=1)["timing.settling"].tolist()
    )


def test_the_spread_of_the_survey_is_that_of_its_sample():
    c = LIBRARY.si
    sample = pd.read_csv(data_path("published/adc_survey_sample.csv"), comment="#")
    assert len(sample) == 63
    sample = sample[sample["node_nm"] <= 65]
    bits = np.maximum(sample["effective_bits"], c["survey.lowest_bits"])
    fom = np.minimum(
        c["survey.fom_intercept_db"] + c["survey.fom_per_bit_db"] * bits,
        c["survey.fom_rate_intercept_db"] + c["survey.fom_per_log_rate_db"] * np.log(sample["rate_hz"]),
    )
    picojoules = (
        0.5
        * 10 ** ((6.0206 * bits + 1.7609 - fom) / 10)
        * np.exp(
            c["survey.energy_intercept"]
            + c["survey.energy_per_log_node"] * np.log(sample["node_nm"])
            + c["survey.energy_per_log_bits"] * np.log(bits)
        )
    )
    square_microns = np.exp(
        c["survey.area_intercept"]
        + c["survey.area_per_log_node"] * np.log(sample["node_nm"])
        + c["survey.area_per_log_rate"] * np.log(sample["rate_hz"])
        + c["survey.area_per_log_energy"] * np.log(sample["energy_pj"])
    )
    for ratio, name in ((sample["energy_pj"] / picojoules, "energy"), (sample["area_um2"] / square_microns, "area")):
        ends = np.exp(np.log(ratio).quantile([0.025, 0.975]))
        assert list(ends) == pytest.approx(list(LIBRARY.constants[f"survey.{name}_spread"].interval), rel=0.03)


def test_constants_may_be_replaced_with_their_provenance():
    own = Constant(value=2.0, unit="fJ", kind="measured", source="our chip", interval=(1.0, 3.0))
    library = LIBRARY.with_constants({"ramp.run.energy": own})
    assert library.si["ramp.run.energy"] == pytest.approx(2e-15)
    assert library.si_interval("ramp.run.energy") == pytest.approx((1e-15, 3e-15))
    assert set(LIBRARY.draws) - set(library.draws) == {"ramp.run.energy"}
    again = eval(library.recipe, {"energy": energy, "devicekit": devicekit})
    assert again.constants == library.constants
    with pytest.raises(EnergyError, match=r"Unknown constant 'ramp.walk'"):
        LIBRARY.with_constants({"ramp.walk": own})
    with pytest.raises(EnergyError, match=r"`ramp.run.energy` to be at least 0, but got -1"):
        LIBRARY.with_constants({"ramp.run.energy": own.model_copy(update={"value": 2.0, "interval": (-1.0, 3.0)})})
    with pytest.raises(UnitError, match=r"ramp.run.energy"):
        LIBRARY.with_constants({"ramp.run.energy": own.model_copy(update={"unit": "ns"})})


def test_priors_are_checked(tmp_path):
    entry = '[priors."ramp.run.energy"]\ninterval = {}\nunit = "pJ"\nsource = "test"\n'
    good = load_priors(LIBRARY, write(tmp_path, entry.format("[1, 4]")))["ramp.run.energy"]
    assert good.median == pytest.approx(2e-12)
    assert good.value(good.coordinate(np.array([3e-12]))) == pytest.approx([3e-12])
    for text, message in (
        (entry.format("[4, 1]"), r"interval of 0 < low < high, but got \[4, 1\]"),
        (entry.format("[0, 1]"), "0 < low < high"),
        (entry.format("[1]"), "expected interval"),
        (entry.replace("ramp.run", "ramp.walk").format("[1, 4]"), "Unknown constant 'ramp.walk.energy'"),
        ("", "expected a table"),
        ("x = ", "not a TOML file"),
    ):
        with pytest.raises(EnergyError, match=message):
            load_priors(LIBRARY, write(tmp_path, text))
    with pytest.raises(EnergyError, match="No file of priors"):
        load_priors(LIBRARY, tmp_path / "none.toml")


PCM = """base = "sonos_40nm"
name = "pcm"
technology = "pcm_90nm"
"""


def own_cell(value):
    return "".join(
        f'[cell.{name}]\nvalue = {value}\nunit = "{unit}"\nkind = "measured"\nsource = "test"\n'
        for name, value, unit in (("i_max", 5, "uA"), ("read_voltage", value, "V"), ("off_on_ratio", 0.01, ""))
    )


def test_a_library_changes_another_file_of_its_folder(tmp_path):
    """What the first changes, the second takes over: as if one file held both."""
    settling = '[timing.settling]\nvalue = {}\nunit = "ns"\nkind = "assumed"\nsource = "{}"\n'
    extra = '[components.extra]\ninstances = "arrays"\n[components.extra.area]\nvalue = 5\nunit = "um2"\n'
    extra += 'kind = "assumed"\nsource = "x"\n'
    (tmp_path / "first.toml").write_text('base = "sonos_40nm"\nname = "first"\n' + settling.format(12, "first") + extra)
    second = tmp_path / "second.toml"
    own = '[cell.i_max]\nvalue = 2\nunit = "uA"\nkind = "measured"\nsource = "second"\n'
    second.write_text('base = "first.toml"\nname = "second"\n' + own)
    both = tmp_path / "alone" / "second.toml"
    both.parent.mkdir()
    both.write_text('base = "sonos_40nm"\nname = "second"\n' + settling.format(12, "first") + extra + own)
    one, other = energy.load_library(second), energy.load_library(both)
    assert (one.constants, one.si, one.components) == (other.constants, other.si, other.components)
    assert {name: list(draw) for name, draw in one.draws.items()} == {
        name: list(draw) for name, draw in other.draws.items()
    }
    assert energy.estimate_core(A, library=one).row() == energy.estimate_core(A, library=other).row()
    # The base is read anew where it changes.
    (tmp_path / "first.toml").write_text('base = "sonos_40nm"\nname = "first"\n' + settling.format(40, "later"))
    assert energy.load_library(second).constants["timing.settling"].value == 40
    for base, message in (
        ("second.toml", r"in a circle: second\.toml -> second\.toml"),
        ("../x.toml", "a bundled name or a file in its own folder"),
        ("third.toml", "Unknown component library 'third.toml'"),
    ):
        second.write_text(f'base = "{base}"\nname = "second"\n')
        with pytest.raises(EnergyError, match=message):
            energy.load_library(second)


def test_a_library_of_another_technology_says_what_it_borrows(tmp_path):
    """One line that names another technology must not pass fitted constants of SONOS cores off as its own."""
    with pytest.raises(
        EnergyError, match=r"the cell may not\. Give cell\.i_max, cell\.read_voltage, cell\.off_on_ratio"
    ):
        energy.load_library(write(tmp_path, PCM))
    library = energy.load_library(write(tmp_path, PCM + own_cell(0.2)))
    assert (library.technology, library.borrowed) == ("pcm_90nm", "sonos_40nm")
    constant = library.constants["comparator.convert.energy"]
    assert constant.kind == "assumed"
    assert constant.source.startswith("borrowed from sonos_40nm, for cells of sonos_40nm: fitted to the published")
    assert library.constants["cell.i_max"].kind == "measured"
    assert {constant.kind for name, constant in library.constants.items() if name.startswith("comparator.")} == {
        "assumed"
    }
    cost = energy.estimate_core(A, library=library)
    assert cost.row()["energy_basis"] == cost.row()["area_basis"] == "predicted"
    low, high = cost.interval_of("energy_fj_per_op")
    assert high / low > 1.5, "the structural error of a core that was calibrated to nothing"
    assert LIBRARY.borrowed == ""


@pytest.mark.parametrize("name", ["activity.mean_magnitude", "activity.per_bit"])
def test_a_constant_that_every_core_needs_is_missed_by_name(name: str, tmp_path: Path) -> None:
    """The statistics are read while the file is: without one, that was a KeyError."""
    text = data_path("components/sonos_40nm.toml").read_text()
    assert f"[{name}]" in text
    path = tmp_path / "own.toml"
    path.write_text(text.replace(f"[{name}]", f"[{name.split('.')[0]}.other]").replace("draws =", "# draws ="))
    with pytest.raises(EnergyError, match=re.escape(name)):
        energy.estimate_core(circuits.load_design("A"), library=energy.load_library(path))
