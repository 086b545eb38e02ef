"""Processes that are killed, ngspice that hangs, disks that are full, names that would leave their folder."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import circuits
from accuracy import calibrate, convert, data_sets, evaluate, networks
from circuits import load_design
from circuits.peripherals.parameters import load_parameters
from devicekit import DesignError, DeviceError, load_device
from devicekit.common.paths import checked_file_name, data_path, replacing
from energy import EnergyError, load_library
from reports import run
from reports.cache import ResultCache
from reports.command import build_app
from reports.commands.common import print_note, print_table
from reports.errors import StudyError
from reports.results import StudyResult
from reports.study import Study

linux = pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc on this system")

SCRIPT = """
from accuracy import calibrate, convert, data_sets, evaluate, networks
from circuits import load_design
from devicekit import load_device

if __name__ == "__main__":
    digits = data_sets.load("digits")
    model = convert(networks.load("digits_cnn"), load_design("E"), load_device("sonos_40nm_tcas2022"))
    calibrate(model, digits.batches("calibration", 100, 100))
    print("ready", flush=True)
    evaluate(model, digits.batches("test", 100), trials=2000, workers=2)
"""


def workers_of(pid: int) -> list[int]:
    """Return the worker processes that a process started."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == pid and b"spawn_main" in (place / "cmdline").read_bytes():
                    found.append(int(place.name))
            except (OSError, ValueError):
                continue
    return found


def runs(pid: int) -> bool:
    """Return whether a process is there and has not ended (nobody may have asked how yet)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: object, seconds: float = 120.0) -> bool:
    """Return whether a condition came true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


@linux
@pytest.mark.slow
def test_a_killed_parent_leaves_no_worker(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    places = {**os.environ, "PYTHONPATH": str(Path(circuits.__file__).parents[1])}
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=places)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert wait_for(lambda: len(workers_of(process.pid)) == 2)
        workers = workers_of(process.pid)
        time.sleep(8)
    finally:
        process.kill()
        process.communicate()
    assert wait_for(lambda: not any(map(runs, workers)), 30)


@linux
@pytest.mark.slow
def test_trials_of_a_killed_worker_are_run_again() -> None:
    digits = data_sets.load("digits")
    model = convert(networks.load("digits_cnn"), load_design("A"), load_device("sonos_40nm_tcas2022"))
    calibrate(model, digits.batches("calibration", 100, 100))
    test = digits.batches("test", 100, 300)
    killed = []

    def kill_one(done: int, _: int) -> None:
        # Workers may be done with their last trial before the parent has heard of all.
        if done in (3, 6) and (workers := workers_of(os.getpid())):
            worker = workers[-1]
            killed.append(worker)
            os.kill(worker, signal.SIGKILL)

    alone = evaluate(model, test, trials=24)
    spread = evaluate(model, test, trials=24, workers=2, progress=kill_one)
    assert len(set(killed)) == 2, "all trials were done before two workers could be killed"
    np.testing.assert_array_equal(spread.per_trial, alone.per_trial)


@pytest.fixture(params=["hangs", "ends", "answers nonsense"])
def broken_ngspice(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """An ngspice that does not work, and what is said of it; only one that hangs is given up soon."""
    worker = tmp_path / "worker.py"
    worker.write_text(
        {"hangs": "import time\ntime.sleep(600)\n", "ends": "1 / 0\n", "answers nonsense": "print('hello')\n"}[
            request.param
        ]
    )
    library = tmp_path / "libngspice.so"
    library.write_bytes(b"")
    simulator = circuits.spice.simulator
    simulator.close_workers()
    monkeypatch.setattr(simulator, "__file__", str(tmp_path / "simulator.py"))
    monkeypatch.setattr(simulator, "spice_missing", lambda: None)
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", str(library))
    monkeypatch.setattr(
        circuits.bit_line.spice_line, "CONFIRMATION_SECONDS", 1.0 if request.param == "hangs" else 120.0
    )
    return "did not finish within 1 s" if request.param == "hangs" else "crashed"


def test_a_broken_ngspice_does_not_keep_a_report_waiting(broken_ngspice: str) -> None:
    found = circuits.confirm_bit_line()
    assert found.recorded
    assert broken_ngspice in found.reason
    with pytest.raises(circuits.SpiceError):
        circuits.confirm_bit_line(cells=10)


def test_a_broken_ngspice_leaves_bit_lines_unconfirmed_and_says_so(broken_ngspice: str) -> None:
    seconds = circuits.bit_line.spice_line.CONFIRMATION_SECONDS
    found = circuits.confirm_lines([circuits.BitLinePoint(36, 1e-4)], columns=2, patterns=2, seconds=seconds)
    assert found is not None
    assert found.recorded
    assert broken_ngspice in found.reason
    arguments = ["bitline", "--rows", "8", "--columns", "2", "--patterns", "2", "--confirm-seconds", str(seconds)]
    done = CliRunner().invoke(build_app("bitline"), arguments)
    assert done.exit_code == 0
    said = " ".join(done.stderr.split())
    assert "recorded earlier" in said
    assert broken_ngspice in said
    assert "the lines below are not confirmed" in said


@pytest.mark.parametrize("full_at", range(4))
def test_page_table_and_json_appear_together(
    made_up: StudyResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, full_at: int
) -> None:
    run.write(made_up, Study(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {"index.html", "table.csv", "results.json", "study.toml"}
    real, written = Path.write_text, []

    def write(path: Path, *arguments: object, **options: object) -> int:
        written.append(path)
        if len(written) > full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", write)
    with pytest.raises(OSError, match="No space left") as caught:
        run.write(made_up, Study(seed=1), tmp_path)
    assert str(tmp_path) in str(caught.value.filename)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("arguments", [("device", "list"), ("device", "list", "--json"), ("--version",), ("--help",)])
def test_a_full_stdout_is_one_line(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", "from reports.command import main; main()", *arguments],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip() == "Error: The output cannot be written: No space left on device."


@pytest.mark.parametrize("fault", [MemoryError("Unable to allocate 119 GiB"), RuntimeError("can't allocate memory")])
def test_too_little_memory_is_one_line(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr("circuits.error_map", fail)
    done = CliRunner().invoke(build_app("bitline"), ["bitline", "--rows", "8"])
    assert done.exit_code == 2
    assert done.stderr.strip().startswith("Error: There is not enough memory for what was asked for:")


def test_places_that_cannot_be_written_to_are_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    arguments = ["energy", "A", "--format", "csv", "--out", str(tmp_path / "folder")]
    done = CliRunner().invoke(build_app("energy"), arguments)
    assert done.exit_code == 2
    assert " ".join(done.stderr.split()) == f"Error: {tmp_path / 'folder'}: Is a directory."
    done = CliRunner().invoke(build_app("energy"), [*arguments[:-1], str(tmp_path / ("x" * 5000))])
    assert done.exit_code == 2
    assert len(done.stderr) < 420


@linux
def test_what_a_killed_process_left_is_removed_at_the_next_writing(tmp_path: Path) -> None:
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom devicekit.common.paths import replacing\n"
        "with replacing(Path(sys.argv[1])) as path:\n    path.write_text('half')\n    os.kill(os.getpid(), 9)\n"
    )
    target = tmp_path / "a [b].csv"
    done = subprocess.run([sys.executable, "-c", program, str(target)], check=False)
    assert done.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    with replacing(target) as path, replacing(target) as other:
        path.write_text("whole")
        # A temporary of a process that runs is left alone.
        other.write_text("other")
        assert len(list(tmp_path.iterdir())) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["a [b].csv"]
    assert target.read_text() == "whole"


@pytest.mark.parametrize(
    "name",
    [
        "x/../../escaped",
        "/tmp/absolute",
        "..",
        ".",
        "",
        " ",
        "a\\b",
        "C:x",
        "a\0b",
        "a\nb",
        "x" * 101,
        "ü" * 51,
        "end.",
        " a",
    ],
)
def test_names_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(DeviceError, match="Expected --name"):
        checked_file_name(name, "--name", DeviceError)
    # Before the file is read: it is not even there.
    arguments = ["fit", "no_such_file.csv", "--name", name, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(build_app("fit"), arguments)
    assert done.exit_code == 2
    assert "--name" in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["my cell", "sonos_40nm", "ü-1.2", "a" * 100])
def test_usual_names_are_kept(name: str) -> None:
    assert checked_file_name(name, "--name", DeviceError) == name


def test_parameter_sets_and_designs_stay_in_their_folder(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    text = data_path("peripherals/sonos_40nm.toml").read_text()
    own.write_text(text.replace('name = "sonos_40nm"', 'name = "x/../../escaped"', 1))
    with pytest.raises(circuits.PeripheralError, match="Expected `name` to be usable as a file's name"):
        load_parameters(own)
    cache = ResultCache(tmp_path / "inner" / "cache")
    cache.put("accuracy-x/../../../escaped" + "y" * 400, {"a": 1}, {"b": 2})
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / "inner" / "cache"]
    assert cache.get("accuracy-x/../../../escaped" + "y" * 400, {"a": 1}) == {"b": 2}


BAD_NAMES = ["x/../../escaped", "/tmp/absolute", "..", "x" * 101, "a\\u001b[31mb"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_in_files_are_refused_where_they_are_read(tmp_path: Path, name: str) -> None:
    """Of devices and libraries, after which files are named; of designs, cores and studies, which are only shown."""
    device = data_path("devices/sonos_40nm_iedm2022.toml").read_text()
    library = 'base = "sonos_40nm"\nname = "NAME"\ntechnology = "sonos_40nm"\n'
    own = tmp_path / "own.toml"
    own.write_text(re.sub('^name = ".*"', lambda _: f'name = "{name}"', device, count=1, flags=re.MULTILINE))
    with pytest.raises(DeviceError, match=r"own\.toml: Expected `name`"):
        load_device(own)
    own.write_text(library.replace("NAME", name))
    with pytest.raises(EnergyError, match=r"own\.toml: `name`"):
        load_library(own)
    if len(name) > 100 or "u001b" in name:
        for table, read in (("designs", circuits.load_designs), ("cores", circuits.load_cores)):
            own.write_text(f'[{table}."{name}"]\nweight_bits = 8\n')
            with pytest.raises(DesignError, match=r"`name` of a (design|core)"):
                read(own)
        own.write_text(f'title = "{name * 3}"\n')
        with pytest.raises(StudyError, match="`title`: expected one line"):
            Study.load(own)


def test_a_measurement_file_that_names_no_cell_is_refused_before_the_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "lot 7: wafer 3.csv"
    own.write_bytes(data_path("measurements/sonos_40nm_tcas2022_resampled.csv").read_bytes())
    monkeypatch.setattr("devicekit.fit_device", lambda *_, **__: pytest.fail("went on"))
    done = CliRunner().invoke(build_app("fit"), ["fit", str(own), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "the file's name, or --name" in " ".join(done.output.split())


@pytest.mark.parametrize("title", ["x [/b] y", "[red]x", "a\x1b[2Jb", "a\u202eb"])
def test_text_of_others_is_printed_as_it_stands(capsys: pytest.CaptureFixture[str], title: str) -> None:
    print_table([{"a": title}], title=title, caption=title)
    print_table([{"a": title}], title=title, caption=title, keys=1)
    print_note(title)
    said = capsys.readouterr()
    shown = "".join(own if own.isprintable() else "\ufffd" for own in title)
    assert said.out.count(shown) == 6
    assert shown in said.err
    assert "\x1b" not in said.out + said.err
