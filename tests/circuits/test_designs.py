"""Core designs: the published table, how the derived quantities follow, and what impossible designs are told."""

import csv
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import circuits
from circuits import CoreDesign, load_design, load_designs, split_rows
from devicekit.common.errors import DesignError

TABLE = {
    # Xiao et al. 2022, Table 3: slices, partitions, B_out as published; conversions and cells by hand.
    "A": (1, 1, 26.2, 256, 2 * 1152 * 256),
    "B": (8, 1, 20.2, 256 * 8, 2 * 8 * 1152 * 256),
    "C": (1, 8, 23.2, 256 * 8, 2 * 1152 * 256),
    "D": (1, 1, 18.2, 256 * 8, 2 * 1152 * 256),
    "E": (4, 16, 8.2, 256 * 8 * 4 * 16, 4 * 1152 * 256),
}


@pytest.mark.parametrize("name", TABLE)
def test_reference_designs(name):
    slices, partitions, b_out, conversions, cells = TABLE[name]
    design = load_design(name)
    assert (design.slices, design.partitions) == (slices, partitions)
    assert round(design.b_out, 1) == b_out
    assert design.conversions_per_mvm == conversions
    assert design.cells == cells
    assert design.adc_bits == 8
    assert not design.full_precision, "8 bits are below the guarantee in every one of them"
    assert design.name == name


def test_guarantee_is_the_ceiling_of_b_out_and_one_less_when_flipped():
    isaac = load_design("isaac2016")
    assert isaac.flipped_encoding
    assert (isaac.b_out, isaac.full_precision_bits, isaac.full_precision) == (9.0, 8, True)
    puma = load_design("puma2019")
    assert (puma.b_out, puma.full_precision_bits, puma.full_precision) == (9.0, 9, False)


@pytest.mark.parametrize(
    ("fields", "slices"),
    [
        ({"negative_weights": "differential", "weight_bits": 8, "bits_per_cell": 7}, 1),
        ({"negative_weights": "differential", "weight_bits": 8, "bits_per_cell": 4}, 2),
        ({"negative_weights": "differential", "weight_bits": 8, "bits_per_cell": 3}, 3),
        ({"negative_weights": "column_sign", "weight_bits": 8, "bits_per_cell": 2}, 4),
        ({"negative_weights": "offset", "weight_bits": 8, "bits_per_cell": 8}, 1),
        ({"negative_weights": "offset", "weight_bits": 8, "bits_per_cell": 3}, 3),
        ({"negative_weights": "offset_unit_column", "weight_bits": 4, "bits_per_cell": 2}, 2),
        ({"negative_weights": "twos_complement", "weight_bits": 8, "bits_per_cell": 1}, 8),
        ({"negative_weights": "twos_complement", "weight_bits": 8, "bits_per_cell": 2}, 5),
        ({"negative_weights": "ones_complement", "weight_bits": 8, "bits_per_cell": 7}, 2),
    ],
)
def test_slices(fields, slices):
    assert CoreDesign(**fields).slices == slices


def test_unsliced_is_what_no_bits_per_cell_means():
    assert CoreDesign(weight_bits=6).bits_per_cell == 5
    assert CoreDesign(weight_bits=6, negative_weights="offset").bits_per_cell == 6


def test_digital_subtraction_doubles_conversions_and_loses_the_sign_bit():
    analog, digital = CoreDesign(), CoreDesign(subtraction="digital")
    assert digital.conversions_per_mvm == 2 * analog.conversions_per_mvm
    assert analog.b_out - digital.b_out == 1
    assert analog.symmetric_adc()
    assert not digital.symmetric_adc()
    assert digital.symmetric_adc(signed_inputs=True)


def test_unit_column_is_a_column_of_cells_and_conversions():
    plain = CoreDesign(negative_weights="offset", bits_per_cell=4, max_rows=288)
    unit = plain.replace(negative_weights="offset_unit_column")
    assert unit.cells - plain.cells == unit.slices * unit.matrix_rows
    assert unit.conversions_per_mvm - plain.conversions_per_mvm == unit.slices * unit.partitions


def test_no_adc_no_conversions():
    design = CoreDesign(adc_bits=None)
    assert design.conversions_per_mvm == 0
    assert design.adc_bits_per_slice == ()
    assert not design.full_precision


def test_input_bits_and_accumulator_in_b_out():
    assert CoreDesign(accumulator_bits=5).b_out == CoreDesign().b_out - 3
    assert CoreDesign(input_bits=4).b_out == CoreDesign().b_out - 4
    four = CoreDesign(bits_per_input_slice=4, input_accumulation="digital")
    assert (four.input_slices, four.conversions_per_mvm) == (2, 512)
    assert four.b_out == pytest.approx(8 + 4 + math.log2(1152))
    assert math.isinf(CoreDesign(input_bits=None).b_out)
    assert CoreDesign(input_bits=None).full_precision_bits == math.inf
    # One bit of weight (offset, 1 bit a cell) or of input: the product needs no further bit.
    assert CoreDesign(negative_weights="offset", bits_per_cell=1).b_out == pytest.approx(1 + 8 + math.log2(1152) - 1)


def test_splitting_of_rows():
    assert split_rows(290, 128) == (97, 97, 96)
    assert split_rows(1152, 144) == (144,) * 8
    assert split_rows(5, 100) == (5,)
    with pytest.raises(DesignError, match="at least 1, but got 0 and 4"):
        split_rows(0, 4)


@given(rows=st.integers(1, 5000), max_rows=st.integers(1, 2000))
def test_parts_are_even_complete_and_as_few_as_possible(rows, max_rows):
    parts = split_rows(rows, max_rows)
    assert sum(parts) == rows
    assert max(parts) <= max_rows
    assert max(parts) - min(parts) <= 1
    assert list(parts) == sorted(parts, reverse=True)
    assert len(parts) == math.ceil(rows / max_rows)
    design = CoreDesign(matrix_rows=rows, max_rows=max_rows)
    assert (design.partitions, design.rows_per_array) == (len(parts), parts[0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bits_per_cell": 0}, "expected `bits_per_cell` to be an integer of at least 1 or none, but got 0"),
        ({"max_rows": 0}, "expected `max_rows` to be an integer of at least 1, but got 0"),
        ({"adc_bits": -1}, r"expected `adc_bits` to be none, or from 1 to 24 .*, but got -1"),
        ({"adc_bits": 8.0}, r"expected `adc_bits` to be none, or from 1 to 24 .*, but got 8\.0"),
        ({"adc_bits": (8, 8)}, "one number for each of the 1 weight slices"),
        (
            {"bits_per_cell": 8},
            "at most 7, the bits that 8-bit weights leave to a cell in differential form, but got 8",
        ),
        ({"weight_bits": 1}, "expected `weight_bits` to be from 2 to 16, but got 1"),
        ({"weight_bits": True}, "expected `weight_bits` to be an integer of at least 1, but got True"),
        ({"input_bits": 17}, "expected `input_bits` to be at most 16"),
        ({"bits_per_input_slice": 9}, "at most `input_bits` = 8, but got 9"),
        ({"negative_weights": "differental"}, "Unknown `negative_weights` 'differental'. Did you mean 'differential'"),
        ({"flipped_encoding": True}, "`flipped_encoding` to be false with differential cells"),
        ({"flipped_encoding": 1, "negative_weights": "offset"}, "`flipped_encoding` to be true or false, but got 1"),
        ({"subtraction": "digital", "negative_weights": "offset"}, "`subtraction` to be 'analog' where .* offset"),
        (
            {"input_bits": None, "input_accumulation": "digital"},
            "`input_accumulation` to be 'analog' where `input_bits`",
        ),
        ({"accumulator_bits": 6, "input_accumulation": "digital"}, "`accumulator_bits` to be none where inputs"),
        ({"r_p_hat": -1e-5}, "expected `r_p_hat` to be a finite number of at least 0, but got -1e-05"),
        ({"r_p_hat": math.inf}, "expected `r_p_hat` to be a finite number of at least 0, but got inf"),
        ({"matrix_rows": 10**400}, "expected `matrix_rows` to be at most 1000000000, but got 1000"),
        ({"r_p_hat": 1e151}, "expected `r_p_hat` to be at most 1e\\+15, but got 1e\\+151"),
        ({"r_p_hat": "1e-5"}, "expected `r_p_hat` to be a number of at least 0, but got '1e-5'"),
        ({"r_p_hat": 1e-5, "input_encoding": "voltage"}, "bit-line resistance is defined for gated cells only"),
        ({"r_p_hat": 1e-5, "bits_per_input_slice": 2}, "applied one bit at a time or by pulse width"),
        ({"name": ""}, "Expected `name` of a design to be a non-empty text"),
    ],
)
def test_impossible_designs(fields, message):
    with pytest.raises(DesignError, match=message):
        CoreDesign(**fields)


def test_replace_validates_again_and_knows_misspelt_fields():
    design = load_design("A")
    assert design.replace(max_rows=128).partitions == 9
    assert CoreDesign(**design.to_mapping()) == design
    with pytest.raises(DesignError, match=r"Unknown field 'max_row'\. Did you mean 'max_rows'"):
        design.replace(max_row=128)
    with pytest.raises(DesignError, match="but got 0"):
        design.replace(max_rows=0)


def test_published_accelerators_are_as_recorded():
    designs = load_designs("accelerators")
    notes = circuits.design_notes("accelerators")
    with (Path(__file__).parent.parent / "reference" / "published_accelerators.csv").open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    assert {row["accelerator"] for row in rows} == set(designs)
    for row in rows:
        design = designs[row["accelerator"]]
        assert design.negative_weights == (row["negative_weights"] or "differential")
        assert design.max_rows == int(row["rows_per_mvm"])
        most = design.weight_code.magnitude_bits(design.weight_bits)
        assert design.bits_per_cell == (int(row["bits_per_cell"]) if row["bits_per_cell"] else most)
        assert design.adc_bits == (None if row["adc_bits"] == "analog" else int(row["adc_bits"]))
        assert design.bits_per_input_slice == int(row["dac_bits"])
        assert design.flipped_encoding == ("flipped" in row["source"])
        own = notes[row["accelerator"]]
        assert own["full_precision_published"] == (row["full_precision_guarantee"] == "yes")
        assert "weight_bits" in own["assumed"]
        assert ("negative_weights" in own["assumed"]) == (not row["negative_weights"])


def test_files_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[defaults]\nmax_rows = 64\n[designs.small]\nadc_bits = "none"\n[designs.tall]\nmax_rows = 512\n')
    designs = load_designs(path)
    assert designs["small"].adc_bits is None
    assert [design.max_rows for design in designs.values()] == [64, 512]
    assert load_design(f"{path}:tall") == designs["tall"]
    with pytest.raises(DesignError, match=r"mine\.toml: Unknown design 'taller'\. Did you mean 'tall'"):
        load_design(f"{path}:taller")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[designs", r"mine\.toml: not a TOML file"),
        ("max_rows = 3", r"mine\.toml: expected a table \[designs\.NAME\] for each design"),
        ("[designs]\nx = 3", r"mine\.toml: expected \[designs\.x\] to be a table, but got 3"),
        ("defaults = 3\n[designs.x]\nmax_rows = 8", r"mine\.toml: expected \[defaults\] to be a table, but got 3"),
        ("[designs.x]\nmax_rows = 0", r"mine\.toml: Design 'x': expected `max_rows`"),
        ("[designs.x]\nadc_bit = 8", r"mine\.toml: Design 'x': Unknown field 'adc_bit'\. Did you mean 'adc_bits'"),
    ],
)
def test_bad_files(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(DesignError, match=message):
        load_designs(path)


def test_unknown_names():
    with pytest.raises(DesignError, match=r"Unknown design 'isac2016'\. Did you mean 'isaac2016'.*FILE:NAME"):
        load_design("isac2016")
    with pytest.raises(DesignError, match=r"Unknown design set or file 'xiao2021'\. Did you mean 'xiao2022'"):
        load_designs("xiao2021")


def test_activity_and_layer_shape():
    activity = circuits.Activity([0.1, 0.2], [0.5] * 8)
    assert activity.mean_conductance.shape == (2,)
    with pytest.raises(ValueError, match="read-only"):
        activity.mean_conductance[0] = 1
    for bad in ([], [1.5], [-0.1], [math.nan], [[0.1]]):
        with pytest.raises(DesignError, match=r"`mean_conductance` of an Activity to be numbers in 0\.\.1"):
            circuits.Activity(bad, [0.5])
    shape = circuits.LayerShape(name="conv", rows=147, columns=64, mvms=12544, groups=2)
    assert (shape.weights, shape.macs) == (147 * 64 * 2, 147 * 64 * 2 * 12544)
    with pytest.raises(DesignError, match="Layer 'conv': expected `rows` to be an integer of at least 1, got 0"):
        circuits.LayerShape(name="conv", rows=0, columns=1)


def test_unsliced_weights_stay_in_one_cell_when_their_form_or_bits_change():
    design = CoreDesign()
    assert design.replace(negative_weights="offset") == CoreDesign(negative_weights="offset")
    assert design.replace(weight_bits=4) == CoreDesign(weight_bits=4)
    assert design.replace(negative_weights="offset", bits_per_cell=7).slices == 2
    sliced = CoreDesign(weight_bits=9, bits_per_cell=2)
    assert sliced.replace(negative_weights="offset").bits_per_cell == 2
    assert design.replace(max_rows=72).bits_per_cell == 7
