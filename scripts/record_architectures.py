"""Record how public architectures come out on precise arrays, and the table of docs/architectures.md (minutes).

Needs timm, torchvision and transformers (``pip install 'devicekit[architectures]'``). Run from the checkout:
``python -m scripts.record_architectures``, or with names, to measure these again and keep the others.
"""

from __future__ import annotations

import sys

from devicekit.common.paths import replacing
from tests.accuracy.architectures import ARCHITECTURES, PAGE, REFERENCE, recorded, row_of, with_table, written


def main(*names: str) -> None:
    """Write ``tests/reference/architectures.csv`` and the table in the page."""
    known = {row.name: row for row in recorded()} if names else {}
    rows = []
    for number, architecture in enumerate(ARCHITECTURES, 1):
        keep = architecture.name not in names and architecture.name in known
        try:
            rows.append(known[architecture.name] if keep else row_of(architecture))
        except Exception as error:
            # The others are recorded all the same; the test misses this one.
            print(f"{number}/{len(ARCHITECTURES)} {architecture.name}: {error!r}", file=sys.stderr, flush=True)
            continue
        print(f"{number}/{len(ARCHITECTURES)} {rows[-1]}", file=sys.stderr, flush=True)
    with replacing(REFERENCE) as path:
        path.write_text(written(rows), encoding="utf-8")
    text = PAGE.read_text(encoding="utf-8")
    with replacing(PAGE) as path:
        path.write_text(with_table(text, recorded()), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
