"""What a header says: the name of a quantity, its unit, whether it is a logarithm, the voltage of the read."""

from __future__ import annotations

import re
from dataclasses import dataclass

CELSIUS = frozenset({"c", "°c", "ºc", "degc", "deg_c", "deg c", "celsius", "℃"})
FAHRENHEIT = frozenset({"f", "°f", "degf", "deg_f", "fahrenheit"})
KELVIN = frozenset({"k", "kelvin"})
TIME_WORDS = {
    "seconds": "s", "second": "s", "secs": "s", "sec": "s", "sekunden": "s",
    "minutes": "min", "minute": "min", "mins": "min", "minuten": "min",
    "hours": "h", "hour": "h", "hrs": "h", "hr": "h", "stunden": "h", "stunde": "h", "heures": "h",
    "days": "day", "day": "day", "tage": "day", "tag": "day", "jours": "day", "d": "day",
    "weeks": "week", "week": "week", "wochen": "week", "months": "month", "month": "month",
    "years": "year", "year": "year", "jahre": "year", "yr": "year", "yrs": "year",
}  # fmt: skip
"""Words for a unit of time; as a header they name a time in that unit (`d` only behind a number or a name)."""
_SUFFIX_UNITS = {
    "a", "ma", "ua", "µa", "μa", "na", "pa", "fa", "s", "ms", "us", "µs", "μs", "ns", "ps", "siemens", "sec", "min",
    "h", "hr", "hours", "days", "day", "d", "k", "c", "degc", "kelvin", "celsius", "ohm", "ohms", "kohm", "kohms",
    "mohm", "mohms", "ω", "kω", "mω", "g0", "percent",
}  # fmt: skip
"""Units that are recognised behind an underscore or a space, as in ``Id_A`` or ``time_s``."""
_LOG = re.compile(
    r"^(?P<base>log10|log_10|log|lg|ln)(?:\s*(?P<open>[\(\[\{])|[\s_]+(?:of\s+)?)(?P<inner>.+)$", re.IGNORECASE
)
_BASES = {"log10": 10.0, "log_10": 10.0, "lg": 10.0, "ln": 2.718281828459045, "log": None}
_READ_AT = re.compile(
    r"\s*[\(\[]?\s*(?:@|\bat\b)\s*(?:V\w*\s*=\s*)?(?P<volts>[+-]?\d+(?:[.,]\d+)?\s*m?V)\s*[\)\]]?\s*", re.IGNORECASE
)


@dataclass(frozen=True)
class HeaderName:
    """What a header says.

    Attributes:
        name: lower case, words joined by underscores; ``T`` alone stays in upper case.
        unit: as written; None where there is none.
        base: base of the logarithm that was taken; 1 for plain numbers, None for a logarithm of unstated base.
        read_at: voltage of the read, as written; empty where there is none.
    """

    name: str
    unit: str | None
    base: float | None = 1.0
    read_at: str = ""


def split_header(header: str) -> tuple[str, str | None]:
    """Return the name and the unit of a header: ``"G [uS]"`` is (``"g"``, ``"uS"``), ``"Id_A"`` is (``"id"``, ``"A"``).

    Names come back in lower case with words joined by underscores. A unit stands in round or square brackets, after
    a slash or comma, or as a known unit after the last underscore or space.
    """
    text = header.strip().strip("\"'").lstrip("#").strip().replace("|", "")
    text = re.sub(r"^date\s*/\s*time", "datetime", text, flags=re.IGNORECASE)
    match = re.fullmatch(r"(?P<name>.*?)\s*[\(\[\{]\s*(?P<unit>[^\)\]\}]*)\s*[\)\]\}]", text) or re.fullmatch(
        r"(?P<name>[^/,]+?)\s*[/,]\s*(?:in\s+)?(?P<unit>[^\s/,]+)", text
    )
    match = match or re.fullmatch(r"(?P<name>.+?)\s+in\s+(?P<unit>\S+)", text)
    if match is None:
        match = re.fullmatch(r"(?P<name>.+)[_\s](?P<unit>[^\s_]+)", text)
        if match is not None and match["unit"].lower() not in _SUFFIX_UNITS:
            match = None
    name, unit = (match["name"], match["unit"].strip() or None) if match is not None else (text, None)
    return re.sub(r"[\s\-\.]+", "_", name.strip()).strip("_").lower(), unit


def parse_header(header: str) -> HeaderName:
    """Return everything that a header says: ``"log10(I/A)"`` is a current of unit A as its logarithm to base 10."""
    text = header.strip().strip("\"'").lstrip("#").strip()
    read_at = ""
    found = _READ_AT.search(text)
    if found is not None and text[: found.start()].strip():
        read_at = found["volts"]
        text = f"{text[: found.start()]} {text[found.end() :]}".strip()
    base: float | None = 1.0
    logarithm = _LOG.match(text)
    if logarithm is not None:
        inner = logarithm["inner"].strip()
        if logarithm["open"] is not None:
            # The bracket that the logarithm opened closes at the first bracket that is not nested.
            closing = {"(": ")", "[": "]", "{": "}"}[logarithm["open"]]
            end = _closing(inner, logarithm["open"], closing)
            inner = f"{inner[:end]}{inner[end + 1 :]}" if end >= 0 else inner
        base = _BASES[logarithm["base"].lower()]
        text = inner.strip()
    name, unit = split_header(text)
    if text in ("T", "'T'"):
        name = "T"
    return HeaderName(name, unit, base, read_at)


def _closing(text: str, opening: str, closing: str) -> int:
    depth = 0
    for index, letter in enumerate(text):
        if letter == opening:
            depth += 1
        elif letter == closing:
            if depth == 0:
                return index
            depth -= 1
    return -1


def is_temperature_unit(unit: str | None) -> bool:
    """Return whether a unit is one of temperature."""
    return unit is not None and unit.strip().lower() in CELSIUS | FAHRENHEIT | KELVIN
