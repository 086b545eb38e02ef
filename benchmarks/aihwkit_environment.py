"""An environment of its own for aihwkit, made once in the user's cache, and the timing done inside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import torch

WORKER = Path(__file__).parent / "aihwkit_worker.py"
# 1.2.0 comes as source and needs OpenBLAS to build; 1.1.0 is the newest with a wheel.
VERSIONS = ("1.2.0", "1.1.0")


def folder() -> Path:
    """Where the environment lies."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return cache / "devicekit" / f"aihwkit-python{sys.version_info.major}.{sys.version_info.minor}"


def is_there() -> bool:
    """Whether an environment was made before, or is given."""
    return "DEVICEKIT_AIHWKIT_PYTHON" in os.environ or (folder() / "ready").exists()


def prepare() -> tuple[Path | None, list[str]]:
    """Return the Python of an environment with aihwkit, and what was tried without success.

    An environment named by the variable DEVICEKIT_AIHWKIT_PYTHON is taken as it is.
    """
    given = os.environ.get("DEVICEKIT_AIHWKIT_PYTHON")
    if given:
        return Path(given), []
    python = folder() / "bin" / "python"
    failures_file = folder() / "failures.json"
    if (folder() / "ready").exists():
        return python, list(json.loads(failures_file.read_text()))
    venv.create(folder(), with_pip=True, clear=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    failures = []
    needs = [f"torch=={torch.__version__}", "scipy", "requests", "protobuf", "tqdm", "scikit-learn"]
    done = subprocess.run([*install, *needs], capture_output=True, text=True, check=False)
    if done.returncode:
        return None, [f"torch {torch.__version__}: {_reason(done.stderr)}"]
    for version in VERSIONS:
        done = subprocess.run(
            [*install, "--no-deps", f"aihwkit=={version}"], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            failures_file.write_text(json.dumps(failures))
            (folder() / "ready").touch()
            return python, failures
        failures.append(f"aihwkit {version}: {_reason(done.stdout + done.stderr)}")
    return None, failures


def _reason(output: str) -> str:
    """The first line of an installer's output that names an error, with the line after a bare CMake location."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for index, line in enumerate(lines):
        if "CMake Error" in line:
            return f"{line} {lines[index + 1] if index + 1 < len(lines) else ''}".strip()
    return next((line for line in lines if "rror" in line), lines[-1] if lines else "no output")


def time_network(
    network: torch.nn.Module, images: torch.Tensor, rounds: int, *, training: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """Time evaluations of a network there, or steps of its training.

    Args:
        network: ResNet-20 with batch norm folded.
        images: (images, channels, height, width).
        rounds: how often.
        training: whether steps of training are timed.

    Returns:
        What the worker printed (empty where it could not run), and what failed before.
    """
    python, failures = prepare()
    if python is None:
        return {}, failures
    with tempfile.TemporaryDirectory() as work:
        torch.save(network.state_dict(), Path(work) / "weights.pt")
        torch.save(images, Path(work) / "images.pt")
        done = subprocess.run(
            [str(python), str(WORKER), work, str(rounds), *(["training"] if training else [])],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
        )
    if done.returncode:
        return {}, [*failures, _reason(done.stderr)]
    return json.loads(done.stdout.splitlines()[-1]), failures
