"""What this machine can run: every check says what was found and, where something is missing, what that costs."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Literal

OUR_NAMES = ("devicekit", "circuits", "energy", "accuracy", "reports")
LIBRARIES = (
    "numpy", "scipy", "lmfit", "pandas", "torch", "numba", "pydantic", "pint", "typer", "rich", "jinja2",
    "matplotlib", "safetensors", "pillow", "pyarrow", "openpyxl", "xlrd", "tomli-w",
)  # fmt: skip
OPTIONAL = {
    "PySpice": "pip install 'devicekit[spice]'; without it SPICE steps are skipped and recorded values shown",
    "onnx2torch": "pip install 'devicekit[onnx]'; without it networks are not read from ONNX files",
    "optuna": "pip install 'devicekit[search]'; without it devicekit sweep runs every combination of what varies",
    "distributed": "pip install 'devicekit[distributed]'; without it devicekit sweep works on this machine alone",
}

Status = Literal["ok", "missing", "problem", "optional"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One finding.

    Attributes:
        what: what was looked for.
        status: ``"ok"``; ``"missing"`` (something will not work); ``"problem"`` (something may go wrong);
            ``"optional"`` (absent, and nothing depends on it).
        found: what is there.
        cost: what is lost without it and how to get it; empty where all is well.
    """

    what: str
    status: Status
    found: str
    cost: str = ""


def libraries() -> list[Check]:
    """Check the libraries that devicekit needs, and the optional ones."""
    checks = []
    for name in LIBRARIES:
        found = _version(name)
        status: Status = "ok" if found else "missing"
        checks.append(
            Check(what=name, status=status, found=found or "not installed", cost="" if found else f"pip install {name}")
        )
    for name, cost in OPTIONAL.items():
        found = _version(name)
        checks.append(
            Check(
                what=name,
                status="ok" if found else "optional",
                found=found or "not installed",
                cost="" if found else cost,
            )
        )
    return checks


def python() -> Check:
    """Check the interpreter and say which devicekit it runs."""
    import devicekit

    folder = Path(devicekit.__file__).resolve().parent.parent
    found = (
        f"{platform.python_version()} on {platform.system()} {platform.machine()}; devicekit {_version('devicekit')}"
    )
    return Check(what="Python", status="ok", found=f"{found} in {folder}")


def ngspice() -> Check:
    """Check whether circuit simulation works, by starting ngspice."""
    from circuits.spice import simulator as spice

    cost = "bit-line and peripheral simulations are skipped; the report shows recorded values, labelled so"
    missing = spice.spice_missing()
    if missing:
        return Check(what="ngspice", status="missing", found="not usable", cost=f"{cost}. {missing}")
    try:
        return Check(what="ngspice", status="ok", found=f"{spice.ngspice_version()} ({spice.find_ngspice()})")
    except Exception as error:
        # Whatever a simulator does when it starts is a finding here, not a crash of the doctor.
        return Check(what="ngspice", status="problem", found=f"does not start: {error}", cost=cost)


def torch_device() -> Check:
    """Check what torch computes on."""
    try:
        import torch
    except Exception as error:
        cost = "accuracy and the report do not work; pip install torch"
        return Check(what="torch device", status="missing", found=f"torch cannot be imported: {error}", cost=cost)
    threads = f"{torch.get_num_threads()} CPU threads"
    if torch.cuda.is_available():
        return Check(what="torch device", status="ok", found=f"{torch.cuda.get_device_name(0)} (CUDA), {threads}")
    cost = "large networks take longer; nothing else"
    return Check(what="torch device", status="optional", found=f"{threads}, no GPU", cost=cost)


def compiler() -> Check:
    """Check for a C compiler."""
    from circuits.native import find_compiler

    found = find_compiler()
    if found:
        from circuits.threads import source_of_threads

        return Check(what="C compiler", status="ok", found=f"{found}; kernels run on {source_of_threads()}")
    cost = "the kernels run through numba instead of C: same numbers, a few times slower"
    return Check(what="C compiler", status="optional", found="none", cost=cost)


def browser() -> Check:
    """Check for the browser that the tests open the page in."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found:
        return Check(what="Chromium", status="ok", found=found)
    cost = "only the test that opens the report's page is lost; any browser shows the page"
    return Check(what="Chromium", status="optional", found="none", cost=cost)


def data(directory: Path | None = None) -> list[Check]:
    """Check the bundled data, and which networks a folder of the user's can feed.

    Args:
        directory: folder with data sets and weights; None for none.
    """
    from devicekit import DevicekitError, data_path

    try:
        folder = data_path()
        checks = [Check(what="bundled data", status="ok", found=str(folder))]
    except DevicekitError as error:
        return [
            Check(what="bundled data", status="missing", found=str(error), cost="nothing works; reinstall devicekit")
        ]
    from accuracy import data_sets, networks

    unusable = []
    for name in networks.names():
        needs = networks.data_set(name)
        try:
            images = data_sets.load(needs, directory)
            _load_network(name, directory)
            found = f"weights and {images.size('test')} test images of {needs}"
            checks.append(Check(what=f"network {name}", status="ok", found=found))
        except DevicekitError as error:
            unusable.append((name, str(error)))
    if directory is not None:
        checks += [
            Check(what=f"network {name}", status="optional", found="not usable", cost=text) for name, text in unusable
        ]
    elif unusable:
        names = ", ".join(name for name, _ in unusable)
        cost = "these networks need weights and images that are not bundled: give their folder with --data"
        checks.append(Check(what="other networks", status="optional", found=names, cost=cost))
    return checks


def _load_network(name: str, directory: Path | None) -> None:
    from accuracy import networks

    try:
        networks.load(name)
    except networks.NetworkError:
        if directory is None:
            raise
        networks.load(name, directory)


def shadows(
    search_path: Sequence[str] | None = None, folder: Path | None = None, ours: Path | None = None
) -> list[Check]:
    """Check whether something else answers to one of our five import names.

    The names `circuits`, `energy`, `accuracy` and `reports` are common words: another distribution, or a folder of
    the user's where a script is run, may carry the same one.

    Args:
        search_path: folders Python looks into, in order; that of this interpreter by default.
        folder: where scripts would be run; the current folder by default.
        ours: the folder that holds our packages; that of this package by default.
    """
    search_path = sys.path if search_path is None else search_path
    folder = Path.cwd() if folder is None else folder
    ours = Path(__file__).resolve().parent.parent if ours is None else ours.resolve()
    checks = []
    for name in OUR_NAMES:
        spec = PathFinder.find_spec(name, [entry or str(folder) for entry in search_path])
        origin = None if spec is None or spec.origin is None else Path(spec.origin).resolve()
        if origin is not None and not origin.is_relative_to(ours / name):
            owner = _owners(name)
            by = f" (distribution {owner})" if owner else ""
            cost = f"`import {name}` gets that instead of devicekit's; remove it or put it later on Python's path"
            checks.append(Check(what=f"import {name}", status="problem", found=f"{origin}{by}", cost=cost))
            continue
        local = _local(folder, name)
        if local is not None and not local.resolve().is_relative_to(ours):
            cost = f"a script run in {folder} would import it instead of devicekit's `{name}`; rename it"
            checks.append(Check(what=f"import {name}", status="problem", found=str(local), cost=cost))
            continue
        owner = _owners(name)
        if owner:
            cost = (
                f"distribution {owner} also installs a package `{name}`; whichever was installed last wins: remove it"
            )
            checks.append(Check(what=f"import {name}", status="problem", found=f"{ours / name}", cost=cost))
        else:
            checks.append(Check(what=f"import {name}", status="ok", found=str(ours / name)))
    return checks


def _local(folder: Path, name: str) -> Path | None:
    """Return a package or module of that name in a folder; a folder without `__init__.py` does not shadow ours."""
    candidates = (folder / name / "__init__.py", folder / f"{name}.py")
    return next((path for path in candidates if path.is_file()), None)


def _owners(name: str) -> str:
    others = {owner for owner in packages_distributions().get(name, []) if owner.lower() != "devicekit"}
    return ", ".join(sorted(others))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def run_all(directory: Path | None = None, step: Callable[[int, int], object] | None = None) -> list[Check]:
    """Run every check.

    Args:
        directory: folder with data sets and weights of the user's.
        step: called with (done, total) after each group.
    """
    groups: list[Callable[[], Iterable[Check]]] = [
        lambda: [python()],
        shadows,
        libraries,
        lambda: [ngspice()],
        lambda: [compiler()],
        lambda: [torch_device()],
        lambda: [browser()],
        lambda: data(directory),
    ]
    checks: list[Check] = []
    for number, group in enumerate(groups, start=1):
        checks += group()
        if step is not None:
            step(number, len(groups))
    return checks
