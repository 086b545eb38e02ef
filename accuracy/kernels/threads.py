"""Kernels over several threads; C releases the interpreter's lock while it runs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Result = TypeVar("Result")


def thread_count(positions: int, least: int) -> int:
    """Return how many threads share positions: torch's number, but at least so many positions each."""
    return max(1, min(torch.get_num_threads(), positions // least))


def in_threads(work: Callable[[int, int, int], Result], total: int, threads: int) -> list[Result]:
    """Return ``work(thread, first, last)`` of each thread, with 0..total shared out evenly."""
    edges = [total * k // threads for k in range(threads + 1)]
    if threads == 1:
        return [work(0, 0, total)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(threads), edges, edges[1:]))
