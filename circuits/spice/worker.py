"""One ngspice in a process of its own: reads pickled jobs on stdin, answers on stdout. Started by `circuits.spice`.

Run as a plain file, so that it starts without the packages of this project. It is the only place that loads PySpice's
shared ngspice. A process of its own keeps a crash of ngspice away from the caller, lets runs go on in parallel, and
collects the message lines that PySpice's exceptions do not carry.

It works in an empty folder of its own, which is also its home: ngspice runs the commands of a ``.spiceinit`` that lies
in the working folder or at home. It ends with the process that started it, however that one ends.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import shutil
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

SCRATCH = "devicekit-ngspice-"

FAILURE = re.compile(
    r"error|abort|singular|no convergence|not converge|non-?converg|too small|fatal|could not|can't find|unknown|"
    r"no such|failed|unable|undefined|illegal|not started|doesn't exist|incomplete|not enough",
    re.IGNORECASE,
)
"""Lines of ngspice's that say why a run failed, among the many that do not."""

HARMLESS = re.compile(
    r"^\s*(Note|Using|Circuit:|Doing analysis|Reset re-loads|Trying gmin|Reference value|No\. of Data Rows)",
    re.IGNORECASE,
)


class _Failed(Exception):
    def __init__(self, lines: list[str]):
        super().__init__()
        self.lines = lines


class Session:
    """The one loaded ngspice."""

    def __init__(self) -> None:
        warnings.filterwarnings("ignore")  # PySpice 1.5 has invalid escape sequences in its sources
        logging.disable(logging.CRITICAL)
        from PySpice.Spice.NgSpice import Shared

        self.ffi = Shared.ffi
        self.shared = Shared.NgSpiceShared.new_instance()
        self.library = self.shared._ngspice_shared

    def command(self, text: str) -> list[str]:
        """Run one command and return every line it wrote; PySpice's own call raises on harmless notes."""
        self.shared.clear_output()
        status = self.library.ngSpice_Command(text.encode())
        lines = [*self.shared._stdout, *self.shared._stderr]
        if status:
            raise _Failed(lines)
        return lines

    def load(self, netlist: str) -> list[str]:
        """Give ngspice a netlist and return every line it wrote."""
        self.shared.clear_output()
        lines = [line for line in netlist.splitlines() if line.strip()] + [""]
        kept = [self.ffi.new("char[]", line.encode()) for line in lines] + [self.ffi.NULL]
        status = self.library.ngSpice_Circ(self.ffi.new("char *[]", kept))
        messages = [*self.shared._stdout, *self.shared._stderr]
        if status or any("error" in line.lower() for line in messages):
            raise _Failed(messages)
        return messages

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """Do one job and free what it took, or say that it failed and what ngspice wrote."""
        messages: list[str] = []
        try:
            messages += self.load(job["netlist"])
            for command in job["commands"]:
                messages += self.command(command)
            plots = self.plots(job["vectors"])
            if any("aborted" in line.lower() for line in messages) or not plots:
                raise _Failed([])
        except _Failed as failure:
            return {"failed": True, "messages": messages + failure.lines}
        self.command("destroy all")
        self.command("remcirc")
        return {"failed": False, "messages": messages, "plots": plots}

    def plots(self, wanted: list[str] | None) -> dict[str, dict[str, Any]]:
        """Read vectors of every plot of this run, oldest first; plots are named by kind and order, such as tran1."""
        counts: dict[str, int] = {}
        result = {}
        for name in reversed(self.shared.plot_names):
            kind = re.sub(r"\d+$", "", name)
            if kind == "const":
                continue
            counts[kind] = counts.get(kind, 0) + 1
            vectors = self.vectors(name, wanted)
            if vectors:
                result[f"{kind}{counts[kind]}"] = vectors
        return result

    def vectors(self, plot: str, wanted: list[str] | None) -> dict[str, Any]:
        """Copy the vectors of one plot, all or those wanted; names it does not have are left out."""
        names = wanted
        if names is None:
            names, all_vectors, index = [], self.library.ngSpice_AllVecs(plot.encode()), 0
            while all_vectors[index] != self.ffi.NULL:
                names.append(self.ffi.string(all_vectors[index]).decode())
                index += 1
        result: dict[str, Any] = {}
        for name in names:
            info = self.library.ngGet_Vec_Info(f"{plot}.{name}".encode())
            if info == self.ffi.NULL or info.v_length == 0:
                continue
            if info.v_compdata == self.ffi.NULL:
                raw = self.ffi.buffer(info.v_realdata, info.v_length * 8)
                result[name.lower()] = np.frombuffer(raw, dtype=np.float64).copy()
            else:
                raw = self.ffi.buffer(info.v_compdata, info.v_length * 16)
                result[name.lower()] = np.frombuffer(raw, dtype=np.complex128).copy()
        return result

    def version(self) -> str:
        """Return ngspice's version."""
        for line in self.command("version -f"):
            found = re.search(r"ngspice-(\S+)", line)
            if found:
                return found.group(1)
        return "unknown"


def _end_with(parent: int, scratch: str) -> None:
    """End this process when its parent has ended, also in the middle of a run that reads no more input."""
    while os.getppid() == parent:
        time.sleep(0.5)
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(1)


def remove_scratch(pid: int | None = None) -> None:
    """Remove the scratch folders of one process, or of all that no longer run.

    Args:
        pid: the worker that is known to have ended; None for whichever were killed before they could clean up.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH}{'*' if pid is None else pid}-*"):
        owner = folder.name.removeprefix(SCRATCH).partition("-")[0]
        if owner.isdecimal() and (pid is not None or not Path(f"/proc/{owner}").exists()):
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Answer jobs until stdin closes or the parent ends, in a scratch folder."""
    if Path("/proc/self").exists():
        remove_scratch()
    prefix = f"{SCRATCH}{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as scratch:
        os.chdir(scratch)
        os.environ["HOME"] = os.environ["USERPROFILE"] = scratch
        if hasattr(os, "getppid") and len(sys.argv) > 1:
            threading.Thread(target=_end_with, args=(int(sys.argv[1]), scratch), daemon=True).start()
        _serve()
        os.chdir(os.path.dirname(scratch))


def _serve() -> None:
    jobs = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints to stdout must not reach the channel
    try:
        session = Session()
        answer: dict[str, Any] = {"failed": False, "version": session.version()}
    except Exception as error:
        answer = {"failed": True, "messages": [f"{type(error).__name__}: {error}"]}
    while True:
        pickle.dump(answer, answers)
        answers.flush()
        try:
            job = pickle.load(jobs)
        except EOFError:
            return
        try:
            answer = session.run(job)
        except Exception as error:
            answer = {"failed": True, "messages": [f"{type(error).__name__}: {error}"]}


if __name__ == "__main__":
    sys.setrecursionlimit(10_000)
    main()
