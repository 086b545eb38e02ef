"""Build hook: compile the C kernels into the wheel where a compiler is; without one the wheel is pure Python.

An editable install and a wheel without compiled kernels compile them on first use, or take numba; see
`circuits/native.py`, which this file loads by path because nothing is installed yet when it runs.
"""

from __future__ import annotations

import importlib.util
import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeKernels(BuildHookInterface[Any]):
    """Adds ``_native/<kernel>-<hash>.so`` beside every C source of the packages."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile into a temporary folder and list the libraries as files of the wheel.

        Args:
            version: kind of build: ``standard`` or ``editable``.
            build_data: what hatchling is told about the wheel.
        """
        if self.target_name != "wheel" or version == "editable":
            return
        root = Path(self.root)
        native = _load(root / "circuits" / "native.py")
        self._work = tempfile.mkdtemp()
        packages = self.build_config.packages
        for source in sorted(source for package in packages for source in (root / package).rglob("*.c")):
            folder = source.parent.relative_to(root)
            library = native.compile_library(source, Path(self._work) / folder)
            if library is None:
                self.app.display_warning(f"{source.name} was not compiled; it will be on first use, or numba stands in")
                continue
            build_data["force_include"][str(library)] = (folder / "_native" / library.name).as_posix()
            build_data["pure_python"] = False
        if not build_data.get("pure_python", True):
            # Loaded with ctypes: tied to a platform, to no version of Python.
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["tag"] = f"py3-none-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary folder.

        Args:
            version: kind of build.
            build_data: what hatchling was told.
            artifact_path: the wheel.
        """
        shutil.rmtree(getattr(self, "_work", ""), ignore_errors=True)


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("native", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
