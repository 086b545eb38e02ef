"""Conductance against pulse number becomes an update model, and the files that other simulators read."""

import sys
from pathlib import Path

import devicekit

out = Path(sys.argv[1] if len(sys.argv) > 1 else ".")

# Four simulated devices, three ramps up and three down of each: the file says how it was made, and what with.
data = devicekit.read_pulses(devicekit.data_path("pulses/soft_bounds_simulated.csv"))
fit = devicekit.fit_pulses(data, "soft_bounds")
print(fit.summary())

figure, _ = fit.plot()
figure.savefig(out / "update.png", dpi=120)

# What training needs of it: a preset device of aihwkit, lookup tables of CrossSim.
print("aihwkit:", fit.to_aihwkit(out / "preset.py", "MyDevice"))
print("CrossSim:", *fit.to_crosssim(out / "lut"))

# The model by itself: where up and down pulses cancel, and one device over fifty pulses.
model = fit.model
print(f"Up and down cancel at {1e6 * model.symmetry_point:.1f} uS.")
ramp = model.ramp(12e-6, 50, up=True, seed=1)
print(f"Fifty pulses up from 12 uS: {1e6 * ramp[-1]:.1f} uS.")
