"""Where tasks run: in this process, in worker processes of this machine, or on a Dask cluster that is there.

All give the same numbers: a task depends on nothing but itself, and torch has the same threads everywhere.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Literal, Protocol

from devicekit import MissingDependencyError
from devicekit.common.foreign import describe
from devicekit.common.processes import end_with_parent
from reports.errors import StudyError
from reports.sweeps.tasks import Outcome, Task, run_task

LOSSES = 2
"""How often the process of one task may end before the task is given up."""
_PULSE = 20.0  # seconds between signs of life
_GLANCE = 0.5  # seconds between looks at what another run has in hand


class Workers(Protocol):
    """What tasks are handed to."""

    def free(self) -> bool:
        """Return whether another task can be handed over now."""

    def submit(self, task: Task) -> None:
        """Hand a task over."""

    def finished(self) -> list[tuple[Task, Outcome | None]]:
        """Wait for some tasks, and return them with what came of them; None where the process ended."""

    def close(self) -> None:
        """Stop; tasks that run are given up."""


class ThisProcess:
    """Tasks one after the other, in this process."""

    def __init__(self) -> None:
        self._waiting: list[Task] = []

    def free(self) -> bool:
        """Return whether another task can be handed over now."""
        return not self._waiting

    def submit(self, task: Task) -> None:
        """Hand a task over."""
        self._waiting.append(task)

    def finished(self) -> list[tuple[Task, Outcome | None]]:
        """Run the task."""
        return [(task, run_task(task)) for task in (self._waiting.pop() for _ in range(len(self._waiting)))]

    def close(self) -> None:
        """Stop."""


class LocalProcesses:
    """Worker processes of this machine; one that dies takes its one task with it.

    Args:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        if getattr(multiprocessing.process.current_process(), "_inheriting", False):
            raise StudyError(
                "Several `workers` start the script anew: put what it runs under `if __name__ == '__main__':`."
            )
        self._idle: list[Executor] = [self._new() for _ in range(workers)]
        self._busy: dict[Future[Outcome], tuple[Executor, Task]] = {}

    @staticmethod
    def _new() -> Executor:
        # A pool of one each: a pool whose worker ends is broken as a whole. Forked processes would inherit torch's
        # threads in whatever state they are.
        return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin)

    def free(self) -> bool:
        """Return whether another task can be handed over now."""
        return bool(self._idle)

    def submit(self, task: Task) -> None:
        """Hand a task over."""
        pool = self._idle.pop()
        try:
            future = pool.submit(run_task, task)
        except BrokenProcessPool:
            # It ended between two tasks.
            pool = self._new()
            future = pool.submit(run_task, task)
        self._busy[future] = (pool, task)

    def finished(self) -> list[tuple[Task, Outcome | None]]:
        """Wait for some tasks, and return them with what came of them; None where the process ended."""
        done, _ = wait(self._busy, timeout=_PULSE, return_when=FIRST_COMPLETED)
        found: list[tuple[Task, Outcome | None]] = []
        for future in done:
            pool, task = self._busy.pop(future)
            try:
                found.append((task, future.result()))
            except BrokenProcessPool:
                pool.shutdown(wait=False)
                pool = self._new()
                found.append((task, None))
            except Exception as error:
                # What cannot be pickled on its way.
                found.append((task, Outcome(None, describe(error))))
            self._idle.append(pool)
        return found

    def close(self) -> None:
        """Stop; tasks that run are given up."""
        busy = [pool for pool, _ in self._busy.values()]
        for pool in (*self._idle, *busy):
            processes = list((getattr(pool, "_processes", None) or {}).values()) if pool in busy else []
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()


class Cluster:
    """A Dask cluster that is there.

    Args:
        scheduler: its address, such as ``tcp://host:8786``.

    Raises:
        MissingDependencyError: Dask is not installed.
        StudyError: no scheduler answers there.
    """

    def __init__(self, scheduler: str) -> None:
        try:
            import distributed
        except ImportError:
            raise MissingDependencyError(
                "A Dask cluster needs dask and distributed: pip install 'devicekit[distributed]'."
            ) from None
        try:
            package: Any = distributed
            self._client: Any = package.Client(scheduler, timeout=20)
        except (OSError, ValueError, TimeoutError) as error:
            raise StudyError(f"--scheduler: no Dask scheduler answers at {scheduler!r}: {describe(error)}.") from None
        self._wait: Any = package.wait
        self._busy: dict[Any, Task] = {}

    def _slots(self) -> int:
        threads = sum(self._client.nthreads().values())
        # A few more than run, so that no worker waits for the next.
        return max(1, 2 * int(threads))

    def free(self) -> bool:
        """Return whether another task can be handed over now."""
        return len(self._busy) < self._slots()

    def submit(self, task: Task) -> None:
        """Hand a task over."""
        # Dask runs the tasks of a worker that died on another one, by itself.
        future = self._client.submit(run_task, task, pure=False, retries=0)
        self._busy[future] = task

    def finished(self) -> list[tuple[Task, Outcome | None]]:
        """Wait for some tasks, and return them with what came of them."""
        try:
            done = self._wait(list(self._busy), timeout=_PULSE, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            return []
        found: list[tuple[Task, Outcome | None]] = []
        for future in done:
            task = self._busy.pop(future)
            try:
                found.append((task, future.result()))
            except Exception as error:
                # Workers that die again and again, and what cannot be read there (another version of devicekit).
                found.append((task, Outcome(None, f"on the cluster: {describe(error)}")))
        return found

    def close(self) -> None:
        """Stop; tasks that run are given up."""
        self._client.cancel(list(self._busy), force=True)
        self._client.close()


def workers_of(workers: int | None, scheduler: str | None, tasks: int) -> Workers:
    """Return where tasks run.

    Args:
        workers: processes of this machine; None for one a processor, at most one a task.
        scheduler: address of a Dask cluster instead; None for this machine.
        tasks: how many there are, about.

    Raises:
        StudyError: not a number of workers, workers beside a scheduler, or no scheduler there.
        MissingDependencyError: Dask is not installed.
    """
    if scheduler is not None:
        if workers is not None:
            raise StudyError("Expected `workers` or `scheduler`, but got both: a cluster has its own workers.")
        return Cluster(scheduler)
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise StudyError(f"Expected `workers` to be an integer of at least 1, but got {workers!r}.")
    count = min(_processors() if workers is None else workers, max(tasks, 1))
    return ThisProcess() if count == 1 else LocalProcesses(count)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin() -> None:
    end_with_parent()


def work_off(
    queue: deque[Task], workers: Workers, claim: Callable[[Task], Literal["mine", "done", "taken"]]
) -> Iterator[tuple[Task, Outcome | None]]:
    """Yield tasks with what came of them, as they end; the caller may add tasks to the queue meanwhile.

    Args:
        queue: tasks; emptied from the left.
        workers: where they run.
        claim: asked before a task is handed over: another run may have done it (None stands for what came of it), or
            have it in hand, so that this one waits.
    """
    losses: dict[str, int] = {}
    running, elsewhere = 0, deque[Task]()
    while queue or running or elsewhere:
        if not queue and not running:
            time.sleep(_GLANCE)
            queue.extend(elsewhere)
            elsewhere.clear()
        while queue and workers.free():
            task = queue.popleft()
            state = "mine" if task.key in losses else claim(task)
            if state == "mine":
                workers.submit(task)
                running += 1
            elif state == "done":
                yield task, None
            else:
                elsewhere.append(task)
        for task, outcome in workers.finished() if running else ():
            running -= 1
            if outcome is None:
                losses[task.key] = losses.get(task.key, 0) + 1
                if losses[task.key] <= LOSSES:
                    queue.appendleft(task)
                    continue
                times = losses[task.key]
                outcome = Outcome(None, f"its worker process ended {times} times; memory may have run out")
            yield task, outcome
