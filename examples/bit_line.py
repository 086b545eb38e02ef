"""What wire resistance does to the current of a column, and which model of the cell may be trusted."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from circuits import confirm_bit_line, solve_bit_lines

out = Path(sys.argv[1] if len(sys.argv) > 1 else ".")

rng = np.random.default_rng(0)
rows, columns, patterns = 1152, 8, 32
conductance = rng.exponential(0.02, size=(rows, columns)).clip(0, 1)
active = rng.random((patterns, rows)) < 0.5
ideal = active @ conductance

resistances = np.logspace(-7, -4, 10)
models = {"resistor": "cell as a resistor", "affine": "affine cell", "relinearised": "affine, re-linearised once"}
errors = {model: [] for model in models}
losses = []
for r_p_hat in resistances:
    exact = solve_bit_lines(conductance, active, r_p_hat, cell="transistor")
    losses.append(np.mean(1 - exact / ideal))
    for model in models:
        solved = solve_bit_lines(conductance, active, r_p_hat, cell=model)
        errors[model].append(np.mean(np.abs(solved / exact - 1)))

figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
axes.loglog(resistances, losses, ":", color="0.4", label="current lost in the wire")
for model, label in models.items():
    axes.loglog(resistances, np.maximum(errors[model], 1e-12), "o-", ms=4, label=label)
axes.set(
    xlabel="bit-line resistance between cells over the least cell resistance", ylabel="relative error of the current"
)
axes.grid(alpha=0.3)
axes.legend()
figure.savefig(out / "bit_line.png", dpi=120)

at = int(np.argmin(np.abs(resistances - 1e-5)))
print(f"{rows} cells, half of the inputs on, R_p_hat = {resistances[at]:.0e}: {losses[at]:.1%} of the current is lost.")
for model, label in models.items():
    print(f"  {label:28s} is wrong by {errors[model][at]:.2e} of the current")
check = confirm_bit_line()
how = "recorded earlier" if check.recorded else "run now"
print(
    f"ngspice {check.ngspice_version} ({how}) and the solver differ by {check.relative_difference:.1e} of the current."
)
