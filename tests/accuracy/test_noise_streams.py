"""Streams of standard normals: published words of the generator, the normal law, and the same numbers everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from accuracy.arrays import noise
from accuracy.arrays.noise import NoiseSource, draw_normals, philox

KEY = np.array([7, 11], dtype=np.uint32)

# Known answers that come with Random123 (Salmon et al., SC 2011, doi 10.1145/2063384.2063405).
KNOWN = [
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_words_are_the_published_ones(counter: tuple[int, ...], key: tuple[int, ...], words: str) -> None:
    drawn = philox([np.array([word], dtype=np.uint32) for word in counter], key)
    assert " ".join(f"{int(word[0]):08x}" for word in drawn) == words


def test_c_and_numpy_draw_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    if noise._library() is None:
        pytest.skip("no C compiler")
    arguments = KEY, 3, [0, 5, 2**40 + 1], 10_001, 17
    compiled = draw_normals(*arguments)
    monkeypatch.setattr(noise, "_library", lambda: None)
    np.testing.assert_array_equal(compiled.view(np.uint32), draw_normals(*arguments).view(np.uint32))


def test_numbers_are_normal() -> None:
    drawn = draw_normals(KEY, 0, range(4), 250_000).astype(np.float64)
    everything = drawn.ravel()
    assert stats.kstest(everything, "norm").pvalue > 1e-3
    for order, moment in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0), (6, 15.0)):
        # Standard error of a sample moment: sqrt(E z^2k - (E z^k)^2).
        error = np.sqrt((stats.norm.moment(2 * order) - moment**2) / everything.size)
        assert abs((everything**order).mean() - moment) < 4.5 * error
    beyond = np.count_nonzero(np.abs(everything) > 4.0)
    expected = 2 * everything.size * stats.norm.sf(4.0)
    assert abs(beyond - expected) < 4.5 * np.sqrt(expected)
    # Streams, halves of one, and neighbours do not go together.
    for one, other in ((drawn[0], drawn[1]), (drawn[2][:-1], drawn[2][1:]), (drawn[3][:125_000], drawn[3][125_000:])):
        assert abs(np.corrcoef(one, other)[0, 1]) < 4.5 / np.sqrt(one.size)
        assert abs(np.corrcoef(one**2, other**2)[0, 1]) < 4.5 / np.sqrt(one.size)


def test_other_keys_calls_and_places_give_other_numbers() -> None:
    whole = draw_normals(KEY, 0, [4], 256)[0]
    np.testing.assert_array_equal(draw_normals(KEY, 0, [9, 4], 128, 2)[1], whole[128:])
    for other in (draw_normals(KEY[::-1], 0, [4], 256), draw_normals(KEY, 1, [4], 256), draw_normals(KEY, 0, [5], 256)):
        assert np.count_nonzero(other[0] == whole) < 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_image_gets_its_numbers_in_any_batch(dtype: torch.dtype) -> None:
    def drawn(sizes: list[int]) -> torch.Tensor:
        source, like = NoiseSource([1, 2]), torch.empty(0, dtype=dtype)
        parts = []
        for size in sizes:
            source.begin(size)
            parts.append(torch.cat([source.normals((size, 5, 7), like), source.normals((size, 3, 7), like)], dim=1))
        return torch.cat(parts)

    together = drawn([6])
    assert together.dtype == dtype
    assert torch.equal(together, drawn([1, 2, 3]))
    assert len(torch.unique(together)) == together.numel()


def test_any_number_of_threads_draws_the_same() -> None:
    before = torch.get_num_threads()
    try:
        drawn = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            drawn.append(draw_normals(KEY, 0, range(5), 40_001))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])
