"""Core designs by the hundred, priced at once: what rows, slices and ADC bits cost, and which lose the least."""

import itertools

import numpy as np
import pandas as pd

from circuits import CoreDesign
from energy import estimate_designs

fields = ("max_rows", "bits_per_cell", "adc_bits", "input_accumulation")
choices = ((72, 144, 288, 576, 1152), (1, 2, 4, 7), (6, 7, 8, 9, 10), ("analog", "digital"))
grid = pd.DataFrame(list(itertools.product(*choices)), columns=list(fields))
grid["weight_bits"], grid["bits_per_input_slice"] = 8, 1

costs = estimate_designs(grid)
table = grid.join(costs[["energy_fj_per_op", "area_mm2", "latency_ns"]])
# How many bits of the ideal result the ADC throws away. Accuracy tolerates some: see `devicekit report`.
b_out = [CoreDesign(name="grid", **row).b_out for row in grid.to_dict(orient="records")]
table["bits_lost"] = np.maximum(np.array(b_out) - table["adc_bits"], 0.0)

print(f"{len(table)} designs; the one of least energy that throws away at most so many bits:")
for limit in (20, 16, 12, 8, 4, 2):
    kept = table[table["bits_lost"] <= limit]
    if len(kept):
        best = kept.loc[kept["energy_fj_per_op"].idxmin()]
        print(
            f"  {limit:2d} bits: {best['max_rows']:4d} rows, {best['bits_per_cell']} bits a cell, "
            f"{best['adc_bits']:2d}-bit ADC, {best['input_accumulation']:7s} accumulation: "
            f"{best['energy_fj_per_op']:7.1f} fJ/op {best['area_mm2']:6.2f} mm2 {best['latency_ns']:6.0f} ns"
        )
