"""A lab's file of cell currents becomes a cell that every other part of devicekit can use."""

import sys
from pathlib import Path

import numpy as np

import devicekit

out = Path(sys.argv[1] if len(sys.argv) > 1 else ".")

# A file as a lab writes it: one row a cell, units in the header. Here it is made up: 20 states of 80 cells, whose
# spread grows with the current and then levels off.
rng = np.random.default_rng(7)
target = np.repeat(np.linspace(0.05, 2.0, 20), 80)
current = rng.normal(target, 0.06 * (1 - np.exp(-target / 0.6)))
file = out / "cells.csv"
np.savetxt(
    file, np.column_stack([target, current]), fmt="%.5f", delimiter=",", header="target (uA),Id (uA)", comments=""
)

measurements = devicekit.read_measurements(file)
fit = devicekit.fit_device(measurements, read_voltage="0.1 V", on_off_ratio=1e4, name="my_cell")
print(fit.summary())

figure, _ = fit.plot()
figure.savefig(out / "fit.png", dpi=120)
fit.save(out / "my_cell.toml")

# The file is a device like any other: give its path wherever a device is asked for.
cell = devicekit.load_device(out / "my_cell.toml")
print(f"At 1 uA a cell is off by {1e9 * cell.sigma(1e-6):.1f} nA (made with {60 * (1 - np.exp(-1 / 0.6)):.1f} nA).")
