"""Run every benchmark of this folder, one after another: `python -m benchmarks.run [NAME ...] [-- OPTIONS]`.

`--quick` runs what the tables of the README hold, in a few minutes; `--write` puts them there.
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback
from pathlib import Path

from benchmarks import readme

HELPERS = ("__init__", "run", "measure", "readme", "unrolled", "aihwkit_environment", "aihwkit_worker")

QUICK = {"accuracy_speed": ["--quick"], "bit_line_speed": ["--quick"]}


def names() -> list[str]:
    """Benchmarks there are."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in HELPERS)


def main(arguments: list[str]) -> int:
    if "--write" in arguments:
        arguments = [argument for argument in arguments if argument != "--write"]
        readme.write_tables()
    quick = arguments[:1] == ["--quick"]
    if quick:
        named = len(arguments) > 1 and arguments[1] in names()
        arguments = arguments[1:] if named else [*QUICK, *arguments[1:]]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    chosen, options = arguments[:split] or names(), arguments[split + 1 :]
    unknown = [name for name in chosen if name not in names()]
    if unknown:
        print(f"No benchmark {', '.join(unknown)}; there are {', '.join(names())}.", file=sys.stderr)
        return 2
    failed = []
    for name in chosen:
        print(f"== {name} ==", flush=True)
        started = time.perf_counter()
        try:
            importlib.import_module(f"benchmarks.{name}").main([*options, *(QUICK.get(name, []) if quick else [])])
        except Exception:
            traceback.print_exc()
            failed.append(name)
        print(f"({name}: {time.perf_counter() - started:.0f} s)\n", flush=True)
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
