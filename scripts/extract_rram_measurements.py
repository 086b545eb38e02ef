"""Turn the measured RRAM arrays of Levy (MIT licence) into measurement files, whole or as small extracts.

    python scripts/extract_rram_measurements.py SOURCE_FOLDER [OUT_FOLDER] [--whole]

SOURCE_FOLDER holds techB_relaxation.npz, techC_relaxation.npz, techA_bake.npz, techB_bake.npz, techA_timeseries.npz and
confusion_matrices.npz, made from github.com/akashlevy/RRAM-Relaxation-Master-Model at ca0cfff655a7. Without --whole a
few cells of every range are written, which is what the repository carries.

The target a cell was written to is not stored. Its first read stands for it, so what is fitted is the error after
relaxation. The read voltage is not stored either; 0.1 V is assumed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from devicekit.common.paths import replacing

DATA = Path(__file__).resolve().parent.parent / "data" / "measurements"
SOURCE = "Levy, RRAM-Relaxation-Master-Model (MIT), github.com/akashlevy/RRAM-Relaxation-Master-Model at ca0cfff655a7"
G_MAX = {"a": 240e-6, "b": 128e-6, "c": 40e-6}
"""Full scale of each technology [S]."""
RANGES = 32
READS = "technology A: reads of one cell in each of five ranges, 400 a second"
CELLS = 16
"""Cells of each range in an extract."""


def relaxation(folder: Path, technology: str) -> pd.DataFrame:
    """Return reads after programming: target, conductance [uS], time [s], cell; the first read is the target."""
    with np.load(folder / f"tech{technology.upper()}_relaxation.npz") as arrays:
        table = pd.DataFrame(
            {
                "cell": arrays["addr"],
                "time (s)": arrays["timepoint_s"].astype(float).round(6),
                "target (uS)": arrays["g_initial_S"].astype(float) * 1e6,
                "conductance (uS)": arrays["g_S"].astype(float) * 1e6,
            }
        )
    return table[table["time (s)"] > 0].reset_index(drop=True)


def bake(folder: Path, technology: str) -> pd.DataFrame:
    """Return reads after bakes: target (the read before it), conductance [uS], bake temperature and time, cell."""
    with np.load(folder / f"tech{technology.upper()}_bake.npz") as arrays:
        table = pd.DataFrame(
            {"cell": arrays["addr"], "temp": arrays["temp_C"], "time": arrays["time_s"], "g": arrays["g_S"] * 1e6}
        )
    table = table.sort_values(["temp", "cell", "time"], kind="stable")
    before, after = table.iloc[0::2].reset_index(drop=True), table.iloc[1::2].reset_index(drop=True)
    assert (before["cell"] == after["cell"]).all()
    assert (before["temp"] == after["temp"]).all()
    # Cells of an array are read one after the other within seconds; a bake has one nominal time.
    nominal = after.groupby("temp")["time"].transform("median").round(-1)
    return pd.DataFrame(
        {
            "cell": after["cell"],
            "bake temperature (degC)": after["temp"],
            "time (s)": nominal,
            "target (uS)": before["g"].astype(float),
            "conductance (uS)": after["g"].astype(float),
        }
    )


def traces(folder: Path) -> pd.DataFrame:
    """Return the read noise traces of technology A: 400 reads a second of one cell in each of five ranges."""
    with np.load(folder / "techA_timeseries.npz") as arrays:
        g, rate = arrays["g_S"].astype(float) * 1e6, float(arrays["fs_Hz"])
        ranges = arrays["header"][:, 0]
    times = np.arange(g.shape[1]) / rate
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "cell": int(number),
                    "time (s)": times,
                    "target (uS)": (number + 0.5) * G_MAX["a"] * 1e6 / RANGES,
                    "conductance (uS)": row,
                }
            )
            for number, row in zip(ranges, g, strict=True)
        ],
        ignore_index=True,
    )


def confusion(folder: Path, technology: str, time: str) -> pd.DataFrame:
    """Return confusion counts as histograms: cells by level of the first read (target) and of the read at `time`."""
    with np.load(folder / "confusion_matrices.npz") as arrays:
        counts = arrays[f"tech{technology.upper()}_t{time}s"]
    levels = len(counts)
    edges = np.arange(levels + 1) * G_MAX[technology] * 1e6 / levels
    center = (edges[:-1] + edges[1:]) / 2
    # The outermost levels take whatever lies beyond them: their bins are open.
    edges[0], edges[-1] = -edges[-1], 2 * edges[-1]
    target, level = np.meshgrid(np.arange(levels), np.arange(levels), indexing="ij")
    return pd.DataFrame(
        {
            "target (uS)": center[target].ravel(),
            "bin_low (uS)": edges[level].ravel(),
            "bin_high (uS)": edges[level + 1].ravel(),
            "count": counts.ravel(),
        }
    )


def some_cells(table: pd.DataFrame, technology: str) -> pd.DataFrame:
    """Return `CELLS` cells of every range up to full scale, and those of three ranges above it."""
    key = [name for name in ("bake temperature (degC)",) if name in table]
    code = np.floor(table["target (uS)"] / (G_MAX[technology] * 1e6) * RANGES).clip(upper=RANGES + 2)
    rank = table.assign(code=code).groupby([*key, "code"])["cell"].transform(lambda c: pd.factorize(c)[0])
    return table[rank < CELLS].reset_index(drop=True)


def write(table: pd.DataFrame, file: Path, technology: str, what: str, kind: str = "measured") -> None:
    """Write one measurement file with its source."""
    lines = [
        f"# kind = {kind}",
        f"# source = {SOURCE}; see RRAM_LICENSE.txt",
        f"# what = {what}",
        f"# technology = rram_levy_{technology}",
        f"# i_max = {G_MAX[technology] * 0.1 * 1e6:.4g} uA",
        "# read_voltage = 0.1 V",
        "# read_voltage_kind = assumed: the source states conductances only",
    ]
    with replacing(file) as path:
        text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        path.write_text("\n".join(lines) + "\n" + text, encoding="utf-8")


def main(source: Path, out: Path, whole: bool) -> None:
    """Write all files."""
    pick = (lambda table, _: table) if whole else some_cells
    end = "" if whole else "_extract"
    for technology in "bc":
        table = pick(relaxation(source, technology), technology)
        what = f"technology {technology.upper()}: conductance at times after the first read, which is the target"
        write(table, out / f"rram_{technology}_relaxation{end}.csv", technology, what)
    for technology in "ab":
        table = pick(bake(source, technology), technology)
        what = f"technology {technology.upper()}: conductance after a bake; the read before it is the target"
        write(table, out / f"rram_{technology}_bake{end}.csv", technology, what)
    noise = traces(source)
    # A trace begins right after programming: its last second is noise, its first one relaxation.
    noise = noise if whole else noise[noise["time (s)"] >= noise["time (s)"].max() - 1.0]
    write(noise, out / f"rram_a_read_noise{end}.csv", "a", READS)
    write(
        confusion(source, "a", "1"),
        out / "rram_a_confusion_1s.csv",
        "a",
        "technology A: cells by level of the first read and of the read after 1 s",
    )
    licence = source / "LICENSE_RRAM-Relaxation-Master-Model.txt"
    with replacing(out / "RRAM_LICENSE.txt") as path:
        path.write_text(f"The files rram_*.csv are made from {SOURCE}.\n\n{licence.read_text()}", encoding="utf-8")


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--whole"]
    main(Path(arguments[0]), Path(arguments[1]) if len(arguments) > 1 else DATA, "--whole" in sys.argv)
