"""UCI's handwritten digits (8 x 8, 17 grey levels), bundled in `data/digits` with a split into parts."""

from __future__ import annotations

import tomllib
from functools import partial

import numpy as np

from accuracy.data_sets.data_set import DataSet, Images
from accuracy.data_sets.preprocessing import Scale
from devicekit.common.paths import data_path


def read() -> DataSet:
    """Return the digits in 0..1, (batch, 1, 8, 8); parts ``train`` (also ``calibration``), ``validation``, ``test``."""
    with np.load(data_path("digits/digits.npz"), allow_pickle=False) as archive:
        pixels, labels = archive["images"][..., None], archive["labels"].astype(np.int64)
    split = tomllib.loads(data_path("digits/split.toml").read_text())
    parts = {part: Images(pixels[split[part]], labels[split[part]]) for part in ("train", "validation", "test")}
    parts["calibration"] = parts["train"]
    return DataSet(
        name="digits",
        description=(
            "UCI optical recognition of handwritten digits (test part), 8 x 8 pixels of 17 grey levels; "
            f"{len(split['train'])} training images (also for calibration), {len(split['validation'])} for "
            f"validation, {len(split['test'])} for test"
        ),
        classes=tuple(str(digit) for digit in range(10)),
        preprocess=Scale(divisor=16.0),
        readers={part: partial(parts.__getitem__, part) for part in parts},
    )
