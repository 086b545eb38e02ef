"""Write the handwritten digits as an archive of our own, ``data/digits/digits.npz``; licence in the README beside it.

Run from the project's root: ``python scripts/extract_digits.py``. Needs scikit-learn (``pip install scikit-learn``),
which carries the test part of UCI's set; nothing else of this project does. The stored file is the authority; this
script says how it was made.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from devicekit.common.paths import replacing

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "digits" / "digits.npz"


def main() -> None:
    """Write images uint8 (1797, 8, 8), 0 to 16, and labels uint8 (1797,)."""
    raw = load_digits()
    images = raw.images.astype(np.uint8)
    assert np.array_equal(images, raw.images), "grey levels are whole numbers"
    with replacing(OUTPUT) as path, path.open("wb") as file:
        np.savez_compressed(file, images=images, labels=raw.target.astype(np.uint8))


if __name__ == "__main__":
    main()
