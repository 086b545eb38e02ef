"""Model files of others: what is passed on to ngspice, what is refused, and that nothing in them runs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import circuits
from circuits import CircuitError, SpiceCell
from circuits.spice import simulator as spice
from circuits.spice import worker
from circuits.spice.model_cards import card_lines
from devicekit import data_path

CARD = data_path("circuits/example_nmos.lib").read_text()


def write(folder, text, name="card.lib"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_statements_are_joined_and_comments_left_out(tmp_path):
    path = write(tmp_path, "* title\n.MODEL a nmos level=1 ; low\n+ vto=0.3 $ high\n\n.param x = 2 // two\n.end\nbad")
    assert card_lines(path) == [".MODEL a nmos level=1 vto=0.3", ".param x = 2"]


def test_sections_and_includes_are_followed(tmp_path):
    write(tmp_path, ".param deep = 1\n", "models/deep/b.inc")
    write(
        tmp_path,
        '.lib tt\n.include "deep/b.inc"\n.model n nmos\n.endl tt\n.lib ff\n.model f nmos\n.endl',
        "models/a.lib",
    )
    path = write(tmp_path, ".param before = 1\n.lib typical\n.LIB 'models/a.lib' TT\n.endl\n")
    assert card_lines(path, "typical") == [".param deep = 1", ".model n nmos"]
    assert card_lines(path) == [".param before = 1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (".control\nshell touch canary\n.endc", r"card\.lib:1: '\.control' has no place in a model file"),
        (".model m nmos\n.tran 1n 1u", r"card\.lib:2: '\.tran' has no place"),
        ('.model run d_process(process_file="touch")', "Unknown type of model 'd_process'"),
        (".model", "Unknown type of model ''"),
        ("a1 [in] [out] run", r"card\.lib:1: 'a1 \[in\] \[out\] run' is no device"),
        ("v1 a 0 pwl file=secret.txt", "reads a file"),
        (".options reltol=1", "Unknown option of a model file 'reltol'"),
        (".include ../outside.lib", "lies outside the card's folder"),
        (".include /etc/passwd", "lies outside the card's folder"),
        (".include missing.lib", "could not find the included file 'missing.lib'"),
        (".include card.lib", "include each other more than 20 deep"),
        (".lib tt\n.model m nmos\n.endl", "expected a `section`, one of tt"),
        ("\0", "binary"),
    ],
)
def test_what_a_model_file_does_not_need_is_refused(tmp_path, text, message):
    write(tmp_path, CARD, "outside.lib")
    with pytest.raises(CircuitError, match=message):
        card_lines(write(tmp_path / "card", text))


def test_a_link_does_not_lead_out_of_the_folder(tmp_path):
    write(tmp_path, CARD, "outside.lib")
    path = write(tmp_path / "card", ".include link.lib")
    (tmp_path / "card" / "link.lib").symlink_to(tmp_path / "outside.lib")
    with pytest.raises(CircuitError, match="lies outside the card's folder"):
        card_lines(path)


def test_an_unknown_section_names_the_nearest(tmp_path):
    with pytest.raises(CircuitError, match=r"Unknown section 'typcal'.*typical"):
        card_lines(write(tmp_path, ".lib typical\n.endl"), "typcal")


@pytest.mark.usefixtures("ngspice")
def test_a_folder_with_blanks_and_a_scale_option(tmp_path):
    """The same transistor written in micrometres under `scale` and in metres."""
    scaled = write(tmp_path / "my models", f".option scale = 1u\n{CARD}")
    cells = [
        SpiceCell(library=scaled, model="example_nmos", instance="w=1 l=0.2"),
        SpiceCell(library=data_path("circuits/example_nmos.lib"), model="example_nmos", instance="w=1u l=200n"),
    ]
    conductance, active = np.full((4, 1), 0.3), np.ones((1, 4), dtype=bool)
    first, second = (circuits.simulate_bit_line(conductance, active, 1e-3, cell) for cell in cells)
    np.testing.assert_allclose(first, second, rtol=1e-7)


@pytest.mark.usefixtures("ngspice")
@pytest.mark.parametrize("place", ["working folder", "home"])
def test_a_spiceinit_runs_nothing(tmp_path, monkeypatch, place):
    """The commands of a .spiceinit in the working folder or at home, which ngspice would run, are not run."""
    canary = tmp_path / "canary"
    (tmp_path / ".spiceinit").write_text(f"shell touch {canary}\n")
    monkeypatch.chdir(tmp_path) if place == "working folder" else monkeypatch.setenv("HOME", str(tmp_path))
    spice.close_workers()
    assert spice.run_netlist("divider\nv1 in 0 1\nr1 in 0 1\n.op\n.end")["in"][0] == 1.0
    spice.close_workers()
    assert not canary.exists()


@pytest.mark.usefixtures("ngspice")
def test_a_killed_parent_leaves_no_ngspice_and_no_folder(tmp_path):
    """SIGKILL in the middle of an endless run: the worker notices, removes its scratch folder and ends."""
    netlist = "slow\\nv1 in 0 sin(0 1 1e9)\\nr1 in out 1\\nc1 out 0 1n\\n.tran 1p 1\\n.end"
    script = (
        "from circuits.spice import simulator as s\nwith s._borrowed(): pass\n"
        f"print('ready', flush=True)\ns.run_netlist('{netlist}')"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout.readline() == b"ready\n"
    (folder,) = tmp_path.glob(f"{worker.SCRATCH}*")
    child = Path("/proc") / folder.name.removeprefix(worker.SCRATCH).partition("-")[0]
    assert child.exists()
    time.sleep(0.3)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while (child.exists() or folder.exists()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not child.exists()
    assert not folder.exists()


def test_folders_of_workers_that_were_killed_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(worker.tempfile, "gettempdir", lambda: str(tmp_path))
    ended, alive = (tmp_path / f"{worker.SCRATCH}{pid}-x" for pid in (2**22 + 1, os.getpid()))
    other = tmp_path / f"{worker.SCRATCH}notes"
    for folder in (ended, alive, other):
        folder.mkdir()
    worker.remove_scratch()
    assert [folder.exists() for folder in (ended, alive, other)] == [False, True, True]
