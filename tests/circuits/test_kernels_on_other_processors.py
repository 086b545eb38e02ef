"""Kernels with vectors as they are compiled for other processors, against plain loops in C.

On x86 the forms for any processor are forced elsewhere (`most=0`, `Convolution(width=4)`). ARM's compiler turns the
same source into NEON, contracts products and sums, and has no sign in `char`: an emulator runs that.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from circuits import native

ROOT = Path(__file__).parents[2]
DRIVERS = sorted((ROOT / "tests" / "native").glob("*.c"))
ARM_COMPILER, ARM = "aarch64-linux-gnu-gcc", "qemu-aarch64"


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda path: path.stem)
def test_kernels_here(driver, compiler, tmp_path):
    compile_driver(compiler, driver, tmp_path / "driver")
    run(str(tmp_path / "driver"))


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda path: path.stem)
def test_kernels_on_arm(driver, tmp_path):
    missing = [name for name in (ARM_COMPILER, ARM) if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no ARM compiler and emulator: {' and '.join(missing)} missing")
    compile_driver(ARM_COMPILER, driver, tmp_path / "driver", "-static")
    run(ARM, str(tmp_path / "driver"))


def compile_driver(compiler, driver, target, *flags):
    """Compile a driver, which includes its kernel's source, with that kernel's flags."""
    (kernel,) = (path for package in ("circuits", "accuracy") for path in (ROOT / package).rglob(f"{driver.stem}.c"))
    command = [compiler, *native.compiler_flags(kernel), *flags, str(driver), "-o", str(target), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def run(*command):
    """Run a driver, which says what it found, and fails where that is wrong."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
