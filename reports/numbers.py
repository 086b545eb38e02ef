"""Numbers as a person reads them: significant digits, intervals, prefixes of units."""

from __future__ import annotations

from reports.results import Interval


def significant(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, without an exponent where a person would not use one.

    Args:
        value: the number.
        digits: significant digits.
    """
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.{digits - 1}e}"
    rounded = float(f"{value:.{digits - 1}e}")
    magnitude = len(str(int(abs(rounded)))) if abs(rounded) >= 1 else 0
    if magnitude:
        return f"{rounded:,.{max(digits - magnitude, 0)}f}".replace(",", " ")
    text = f"{rounded:.10f}".rstrip("0")
    leading = len(text.split(".")[1]) - len(text.split(".")[1].lstrip("0"))
    return f"{rounded:.{leading + digits}f}"


def show_interval(interval: Interval | None, digits: int = 3) -> str:
    """Return an interval as ``low – high``; nothing where there is none or it is too narrow to show.

    Args:
        interval: its ends; None where there is none.
        digits: significant digits of each end, up to two more where the ends would look the same.
    """
    if interval is None:
        return ""
    for more in range(3):
        low, high = (significant(end, digits + more) for end in interval)
        if low != high:
            return f"{low} – {high}"
    return ""


_PREFIXES = ((1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"), (1e-15, "f"))
_PREFIXED_UNITS = ("A", "V", "s", "S", "Ohm", "J", "W", "F")


def in_prefix(value: float, unit: str, interval: Interval | None = None, digits: int = 4) -> tuple[str, str, str]:
    """Return value, unit and interval as a person writes them: 3.8e-08 A becomes 38 nA.

    Args:
        value: the number.
        unit: its unit; SI units without a prefix get one.
        interval: its ends, in the same unit.
        digits: significant digits.
    """
    if unit == "1":
        unit = ""
    scale, prefix = 1.0, ""
    if unit in _PREFIXED_UNITS and value:
        fitting = [(s, p) for s, p in _PREFIXES if abs(value) >= 0.9995 * s]
        scale, prefix = fitting[0] if fitting else _PREFIXES[-1]
    ends = None if interval is None else (interval[0] / scale, interval[1] / scale)
    shown = f"{float(f'{value / scale:.{digits}g}'):.10g}"
    return shown, f"{prefix}{unit}", show_interval(ends, 3)


def bits(resolution: float | None) -> str:
    """Return a resolution [bit] as tables show it; without quantised inputs there is no limit.

    Args:
        resolution: the number, None for no limit.
    """
    return "∞" if resolution is None else f"{resolution:.1f}"
