"""Damage to a file as it happens and as it is made: bytes, tokens, lines, and values of another kind."""

from __future__ import annotations

import random
import re

TOKENS = (
    "nan", "inf", "-inf", "-1", "0", "1e999", "-1e308", "1e-320", "9" * 400, "1,6", "1,6 uA", "5 2 nA", "1_000", "0x10",
    "true", "none", "null", '""', '"x"', "[]", "[[]]", "[1, 2]", "{}", "{a = 1}", '"1.6 uA"', '"-3 days"', '"27 degC"',
    '"9**9**9**9"', "9**9**9**9", "max(a, b, c)", "0 - 5", "1/0", "'", '"', "\\", "\0", "\ufeff", "µA", "％", "=",
    "\n\n", "[", "]", "}", ";", "\t", "#", "../../x", "/etc/passwd", ".control\nshell true\n.endc", "a" * 3000,
    "2026-01-01", "12:30:00", "9.91E+37", "(", "((((((((", "\r", "\x1a", "😀",
)  # fmt: skip
"""What takes the place of a number or a text."""

_WORD = re.compile(rb"\"[^\"\n]*\"|'[^'\n]*'|[-+]?[0-9][0-9_.eE+-]*|[A-Za-z_]\w*")


def mutated(data: bytes, rng: random.Random, text: bool) -> bytes:
    """Return a file with one to four kinds of damage.

    Args:
        data: a good file.
        rng: what chooses.
        text: whether tokens and lines are damaged as well as bytes.
    """
    kinds = [_bytes, _cut, _repeat, _insert]
    if text:
        kinds += [_token, _token, _token, _token, _line_gone, _line_twice, _lines_swapped, _word_swapped]
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        data = rng.choice(kinds)(data, rng)
    return data


def _place(data: bytes, rng: random.Random) -> int:
    return rng.randrange(len(data) + 1)


def _bytes(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 64))):
        if damaged:
            damaged[rng.randrange(len(damaged))] = rng.choice((0, 255, 128, rng.randrange(256)))
    return bytes(damaged)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)] if rng.random() < 0.7 else data[_place(data, rng) :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    start = _place(data, rng)
    return data[:start] + data[start : start + rng.choice((1, 10, 100))] * rng.choice((2, 20)) + data[start:]


def _insert(data: bytes, rng: random.Random) -> bytes:
    start = _place(data, rng)
    return data[:start] + rng.choice(TOKENS).encode() + data[start:]


def _token(data: bytes, rng: random.Random) -> bytes:
    words = list(_WORD.finditer(data))
    if not words:
        return data
    word = rng.choice(words)
    return data[: word.start()] + rng.choice(TOKENS).encode() + data[word.end() :]


def _word_swapped(data: bytes, rng: random.Random) -> bytes:
    words = list(_WORD.finditer(data))
    if len(words) < 2:
        return data
    first, second = sorted(rng.sample(words, 2), key=lambda word: word.start())
    between = data[first.end() : second.start()]
    return data[: first.start()] + second.group() + between + first.group() + data[second.end() :]


def _line_gone(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        del lines[rng.randrange(len(lines))]
    return b"".join(lines)


def _line_twice(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        lines.insert(rng.randrange(len(lines)), rng.choice(lines))
    return b"".join(lines)


def _lines_swapped(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if len(lines) > 1:
        i, j = rng.sample(range(len(lines)), 2)
        lines[i], lines[j] = lines[j], lines[i]
    return b"".join(lines)
