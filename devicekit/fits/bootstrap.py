"""Bootstrap of a fit: parameters of an error model from resampled cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from devicekit.common.errors import DeviceError
from devicekit.fits.model_fits import fit_model
from devicekit.statistics.state_statistics import StateSample

Floats = NDArray[np.float64]


def bootstrap_parameters(
    name: str,
    target: Floats,
    sigma: Floats,
    dof: Floats,
    i_max: float,
    replicates: int,
    seed: int,
    sample: StateSample | None = None,
) -> pd.DataFrame:
    """Return the parameters of an error model fitted to bootstrap samples, one row a replicate.

    Cells are drawn with replacement within each state, so that tails that are not normal show in the result. Where
    there are no cells (histograms, robust spreads), s^2 is drawn from its chi-square distribution (parametric
    bootstrap).

    Args:
        name: the error model.
        target: programmed current of each state [A].
        sigma: spread [A].
        dof: degrees of freedom of sigma squared.
        i_max: full scale [A].
        replicates: number of samples.
        seed: seed.
        sample: the cells; None: draw the spreads instead.

    Returns:
        One row a replicate, one column a parameter, SI units.

    Raises:
        DeviceError: fewer than 2 replicates, or a seed that is none.
    """
    if replicates < 2:
        raise DeviceError(f"Expected `bootstrap` to be at least 2 replicates, but got {replicates!r}.")
    if not (isinstance(seed, int) and seed >= 0):
        raise DeviceError(f"Expected `seed` to be a whole number of at least 0, but got {seed!r}.")
    rows = []
    for stream in np.random.SeedSequence(seed).spawn(replicates):
        generator = np.random.default_rng(stream)
        if sample is None:
            drawn = sigma * np.sqrt(generator.chisquare(dof) / dof)
        else:
            counts = sample.counts
            pick = sample.starts[sample.codes] + (generator.random(len(sample.values)) * counts[sample.codes]).astype(
                np.int64
            )
            values = sample.values[pick]
            mean = sample.sums(values) / counts
            squares = sample.sums((values - mean[sample.codes]) ** 2)
            # The variance of cells drawn from cells is too small by (n - 1) / n.
            drawn = np.sqrt(squares / (counts - 1.0) * counts / (counts - 1.0))
            drawn = np.maximum(drawn, 1e-3 * sigma)
        rows.append(fit_model(name, target, drawn, dof, i_max).model.values())
    return pd.DataFrame(rows)
