"""Record the characterisations of the peripherals that ship with the package, one a use (minutes; needs ngspice)."""

from __future__ import annotations

import sys

from circuits.peripherals import characterize, parameter_names, sweep, with_intervals
from devicekit.paths import data_path

USES: tuple[tuple[bool, int | None], ...] = ((False, None), (True, None), (False, 1), (True, 1))
"""Unsigned or not, and bits before one conversion (None: all of them, accumulated)."""


def main() -> None:
    """Characterise every parameter set for every use and write ``data/peripherals/NAME.model.json``."""
    for name in parameter_names():
        for unsigned, input_bits in USES:
            nominal = characterize(name, unsigned=unsigned, input_bits=input_bits).model
            others = sweep(name, unsigned=unsigned, input_bits=input_bits)
            path = data_path("peripherals") / f"{nominal.name}.model.json"
            with_intervals(nominal, others).save(path)
            print(path.name, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
