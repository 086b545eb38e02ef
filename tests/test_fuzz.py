"""A short run of the fuzzer on every kind of user file; `make fuzz` runs it for an hour with other files."""

import random
import re
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fuzz"))

import harness
from mutate import TOKENS, mutated
from targets import TARGETS, Target

from devicekit.common.errors import DevicekitError


@pytest.mark.parametrize("name", TARGETS)
def test_good_files_are_read(name, tmp_path):
    for number, seed in enumerate(TARGETS[name].seeds):
        path = tmp_path / f"{number}{TARGETS[name].suffix}"
        path.write_bytes(seed)
        assert TARGETS[name].read(path) is None


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_are_read_or_refused_by_name(name):
    tally = harness.fuzz([name], seed=0, inputs=120, seconds=None, found=None)
    assert tally.inputs[name] == 120
    assert tally.refused[name] > 0, "some damage must make a file unreadable"
    assert not tally.faults


def test_the_harness_sees_every_kind_of_fault(tmp_path, monkeypatch):
    """A traceback, a hang, a long message and nonsense are faults; a named error is not."""

    def read(path: Path) -> str | None:
        what = path.read_text()
        if what == "hang":
            while True:
                time.process_time()
        if what == "named":
            raise DevicekitError("no")
        if what == "long":
            raise DevicekitError("x" * 1000)
        return "i = 7" if what == "nonsense" else 1 // 0

    monkeypatch.setattr(harness, "HANG", 0.05)
    monkeypatch.setattr(harness, "LONGEST", 100)
    target = Target("", (b"",), read)
    expected = {"hang": "hang: more", "named": None, "long": "1000 characters", "nonsense": "i = 7", "": "ZeroDivision"}
    for what, wanted in expected.items():
        (tmp_path / "x").write_text(what)
        _, fault = harness.try_input(target, tmp_path / "x")
        assert (fault is None) if wanted is None else (wanted in fault), what


def test_mutations_are_many_and_repeatable():
    data = TARGETS["device"].seeds[0]
    made = [mutated(data, random.Random(n), text=True) for n in range(200)]
    assert made == [mutated(data, random.Random(n), text=True) for n in range(200)]
    assert len(set(made)) > 190
    assert any(
        token.encode() in text and token.encode() not in data for text in made for token in TOKENS if len(token) > 3
    )


@pytest.mark.parametrize("name", ["adc", "core", "designs", "device", "library", "peripherals", "transistor", "study"])
def test_integers_that_no_float_holds_are_refused_by_name(name, tmp_path):
    """Each number of each good file in turn becomes 10**400: a whole number to TOML, beyond double precision."""
    huge = "1" + 400 * "0"
    for seed in TARGETS[name].seeds[:2]:
        text = seed.decode()
        numbers = list(re.finditer(r"(?<==) ?-?\d[\d.]*(e-?\d+)?(?=\s*(#|$))", text, re.MULTILINE))
        for number in numbers[:40]:
            path = tmp_path / f"huge{TARGETS[name].suffix}"
            path.write_text(text[: number.start()] + huge + text[number.end() :])
            _, fault = harness.try_input(TARGETS[name], path)
            assert fault is None, text[max(0, number.start() - 40) : number.end()]
