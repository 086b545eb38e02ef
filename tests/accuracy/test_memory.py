"""Memory of networks on arrays, measured in a process of its own: bytes a weight beyond the network's own weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from circuits import load_designs

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")

HERE = Path(__file__).parent


def measured(script: str, *arguments: object) -> dict[str, float]:
    # Freed memory goes back to the system at once, so that what is resident is what is in use.
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_MMAP_THRESHOLD_": "65536"}
    settings["PYTHONPATH"] = os.pathsep.join([str(HERE.parent.parent), settings.get("PYTHONPATH", "")])
    words = [sys.executable, str(HERE / script), *map(str, arguments)]
    found = subprocess.run(words, env=settings, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    result: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    return result


def available() -> int:
    """Memory that may be had [B]."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024


def test_design_a_holds_six_bytes_a_weight_and_ten_at_the_peak() -> None:
    """One integer a weight after programming; with the kernel's float32 weights after a run."""
    found = measured("memory_of_conversion.py", "A", "sonos_40nm_tcas2022", 2048, 2048, 3)
    assert found["convert_held"] < 2, found
    assert max(value for name, value in found.items() if name.endswith("_held")) < 6, found
    assert max(value for name, value in found.items() if name.endswith("_peak")) < 10, found


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_transformer_of_a_billion_weights_runs_in_16_gib() -> None:
    if available() < 12 * 2**30:
        pytest.skip("no 16 GiB of memory: the network alone takes 4")
    found = measured("memory_of_conversion.py", "A", "sonos_40nm_tcas2022", 2048, 20)
    assert found["weights"] > 1e9
    assert found["peak_bytes"] < 16 * 2**30, found
    assert max(value for name, value in found.items() if name.endswith("_held")) < 6, found
    assert max(value for name, value in found.items() if name.endswith("_peak")) < 10, found


def test_design_e_holds_bytes_in_proportion_to_its_cells() -> None:
    """Less than a byte a cell after programming; after a run what the look-up takes, a float32 a cell."""
    cells = load_designs("xiao2022")["E"].slices
    found = measured("memory_of_conversion.py", "E", "sonos_40nm_tcas2022", 2048, 2048, 2)
    assert found["convert_held"] < cells, found
    assert found["convert_peak"] < 2 * cells, found
    assert found["run_held"] < 6 * cells, found
