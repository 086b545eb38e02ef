"""Runs the blocks of a page and puts what they print below them.

A block ```console holds lines that begin with `$ `, a block ```python code whose names live until the page ends. Both
run in one empty folder a page, a page in a process of its own. Behind the language may stand `first=N` (show the first
N lines of the output), `hide` (show no output) and `as-is` (do not run). A picture that a block wrote is shown with an
ordinary link.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

Output = tuple[str, dict[str, bytes]]
_FENCE = re.compile(r"^```(console|python)([^\n]*)\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r"!\[[^\]]*\]\(([^):]+\.(?:png|svg))\)")


class ExecutionError(Exception):
    """A block of a page failed; the message has the page, the block and what it said."""


def run_page(name: str, markdown: str) -> Output:
    """Return a page with the output of its blocks, and the pictures that it shows and made.

    Args:
        name: of the page, for messages.
        markdown: of the page.

    Raises:
        ExecutionError: a block ends with an exception or a command with an exit code that is not 0.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, _inside(folder):

        def run(found: re.Match[str]) -> str:
            language, options, code = found.groups()
            shown = f"```{language}\n{code}\n```"
            if "as-is" in options:
                return shown
            try:
                output = _python(code, names) if language == "python" else _console(code)
            except ExecutionError as error:
                raise ExecutionError(f"{name}: {code}\n{error}") from None
            output = _without_paths(output, folder)
            if not output.strip() or "hide" in options:
                return shown
            return f"{shown}\n\n```text\n{_first(output, options)}\n```"

        text = _FENCE.sub(run, markdown)
        pictures = {path: Path(path).read_bytes() for path in _PICTURE.findall(text) if Path(path).is_file()}
    return text, pictures


def run_pages(pages: dict[str, str], scripts: dict[str, Path]) -> tuple[dict[str, Output], dict[str, Output]]:
    """Run pages and scripts, each in a process of its own, as many at a time as there are processors.

    Args:
        pages: Markdown by name.
        scripts: of the gallery, by name.

    Returns:
        What `run_page` returns, and what `run_script` returns, by name.

    Raises:
        ExecutionError: one of them failed.
    """
    tasks = [("script", name, str(path)) for name, path in scripts.items()]
    tasks += [("page", name, text) for name, text in pages.items() if _FENCE.search(text)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tasks.pickle")
        file.write_bytes(pickle.dumps(tasks))
        done = subprocess.run(
            [sys.executable, __file__, str(file)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": _with_root(), "MPLBACKEND": "Agg"},
        )
        if done.returncode:
            raise ExecutionError(f"{done.stdout[-4000:]}{done.stderr[-4000:]}")
        results = pickle.loads(file.read_bytes())
    found: dict[str, dict[str, Output]] = {"page": {}, "script": {}}
    for (kind, name, _), output in zip(tasks, results, strict=True):
        found[kind][name] = output
    return found["page"], found["script"]


def _main(file: Path) -> None:
    """Run the tasks of a file and write their outputs in its place.

    Libraries are imported once; each task is a fork of this process, so that what one registers or changes does not
    reach the next.
    """
    import lmfit  # noqa: F401
    import matplotlib.pyplot  # noqa: F401

    import accuracy  # noqa: F401
    import reports.command  # noqa: F401

    tasks = pickle.loads(file.read_bytes())
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        results = pool.map(_one, tasks, chunksize=1)
    failed = [output for output in results if isinstance(output, str)]
    if failed:
        sys.exit("\n".join(failed))
    file.write_bytes(pickle.dumps(results))


def _one(task: tuple[str, str, str]) -> Output | str:
    """Return the output of a task, or what went wrong."""
    kind, name, what = task
    try:
        return run_page(name, what) if kind == "page" else run_script(Path(what))
    except ExecutionError as error:
        return str(error)


def run_script(path: Path) -> Output:
    """Return what a script of the gallery prints, and the pictures that it draws.

    Args:
        path: of the script, which takes its output folder as its argument.

    Raises:
        ExecutionError: it failed.
    """
    import runpy

    with tempfile.TemporaryDirectory() as folder, _inside(folder):
        written = io.StringIO()
        sys.argv = [path.name, folder]
        try:
            with redirect_stdout(written):
                runpy.run_path(str(path), run_name="__main__")
        except Exception:
            raise ExecutionError(f"{path.name}: {traceback.format_exc()}") from None
        pictures = {own.name: own.read_bytes() for own in sorted(Path(folder).glob("*.png"))}
    return _without_paths(written.getvalue(), folder), pictures


@contextmanager
def _inside(folder: str) -> Iterator[None]:
    before, columns = Path.cwd(), os.environ.get("COLUMNS")
    path, backend = os.environ.get("PATH", ""), os.environ.get("MPLBACKEND")
    python = os.environ.get("PYTHONPATH")
    os.chdir(folder)
    os.environ |= {"COLUMNS": "110", "MPLBACKEND": "Agg", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}"}
    os.environ["PYTHONPATH"] = _with_root()
    try:
        yield
    finally:
        os.chdir(before)
        for name, value in (("COLUMNS", columns), ("MPLBACKEND", backend), ("PATH", path), ("PYTHONPATH", python)):
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def _with_root() -> str:
    """Return PYTHONPATH with the packages of this checkout first."""
    return os.pathsep.join(filter(None, (str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH"))))


def _python(code: str, names: dict[str, Any]) -> str:
    written = io.StringIO()
    with redirect_stdout(written), warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            exec(compile(code, "block", "exec", dont_inherit=True), names)
        except Exception:
            raise ExecutionError(f"{written.getvalue()}{traceback.format_exc()}") from None
    return written.getvalue()


def _console(code: str) -> str:
    lines: list[str] = []
    for line in code.split("\n"):
        if line.startswith("$ "):
            lines.append(line[2:])
        elif lines:
            lines[-1] += f"\n{line}"
    assert lines, f"no line of a console begins with `$ `: {code}"
    return "".join(_command(line) for line in lines)


def _command(line: str) -> str:
    """Run one line; the project's own command in this process, where its libraries are imported already."""
    plain = re.sub(r"\\\n\s*", "", line).split("  #")[0].strip()
    if re.match(r"devicekit [^|>$;&]*$", plain):
        return _own_command(plain)
    done = subprocess.run(
        ["bash", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise ExecutionError(f"exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def _own_command(line: str) -> str:
    import shlex

    from reports.command import main

    written = io.StringIO()
    code: Any = 0
    with redirect_stdout(written), redirect_stderr(written), warnings.catch_warnings():
        warnings.simplefilter("default")
        try:
            main(shlex.split(line)[1:])
        except SystemExit as stop:
            code = stop.code
    if code:
        raise ExecutionError(f"exit code {code}\n{written.getvalue()}")
    return written.getvalue()


def _without_paths(output: str, folder: str) -> str:
    return output.replace(f"{os.path.realpath(folder)}/", "").replace(f"{folder}/", "")


def _first(output: str, options: str) -> str:
    lines = [line.rstrip() for line in output.strip("\n").split("\n")]
    wanted = re.search(r"first=(\d+)", options)
    if wanted and len(lines) > int(wanted[1]):
        lines = [*lines[: int(wanted[1])], "..."]
    return "\n".join(lines)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
