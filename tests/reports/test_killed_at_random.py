"""Commands killed at random moments: nothing stays of them, and a rerun gives what an undisturbed run gives."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import reports
from devicekit.common.paths import data_path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc on this system"),
]

KILLS = 20
KILLS_A_FOLDER = 5
MARK = "DEVICEKIT_TEST_RUN"
FEW = ("--trials", "3", "--images", "60", "--calibration-images", "60")
CURRENTS = str(data_path("measurements/sonos_40nm_tcas2022_resampled.csv"))
COMMANDS = {
    "report": ("report", "A", "E", *FEW, "--out", "OUT"),
    "fit": ("fit", CURRENTS, "--bootstrap", "20", "--out", "OUT"),
    "peripherals": ("peripherals", "--columns", "2", "--patterns", "10", "--out", "OUT"),
    "accuracy": ("accuracy", "A", "E", *FEW, "--workers", "2", "--json"),
}


@dataclass(frozen=True)
class Place:
    """Where a command runs: its own home, cache and temporary folder, and a mark on all its processes.

    Attributes:
        folder: of all of these.
        mark: value of an environment variable that no other process has.
    """

    folder: Path
    mark: str

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    def start(self, command: tuple[str, ...], out: Path) -> subprocess.Popen[str]:
        for name in ("tmp", "home", "cache"):
            (self.folder / name).mkdir(exist_ok=True)
        places = {
            **os.environ,
            "PYTHONPATH": str(Path(reports.__file__).parents[1]),
            "TMPDIR": str(self.temporary),
            "HOME": str(self.folder / "home"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            # A folder that torch makes, and keeps, among the temporaries.
            "TORCHINDUCTOR_CACHE_DIR": str(self.folder / "cache" / "torch"),
            MARK: self.mark,
        }
        words = [str(out) if word == "OUT" else word for word in command]
        program = "from reports.command import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", program, *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=places, cwd=self.folder,
        )  # fmt: skip

    def processes(self) -> list[str]:
        """Return the command lines of all processes with the mark."""
        wanted, found = f"{MARK}={self.mark}".encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if wanted in (process / "environ").read_bytes().split(b"\0"):
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200])
            except OSError:
                continue
        return found

    def quiet(self, seconds: float = 30.0) -> list[str]:
        """Wait until no process has the mark; return those that stay."""
        end = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        return left

    def temporaries(self, out: Path) -> list[str]:
        """Return what only a run under way may have."""
        places = {path: path.relative_to(self.folder) for path in sorted(self.temporary.rglob("*"))}
        for root in (out, self.folder / "cache"):
            for path in sorted(root.rglob("*")):
                hidden = any(part.startswith(".") and part != ".cache" for part in path.relative_to(root).parts)
                if (
                    hidden
                    or path.name.startswith(("tmp", "compiling"))
                    or "lock" in path.suffix
                    or path.suffix == ".tmp"
                ):
                    places[path] = path.relative_to(self.folder)
        return list(map(str, places.values()))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, uuid.uuid4().hex)
    yield made
    assert not made.quiet(), "the test itself leaves nothing running"


def content(folder: Path) -> dict[str, Any]:
    """Return what the files of a folder say, but for when and how fast they were made."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_relative_to(folder / ".cache"):
            found[str(path.relative_to(folder))] = path.read_bytes()
    if "results.json" in found:
        found["results.json"] = {**json.loads(found["results.json"]), "seconds": None}
    if "index.html" in found:
        found["index.html"] = re.sub(
            rb"\d+ \w+ \d{4}, \d\d:\d\d UTC| in [\d.]+ (s|min|h)(?=\.)", b"", found["index.html"]
        )
    return found


def document(text: str) -> Any:
    """Return a JSON document without what depends on how fast it was made."""
    return json.loads(text, object_hook=lambda values: {key: item for key, item in values.items() if key != "seconds"})


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_random(name: str, place: Place) -> None:
    command = COMMANDS[name]
    moments = random.Random(name)
    read: Callable[[str, Path], Any] = (
        (lambda text, out: document(text)) if "--json" in command else (lambda text, out: content(out))
    )

    def whole(out: Path) -> Any:
        process = place.start(command, out)
        text, errors = process.communicate()
        assert process.returncode == 0, errors
        assert not place.quiet()
        assert place.temporaries(out) == []
        return read(text, out)

    expected = whole(place.folder / "undisturbed")
    begin = time.monotonic()
    assert whole(place.folder / "again") == expected, "the same run gives the same files"
    duration = time.monotonic() - begin
    # The kernels are compiled anew, so that a kill can meet the compiler too.
    for path in (place.folder / "cache").rglob("*.so"):
        path.unlink()
    kills = folders = 0
    while kills < KILLS:
        out = place.folder / f"out{folders}"
        folders += 1
        for _ in range(KILLS_A_FOLDER):
            process = place.start(command, out)
            time.sleep(moments.uniform(0.0, duration))
            # Some are faster than that, with what killed runs had kept.
            kills += process.poll() is None
            process.kill()
            process.communicate()
            assert not place.quiet(), f"kill {kills}"
        assert whole(out) == expected, f"after kill {kills}"
