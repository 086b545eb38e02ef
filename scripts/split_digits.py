"""Write the fixed split of the bundled digits into training, validation and test images.

Run from the project's root: ``python scripts/split_digits.py``. The stored file is the authority; this script says
how it was made.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from devicekit.common.paths import data_path, replacing

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "digits" / "split.toml"
VALIDATION, TEST = 297, 500


def split(labels: np.ndarray, seed: int = 0) -> dict[str, list[int]]:
    """Return sorted image indices of each part, every class in proportion.

    Images are shuffled within their class, then dealt out by their relative position in it, so each part of every
    class differs from proportion by at most about one image.

    Args:
        labels: class of every image (images,).
        seed: of the shuffle.
    """
    rng = np.random.default_rng(seed)
    position = np.empty(len(labels))
    for digit in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == digit))
        position[members] = (np.arange(len(members)) + rng.random()) / len(members)
    order = np.argsort(position, kind="stable")
    test, validation, train = np.split(order, [TEST, TEST + VALIDATION])
    return {
        name: sorted(part.tolist()) for name, part in (("train", train), ("validation", validation), ("test", test))
    }


def main() -> None:
    """Write the file."""
    lines = [
        'source = "the 1797 test images of UCI optdigits (Alpaydin and Kaynak 1998), in the order of digits.npz"',
        'made_by = "scripts/split_digits.py, seed 0: shuffled within each class, every class in proportion"',
    ]
    for name, indices in split(np.load(data_path("digits/digits.npz"))["labels"]).items():
        lines.append(f"{name} = [")
        lines += [f"    {', '.join(map(str, indices[i : i + 20]))}," for i in range(0, len(indices), 20)]
        lines.append("]")
    with replacing(OUTPUT) as path:
        path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
