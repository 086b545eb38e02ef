"""What a release rests on: one version in all places, checks that are the same everywhere, a matrix a forge can run."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HEADINGS = re.findall(r"^## (\S+)(?: \((.*)\))?$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)


def newest_release() -> str:
    return next(version for version, _ in HEADINGS if version != "Unreleased")


def test_the_changelog_goes_by_release_with_the_newest_first() -> None:
    releases = [one for one in HEADINGS if one[0] != "Unreleased"]
    assert [version for version, _ in releases if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []
    assert [date for _, date in releases if not re.fullmatch(r"\d{4}-\d\d-\d\d", date)] == []
    numbers = [tuple(map(int, version.split("."))) for version, _ in releases]
    assert numbers == sorted(numbers, reverse=True)
    # Every minor release says what a user has to change.
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    for version, _ in releases:
        section = text.split(f"## {version} ", 1)[1].split("\n## ", 1)[0]
        assert "### Upgrade note" in section or not version.endswith(".0"), version


def test_the_version_is_that_of_the_newest_release_where_there_is_no_tag(tmp_path: Path) -> None:
    version = PROJECT["tool"]["hatch"]["version"]
    assert version["source"] == "vcs"
    assert version["fallback-version"] == newest_release()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == newest_release()
    # An archive of the tree, without git: what is built there has the fallback.
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "version"],
        cwd=tmp_path, capture_output=True, text=True, check=False, env={"PATH": "", "GIT_CEILING_DIRECTORIES": "/"},
    )  # fmt: skip
    assert done.stdout.strip() == newest_release(), done.stderr


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_the_version_comes_from_the_tag(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())

    def version() -> str:
        done = subprocess.run(
            [sys.executable, "-m", "hatchling", "version"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    # Without a tag: the fallback, and how many commits there are.
    assert version().startswith(f"{newest_release()}.post1.dev1+g"), version()
    git(tmp_path, "tag", "v3.4.5")
    assert version() == "3.4.5"
    (tmp_path / "more").touch()
    git(tmp_path, "add", "more")
    git(tmp_path, "commit", "-q", "-m", "second")
    assert version().startswith("3.4.5.post1.dev1+g"), version()


def test_every_room_says_that_it_is_typed() -> None:
    rooms = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert rooms == PROJECT["tool"]["mypy"]["packages"]
    assert PROJECT["tool"]["mypy"]["strict"]
    assert [room for room in rooms if not (ROOT / room / "py.typed").is_file()] == []


def test_commits_are_checked_by_what_make_lint_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    own = {re.sub(r" --(force-exclude|fix)", "", hook["entry"]).replace(".venv/bin/", "") for hook in hooks}
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert recipe
    lines = (line.strip().removeprefix("$(BIN)/") for line in recipe[1].splitlines())
    assert own == {re.sub(r" (--check )?\.$", "", line) for line in lines}


def test_the_matrix_holds_every_python_and_every_absence() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    classifiers = [re.fullmatch(r".*Python :: (3\.\d+)", text) for text in PROJECT["project"]["classifiers"]]
    assert set(matrix["python"]) == {found[1] for found in classifiers if found}
    jobs = {(ngspice, compiler) for ngspice in matrix["ngspice"] for compiler in matrix["compiler"]}
    jobs |= {(own["ngspice"], own["compiler"]) for own in matrix["include"]}
    assert jobs == {(ngspice, compiler) for ngspice in ("yes", "no") for compiler in ("yes", "no")}
    # A job runs make's targets and the project's own Python, nothing of its own making.
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert set(re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))) <= targets
        assert any("fetch-depth" in step.get("with", {}) for step in job["steps"]), "tags are needed for the version"


@pytest.mark.parametrize("name", ["CITATION.cff", ".pre-commit-config.yaml", ".github/workflows/ci.yml", "mkdocs.yml"])
def test_files_of_tools_are_read(name: str) -> None:
    assert yaml.safe_load((ROOT / name).read_text("utf-8"))


def test_editors_and_ruff_agree_on_the_length_of_a_line() -> None:
    text = (ROOT / ".editorconfig").read_text("utf-8")
    assert f"max_line_length = {PROJECT['tool']['ruff']['line-length']}" in text
