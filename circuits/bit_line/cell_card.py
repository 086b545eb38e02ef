"""What a SPICE cell's card says of it: transistor or two terminals, in which order, polarity, parameters and lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from circuits.errors import CircuitError, SpiceError
from circuits.spice.card_contents import CardContents, Subcircuit, assignments, card_contents, held_states
from devicekit.common.errors import unknown_name

TRANSISTOR = ("drain", "gate", "source", "body")
TWO_TERMINAL = ("top", "bottom")
ROLES = (*TRANSISTOR, *TWO_TERMINAL, "open")
"""Roles of a subcircuit's terminals; ``top`` lies on the select transistor, ``open`` is left unconnected."""

_NAMES = {
    "drain": ("d", "drain", "nd"),
    "gate": ("g", "gate", "ng", "cg", "wl"),
    "source": ("s", "source", "ns"),
    "body": ("b", "bulk", "body", "sub", "nb", "well", "pwell", "nwell"),
    "top": ("te", "top", "p", "pos", "plus", "anode", "a"),
    "bottom": ("be", "bot", "bottom", "n", "neg", "minus", "cathode", "k", "c"),
}


@dataclass(frozen=True)
class CellCard:
    """A card as it was understood.

    Attributes:
        header: statements for the netlist.
        mosfet: True for a ``.model`` card, False for a subcircuit.
        roles: of the terminals in the card's own order.
        sign: -1 for p-channel.
        state_parameter: what programs a two-terminal cell, as declared; None for a transistor.
        state_default: its declared value.
    """

    header: tuple[str, ...]
    mosfet: bool
    roles: tuple[str, ...]
    sign: int
    state_parameter: str | None = None
    state_default: str | None = None


def read_card(
    lines: Sequence[str],
    file: str,
    model: str,
    *,
    instance: str,
    kind: str | None,
    polarity: str | None,
    terminals: tuple[str, ...] | None,
    state_parameter: str | None,
) -> CellCard:
    """Return how a card is to be used as a cell.

    Args:
        lines: statements of the card.
        file: its name, for messages.
        model: as in `SpiceCell`, and so are all that follow.
        instance: parameters.
        kind: ``mosfet``, ``subcircuit`` or None.
        polarity: ``n``, ``p`` or None.
        terminals: roles, or None.
        state_parameter: or None.

    Raises:
        CircuitError: a card that is not there or is no cell, a parameter that it does not have, or one of these that
            has to be said.
    """
    contents = card_contents(lines)
    name = model.lower()
    mosfet = name in contents.models if kind is None else kind == "mosfet"
    models, subcircuits = list(contents.models), list(contents.subcircuits)
    what, known = {
        "mosfet": ("model card", models),
        "subcircuit": ("subcircuit", subcircuits),
        None: ("model card or subcircuit", models + subcircuits),
    }[kind]
    if name not in known:
        raise CircuitError(f"{file}: " + unknown_name(what, model, sorted(known)))
    if mosfet:
        found = contents.models[name]
        if found not in ("nmos", "pmos"):
            raise CircuitError(
                f"{file}: the card {model!r} is of type {found!r}; expected nmos or pmos, or a subcircuit around it."
            )
        if terminals is not None:
            raise CircuitError("`terminals` name those of a subcircuit; a transistor's card has its own order.")
        roles: tuple[str, ...] = TRANSISTOR
    else:
        roles = _roles(file, contents.subcircuits[name], terminals)
    two = "top" in roles
    if state_parameter is not None and not two:
        raise CircuitError(
            f"`state_parameter` programs cells of two terminals, but {model!r} is a transistor, whose threshold "
            "voltage is programmed as a shift of its gate voltage."
        )
    if polarity is not None and two:
        raise CircuitError("`polarity` is a transistor's; a cell of two terminals is turned with `terminals`.")
    sign = 1 if two else _sign(file, model, contents, polarity)
    if mosfet:
        return CellCard(tuple(lines), True, roles, sign)
    subcircuit = contents.subcircuits[name]
    chosen = _state_parameter(file, subcircuit, state_parameter) if two else None
    declared = _declare(file, subcircuit, instance, chosen)
    header = [
        f"{line} {declared}" if declared and re.match(rf"\.subckt\s+{name}\b", line.lower()) else line for line in lines
    ]
    default = None
    if chosen is not None:
        values = {key.lower(): value for key, value in (subcircuit.parameters | assignments(instance)).items()}
        default = values.get(chosen.lower())
    return CellCard(tuple(held_states(header) if two else header), False, roles, sign, chosen, default)


def _roles(file: str, subcircuit: Subcircuit, given: tuple[str, ...] | None) -> tuple[str, ...]:
    names = subcircuit.terminals
    shown = f"{file}: the subcircuit {subcircuit.name!r} has the terminals {' '.join(names) or '(none)'}"
    if given is not None:
        for role in given:
            if role not in ROLES:
                raise CircuitError(unknown_name("role in `terminals`", role, ROLES))
        whole = [set(TRANSISTOR[:3]) <= set(given) and not set(TWO_TERMINAL) & set(given),
                 set(TWO_TERMINAL) <= set(given) and not set(TRANSISTOR[:3]) & set(given)]  # fmt: skip
        single = all(given.count(role) == 1 for role in given if role not in ("open", "body"))
        if len(given) != len(names) or not any(whole) or not single:
            raise CircuitError(
                f"{shown}; expected `terminals` to give each of them a role, drain, gate, source and perhaps body of a "
                f"transistor or top and bottom of a cell of two terminals, the others open, but got {','.join(given)}."
            )
        return given
    found = [next((role for role, words in _NAMES.items() if name.lower() in words), None) for name in names]
    for standard in (TWO_TERMINAL, TRANSISTOR, TRANSISTOR[:3]):
        if len(names) == len(standard):
            if sorted(map(str, found)) == sorted(standard):
                return tuple(map(str, found))
            here = [role if role in standard else None for role in found]
            fits = all(role in (None, own) for role, own in zip(here, standard, strict=True))
            if fits and (len(names) != 3 or any(here)):
                return standard
    raise CircuitError(
        f"{shown}; say with `terminals` what each of them is: drain, gate, source and body of a transistor, top and "
        'bottom of a cell of two terminals, or open, such as "drain,gate,source,body".'
    )


def _sign(file: str, model: str, contents: CardContents, polarity: str | None) -> int:
    if polarity is not None:
        return -1 if polarity == "p" else 1
    channels = contents.channels(model)
    if len(channels) == 2:
        raise CircuitError(
            f"{file}: {model!r} holds n- and p-channel transistors; say with `polarity` whether the cell is n or p."
        )
    return -1 if channels == {"pmos"} else 1


def _used(subcircuit: Subcircuit, name: str) -> bool:
    """Say whether a name stands in an expression of the subcircuit, as a parameter would."""
    pattern = re.compile(rf"(?<![\w.]){re.escape(name)}(?![\w.(])", re.IGNORECASE)
    expressions = [part for line in subcircuit.lines for part in re.findall(r"\{[^}]*\}|'[^']*'|=.*", line)]
    return any(pattern.search(expression) for expression in expressions)


def _state_parameter(file: str, subcircuit: Subcircuit, given: str | None) -> str:
    declared = {name.lower(): name for name in subcircuit.parameters}
    if given is not None:
        if given.lower() in declared:
            return declared[given.lower()]
        if _used(subcircuit, given):
            return given
        raise CircuitError(f"{file}: " + unknown_name("`state_parameter`", given, sorted(declared.values())))
    if len(declared) == 1:
        return next(iter(declared.values()))
    choice = f"it has {', '.join(declared.values())}" if declared else "its .subckt line declares none"
    raise CircuitError(
        f"{file}: say with `state_parameter` which parameter of the two-terminal cell {subcircuit.name!r} is "
        f"programmed; {choice}."
    )


def _declare(file: str, subcircuit: Subcircuit, instance: str, state: str | None) -> str:
    """Return declarations that the ``.subckt`` line lacks; ngspice ignores what is not declared, without a word."""
    declared = {name.lower() for name in subcircuit.parameters} | {"m"}
    lacking = {key: value for key, value in assignments(instance).items() if key.lower() not in declared}
    for key in lacking:
        if not _used(subcircuit, key):
            raise CircuitError(
                f"{file}: in `instance`: "
                + unknown_name(f"parameter of {subcircuit.name},", key, sorted(subcircuit.parameters))
            )
    if state is not None and state.lower() not in declared | {key.lower() for key in lacking}:
        lacking[state] = "1"
    return " ".join(f"{key}={value}" for key, value in lacking.items())


_SAYINGS = (
    (
        r"Undefined parameter \[(\w+)\]",
        '{file}: the parameter {0!r} has no value: give one with `instance`, such as "{0}=1u", or in the file',
    ),
    (
        r"unknown parameter \((\w+)\)",
        "{file}: a transistor of {model!r} has no parameter {0!r}: leave it out of `instance`, or correct it",
    ),
    (
        r"can't find model '(\S+)'",
        "{file}: it holds no model {0!r}, which {model!r} needs: put it into the file, or include it",
    ),
    (
        r"unknown subckt: \S+ .*?(\w+)(?:\s+\w+=\S+)*\s*(?:\||$)",
        "{file}: it holds no subcircuit {0!r}, which {model!r} needs",
    ),
    (r"no such function '(\w+)'", "{file}: it calls a function {0!r} that ngspice does not have: define it with .func"),
    (
        r"Too (?:few|many) parameters for subcircuit type \"(\w+)\"",
        "{file}: its subcircuit {0!r} is called with another number of terminals than it has",
    ),
    (r"(Only MOS device levels .*?) \|", "{file}: ngspice does not have the level of this model. {0}"),
    (
        r"(could not find a valid modelname)",
        "{file}: no bin of {model!r} fits the width and length in `instance`, or its level is unknown to ngspice",
    ),
)


@contextmanager
def in_one_line(file: str, model: str) -> Iterator[None]:
    """Turn ngspice's words about a missing or unknown parameter, model or function into one line.

    Args:
        file: name of the model file.
        model: name of the card.
    """
    try:
        yield
    except SpiceError as error:
        for pattern, sentence in _SAYINGS:
            match = re.search(pattern, str(error), re.IGNORECASE)
            if match:
                raise SpiceError(sentence.format(*match.groups(), file=file, model=model) + ".") from None
        raise
