"""Results kept under the output folder, so that an interrupted study goes on where it stopped.

A result is found again only for exactly the same inputs: its file is named by a hash over all of them, the program's
own source text included.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from devicekit.common.paths import replacing

ROOMS = ("devicekit", "circuits", "accuracy", "reports")
"""Packages whose code kept results depend on."""
_SOURCES = (".py", ".c", ".h")


@cache
def code_hash(rooms: tuple[str, ...] | None = None) -> str:
    """Return a hash over the source text of our packages, C sources and headers included, and libraries' versions.

    Args:
        rooms: the packages; None for all of ours.
    """
    digest = hashlib.sha256()
    for library in ("numpy", "scipy", "torch"):
        digest.update(f"{library} {version(library)}\n".encode())
    for room in ROOMS if rooms is None else rooms:
        package = Path(str(import_module(room).__file__)).parent
        for path in sorted(package.rglob("*")):
            if path.suffix in _SOURCES:
                digest.update(f"{room} {path.relative_to(package)}\n".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


class ResultCache:
    """JSON documents by the inputs they were made from.

    Attributes:
        folder: where the documents lie; made with the first of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, name: str, inputs: dict[str, Any]) -> Path:
        text = json.dumps(inputs, sort_keys=True, allow_nan=True)
        # A name of the user's (a design's) may hold what a file's cannot; the hash tells the rest apart.
        plain = re.sub(r"[^\w-]", "_", name)[:60]
        return self.folder / f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"

    def get(self, name: str, inputs: dict[str, Any]) -> dict[str, Any] | None:
        """Return the document made from these inputs, or None.

        Args:
            name: what the document is, for its file name.
            inputs: plain values, as JSON holds them.
        """
        try:
            document: dict[str, Any] = json.loads(self._path(name, inputs).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return document

    def put(self, name: str, inputs: dict[str, Any], document: dict[str, Any]) -> None:
        """Write a document, to be found again for the same inputs.

        Args:
            name: what the document is, for its file name.
            inputs: plain values, as JSON holds them.
            document: what to keep.
        """
        with replacing(self._path(name, inputs)) as temporary:
            temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
