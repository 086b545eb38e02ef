"""Make measurements of 40 nm SONOS cells from their published statistics: raw histograms are not public.

    python scripts/resample_sonos_measurements.py [FOLDER]

For each of the 16 programmed states of `data/devices/sonos_40nm_tcas2022.toml`, 64 cells are drawn from the measured
mean current and the published spread: once as programmed, once followed over the four published times, each cell
keeping its place in the distribution. Fitting them is a round trip: it proves the fit, not the device.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import devicekit
from devicekit.cells.mean_shifts import TableShift
from devicekit.common.paths import replacing

CELLS = 64
SEED = 0
DAYS = (0, 1, 2, 5)
FOLDER = Path(__file__).resolve().parent.parent / "data" / "measurements"


def resample(seed: int, days: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and currents [A] of 64 cells for each state, shapes (states, 64).

    Every state has a random stream of its own, so its cells do not depend on how many states there are.
    """
    cell = devicekit.load_device("sonos_40nm_tcas2022")
    shift = cell.retention.points[-1].mean
    assert isinstance(shift, TableShift)
    targets = np.array(shift.targets)
    then = cell.at(time=days * 86400.0)
    streams = np.random.SeedSequence(seed).spawn(len(targets))
    currents = [
        then.program(np.full(CELLS, t), np.random.default_rng(s)) for t, s in zip(targets, streams, strict=True)
    ]
    return np.repeat(targets[:, None], CELLS, axis=1), np.array(currents)


def header(what: str) -> list[str]:
    """Return the comment lines of a file."""
    return [
        "# kind = resampled from published statistics",
        "# source = Xiao et al., IEEE TCAS-I 69(4) 2022, doi 10.1109/TCSI.2021.3134313, Fig. 4(d)-(e): mean current of"
        f" 16 programmed states and spread s_max (1 - exp(-I / i_sat)) {what}",
        f"# made = scripts/resample_sonos_measurements.py: {CELLS} normal cells a state, seed {SEED}, a random"
        " stream of its own for each state",
        "# technology = sonos_40nm",
        "# i_max = 1.6 uA",
        "# on_off_ratio = 1e7",
        "# read_voltage = 0.1 V",
    ]


def main(folder: Path) -> None:
    """Write both files."""
    targets, currents = resample(SEED)
    lines = [*header("after programming"), "target_current (nA),current (nA)"]
    lines += [f"{t * 1e9:.2f},{c * 1e9:.3f}" for t, c in zip(targets.ravel(), currents.ravel(), strict=True)]
    with replacing(folder / "sonos_40nm_tcas2022_resampled.csv") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines = [*header("after 0, 1, 2 and 5 days"), "time (days),target_current (nA),current (nA)"]
    for days in DAYS:
        targets, currents = resample(SEED, days)
        lines += [f"{days},{t * 1e9:.2f},{c * 1e9:.3f}" for t, c in zip(targets.ravel(), currents.ravel(), strict=True)]
    with replacing(folder / "sonos_40nm_tcas2022_retention_resampled.csv") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
