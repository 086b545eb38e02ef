"""Size the peripherals of designs for their line currents, simulate and record them (an hour of processor; ngspice).

Points already simulated are kept beside each record, so that an interrupted run goes on.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from circuits import load_design
from circuits.peripherals import load_parameters, simulate_grid, size_peripherals
from circuits.peripherals.sizing import parameters_for, recorded_loads
from devicekit.common.paths import data_path


def main(names: list[str]) -> None:
    """Write ``data/peripherals/DESIGN.grid.json`` of the designs named, by default of all with recorded loads."""
    base, loads = load_parameters("sonos_40nm"), recorded_loads()
    for name in names or list(loads):
        design = load_design(name)
        nominal = parameters_for(base, design)
        sizing = size_peripherals(nominal, loads[name], f"design {name}")
        kept = Path(tempfile.gettempdir()) / f"devicekit-{name}.points.json"

        def show(done: int, points: int, name: str = name) -> None:
            print(f"{name}: {done} of {points} points", file=sys.stderr, flush=True)

        grid = simulate_grid(sizing.apply(nominal), sizing, design, kept=kept, progress=show)
        grid.save(data_path("peripherals") / f"{name}.grid.json")
        kept.unlink(missing_ok=True)


if __name__ == "__main__":
    main(sys.argv[1:])
