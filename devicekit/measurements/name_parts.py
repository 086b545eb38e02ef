"""What the names of files or sheets say of the cells in them: a level, a time, a die, before and after a bake."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from devicekit.common.errors import MeasurementError
from devicekit.measurements.labelled_columns import REPLICATES
from devicekit.measurements.unit_conversions import conversion

_LABEL_WORDS = {**REPLICATES, "w": "wafer", "waf": "wafer", "d": "die", "c": "cell"}
_TOKEN = re.compile(
    r"(?P<number>(?<![\d.])\d+(?:[.p,]\d+)?(?:[eE][+-]?\d+)?)[ _]?(?P<unit>[fpnuµμm]?A|[pnuµμmk]?S|[kKMG]?(?:ohms?|Ω|Ω)"
    r"|s|sec|seconds?|min|minutes?|h|hr|hrs|hours?|d|days?|weeks?|months?|C|K|degC|°C|m?V|G0)(?![A-Za-z])"
    rf"|(?<![A-Za-z])(?P<label>{'|'.join(sorted(_LABEL_WORDS, key=len, reverse=True))})[ _#.\-]*"
    r"(?P<index>\d+(?![A-Za-z\d.,])|[A-Z](?![A-Za-z]))"
    r"|(?P<word>[A-Za-zäöüß]+|\d+)",
    re.IGNORECASE,
)
_BEFORE = frozenset({"before", "pre", "prebake", "fresh", "initial", "unbaked", "vor", "vorher"})
_AFTER = frozenset({"after", "post", "postbake", "aged", "baked", "nach", "nachher"})
_FILLERS = frozenset({"bake", "retention", "at", "the", "of", "state", "level", "target", "time", "t"})
"""Words beside a quantity that say what it is anyway."""
_STATES = frozenset({"hrs", "lrs", "irs", "mrs", "hcs", "lcs"})


def meanings(names: Sequence[str], told: Collection[str] = ()) -> list[dict[str, str]] | None:
    """Return for each name what it gives to its table, as text by role; None where the names say nothing.

    Only what differs between the names counts, and all that differs has to be understood.

    Args:
        names: of files without their endings, or of sheets.
        told: roles that are known otherwise.

    Raises:
        MeasurementError: names that differ in a temperature (of the read or of a bake?), or in before and after without
            a time.
    """
    parts = [_parts(name) for name in names]
    keys = {key for own in parts for key in own}
    varying = {key for key in keys if len({own.get(key) for own in parts}) > 1}
    if "time" in told:
        varying -= {"phase"}
    if {"temperature", "bake_temperature"} & set(told):
        varying -= {"temperature"}
    varying -= set(told)
    if not varying or "words" in varying:
        return None
    if "temperature" in varying:
        baked = {own["temperature"] for own in parts if "temperature" in own}
        if len(baked) > 1 or "phase" not in varying:
            raise MeasurementError(
                f"The names {names[0]!r}, {names[1]!r} differ in a temperature: of the read or of a bake? Say which"
                " with a pattern, such as pattern='cells_{bake_temperature}C.csv'."
            )
        # A temperature that only the baked cells have is that of the bake.
        varying = (varying - {"temperature"}) | {"bake_temperature"}
        for own in parts:
            own["bake_temperature"] = next(iter(baked))
    if "phase" in varying and any("time" not in own for own in parts):
        raise MeasurementError(
            f"The names {', '.join(map(repr, names[:4]))} say before and after, not after how long; give the time of"
            " each, such as each={'time': ['0 s', '24 h']}, in the order of the files."
        )
    varying.discard("phase")
    known = {"target", "time", "bake_temperature", *_LABEL_WORDS.values()}
    if not varying or not varying <= known or any(own.get(key) is None for own in parts for key in varying):
        return None
    return [{key: own[key] for key in varying} for own in parts]


def _parts(name: str) -> dict[str, str]:
    """Return what the parts of a name mean: text by role, ``phase`` for before and after, and all other words."""
    found: dict[str, str] = {}
    words = []
    for match in _TOKEN.finditer(name):
        role = _role_of_unit(match["unit"]) if match["unit"] else None
        word = match[0].lower()
        if role is not None and role not in found:
            number = re.sub(r"[p,](?=\d)", ".", match["number"])
            found[role] = f"{number} {match['unit']}"
        elif match["label"]:
            found[_LABEL_WORDS[match["label"].lower()]] = match["index"]
        elif word in _BEFORE or word in _AFTER:
            found["phase"] = "before" if word in _BEFORE else "after"
        elif word in _STATES:
            found.setdefault("target", word.upper())
        elif word not in _FILLERS:
            words.append(word)
    if found.get("phase") == "before" and "time" not in found:
        found["time"] = "0 s"
    if words:
        found["words"] = " ".join(words)
    return found


def _role_of_unit(unit: str) -> str | None:
    if unit in ("C", "K", "degC", "°C"):
        return "temperature"
    if unit in ("V", "mV"):
        return None
    if unit in ("ms", "us", "µs", "μs", "ns", "s"):
        return "time"
    for role in ("target", "time"):
        try:
            found = conversion(role, unit, "")
        except MeasurementError:
            continue
        return None if found.quantity == "share" else role
    return None
