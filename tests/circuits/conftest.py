"""What tests of circuits need of the machine: the reasons begin as the rule on skips wants them."""

import pytest

from circuits import native
from circuits.spice import simulator as spice


@pytest.fixture(scope="session")
def ngspice() -> str:
    """Ngspice's version; skips where ngspice is absent."""
    missing = spice.spice_missing()
    if missing:
        pytest.skip(f"no ngspice: {missing}")
    return spice.ngspice_version()


@pytest.fixture(scope="session")
def compiler() -> str:
    """A C compiler's path; skips where there is none."""
    path = native.find_compiler()
    if path is None:
        pytest.skip("no compiler: compiled kernels cannot be tested")
    return path
