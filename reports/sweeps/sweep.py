"""Run a study of many points: what is known is taken from the store, what is not is made and kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from accuracy.own_code import loaded_files
from circuits import NetworkCores
from devicekit.common.paths import checked_file_name
from devicekit.common.plain import plain
from reports.errors import StudyError
from reports.layer_cores import overrides_shown, without_design
from reports.results import Values
from reports.run import Progress
from reports.store.store import Entry, Store
from reports.studies.budgets import Constraint, constraint_of
from reports.study import Study
from reports.sweeps.halving import FEW_TRIALS, in_question
from reports.sweeps.networks import forget_networks, network_of
from reports.sweeps.points import Point
from reports.sweeps.result import SweepResult, sweep_result
from reports.sweeps.search import first_points, next_points
from reports.sweeps.tasks import Task, accuracy_inputs, cost_inputs, screen_inputs
from reports.sweeps.workers import Workers, work_off, workers_of
from reports.wire_rule import leaves_wires_open

DEFAULT_STORE = Path("out/studies.sqlite")
SCREENS = ("screen", "halving")
"""Values of `Study.accuracy` with which every point is screened first."""


def sweep(
    study: Study | str | Path,
    store: Store | str | Path = DEFAULT_STORE,
    *,
    name: str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> SweepResult:
    """Run every point of a study that its store does not know yet, and return all of them.

    Run again after an interruption, it goes on where it stopped: a result is in the store as soon as it is complete.

    Args:
        study: the study, or the path of its file.
        store: where results are kept: a store, or the path of its file, made if need be.
        name: of the run; made from the study where None. A name is one study's.
        workers: processes on this machine; None for one a processor. They start a new Python, so a script must stand
            under ``if __name__ == "__main__":``.
        scheduler: address of a Dask cluster (``tcp://host:8786``) to run on instead.
        progress: called with (points done, points in all, what was done).

    Raises:
        StudyError: a malformed study, or workers that cannot be had.
        StoreError: a store that cannot be used, or the run of another study under that name.
        DevicekitError: an unknown name or unusable file that the study names; before anything slow is done.
    """
    forget_networks()
    own = study if isinstance(study, Study) else Study.load(study)
    run = run_name(own) if name is None else checked_file_name(name, "`name`", StudyError)
    points = first_points(own)
    for point in points:
        # Before the store is made: an unknown network leaves nothing behind.
        network_of(point.study)
    if isinstance(store, Store):
        return _run(own, points, run, store, workers, scheduler, progress)
    with Store(store) as opened:
        return _run(own, points, run, opened, workers, scheduler, progress)


def run_name(study: Study) -> str:
    """Return a name for the run of a study: its title or network, and a hash of all it says.

    Args:
        study: the study.
    """
    text = json.dumps(study.model_dump(mode="json"), sort_keys=True)
    words = "".join(letter if letter.isalnum() else "-" for letter in study.title or study.network_name)
    return f"{words.strip('-')[:60] or 'study'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _run(
    study: Study,
    points: Sequence[Point],
    run: str,
    store: Store,
    workers: int | None,
    scheduler: str | None,
    progress: Progress | None,
) -> SweepResult:
    course = Course(study, list(points), run, store, progress)
    course.begin()
    place: Workers | None = None
    try:
        while True:
            if course.queue:
                place = place or workers_of(
                    workers, scheduler, len(course.queue) if study.search is None else study.search
                )
                course.work(place)
            if study.search is not None and len(course.points) < study.search:
                found = next_points(study, course.points, sweep_result(store, run))
                if found:
                    course.add(found)
                    continue
            if not course.next_round():
                break
    finally:
        if place is not None:
            place.close()
    store.finish(run)
    return sweep_result(store, run)


@dataclass
class Course:
    """How far a run has come.

    Attributes:
        study: the study.
        points: its points.
        run: name of the run.
        store: where results are kept.
        progress: told of every evaluation.
        entries: how each point stands.
        queue: evaluations to make.
        waiting: numbers of the points that wait for an evaluation, by its key.
        trials: of the round that is on, where trials come in rounds; 0 before the first.
    """

    study: Study
    points: list[Point]
    run: str
    store: Store
    progress: Progress | None = None
    entries: list[Entry] = field(default_factory=list)
    queue: deque[Task] = field(default_factory=deque)
    waiting: dict[str, list[int]] = field(default_factory=dict)
    trials: int = 0

    def begin(self) -> None:
        """Find out what is known already, and queue what is not."""
        self.entries = [_entry(point) for point in self.points]
        self._files = loaded_files()
        self._costs_first = self.study.accuracy != "all"
        self._limits = [
            own for own in map(constraint_of, self.study.constraints) if own.quantity.part in ("cost", "network_cost")
        ]
        self.store.begin(self.run, self.study.model_dump(mode="json"), self.entries)
        for position, point in enumerate(self.points):
            if point.cores is not None:
                self._first(position, point.study, point.cores)

    def add(self, points: Sequence[Point]) -> None:
        """Take further points into the run, and queue what is not known of them.

        Args:
            points: that a search chose.
        """
        for point in points:
            position = len(self.points)
            self.points.append(point)
            self.entries.append(_entry(point))
            self._put(position, self.entries[position])
            if point.cores is not None:
                self._first(position, point.study, point.cores)

    def work(self, workers: Workers) -> None:
        """Make what is queued.

        Args:
            workers: where.
        """
        beat = time.monotonic()
        self._report("Starting")
        for task, outcome in work_off(self.queue, workers, lambda task: self.store.claim(task.key)):
            if outcome is None:
                result = self.store.get(task.key)
                assert result is not None
            elif outcome.result is None:
                self._fail(task, outcome.reason)
                continue
            else:
                result = outcome.result
                self.store.put(task.kind, task.inputs, result, outcome.seconds)
            for position in self.waiting.pop(task.key):
                self._next(position, task.kind, task.key, result)
            self._report(task.cores.name)
            if time.monotonic() - beat > 20:
                self.store.beat()
                beat = time.monotonic()

    def _report(self, text: str) -> None:
        if self.progress is not None:
            self.progress(sum(entry.status != "open" for entry in self.entries), len(self.entries), text)

    def _first(self, position: int, study: Study, cores: NetworkCores) -> None:
        network = network_of(study)
        if self.study.accuracy in SCREENS:
            inputs = screen_inputs(study, network.fingerprint, cores)
            self._want(position, Task("screen", inputs, study, cores, network.fingerprint, files=self._files))
        elif self._costs_first:
            self._want_costs(position)
        else:
            self._want_accuracy(position)

    def _want_costs(self, position: int) -> None:
        """Queue the costs of a point by the library's statistics of activity."""
        point = self.points[position]
        assert point.cores is not None
        network = network_of(point.study)
        inputs = cost_inputs(point.study, network, point.cores, {})
        self._want(position, Task("cost", inputs, point.study, point.cores, network.fingerprint, files=self._files))

    def _want_accuracy(self, position: int) -> None:
        point = self.points[position]
        assert point.cores is not None
        fingerprint = network_of(point.study).fingerprint
        study = point.study.model_copy(update={"trials": self.trials}) if self.trials else point.study
        inputs = accuracy_inputs(study, fingerprint, point.cores)
        self._want(position, Task("accuracy", inputs, study, point.cores, fingerprint, files=self._files))

    def next_round(self) -> bool:
        """Queue the trials that are worth making after what is known; return whether there are any.

        With ``accuracy = "halving"``, points that the screen leaves in question get a few trials, and those that these
        leave in question get all.
        """
        if self.study.accuracy != "halving" or self.trials >= self.study.trials:
            return False
        self.trials = self.study.trials if self.trials else min(FEW_TRIALS, self.study.trials)
        for position in in_question(sweep_result(self.store, self.run), self.study):
            self._want_accuracy(position)
        return bool(self.queue) or self.next_round()

    def _want(self, position: int, task: Task) -> None:
        if task.key in self.waiting:
            self.waiting[task.key].append(position)
            return
        known = self.store.get(task.key)
        if known is not None:
            self._next(position, task.kind, task.key, known)
            return
        self.waiting[task.key] = [position]
        # What a point needs next goes before new points: it is short, and the point is then complete.
        if task.activities:
            self.queue.appendleft(task)
        else:
            self.queue.append(task)

    def _next(self, position: int, kind: str, key: str, result: Values) -> None:
        """Go on with a point after one of its evaluations."""
        entry, point = self.entries[position], self.points[position]
        assert point.cores is not None
        if kind == "screen":
            reason = f"not screened: {result['refused']}" if result["refused"] else entry.reason
            self.entries[position] = replace(entry, facts=entry.facts | {"screen": key}, reason=reason)
            self._want_costs(position)
            return
        if kind == "accuracy":
            self.entries[position] = replace(entry, accuracy=key)
            network = network_of(point.study)
            inputs = cost_inputs(point.study, network, point.cores, result["activities"])
            self._want(position, Task("cost", inputs, point.study, point.cores, network.fingerprint,
                                      result["activities"], files=self._files))  # fmt: skip
            return
        entry = replace(entry, cost=key)
        broken = [own.text for own in self._limits if not own.holds(_value(own, result))]
        if entry.accuracy is None and self.study.accuracy == "affordable" and broken:
            self._put(position, replace(entry, status="unaffordable", reason=f"not {broken[0]}"))
        elif entry.accuracy is None and self.study.accuracy == "affordable":
            self.entries[position] = entry
            self._want_accuracy(position)
        else:
            self._put(position, replace(entry, status="done"))

    def _fail(self, task: Task, reason: str) -> None:
        self.store.release(task.key)
        for position in self.waiting.pop(task.key):
            self._put(position, replace(self.entries[position], status="failed", reason=reason))
        self._report(task.cores.name)

    def _put(self, position: int, entry: Entry) -> None:
        self.entries[position] = entry
        self.store.update(self.run, position, entry)


def _value(own: Constraint, result: Values) -> float:
    return float(result[own.quantity.part][own.quantity.field])


def _entry(point: Point) -> Entry:
    cores = point.cores
    facts: dict[str, Any] = {"core": point.asked, "varied": plain(point.varied), "network": point.study.network}
    if cores is None:
        return Entry(point.name, facts, "impossible", point.reason)
    facts |= {"design": cores.core.design.to_dict(), "built": plain(without_design(cores.core))}
    if cores.overrides:
        facts["overrides"] = plain(overrides_shown(cores, network_of(point.study).layers))
        facts["wires_open"] = leaves_wires_open(cores.core)
    return Entry(point.name, facts)
