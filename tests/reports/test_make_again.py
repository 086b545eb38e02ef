"""The command on the page runs the same study, through a shell, whatever files are called."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import reports.run
from reports.command import main
from reports.page import command_line
from reports.study import Study

ODD = (
    "my cells.csv",
    "it's.csv",
    'a "b".csv',
    "$HOME.csv",
    "a;b&c|d.csv",
    "*.csv",
    "a\nb.csv",
    "back\\slash.csv",
    "ü~`!#.csv",
)


class _Captured(Exception):
    pass


@pytest.mark.parametrize("name", ODD)
def test_the_shell_gives_back_every_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    study = Study(
        designs=("A", f"{tmp_path}/{name}:X"), measurements=name, device=name, network=f"{name}.py:net",
        data_set="digits", weights=Path(name), data=Path("folder of " + name), exclude=("conv*", name), library=name,
        images=7, calibration_images=9, trials=3, seed=4,
    )  # fmt: skip
    command = command_line(study.model_dump(mode="json"))
    script = f"devicekit() {{ printf '%s\\0' \"$@\"; }}; {command}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, cwd=tmp_path)
    arguments = done.stdout.decode().split("\0")[:-1]
    assert arguments[0] == "report"

    def compute(found: Study, *_: Any) -> None:
        raise _Captured(found)

    monkeypatch.setattr(reports.run, "compute", compute)
    with pytest.raises(_Captured) as caught:
        main(arguments)
    assert caught.value.args[0] == study


def test_a_design_that_looks_like_an_option() -> None:
    assert command_line({"designs": ["-A.toml:X"], "seed": 1}) == "devicekit report --seed 1 -- -A.toml:X"


def test_plain_names_stay_plain() -> None:
    assert command_line({"designs": ["A", "B"], "network": "digits_cnn"}) == "devicekit report A B --network digits_cnn"


def test_windows_quotes_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "name", "nt")
    assert command_line({"designs": ["A"], "network": r"C:\my nets\net.py:f"}).endswith(
        r'--network "C:\my nets\net.py:f"'
    )
