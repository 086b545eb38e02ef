"""Sets of files that belong together: all of one run appear in their folder, or none does.

A set is written into a hidden folder beside its place. One rename of that folder, to a name that says it is whole, is
the moment from which the set counts; then the files of the earlier set are removed and the new ones moved to their
place. Whoever is killed before that moment has changed nothing but the hidden folder, which the next writer removes;
whoever is killed after it leaves a whole set, which the next writer puts in its place first. At no time do files of two
sets stand side by side, so that a table can be read beside the page of another run.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from devicekit.common.paths import NO_SPACE, left_by_the_dead, owner_mark

_UNFINISHED = ".unfinished."
_WHOLE = ".whole."


@contextmanager
def replacing_together(folder: Path | str, without: Iterable[str] = ()) -> Iterator[Path]:
    """Write several files of a folder all or none: yield a hidden folder whose files take their place on success.

    Args:
        folder: where the files shall stand; made if need be.
        without: names of files that this set does not have: those of an earlier set are removed with it.

    Yields:
        A folder inside to write to, under the files' final names; removed when the block raises.

    Raises:
        OSError: a folder stands where a file shall, or the files cannot be written or moved.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    settle(place)
    scratch = Path(tempfile.mkdtemp(prefix=_UNFINISHED + owner_mark(), dir=place))
    try:
        try:
            yield scratch
        except OSError as error:
            if error.filename is None and error.errno in NO_SPACE:
                # A write to a full disk does not say which file it was.
                error.filename = str(place)
            elif Path(str(error.filename)).parent == scratch:
                error.filename = str(place / Path(error.filename).name)
            raise
        for name in without:
            # An empty folder stands for a file that is not in the set.
            (scratch / name).mkdir()
        for path in scratch.iterdir():
            if (place / path.name).is_dir():
                raise IsADirectoryError(
                    errno.EISDIR, "A folder stands where a file shall be written", str(place / path.name)
                )
        with _alone_in(place):
            _put_in_place(place)
            scratch.rename(place / scratch.name.replace(_UNFINISHED, _WHOLE, 1))
            _put_in_place(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def settle(folder: Path | str) -> None:
    """Finish the whole set that a killed process left in a folder, and remove an unfinished one.

    Args:
        folder: where `replacing_together` writes; it need not be there.
    """
    place = Path(folder)
    for stray in left_by_the_dead(place, _UNFINISHED):
        shutil.rmtree(stray, ignore_errors=True)
    if any(place.glob(f"{_WHOLE}*")):
        with _alone_in(place):
            _put_in_place(place)


def _put_in_place(place: Path) -> None:
    """Move the files of whole sets to their place; after a kill between any two steps the next call goes on."""
    for whole in sorted(place.glob(f"{_WHOLE}*"), key=lambda path: path.stat().st_mtime_ns):
        names = sorted(path.name for path in whole.iterdir())
        for name in names:
            (place / name).unlink(missing_ok=True)
        for name in names:
            if (whole / name).is_file():
                (whole / name).replace(place / name)
        shutil.rmtree(whole)


@contextmanager
def _alone_in(place: Path) -> Iterator[None]:
    """Keep other writers of sets out of a folder, as far as its file system knows locks; a kill ends the lock."""
    if os.name != "posix":
        yield
        return
    import fcntl

    handle = os.open(place, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
