"""The points of a study: every combination of what it varies, each with its core as built."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from circuits import Core, NetworkCores, Wires, choose_cores, load_core
from devicekit import Cell, DesignError, DevicekitError
from reports.built_cores import IDEAL, built, wires_of, with_overrides
from reports.cell_step import cell_of
from reports.errors import StudyError
from reports.studies.axes import CORE_AXES, DESIGN_AXES, STUDY_AXES, WIRE_AXES
from reports.studies.ranges import text_of
from reports.study import Study

SHARES = ("top1", "top5", "binary", "multi_label", "binary_probability")
"""Metrics that are shares of examples, whose losses are points."""


@dataclass(frozen=True)
class Point:
    """One combination.

    Attributes:
        name: core and what is varied, such as ``"A max_rows=144 adc_bits=6"``.
        asked: what names the core (a bundled design, ``FILE:NAME``).
        varied: values by axis.
        study: the study of this point alone: one device, one network, nothing varied.
        cores: the core as built, and those of some layers that the study has others for; None where the combination is
            impossible.
        reason: why it is.
    """

    name: str
    asked: str
    varied: Mapping[str, Any]
    study: Study
    cores: NetworkCores | None
    reason: str = ""


def points_of(study: Study) -> list[Point]:
    """Return every point of a study, in order: cores first, then what is varied, the last axis fastest.

    Args:
        study: the study.

    Raises:
        StudyError: a value that fits no point, an axis that a core decides itself, or one core twice.
        DevicekitError: an unknown core, cell or measurement file.
    """
    make = PointMaker(study)
    points = [make(asked, values) for asked in make.cores for values in itertools.product(*study.vary.values())]
    _check_values(study, points)
    return points


class PointMaker:
    """Makes the points of a study, one for each core and combination of values.

    Args:
        study: the study.

    Attributes:
        cores: cores by what they are asked for by.

    Raises:
        StudyError: an axis that a core decides itself, one core twice, a metric that is no share, or trained
            weights beside those of the network.
        DevicekitError: an unknown core.
    """

    def __init__(self, study: Study) -> None:
        if study.metric not in SHARES:
            raise StudyError(
                f"A sweep counts in percent and points, so its metric is one of {', '.join(SHARES)}, not "
                f"{study.metric!r}; run devicekit report for others."
            )
        if study.trained is not None:
            raise StudyError(
                "`trained` puts two networks side by side, which devicekit report does; a sweep takes one: give "
                "`weights`."
            )
        self._study = study
        self.cores = choose_cores((*study.designs, *study.cores))
        _check_owners(study, self.cores)
        self._overrides = {pattern: load_core(name) for pattern, name in study.overrides.items()}
        self._called = _names(self.cores)
        self._fixed = study.model_copy(update={"vary": {}})
        own = [core.cell for core in self.cores.values()]
        self._cell = _cells((*own, *filter(None, (core.cell for core in self._overrides.values()))))

    def __call__(self, asked: str, values: Sequence[Any]) -> Point:
        """Return a point.

        Args:
            asked: what names the core.
            values: of the axes of the study, in their order.

        Raises:
            DevicekitError: an unknown cell or measurement file.
        """
        varied = dict(zip(self._study.vary, values, strict=True))
        words = [f"{key}={text_of(value)}" for key, value in varied.items()]
        name = " ".join([self._called[asked], *words])
        own = _own_study(self._fixed, varied)
        try:
            core = _built(own, self.cores[asked], varied, self._cell(own), name)
            made, reason = _with_overrides(own, core, varied, self._overrides), ""
        except DesignError as error:
            made, reason = None, str(error)
        return Point(name, asked, varied, own, made, reason)


def _names(cores: Mapping[str, Core]) -> dict[str, str]:
    """Return a name for each core: its own, or what it was asked for by where two have the same."""
    own = [core.name for core in cores.values()]
    return {asked: core.name if own.count(core.name) == 1 else asked for asked, core in cores.items()}


def _check_owners(study: Study, cores: Mapping[str, Core]) -> None:
    for axis in study.vary:
        part = {"device": "cell", "measurements": "cell", **dict.fromkeys(WIRE_AXES, "wires")}.get(axis, axis)
        if part not in ("cell", "adc", "peripherals", "wires", "age", "temperature", "compensation", "corrections"):
            continue
        for asked, core in cores.items():
            if getattr(core, part):
                raise StudyError(f"`{axis}` is varied, but the core {asked!r} has its own {part}: leave one out.")


def _own_study(study: Study, varied: Mapping[str, Any]) -> Study:
    changes: dict[str, Any] = {}
    for key, value in varied.items():
        if key in STUDY_AXES:
            changes |= value if isinstance(value, Mapping) else {key: value}
    if not changes:
        return study
    return Study.make(study.model_dump() | changes, "vary")


def _cells(own: tuple[Cell | None, ...]) -> Callable[[Study], Cell]:
    """Return a function that gives the cell of a point's study, each made once."""

    @cache
    def made(device: str | None, measurements: str | None) -> Cell:
        return cell_of(Study(device=device, measurements=measurements), own).cell

    return lambda study: made(study.device, study.measurements)


def _built(study: Study, core: Core, varied: Mapping[str, Any], cell: Cell, name: str) -> Core:
    """Return the core of a point; what neither it nor the axes say is the study's.

    Raises:
        DesignError: an impossible combination.
    """
    fields = {key: _listed(value) for key, value in varied.items() if key in DESIGN_AXES}
    design = core.design.replace(**fields) if fields else core.design
    parts = {key: value for key, value in varied.items() if key in CORE_AXES}
    changes: dict[str, Any] = {"design": design, "name": name}
    for key, value in parts.items():
        if key == "corrections":
            changes[key] = () if value is None else value
        elif key not in WIRE_AXES:
            changes[key] = None if key == "peripherals" and value == IDEAL else value
    varied_wires = {key: value for key, value in parts.items() if key in WIRE_AXES}
    if varied_wires:
        # What is varied stands before what the study says, and that before the design's own.
        own = {"r_p_hat": design.r_p_hat} if "r_p_hat" in fields else {}
        changes["wires"] = Wires(**{"r_p_hat": design.r_p_hat, **wires_of(study), **own, **varied_wires})
    elif "r_p_hat" in fields:
        # Said even where it is 0: no rule on line currents decides it.
        changes["wires"] = dataclasses.replace(core.wires or Wires(), r_p_hat=design.r_p_hat, resistance=None)
    try:
        return built(study.model_copy(update=_left_out(parts)), core.replace(**changes), cell)
    except DesignError:
        raise
    except DevicekitError as error:
        # A cell without a law for that age, peripherals of another use: this combination, not the study.
        raise DesignError(str(error)) from None


def _with_overrides(study: Study, core: Core, varied: Mapping[str, Any], overrides: Mapping[str, Core]) -> NetworkCores:
    """Return the core of a point with those of some layers: what varies is built into all, but fields of the design.

    Raises:
        DesignError: an impossible combination.
    """
    parts = {key: value for key, value in varied.items() if key in (*CORE_AXES, "r_p_hat")}
    try:
        return with_overrides(study.model_copy(update=parts | _left_out(parts)), core, overrides)
    except DesignError:
        raise
    except DevicekitError as error:
        raise DesignError(str(error)) from None


def _left_out(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a study says where an axis leaves a part out: none is a value, and no gap for a default to fill."""
    said: dict[str, Any] = {"peripherals": IDEAL, "corrections": ()}
    return {key: value for key, value in said.items() if key in parts and parts[key] in (None, (), [], IDEAL)}


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check_values(study: Study, points: list[Point]) -> None:
    """Refuse a value that no point can have: it is a slip, not a corner of the space."""
    if all(point.cores is None for point in points) and not study.vary:
        raise StudyError(points[0].reason)
    for axis, values in study.vary.items():
        for value in values:
            own = [point for point in points if point.varied[axis] is value or point.varied[axis] == value]
            if all(point.cores is None for point in own):
                raise StudyError(f"vary: `{axis}` = {text_of(value)} is possible in no point: {own[0].reason}")
