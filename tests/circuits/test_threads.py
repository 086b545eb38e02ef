"""Kernels over several threads: every part once, the same bits for any number of threads, whoever calls.

That no number of threads changes a result is the law here: outputs are computed one by one, and counts are integers.
"""

import ctypes
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from circuits import PreparedCells, native, solve_bit_lines, solve_bit_serial, threads

MARKING = """
#include <stdint.h>
struct job { int32_t *seen; int64_t *by_thread; };
int64_t mark(struct job *j, int64_t first, int64_t last, int64_t thread)
{
    int64_t sum = 0;
    for (int64_t i = first; i < last; i++) {
        j->seen[i]++;
        sum += i;
        for (volatile int k = 0; k < 50; k++) {}
    }
    j->by_thread[thread] += last - first;
    return sum;
}
"""


class Job(ctypes.Structure):
    _fields_ = (("seen", ctypes.c_void_p), ("by_thread", ctypes.c_void_p))


@pytest.fixture
def set_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def marking(tmp_path_factory):
    if native.find_compiler() is None:
        pytest.skip("no compiler")
    source = tmp_path_factory.mktemp("kernel") / "marking.c"
    source.write_text(MARKING)
    return native.load_library(source)


@pytest.mark.parametrize("pool", ["torch's", "own", "none"])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_part_is_taken_once(marking, set_threads, monkeypatch, pool, count):
    if pool == "own":
        monkeypatch.setattr(threads, "_team", lambda: None)
    if pool == "none":
        monkeypatch.setattr(threads, "_library", lambda: None)
    set_threads(count)
    assert threads.thread_count() == count
    for total, least, step in ((0, 1, 1), (1, 1, 1), (1000, 10, 1), (1001, 1, 64), (5000, 4000, 7)):
        seen, by_thread = np.zeros(total + 1, np.int32), np.zeros(count, np.int64)
        found = threads.share(marking.mark, Job(seen.ctypes.data, by_thread.ctypes.data), total, least, step)
        assert found == total * (total - 1) // 2
        assert (seen[:total] == 1).all()
        assert seen[total] == 0
        assert by_thread.sum() == total


ALONE = """
import os
from pathlib import Path
import torch
from circuits import threads

def libraries():
    names = map(os.path.basename, Path("/proc/self/maps").read_text().split())
    return sorted({name for name in names if name.startswith(("libgomp", "libomp", "libiomp"))})

print(libraries(), threads.source_of_threads(), libraries(), sep="\\n")
"""


def test_threads_come_from_the_one_openmp_library_that_torch_loaded():
    """A second OpenMP library would bring a second pool of threads that fights the first for the processors.

    In a process of its own: whatever else was imported in this one may have brought a library.
    """
    if not Path("/proc/self/maps").exists() or "OpenMP" not in torch.__config__.parallel_info():
        pytest.skip("torch has no OpenMP, or nobody says what is loaded")
    found = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    before, source, after = found.stdout.splitlines()
    assert source == "torch's OpenMP pool"
    assert before == after
    assert before.count("lib") == 1


def solutions():
    """Bit lines of every precision and cell, large enough that several threads get a part."""
    rng = np.random.default_rng(5)
    cells, digits = rng.random((150, 37)) ** 3, rng.integers(0, 256, (700, 150)).astype(np.uint8)
    single, active = cells.astype(np.float32), digits > 100
    prepared = PreparedCells(single)
    return [
        *(solve_bit_lines(values, active, 1e-4) for values in (single, cells)),
        *(solve_bit_serial(values, digits, 1e-4) for values in (single, cells)),
        *(solve_bit_serial(values, digits, 1e-4, 8, 2.0 ** np.arange(8)) for values in (single, cells)),
        *(solve_bit_lines(prepared, active, 1e-4, cell) for cell in ("affine", "relinearised")),
    ]


def test_no_number_of_threads_changes_a_bit_line(set_threads):
    found = {}
    for count in (1, 2, 3):
        set_threads(count)
        found[count] = solutions()
    for one, two, three in zip(*found.values(), strict=True):
        assert one.tobytes() == two.tobytes() == three.tobytes()


def test_calls_from_several_threads_at_once(set_threads):
    set_threads(2)
    expected = [part.tobytes() for part in solutions()]
    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(lambda _: solutions(), range(6)):
            assert [part.tobytes() for part in found] == expected


FORKED = """
import os, sys
sys.path.insert(0, {folder!r})
import torch
torch.set_num_threads(2)
torch.rand(1000, 1000) @ torch.rand(1000, 1000)
from test_threads import solutions
from circuits import threads
expected = [part.tobytes() for part in solutions()]
child = os.fork()
if child == 0:
    same = [part.tobytes() for part in solutions()] == expected
    os._exit(0 if same and threads.source_of_threads() == "threads started for each call" else 1)
assert os.waitpid(child, 0)[1] == 0
assert [part.tobytes() for part in solutions()] == expected
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_a_forked_process_does_not_wait_for_threads_that_stayed_behind(compiler):
    script = FORKED.format(folder=str(Path(__file__).parent))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-2000:]


def test_without_torch_as_many_threads_as_the_environment_says(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    threads._default_count.cache_clear()
    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        assert threads.thread_count() == 3
        assert threads.source_of_threads() in ("threads started for each call", "one thread (no compiler)")
        threads._default_count.cache_clear()
        monkeypatch.delenv("OMP_NUM_THREADS")
        assert threads.thread_count() == len(os.sched_getaffinity(0))
    finally:
        threads._default_count.cache_clear()
