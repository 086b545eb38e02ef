"""Whether numbers can be currents of cells: magnitude, sign, distance from targets, marks, limits, swept bias.

Every doubt is refused with the option that settles it, or said as a warning where the numbers stay usable.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from devicekit.common.engineering import engineering
from devicekit.common.errors import MeasurementError, UnitError
from devicekit.common.quantities import parse_quantity
from devicekit.measurements.header_names import TIME_WORDS, is_temperature_unit, parse_header
from devicekit.measurements.interpreted import Interpreted
from devicekit.measurements.number_formats import is_number
from devicekit.measurements.read_options import ReadOptions, number_or_text
from devicekit.measurements.unused_columns import LEAST_SHARE, codes_of, share_explained

Floats = NDArray[np.float64]

LEAST = 8
"""Fewer cells are not judged; no state can be fitted to them either."""
LARGE = 1.0
SMALL = 1e-15
APART = 30.0
BARE = 3.0
"""Factors between values and targets that are refused, for targets with a unit of their own and without."""
_LIMITS = ("compliance", "current_compliance", "i_compliance", "compliance_current", "icomp", "i_comp", "current_limit",
           "i_limit", "ilimit", "limit", "ilim", "i_lim", "strombegrenzung")  # fmt: skip
_FLOORS = ("detection_limit", "lower_detection_limit", "measurement_floor")
_BIAS = re.compile(
    r"^(?:v|u|bias|gate|drain|source|spannung|voltage|tension)"
    r"(?:_?(?:g|gs|d|ds|s|b|bs|read|gate|drain|bias|wl|bl|sl|cg|fg|in|sweep))?(?:_?(?:voltage|bias|spannung|v))?$"
)
_SENTINELS = (-999.0, -9999.0, -99999.0, 9999.0, 99999.0, 999.0, -99.0, -1e9, 1e9)
TIMES = frozenset({*TIME_WORDS, *TIME_WORDS.values(), "ms", "us", "ns"})
"""Units that a column of times has, lower case."""
PILE = 0.02
"""Share of a state's cells at exactly the highest value that looks like a limit."""


def check(result: Interpreted, options: ReadOptions) -> None:
    """Refuse or warn of numbers that cannot be what they were read as; negate and mark what was asked for, in place.

    Raises:
        MeasurementError: what is implausible, and the option that settles it.
    """
    _signs(result, options)
    if result.is_histogram:
        return
    value = result.numbers("value")
    if len(value) >= LEAST:
        _marks(result, value, options)
        _magnitude(result, value, options)
        _row_numbers(result, value)
        _swapped(result, value, options)
        _swept(result, options)
        _repeats(result, options)
        _apart(result, value, options)
        _copies(result, value)
    _limits(result, value, options)


def _signs(result: Interpreted, options: ReadOptions) -> None:
    columns = result.columns
    roles = [r for r in ("value", "target", "bin_low", "bin_high", "target_low", "target_high") if r in columns]
    if options.flip_sign:
        for role in roles:
            entries = result.numbers(role)
            if np.median(entries) < 0:
                columns[role] = -entries
        for low, high in (("bin_low", "bin_high"), ("target_low", "target_high")):
            if low in columns and np.any(result.numbers(low) > result.numbers(high)):
                columns[low], columns[high] = columns[high], columns[low]
        result.notes.append("signs were turned as asked")
    target = result.numbers("target")
    settle = "; pass flip_sign=True where currents are negative by convention"
    if np.any(target < 0):
        raise MeasurementError(
            f"{result.place}: expected targets of at least 0, but the lowest is {target.min():g} A{settle}."
        )
    if "value" in columns and "negative" not in options.accept:
        value = result.numbers("value")
        upper = target > 0.5 * target.max() if np.any(target > 0) else np.ones(len(value), dtype=bool)
        middle = float(np.median(value[upper])) / float(np.median(target[upper])) if np.any(target > 0) else 0.0
        if len(value) >= LEAST and np.all(value <= 0) and np.any(value < 0):
            raw = _raw_values(result)
            logs = raw is not None and raw.min() > -20 and raw.max() < -2 and np.ptp(raw) < 10
            hint = "; or units={'value': 'log10 A'} where they are logarithms" if logs else ""
            raise MeasurementError(f"{result.place}: all {len(value)} values are negative{settle}{hint}.")
        if np.sum(upper) >= LEAST and middle < -1 / APART:
            raise MeasurementError(
                f"{result.place}: the values of the highest targets are negative (median {np.median(value[upper]):g}"
                f" A){settle}, or accept='negative'."
            )


def _marks(result: Interpreted, value: Floats, options: ReadOptions) -> None:
    """Ask about numbers such as -999 far away from all others, which stand for missing ones in many files."""
    if "marks" in options.accept:
        return
    raw = _raw_values(result)
    if raw is None:
        return
    target = result.numbers("target")
    for mark in _SENTINELS:
        at = raw == mark
        if not np.any(at):
            continue
        far = []
        for level in np.unique(target[at]):
            rest = raw[(target == level) & ~at]
            middle = np.median(rest) if len(rest) else mark
            width = 1.4826 * float(np.median(np.abs(rest - middle))) if len(rest) else 0.0
            far.append(abs(mark - middle) > 12.0 * width and len(rest) >= 3)
        if all(far):
            row = int(np.flatnonzero(at)[0])
            raise MeasurementError(
                f"{result.where(row)}: the value {mark:g}, {int(at.sum())} times and far from all others of its state,"
                f" looks like a mark of a missing number; pass missing_marks={mark:g}, or accept='marks'."
            )


def _raw_values(result: Interpreted) -> Floats | None:
    """Return the values as written, where one column of one table holds them."""
    line = next((line for line in result.roles if line.role == "value"), None)
    if line is None or any(line.header not in table.headers for table in result.tables):
        return None
    parts = []
    for number, table in enumerate(result.tables):
        index = table.headers.index(line.header)
        if not table.is_numeric(index):
            return None
        parts.append(table.numbers(index)[result.row_of[result.table_of == number]])
    return np.concatenate(parts)


def _magnitude(result: Interpreted, value: Floats, options: ReadOptions) -> None:
    line = next((line for line in result.roles if line.role == "value"), None)
    unit = "" if line is None or not line.unit else f" (read as {line.unit}, from: {line.unit_from or line.how})"
    largest = float(np.abs(value).max())
    settle = "give the right unit with units={'value': 'nA'}, or accept"
    if largest > LARGE and "large" not in options.accept:
        over = np.abs(value) > LARGE
        row = int(np.flatnonzero(over)[0])
        raise MeasurementError(
            f"{result.where(row)}: a current of {engineering(value[row], 'A')}{unit}, {int(over.sum())} above 1 A in"
            f" all; {settle}='large'."
        )
    if largest < SMALL and "small" not in options.accept:
        raise MeasurementError(
            f"{result.place}: the largest current is {engineering(largest, 'A')}{unit}, below 1 fA; {settle}='small'."
        )
    target = result.numbers("target")
    if np.any(target > LARGE) and "large" not in options.accept:
        row = int(np.argmax(target))
        raise MeasurementError(
            f"{result.where(row)}: a target of {engineering(target[row], 'A')}, {int((target > LARGE).sum())} above 1 A"
            " in all; give the right unit with units={'target': 'nA'}, or accept='large'."
        )


def _row_numbers(result: Interpreted, value: Floats) -> None:
    raw = _raw_values(result)
    if raw is not None and len(raw) > 2 and np.all(np.diff(raw) == 1):
        line = next(line for line in result.roles if line.role == "value")
        raise MeasurementError(
            f"{result.place}: the values of {line.header!r} are {raw[0]:g}, {raw[1]:g}, {raw[2]:g}, ...: numbers of"
            " rows, not currents; say which column holds the values with `value`."
        )


def _swapped(result: Interpreted, value: Floats, options: ReadOptions) -> None:
    target = result.numbers("target")
    if "swapped" in options.accept or len(value) < 20 or options.levels == "first":
        return
    targets = len(np.unique(target))
    if targets > 0.5 * len(value) and (distinct := len(np.unique(value))) < 0.1 * len(value):
        raise MeasurementError(
            f"{result.place}: {targets} different targets and only {distinct} different values: are the columns"
            " swapped? Say `target` and `value`, or accept='swapped'."
        )


def _apart(result: Interpreted, value: Floats, options: ReadOptions) -> None:
    """Compare the medians of states with their targets, at the earliest time."""
    if "apart" in options.accept or options.levels in ("mean", "first"):
        return
    target = result.numbers("target")
    early = np.ones(len(value), dtype=bool)
    if "time" in result.columns:
        time = result.numbers("time")
        early = time == time.min()
    early &= target > 0
    if np.sum(early) < LEAST:
        return
    levels, code = np.unique(target[early], return_inverse=True)
    if len(levels) > 64 or len(levels) == len(code):
        # Targets that are all different: cells stand for themselves.
        ratio = np.abs(value[early]) / target[early]
    else:
        states = np.split(value[early][np.argsort(code, kind="stable")], np.cumsum(np.bincount(code))[:-1])
        ratio = np.array([abs(float(np.median(own))) for own in states]) / levels
        # Low states drown in leakage and noise: the upper half of the states says whether units are right.
        ratio = ratio[levels >= np.median(levels)]
    middle = float(np.median(ratio))
    # Targets without a unit of their own may be anything.
    most = BARE if result.borrowed_target else APART
    if middle > most or middle < 1 / most:
        what = f"{middle:.3g} times" if middle >= 1 else f"{middle:.3g} of"
        raise MeasurementError(
            f"{result.place}: values are {what} their targets (median of the upper states); are they in another unit,"
            " or shifts from the target? Give units with units={'value': 'uA'} or the like, or accept='apart'."
        )
    if middle > 3 or middle < 1 / 3:
        result.warnings.append(
            f"values are {middle:.2g} times their targets (median of the upper states): are the units right?"
        )


def _swept(result: Interpreted, options: ReadOptions) -> None:
    """Refuse a column without a role that is plainly a condition of the read and changes the values within states.

    Such are biases (each value is a read of its own), and whatever has a unit of time or temperature.
    """
    if "swept" in options.accept:
        return
    for name, entries in result.spare.items():
        header = parse_header(name)
        bias = _BIAS.match(header.name) is not None or header.unit in ("V", "mV")
        unit = (header.unit or "").lower()
        role = "temperature" if is_temperature_unit(unit) else "time" if unit in TIMES else ""
        words = np.asarray(entries).dtype.kind == "U" and not all(map(is_number, entries[:50]))
        if words or not (bias or role):
            continue
        numbers = np.asarray(entries).astype(np.float64)
        distinct = np.unique(numbers[~np.isnan(numbers)])
        # A voltage that was read back differs in its last digits.
        if len(distinct) < 2 or (bias and np.ptp(distinct) < 0.03 * np.abs(distinct).max()):
            continue
        share, p = share_explained(result, codes_of(numbers))
        if not (p < 1e-3 and share > (0.1 if bias else LEAST_SHARE)):
            continue
        shown = ", ".join(f"{value:g}" for value in distinct[:6]) + (" ..." if len(distinct) > 6 else "")
        told = f"the bias {name!r}" if bias else f"the column {name!r}, which is not used,"
        what = (
            "say which is the read with"
            if bias
            else f"say what it is with {role}={name!r}, or read one value of it with"
        )
        raise MeasurementError(
            f"{result.place}: {told} takes {len(distinct)} values ({shown}) within states and explains {share:.0%} of"
            f" their variance; {what} only={{{name!r}: {distinct[-1]:g}}}, or accept='swept'."
        )


def _repeats(result: Interpreted, options: ReadOptions) -> None:
    """Ask whether rows of one cell are reads or programmings of it, where a column without a role tells them apart."""
    if "cell" not in result.columns or "repeats" in options.accept:
        return
    code = np.zeros(result.rows, dtype=np.int64)
    for role, entries in result.columns.items():
        if role != "value":
            levels, own = np.unique(entries, return_inverse=True)
            code = np.unique(code * len(levels) + own, return_inverse=True)[1]
    if code.max() + 1 > 0.9 * result.rows:
        return
    for name, entries in result.spare.items():
        levels, own = np.unique(entries, return_inverse=True)
        together = len(np.unique(code * len(levels) + own))
        if len(levels) < 0.5 * result.rows and together > 0.9 * result.rows:
            raise MeasurementError(
                f"{result.place}: cells have {result.rows / (int(code.max()) + 1):.3g} rows each that only {name!r}"
                f" tells apart: reads of them, programmings, times, dies? Say read={name!r}, cycle={name!r} or another"
                " role, or accept='repeats' to take them for reads."
            )


def _copies(result: Interpreted, value: Floats) -> None:
    """Warn of rows that are the same to the last digit: a file that was read or pasted twice."""
    distinct, code = np.unique(value, return_inverse=True)
    if len(distinct) > len(value) // 2 or len(distinct) < 0.3 * len(value):
        return
    for entries in (*result.columns.values(), *result.spare.values()):
        levels, own = np.unique(entries, return_inverse=True)
        code = np.unique(code * len(levels) + own, return_inverse=True)[1]
    copies = len(value) - int(code.max()) - 1
    if copies >= len(value) // 2:
        result.warnings.append(f"{copies} of {len(value)} rows are exact copies of others: was a part read twice?")


def _limits(result: Interpreted, value: Floats, options: ReadOptions) -> None:
    """Note the instrument's limits, and warn of values at them or piled up at the highest one."""
    for side, told, keys, word in (
        ("upper_limit", options.compliance, _LIMITS, "compliance"),
        ("lower_limit", options.detection_limit, _FLOORS, "detection limit"),
    ):
        key = next((key for key in keys if key in result.metadata), None)
        limit, source = told, "option"
        if limit is None and key is not None:
            limit, source = _stated_limit(result, key), f"the file, {key}"
        if limit is None:
            limit, source = _column_limit(result, keys)
        if limit is None:
            continue
        setattr(result, side, limit)
        result.metadata[word.replace(" ", "_")] = f"{limit!r} A"
        at = value >= limit * (1 - 1e-4) if side == "upper_limit" else value <= limit * (1 + 1e-4)
        if np.any(at):
            target = result.numbers("target")
            states = ", ".join(engineering(level, "A", 3) for level in np.unique(target[at])[:4])
            result.warnings.append(
                f"{int(at.sum())} values are at the {word} of {engineering(limit, 'A')} ({source}): their cells carry"
                f" as {'much or more' if side == 'upper_limit' else 'little or less'} (states {states})"
            )
    if result.upper_limit is None:
        _pile(result, value)


def _pile(result: Interpreted, value: Floats) -> None:
    highest = float(value.max())
    at = value == highest
    own = np.asarray(result.columns["target"]) == result.columns["target"][int(np.argmax(value))]
    digits = len(np.unique(value[own])) / max(int(own.sum()), 1)
    if int(at.sum()) >= 4 and at[own].sum() > max(4, PILE * own.sum()) and digits > 0.3 and highest > 0:
        result.warnings.append(
            f"{int(at.sum())} values are exactly {engineering(highest, 'A', 6)}, the highest of all: a limit of the"
            f" instrument? Pass compliance='{engineering(highest, 'A', 6)}' if so"
        )


def _column_limit(result: Interpreted, keys: tuple[str, ...]) -> tuple[float | None, str]:
    """Return the limit that a column states, the same in all rows and in a unit of current."""
    for name, entries in result.spare.items():
        header = parse_header(name)
        if header.name in keys and header.unit and len(np.unique(entries)) == 1 and is_number(str(entries[0])):
            try:
                return parse_quantity(f"{float(entries[0])} {header.unit}", "A", name), f"column {name!r}"
            except UnitError:
                continue
    return None, ""


def _stated_limit(result: Interpreted, key: str) -> float | None:
    text = result.metadata[key]
    stated = number_or_text(text)
    line = next((line for line in result.roles if line.role == "value"), None)
    try:
        if isinstance(stated, float) and line is not None and line.unit:
            # A bare number is one in the unit of the values, unless it only makes sense in A.
            for unit in ("A", line.unit):
                limit = parse_quantity(f"{stated} {unit}", "A", key)
                highest = float(np.abs(result.columns["value"]).max())
                if 0.5 * highest <= limit <= 1e4 * highest:
                    return limit
            return None
        return parse_quantity(stated, "A", key)
    except UnitError:
        result.warnings.append(f"the file states {key} = {text}, which is no current; give it with `compliance`")
        return None
