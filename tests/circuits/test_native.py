"""Compiling and loading C kernels, with and without a compiler."""

import ctypes
import os
import shutil
import subprocess
import sys
import time
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


def test_name_follows_source_and_flags(source, monkeypatch):
    before = native.library_name(source)
    source.write_text(SOURCE + "\n")
    assert native.library_name(source) != before
    source.write_text(SOURCE)
    assert native.library_name(source) == before
    monkeypatch.setenv("DEVICEKIT_SANITIZE", "1")
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


KERNELS = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.c"))


def test_there_are_kernels():
    assert len(KERNELS) >= 10


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda path: path.stem)
def test_every_kernel_is_loaded_by_a_module_and_compiles(kernel, compiler, tmp_path):
    """A wheel carries a library for each C file, under the name by which the package asks for it."""
    package = ROOT / kernel.relative_to(ROOT).parts[0]
    texts = [path.read_text() for path in package.rglob("*.py")]
    assert any(kernel.name in text and "load_library(_SOURCE)" in text for text in texts)
    made = native.compile_library(kernel, tmp_path)
    assert made is not None
    assert made.name == native.library_name(kernel)


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("/* Compiled with: -DONE=2 */\n", ["-DONE=2"]),
        ("/** Compiled with: -DONE=2*/\n", ["-DONE=2"]),
        (
            "/* A kernel.\n *\n * Compiled with: -pthread -ffp-contract=off (the same codes everywhere)\n */\n",
            ["-pthread", "-ffp-contract=off"],
        ),
        ("/* A kernel.\n   Compiled with: -pthread.\n */\n", ["-pthread"]),
        ("// Compiled with:  -fno-math-errno, so that roots are vectors\n", ["-fno-math-errno"]),
        ("// Compiled with: -Wl,-z,now -DONE=2\n", ["-Wl,-z,now", "-DONE=2"]),
        ("/* It is Compiled with: -DONE=2 in a sentence */\n", []),
        ('const char *text = "Compiled with: -DONE=2";\n', []),
    ],
)
def test_flags_stand_in_the_source(source, text, flags):
    source.write_text(text + SOURCE)
    assert list(native.compiler_flags(source)[len(native.DEFAULT_FLAGS) :]) == flags


def test_flags_that_are_not_on_the_line_are_asked_for(source):
    source.write_text("/* Compiled with:\n * -DONE=2\n */\n" + SOURCE)
    with pytest.raises(ValueError, match="expected flags after"):
        native.compiler_flags(source)


def test_kernels_that_round_are_compiled_without_contraction():
    """Codes and cells would differ from processor to processor, and nothing else would tell."""
    rounding = {"bit_serial", "elementwise", "periphery", "cells", "normals"}
    found = {path.stem for path in KERNELS if "-ffp-contract=off" in native.compiler_flags(path)}
    assert found == rounding
    (threads,) = (path for path in KERNELS if path.stem == "threads")
    assert "-pthread" in native.compiler_flags(threads)


def test_a_source_is_compiled_with_its_flags(source, compiler):
    source.write_text("/* Compiled with: -DFACTOR=3 */\ndouble twice(double x) { return FACTOR * x; }\n")
    assert call(native.load_library(source)) == 7.5


# A compiler that ends when two of it have begun: one alone waits in vain.
PAIRED = """#!/bin/sh
touch {place}/$$
for step in $(seq 200); do
    [ $(ls {place} | wc -l) -ge 2 ] && exec {compiler} "$@"
    sleep 0.05
done
exit 1
"""


def test_the_other_kernels_of_a_package_are_compiled_at_the_same_time(source, compiler, tmp_path, monkeypatch):
    """Those of other packages are not, and what is compiled already is not again."""
    monkeypatch.setattr(native, "_ROOT", tmp_path.resolve())
    for folder in ("package/native", "package/inner", "another"):
        (tmp_path / folder).mkdir(parents=True)
    places = [tmp_path / f"package/{name}.c" for name in ("native/first", "inner/second")]
    for path in (*places, tmp_path / "another" / "third.c"):
        path.write_text(SOURCE)
    # What cannot be read is no kernel: an editor's lock, a header that is missing.
    (tmp_path / "package" / ".#first.c").symlink_to(tmp_path / "nowhere")
    (tmp_path / "package" / "gone.c").symlink_to(tmp_path / "nowhere")
    (tmp_path / "package" / "headless.c").write_text('#include "missing.h"\n')
    (tmp_path / "begun").mkdir()
    paired = tmp_path / "cc"
    paired.write_text(PAIRED.format(place=tmp_path / "begun", compiler=compiler))
    paired.chmod(0o755)
    monkeypatch.setenv("CC", str(paired))
    monkeypatch.setattr(native, "processors", lambda: 2)
    assert call(native.load_library(places[0])) == 5.0
    made = [path.name for path in (tmp_path / "cache" / "devicekit").glob("*.so")]
    assert sorted(made) == sorted(map(native.library_name, places))
    monkeypatch.setenv("CC", str(tmp_path / "none"))
    assert call(native.load_library(places[1])) == 5.0


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


def test_a_package_whose_kernels_are_refused_is_compiled_once(source, compiler, tmp_path, monkeypatch):
    monkeypatch.setattr(native, "_ROOT", tmp_path.resolve())
    (tmp_path / "package").mkdir()
    places = [tmp_path / "package" / f"{name}.c" for name in "abcd"]
    for path in places:
        path.write_text("this is no C")
    runs = []
    real = native.compile_library
    monkeypatch.setattr(native, "compile_library", lambda path, folder: (runs.append(path), real(path, folder))[1])
    assert [native.load_library(path) for path in places] == [None] * 4
    assert len(runs) == 4 + 3
    assert len(set(runs)) == 4


def test_a_kernel_is_compiled_where_no_thread_can_be_started(source, compiler, tmp_path, monkeypatch):
    monkeypatch.setattr(native, "_ROOT", tmp_path.resolve())
    (tmp_path / "package").mkdir()
    places = [tmp_path / "package" / f"{name}.c" for name in "ab"]
    for path in places:
        path.write_text(SOURCE)

    def refuses(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(native, "ThreadPoolExecutor", refuses)
    assert call(native.load_library(places[0])) == 5.0
    assert call(native.load_library(places[1])) == 5.0
