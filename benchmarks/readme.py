"""The tables of this folder's README, written there by the benchmarks that measured them (`--write`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

README = Path(__file__).with_name("README.md")
_writes = False


def write_tables() -> None:
    """From now on `put` writes; without it the tables are only printed."""
    global _writes
    _writes = True


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose first column is words and whose others are numbers."""
    lines = [f"| {' | '.join(headings)} |", f"| --- |{' ---: |' * (len(headings) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def put(name: str, text: str) -> None:
    """Write a text between the README's comments ``<!-- name -->`` and ``<!-- end of name -->``.

    Args:
        name: of the place.
        text: Markdown.

    Raises:
        ValueError: the README has no such place.
    """
    if not _writes:
        return
    before = README.read_text(encoding="utf-8")
    place = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(\n<!-- end of {re.escape(name)} -->)", re.DOTALL)
    if not place.search(before):
        raise ValueError(f"{README.name} has no place named {name!r}.")
    README.write_text(place.sub(lambda found: f"{found[1]}\n{text}\n{found[2]}", before), encoding="utf-8")
