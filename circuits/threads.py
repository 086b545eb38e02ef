"""C kernels over all cores: how many threads, whose they are, and how work is dealt to them.

As many threads as torch is set to (`torch.set_num_threads`), from the pool of torch's own OpenMP library, so that a
process has one pool. Where torch was not imported, or came with other threads, they are started for each call, as many
as OMP_NUM_THREADS or the processors that the process may use. So they are in a process that was forked, too: OpenMP's
pool stayed behind in its parent. A kernel computes each output alone, so their number changes no result.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from circuits.native import load_library, processors

_SOURCE = Path(__file__).with_name("threads.c")
_PIECES = 4
"""Pieces a thread takes in the mean, so that one that is held up does not hold up the others."""


def thread_count() -> int:
    """Return how many threads a kernel runs on."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_num_threads"):
        return max(1, int(torch.get_num_threads()))
    return _default_count()


@cache
def _default_count() -> int:
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return processors()


def share(
    function: Any, job: ctypes.Structure, total: int, least: int = 1, step: int = 1, threads: int | None = None
) -> int:
    """Run a C function ``int64_t f(job, first, last, thread)`` over 0..total and return the sum of what it returns.

    Args:
        function: of a library loaded with ctypes. Runs at the same time on several threads, each on its own part of
            the range; `thread` is below `thread_count` and belongs to one of them at a time.
        job: a structure, handed on by its address.
        total: length of the range.
        least: shortest part worth a thread of its own.
        step: parts are a multiple of this, but for the last.
        threads: the most to use, where the job has room for so many; `thread_count` by default.
    """
    threads, library = thread_count() if threads is None else threads, _library()
    piece = max(least, -(-total // (_PIECES * threads)))
    piece = -(-piece // step) * step
    if library is None:
        function.argtypes, function.restype = (ctypes.c_void_p, *[ctypes.c_int64] * 3), ctypes.c_int64
        return int(function(ctypes.byref(job), 0, total, 0))
    return int(
        library.share(ctypes.cast(function, ctypes.c_void_p), ctypes.addressof(job), total, piece, threads, _team())
    )


def source_of_threads() -> str:
    """Return where threads come from, in words."""
    if _library() is None:
        return "one thread (no compiler)"
    return "torch's OpenMP pool" if _team() else "threads started for each call"


@cache
def _library() -> ctypes.CDLL | None:
    library = load_library(_SOURCE)
    if library is not None:
        library.share.argtypes = [ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
        library.share.restype = ctypes.c_int64
        library.forget_calls.restype = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)
    return library


_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True
    library = _library()
    assert library is not None
    library.forget_calls()


def _team() -> int | None:
    """Address of the function that runs work on the threads of torch's OpenMP library; None where there is none."""
    return None if _forked or "torch" not in sys.modules else _team_of_torch()


@cache
def _team_of_torch() -> int | None:
    torch: Any = sys.modules["torch"]
    own = Path(torch.__file__).resolve().parent
    maps = Path("/proc/self/maps")
    if maps.exists():
        loaded = {line.split(maxsplit=5)[-1].strip() for line in maps.read_text().splitlines() if "omp" in line}
    else:
        loaded = {str(path) for path in (own / "lib").glob("lib*omp*")}
    named = [path for path in loaded if Path(path).name.startswith(("libgomp", "libomp", "libiomp"))]
    # Another package may have brought an OpenMP library of its own: torch's is the one whose pool is warm.
    for path in sorted(named, key=lambda path: not path.startswith(str(own))):
        try:
            return ctypes.cast(ctypes.CDLL(path).GOMP_parallel, ctypes.c_void_p).value
        except (OSError, AttributeError):
            continue
    return None
