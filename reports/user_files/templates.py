"""Commented beginnings of user files: `devicekit new`."""

from __future__ import annotations

import re
from pathlib import Path

from devicekit.common.errors import unknown_name
from devicekit.common.paths import checked_file_name, exists, replacing
from reports.errors import StudyError
from reports.page_parts import template_text

TEMPLATES = {
    "device": "device.toml",
    "core": "core.toml",
    "adc": "adc.toml",
    "library": "library.toml",
    "study": "study.toml",
    "training": "training.toml",
    "network": "network.py.txt",
}
"""Kinds that can be begun, with the file each is begun from."""


def new_file(kind: str, name: str = "", folder: str | Path = ".") -> Path:
    """Write a commented beginning of a user file and return its path.

    Args:
        kind: one of `TEMPLATES`.
        name: of the file, without its ending, and of what is in it; ``my_KIND`` where empty.
        folder: to write to; made if need be.

    Raises:
        StudyError: an unknown kind, a name that is none, or a file that is there already: nothing is overwritten.
    """
    if kind not in TEMPLATES:
        raise StudyError(unknown_name("kind of file to begin", kind, list(TEMPLATES)))
    called = checked_file_name(name or f"my_{kind}", "the name", StudyError)
    if not re.fullmatch(r"\w[\w-]*", called):
        raise StudyError(f"Expected a name of letters, digits, _ and -, but got {called!r}.")
    path = Path(folder) / f"{called}{Path(TEMPLATES[kind].removesuffix('.txt')).suffix}"
    if exists(path):
        raise StudyError(f"{path} is there already; give another name.")
    with replacing(path) as temporary:
        temporary.write_text(re.sub(r"\bNAME\b", called, template_text(f"files/{TEMPLATES[kind]}")), encoding="utf-8")
    return path
