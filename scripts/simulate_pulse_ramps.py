"""Make the bundled update curves: soft bounds of made-up devices, which a fit has to find again."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from devicekit.pulses.update_models import UpdateBranch, UpdateModel

MODEL = UpdateModel(
    "soft_bounds", 10e-6, 40e-6, UpdateBranch(0.7e-6), UpdateBranch(0.9e-6), 0.4, "multiplicative", 0.3e-6
)
DEVICES, CYCLES, PULSES = 4, 3, 48
STEP_SPREAD, BOUND_SPREAD = 0.2, 1.5e-6

HEADER = f"""# kind = simulated
# source = scripts/simulate_pulse_ramps.py, seed 0: soft bounds, 10 to 40 uS, steps of 0.7 uS up and 0.9 uS down in the
#   middle, noise of a pulse {MODEL.pulse_noise:g} of its step, of a read {MODEL.read_noise * 1e6:g} uS; steps vary by
#   {STEP_SPREAD:.0%} and bounds by {BOUND_SPREAD * 1e6:g} uS from device to device
"""


def main(path: Path) -> None:
    """Write the curves to a file."""
    rng = np.random.default_rng(0)
    rows = []
    for device in range(DEVICES):
        factor = float(np.exp(STEP_SPREAD * rng.standard_normal()))
        own = replace(
            MODEL,
            g_min=MODEL.g_min + 0.3 * BOUND_SPREAD * float(rng.standard_normal()),
            g_max=MODEL.g_max + BOUND_SPREAD * float(rng.standard_normal()),
            up=UpdateBranch(factor * MODEL.branch(True).step),
            down=UpdateBranch(factor * MODEL.branch(False).step),
        )
        now = own.g_min + 0.05 * own.range
        for cycle in range(CYCLES):
            for up in (True, False):
                ramp = own.ramp(now, PULSES, up, rng)
                now = float(np.clip(ramp[-1], own.g_min, own.g_max))
                rows += [(device, cycle, "up" if up else "down", n, value * 1e6) for n, value in enumerate(ramp)]
    lines = [f"{device},{cycle},{way},{n},{value:.3f}" for device, cycle, way, n, value in rows]
    path.write_text(HEADER + "device,cycle,direction,pulse,G (uS)\n" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
