"""The whole chain from Python, with core designs of your own: one table and one page."""

import csv
import sys
from pathlib import Path

from reports import Study, run_study

out = Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "your_study"

study = Study.load(Path(__file__).with_name("your_study.toml"))
page = run_study(study, out)

with (out / "table.csv").open() as file:
    for row in csv.DictReader(file):
        print(
            f"{row['design']:16s} {float(row['accuracy_device_percent']):6.2f} % "
            f"{float(row['energy_fj_per_op']):7.2f} fJ/op {float(row['area_mm2']):6.2f} mm2"
        )
print(f"The page: {page}")
