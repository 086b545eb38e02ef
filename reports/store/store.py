"""A store: an SQLite file with every evaluation that was made, and the runs that asked for them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from devicekit.common.errors import DevicekitError, unknown_name
from reports.cache import ROOMS, code_hash
from reports.store.owners import Owner
from reports.store.schema import APPLICATION, TABLES, VERSION

Status = Literal["open", "done", "unaffordable", "impossible", "failed"]
CODE_ROOMS = (*ROOMS, "energy")
"""Packages whose code an evaluation may depend on."""
_HEAD = b"SQLite format 3\0"
_PATIENCE = 60.0  # seconds to wait for another process that writes


class StoreError(DevicekitError):
    """A store cannot be read or written, or is asked for a run it does not have; the message names the file."""


@dataclass(frozen=True)
class Entry:
    """One point of a run.

    Attributes:
        name: the point's name.
        facts: core, what is varied, network: plain values.
        status: ``"open"``, ``"done"``, ``"unaffordable"`` (its costs break a constraint, so that it was not tried),
            ``"impossible"`` or ``"failed"``.
        reason: why it is impossible, failed or unaffordable.
        accuracy: key of its evaluation.
        cost: key of its evaluation.
    """

    name: str
    facts: dict[str, Any]
    status: Status = "open"
    reason: str = ""
    accuracy: str | None = None
    cost: str | None = None


def key_of(inputs: Mapping[str, Any]) -> str:
    """Return the key of an evaluation: a hash over everything it depends on.

    Args:
        inputs: plain values.
    """
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, allow_nan=True).encode()).hexdigest()


class Store:
    """Evaluations by what they were made from, and runs by name.

    A row is committed when it is complete (SQLite, write-ahead log): a process that is killed loses the evaluations it
    had in hand and nothing else, and several processes may write to one store. The file belongs on a disk of the
    machine that writes: SQLite's log needs memory that processes share.

    Args:
        path: the file; made where it is absent, its folder too.
        create: refuse a file that is absent where False.

    Raises:
        StoreError: a file that is no store, that a newer devicekit made, or that cannot be opened.
    """

    def __init__(self, path: str | Path, *, create: bool = True) -> None:
        self.path = Path(path)
        self._owner = Owner.this()
        if not create and not self.path.is_file():
            raise StoreError(f"{self.path}: there is no such store.")
        with self._named():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._check_head()
            self._base = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
            try:
                self._open()
            except BaseException:
                self._base.close()
                raise

    def _check_head(self) -> None:
        """Refuse a short file that SQLite would take for an empty one, and write over."""
        if self.path.is_file():
            with self.path.open("rb") as file:
                head = file.read(len(_HEAD))
            if head and head != _HEAD:
                raise sqlite3.DatabaseError("file is not a database")

    def _open(self) -> None:
        base = self._base
        with self._writing():
            found = base.execute("PRAGMA application_id").fetchone()[0]
            tables = base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            schema = base.execute("PRAGMA user_version").fetchone()[0]
            if not tables and not found:
                for statement in TABLES.split(";"):
                    base.execute(statement)
                base.execute(f"PRAGMA application_id = {APPLICATION}")
                base.execute(f"PRAGMA user_version = {VERSION}")
                schema = VERSION
            elif found != APPLICATION:
                raise StoreError(f"{self.path}: a database, but no store of devicekit.")
        if schema != VERSION:
            which = "a newer" if schema > VERSION else "an older"
            raise StoreError(
                f"{self.path}: made by {which} devicekit (schema {schema}; this one reads {VERSION}). Nothing was "
                "changed; take another file, or that version."
            )
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = FULL")
        base.execute("PRAGMA foreign_keys = ON")

    # -- evaluations --------------------------------------------------------------------------------------------

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the result of an evaluation; None where it has not been made.

        Args:
            key: from `key_of`.
        """
        with self._named():
            row = self._base.execute("SELECT result FROM evaluations WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def known(self, keys: Sequence[str]) -> set[str]:
        """Return those keys whose evaluations are there.

        Args:
            keys: from `key_of`.
        """
        with self._named():
            return {key for (key,) in self._base.execute("SELECT key FROM evaluations")} & set(keys)

    def put(self, kind: str, inputs: Mapping[str, Any], result: Mapping[str, Any], seconds: float) -> str:
        """Keep the result of an evaluation; one that is there already stays as it is.

        Args:
            kind: ``"accuracy"`` or ``"cost"``.
            inputs: everything it depends on.
            result: plain values.
            seconds: how long it took [s].

        Returns:
            Its key.
        """
        key = key_of(inputs)
        values = (
            key, kind, json.dumps(inputs, sort_keys=True), json.dumps(result), code_hash(CODE_ROOMS),
            version("devicekit"), seconds, _now(),
        )  # fmt: skip
        with self._named(), self._writing():
            self._base.execute("INSERT OR IGNORE INTO evaluations VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
            self._base.execute("DELETE FROM claims WHERE key = ?", (key,))
        return key

    def claim(self, key: str) -> Literal["mine", "done", "taken"]:
        """Take an evaluation in hand, unless it is done or another process has it.

        Args:
            key: from `key_of`.
        """
        own = self._owner
        with self._named(), self._writing():
            if self._base.execute("SELECT 1 FROM evaluations WHERE key = ?", (key,)).fetchone():
                return "done"
            row = self._base.execute("SELECT host, process, began, beat FROM claims WHERE key = ?", (key,)).fetchone()
            if row is not None and Owner(*row[:3]) != own and Owner(*row[:3]).lives(row[3]):
                return "taken"
            values = (key, own.host, own.process, own.began, time.time())
            self._base.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?, ?)", values)
        return "mine"

    def beat(self) -> None:
        """Give a sign of life, so that other machines leave what is in hand here alone."""
        with self._named(), self._writing():
            self._base.execute("UPDATE claims SET beat = ? WHERE host = ? AND process = ? AND began = ?",
                               (time.time(), self._owner.host, self._owner.process, self._owner.began))  # fmt: skip

    def release(self, key: str) -> None:
        """Give an evaluation back that will not be made.

        Args:
            key: from `key_of`.
        """
        with self._named(), self._writing():
            self._base.execute("DELETE FROM claims WHERE key = ?", (key,))

    # -- runs ---------------------------------------------------------------------------------------------------

    def begin(self, name: str, study: Mapping[str, Any], entries: Sequence[Entry]) -> None:
        """Begin a run, or go on with the one of that name if it is of the same study.

        Args:
            name: the run's.
            study: plain values.
            entries: its points.

        Raises:
            StoreError: a run of that name and another study is there; nothing is overwritten.
        """
        text = json.dumps(study, sort_keys=True)
        with self._named(), self._writing():
            row = self._base.execute("SELECT study FROM runs WHERE name = ?", (name,)).fetchone()
            if row is not None and row[0] != text:
                raise StoreError(
                    f"{self.path}: the run {name!r} is of another study, and is kept; give this one another name "
                    "(--name), or remove the old one with devicekit results --remove."
                )
            self._base.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT (name) DO UPDATE SET code = excluded.code, "
                "version = excluded.version, finished = NULL",
                (name, text, code_hash(CODE_ROOMS), version("devicekit"), _now()),
            )
            self._base.execute("DELETE FROM points WHERE run = ?", (name,))
            self._base.executemany(
                "INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(name, number, *_row(entry)) for number, entry in enumerate(entries)],
            )

    def update(self, run: str, position: int, entry: Entry) -> None:
        """Write how a point of a run stands now.

        Args:
            run: its name.
            position: of the point, from 0.
            entry: the point.
        """
        with self._named(), self._writing():
            self._base.execute(
                "INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (run, position, *_row(entry))
            )

    def finish(self, run: str) -> None:
        """Write that a run is through.

        Args:
            run: its name.
        """
        with self._named(), self._writing():
            self._base.execute("UPDATE runs SET finished = ? WHERE name = ?", (_now(), run))

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs, oldest first: name, study, code, version, when, and how many points there are by status."""
        columns = ("name", "study", "code", "version", "started", "finished")
        with self._named():
            rows = self._base.execute(f"SELECT {', '.join(columns)} FROM runs ORDER BY started, rowid").fetchall()
            counts = self._base.execute("SELECT run, status, count(*) FROM points GROUP BY run, status").fetchall()
        found = [dict(zip(columns, row, strict=True)) for row in rows]
        for run in found:
            run["study"] = json.loads(run["study"])
            run["points"] = {status: count for name, status, count in counts if name == run["name"]}
        return found

    def run(self, name: str) -> dict[str, Any]:
        """Return one run, see `runs`.

        Raises:
            StoreError: no such run; the message names the nearest.
        """
        found = {run["name"]: run for run in self.runs()}
        if name not in found:
            raise StoreError(f"{self.path}: " + unknown_name("run", name, found))
        return found[name]

    def entries(self, run: str) -> list[Entry]:
        """Return the points of a run, in order.

        Args:
            run: its name.

        Raises:
            StoreError: no such run.
        """
        self.run(run)
        query = "SELECT name, facts, status, reason, accuracy, cost FROM points WHERE run = ? ORDER BY position"
        with self._named():
            rows = self._base.execute(query, (run,)).fetchall()
        return [Entry(name, json.loads(facts), *rest) for name, facts, *rest in rows]

    def remove(self, run: str) -> None:
        """Forget a run; its evaluations stay, for other runs that ask for the same.

        Args:
            run: its name.

        Raises:
            StoreError: no such run.
        """
        self.run(run)
        with self._named(), self._writing():
            self._base.execute("DELETE FROM runs WHERE name = ?", (run,))

    # -- the file -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Write all or nothing."""
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            # SQLite ends the transaction itself where the disk is full.
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say which file cannot be used, and what of it is safe."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(
                f"{self.path}: the store cannot be used: {error}. What was complete in it is kept; run again to go on."
            ) from error
        except OSError as error:
            raise StoreError(f"{self.path}: the store cannot be used: {error.strerror}.") from error


def _row(entry: Entry) -> tuple[str, str, str, str, str | None, str | None]:
    return entry.name, json.dumps(entry.facts), entry.status, entry.reason, entry.accuracy, entry.cost


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
