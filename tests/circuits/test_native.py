"""Compiling and loading C kernels, with and without a compiler."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from circuits import native

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ["devicekit", "circuits", "energy", "accuracy", "reports"]
SOURCE = "double twice(double x) { return 2 * x; }\n"


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DEVICEKIT_NO_NATIVE", raising=False)
    native.load_library.cache_clear()
    path = tmp_path / "kernel.c"
    path.write_text(SOURCE)
    yield path
    native.load_library.cache_clear()


def call(library):
    library.twice.restype = ctypes.c_double
    library.twice.argtypes = [ctypes.c_double]
    return library.twice(2.5)


def test_compiles_once_and_is_found_again(source, compiler, tmp_path, monkeypatch):
    assert call(native.load_library(source)) == 5.0
    libraries = (tmp_path / "cache" / "devicekit").glob("*.so")
    assert [path.name for path in libraries] == [native.library_name(source)]
    native.load_library.cache_clear()
    monkeypatch.setattr(native, "find_compiler", lambda: None)
    assert call(native.load_library(source)) == 5.0


# Only root can give a file to another user.
DAMAGES = ["cut short", "writable by others", "in a folder open to others", *["another's"] * (os.getuid() == 0)]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_cached_library_that_cannot_be_trusted_is_made_anew(source, compiler, tmp_path, monkeypatch, damage):
    assert call(native.load_library(source)) == 5.0
    native.load_library.cache_clear()
    library = tmp_path / "cache" / "devicekit" / native.library_name(source)
    if damage == "cut short":
        whole = library.read_bytes()
        library.unlink()  # the loaded one must stay whole
        library.write_bytes(whole[: len(whole) // 2])
    elif damage == "another's":
        library.chmod(0o644)
        os.chown(library, 12345, -1)
    elif damage == "writable by others":
        library.chmod(0o777)
    else:
        library.parent.chmod(0o777)
    loaded = native.load_library(source)
    if damage == "in a folder open to others":
        assert loaded is None
    else:
        assert call(loaded) == 5.0


def test_library_beside_the_source_is_taken_first(source, compiler, tmp_path, monkeypatch):
    assert native.compile_library(source, tmp_path / "_native") is not None
    monkeypatch.setattr(native, "find_compiler", lambda: None)
    assert call(native.load_library(source)) == 5.0
    assert not (tmp_path / "cache").exists()


def test_name_follows_source_and_flags(source):
    before = native.library_name(source)
    assert native.library_name(source, ("-O2",)) != before
    source.write_text(SOURCE + "\n")
    assert native.library_name(source) != before


def test_none_where_it_cannot_be(source, compiler, tmp_path, monkeypatch):
    broken = tmp_path / "broken.c"
    broken.write_text("this is no C")
    assert native.load_library(broken) is None
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert native.load_library(source) is None


def test_can_be_switched_off(source, compiler, monkeypatch):
    monkeypatch.setenv("DEVICEKIT_NO_NATIVE", "1")
    assert native.load_library(source) is None


def test_unwritable_cache_is_no_error(source, compiler, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert native.load_library(source) is None


def test_wheel_carries_the_kernels_that_the_packages_ask_for(compiler, tmp_path):
    """Flags in the build configuration and in the code agree, so that an installed wheel needs no compiler."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    hook = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
    for source in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.c")):
        package = source.relative_to(ROOT).parts[0]
        flags = (*native.DEFAULT_FLAGS, *hook["extra-flags"].get(source.stem, []))
        asked = [
            (*native.DEFAULT_FLAGS, *re.findall(r'"(-[^"]+)"', call))
            for module in (ROOT / package).rglob("*.py")
            if source.name in (text := module.read_text())
            for call in re.findall(r"load_library\(_SOURCE(.*)\)", text)
        ]
        assert asked, f"nobody loads {source.name}"
        assert set(asked) == {flags}, source.name
        assert native.compile_library(source, tmp_path, flags).name == native.library_name(source, flags)


# A compiler that says where it works, and then works for ever.
SLOW = "#!/bin/sh\necho $TMPDIR > {place}.new\nmv {place}.new {place}\nexec sleep 600\n"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc on this system")
def test_what_a_killed_compilation_left_is_removed_at_the_next_start(source, compiler, tmp_path, monkeypatch):
    place, slow = tmp_path / "place", tmp_path / "cc"
    slow.write_text(SLOW.format(place=place))
    slow.chmod(0o755)
    program = (
        "import sys\nfrom pathlib import Path\nfrom circuits import native\nnative.load_library(Path(sys.argv[1]))"
    )
    places = {**os.environ, "CC": str(slow), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", program, str(source)], env=places)
    cache = tmp_path / "cache" / "devicekit"
    while not place.exists():
        assert process.poll() is None
        time.sleep(0.02)
    assert Path(place.read_text().strip()).parent == cache, "the compiler's temporaries lie in the scratch folder"
    # A compilation that goes on is left alone.
    assert native.load_library(source) is not None
    assert len(list(cache.glob("compiling-*"))) == 1
    compiling = [int(path.name) for path in Path("/proc").glob("[0-9]*") if parent_of(path) == process.pid]
    process.kill()
    process.wait()
    for child in compiling:
        os.kill(child, 9)
    assert len(list(cache.glob("compiling-*"))) == 1
    native.load_library.cache_clear()
    assert call(native.load_library(source)) == 5.0
    assert not list(cache.glob("compiling-*"))


def parent_of(process):
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def test_a_terminal_is_told_of_a_compilation_once(source, compiler, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    native._announce.cache_clear()
    try:
        assert call(native.load_library(source)) == 5.0
        assert "Compiling C kernels into" in capsys.readouterr().err
        source.write_text(SOURCE + "/* anew */\n")
        native.load_library.cache_clear()
        assert call(native.load_library(source)) == 5.0
        assert capsys.readouterr().err == ""
    finally:
        native._announce.cache_clear()
