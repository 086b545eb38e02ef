"""What a run found: its points with everything known of them, and the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devicekit.common.plain import plain_dict
from reports.layer_cores import column_of, overrides_of
from reports.network_step import remarks_of
from reports.results import Values, interval_of
from reports.store.store import Store
from reports.studies.ranges import text_of
from reports.sweeps.set_by_trials import IMAGES, LOSS, set_by_trials
from reports.sweeps.tasks import DRAWN

Draws = NDArray[np.float64]
_COSTS = ("energy_fj_per_op", "area_mm2", "latency_ns", "tops_per_w")
_NETWORK_COSTS = {
    "network_energy_uj": "energy_gated_uj",
    "network_area_mm2": "area_mm2",
    "network_latency_us": "latency_us",
}


@dataclass(frozen=True, eq=False)
class SweepResult:
    """The points of a run.

    Attributes:
        name: of the run.
        study: the study, plain values.
        points: one entry a point: ``name``, ``core`` (what it was asked for by), ``varied``, ``network``, ``status``,
            ``reason``, ``design`` (`CoreDesign.to_dict`), ``built`` (what it is built of beside); ``overrides`` where
            some layers lie on other cores (`reports.layer_cores.overrides_shown`); where known
            ``accuracy`` (`Accuracy.to_dict`) with ``remarks`` on it, ``layer_reports``, ``cost`` (`CoreCost.to_dict`)
            and ``network_cost`` (`NetworkCost.to_dict`); ``screened`` (`Screened.to_dict`) of a point that was
            screened, set by the trials of the run's other points where there are some.
        draws: by the point's number, draws of ``"loss"`` and of the network's ``energy_gated_uj``, ``area_mm2`` and
            ``latency_us``, each (draws,); draws of one number go together between points.
    """

    name: str
    study: Values
    points: list[Values]
    draws: dict[int, dict[str, Draws]] = field(repr=False)

    @property
    def done(self) -> list[int]:
        """Numbers of the points with results."""
        return [number for number, point in enumerate(self.points) if point["status"] == "done"]

    @property
    def remarks(self) -> list[tuple[str, str]]:
        """What there is to say of accuracies: name of the point, and a sentence."""
        return [(point["name"], text) for point in self.points for text in point.get("remarks", ())]

    @property
    def rows(self) -> list[Values]:
        """The table: one row a point, one plain column a number; see `row_of`."""
        axes = list(self.study.get("vary", {}))
        screened = any(point.get("screened") for point in self.points)
        overridden = any(map(overrides_of, self.points))
        return [row_of(point, axes, screened=screened, overridden=overridden) for point in self.points]

    def to_dict(self) -> dict[str, Any]:
        """Return name, study, table and points as plain values; draws are left out."""
        return plain_dict({"name": self.name, "study": self.study, "table": self.rows, "points": self.points})


def sweep_result(store: Store, run: str) -> SweepResult:
    """Return what a store holds of a run.

    Args:
        store: the store.
        run: its name.

    Raises:
        StoreError: no such run.
    """
    study = store.run(run)["study"]
    points: list[Values] = []
    draws: dict[int, dict[str, Draws]] = {}
    for number, entry in enumerate(store.entries(run)):
        point: Values = {
            "name": entry.name, **entry.facts, "status": entry.status, "reason": entry.reason,
            "accuracy": None, "layer_reports": [], "cost": None, "network_cost": None, "screened": None,
        }  # fmt: skip
        own: dict[str, Draws] = {}
        tried = store.get(entry.accuracy) if entry.accuracy else None
        if tried is not None:
            point |= {"accuracy": tried["accuracy"], "layer_reports": tried["layer_reports"]}
            point["remarks"] = remarks_of(tried)
            own[LOSS] = np.asarray(tried["loss_draws"])
            _put_wires(point, tried["wire_cost"])
        key = entry.facts.get("screen")
        found = store.get(key) if key else None
        if found is not None:
            point["screened"] = found["screened"]
            own |= {} if found["screened"] is None else {IMAGES: np.asarray(found["image_draws"])}
        costs = store.get(entry.cost) if entry.cost else None
        if costs is not None:
            point |= {"cost": costs["cost"], "network_cost": costs["network_cost"]}
            own |= {name: np.asarray(costs["draws"][name]) for name in DRAWN}
        points.append(point)
        draws[number] = own
    set_by_trials(points, draws, int(study.get("seed", 0)))
    return SweepResult(run, study, points, draws)


def _put_wires(point: Values, cost: Values | None) -> None:
    """Note the wires that a point was evaluated with where its line currents decided, see `reports.wire_rule`."""
    if cost is None or not cost["included"]:
        return
    open_ones = [(own["core"], own["design"]) for own in overrides_of(point) if own["wires_open"]]
    if point.get("wires_open", True):
        open_ones.append((point["built"], point["design"]))
    for core, design in open_ones:
        core["wires"]["r_p_hat"] = design["fields"]["r_p_hat"] = cost["r_p_hat"]


def row_of(point: Values, axes: list[str], *, screened: bool = False, overridden: bool = False) -> Values:
    """Return a point as a row of the table; units stand in the names, and what is not known is None.

    Accuracies are in percent, losses in percentage points, ``_low`` and ``_high`` are ends of 95 % intervals.

    Args:
        point: as in `SweepResult`.
        axes: what the study varies.
        screened: whether there are columns for estimates of the screen beside those of trials.
        overridden: whether there is a column for layers on other cores.
    """
    accuracy, cost, network = point["accuracy"], point["cost"], point["network_cost"]
    built, fields = point.get("built"), (point.get("design") or {}).get("fields", {})
    row: Values = {"design": point["name"], "core": point["core"]}
    row |= {axis: text_of(_plain_value(point["varied"][axis])) for axis in axes if axis not in ("network", "device")}
    row |= {"network": point["network"], "device": None if not built or not built["cell"] else built["cell"]["name"]}
    row |= {"status": point["status"], "reason": point["reason"]}
    shares = ("baseline", "ideal", "mean", "std", "loss")
    percent = {name: None if accuracy is None else 100 * accuracy[name] for name in shares}
    low, high = (accuracy or {}).get("loss_interval") or (None, None)
    row |= {
        "accuracy_baseline_percent": percent["baseline"],
        "accuracy_ideal_percent": percent["ideal"],
        "accuracy_device_percent": percent["mean"],
        "accuracy_device_std_percent": percent["std"],
        "trials": None if accuracy is None else accuracy["trials"],
        "test_images": None if accuracy is None else accuracy["images"],
        "loss_points": percent["loss"],
        "loss_points_low": None if low is None else 100 * low,
        "loss_points_high": None if high is None else 100 * high,
    }
    if screened:
        row |= _screened_columns(point.get("screened"))
    for column, name in _NETWORK_COSTS.items():
        row |= _with_interval(column, network, name)
    row["network_cores"] = None if network is None else network["cores"]
    for column in _COSTS:
        row |= _with_interval(column, cost, column)
    row |= {"overrides": column_of(point)} if overridden else {}
    return row | {name: value for name, value in fields.items() if name not in (*row, "name")}


def _screened_columns(screened: Values | None) -> Values:
    """Return what the screen says of a point; empty where it was not screened."""
    low, high = (None, None) if screened is None else screened["loss_interval"]
    return {
        "screened_accuracy_percent": None if screened is None else 100 * screened["mean"],
        "screened_error_points": None if screened is None else 100 * screened["error"],
        "screened_loss_points": None if screened is None else 100 * screened["loss"],
        "screened_loss_points_low": None if low is None else 100 * low,
        "screened_loss_points_high": None if high is None else 100 * high,
        "screened_unsure": None if screened is None else screened["unsure"],
    }


def _plain_value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _with_interval(column: str, values: Values | None, name: str) -> Values:
    low, high = (None, None) if values is None else (interval_of(values, name) or (None, None))
    return {column: None if values is None else values[name], f"{column}_low": low, f"{column}_high": high}
