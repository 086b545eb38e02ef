"""Tables, figure, layer files and the two commands: what a reader gets."""

import csv
import io
import json
import re

import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

import circuits
import energy
from circuits import LayerShape
from devicekit import Constant
from energy import tables
from energy.errors import EnergyError
from energy.figures import breakdown_figure
from energy.layer_files import read_layers
from reports.command import build_app
from reports.commands import common

XIAO = circuits.load_designs("xiao2022")
COSTS = [energy.estimate_core(design) for design in XIAO.values()]


def run(*arguments):
    return CliRunner().invoke(build_app("energy" if arguments[0] == "energy" else "reproduce"), list(arguments))


def test_csv_has_every_digit_and_columns_carry_units():
    text = tables.as_text([cost.row() for cost in COSTS], "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["design"] for row in rows] == list("ABCDE")
    for row, cost in zip(rows, COSTS, strict=True):
        assert float(row["energy_fj_per_op"]) == cost.energy_fj_per_op
        assert float(row["area_mm2_low"]) == cost.interval_of("area_mm2")[0]
    assert {"latency_ns", "power_mw", "tops_per_mm2"} <= set(rows[0])


def test_markdown_and_latex_show_the_same_entries():
    rows = tables.selected([cost.row() for cost in COSTS], tables.SHORT)
    markdown = tables.as_text(rows, "markdown", tables.SHORT).splitlines()
    assert markdown[0].startswith("| Design | ADC | Energy [fJ/op] |")
    assert len(markdown) == 2 + 5
    latex = tables.as_text(rows, "latex", tables.SHORT)
    assert latex.count(r"\\") == 1 + 5
    assert r"Area [mm\textsuperscript{2}]" in latex
    for line, own in zip(
        markdown[2:], [line for line in latex.splitlines() if re.match(r"[A-E] &", line)], strict=True
    ):
        assert [cell.strip() for cell in line.strip("|").split("|")] == [
            cell.strip().removesuffix(r" \\") for cell in own.split("&")
        ]
    with pytest.raises(EnergyError, match=r"Unknown table format 'latx'\. Did you mean 'latex'"):
        tables.as_text(rows, "latx")


@pytest.mark.parametrize(
    ("value", "interval", "text"),
    [
        (8.4, (8.352, 8.4478), "8.40 (8.35..8.45)"),
        (57.493, (50.036, 64.368), "57.5 (50.0..64.4)"),
        (0.23994, (0.23524, 0.24469), "0.240 (0.235..0.245)"),
        (901.9999, (901.9512, 902.0477), "902.00 (901.95..902.05)"),
        (841.2, (482.12, 24858.0), "841 (482..24900)"),
        (14.076, (3.594, 1811.7), "14.1 (3.59..1810)"),
        (1480.5, (1400.0, 1600.0), "1480 (1400..1600)"),
        (5.0, (5.0, 5.0), "5.00 (5.00..5.00)"),
        (0.0, (0.0, 0.0), "0 (0..0)"),
    ],
)
def test_intervals_are_shown_with_the_digits_they_leave(value, interval, text):
    assert tables.with_interval(value, interval) == text


def test_whole_numbers_are_shown_in_full():
    assert tables.as_text([{"a": 417100.0}, {"a": 0.12345}], "markdown").splitlines()[2:] == [
        "| 417100 |",
        "| 0.1235 |",
    ]
    rows = tables.selected(tables.breakdown_rows(COSTS[:2]), tables.BREAKDOWN_HEADINGS)
    assert [row["instances"] for row in rows if row["label"] == "Memory array"] == [589824, 4718592]
    assert "4718592" in tables.as_text(rows, "markdown", tables.BREAKDOWN_HEADINGS)
    assert sum(row["energy_share"] for row in rows if row["design"] == "A") == pytest.approx(100, abs=0.3)


def test_breakdown_rows_sum_to_the_core():
    frame = pd.DataFrame(tables.breakdown_rows(COSTS))
    sums = frame.groupby("design")[["energy_fj_per_op", "area_mm2", "energy_share", "area_share"]].sum()
    for cost in COSTS:
        assert sums.loc[cost.design.name, "energy_fj_per_op"] == pytest.approx(cost.energy_fj_per_op)
        assert sums.loc[cost.design.name, "area_mm2"] == pytest.approx(cost.area_mm2)
    assert sums[["energy_share", "area_share"]].to_numpy() == pytest.approx(1)


def test_the_breakdown_figure_draws_a_full_bar_a_design():
    _, axes = breakdown_figure(COSTS)
    for axis in axes:
        widths = {}
        for bar in axis.patches:
            widths[bar.get_y()] = widths.get(bar.get_y(), 0) + bar.get_width()
        assert len(widths) == 5
        assert list(widths.values()) == pytest.approx([1] * 5, abs=1e-9)
        texts = [text.get_text() for text in axis.texts]
        assert any("902 fJ/op" in text for text in texts) or any("11.14" in text for text in texts)
    assert [label.get_text() for label in axes[0].get_yticklabels()] == list("ABCDE")
    with pytest.raises(EnergyError, match="at least one core"):
        breakdown_figure([])


def test_layers_are_read_from_a_file(tmp_path):
    path = tmp_path / "layers.csv"
    path.write_text("# my net\nname, rows, columns, mvms, groups\nconv, 27, 16, 900, 1\ndepthwise, 9, 1, 900, 16\n")
    assert read_layers(path) == [
        LayerShape(name="conv", rows=27, columns=16, mvms=900),
        LayerShape(name="depthwise", rows=9, columns=1, mvms=900, groups=16),
    ]
    path.write_text("name,rows,columns\nfc,10,5\n")
    assert read_layers(path)[0].mvms == 1
    for text, message in (
        ("name,rows\nfc,10\n", r"missing column columns; found name, rows"),
        ("name,rows,columns\nfc,0,5\n", r"row 1: Layer 'fc': expected `rows` to be an integer of at least 1"),
        ("name,rows,columns\nfc,2.5,5\n", r"row 1: expected `rows` to be a whole number, but got 2.5"),
        ("name,rows,columns\nfc,x,5\n", r"row 1: expected `rows` to be a whole number, but got 'x'"),
        ("", "not a CSV table"),
    ):
        path.write_text(text)
        with pytest.raises(EnergyError, match=message):
            read_layers(path)
    with pytest.raises(EnergyError, match="No file of layers"):
        read_layers(tmp_path / "none.csv")


def peripherals(**energies):
    model = circuits.load_peripherals("sonos_40nm")
    return model.model_copy(update={"energy": energies})


def test_simulated_peripherals_replace_fitted_energies():
    model = circuits.load_peripherals("sonos_40nm")
    library = energy.load_library("sonos_40nm").with_peripherals(model)
    cost = energy.estimate_core(XIAO["D"], library=library)
    # One comparator a conversion, one amplifier a column for the 8 input bits of a product.
    for name, component, joules in (
        ("comparator.convert.energy", "comparator", 2048 * model.energy["comparator"].value),
        ("integrator.integrate.energy", "integrator.integrate", 256 * model.energy["integrator_amplifier"].value),
    ):
        assert library.constants[name].kind == "simulated"
        assert "ngspice" in library.constants[name].source
        assert library.si_interval(name) is not None
        assert name not in library.draws
        assert cost.value(f"{component}.joules") == pytest.approx(joules, rel=1e-12)
    assert library.si["ramp.run.energy"] == energy.load_library("sonos_40nm").si["ramp.run.energy"]


def test_a_simulated_conveyor_takes_the_place_of_the_library_s_law():
    """The conveyor of a sized circuit holds bias and line current: counted once, with the amplifier."""
    model = circuits.load_peripherals("sonos_40nm")
    conveyor = Constant(value=3e-12, unit="J", kind="simulated", source="ngspice")
    both = peripherals(integrator_amplifier=model.energy["integrator_amplifier"], conveyor=conveyor)
    cost = energy.estimate_core(XIAO["D"], library=energy.load_library("sonos_40nm").with_peripherals(both))
    assert cost.value("integrator.carry.joules") == 0
    expected = 256 * (model.energy["integrator_amplifier"].value + 3e-12)
    assert cost.value("integrator.joules") == pytest.approx(expected, rel=1e-12)


def test_peripherals_without_a_simulated_block_leave_its_constant():
    model = circuits.load_peripherals("sonos_40nm")
    plain = energy.load_library("sonos_40nm")
    alone = plain.with_peripherals(peripherals(comparator=model.energy["comparator"]))
    assert alone.si["integrator.integrate.energy"] == plain.si["integrator.integrate.energy"]
    with pytest.raises(EnergyError, match=r"Expected simulated energies .* the peripherals have no energies"):
        plain.with_peripherals(peripherals())
    huge = Constant(value=1e-8, unit="J", kind="simulated", source="test")
    with pytest.raises(EnergyError, match="more than the library's ramp and counter"):
        plain.with_peripherals(peripherals(comparator=huge, ramp_generator=huge))


def test_the_command_prints_its_tables():
    result = run("energy")
    assert result.exit_code == 0, result.stderr
    assert "8.40 (calibrated)" in result.stdout
    assert "902.00 (calibrated)" in result.stdout
    assert "105.1 (58.6..183.9)" in result.stdout
    assert "calibrated to the published energy and area of A, C, D, E" in result.stdout.replace("\n", " ")
    document = json.loads(run("energy", "A", "E", "--json").stdout)
    assert [row["design"] for row in document["designs"]] == ["A", "E"]
    assert document["designs"][0]["energy_fj_per_op"] == COSTS[0].energy_fj_per_op
    assert len(document["designs"][0]["breakdown"]) == len(COSTS[0].library.components)
    assert "Counts of one matrix-vector product" in result.stdout
    everyone = json.loads(run("energy", "accelerators", "A", "--adc", "sar", "--json").stdout)
    assert len(everyone["designs"]) == 15 + 1
    breakdown = run("energy", "B", "--table", "breakdown", "--format", "csv")
    assert breakdown.stdout.splitlines()[0].startswith("design,component,label,instances")
    again = run("energy", "C", "--peripherals", "sonos_40nm", "--device", "sonos_40nm_iedm2022", "--format", "csv")
    assert again.exit_code == 0, again.stderr


def test_the_calibration_is_named_only_where_its_totals_stand():
    note = "were calibrated to the published energy and area of"
    assert note in " ".join(run("energy", "A", "B", "--table", "cost").stdout.split())
    for other in (("--peripherals", "sonos_40nm"), ("--adc", "sar"), ("--structure", "ramp_per_array")):
        assert note not in " ".join(run("energy", "C", *other, "--table", "cost").stdout.split()), other
    assert note not in " ".join(run("energy", "B", "--table", "cost").stdout.split())


def test_the_command_writes_files_whole(tmp_path):
    out, figure = tmp_path / "cost.tex", tmp_path / "breakdown.svg"
    result = run("energy", "A", "--format", "latex", "--out", str(out), "--figure", str(figure))
    assert result.exit_code == 0, result.stderr
    assert out.read_text().startswith(r"\begin{tabular}")
    assert "<svg" in figure.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["breakdown.svg", "cost.tex"]


def test_the_command_places_networks(tmp_path):
    layers = tmp_path / "layers.csv"
    layers.write_text("name,rows,columns,mvms\na,1152,256,10\nb,2000,10,1\n")
    document = json.loads(run("energy", "A", "--layers", str(layers), "--json").stdout)
    assert document["networks"][0]["cores"] == 3
    assert [row["layer"] for row in document["layers"]] == ["a", "b"]
    shown = run("energy", "A", "--layers", str(layers))
    assert "Layer by layer" in shown.stdout
    digits = json.loads(run("energy", "A", "--network", "digits_cnn", "--json").stdout)
    assert [row["rows"] for row in digits["layers"]] == [9, 225, 288, 32]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_number_is_cut_on_a_narrow_terminal(width, monkeypatch):
    monkeypatch.setattr(common, "console", lambda stderr=False: Console(width=width, stderr=stderr, highlight=False))
    shown = run("energy", "A", "E").stdout
    assert "…" not in shown
    for text in ("8.40 (calibrated)", "1179648", "2097152", "0.02488"):
        assert text in shown
    breakdown = run("energy", "A", "--table", "breakdown").stdout
    assert "…" not in breakdown
    assert "Ramp generator and counter" in breakdown
    assert max(len(line.rstrip()) for line in (shown + breakdown).splitlines()) <= width
    assert "In brackets: 95 % interval" in shown, "not broken at the width of the last, narrow table"


def test_a_number_may_be_asked_for_by_its_heading(tmp_path):
    assert tables.name_of("TOPS/W") == "tops_per_w"
    assert tables.name_of("Gated [nJ]", layers=True, network=True) == "energy_gated_nj"
    assert tables.name_of("Area [mm2]", network=True) == "area_mm2"
    assert tables.name_of("comparator.energy_pj") == "comparator.energy_pj"
    assert run("energy", "A", "--explain", "TOPS/W").stdout.startswith("tops_per_w = 119.04")
    layers = tmp_path / "layers.csv"
    layers.write_text("name,rows,columns\na,1152,256\n")
    own = ("energy", "A", "--layers", str(layers), "--explain")
    assert run(*own, "Gated [nJ]", "--layer", "a").stdout.startswith("a.energy_gated_nj = 4.95")
    assert run(*own, "a.energy_gated_nj").stdout == run(*own, "Gated [nJ]", "--layer", "a").stdout
    assert run(*own, "comparator.energy_pj").stdout.startswith("core.comparator.energy_pj = ")


def test_a_design_without_adc_shows_none():
    guo = energy.estimate_core(circuits.load_design("guo2017"), adc="sar")
    assert guo.row()["adc"] == "none"
    _, axes = breakdown_figure([guo])
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["guo2017"]


def test_the_format_follows_the_file(tmp_path):
    for name, start in (("x.csv", "design,adc,"), ("x.md", "| Design |"), ("x.tex", r"\begin{tabular}")):
        assert run("energy", "A", "--out", str(tmp_path / name)).exit_code == 0
        assert (tmp_path / name).read_text().startswith(start)


def test_the_command_explains_any_number():
    result = run("energy", "A", "--explain", "energy_fj_per_op", "--depth", "1")
    assert "= energy_j_per_mvm / operations * 1e15" in result.stdout
    several = run("energy", "A", "B", "--explain", "cells")
    assert several.stdout.startswith("design A\ncells = 589824")
    document = json.loads(run("energy", "A", "--explain", "comparator.energy_pj", "--json").stdout)
    assert "comparator.convert.energy" in run("energy", "A", "--explain", "comparator.energy_pj", "--depth", "4").stdout
    assert set(document) == {"A"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Z",), "Unknown design 'Z'"),
        (("A", "--library", "none"), "Unknown component library or file 'none'"),
        (("A", "--adc", "sigma"), "Unknown ADC 'sigma'"),
        (("A", "--format", "html"), "Unknown table format 'html'"),
        (("A", "--table", "costs"), "Unknown table 'costs'. Did you mean 'cost'"),
        (("A", "--table", "layers"), "--table layers needs a network"),
        (("A", "--core-budget", "5"), "--core-budget needs a network"),
        (("A", "--groups", "packed"), "--groups needs a network"),
        (("A", "--layer", "conv"), "--layer needs a network"),
        (("A", "--input", "8x8"), "give --network"),
        (("A", "--out", "x.txt"), "--out to end in .csv, .md, .tex, but got 'x.txt'"),
        (("A", "--out", "x.csv", "--format", "table"), "The format table is for the terminal"),
        (("A", "--out", "x.csv", "--json"), "either --json, which prints one document, or"),
        (("A", "--explain", "nothing"), "Unknown quantity 'nothing'"),
        (("A", "--network", "digits_cnn", "--layers", "x.csv"), "either --network or --layers"),
        (("A", "--network", "digits_cnn", "--input", "8"), "cannot run on inputs of shape (1, 8)"),
        (("A", "--network", "digits_cnn", "--input", "8y8"), "sizes such as 3x224x224"),
        (("A", "--figure", "x.bmp"), "end in .png, .svg or .pdf"),
        (("A", "--structure", "none"), "Unknown structure 'none'"),
    ],
)
def test_the_command_refuses_in_one_message(arguments, message):
    result = run("energy", *arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_the_command_explains_what_it_reproduces():
    own = ("reproduce", "table3", "--proposals", "2000", "--explain")
    shown = run(*own, "published.D.area_mm2", "--depth", "1")
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.startswith("area_mm2 = 0.27")
    text = json.loads(run(*own, "prediction.B.energy_fj_per_op", "--json").stdout)["prediction.B.energy_fj_per_op"]
    assert text.startswith("energy_fj_per_op = 105.")
    assert (
        "fitted, 95 % interval"
        in json.loads(run(*own, "published.A.energy_fj_per_op", "--depth", "9", "--json").stdout)[
            "published.A.energy_fj_per_op"
        ]
    )
    unknown = run(*own, "published.D.area_mm")
    assert unknown.exit_code == 2
    assert "Did you mean 'published.D.area_mm2'" in unknown.stderr


@pytest.mark.slow
def test_the_command_reproduces_the_published_table():
    result = run("reproduce", "table3", "--proposals", "4000", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["data_values"], document["free_values"]) == (8, 20)
    assert all(row["agrees"] for row in document["published"])
    assert all(row["inside"] for row in document["leave_one_out"])
    for row, naive in zip(document["prediction"], (8 * 8.4, 8 * 0.24), strict=True):
        assert row["naive"] == pytest.approx(naive)
        assert row["low"] < row["naive"] < row["equally_far"] < row["predicted"] < row["high"]
    assert all({"error_A", "error_C", "error_D", "error_E"} <= set(row) for row in document["structures"])
    ramp = next(row for row in document["parameters"] if row["constant"] == "ramp.run.energy")
    assert (ramp["unit"], ramp["inside_prior"]) == ("pJ", True)
    assert 100 <= ramp["best"] <= 2500
    assert run("reproduce", "table4").exit_code == 2
