"""Cells with known truth, and writers of them in layouts that labs use: for tests of reading foreign files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pandas as pd

TARGETS = np.array([0.0, 100.0, 200.0, 400.0, 600.0, 800.0])
SPREADS = np.array([2.0, 8.0, 12.0, 18.0, 20.0, 22.0])
CELLS = 40


def made(targets: np.ndarray = TARGETS, cells: int = CELLS, seed: int = 7) -> pd.DataFrame:
    """Return cells with columns target and current [nA], and the number of the cell in its state."""
    spreads = np.interp(targets, TARGETS, SPREADS)
    target = np.repeat(targets, cells)
    current = np.random.default_rng(seed).normal(target, np.repeat(spreads, cells)).round(3)
    return pd.DataFrame({"target": target, "current": current, "cell": np.tile(np.arange(cells), len(targets))})


def truth(frame: pd.DataFrame) -> pd.DataFrame:
    """Return mean and spread [nA] and number of cells of each target of `made`."""
    return frame.groupby("target")["current"].agg(["mean", "std", "size"])


def biff2(path: Path, rows: list[list[object]]) -> None:
    """Write rows as a sheet of the oldest Excel format (BIFF2), which needs no container."""
    parts = [struct.pack("<HHHH", 0x0009, 4, 2, 0x10)]
    for row, entries in enumerate(rows):
        for column, entry in enumerate(entries):
            place = struct.pack("<HH3s", row, column, b"\0\0\0")
            if isinstance(entry, str):
                text = entry.encode("latin-1")
                body = place + struct.pack("<B", len(text)) + text
                parts.append(struct.pack("<HH", 0x0004, len(body)) + body)
            else:
                body = place + struct.pack("<d", float(entry))  # type: ignore[arg-type]
                parts.append(struct.pack("<HH", 0x0003, len(body)) + body)
    parts.append(struct.pack("<HH", 0x000A, 0))
    path.write_bytes(b"".join(parts))
