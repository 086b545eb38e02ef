"""A foreign model file as the lines that ngspice may see: models, subcircuits, parameters and devices, nothing else.

A netlist can run programs: ``.control`` blocks hold ``shell``, an XSPICE ``d_process`` starts one, and every included
file is another netlist. So a card is read here, its own includes too, and only statements of a list are passed on.
ngspice never opens the user's files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from circuits.errors import CircuitError
from devicekit.common.errors import unknown_name
from devicekit.common.paths import is_file

STATEMENTS = (".model", ".subckt", ".ends", ".param", ".func", ".global", ".option", ".options", ".if", ".elseif",
              ".else", ".endif")  # fmt: skip
"""Statements that are passed on; ``.include`` and ``.lib`` are followed here, ``.end`` ends a file."""
OPTIONS = ("scale", "scalm", "tnom", "defw", "defl", "defad", "defas")
"""Options of a model file: what its numbers mean. Those of the solver are ours."""
DEVICES = "bcdefghijklmqrstuvwxz"
"""First letters of devices; ``a`` (XSPICE) and ``n`` (compiled models) load and run code of their own."""
MODELS = ("nmos", "pmos", "npn", "pnp", "lpnp", "d", "r", "res", "c", "l", "ind", "njf", "pjf", "nmf", "pmf", "nhfet",
          "phfet", "sw", "csw", "vdmos", "vdmosn", "vdmosp", "urc", "ltra", "txl", "cpl", "nsoi", "psoi",
          "vbic")  # fmt: skip
DEEPEST = 20
LARGEST = 50_000_000
"""Characters of all files of a card together."""


def card_lines(library: Path, section: str | None = None) -> list[str]:
    """Return the statements of a model file and of all that it includes, ready to stand in a netlist.

    Args:
        library: the file; what it includes must lie in its folder or below.
        section: section of a ``.lib`` file with several; None for all that stands outside sections.

    Raises:
        CircuitError: a statement that a model file does not need (it names file and line), an include that leaves the
            card's folder, a section that is not there, a file that is no text.
    """
    library = library.resolve()
    if section is not None and not re.fullmatch(r"[\w.+-]+", section):
        raise CircuitError(f"Expected `section` to be the name of a section, but got {section!r:.60}.")
    return _Card(library.parent).read(library, section, 0)


@dataclass
class _Card:
    """The card's folder and what was read of it so far."""

    root: Path
    characters: int = 0

    def read(self, path: Path, section: str | None, depth: int) -> list[str]:
        lines: list[str] = []
        inside: str | None = None
        found: list[str] = []
        for number, line in self._statements(path, depth):
            place = f"{path.name}:{number}"
            words = line.split()
            word = words[0].lower()
            if word == ".lib" and len(words) == 2:
                inside = _name(words[1])
                found.append(inside)
                continue
            if word in (".endl", ".end"):
                inside = None
                if word == ".end":
                    break
                continue
            wanted = inside is None if section is None else inside == section.lower()
            if not wanted:
                continue
            if word in (".include", ".inc", ".lib"):
                lines += self._followed(path, line, place, depth)
            else:
                lines.append(_checked(line, word, place))
        if section is not None and section.lower() not in found:
            raise CircuitError(f"{path.name}: " + unknown_name("section", section, found))
        if section is None and found and not lines:
            raise CircuitError(f"{path.name}: expected a `section`, one of {', '.join(found)}: all stands in sections.")
        return lines

    def _followed(self, path: Path, line: str, place: str, depth: int) -> list[str]:
        """Return the lines of an included file."""
        match = re.match(r"\.\w+\s+(?:\"([^\"]+)\"|'([^']+)'|(\S+))\s*(\S+)?\s*$", line)
        if match is None:
            raise CircuitError(f"{place}: expected the name of one file, but got {line!r:.120}.")
        name, section = next(group for group in match.groups()[:3] if group), match.group(4)
        target = (path.parent / name).resolve()
        if not target.is_relative_to(self.root):
            raise CircuitError(
                f"{place}: {name!r} lies outside the card's folder {self.root.name!r}; a model file may include "
                "what lies in its own folder or below. Put them together, or take the file of the folder above."
            )
        if not is_file(target):
            raise CircuitError(f"{place}: could not find the included file {name!r}.")
        return self.read(target, None if section is None else _name(section), depth + 1)

    def _statements(self, path: Path, depth: int) -> Iterator[tuple[int, str]]:
        """Yield each statement, continuation lines joined and comments left out, with its line number."""
        if depth > DEEPEST:
            raise CircuitError(f"{path.name}: files include each other more than {DEEPEST} deep.")
        try:
            size = path.stat().st_size
            self.characters += size
            if self.characters > LARGEST:
                raise CircuitError(f"{path.name}: the card and its includes are larger than {LARGEST // 10**6} MB.")
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise CircuitError(f"{path}: cannot read the model file: {error.strerror}.") from None
        if "\0" in text:
            raise CircuitError(f"{path.name}: expected a text file, but it is binary.")
        statement, start = "", 0
        for number, raw in enumerate(text.splitlines(), start=1):
            line = _without_comment(raw)
            if not line or line.startswith("*"):
                continue
            if line.startswith("+"):
                statement = f"{statement} {line[1:].strip()}"
                continue
            if statement:
                yield start, statement
            statement, start = line, number
        if statement:
            yield start, statement


def _without_comment(line: str) -> str:
    """Return a line without the comment behind ``;``, `` $ `` or ``//``, and without control characters."""
    clean = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", " ", line)
    return re.split(r";|\s\$(?=\s|$)|^\$|\s//|^//", clean, maxsplit=1)[0].strip()


def _name(word: str) -> str:
    return word.strip("\"'").lower()


def _checked(line: str, word: str, place: str) -> str:
    """Return a statement that may be passed on, or refuse it by name."""
    if word.startswith("."):
        if word not in STATEMENTS:
            raise CircuitError(
                f"{place}: {word!r:.40} has no place in a model file, which is read for models, subcircuits, "
                "parameters and devices; nothing of it was run."
            )
        words = line.replace("(", " ").replace("=", " ").split()
        if word == ".model" and (len(words) < 3 or words[2].lower() not in MODELS):
            raise CircuitError(f"{place}: " + unknown_name("type of model", words[2] if len(words) > 2 else "", MODELS))
        if word in (".option", ".options"):
            for option in re.sub(r"\s*=\s*", "=", line).split()[1:]:
                name = option.partition("=")[0]
                if name.lower() not in OPTIONS:
                    raise CircuitError(f"{place}: " + unknown_name("option of a model file", name, OPTIONS))
        return line
    if word[0] not in DEVICES:
        raise CircuitError(f"{place}: {line!r:.60} is no device that a model file may hold (first letters {DEVICES}).")
    if re.search(r"\bfile\s*=", line, re.IGNORECASE):
        raise CircuitError(f"{place}: {line!r:.60} reads a file, which a model file may not.")
    return line
