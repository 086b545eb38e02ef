"""Studies that are killed, workers that are killed, two runs at once, a cluster: the results are always the same."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reports import Store, Study, sweep
from reports.sweeps.result import sweep_result

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3000),
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc on this system"),
]

SCRIPT = """
import json, sys
from reports import Study, sweep

if __name__ == "__main__":
    study, store, workers, scheduler = json.loads(sys.argv[1])
    print("ready", flush=True)
    sweep(Study.make(study), store, name="run", workers=workers, scheduler=scheduler)
    print("done", flush=True)
"""
PLACES = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
FEW = {"device": "sonos_40nm_tcas2022", "trials": 2, "images": 30, "calibration_images": 30}
# 4 x 5 x 5 x 5 = 500 points, of which few are cheap enough to be tried.
MANY = {
    **FEW, "designs": ["A"], "accuracy": "affordable", "constraints": ["network_area <= 0.5 mm2"],
    "vary": {"max_rows": "144..1152*2", "adc_bits": "5..9", "matrix_columns": "64..320:64",
             "matrix_rows": "576..1152:144"},
}  # fmt: skip
SEVERAL = {**FEW, "designs": ["A"], "vary": {"adc_bits": "6..8", "max_rows": "576,1152"}}


def start(tmp_path: Path, study: dict[str, Any], store: Path, workers: int | None, scheduler: str | None = None) -> Any:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    arguments = json.dumps([study, str(store), workers, scheduler])
    return subprocess.Popen(
        [sys.executable, str(script), arguments], stdout=subprocess.PIPE, text=True, env=PLACES, start_new_session=True
    )


def ended(process: Any) -> bool:
    out, _ = process.communicate()
    return process.returncode == 0 and out.endswith("done\n")


def found(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the run as a whole, and every row of the store without its times."""
    with Store(path, create=False) as store:
        result = sweep_result(store, "run").to_dict()
    base = sqlite3.connect(path)
    assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    rows = base.execute("SELECT key, result FROM evaluations").fetchall()
    assert base.execute("SELECT count(*) FROM claims").fetchone() == (0,)
    base.close()
    assert len({key for key, _ in rows}) == len(rows)
    return result, dict(rows)


def test_a_study_killed_twenty_times_is_the_uninterrupted_one(tmp_path: Path) -> None:
    whole = tmp_path / "whole.sqlite"
    assert ended(start(tmp_path, MANY, whole, 2))
    killed, draw = tmp_path / "killed.sqlite", random.Random(0)
    kept = found(whole)
    assert len(kept[0]["points"]) == 500
    assert {point["status"] for point in kept[0]["points"]} == {"done", "unaffordable"}
    kills = before = rounds = 0
    while kills < 20 or killed.is_file():
        process = start(tmp_path, MANY, killed, 2)
        assert process.stdout is not None
        process.stdout.readline()
        if kills < 20:
            # Sometimes before a row is there, mostly with some in hand.
            try:
                process.wait(draw.uniform(0, 12))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
        out, _ = process.communicate()
        assert count(killed) >= before
        before = count(killed)
        if process.returncode == 0:
            # Done in spite of all kills so far; the rest of them meet another study from its start.
            assert out.endswith("done\n")
            assert found(killed) == kept
            for file in tmp_path.glob("killed.sqlite*"):
                file.unlink()
            before, rounds = 0, rounds + 1
        else:
            assert process.returncode == -signal.SIGKILL
    assert rounds >= 1


def count(path: Path) -> int:
    if not path.is_file():
        return 0
    base = sqlite3.connect(path, timeout=60)
    try:
        return int(base.execute("SELECT count(*) FROM evaluations").fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # killed before its tables were made
    finally:
        base.close()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, str]]:
    path = tmp_path_factory.mktemp("alone") / "s.sqlite"
    sweep(Study.make(SEVERAL), path, name="run", workers=1)
    return found(path)


def test_a_killed_worker_costs_one_evaluation(tmp_path: Path, alone: Any) -> None:
    process = start(tmp_path, SEVERAL, tmp_path / "s.sqlite", 2)
    killed = set()
    while process.poll() is None and len(killed) < 2:
        time.sleep(0.2)
        if count(tmp_path / "s.sqlite") > 2 * len(killed):
            for worker in workers_of(process.pid)[:1]:
                killed.add(worker)
                os.kill(worker, signal.SIGKILL)
    assert ended(process)
    assert len(killed) == 2
    assert found(tmp_path / "s.sqlite") == alone


def workers_of(pid: int) -> list[int]:
    found_ones = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == pid and b"spawn_main" in (place / "cmdline").read_bytes():
                    found_ones.append(int(place.name))
            except (OSError, ValueError):
                continue
    return found_ones


def test_two_runs_on_one_store_repeat_nothing(tmp_path: Path, alone: Any) -> None:
    both = [start(tmp_path, SEVERAL, tmp_path / "s.sqlite", 1) for _ in range(2)]
    assert all(ended(process) for process in both)
    assert found(tmp_path / "s.sqlite") == alone


@contextmanager
def cluster(tmp_path: Path) -> Iterator[str]:
    """A Dask scheduler and two workers, as a user starts them."""
    pytest.importorskip("distributed")
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard", "--host",
               "127.0.0.1", "--scheduler-file", str(tmp_path / "scheduler.json")]  # fmt: skip
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": PLACES, "cwd": tmp_path}
    processes = [subprocess.Popen(command, **quiet)]  # type: ignore[call-overload]
    try:
        end = time.monotonic() + 120
        while not (tmp_path / "scheduler.json").is_file() and time.monotonic() < end:
            time.sleep(0.2)
        time.sleep(0.5)
        address = json.loads((tmp_path / "scheduler.json").read_text())["address"]
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard",
                  "--no-nanny"]  # fmt: skip
        processes += [subprocess.Popen(worker, **quiet) for _ in range(2)]  # type: ignore[call-overload]
        yield address
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_a_cluster_gives_the_same(tmp_path: Path, alone: Any) -> None:
    with cluster(tmp_path) as address:
        assert ended(start(tmp_path, SEVERAL, tmp_path / "s.sqlite", None, address))
    assert found(tmp_path / "s.sqlite") == alone


def test_no_cluster_there(tmp_path: Path) -> None:
    from reports import StudyError

    pytest.importorskip("distributed")
    with pytest.raises(StudyError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        sweep(Study.make(SEVERAL), tmp_path / "s.sqlite", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(StudyError, match="`workers` or `scheduler`"):
        sweep(Study.make(SEVERAL), tmp_path / "s.sqlite", scheduler="tcp://127.0.0.1:9", workers=2)
