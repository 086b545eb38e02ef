"""Files of one run appear together: their writer is killed before every single step, and nothing is ever mixed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from devicekit.common.figure_files import save_figure
from devicekit.common.file_sets import replacing_together, settle

# Children that are killed before the n-th change of the file system, as Python's audit hooks see them.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from devicekit.common.figure_files import save_figure
from devicekit.common.file_sets import replacing_together

CHANGES = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod")

def kill_before(step):
    left = step
    def hook(event, arguments):
        nonlocal left
        if event in CHANGES and (event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
    sys.addaudithook(hook)

def write(folder, word, names, without):
    with replacing_together(folder, without) as together:
        for name in names:
            (together / name).write_text(word)

folder, step = Path(sys.argv[1]), int(sys.argv[2])
kill_before(step)
write(folder, "new", ["page", "table", "json"], ["gone"])
"""
OLD, NEW = ["gone", "page", "study", "table"], ["json", "page", "study", "table"]

posix = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on this system")


def words(folder: Path) -> dict[str, str]:
    """Return what stands in the files of a folder that are not hidden."""
    return {path.name: path.read_text() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


@posix
def test_a_kill_before_any_step_mixes_nothing_and_the_next_writer_puts_it_right(tmp_path: Path) -> None:
    old = {name: "old" if name != "study" else "user's" for name in OLD}
    new = {name: "new" if name != "study" else "user's" for name in NEW}
    seen, step, finished = [], 0, False
    while not finished:
        folder = tmp_path / str(step)
        folder.mkdir()
        for name, word in old.items():
            (folder / name).write_text(word)
        done = subprocess.run([sys.executable, "-c", PROGRAM, str(folder), str(step)], check=False)
        finished = done.returncode == 0
        assert done.returncode in (0, -9)
        killed = words(folder)
        standing = {killed.get(name) for name in ("page", "table", "json", "gone")} - {None}
        assert len(standing) <= 1, f"step {step}: files of two sets stand side by side"
        settle(folder)
        assert words(folder) in (old, new), f"step {step}"
        assert killed == old or words(folder) == new, f"step {step}: a set that was begun is not finished"
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]
        seen.append(words(folder))
        step += 1
    # 3 files, 1 folder for the file that goes, the set's folder and its renaming, removing and moving.
    assert step > 12
    assert seen[0] == old
    assert seen[-1] == seen[-2] == new


def test_a_set_that_raises_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "page").write_text("old")
    with pytest.raises(FileNotFoundError), replacing_together(tmp_path) as together:
        (together / "page").write_text((tmp_path / "absent").read_text())
    assert words(tmp_path) == {"page": "old"}
    new = tmp_path.with_name("new")
    new.mkdir()
    for name in ("page", "table"):
        (new / name).write_text("new")
    (tmp_path / "table").mkdir()
    with pytest.raises(IsADirectoryError) as caught, replacing_together(tmp_path) as together:
        shutil.copytree(new, together, dirs_exist_ok=True)
    assert caught.value.filename == str(tmp_path / "table")
    assert (tmp_path / "page").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page", "table"]


@posix
def test_sets_of_several_writers_do_not_mix(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom devicekit.common.file_sets import replacing_together\n"
        "for _ in range(100):\n    with replacing_together(sys.argv[1]) as together:\n"
        "        for name in 'abcde':\n            (together / name).write_text(sys.argv[2])\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), word]) for word in ("one", "two", "six")]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert set(words(tmp_path)) == set("abcde")
    assert len(set(words(tmp_path).values())) == 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    with replacing_together(tmp_path) as together, replacing_together(tmp_path) as other:
        settle(tmp_path)
        (together / "a").write_text("last")
        (other / "a").write_text("first")
    assert words(tmp_path) == {"a": "last"}


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_same_figure_gives_the_same_file(tmp_path: Path, ending: str) -> None:
    for name in ("one", "two"):
        figure, axes = plt.subplots()
        axes.plot([0, 1], [1, 3], label="a")
        axes.set_xlim(0.2, 0.8)
        save_figure(figure, tmp_path / f"{name}.{ending}")
        plt.close(figure)
    assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()
    assert b"Date" not in (tmp_path / f"one.{ending}").read_bytes()
