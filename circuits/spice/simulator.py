"""The one thin module over ngspice: netlists in, vectors out, each ngspice in a worker process of its own.

ngspice is loaded as a shared library through PySpice (GPL, an optional extra), in `circuits/spice/worker.py` only.
"""

from __future__ import annotations

import atexit
import ctypes.util
import importlib.util
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from numpy.typing import NDArray

from circuits.errors import SpiceError
from circuits.spice.worker import FAILURE, HARMLESS, remove_scratch
from devicekit.common.errors import MissingDependencyError

PRECISE_OPTIONS = ".options gmin=1e-18 reltol=1e-10 abstol=1e-18 vntol=1e-14 itl1=500"
"""Settings under which operating points of nanoampere circuits converge to about ten digits."""

START_SECONDS = 60.0
"""Time that ngspice has to start."""

_PLACES = ("/opt/homebrew/lib/libngspice.dylib", "/usr/local/lib/libngspice.dylib", "/usr/local/lib/libngspice.so")


@dataclass(frozen=True)
class SpiceResult(Mapping[str, NDArray[Any]]):
    """Vectors of one run; ``result["out"]`` looks through the plots in their order.

    Attributes:
        plots: vectors by name for each analysis, keyed by kind and order: ``op1``, ``tran1``, ``noise1``, ``noise2``.
            Names are lower case: node voltages as ``out``, source currents as ``v1#branch``.
        messages: everything ngspice wrote during the run.
    """

    plots: dict[str, dict[str, NDArray[Any]]]
    messages: tuple[str, ...]

    def __getitem__(self, name: str) -> NDArray[Any]:
        for vectors in self.plots.values():
            if name.lower() in vectors:
                return vectors[name.lower()]
        raise SpiceError(f"ngspice returned no vector {name!r}; it returned {', '.join(self) or 'none'}.")

    def __iter__(self) -> Iterator[str]:
        return iter({name: None for vectors in self.plots.values() for name in vectors})

    def __len__(self) -> int:
        return len(list(iter(self)))


def find_ngspice() -> str | None:
    """Return the path or name of ngspice's shared library, or None.

    The environment variable ``NGSPICE_LIBRARY_PATH`` comes first, then the system's library search.
    """
    given = os.environ.get("NGSPICE_LIBRARY_PATH")
    if given:
        return given if Path(given).is_file() or ctypes.util.find_library(given) or "/" not in given else None
    return ctypes.util.find_library("ngspice") or next((place for place in _PLACES if Path(place).is_file()), None)


def spice_missing() -> str | None:
    """Return what keeps SPICE runs from working and how to get it, or None when all is there."""
    if find_ngspice() is None:
        return (
            "ngspice's shared library was not found: install it (apt install libngspice0, dnf install libngspice, "
            "brew install libngspice) or set NGSPICE_LIBRARY_PATH."
        )
    if importlib.util.find_spec("PySpice") is None:
        return "PySpice is not installed: pip install 'devicekit[spice]'."
    return None


def require_spice() -> None:
    """Return when SPICE runs can work.

    Raises:
        MissingDependencyError: ngspice or PySpice is absent; the message says how to install it.
    """
    missing = spice_missing()
    if missing:
        raise MissingDependencyError(f"This step runs ngspice. {missing}")


def new_circuit(title: str) -> Any:
    """Return an empty PySpice circuit, whose text (``str(circuit)``) `run_netlist` takes.

    Args:
        title: first line of the netlist.

    Raises:
        MissingDependencyError: PySpice is absent.
    """
    if importlib.util.find_spec("PySpice") is None:
        require_spice()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PySpice 1.5 has invalid escape sequences in its sources
        from PySpice.Spice.Netlist import Circuit
    return Circuit(title)


def ngspice_version(timeout: float = START_SECONDS) -> str:
    """Return the version of the ngspice that answers, such as ``"39.3"``.

    Args:
        timeout: seconds that it has to start.

    Raises:
        MissingDependencyError: ngspice or PySpice is absent.
        SpiceError: ngspice does not start, or not in time.
    """
    with _borrowed(timeout) as worker:
        return worker.version


def run_netlist(
    netlist: str,
    vectors: Sequence[str] | None = None,
    *,
    commands: Sequence[str] = ("run",),
    timeout: float = 300.0,
) -> SpiceResult:
    """Run one netlist in ngspice and return its vectors.

    Args:
        netlist: the whole text with title, analyses and ``.end``.
        vectors: names to return (``"out"``, ``"vout#branch"``), or None for all; few names save time on long lines.
        commands: ngspice commands after loading; ``alter`` and a further ``run`` make another plot.
        timeout: seconds after which the run is given up.

    Raises:
        MissingDependencyError: ngspice or PySpice is absent.
        SpiceError: the netlist is refused, a run does not converge or gives no vectors, or ngspice crashes or hangs;
            the text holds ngspice's own lines. The next run starts afresh and is not affected.
    """
    job = {"netlist": netlist, "vectors": None if vectors is None else list(vectors), "commands": list(commands)}
    deadline = time.monotonic() + timeout
    with _borrowed(min(START_SECONDS, timeout)) as worker:
        answer = worker.ask(job, timeout, deadline)
    return SpiceResult(plots=answer["plots"], messages=tuple(answer["messages"]))


def run_netlists(
    netlists: Sequence[str],
    vectors: Sequence[str] | None = None,
    *,
    commands: Sequence[str] = ("run",),
    timeout: float = 300.0,
    workers: int | None = None,
) -> list[SpiceResult]:
    """Run many netlists, several at a time, and return their results in the same order.

    Args:
        netlists: as for `run_netlist`.
        vectors: as for `run_netlist`.
        commands: as for `run_netlist`.
        timeout: as for `run_netlist`.
        workers: ngspice processes at once; None for one a processor.

    Raises:
        MissingDependencyError: as for `run_netlist`.
        SpiceError: as for `run_netlist`, of the first netlist that fails.
    """
    require_spice()
    count = max(1, min(len(netlists), workers or os.cpu_count() or 1))
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda text: run_netlist(text, vectors, commands=commands, timeout=timeout), netlists))


class _Worker:
    """A process with one ngspice in it."""

    def __init__(self, start_seconds: float) -> None:
        environment = {**os.environ, "NGSPICE_LIBRARY_PATH": cast(str, find_ngspice())}
        # A file, not a pipe: nobody has to empty it, and it still holds the last words after a crash.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process runs)
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("worker.py")), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
        )
        self.alive = True
        self.version: str = self._answer(start_seconds, time.monotonic() + start_seconds)["version"]

    def ask(self, job: dict[str, Any], timeout: float, deadline: float) -> dict[str, Any]:
        try:
            pickle.dump(job, cast(IO[bytes], self._process.stdin))
            cast(IO[bytes], self._process.stdin).flush()
        except OSError:
            self._fail("ngspice ended before it took the netlist", [])
        return self._answer(timeout, deadline)

    def _answer(self, timeout: float, deadline: float) -> dict[str, Any]:
        expired = threading.Event()

        def give_up() -> None:
            expired.set()
            self._process.kill()

        alarm = threading.Timer(max(deadline - time.monotonic(), 0.01), give_up)
        alarm.daemon = True
        alarm.start()
        try:
            answer: dict[str, Any] = pickle.load(cast(IO[bytes], self._process.stdout))
        except (EOFError, pickle.UnpicklingError):
            what = f"ngspice did not finish within {timeout:g} s" if expired.is_set() else "ngspice crashed"
            self._fail(what, self._last_words())
        finally:
            alarm.cancel()
        if answer["failed"]:
            self._fail("ngspice failed", answer["messages"])
        return answer

    def _last_words(self) -> list[str]:
        self._process.wait()
        self._log.seek(0)
        return self._log.read().decode(errors="replace").splitlines()

    def _fail(self, what: str, lines: list[str]) -> None:
        self.close()
        raise SpiceError(f"{what}. {_reason(lines)}")

    def close(self) -> None:
        """End the process; a failed ngspice is never used again, so that one run cannot spoil the next."""
        self.alive = False
        self._process.kill()
        self._process.wait()
        remove_scratch(self._process.pid)
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                # What was not sent yet cannot be sent any more.
                with _ignored_os_error():
                    stream.close()


@contextmanager
def _ignored_os_error() -> Iterator[None]:
    try:
        yield
    except OSError:
        return


def _reason(lines: list[str]) -> str:
    """Pick the lines that say why, in ngspice's words."""
    texts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    own = [line for line in texts if not HARMLESS.match(line)] or texts
    chosen = own if len(own) <= 8 else [line for line in own if FAILURE.search(line)] or own
    return "It said: " + " | ".join(chosen[:12]) if chosen else "It said nothing."


_idle: queue.LifoQueue[_Worker] = queue.LifoQueue()


@contextmanager
def _borrowed(start_seconds: float = START_SECONDS) -> Iterator[_Worker]:
    """Lend a running worker, or start one; workers stay for later runs, at most one a processor is kept."""
    require_spice()
    try:
        worker = _idle.get_nowait()
    except queue.Empty:
        worker = _Worker(start_seconds)
    try:
        yield worker
    finally:
        if worker.alive:
            if _idle.qsize() < (os.cpu_count() or 1):
                _idle.put(worker)
            else:
                worker.close()


@atexit.register
def close_workers() -> None:
    """End the idle ngspice processes."""
    while not _idle.empty():
        _idle.get_nowait().close()
