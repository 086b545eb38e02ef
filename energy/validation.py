"""What a calibration is worth: designs left out and predicted, and structures compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from energy.calibration import QUANTITIES, calibrate
from energy.errors import EnergyError
from energy.library import Library
from energy.published import load_published


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
    """Predict each design from a fit to the others.

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
    """
    table = load_published(published)
    rows = []
    for name in left_out:
        if name not in table:
            raise EnergyError(f"Design {name!r} is not in the published table: {', '.join(table)}.")
        rest = {design: row for design, row in table.items() if design != name}
        fit = calibrate(library, rest, structure=structure, count=count, proposals=proposals, seed=seed)
        for quantity in QUANTITIES:
            best, low, high = fit.prediction(name, quantity)
            printed = table[name][quantity]
            rows.append(
                {
                    "design": name,
                    "quantity": quantity,
                    "printed": printed.text,
                    "predicted": best,
                    "relative_error": best / printed.value - 1,
                    "low": low,
                    "high": high,
                    "inside": low <= printed.value + printed.half_digit and printed.value - printed.half_digit <= high,
                }
            )
    return pd.DataFrame(rows)


def compare_structures(
    library: str | Path | Library = "sonos_40nm",
    alternatives: Sequence[Sequence[str]] | None = None,
    *,
    count: int = 2000,
    proposals: int = 50_000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Fit structural alternatives and compare how probable they make the printed table.

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
    if alternatives is None:
        alternatives = ((), ("register_per_array",), ("register_shared",), ("ramp_per_array",), ("gain_everywhere",))
    rows = []
    for number, names in enumerate(alternatives):
        if progress is not None:
            progress(number, len(alternatives))
        fit = calibrate(library, structure=names, count=count, proposals=proposals, seed=seed, fewest=1)
        energy, low, high = fit.prediction("B", "energy_fj_per_op")
        rows.append(
            {
                "structure": " + ".join(names) or "as in the library",
                "digits_agree": bool(fit.residuals["agrees"].all()),
                "outside_prior": int((~fit.parameters["inside_prior"]).sum()),
                "log_evidence": fit.log_evidence,
                "effective_draws": min(f.posterior.effective for f in fit.fits.values()),
                "b_energy_fj_per_op": energy,
                "b_low": low,
                "b_high": high,
            }
        )
    frame = pd.DataFrame(rows)
    weight = np.exp(frame["log_evidence"] - frame["log_evidence"].max())
    frame.insert(4, "probability", weight / weight.sum())
    return frame
