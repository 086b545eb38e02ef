"""Make measurements of 40 nm SONOS cells from their published statistics: raw histograms are not public.

    python scripts/resample_sonos_measurements.py [FILE]

For each of the 16 programmed states of `data/devices/sonos_40nm_tcas2022.toml`, 64 cells are drawn from the measured
mean current and the published spread. Fitting them is a round trip: it proves the fit, not the device.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import devicekit
from devicekit.mean_shifts import TableShift
from devicekit.paths import replacing

CELLS = 64
SEED = 0
FILE = Path(__file__).resolve().parent.parent / "data" / "measurements" / "sonos_40nm_tcas2022_resampled.csv"


def resample(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and currents [A] of 64 cells for each state, shapes (states, 64).

    Every state has a random stream of its own, so its cells do not depend on how many states there are.
    """
    cell = devicekit.load_device("sonos_40nm_tcas2022")
    shift = cell.retention.points[-1].mean
    assert isinstance(shift, TableShift)
    targets = np.array(shift.targets)
    streams = np.random.SeedSequence(seed).spawn(len(targets))
    currents = [
        cell.program(np.full(CELLS, t), np.random.default_rng(s)) for t, s in zip(targets, streams, strict=True)
    ]
    return np.repeat(targets[:, None], CELLS, axis=1), np.array(currents)


def main(file: Path) -> None:
    """Write the file."""
    targets, currents = resample(SEED)
    lines = [
        "# kind = resampled from published statistics",
        "# source = Xiao et al., IEEE TCAS-I 69(4) 2022, doi 10.1109/TCSI.2021.3134313, Fig. 4(d)-(e): mean current of"
        " 16 programmed states and spread s_max (1 - exp(-I / i_sat)) after programming",
        f"# made = scripts/resample_sonos_measurements.py: {CELLS} normal cells a state, seed {SEED}, a random"
        " stream of its own for each state",
        "# technology = sonos_40nm",
        "# i_max = 1.6 uA",
        "# on_off_ratio = 1e7",
        "# read_voltage = 0.1 V",
        "target_current (nA),current (nA)",
    ]
    lines += [f"{t * 1e9:.2f},{c * 1e9:.3f}" for t, c in zip(targets.ravel(), currents.ravel(), strict=True)]
    with replacing(file) as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FILE)
