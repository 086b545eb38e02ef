"""The C kernels under the address and undefined-behaviour sanitizers, with random shapes."""

import os
import subprocess
import sys
from pathlib import Path

from circuits import native

SCRIPT = Path(__file__).with_name("sanitized_kernels.py")


def run(folder, script, *arguments):
    """Run a script with the sanitizers' library loaded before Python, as they want it."""
    preload = subprocess.run(
        [native.find_compiler(), "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    environment = {
        **os.environ,
        "LD_PRELOAD": preload,
        # Python and torch free little at exit, and torch maps far more than it uses.
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "DEVICEKIT_SANITIZE": "1",
        "XDG_CACHE_HOME": str(folder),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.run(
        [sys.executable, str(script), *arguments], env=environment, capture_output=True, text=True, timeout=500
    )


def test_no_access_out_of_bounds_on_random_shapes(compiler, tmp_path):
    found = run(tmp_path, SCRIPT, "25")
    assert found.returncode == 0, found.stderr[-3000:]
    done, *loaded = found.stdout.split()
    assert done == "done"
    assert {
        "bit_line",
        "bit_line_affine",
        "bit_serial",
        "cells",
        "convolution",
        "elementwise",
        "normals",
        "periphery",
        "threads",
    } <= set(loaded)


def test_the_sanitizers_see_an_access_out_of_bounds(compiler, tmp_path):
    (tmp_path / "kernel.c").write_text("double at(const double *x, long i) { return x[i]; }\n")
    (tmp_path / "script.py").write_text(
        "import ctypes, sys\nfrom pathlib import Path\nfrom circuits import native\n"
        f"library = native.load_library(Path({str(tmp_path / 'kernel.c')!r}))\n"
        "libc = ctypes.CDLL(None)\nlibc.malloc.restype = ctypes.c_void_p\n"
        "library.at.argtypes = [ctypes.c_void_p, ctypes.c_long]\nlibrary.at(libc.malloc(80), int(sys.argv[1]))\n"
    )
    assert run(tmp_path, tmp_path / "script.py", "9").returncode == 0
    beyond = run(tmp_path, tmp_path / "script.py", "10")
    assert beyond.returncode != 0
    assert "heap-buffer-overflow" in beyond.stderr
