"""Studies of cells that no library is for: refused at once with the way out, or borrowed and marked on every face."""

import json
from pathlib import Path

import pytest

from energy import EnergyError
from reports.page import render
from reports.run import compute, document
from reports.study import Study
from reports.table import caption, joint_rows, to_csv
from tests.reports.test_cores import SMALL, command

RRAM = "rram_b_relaxation_extract"
LENT = "borrow:sonos_40nm"


def test_measured_cells_of_another_technology_reach_the_page(tmp_path: Path) -> None:
    with pytest.raises(EnergyError, match=r"`library` = 'borrow:sonos_40nm'"):
        compute(Study(designs=("A",), measurements=RRAM, **SMALL), tmp_path / "out")
    result = compute(Study(designs=("A",), measurements=RRAM, library=LENT, **SMALL), tmp_path / "out")
    (design,) = result.designs
    assert design["cost"]["periphery_borrowed_from"] == "sonos_40nm"
    assert result.cost_note.startswith("Energy, area and latency rest on a periphery borrowed from sonos_40nm")
    assert "calibrated" not in result.cost_note
    (row,) = joint_rows(result)
    assert row["periphery_borrowed_from"] == "sonos_40nm"
    assert "periphery_borrowed_from" in to_csv([row]).splitlines()[0]
    assert document(result)["table"] == [row]
    assert "borrowed from sonos_40nm" in caption(result)
    lent = [entry for entry in result.provenance if "borrowed for cells of rram_levy_b" in entry["room"]]
    assert any(entry["source"].startswith("borrowed from sonos_40nm") for entry in lent)
    page = render(result)
    assert "rest on a periphery borrowed from sonos_40nm" in page


def test_a_study_of_two_technologies_says_which_row_borrows(tmp_path: Path) -> None:
    file = tmp_path / "cores.toml"
    file.write_text('[cores.ours]\ndesign = "A"\ncell = "pcm_joshi2020"\n')
    study = Study(designs=("D",), cores=(f"{file}:ours",), device="sonos_40nm_tcas2022", library=LENT, **SMALL)
    result = compute(study, tmp_path / "out")
    assert "latency of ours rest on a periphery borrowed" in result.cost_note
    assert [row["periphery_borrowed_from"] for row in joint_rows(result)] == [None, "sonos_40nm"]
    rooms = {entry["room"] for entry in result.provenance}
    assert {
        "energy and area: library sonos_40nm",
        "energy and area: library sonos_40nm, borrowed for cells of pcm_90nm",
    } <= rooms


def test_the_energy_command_says_it_on_every_face() -> None:
    shown = command("energy", "A", "--device", "pcm_joshi2020", "--library", LENT).stdout
    assert "borrowed from sonos_40nm" in " ".join(shown.split())
    assert "calibrated to" not in shown
    found = json.loads(command("energy", "A", "--device", "pcm_joshi2020", "--library", LENT, "--json").stdout)
    assert found["borrowed_from"] == found["designs"][0]["periphery_borrowed_from"] == "sonos_40nm"
    text = command(
        "energy", "A", "--device", "pcm_joshi2020", "--library", LENT, "--explain", "comparator.energy_pj"
    ).stdout
    assert "rest on a periphery borrowed from sonos_40nm" in " ".join(text.split())


def test_a_study_file_finds_the_lending_library_beside_it(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('base = "sonos_40nm"\nname = "own"\n')
    (tmp_path / "study.toml").write_text('library = "borrow:own.toml"\n')
    study = Study.load(tmp_path / "study.toml")
    assert study.library == f"borrow:{tmp_path / 'own.toml'}"
    assert Study.load(study.save(tmp_path / "again" / "study.toml")).library == study.library
