"""Models and subcircuits that a foreign card holds: their types, terminals and parameters, for choices and messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_VALUE = r"(?:'[^']*'|\{[^}]*\}|\"[^\"]*\"|[^\s=]+)"
_ASSIGNMENT = re.compile(rf"([A-Za-z_][\w.]*)\s*=\s*({_VALUE})")
_BIN = re.compile(r"\.\d+$")
_SUFFIXES = {"t": 1e12, "g": 1e9, "meg": 1e6, "k": 1e3, "mil": 25.4e-6, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12,
             "f": 1e-15}  # fmt: skip


@dataclass(frozen=True)
class Subcircuit:
    """A ``.subckt`` of a card; names as the file writes them.

    Attributes:
        name: of the subcircuit.
        terminals: in the order of the file.
        parameters: declared values by name; ngspice knows no others from outside.
        lines: statements between ``.subckt`` and ``.ends``.
    """

    name: str
    terminals: tuple[str, ...]
    parameters: dict[str, str]
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class CardContents:
    """All models and subcircuits of a card, by name in lower case; types are lower case too."""

    models: dict[str, str]
    subcircuits: dict[str, Subcircuit]

    def channels(self, name: str) -> set[str]:
        """Return which of ``nmos`` and ``pmos`` a model or the transistors of a subcircuit are, nested ones included.

        Args:
            name: of the model or subcircuit.
        """
        return self._channels(name.lower(), ())

    def _channels(self, name: str, above: tuple[str, ...]) -> set[str]:
        if name in self.models:
            return {self.models[name]} & {"nmos", "pmos"}
        subcircuit = self.subcircuits.get(name)
        if subcircuit is None or name in above:
            return set()
        found: set[str] = set()
        for line in subcircuit.lines:
            if line[0].lower() in "mx":
                words = _ASSIGNMENT.sub(" ", line).lower().split()
                for word in words[1:]:
                    found |= self._channels(word, (*above, name))
        return found


def card_contents(lines: Sequence[str]) -> CardContents:
    """Return what a card holds.

    Args:
        lines: statements of the card, see `circuits.spice.model_cards.card_lines`.
    """
    models: dict[str, str] = {}
    subcircuits: dict[str, Subcircuit] = {}
    open_ones: list[Subcircuit] = []
    for line in lines:
        words = line.replace("(", " ").split()
        word = words[0].lower()
        if word == ".model" and len(words) > 2:
            name = words[1].lower()
            models[name] = words[2].lower()
            # A bin, such as nch.3, is asked for by the name before the number.
            models.setdefault(_BIN.sub("", name), words[2].lower())
        elif word == ".subckt" and len(words) > 1:
            terminals = re.sub(r"\bparams:", " ", _ASSIGNMENT.sub(" ", line), flags=re.IGNORECASE).split()[2:]
            found = Subcircuit(words[1], tuple(terminals), dict(_ASSIGNMENT.findall(line)))
            subcircuits[words[1].lower()] = found
            open_ones.append(found)
        elif word == ".ends":
            if open_ones:
                open_ones.pop()
        elif open_ones:
            open_ones[-1].lines.append(line)
    return CardContents(models, subcircuits)


def assignments(text: str) -> dict[str, str]:
    """Return the parameters of an instance, such as ``w=1u l=200n``, by name.

    Args:
        text: as in a netlist.
    """
    return dict(_ASSIGNMENT.findall(text))


def spice_number(text: str) -> float | None:
    """Return a number as SPICE writes it (``100k``, ``1meg``, ``40n``), None for an expression.

    Args:
        text: the number, with its scale and perhaps a unit behind it.
    """
    match = re.fullmatch(r"[{'\"]?\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)([a-z]*)\s*[}'\"]?", text.strip().lower())
    if match is None:
        return None
    letters = match.group(2)
    scale = next((value for suffix, value in _SUFFIXES.items() if letters.startswith(suffix) and
                  not (suffix == "m" and letters.startswith(("meg", "mil")))), 1.0)  # fmt: skip
    return float(match.group(1)) * scale


def held_states(lines: Sequence[str]) -> list[str]:
    """Return the statements with every capacitor that has an initial condition held at it, by a voltage source.

    Memristor models keep their state as the charge of a capacitor (``Cx x 0 1 IC={...}``). A read is short against its
    motion, but an operating point would let it settle.

    Args:
        lines: statements of a card.
    """
    pattern = re.compile(rf"^(c\S*)\s+(\S+)\s+(\S+)\s+.*\bic\s*=\s*({_VALUE})", re.IGNORECASE)
    return [pattern.sub(r"v\1 \2 \3 \4", line) if pattern.match(line) else line for line in lines]
