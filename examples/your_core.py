"""A core as built, from one file: the same cells, wires, ADC and trim in what it costs and in what a network loses."""

import sys
from pathlib import Path

import accuracy
from circuits import load_core
from energy import estimate_core

out = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
file = Path(__file__).with_name("your_cores.toml")

trimmed, sar = load_core(f"{file}:trimmed"), load_core(f"{file}:sar")
fresh = trimmed.replace(name="fresh", age=0, temperature=None)

network = accuracy.networks.load("digits_cnn")
digits = accuracy.data_sets.load("digits")
training = list(digits.batches("calibration", limit=200))
test = list(digits.batches("test", limit=100))

print("core       accuracy [%]   energy [fJ/op]   area [mm2]")
for core in (fresh, trimmed, sar):
    model = accuracy.calibrate(accuracy.convert(network, core), training)
    # The core's own corrections are made; they need data that the chip is run on.
    found = accuracy.evaluate(model, test, trials=3, correction_batches=training)
    cost = estimate_core(core)
    print(f"{core.name:10s} {100 * found.mean:9.2f} {cost.energy_fj_per_op:16.2f} {cost.area_mm2:14.3f}")

path = sar.save(out / "sar.toml")
print(f"Everything the core {sar.name!r} is made of: {path}")
