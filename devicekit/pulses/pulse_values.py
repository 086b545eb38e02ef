"""Results of a pulse fit as plain values; report, figures and exports are made from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from devicekit.pulses.pulse_data import PulseData
from devicekit.pulses.update_models import UpdateModel


@dataclass(frozen=True)
class UpdateVariation:
    """How devices, or the cycles of a device, differ beyond what their errors explain: standard deviations.

    Attributes:
        groups: number of devices, or of cycles.
        step: of the step, both directions together, as a share of it.
        up_down: of half the difference between the logarithms of up and down step; 0 where one was not measured.
        g_min: of the lower end of the range [S].
        g_max: of the upper end [S].
    """

    groups: int
    step: float
    up_down: float
    g_min: float
    g_max: float


@dataclass(frozen=True, eq=False)
class PulseValues:
    """A fitted update.

    Attributes:
        model: the update model; the mean over devices where there are several.
        stderr: standard errors of its parameters by name.
        comparison: every law and kind of noise, best first: ``parameters``, ``bic``, ``delta_bic`` and ``verdict``.
        devices: model of each device, by its code.
        device_variation: None for fewer than three devices.
        cycle_variation: None for fewer than three cycles.
        data: what was fitted.
        notes: what a person should know before using the model.
    """

    model: UpdateModel
    stderr: dict[str, float]
    comparison: pd.DataFrame
    devices: dict[int, UpdateModel]
    device_variation: UpdateVariation | None
    cycle_variation: UpdateVariation | None
    data: PulseData
    notes: tuple[str, ...]

    @property
    def alternatives(self) -> list[str]:
        """Laws that the ramps cannot tell from the chosen one."""
        close = self.comparison["verdict"] == "cannot tell apart"
        laws = self.comparison.loc[close, "law"]
        return [law for law in dict.fromkeys(laws) if law != self.model.law]

    @property
    def table(self) -> pd.DataFrame:
        """One row a parameter: ``value``, ``stderr``, ``unit``."""
        values = self.model.values()
        unit = self.data.unit
        return pd.DataFrame(
            {
                "value": values,
                "stderr": {name: self.stderr.get(name, np.nan) for name in values},
                "unit": {name: unit if UpdateModel.unit(name) == "S" else "" for name in values},
            }
        )
