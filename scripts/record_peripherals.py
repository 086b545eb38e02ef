"""Record the characterisations of the peripherals that ship with the package, one a use (minutes; needs ngspice)."""

from __future__ import annotations

import sys
from pathlib import Path

from circuits.peripherals import characterize, parameter_names, sweep, with_intervals
from devicekit.common.paths import data_path, replacing

USES: tuple[tuple[bool, int | None], ...] = ((False, None), (True, None), (False, 1), (True, 1))
"""Unsigned or not, and bits before one conversion (None: all of them, accumulated)."""
PICTURED = "sonos_40nm"
"""The parameter set whose first use is drawn in the documentation."""


def main() -> None:
    """Characterise every parameter set for every use and write ``data/peripherals/NAME.model.json``."""
    for name in parameter_names():
        for unsigned, input_bits in USES:
            run = characterize(name, unsigned=unsigned, input_bits=input_bits)
            nominal = run.model
            if name == PICTURED and (unsigned, input_bits) == USES[0]:
                with replacing(Path(__file__).parent.parent / "docs" / "peripherals.png") as path:
                    run.plot()[0].savefig(path, dpi=100)
            others = sweep(name, unsigned=unsigned, input_bits=input_bits)
            path = data_path("peripherals") / f"{nominal.name}.model.json"
            with_intervals(nominal, others).save(path)
            print(path.name, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
