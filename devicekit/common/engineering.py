"""Numbers for people: engineering prefixes, and estimates rounded to what their standard error supports."""

from __future__ import annotations

import math

_PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}


def prefix_of(value: float) -> tuple[str, float]:
    """Return the engineering prefix for a value and the factor it stands for; ``("n", 1e-9)`` for 39e-9."""
    if value == 0 or not math.isfinite(value):
        return "", 1.0
    power = 3 * math.floor(math.log10(abs(value)) / 3 + 1e-12)
    power = min(max(power, -18), 12)
    return _PREFIXES[power], 10.0**power


def engineering(value: float, unit: str, digits: int = 4) -> str:
    """Return ``"39.57 nA"``; a pure number (empty unit) without a prefix."""
    if not unit:
        return f"{value:.{digits}g}"
    prefix, factor = prefix_of(value)
    return f"{value / factor:.{digits}g} {prefix}{unit}"


def with_error(value: float, stderr: float, unit: str) -> str:
    """Return ``"39.57 +- 0.41 nA"``: the error on two digits, the value as far as the error reaches."""
    if not math.isfinite(stderr) or stderr <= 0:
        return engineering(value, unit)
    prefix, factor = prefix_of(value) if unit else ("", 1.0)
    scaled, error = value / factor, stderr / factor
    places = max(0, 1 - math.floor(math.log10(error))) if error < 1e6 else 0
    if places > 9 or error >= 1e6:
        return f"{scaled:.4g} +- {error:.2g} {prefix}{unit}".rstrip()
    return f"{scaled:.{places}f} +- {error:.{places}f} {prefix}{unit}".rstrip()


def percent(share: float) -> str:
    """Return a share as ``"3.2 %"`` on two digits; above 1000 % as a factor, never as a row of digits."""
    if not math.isfinite(share):
        return "no share"
    if abs(share) >= 10.0:
        return f"{share:.2g} times"
    return f"{100 * share:.2g} %" if abs(share) < 1 else f"{100 * share:.0f} %"


def long_duration(seconds: float) -> str:
    """Return a time of any length for a person, years included: ``"10 years"``, ``"50 days"``, ``"12 h"``."""
    year = 365.25 * 86400.0
    for name, size in (("years", year), ("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.3g} {name}"
    return duration(seconds)


def duration(seconds: float) -> str:
    """Return a time as text with a usual unit: ``"10 ms"``, ``"100 s"``, ``"2 days"``."""
    for name, size in (("days", 86400.0), ("h", 3600.0)):
        if seconds >= size and abs(seconds / size - round(seconds / size, 2)) < 1e-9 * seconds:
            return f"{seconds / size:g} {name if seconds != size else name.removesuffix('s')}"
    return engineering(seconds, "s") if seconds < 1 else f"{seconds:g} s"
