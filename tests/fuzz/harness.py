"""Mutation fuzzing of every user file: each input is read as meant or refused by name, within seconds.

`make fuzz` runs it for an hour; `make test` for a fixed number of inputs. A fault is a traceback (any exception but the
project's own), a message longer than `LONGEST`, a hang, or a number outside the range that its target states, without a
warning. What is found is written to ``out/fuzz`` with the input, and the input becomes a case of the tests.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import random
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from mutate import mutated
from targets import TARGETS, Target

from devicekit.common.errors import DevicekitError

HANG = 20.0
"""Seconds of processor time that no small file takes to read; a busy machine must not look like a hang."""
LONGEST = 1000
"""Characters of the longest message (400 for what a foreign reader says, and what the project adds around it)."""


class Hang(BaseException):
    """Reading took longer than `HANG`; not an Exception, so that no guard of a reader takes it for a damaged file."""


@dataclass
class Tally:
    """What a run found.

    Attributes:
        inputs: files tried by target.
        refused: files refused by name, by target.
        faults: descriptions by the file that shows them.
    """

    inputs: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)


@contextmanager
def _limited() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, HANG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def try_input(target: Target, path: Path) -> tuple[bool, str | None]:
    """Return whether a file was refused by name, and the fault that reading it shows, or None."""
    try:
        with _limited(), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            nonsense = target.read(path)
    except DevicekitError as error:
        long = len(str(error)) > LONGEST
        return True, f"a message of {len(str(error))} characters: {str(error)[:200]}" if long else None
    except Hang:
        return False, f"hang: more than {HANG:g} s"
    except Exception:
        return False, traceback.format_exc(limit=-6)
    # Nonsense that a warning names is the user's to judge; nonsense in silence is the fault.
    return False, f"nonsense: {nonsense}" if nonsense and not said else None


def fuzz(names: list[str], seed: int, inputs: int | None, seconds: float | None, found: Path | None) -> Tally:
    """Try mutated files of some kinds in turn.

    Args:
        names: of `TARGETS`.
        seed: of the mutations; the same seed tries the same files.
        inputs: files of each kind; None for no limit.
        seconds: time for all; None for no limit.
        found: folder for the inputs that show faults; None to keep none.
    """
    tally, start = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number in itertools.count() if inputs is None else range(inputs):
            for name in names:
                if seconds is not None and time.monotonic() - start > seconds:
                    return tally
                target = TARGETS[name]
                # Seeded by kind and number, so that a fault is found again whatever else was tried.
                rng = random.Random(f"{seed} {name} {number}")
                data = mutated(rng.choice(target.seeds), rng, target.text)
                path = Path(folder) / f"input{target.suffix}"
                path.write_bytes(data)
                refused, fault = try_input(target, path)
                tally.inputs[name] += 1
                tally.refused[name] += refused
                if fault:
                    label = f"{name}-{hashlib.sha256(data).hexdigest()[:12]}{target.suffix}"
                    tally.faults[label] = fault
                    if found is not None:
                        found.mkdir(parents=True, exist_ok=True)
                        (found / label).write_bytes(data)
                        (found / f"{label}.txt").write_text(fault)
    return tally


def main() -> None:
    """Fuzz from the command line and print what was tried and found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", default=list(TARGETS), help=f"kinds of file: {', '.join(TARGETS)}")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--inputs", type=int, default=None, help="files of each kind, instead of a time")
    parser.add_argument("--seed", type=int, default=None, help="another seed tries other files (default: the time)")
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"))
    given = parser.parse_args()
    seed = int(time.time()) if given.seed is None else given.seed
    tally = fuzz(given.targets, seed, given.inputs, None if given.inputs else 60 * given.minutes, given.out)
    print(f"seed {seed}: {tally.inputs.total()} inputs, {tally.refused.total()} refused, {len(tally.faults)} faults")
    for name in given.targets:
        print(f"  {name:12} {tally.inputs[name]:8} inputs {tally.refused[name]:8} refused")
    for label, fault in tally.faults.items():
        print(f"{given.out / label}\n    " + fault.strip().replace("\n", "\n    "))
    raise SystemExit(bool(tally.faults))


if __name__ == "__main__":
    main()
