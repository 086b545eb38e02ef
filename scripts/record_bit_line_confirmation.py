"""Record the ngspice confirmation of the bit line that is shown, labelled as recorded, where ngspice is absent."""

from __future__ import annotations

import json

from circuits import confirm_bit_line
from circuits.spice import simulator as spice
from devicekit.common.paths import data_path, replacing


def main() -> None:
    """Run ngspice and write ``data/circuits/bit_line_confirmation.json``."""
    spice.require_spice()
    seed = 0
    result = confirm_bit_line(seed=seed)
    values = {
        "ngspice_version": result.ngspice_version,
        "relative_difference": result.relative_difference,
        "cells": result.cells,
        "seed": seed,
        "made_by": "scripts/record_bit_line_confirmation.py",
    }
    with replacing(data_path("circuits") / "bit_line_confirmation.json") as path:
        path.write_text(json.dumps(values, indent=2) + "\n")


if __name__ == "__main__":
    main()
