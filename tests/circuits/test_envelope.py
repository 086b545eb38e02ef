"""The recorded envelope: it is what the code gives, follows its laws, and warns once with the number."""

import warnings

import numpy as np
import pytest

import circuits
from circuits.bit_line.envelope import (
    EnvelopeWarning,
    beyond_map,
    expected_error_lsb,
    forget_warnings,
    recorded_errors,
    warn_outside_envelope,
)
from circuits.bit_line.line_errors import BitLinePoint, bit_line_errors, envelope

PLACE = BitLinePoint(1152, 1e-5)


@pytest.fixture(autouse=True)
def _forget():
    forget_warnings()


def test_recorded_map_is_what_the_code_gives():
    table = recorded_errors()
    for rows, r_p_hat, conductance in ((144, 1e-5, 0.02), (576, 1e-6, 0.002)):
        fresh = bit_line_errors(BitLinePoint(rows, r_p_hat, 0.5, conductance), columns=8, patterns=32)
        recorded = table[
            (table.rows == rows)
            & (table.r_p_hat == r_p_hat)
            & (table.activity == 0.5)
            & (table.mean_conductance == conductance)
            & (table.transistor == "ekv")
            & (table.pairing == "differential")
        ]
        usable = fresh.error_lsb.to_numpy() > 1e-6
        np.testing.assert_allclose(recorded.error_lsb.to_numpy()[usable], fresh.error_lsb[usable], rtol=1e-4)


def test_built_in_mosfet_agrees_with_our_own_cell():
    """In weak inversion the errors hardly depend on whose transistor it is: within a quarter where they matter."""
    table = recorded_errors()
    keys = ["rows", "r_p_hat", "activity", "mean_conductance", "pairing", "model"]
    both = table[table.transistor == "bsim4"].merge(table[table.transistor == "ekv"], on=keys, suffixes=("", "_ekv"))
    assert len(both) == len(table[table.transistor == "bsim4"]) > 0
    assert set(both.model) == {"ideal", "resistor", "affine", "relinearised"}
    small = both[(both.loss < 0.2) & (both.model != "relinearised")]
    np.testing.assert_allclose(small.line_error, small.line_error_ekv, rtol=0.25, atol=1e-9)


def test_the_envelopes_of_both_transistors_end_at_nearly_the_same_size():
    table = recorded_errors()
    keys = ["pairing", "model", "mean_conductance", "activity", "r_p_hat"]
    own, card = (envelope(table[table.transistor == name]) for name in ("ekv", "bsim4"))
    both = card.merge(own, on=keys, suffixes=("", "_ekv"))
    assert set(both.pairing) == {"differential", "offset"}
    for column in ("max_rows", "max_rows_gain_removed"):
        inside = (both[column] > 0) & (both[f"{column}_ekv"] > 0) & np.isfinite(both[column] + both[f"{column}_ekv"])
        assert inside.sum() > 20
        np.testing.assert_allclose(both[column][inside], both[f"{column}_ekv"][inside], rtol=0.11)


def test_goal_of_the_affine_cell():
    """Where the resistor is off by up to a tenth: affine at least 8 times closer, re-linearised below 1e-4."""
    table = recorded_errors()
    table = table[table.pairing == "differential"]
    lines = table.pivot_table(
        index=["transistor", "rows", "r_p_hat", "activity", "mean_conductance"], columns="model", values="line_error"
    )
    upto = lines[(lines.resistor < 0.105) & (lines.resistor > 1e-6)]
    assert len(upto) > 50
    assert (upto.affine.abs() < upto.resistor / 8).all()
    assert (upto.relinearised.abs() < 1e-4).all()


def test_interpolation_meets_the_map_and_rises():
    table = recorded_errors()
    row = table[(table.model == "resistor") & (table.rows == 288) & (table.transistor == "ekv")].iloc[0]
    point = BitLinePoint(288, row.r_p_hat, row.activity, row.mean_conductance, row.pairing)
    assert expected_error_lsb(point) == pytest.approx(row.error_lsb, rel=1e-6)
    values = [expected_error_lsb(BitLinePoint(rows, 3e-6, 0.3, 0.01)) for rows in (20, 100, 300, 1000, 4000)]
    assert (np.diff(values) > 0).all()
    assert expected_error_lsb(BitLinePoint(1152, 0.0)) == 0.0
    assert expected_error_lsb(PLACE, "affine") < expected_error_lsb(PLACE) / 5
    assert expected_error_lsb(PLACE, gain_removed=True) < expected_error_lsb(PLACE)
    with pytest.raises(circuits.CircuitError, match=r"Unknown bit-line model 'afine'\. Did you mean 'affine'"):
        expected_error_lsb(PLACE, "afine")
    assert expected_error_lsb(PLACE, "transistor") == 0, "right by definition"


def test_a_place_beyond_the_map_follows_its_law_and_says_so():
    far = BitLinePoint(9216, 1e-3)
    assert beyond_map(far) == ["rows", "r_p_hat"]
    assert beyond_map(PLACE) == []
    assert beyond_map(BitLinePoint(1152, 0.0)) == []
    with pytest.warns(EnvelopeWarning, match="beyond the map in rows and r_p_hat: its law is continued"):
        assert warn_outside_envelope(far) >= expected_error_lsb(BitLinePoint(2304, 1e-4), gain_removed=True) > 10


def test_interpolation_between_grid_places_is_near_the_truth():
    point = BitLinePoint(400, 4e-6, 0.3, 0.01)
    fresh = bit_line_errors(point, models=["resistor"], columns=8, patterns=32).error_lsb[0]
    assert expected_error_lsb(point) == pytest.approx(fresh, rel=0.5)


def test_warns_once_a_model_with_the_number():
    with pytest.warns(EnvelopeWarning, match=r"'resistor' is expected to be off by \d+ LSB.*1152 rows.*affine cell"):
        error = warn_outside_envelope(PLACE)
    assert error > 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert warn_outside_envelope(PLACE) == error
        assert warn_outside_envelope(BitLinePoint(72, 1e-7)) < 0.5
    with pytest.warns(EnvelopeWarning, match="'affine' is expected"):
        warn_outside_envelope(BitLinePoint(2304, 1e-4), "affine")


def test_places_that_no_map_holds_are_solved():
    """Errors rise with a virtual ground from where the map has none, and drains on the line are another cell."""
    place = BitLinePoint(288, 1e-6, 0.2, 0.02)
    grounded = [BitLinePoint(288, 1e-6, 0.2, 0.02, r_in_hat=r) for r in (1e-9, 1e-3, 8e-3)]
    errors = [expected_error_lsb(point, gain_removed=True) for point in grounded]
    assert errors[0] == pytest.approx(expected_error_lsb(place, gain_removed=True), rel=0.5)
    assert errors[0] < errors[1] < errors[2]
    solved = bit_line_errors(grounded[-1], columns=8, patterns=32, models=["affine"])
    assert expected_error_lsb(grounded[-1], "affine") == pytest.approx(solved.error_lsb[0])
    assert beyond_map(BitLinePoint(9216, 1e-3, r_in_hat=1e-3)) == []
    # Resistors overrate a supply line, and underrate a source line.
    lines = {}
    for way in ("source", "drain"):
        point = BitLinePoint(288, 0.0, 0.2, 0.02, r_s_hat=1e-5, orientation=way)
        lines[way] = bit_line_errors(point, columns=4, patterns=16, models=["resistor"]).line_error[0]
    assert lines["source"] < 0 < lines["drain"]
    with pytest.raises(circuits.CircuitError, match="Did you mean 'drain'"):
        BitLinePoint(288, 0.0, orientation="drian")
    with pytest.warns(EnvelopeWarning, match=r"R_s_hat = 0.001 \(fed from rows\)"):
        warn_outside_envelope(BitLinePoint(288, 0.0, 0.2, 0.02, r_s_hat=1e-3, feed="rows", columns=16))
