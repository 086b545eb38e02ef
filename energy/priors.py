"""What is known of the free constants before they meet the published totals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri

from devicekit.common.errors import unknown_name
from devicekit.common.foreign import read_toml
from devicekit.common.paths import data_path, is_file
from energy.errors import EnergyError
from energy.expressions import Array
from energy.library import Library, si_factor

Z95 = 1.959963984540054
"""97.5 % quantile of the standard normal."""


@dataclass(frozen=True)
class Prior:
    """Prior of one constant: log-normal, or uniform between two possible structures.

    Attributes:
        low: 2.5 % quantile [SI]; the lower end where it is uniform.
        high: 97.5 % quantile [SI]; the upper end where it is uniform.
        source: where the interval comes from.
        uniform: whether the constant is uniform in the interval.
    """

    low: float
    high: float
    source: str
    uniform: bool = False

    @property
    def mean(self) -> float:
        """Mean of the logarithm."""
        return 0.5 * (math.log(self.low) + math.log(self.high))

    @property
    def width(self) -> float:
        """Standard deviation of the logarithm."""
        return (math.log(self.high) - math.log(self.low)) / (2 * Z95)

    @property
    def median(self) -> float:
        """Median [SI]."""
        return 0.5 * (self.low + self.high) if self.uniform else math.exp(self.mean)

    def value(self, z: Array) -> Array:
        """Return the constant [SI] at standard-normal coordinates."""
        if self.uniform:
            return np.asarray(self.low + (self.high - self.low) * ndtr(z))
        return np.asarray(np.exp(self.mean + self.width * z))

    def coordinate(self, value: Array) -> Array:
        """Return the standard-normal coordinates of values [SI]: the inverse of `value`."""
        if self.uniform:
            return np.asarray(ndtri((value - self.low) / (self.high - self.low)))
        return np.asarray((np.log(value) - self.mean) / self.width)

    def log_density(self, value: Array) -> Array:
        """Return the log density of a log-normal prior over the constant itself; -inf where it is not positive."""
        positive = np.where(value > 0, value, 1.0)
        logarithm = np.log(positive)
        z = (logarithm - self.mean) / self.width
        density = -0.5 * z * z - logarithm - math.log(self.width * math.sqrt(2 * math.pi))
        return np.where(value > 0, density, -np.inf)


def load_priors(library: Library, path: str | Path | None = None) -> Mapping[str, Prior]:
    """Return the priors of a library's free constants, in SI units.

    Args:
        library: the library.
        path: a TOML file with a table ``[priors."NAME"]`` a constant (``interval``, ``unit``, ``source`` and perhaps
            ``distribution = "uniform"``); by default
            the bundled file of the library.

    Raises:
        EnergyError: no such file, an unknown constant, or an interval that is not positive and increasing.
    """
    if path is None:
        path = data_path("components") / f"{library.name}_priors.toml"
    path = Path(path)
    if not is_file(path):
        raise EnergyError(f"No file of priors {str(path)!r} for the library {library.name!r}.")
    content = read_toml(path, EnergyError)
    priors = {}
    entries = content.get("priors", {})
    if not isinstance(entries, dict):
        raise EnergyError(f"{path}: expected [priors] to be a table, but got {entries!r:.80}.")
    for name, entry in entries.items():
        if name not in library.constants:
            raise EnergyError(f"{path}: " + unknown_name("constant", name, library.constants))
        try:
            low, high = (float(end) for end in entry["interval"])
            unit, source = str(entry["unit"]), str(entry["source"])
            uniform = {"log-normal": False, "uniform": True}[entry.get("distribution", "log-normal")]
        except (KeyError, TypeError, ValueError):
            raise EnergyError(
                f"{path}: `{name}`: expected interval = [low, high], unit, source and perhaps distribution = 'uniform'."
            ) from None
        if not (0 < low < high or (uniform and 0 <= low < high)):
            raise EnergyError(f"{path}: `{name}`: expected an interval of 0 < low < high, but got [{low:g}, {high:g}].")
        factor = si_factor(unit, library.si_units[name], name)
        priors[name] = Prior(low * factor, high * factor, source, uniform)
    if not priors:
        raise EnergyError(f"{path}: expected a table [priors.NAME] for each free constant, but found none.")
    return priors
