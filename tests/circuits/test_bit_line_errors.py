"""The error map and its envelope: scaling laws, known figures, and the figure itself."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import circuits
from circuits.bit_line.figure import plot_envelope
from circuits.bit_line.line_errors import BitLinePoint, bit_line_errors, envelope, error_map
from devicekit import data_path
from reports.command import build_app

SMALL = {"columns": 4, "patterns": 16}


def by_model(frame):
    return frame.set_index("model")


def test_known_place():
    """1152 rows, R_p_hat 1e-5, mean conductance 2 %, half on: the resistor is wrong by a tenth of the current."""
    errors = by_model(bit_line_errors(BitLinePoint(1152, 1e-5), **SMALL))
    assert 0.09 < errors.line_error["resistor"] < 0.12
    assert errors.error_lsb["resistor"] > 10
    assert -0.015 < errors.line_error["affine"] < 0
    assert errors.error_lsb["affine"] < errors.error_lsb["resistor"] / 5
    assert errors.error_lsb["relinearised"] < 0.05
    dense = by_model(bit_line_errors(BitLinePoint(1152, 1e-5, mean_conductance=0.5, pairing="offset"), **SMALL))
    assert 0.3 < dense.line_error["resistor"] < 0.6


def test_small_losses_grow_with_resistance_and_with_the_square_of_rows():
    """First order: the voltage at a row is R_p times the currents below it, so the loss goes as R_p N^2 g."""

    def loss(rows, r_p_hat, conductance):
        point = BitLinePoint(rows, r_p_hat, mean_conductance=conductance)
        frame = bit_line_errors(point, models=["resistor"], columns=64, patterns=16)
        return frame.loss[0]

    base = loss(200, 1e-7, 0.02)
    assert loss(200, 1e-6, 0.02) / base == pytest.approx(10, rel=0.01)
    assert loss(400, 1e-7, 0.02) / base == pytest.approx(4, rel=0.05)
    assert loss(200, 1e-7, 0.08) / base == pytest.approx(4, rel=0.05)


def test_removing_the_gain_never_hurts_in_the_mean_square():
    errors = error_map((72, 288), (1e-5, 1e-4), (0.5,), (0.02,), **SMALL)
    weighted = errors.groupby("model")[["error_rms_lsb", "error_rms_lsb_gain_removed"]].mean()
    assert (weighted.error_rms_lsb_gain_removed <= weighted.error_rms_lsb).all()
    largest = errors.pivot(index=["rows", "r_p_hat"], columns="model", values="error_lsb")
    assert (largest["relinearised"] < largest["affine"]).all()
    assert (largest["affine"] < largest["resistor"] / 5).all()


def test_a_given_range_scales_the_error():
    point = BitLinePoint(144, 1e-4)
    half, full = (
        bit_line_errors(point, models=["resistor"], adc_range=top, **SMALL).error_lsb[0] for top in (2.0, 4.0)
    )
    assert half == pytest.approx(2 * full, rel=1e-12)
    nine = bit_line_errors(point, models=["resistor"], adc_range=4.0, adc_bits=9, **SMALL).error_lsb[0]
    assert nine / full == pytest.approx(510 / 254, rel=1e-12)


def test_envelope_finds_the_crossing_of_a_power_law():
    rows = np.array([100, 200, 400, 800])
    frame = pd.DataFrame(
        {"rows": rows, "r_p_hat": 1e-5, "activity": 0.5, "mean_conductance": 0.02, "pairing": "differential"}
        | {"model": "resistor", "error_lsb": 0.5 * (rows / 300) ** 2, "error_lsb_gain_removed": 1e-3}
    )
    found = envelope(frame).iloc[0]
    assert found.max_rows in (299, 300)
    assert np.isinf(found.max_rows_gain_removed)
    assert envelope(frame, limit_lsb=0.01).iloc[0].max_rows == 0


def test_same_seed_same_map():
    point = BitLinePoint(72, 1e-4)
    first, second = (bit_line_errors(point, seed=5, **SMALL) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert bit_line_errors(point, seed=6, **SMALL).error_lsb[0] != first.error_lsb[0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"r_p_hat": -1e-5}, "`r_p_hat` to be finite and at least 0, but got -1e-05"),
        ({"r_p_hat": float("nan")}, "`r_p_hat` to be finite and at least 0, but got nan"),
        ({"rows": 0}, "`rows` to be an integer of at least 1, but got 0"),
        ({"activity": 0.0}, r"`activity` to be above 0 and at most 1, but got 0\.0"),
        ({"mean_conductance": 0.5}, r"`mean_conductance` above 0 and below 0\.5 for differential cells, but got 0\.5"),
        ({"pairing": "ofset"}, r"Unknown `pairing` 'ofset'\. Did you mean 'offset'"),
    ],
)
def test_impossible_points(fields, message):
    with pytest.raises(circuits.CircuitError, match=message):
        BitLinePoint(**{"rows": 10, "r_p_hat": 1e-5} | fields)


def test_an_adc_without_steps_or_range_is_refused():
    point = BitLinePoint(10, 1e-5)
    with pytest.raises(circuits.CircuitError, match="`adc_bits` of at least 2 for differential cells, but got 1"):
        bit_line_errors(point, adc_bits=1, **SMALL)
    assert len(bit_line_errors(BitLinePoint(10, 1e-5, 0.5, 0.3, "offset"), adc_bits=1, **SMALL)) == 4
    for bad in (0.0, -3.0, float("nan")):
        with pytest.raises(circuits.CircuitError, match="`adc_range` to be finite and above 0, but got"):
            bit_line_errors(point, adc_range=bad, **SMALL)
    with pytest.raises(circuits.CircuitError, match=r"limit of the envelope to be above 0 LSB, but got -1\.0"):
        envelope(bit_line_errors(point, **SMALL), -1.0)


def test_the_place_of_a_layer():
    design = circuits.load_design("C").replace(r_p_hat=2e-5)
    activity = circuits.Activity([0.01, 0.03], [0.2, 0.5, 0.1])
    assert BitLinePoint.of(design, activity, rows=290) == BitLinePoint(
        97, 2e-5, 0.5, 0.03, columns=design.matrix_columns
    )
    assert BitLinePoint.of(design, activity).rows == design.rows_per_array
    offset = circuits.load_design("E")
    assert BitLinePoint.of(offset, circuits.Activity([1.0], [0.5])).pairing == "offset"
    silent = BitLinePoint.of(design, circuits.Activity([0.0], [0.0]))
    assert circuits.expected_error_lsb(silent) < 1e-6


def test_unknown_model():
    with pytest.raises(circuits.CircuitError, match=r"Unknown bit-line model 'afine'\. Did you mean 'affine'"):
        bit_line_errors(BitLinePoint(10, 1e-5), models=["afine"])


def test_figure_draws_every_model_in_every_panel():
    errors = error_map((36, 72), (1e-5, 1e-3), (0.2, 0.5), (0.02,), **SMALL)
    figure, axes = plot_envelope(errors)
    assert axes.shape == (2, 1)
    figure.canvas.draw()
    for panel in axes.flat:
        lines = [line for line in panel.lines if line.get_linestyle() != "None"]
        assert len(lines) == 4
        assert all(np.isfinite(line.get_ydata()).all() for line in lines)


def test_a_subcircuit_in_a_section_of_a_library_that_includes_another_file(ngspice, tmp_path):
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "nmos.lib").write_text(data_path("circuits/example_nmos.lib").read_text())
    inner = "m1 d g s b example_nmos w=1u l=200n"
    library = tmp_path / "foundry.lib"
    library.write_text(f'.lib tt\n.include "cards/nmos.lib"\n.subckt memory d g s b\n{inner}\n.ends\n.endl tt\n')
    options = ["--rows", "36,72", "--r-p-hat", "1e-4", "--columns", "2", "--patterns", "4", "--mean-conductance", "0.1"]
    wrapped = invoke(
        *["--cell", str(library), "--card", "memory", "--section", "tt", "--subcircuit", "--instance", ""],
        *[*options, "--json"],
    )
    assert wrapped.exit_code == 0, wrapped.stderr
    card = ["--cell", str(data_path("circuits/example_nmos.lib")), "--card", "example_nmos"]
    plain = json.loads(invoke(*card, *options, "--json").stdout)
    found = [row["error_lsb"] for row in json.loads(wrapped.stdout)["errors"]]
    assert found == pytest.approx([row["error_lsb"] for row in plain["errors"]], rel=1e-4, abs=1e-6)
    missing = invoke("--cell", str(library), "--card", "memory", "--section", "ff", "--subcircuit", *options)
    assert missing.exit_code == 2
    assert "Unknown section 'ff'" in missing.stderr


@pytest.mark.parametrize(
    ("card", "line"),
    [
        ("nope", r"bad\.lib: Unknown model card or subcircuit 'nope'\. Did you mean 'other'"),
        ("broken", r"bad\.lib:1: Unknown type of model 'nmoss'"),
    ],
)
def test_a_bad_card_is_one_message(ngspice, tmp_path, card, line):
    library = tmp_path / "bad.lib"
    library.write_text(f".model {card} nmoss level=54\n" if card == "broken" else ".model other nmos level=54\n")
    options = ["--rows", "8", "--r-p-hat", "1e-4", "--columns", "1", "--patterns", "2", "--mean-conductance", "0.1"]
    result = invoke("--cell", str(library), "--card", card, *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.search(line, " ".join(result.stderr.split()), re.IGNORECASE), result.stderr
    assert invoke(*options).exit_code == 0, "and the next run works"


def invoke(*arguments):
    return CliRunner().invoke(build_app("bitline"), ["bitline", *arguments])


def test_command_writes_tables_and_figures(tmp_path, monkeypatch):
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", "/nowhere/libngspice.so")
    options = ["--rows", "36,72", "--r-p-hat", "1e-4", "--columns", "2", "--patterns", "4", "--mean-conductance", "0.1"]
    result = invoke(*options, "--json", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["confirmation"]["recorded"]
    assert {row["model"] for row in document["envelope"]} == {"ideal", "resistor", "affine", "relinearised"}
    assert {path.name for path in tmp_path.iterdir()} == {
        "errors.csv",
        "envelope.csv",
        "envelope.png",
        "envelope_gain_removed.png",
    }
    table = pd.read_csv(tmp_path / "errors.csv")
    assert list(table["error_lsb"]) == pytest.approx([row["error_lsb"] for row in document["errors"]], rel=1e-12)
    text = invoke(*options)
    assert text.exit_code == 0
    assert "recorded earlier, ngspice is absent here" in text.stderr
    assert {row["transistor"] for row in document["envelope"]} == {"sonos_cell (EKV)", "BSIM4, recorded"}
    assert "BSIM4, recorded" in text.stdout, "the built-in MOSFET stands beside our own cell"
    assert {row["smallest_rows"] for row in document["envelope"]} == {36}


def test_a_model_file_stands_beside_the_recorded_cells(ngspice):
    card = ["--cell", str(data_path("circuits/example_nmos.lib")), "--card", "example_nmos"]
    options = ["--rows", "36,72", "--r-p-hat", "1e-4", "--columns", "2", "--patterns", "4", "--mean-conductance", "0.1"]
    document = json.loads(invoke(*card, *options, "--json").stdout)
    names = list(dict.fromkeys(row["transistor"] for row in document["envelope"]))
    assert names == ["example_nmos (card)", "EKV, recorded", "BSIM4, recorded"]
    nine = json.loads(invoke(*card, *options, "--adc-bits", "9", "--json").stdout)
    assert {row["transistor"] for row in nine["envelope"]} == {"example_nmos (card)"}, "recorded are 8 bits"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "ten"], "Expected --rows to be numbers separated by commas, but got 'ten'"),
        (["--cell", "sonos"], "Unknown transistor cell 'sonos'"),
        (["--orientation", "gate"], "Unknown --orientation"),
        (["--cell", "mine.lib"], "Expected --card NAME, the card of mine.lib to use"),
        (["--cell", "mine.lib", "--card", "x"], "--cell to be a model file, but"),
        (["--r-p-hat", "-1"], "--r-p-hat to be finite and at least 0"),
        (["--rows", "8", "--limit", "-1"], "limit of the envelope to be above 0 LSB"),
        (["--rows", "8", "--adc-range", "nan"], "--adc-range to be finite and above 0, but got nan"),
        (["--rows", "8", "--adc-bits", "1"], "--adc-bits of at least 2 for differential cells"),
    ],
)
def test_command_refuses_with_one_message(arguments, message):
    result = invoke("--columns", "2", "--patterns", "2", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert result.stdout == ""
