"""The wheel by itself: built, installed into an environment that holds what it declares and nothing else, and used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("devicekit", "circuits", "energy", "accuracy", "reports")

USER_SCRIPT = """
import accuracy
import devicekit
import energy
import reports
from circuits import CoreDesign, load_design

design: CoreDesign = load_design("A")
cell: devicekit.Cell = devicekit.load_device("sonos_40nm_tcas2022")
cost: float = energy.estimate_core(design, cell=cell).energy_fj_per_op
fit: devicekit.DeviceFit = devicekit.fit_device(devicekit.read_measurements("cells.csv"))
model = accuracy.convert(accuracy.networks.load("digits_cnn"), design, fit.cell)
found: accuracy.Accuracy = accuracy.evaluate(model, accuracy.data_sets.load("digits").batches("test"))
mean: float = found.mean
path = reports.run_study(reports.Study(designs=("A",)), "out")
path.is_file()
"""


def run(*command: object, folder: Path, **environment: str) -> str:
    """Run a command outside the checkout, with nothing of this environment in it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder, env={**kept, "OMP_NUM_THREADS": "1", **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as `python -m build` does it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, folder=folder)
    assert len(list(folder.glob("*.tar.gz"))) == 1
    (found,) = folder.glob("*.whl")
    return found


def declared(requirements: list[str], seen: dict[str, metadata.Distribution]) -> None:
    """Add the installed distributions that requirements ask for, and what these ask for, extras left out."""
    for text in requirements:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen[name] = metadata.distribution(name)
        assert requirement.specifier.contains(seen[name].version, prereleases=True), f"{text}: {seen[name].version}"
        declared(seen[name].requires or [], seen)


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a new virtual environment with the wheel.

    What the wheel declares is linked from the environment of the tests instead of downloaded (torch alone may be
    gigabytes); whatever it does not declare is not there.
    """
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", environment, folder=environment)
    own = environment / "bin" / "python"
    run(own, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, folder=environment)
    target = Path(run(own, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=environment).strip())
    seen: dict[str, metadata.Distribution] = {}
    (information,) = target.glob("devicekit-*.dist-info")
    declared(metadata.Distribution.at(information).requires or [], seen)
    for distribution in seen.values():
        tops = {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            source = Path(str(distribution.locate_file(top)))
            if source.exists() and not (target / top).exists():
                (target / top).symlink_to(source)
    return own


def test_the_wheel_carries_what_it_needs(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"{room}/py.typed" for room in ROOMS} <= set(names)
    assert "devicekit/data/devices/sonos_40nm_tcas2022.toml" in names
    assert {name.split("/")[0] for name in names} <= {*ROOMS, wheel.name.split("-py3")[0] + ".dist-info"}
    kernels = {Path(name).name.partition("-")[0] for name in names if name.endswith(".so")}
    if shutil.which("cc"):
        assert {path.stem for room in ROOMS for path in (ROOT / room).rglob("*.c")} == kernels


def test_it_reports_outside_the_checkout(python: Path, tmp_path: Path) -> None:
    where = run(
        python, "-c", "import reports, devicekit; print(reports.__file__, devicekit.data_path())", folder=tmp_path
    )
    assert str(ROOT) not in where
    run(
        python.with_name("devicekit"), "report", "A", "--trials", "2", "--images", "20", "--calibration-images", "20",
        "--peripherals", "ideal", "--r-p-hat", "0", "--stage-trials", "0", "--out", "page", folder=tmp_path,
    )  # fmt: skip
    assert (tmp_path / "page/index.html").stat().st_size > 100_000
    results = json.loads((tmp_path / "page/results.json").read_text("utf-8"))
    assert results["table"][0]["design"] == "A"
    assert results["software"]["devicekit"] in run(python.with_name("devicekit"), "--version", folder=tmp_path)


def test_every_command_starts(python: Path, tmp_path: Path) -> None:
    for name in ("fit", "energy", "accuracy", "bitline", "train", "sweep", "check"):
        assert "Usage" in run(python.with_name("devicekit"), name, "--help", folder=tmp_path)


def test_the_doctor_misses_nothing_but_the_extra(python: Path, tmp_path: Path) -> None:
    kept = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "")}
    done = subprocess.run(
        [python.with_name("devicekit"), "doctor"], cwd=tmp_path, env=kept, capture_output=True, text=True, check=False
    )
    ill = [line.split()[1] for line in done.stdout.splitlines() if line.strip().startswith("✗")]
    assert set(ill) <= {"ngspice"}, done.stdout
    assert done.returncode == bool(ill)
    assert "✓   bundled data" in done.stdout


def test_its_public_names_are_typed(python: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(USER_SCRIPT)
    found = run(
        sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "--cache-dir", tmp_path, "mine.py",
        folder=tmp_path,
    )  # fmt: skip
    assert "Success" in found
    # The types are real: what does not fit is refused.
    (tmp_path / "wrong.py").write_text(USER_SCRIPT + "\ncost_as_text: str = cost\nload_design(3)\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "--cache-dir", tmp_path, "wrong.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.count("error:") == 2, done.stdout
