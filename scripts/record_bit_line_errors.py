"""Record the error map of the bit-line models that ships with the package, and its figure (minutes; needs ngspice)."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from circuits import SpiceCell
from circuits.bit_line.figure import plot_envelope
from circuits.bit_line.line_errors import error_map
from devicekit.common.paths import data_path, replacing

COLUMNS, PATTERNS, SEED = 8, 32, 0


def _step(done: int, total: int) -> None:
    print(f"\r{done}/{total}", end="", file=sys.stderr, flush=True)


def main() -> None:
    """Solve the maps and write ``data/circuits/bit_line_errors.csv``."""
    common = {"columns": COLUMNS, "patterns": PATTERNS, "seed": SEED, "progress": _step}
    rows, wires = (36, 72, 144, 288, 576, 1152, 2304), (1e-7, 1e-6, 1e-5, 1e-4)
    frames = [
        error_map(rows, wires, (0.1, 0.5), (0.002, 0.02, 0.1), **common).assign(transistor="ekv"),
        error_map(rows, wires, (0.1, 0.5), (0.25, 0.5), "offset", **common).assign(transistor="ekv"),
    ]
    card = SpiceCell(library=data_path("circuits/example_nmos.lib"), model="example_nmos", instance="w=1u l=200n")
    for conductances, pairing in (((0.002, 0.02, 0.1), "differential"), ((0.25, 0.5), "offset")):
        table = error_map(rows, wires, (0.5,), conductances, pairing, transistor=card, **common)
        frames.append(table.assign(transistor="bsim4"))
    with replacing(data_path("circuits") / "bit_line_errors.csv") as path:
        pd.concat(frames, ignore_index=True).to_csv(path, index=False, float_format="%.6g")
    figure, _ = plot_envelope(frames[0], gain_removed=True)
    with replacing(Path(__file__).parent.parent / "docs" / "bit_line_envelope.png") as path:
        figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
