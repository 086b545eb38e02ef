"""Standard normals for what is noisy: streams that depend on the seed and the image, never on how images are batched.

Numbers are those of Philox4x32-10 (Salmon et al., SC 2011, doi 10.1145/2063384.2063405) through the transform of Box
and Muller (doi 10.1214/aoms/1177706645), in single precision. C and numpy draw the same ones, bit for bit.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from circuits.native import load_library
from circuits.threads import share

_SOURCE = Path(__file__).parent / "native" / "normals.c"
_LANES = 16
_GROUP = 4 * _LANES
"""Numbers that are drawn together: streams advance by so many."""
_LEAST_GROUPS = 128
"""Groups that are worth a thread of their own."""

Words = NDArray[np.uint32]
Floats = NDArray[np.float32]


class _Normals(ctypes.Structure):
    """`struct normals` of the C source."""

    _fields_ = (
        ("out", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("groups", ctypes.c_int64),
        ("position", ctypes.c_int64),
        ("number", ctypes.c_void_p),
        ("key", ctypes.c_uint32 * 2),
        ("call", ctypes.c_uint32),
    )


def _library() -> ctypes.CDLL | None:
    return load_library(_SOURCE)


def draw_normals(key: Words, call: int, numbers: Sequence[int], count: int, position: int = 0) -> Floats:
    """Return standard normals of several streams, shape (streams, count).

    Args:
        key: two words: streams of different keys are independent.
        call: third word of the counter.
        numbers: of the streams.
        count: how many of each.
        position: of the first, in groups of 64 numbers.
    """
    out = np.empty((len(numbers), count), dtype=np.float32)
    groups = -(-count // _GROUP)
    if not out.size:
        return out
    own = np.asarray(numbers, dtype=np.uint64)
    library = _library()
    if library is None:
        for stream, number in zip(out, own, strict=True):
            stream[...] = _in_numpy(key, call, int(number), position, groups)[:count]
        return out
    words = (ctypes.c_uint32 * 2)(*(int(word) for word in key))
    job = _Normals(out.ctypes.data, count, groups, position, own.ctypes.data, words, call)
    share(library.normals, job, len(numbers) * groups, least=_LEAST_GROUPS)
    return out


def philox(counter: Sequence[Words], key: Sequence[int]) -> list[Words]:
    """Return the four words of Philox4x32-10 for each counter.

    Args:
        counter: four words, arrays of one shape.
        key: two words.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = (int(word) for word in key)
    for _ in range(10):
        first, second = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        high = (first >> np.uint64(32)).astype(np.uint32), (second >> np.uint64(32)).astype(np.uint32)
        c0, c2 = high[1] ^ c1 ^ np.uint32(k0), high[0] ^ c3 ^ np.uint32(k1)
        c1, c3 = second.astype(np.uint32), first.astype(np.uint32)
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return [c0, c1, c2, c3]


def _in_numpy(key: Words, call: int, number: int, position: int, groups: int) -> Floats:
    """Return the numbers of so many groups of a stream, step by step as C computes them."""
    blocks = np.arange(position * _LANES, (position + groups) * _LANES, dtype=np.uint64).astype(np.uint32)
    rest = (call, number & 0xFFFFFFFF, number >> 32)
    words = philox([blocks, *(np.full(blocks.shape, word, np.uint32) for word in rest)], key.tolist())
    drawn = np.stack([*_pairs(*words[:2]), *_pairs(*words[2:])])
    return np.ascontiguousarray(drawn.reshape(4, groups, _LANES).transpose(1, 0, 2)).reshape(-1)


def _pairs(first: Words, second: Words) -> tuple[Floats, Floats]:
    one = np.float32
    u = ((first >> np.uint32(8)).astype(np.int32).astype(one) + one(0.5)) * one(2.0**-24)
    bits = u.view(np.uint32) - np.uint32(0x3F3504F3)
    exponent = (bits.view(np.int32) >> 23).astype(one)
    m = ((bits & np.uint32(0x7FFFFF)) + np.uint32(0x3F3504F3)).view(one)
    t = (m - one(1)) / (m + one(1))
    tt = t * t
    series = ((one(1 / 9) * tt + one(1 / 7)) * tt + one(1 / 5)) * tt + one(1 / 3)
    log = (series * tt * t + t) * one(2) + exponent * one(0.69314718)
    radius = np.sqrt(np.maximum(log * one(-2), one(0)))
    x = (second << np.uint32(2)).view(np.int32).astype(one) * one(1.5707963267948966 * 2.0**-32)
    z = x * x
    powers = ((one(1 / 362880) * z - one(1 / 5040)) * z + one(1 / 120)) * z - one(1 / 6)
    sine = (powers * z * x + x) * radius
    cosine = ((((one(1 / 40320) * z - one(1 / 720)) * z + one(1 / 24)) * z - one(0.5)) * z + one(1)) * radius
    quarter = second >> np.uint32(30)
    odd = (quarter & np.uint32(1)).astype(bool)
    swapped = np.where(odd, sine, cosine), np.where(odd, cosine, sine)
    signs = ((quarter + np.uint32(1)) & np.uint32(2)) << np.uint32(30), (quarter & np.uint32(2)) << np.uint32(30)
    one_of, other = ((value.view(np.uint32) ^ sign).view(one) for value, sign in zip(swapped, signs, strict=True))
    return one_of, other


@dataclass(frozen=True)
class Places:
    """Where the examples of a batch stand in a layer's input.

    Attributes:
        axis: the axis that holds them.
        outer: places that come before the examples along it, ``(outer, examples, ...)``: 1 where each example's
            vectors lie together, 0 for an input that is the same for all examples.
    """

    axis: int = 0
    outer: int = 1


_IN_FRONT = Places()

NoiseKey = Sequence[int] | Callable[[], Sequence[int]]


class NoiseSource:
    """Standard normals that depend on the seed and on the image they are for, never on how images are batched.

    Every image has a stream of its own (`draw_normals`): the layer's and trial's key, and the image's number and how
    often the network used the layer on it before as counter.

    Args:
        key: identifies the layer and trial; the numbers of another key are independent. May be a function that gives it
            when the first number is drawn.

    Attributes:
        places: where the images of a batch stand in the layer's input, one entry for each use of the layer in a pass
            of the network; the last holds for all later ones. Without any they come first.
    """

    def __init__(self, key: NoiseKey = (0,)):
        self.places: Sequence[Places] = ()
        self.restart(key)

    def restart(self, key: NoiseKey | None = None) -> None:
        """Begin again with the first image, with another key where one is given."""
        if key is not None:
            self._parts = key
            self._key: Words | None = None
        self._next_image = 0
        self._images = 0
        self._batch: Sequence[int] | None = None
        self._call = 0
        self._position = 0

    def place(self, images: Sequence[int]) -> None:
        """Set which images come next, so that a layer that the network uses several times knows whose turn it is.

        Args:
            images: number of each image of the batch.
        """
        self._batch, self._call = images, -1

    def begin(self, images: int) -> None:
        """Go on to the next `images` images, or to the layer's next use on the images of the batch.

        Args:
            images: length of the first axis of the layer's input.
        """
        self._position = 0
        if self._batch is None:
            self._next_image += self._images
        else:
            self._call += 1
        self._images = images

    @property
    def _place(self) -> Places:
        """Where the images stand now."""
        if self._batch is None or not self.places:
            return _IN_FRONT
        return self.places[min(self._call, len(self.places) - 1)]

    def normals(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Return standard normals of a shape whose leading axes are those of the layer's input."""
        place = self._place
        if place == _IN_FRONT:
            result = self._drawn(tuple(shape))
        elif place.outer == 0:
            result = self._drawn((1, *shape))[0]
        else:
            assert self._batch is not None
            # Images first: each draws its numbers as if it were alone.
            images, axis = len(self._batch), place.axis
            split = (*shape[:axis], place.outer, images, shape[axis] // place.outer // images, *shape[axis + 1 :])
            order = (axis + 1, *(other for other in range(len(split)) if other != axis + 1))
            drawn = self._drawn(tuple(split[own] for own in order))
            result = np.ascontiguousarray(drawn.transpose(np.argsort(order))).reshape(tuple(shape))
        return torch.from_numpy(result).to(like.device, like.dtype)

    def _drawn(self, shape: tuple[int, ...]) -> Floats:
        """Draw numbers of a shape whose first axis is the images of the batch, or vectors that each has as many of."""
        if self._key is None:
            parts = self._parts() if callable(self._parts) else self._parts
            words = np.random.SeedSequence([int(part) for part in parts]).generate_state(2, np.uint32)
            self._key = words.astype(np.uint32)
        count = math.prod(shape[1:])
        drawn = draw_normals(self._key, self._call, self._numbers(shape[0]), count, self._position)
        self._position += -(-count // _GROUP)
        return drawn.reshape(shape)

    def _numbers(self, count: int) -> Sequence[int]:
        """Numbers of the streams of so many vectors."""
        if self._batch is None:
            return range(self._next_image, self._next_image + count)
        if self._place.outer == 0:
            return range(count)
        each = count // len(self._batch)
        if each * len(self._batch) != count:
            first = self._batch[0] * count // len(self._batch)
            return range(first, first + count)
        # A layer may see each image as several vectors.
        return [image * each + own for image in self._batch for own in range(each)]
