"""Files of the repository that are shown on the site, and links that lead out of docs/."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Markdown outside docs/, and the page that shows it.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "validation/benchmarks.md",
    "examples/README.md": "gallery/examples.md",
}
_LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)]*)?(\))")
_CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def rewrite_links(markdown: str, source: str, page: str) -> tuple[str, set[str]]:
    """Return a page whose links lead to pages of the site, and the files of the repository that it links to.

    Args:
        markdown: of the page.
        source: path of its file in the repository.
        page: path of the page in docs/.
    """
    files: set[str] = set()

    def target(path: str) -> str:
        if "://" in path or path.startswith(("mailto:", "#")):
            return path
        where = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if where.startswith("docs/"):
            inside = where.removeprefix("docs/")
        elif where in PAGES:
            inside = PAGES[where]
        elif (ROOT / where).is_dir():
            inside = PAGES.get(f"{where}/README.md", "contributing.md")
        elif (ROOT / where).is_file():
            files.add(where)
            inside = f"files/{where}"
        else:
            return path
        return os.path.relpath(inside, posixpath.dirname(page) or ".")

    def rewrite(text: str) -> str:
        return _LINK.sub(lambda found: f"{found[1]}{target(found[2])}{found[3] or ''}{found[4]}", text)

    # What stands in code is no link.
    parts = _CODE.split(markdown)
    return "".join(part if index % 2 else rewrite(part) for index, part in enumerate(parts)), files
