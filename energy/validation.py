"""Tests of a calibration: designs left out and predicted, and structures compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from energy.calibration import QUANTITIES, Calibration, calibrate
from energy.library import Library
from energy.published import Printed, load_published

ALTERNATIVES = ((), ("conveyor_flat",), ("register_shared",), ("ramp_per_array",), ("gain_everywhere",))
"""The library's own structure and each single change."""
UNSEEN = "B"
"""The design that no calibration sees: its published row is left out of the table on purpose."""
NAIVE = "A"
"""The design whose cost, times the weight slices, is what a reader without a model would expect of `UNSEEN`."""


def leave_one_out(
    library: str | Path | Library = "sonos_40nm",
    published: str | Path = "cores_published.csv",
    left_out: Sequence[str] = ("C", "D"),
    *,
    structure: Sequence[str] = (),
    count: int = 2000,
    proposals: int = 50_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return predictions of designs from fits to the others, beside the printed numbers.

    Args:
        library: as for `calibrate`.
        published: printed totals.
        left_out: designs to leave out, one at a time.
        structure: as for `calibrate`.
        count: posterior draws.
        proposals: draws made and weighted to get them.
        seed: seed of the draws.

    Returns:
        One row a design and quantity: printed, predicted, relative error, interval, whether the interval holds it.

    Raises:
        EnergyError: a design that is not in the table, and as for `calibrate`.
    """
    rows: list[dict[str, Any]] = []
    for name in left_out:
        fit = calibrate(
            library, published, structure=structure, left_out=(name,), count=count, proposals=proposals, seed=seed
        )
        rows += left_out_rows(fit, name, load_published(published)[name])
    return pd.DataFrame(rows)


def left_out_rows(fit: Calibration, name: str, printed: Mapping[str, Printed]) -> list[dict[str, Any]]:
    """Return the rows of `leave_one_out` for one design.

    Args:
        fit: a fit without the design.
        name: the design.
        printed: its published totals.
    """
    rows = []
    for quantity in QUANTITIES:
        best, low, high = fit.prediction(name, quantity)
        own = printed[quantity]
        rows.append(
            {
                "design": name,
                "quantity": quantity,
                "printed": own.text,
                "predicted": best,
                "relative_error": best / own.value - 1,
                "spread": fit.spread(name, quantity),
                "low": low,
                "high": high,
                "inside": low <= own.value + own.half_digit and own.value - own.half_digit <= high,
            }
        )
    return rows


def structural_scales(table: pd.DataFrame, scales: Mapping[str, float]) -> dict[str, float]:
    """Return the structural error far from all calibrated designs, as a standard deviation of the logarithm.

    The root mean square of the logarithmic errors of designs left out, each over the part of the error that the
    designs left in allow it.

    Args:
        table: rows of `leave_one_out`.
        scales: the scales its spreads were computed with, by total (``"energy"``, ``"area"``).
    """
    found = {}
    for total, scale in scales.items():
        own = table[table["quantity"].str.startswith(total)]
        errors = np.log1p(own["relative_error"]) / (own["spread"] / scale)
        found[total] = float(np.sqrt(np.mean(errors**2)))
    return found


def compare_structures(
    library: str | Path | Library = "sonos_40nm",
    alternatives: Sequence[Sequence[str]] = ALTERNATIVES,
    *,
    count: int = 2000,
    proposals: int = 50_000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Return structural alternatives with how probable each makes the printed table, each fitted.

    Args:
        library: as for `calibrate`.
        alternatives: each a set of names of `STRUCTURES`; by default the library's own and each single change.
        count: posterior draws.
        proposals: draws made and weighted to get them.
        seed: seed of the draws.
        progress: called with (done, total) before each fit.

    Returns:
        One row an alternative: whether the best point reproduces every digit, constants outside their priors, log
        evidence and probability among the alternatives, and the prediction of design B.
    """
    fits = []
    for number, names in enumerate(alternatives):
        if progress is not None:
            progress(number, len(alternatives))
        fits.append(fit_structure(library, names, count=count, proposals=proposals, seed=seed))
    return structure_table(fits)


def fit_structure(
    library: str | Path | Library,
    structure: Sequence[str],
    *,
    left_out: Sequence[str] = (),
    count: int = 2000,
    proposals: int = 50_000,
    seed: int = 0,
) -> Calibration:
    """Return a fit of one alternative, however little its priors allow the table: that is what is compared.

    Args:
        library: as for `calibrate`.
        structure: names of `STRUCTURES`.
        left_out: designs that are not fitted.
        count: posterior draws.
        proposals: draws made and weighted to get them.
        seed: seed of the draws.
    """
    return calibrate(
        library, structure=structure, left_out=left_out, count=count, proposals=proposals, seed=seed, fewest=1
    )


def structure_table(fits: Sequence[Calibration]) -> pd.DataFrame:
    """Return the table of `compare_structures`.

    Args:
        fits: one fit an alternative.
    """
    rows = []
    for fit in fits:
        energy, low, high = fit.prediction(UNSEEN, "energy_fj_per_op")
        area = fit.prediction(UNSEEN, "area_mm2")[0]
        rows.append(
            {
                "structure": " + ".join(fit.structure) or "as in the library",
                "digits_agree": bool(fit.residuals["agrees"].all()),
                "outside_prior": int((~fit.parameters["inside_prior"]).sum()),
                "log_evidence": fit.log_evidence,
                "effective_draws": min(f.posterior.effective for f in fit.fits.values()),
                "b_energy_fj_per_op": energy,
                "b_low": low,
                "b_high": high,
                "b_area_mm2": area,
            }
        )
    frame = pd.DataFrame(rows)
    weight = np.exp(frame["log_evidence"] - frame["log_evidence"].max())
    frame.insert(4, "probability", weight / weight.sum())
    return frame
