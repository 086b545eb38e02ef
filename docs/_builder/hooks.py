"""What the site adds to the pages of docs/: the reference, executed tutorials, pages of other folders, equations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

_HERE = Path(__file__).resolve().parent
# Found as plain modules: mkdocs loads this file by its path.
sys.path[:0] = [path for path in (str(_HERE), str(_HERE.parents[1])) if path not in sys.path]

import api  # noqa: E402
import commands  # noqa: E402
import execute  # noqa: E402
import gallery  # noqa: E402
import mathml  # noqa: E402
import outside  # noqa: E402
import user_files  # noqa: E402
from mkdocs.exceptions import PluginError  # noqa: E402
from mkdocs.structure.files import File, Files  # noqa: E402

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

# Pages whose blocks run when the site is built.
EXECUTED = ("tutorials/", "howto/")
_NAV = {"API": api.nav, "Commands": commands.nav, "User files": user_files.nav}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the generated pages where the navigation has their names.

    Args:
        config: of the site.
    """
    config.nav = _filled(config.nav)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and files that are made.

    Args:
        files: of docs/.
        config: of the site.

    Raises:
        PluginError: a block of a page failed.
    """
    own = {file.src_uri: file.content_string for file in files.documentation_pages()}
    try:
        executed, shown = execute.run_pages(
            {page: text for page, text in own.items() if page.startswith(EXECUTED)},
            {name: gallery.SCRIPTS[name] for name in gallery.RUN},
        )
    except execute.ExecutionError as error:
        raise PluginError(str(error)) from None
    made: dict[str, str | bytes] = {**own, **api.pages(), **commands.pages(), **user_files.pages()}
    for page, (text, pictures) in executed.items():
        made[page] = text
        made |= {f"{page.rpartition('/')[0]}/{name}": content for name, content in pictures.items()}
    sources = {page: source for source, page in outside.PAGES.items()}
    shown_here = {page: (outside.ROOT / source).read_text(encoding="utf-8") for page, source in sources.items()}
    more, drawn = gallery.page(shown)
    shown_here["gallery/examples.md"] += more
    made |= shown_here
    made |= drawn
    linked: set[str] = set()
    for page, content in list(made.items()):
        if page.endswith(".md") and isinstance(content, str):
            made[page], found = outside.rewrite_links(content, sources.get(page, f"docs/{page}"), page)
            linked |= found
    made |= {f"files/{path}": (outside.ROOT / path).read_bytes() for path in linked}
    for path, content in made.items():
        before = files.get_file_from_path(path)
        if before is not None:
            files.remove(before)
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page with its equations as MathML.

    Args:
        markdown: of the page.
    """
    return mathml.equations(markdown)


def _filled(entry: Any) -> Any:
    """Return the navigation with `Name: generated` replaced by the pages of that name."""
    if isinstance(entry, list):
        return [_filled(one) for one in entry]
    if isinstance(entry, dict):
        return {name: _NAV[name]() if value == "generated" else _filled(value) for name, value in entry.items()}
    return entry
