"""The site is built strictly, offline, and complete: every public name, every page, every link, every DOI."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest
from selenium.webdriver.support.ui import WebDriverWait

from reports.command import subcommand_names
from reports.user_files.kinds import KINDS
from reports.user_files.schemas import SCHEMAS, schema_of

# The site is built once for all of them, which takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(1200)
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Page:
    """What a page of the site links to, loads, and can be linked to."""

    links: set[str] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)
    anchors: set[str] = field(default_factory=set)
    equations: int = 0


class Reader(HTMLParser):
    """Collects links, what is loaded, and anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        if "id" in found:
            self.page.anchors.add(found["id"])
        if tag == "a" and "href" in found:
            self.page.links.add(found["href"])
        self.page.equations += tag == "math"
        if tag in ("script", "img", "iframe", "source") and "src" in found:
            self.page.loads.add(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload", "preconnect", "prefetch"):
            self.page.loads.add(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it; a warning of the build fails it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    """Every page by its path."""
    found = {}
    for path in sorted(site.rglob("*.html")):
        if path.name != "404.html":
            reader = Reader()
            reader.feed(path.read_text("utf-8"))
            found[path.relative_to(site).as_posix()] = reader.page
    return found


def inside(page: str, link: str) -> tuple[str, str] | None:
    """Return path and anchor of what a link on a page leads to; None where it leads out of the site."""
    if re.match(r"[a-z]+:", link):
        return None
    path, _, anchor = link.partition("#")
    where = os.path.normpath(os.path.join(os.path.dirname(page), unquote(path))) if path else page
    return where, unquote(anchor)


@pytest.fixture(scope="module")
def builder() -> Iterator[ModuleType]:
    """The module that lists public names for the reference."""
    sys.path.insert(0, str(ROOT / "docs" / "_builder"))
    import api

    yield api
    sys.path.remove(str(ROOT / "docs" / "_builder"))


def test_every_public_name_is_in_the_reference(pages: dict[str, Page], builder: ModuleType) -> None:
    anchors = {anchor for name, page in pages.items() if name.startswith("reference/api/") for anchor in page.anchors}
    names = builder.public_names()
    assert len(names) > 200
    assert [name for name in names if name not in anchors] == []


def methods(cls: type) -> Iterator[tuple[str, Any]]:
    for name, value in vars(cls).items():
        own = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        own = getattr(own, "fget", None) or getattr(own, "func", None) or own
        if not name.startswith("_") and inspect.isfunction(own):
            yield name, own


def test_public_names_and_their_methods_have_docstrings(builder: ModuleType) -> None:
    missing = []
    for name, value in builder.public_names().items():
        if inspect.isclass(value) or inspect.isfunction(value):
            missing += [name] * (not inspect.getdoc(value))
        if inspect.isclass(value):
            missing += [f"{name}.{own}" for own, method in methods(value) if not inspect.getdoc(getattr(value, own))]
        if inspect.isfunction(value):
            words = inspect.getdoc(value) or ""
            # A short one may say what it takes in its first line; a function of several arguments lists them.
            arguments = [own for own in inspect.signature(value).parameters if own not in ("self", "cls")]
            missing += [f"{name}({own})" for own in arguments if len(arguments) > 1 and own not in words]
    assert missing == []


def test_every_page_is_reached_from_the_first(pages: dict[str, Page]) -> None:
    seen, todo = {"index.html"}, ["index.html"]
    while todo:
        page = todo.pop()
        for link in pages[page].links:
            target = inside(page, link)
            if target and target[0] in pages and target[0] not in seen:
                seen.add(target[0])
                todo.append(target[0])
    assert sorted(set(pages) - seen) == []


def test_every_link_and_what_is_loaded_is_there(site: Path, pages: dict[str, Page]) -> None:
    broken = []
    for page, found in pages.items():
        for link in found.links | found.loads:
            target = inside(page, link)
            if target is None:
                continue
            where, anchor = target
            if where == "." or not (site / where).is_file():
                broken.append(f"{page}: {link}")
            elif anchor and where in pages and not anchor.startswith("__") and anchor not in pages[where].anchors:
                broken.append(f"{page}: {link} has no such anchor")
    assert broken == []


def test_nothing_is_loaded_from_elsewhere(pages: dict[str, Page]) -> None:
    assert [
        f"{page}: {own}" for page, found in pages.items() for own in found.loads if re.match(r"(\w+:)?//", own)
    ] == []


def test_equations_are_made_at_build_time(site: Path, pages: dict[str, Page]) -> None:
    theory = {name: page.equations for name, page in pages.items() if name.startswith("theory/")}
    assert sum(count > 0 for count in theory.values()) == 4, theory
    for name in theory:
        text = (site / name).read_text("utf-8")
        assert "```math" not in text
        # A macro that the converter does not know stays as text.
        assert re.findall(r"<m[a-z]+>\s*\\[a-z]+", text) == []


def test_commands_and_files_have_their_pages(site: Path, pages: dict[str, Page]) -> None:
    assert {f"reference/commands/{name}.html" for name in subcommand_names()} <= set(pages)
    assert {f"reference/files/{name}.html" for name in KINDS} <= set(pages)
    for name in SCHEMAS:
        schema = json.loads((site / f"reference/files/{name}.schema.json").read_text("utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema == json.loads(json.dumps(schema_of(name)))


def test_tutorials_show_what_their_commands_print(site: Path) -> None:
    text = (site / "tutorials/device_engineer.html").read_text("utf-8")
    assert "saturating_exponential" in text
    assert "sigma at 0.8 uA: 30" in text
    assert (site / "tutorials/out/fit/cells/sigma.png").stat().st_size > 10_000


SOURCES = [
    path
    for pattern in (
        "docs/**/*.md",
        "*.md",
        "data/**/*.toml",
        "data/**/*.csv",
        "data/**/*.md",
        "*/**/*.py",
        "CITATION.cff",
    )
    for path in ROOT.glob(pattern)
    if not {".venv", "out", "build", "dist"} & set(path.relative_to(ROOT).parts)
]
# "doi" as a word, and what stands behind it; a DOI is a registrant's number and a name without white space.
AFTER_DOI = re.compile(
    r"\bdoi(?:\.org/|:|\b)[ \n#=\"]*([^\s`'\")\]|,;]+(?:\([^\s)]*\))?[^\s`'\")\]|,;]*)", re.IGNORECASE
)
WELL_FORMED = re.compile(r"10\.\d{4,9}/[A-Za-z0-9][-._;()/:A-Za-z0-9]*[A-Za-z0-9]")


def dois() -> Iterator[tuple[str, str]]:
    for path in SOURCES:
        for found in AFTER_DOI.finditer(path.read_text("utf-8", errors="replace")):
            text = found[1].rstrip(".:")
            if text[:1].isdigit():
                yield path.relative_to(ROOT).as_posix(), text


def test_every_doi_is_well_formed() -> None:
    found = list(dois())
    assert len({doi for _, doi in found}) >= 15
    assert [one for one in found if not WELL_FORMED.fullmatch(one[1])] == []
    # One work, one spelling.
    spellings: dict[str, set[str]] = {}
    for _, doi in found:
        spellings.setdefault(doi.lower(), set()).add(doi)
    assert {doi: own for doi, own in spellings.items() if len(own) > 1} == {}


def test_links_to_dois_show_the_doi_they_lead_to() -> None:
    wrong = []
    for path in (ROOT / "docs").rglob("*.md"):
        for text, target in re.findall(r"\[([^\]]*)\]\(https://doi\.org/([^)\s]+)\)", path.read_text("utf-8")):
            if text != target:
                wrong.append((path.name, text, target))
    assert wrong == []


def test_pages_name_tests_that_are_there() -> None:
    names = {path.name for path in (ROOT / "tests").rglob("*.py")}
    missing = []
    for path in [*(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks/README.md", ROOT / "CONTRIBUTING.md"]:
        for found in re.findall(r"`((?:tests/[\w/]*)?test_\w+\.py|tests/[\w/]+\.py)`", path.read_text("utf-8")):
            if not ((ROOT / found).is_file() if "/" in found else found in names):
                missing.append((path.name, found))
    assert missing == []


def test_search_works_from_a_folder(site: Path, browser: Any) -> None:
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get((site / "theory/cells.html").as_uri())
    wait = WebDriverWait(browser, 60)
    wait.until(lambda own: own.find_element("css selector", ".md-search__input").is_displayed())
    browser.find_element("css selector", ".md-search__input").send_keys("saturating exponential")
    wait.until(lambda own: own.find_elements("css selector", ".md-search-result__item a"))
    found = [link.get_attribute("href") for link in browser.find_elements("css selector", ".md-search-result__item a")]
    assert any("devices.html" in link or "cells.html" in link for link in found), found


LOOKED_AT = (
    "index.html", "tutorials/device_engineer.html", "theory/cells.html", "reference/api/circuits/cores.html",
    "reference/files/core.html", "reference/commands/report.html", "validation/index.html", "gallery/examples.html",
)  # fmt: skip


@pytest.mark.parametrize("width", [390, 1440])
def test_pages_fit_a_screen_and_load_nothing(site: Path, browser: Any, width: int) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    for page in LOOKED_AT:
        browser.get("about:blank")
        browser.get_log("performance")
        browser.get_log("browser")
        browser.get((site / page).as_uri())
        messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        asked = [own["params"]["request"]["url"] for own in messages if own["method"] == "Network.requestWillBeSent"]
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == [], page
        assert [own for own in browser.get_log("browser") if own["level"] == "SEVERE"] == [], page
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, page
        shown = (
            "return [...document.images].filter(image => image.complete && !image.naturalWidth).map(image => image.src)"
        )
        assert browser.execute_script(shown) == [], page
