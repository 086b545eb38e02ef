"""The joint table: numbers as they are in CSV, as a person reads them elsewhere."""

import csv
import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits import CoreDesign
from reports.figures import pareto_front
from reports.numbers import in_prefix, show_interval, significant
from reports.prose import cell_sentence, spice_sentence, summary, table_note
from reports.results import StudyResult
from reports.table import caption, joint_rows, short_rows, to_csv


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (8.4, 3, "8.40"), (902.0, 3, "902"), (902.4, 4, "902.4"), (11.14, 3, "11.1"), (0.24, 3, "0.240"),
        (2208.0, 3, "2 210"), (0.0, 3, "0"), (0.9999, 3, "1.00"), (999.9, 3, "1 000"), (1.2e-9, 2, "1.2e-09"),
        (0.00123, 2, "0.0012"), (-3.14159, 3, "-3.14"), (4.2e8, 3, "4.20e+08"),
    ],
)  # fmt: skip
def test_significant_digits(value: float, digits: int, text: str) -> None:
    assert significant(value, digits) == text


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [(3.80405e-8, "A", ("38.04", "nA")), (1.6e-6, "A", ("1.6", "µA")), (0.1, "V", ("100", "mV")),
     (1e7, "1", ("10000000", "")), (52.0, "um2", ("52", "um2")), (0.0, "J", ("0", "J")), (1e-17, "J", ("0.01", "fJ")),
     (1e-6, "s", ("1", "µs"))],
)  # fmt: skip
def test_constants_with_prefixes(value: float, unit: str, shown: tuple[str, str]) -> None:
    assert in_prefix(value, unit)[:2] == shown


def test_intervals() -> None:
    assert show_interval((6.72, 10.08), 2) == "6.7 – 10"
    assert show_interval(None) == ""
    assert show_interval((8.38, 8.42), 2) == "8.38 – 8.42"
    assert show_interval((8.39999, 8.40001), 2) == ""


def test_csv_holds_every_number_with_its_unit_in_the_name(made_up: StudyResult) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(joint_rows(made_up)))))
    assert [row["design"] for row in rows] == list("ABCDE")
    first = rows[0]
    assert float(first["energy_fj_per_op"]) == 8.4
    assert float(first["energy_fj_per_op_high"]) == pytest.approx(1.2 * 8.4)
    assert first["latency_ns_low"] == ""
    assert float(first["accuracy_device_percent"]) == pytest.approx(96.0)
    assert float(first["loss_points"]) == pytest.approx(0.5)
    assert float(first["b_out_bits"]) == pytest.approx(26.17, abs=0.01)
    units = ("_percent", "_points", "_per_op", "_mm2", "_ns", "_per_w", "_bits", "_low", "_high", "_uj", "_us")
    named = {"design", "negative_weights", "slices", "partitions", "conversions_per_mvm", "network", "test_images",
             "device", "metric", "trials", "network_cores", "loss_points", *CoreDesign().to_mapping(), "age_s",
             "temperature_k", "compensation_fraction", "adc", "peripherals", "bit_line", "r_in_hat", "r_s_hat", "feed",
             "orientation", "corrections", "stuck_low", "stuck_high", "in_accuracy",
             "periphery_borrowed_from"}  # fmt: skip
    assert all(column in named or column.endswith(units) for column in first)


def test_the_front_holds_what_nothing_beats() -> None:
    points = [(8.0, 96.0), (60.0, 96.6), (43.0, 95.9), (26.0, 96.1), (900.0, 90.0)]
    assert pareto_front(points) == [0, 3, 1]
    assert pareto_front([(1.0, 5.0), (1.0, 6.0)]) == [1]


@given(st.lists(st.tuples(st.floats(1, 100), st.floats(0, 1)), min_size=1, max_size=12))
def test_the_front_is_what_the_definition_says(points: list[tuple[float, float]]) -> None:
    front = pareto_front(points)
    for index, (cost, worth) in enumerate(points):
        beaten = any((c <= cost and w >= worth) and (c, w) != (cost, worth) for c, w in points)
        assert ((cost, worth) in [points[i] for i in front]) == (not beaten), index


def test_loss_is_baseline_minus_device(made_up: StudyResult) -> None:
    for row in joint_rows(made_up):
        assert row["loss_points"] == pytest.approx(row["accuracy_baseline_percent"] - row["accuracy_device_percent"])


def test_short_rows_show_uncertainty(made_up: StudyResult) -> None:
    row = short_rows(made_up)[0]
    assert row["As built [%]"] == "96.00 ± 0.32"
    assert row["Energy [fJ/op]"] == "8.40 (6.7 – 10)"
    assert row["Latency [ns]"] == "376"


def test_caption_says_what_was_calibrated_on(made_up: StudyResult) -> None:
    text = caption(made_up)
    assert "1077 training images" in text
    assert "360 test images" in text


def test_summary_says_what_the_numbers_say(made_up: StudyResult) -> None:
    first, second = summary(made_up)
    assert "96.5 % of 360 test images" in first
    assert "designs A, B, C and D lose 0.6 points at most" in first
    assert "E 6.1 points" in first
    assert "from 8.40 fJ (design A) to 902 fJ (design E), a factor of 110" in second


def test_summary_where_all_designs_hold(made_up: StudyResult) -> None:
    four = replace(made_up, designs=made_up.designs[:4])
    assert "all 4 designs lose 0.6 points at most" in summary(four)[0]
    assert "both designs lose" in summary(replace(made_up, designs=made_up.designs[:2]))[0]


def test_summary_of_one_bad_design(made_up: StudyResult) -> None:
    sentences = summary(replace(made_up, designs=made_up.designs[4:]))
    assert len(sentences) == 1
    assert "E 6.1 points are lost" in sentences[0]


def test_note_explains_small_figures(made_up: StudyResult) -> None:
    assert "1152 × 256" in table_note(made_up)


def test_cell_and_spice_sentences(made_up: StudyResult) -> None:
    result = made_up
    assert "1.60 µA at 0.100 V, on/off ratio 10⁷" in cell_sentence(result)
    assert "programming error saturating exponential (s_max 39.57 nA)" in cell_sentence(result)
    device = result.device | {"on_off_ratio": None}
    assert "on/off ratio without limit" in cell_sentence(replace(result, device=device))
    assert "on/off ratio 2 × 10⁵" in cell_sentence(replace(result, device=device | {"on_off_ratio": 2e5}))
    assert spice_sentence(result).startswith("Run afresh for this page with ngspice 39: a bit line of 64 cells")
    assert "differ by 3.0e-12" in spice_sentence(result)
    assert result.spice is not None
    recorded = replace(result, spice=result.spice | {"recorded": True})
    assert spice_sentence(recorded).startswith("Recorded earlier with")
    assert spice_sentence(replace(result, spice=None)) == ""
