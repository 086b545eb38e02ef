"""A short run of the fuzzer on every kind of user file; `make fuzz` runs it for an hour with other files."""

import copy
import json
import random
import re
import sys
import time
import tomllib
from pathlib import Path

import pytest
import tomli_w

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


def _places(content: object, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every table, list and value of a file, outermost first."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    own = [(*here, key) for key, _ in items]
    return own + [place for key in own for place in _places(_at(content, key[len(here) :]), key)]


def _at(content, place):
    for key in place:
        content = content[key]
    return content


@pytest.mark.parametrize(
    "name", ["adc", "core", "designs", "device", "library", "parameters", "peripherals", "transistor", "study"]
)
def test_each_part_of_a_file_may_be_of_another_type(name, tmp_path):
    """Tables where values belong, values where tables belong: each is refused by name or read."""
    for seed in TARGETS[name].seeds[:2]:
        is_json = seed.startswith(b"{")
        content = json.loads(seed) if is_json else tomllib.loads(seed.decode())
        places = _places(content)
        # All of the outer ones, a share of what is deeper.
        chosen = [place for place in places if len(place) == 1]
        chosen += random.Random(0).sample(places, min(40, len(places)))
        for place in chosen:
            for other in ("text", 3, [1, {"a": 2}], {"b": 4}, []):
                changed = copy.deepcopy(content)
                _at(changed, place[:-1])[place[-1]] = other
                path = tmp_path / f"other{TARGETS[name].suffix}"
                path.write_text(json.dumps(changed) if is_json else tomli_w.dumps(changed))
                _, fault = harness.try_input(TARGETS[name], path)
                assert fault is None, (place, other)
