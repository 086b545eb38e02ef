"""A store keeps what is complete, tells runs apart, and says plainly why a file is none."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from reports import StudyError
from reports.store import Store, StoreError
from reports.store.conditions import keeps
from reports.store.exports import export, to_latex, to_markdown
from reports.store.owners import Owner
from reports.store.store import Entry, key_of


def test_what_is_put_is_found_by_its_inputs(tmp_path: Path) -> None:
    with Store(tmp_path / "deep" / "s.sqlite") as store:
        key = store.put("cost", {"b": 1, "a": [2.5, None]}, {"area": 0.1}, 0.5)
        assert key == key_of({"a": [2.5, None], "b": 1})
        # The first result stays.
        store.put("cost", {"a": [2.5, None], "b": 1}, {"area": 7}, 0.5)
        assert store.get(key) == {"area": 0.1}
        assert store.get("other") is None
        assert store.known([key, "other"]) == {key}
    with Store(tmp_path / "deep" / "s.sqlite", create=False) as store:
        assert store.get(key) == {"area": 0.1}


def test_a_run_is_one_study_s(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        store.begin("week 47", {"seed": 0}, [Entry("A", {"core": "A"}), Entry("B", {}, "impossible", "too small")])
        store.update("week 47", 0, Entry("A", {"core": "A"}, "done", cost="k"))
        store.finish("week 47")
        with pytest.raises(StoreError, match="'week 47' is of another study, and is kept"):
            store.begin("week 47", {"seed": 1}, [])
        assert [entry.status for entry in store.entries("week 47")] == ["done", "impossible"]
        (run,) = store.runs()
        assert run["points"] == {"done": 1, "impossible": 1}
        assert run["study"] == {"seed": 0}
        assert run["finished"]
        with pytest.raises(StoreError, match=r"Unknown run 'week 74'\. Did you mean 'week 47'"):
            store.entries("week 74")
        store.remove("week 47")
        assert store.runs() == []


def test_an_evaluation_is_one_process_s(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    claim = (
        "import sys\nfrom reports.store import Store\nstore = Store(sys.argv[1])\nprint(store.claim('k'), flush=True)\n"
    )
    places = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with Store(path) as store:
        other = subprocess.Popen(
            [sys.executable, "-c", claim + "sys.stdin.read()", str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=places,
        )  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        assert store.claim("k") == "taken"
        other.kill()
        other.communicate()
        assert store.claim("k") == "mine"
        assert store.claim("k") == "mine"
        store.release("k")
        key = store.put("cost", {"a": 1}, {}, 0.0)
        assert store.claim(key) == "done"


def test_a_process_of_another_machine_lives_as_long_as_it_gives_signs() -> None:
    import time

    other = Owner("another machine", 1, "boot:1")
    assert other.lives(time.time() - 10)
    assert not other.lives(time.time() - 1000)
    if Path("/proc/self").exists():
        assert Owner.this().lives(0.0)
        assert not Owner(Owner.this().host, os.getpid(), "boot:1").lives(time.time())


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be read as one" * 40, b"x"])
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.sqlite"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"s\.sqlite: the store cannot be used: file is not a database"):
        Store(path)
    assert path.read_bytes() == content


def test_databases_that_are_no_store_or_a_newer_one(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("CREATE TABLE birds (name TEXT)")
    other.commit()
    other.close()
    with pytest.raises(StoreError, match="a database, but no store"):
        Store(tmp_path / "other.sqlite")
    Store(tmp_path / "s.sqlite").close()
    for version, word in ((99, "a newer"), (0, "an older")):
        base = sqlite3.connect(tmp_path / "s.sqlite")
        base.execute(f"PRAGMA user_version = {version}")
        base.close()
        with pytest.raises(StoreError, match=f"made by {word} devicekit \\(schema {version}; this one reads 1\\)"):
            Store(tmp_path / "s.sqlite")
    with pytest.raises(StoreError, match="there is no such store"):
        Store(tmp_path / "none.sqlite", create=False)
    assert not (tmp_path / "none.sqlite").exists()
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be used"):
        Store(tmp_path / "file" / "s.sqlite")


def test_a_full_disk_is_one_message_and_loses_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        key = store.put("cost", {"a": 0}, {"kept": True}, 0.0)
        pages = store._base.execute("PRAGMA page_count").fetchone()[0]
        store._base.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match=r"database or disk is full.*complete in it is kept"):
            store.put("cost", {"a": 1}, {"large": "x" * 100_000}, 0.0)
        store._base.execute("PRAGMA max_page_count = 1000000")
        assert store.get(key) == {"kept": True}
        assert store.get(key_of({"a": 1})) is None
        store.put("cost", {"a": 1}, {"large": "x" * 100_000}, 0.0)


ROWS = [
    {"design": "A|x_1", "adc_bits": 8, "loss_points": 0.123456789, "reason": None},
    {"design": "B & C", "adc_bits": 6, "loss_points": None, "reason": "50 % of {it}"},
]


def test_exported_tables_hold_what_was_there(tmp_path: Path) -> None:
    for ending in (".csv", ".parquet"):
        path = export(ROWS, tmp_path / f"table{ending}")
        read = pd.read_csv(path) if ending == ".csv" else pd.read_parquet(path)
        assert list(read["design"]) == ["A|x_1", "B & C"]
        assert read["loss_points"][0] == 0.123456789
        assert pd.isna(read["loss_points"][1])
    assert to_markdown(ROWS).splitlines()[1:3] == ["| :-- | --: | --: | :-- |", "| A\\|x_1 | 8 | 0.1235 |  |"]
    assert to_latex(ROWS).splitlines()[-3] == r"B \& C & 6 &  & 50 \% of \{it\} \\"
    with pytest.raises(StudyError, match=r"ends in \.csv, \.parquet, \.md, \.tex"):
        export(ROWS, tmp_path / "table.docx")
    assert not (tmp_path / "table.docx").exists()


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("adc_bits == 8", [0]), ("adc_bits < 8.0", [1]), ("adc_bits != 8", [1]), ("loss_points < 1", [0]),
        ("design = B & C", [1]), ("reason == ''", [0]), ("loss_points != 0", [0, 1]), ("design >= B", [1]),
    ],
)  # fmt: skip
def test_conditions(condition: str, kept: list[int]) -> None:
    assert [number for number, row in enumerate(ROWS) if keeps(row, condition)] == kept


@pytest.mark.parametrize("condition", ["adc_bits", "adcbits == 8", "__import__('os')"])
def test_faults_of_conditions(condition: str) -> None:
    with pytest.raises(StudyError, match="ondition"):
        keeps(ROWS[0], condition)
