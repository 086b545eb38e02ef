"""Trials of an evaluation kept one by one, so that a run that was interrupted goes on with the next."""

from __future__ import annotations

import math
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

import numpy as np

from reports.cache import ResultCache

if TYPE_CHECKING:
    from accuracy.evaluation.trials import Trial

_FREE = ("trials", "tolerance", "scores")
"""Inputs of an evaluation that none of its trials depends on."""


class KeptTrials(MutableMapping[int, "Trial"]):
    """Trials by number, in one file of a cache for all evaluations that differ in how many they take.

    Args:
        cache: where they are kept.
        name: of the file.
        inputs: everything that the evaluation depends on.
    """

    def __init__(self, cache: ResultCache, name: str, inputs: dict[str, Any]):
        self._cache, self._name = cache, name
        self._inputs = {key: value for key, value in inputs.items() if key not in _FREE}
        found = cache.get(name, self._inputs) or {}
        self._trials = {int(number): _read(values) for number, values in found.items()}

    def __getitem__(self, number: int) -> Trial:
        return self._trials[number]

    def __setitem__(self, number: int, trial: Trial) -> None:
        self._trials[number] = trial
        self._write()

    def __delitem__(self, number: int) -> None:
        del self._trials[number]
        self._write()

    def __iter__(self) -> Iterator[int]:
        return iter(self._trials)

    def __len__(self) -> int:
        return len(self._trials)

    def _write(self) -> None:
        kept = {str(number): _plain(trial) for number, trial in sorted(self._trials.items())}
        self._cache.put(self._name, self._inputs, kept)


def _plain(trial: Trial) -> dict[str, Any]:
    scores = None if trial.scores is None else [_number(value) for value in trial.scores.tolist()]
    counts = {"inputs_seen": list(trial.inputs_seen), "inputs_clipped": list(trial.inputs_clipped)}
    return {"value": trial.value, "scores": scores, **counts}


def _number(value: float) -> float | int:
    """Return what is short to write: most scores are 0 or 1."""
    return int(value) if math.isfinite(value) and value == int(value) else value


def _read(values: dict[str, Any]) -> Trial:
    from accuracy.evaluation.trials import Trial

    scores = values["scores"]
    return Trial(
        float(values["value"]),
        None if scores is None else np.asarray(scores, dtype=np.float64),
        tuple(values["inputs_seen"]),
        tuple(values["inputs_clipped"]),
    )
