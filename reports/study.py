"""What a study is: which measurements, which designs, which network, how often. A TOML file holds one."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from devicekit.common.errors import unknown_name
from devicekit.common.foreign import read_toml
from devicekit.common.paths import exists, replacing
from devicekit.common.validation import validated
from reports.errors import StudyError
from reports.studies.axes import MOST_POINTS, PATH_AXES, checked_axes, combinations
from reports.studies.budgets import OBJECTIVES, constraint_of, quantity_of

LONGEST_TITLE = 200
MOST_TRIALS = 100_000
USUAL_STAGE_TRIALS = 3
REFERENCE_MEASUREMENTS = "sonos_40nm_tcas2022_resampled"


_PATHS = ("weights", "trained", "data", "measurements", "device", "library", "peripherals", "adc")
"""Keys whose value may be a path, taken from the study file's folder."""


class Study(BaseModel):
    """One question to the whole chain: these cells, these cores, this network.

    Attributes:
        title: heading of the page; made from network and designs where empty.
        designs: core designs: names of bundled ones or of bundled sets, ``FILE:NAME``, or design files. Cores as built
            go by ``FILE:NAME`` as well; A to E where neither this nor `cores` is given.
        cores: cores as built, named in the same ways; they come after the designs.
        measurements: cell currents to fit: a file, or the name of a bundled one. The fitted cell goes on to accuracy
            and energy of every core without a cell of its own. Where neither this nor `device` is given, the bundled
            40 nm SONOS measurements are fitted.
        device: a cell to use as it stands: a bundled name or a device file. Together with `measurements`, it gives
            what a fit of currents does not (read voltage, largest current, on/off ratio).
        network: name of the network, or ``module:function``, ``FILE.py:function`` or an ONNX file for one of your own.
        data_set: name of the data the network reads, or ``module:function``, ``FILE.py:function`` or an ``.npz`` file
            for data of your own; None for a network that is known by name.
        weights: weight file; None for bundled weights or those in `data`.
        trained: weights of the same network after training on the cells: a weight file, or the folder of `devicekit
            train`. Every core is then evaluated with them too, on cells of the same deviates, and table and page show
            both.
        trained_scales: sizes of the errors, in units of those of the study, at which both are compared.
        data: folder with the network's data set; not needed for a bundled one.
        metric: what is counted: one of `accuracy.metric_names`, or ``module:function`` or ``FILE.py:function`` for a
            metric of your own.
        exclude: name patterns of the network's layers that stay digital, in accuracy and in energy.
        overrides: other cores for some layers, in accuracy and in energy, by the pattern of their names (``conv1``,
            ``"layer1.*"``; the first that matches holds): a bundled design, ``FILE:NAME``, or a file of one core.
            They stand beside every core of the study. What such a core leaves open is filled in by the study as for
            its other cores, by its own design, but cells and ADC are those of the core it stands beside.
        images: so many test images at most; None for all.
        calibration_images: so many training images at most set the ADC ranges; a thousand give each layer
            millions of currents, more cost time.
        correction_images: so many of these correct each programmed network; every one serves all positions of a layer.
        trials: how often the network is programmed afresh.
        stage_trials: how often for each stage that shows where accuracy goes (cells alone, then wires, ADC, periphery,
            trim, temperature, age added one after another); 0 leaves the stages out, None takes three at most.
        tolerance: trials end before their number once the mean is known within so many points (95 %), or so much of a
            metric in units of its own.
        draw_cells: whether each trial draws the cell model anew from the uncertainty of its fit.
        error_scale: factor on the spread of the cells.
        project_signs: whether designs with one sign a column drop the minority sign instead of refusing.
        workers: processes that trials are spread over; results do not depend on it.
        seed: seed of everything random.
        batch_size: images evaluated together; changes memory and time only. None: as many as suit the network's layers
            (`accuracy.batches.usual_size`).
        library: component library of the energy estimate: a bundled name or a file; behind ``"borrow:"``, cells of
            another technology borrow its periphery, marked as borrowed wherever it counts.
        peripherals: what stands between columns and codes of every core that leaves it open: a name or a file;
            ``"sized"`` for circuits sized for each design, ``"ideal"`` for columns without errors. None: sized ones,
            or ideal columns (and a remark) for a design that none are recorded for.
        corrections: what the digital side corrects after programming, in order, where a core says nothing:
            ``"column_trim"`` is a gain and offset of each column. None: that one where the study gives a core its
            peripherals; an empty list: nothing.
        adc: the ADC of cores that leave it open: a kind or a file.
        age: time after programming at which cells are read, such as ``"1 day"``.
        temperature: of the read, such as ``"350 K"``.
        compensation: bias that follows that temperature: ``"reference_cell"``, ``"linear_bias"``, the fraction of the
            change that is removed, or ``"none"`` for an uncompensated read. None: a reference cell.
        r_p_hat: bit-line resistance of cores without wires of their own. None: `reports.wires_step.USUAL_RESISTANCE`
            where the line currents measured on the network say that it costs more than a tenth of an ADC step, else
            none, and the bound is shown.
        bit_line: cell model that bit lines are solved with.
        r_in_hat: resistance of the virtual ground, relative; this and the following of cores without wires of their
            own, see `circuits.Wires`.
        input_resistance: the same in Ohm, such as ``"500 Ohm"``; ``"sized"``: of the circuit sized for each design.
        r_s_hat: resistance of the line at the cells' other end, relative.
        supply_resistance: the same in Ohm.
        feed: where that line runs and is fed: ``"readout"``, ``"far"`` or ``"rows"``.
        orientation: end of the cells on the bit line: ``"source"``, or ``"drain"``, with a source line at the other.
        vary: values by name of what is varied, every combination a point of the study: fields of the design, parts of
            the core (`reports.studies.axes.CORE_AXES`: age, temperature, adc, ...), and ``device``, ``network`` and
            what else `reports.studies.axes.STUDY_AXES` lists. Lists, or texts such as ``"6..9"``. `reports.sweep` and
            ``devicekit sweep`` run such a study.
        objectives: what is made as good as possible, by the names of `reports.studies.budgets.QUANTITIES`.
        constraints: limits such as ``"loss <= 1 point"`` and ``"network_area <= 1 mm2"``.
        accuracy: which points of a sweep are evaluated with trials: ``"all"``; ``"affordable"``, those that keep to the
            constraints on costs; ``"none"``, costs alone; ``"screen"``, none, but their accuracy is estimated from the
            network's sensitivities (docs/screening.md); ``"halving"``, those that the screen, and then a few trials,
            leave in question.
        search: so many points are screened instead of every combination, chosen by a multi-objective search (extra
            ``search``); with ``accuracy = "screen"`` or ``"halving"``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = ""
    cores: tuple[str, ...] = ()
    designs: tuple[str, ...] = ("A", "B", "C", "D", "E")
    measurements: str | None = None
    device: str | None = None
    network: str = "digits_cnn"
    data_set: str | None = None
    weights: Path | None = None
    trained: Path | None = None
    trained_scales: tuple[float, ...] = (0.5, 1.0, 2.0)
    data: Path | None = None
    metric: str = "top1"
    exclude: tuple[str, ...] = ()
    overrides: dict[str, str] = Field(default_factory=dict)
    images: int | None = Field(default=None, ge=1)
    calibration_images: int = Field(default=1000, ge=1)
    correction_images: int = Field(default=200, ge=1)
    trials: int = Field(default=10, ge=2, le=MOST_TRIALS)
    stage_trials: int | None = Field(default=None, ge=0, le=MOST_TRIALS)
    tolerance: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    draw_cells: bool = False
    error_scale: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    project_signs: bool = False
    workers: int = Field(default=1, ge=1, le=1024)
    seed: int = Field(default=0, ge=0)
    batch_size: int | None = Field(default=None, ge=1)
    library: str = "sonos_40nm"
    peripherals: str | None = None
    corrections: tuple[str, ...] | None = None
    adc: str | None = None
    age: str | None = None
    temperature: str | None = None
    compensation: str | float | None = None
    r_p_hat: float | None = Field(default=None, ge=0)
    bit_line: str | None = None
    r_in_hat: float | None = Field(default=None, ge=0)
    input_resistance: str | None = None
    r_s_hat: float | None = Field(default=None, ge=0)
    supply_resistance: str | None = None
    feed: str | None = None
    orientation: str | None = None
    vary: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    objectives: tuple[str, ...] = OBJECTIVES
    constraints: tuple[str, ...] = ()
    accuracy: Literal["all", "affordable", "none", "screen", "halving"] = "all"
    search: int | None = Field(default=None, ge=1, le=MOST_POINTS)

    @property
    def trials_a_stage(self) -> int:
        """How often the network is programmed for each stage; 0 where stages are left out."""
        return min(self.trials, USUAL_STAGE_TRIALS) if self.stage_trials is None else self.stage_trials

    @field_validator("vary", mode="before")
    @classmethod
    def _axes(cls, vary: Any) -> Any:
        return checked_axes(vary)

    @field_validator("overrides", mode="before")
    @classmethod
    def _patterns_with_cores(cls, overrides: Any) -> Any:
        if isinstance(overrides, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in overrides):
            overrides = dict(overrides)
        for pattern, name in overrides.items() if isinstance(overrides, dict) else ():
            if isinstance(name, dict):
                raise ValueError(f"a name with dots stands in quotes, such as \"{pattern}.0\" = 'B'")
            if not (pattern and name):
                raise ValueError("expected names of cores by patterns of layers' names, such as conv1 = 'B'")
        return overrides

    @field_serializer("overrides", when_used="json")
    def _in_order(self, overrides: dict[str, str]) -> list[list[str]]:
        """Return pairs of pattern and name: the first match holds, and objects of JSON have no order."""
        return [[pattern, name] for pattern, name in overrides.items()]

    @field_validator("objectives")
    @classmethod
    def _known_objectives(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        if not objectives:
            raise ValueError("expected at least one objective")
        for name in objectives:
            quantity_of(name)
        return objectives

    @field_validator("constraints")
    @classmethod
    def _known_constraints(cls, constraints: tuple[str, ...]) -> tuple[str, ...]:
        for text in constraints:
            constraint_of(text)
        return constraints

    @model_validator(mode="before")
    @classmethod
    def _cores_instead_of_designs(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("cores") and values.get("designs") is None:
            return values | {"designs": ()}
        return values

    @model_validator(mode="after")
    def _few_enough(self) -> Self:
        if self.search is None and combinations(self.vary) > MOST_POINTS:
            raise ValueError(
                f"vary: {combinations(self.vary)} combinations are more than {MOST_POINTS}; search = 500 would look "
                "for good ones among them"
            )
        if self.search is not None and self.accuracy not in ("screen", "halving"):
            raise ValueError(
                "search: it goes by screened accuracies: expected accuracy = 'screen' or 'halving', not "
                f"{self.accuracy!r}"
            )
        return self

    @field_validator("title")
    @classmethod
    def _one_line(cls, title: str) -> str:
        if len(title) > LONGEST_TITLE or not title.isprintable():
            raise ValueError(f"expected one line of at most {LONGEST_TITLE} printable characters")
        return title

    @field_validator("designs")
    @classmethod
    def _some_and_none_twice(cls, designs: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        names = (*designs, *info.data.get("cores", ()))
        if not names:
            raise ValueError("expected at least 1 item, here or in `cores`")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"design {twice[0]!r} is asked for more than once")
        return designs

    @field_validator("trained_scales")
    @classmethod
    def _sizes_of_errors(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < scale < math.inf for scale in scales):
            raise ValueError("expected numbers above 0")
        # The study's own size is that of the table.
        return tuple(sorted({1.0, *scales}))

    @field_validator("metric")
    @classmethod
    def _a_known_metric(cls, metric: str) -> str:
        from accuracy import metric_names

        if ":" not in metric and metric not in metric_names():
            raise ValueError(
                unknown_name("metric", metric, metric_names()) + " A metric of your own is given as module:function."
            )
        return metric

    @classmethod
    def make(cls, values: dict[str, Any], where: str = "study") -> Self:
        """Return a study from plain values, with one clear message where they do not make one.

        Args:
            values: the attributes by name.
            where: what the values came from, for the message.

        Raises:
            StudyError: an unknown key, or a value that is not allowed.
        """
        return validated(cls, values, where, StudyError)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the study that a TOML file holds; paths in it are taken from the file's folder.

        Args:
            path: the file.

        Raises:
            StudyError: no such file, no TOML, an unknown key, or a value that is not allowed.
        """
        path = Path(path)
        values = read_toml(path, StudyError)
        folder = path.resolve().parent
        for key in _PATHS:
            if isinstance(values.get(key), str):
                values[key] = _part_of(key, values[key], folder)
        for key in ("designs", "cores"):
            if isinstance(values.get(key), list):
                values[key] = [_part_beside(name, folder) for name in values[key]]
        if isinstance(values.get("overrides"), dict):
            values["overrides"] = {key: _part_beside(name, folder) for key, name in values["overrides"].items()}
        for key in ("network", "data_set", "metric"):
            if isinstance(values.get(key), str):
                values[key] = _code_beside(values[key], folder)
        if isinstance(values.get("vary"), dict):
            values["vary"] = _axes_beside(values["vary"], folder)
        return cls.make(values, str(path))

    @property
    def network_name(self) -> str:
        """What the network is called in titles: a function's or file's own name, without where it is."""
        name = self.network
        return Path(name).stem if name.endswith(".onnx") else name.rpartition(":")[2]

    def save(self, path: str | Path, *, place: str | Path | None = None) -> Path:
        """Write the study as a TOML file.

        Paths below the current folder are written relative to the file's folder, so that a project may be moved as a
        whole and reads the same on another machine; others in full.

        Args:
            path: where.
            place: folder that the file will lie in, where it is moved there after; None for that of the path.

        Returns:
            The path written.
        """
        import tomli_w

        values = {key: value for key, value in self.model_dump(mode="json").items() if value is not None}
        here = Path.cwd()
        for key in _PATHS:
            if key in values:
                values[key] = _part_of(key, values[key], here)
        for key in ("designs", "cores"):
            values[key] = [_part_beside(name, here) for name in values[key]]
        values["overrides"] = {key: _part_beside(name, here) for key, name in values["overrides"]}
        for key in ("network", "data_set", "metric"):
            if key in values:
                values[key] = _code_beside(values[key], here)
        values["vary"] = _axes_beside(_without_none(values["vary"]), here)
        folder = (Path(path).parent if place is None else Path(place)).resolve()
        for key in (*_PATHS, "designs", "cores", "overrides", "network", "data_set", "metric", "vary"):
            if key in values:
                values[key] = _relative(values[key], folder, here.resolve())
        with replacing(path) as temporary:
            temporary.write_text(tomli_w.dumps(values), encoding="utf-8")
        return Path(path)


def _relative(value: Any, folder: Path, here: Path) -> Any:
    """Return full paths below `here` as paths from `folder`; all else as it stands."""
    if isinstance(value, dict):
        return {key: _relative(own, folder, here) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_relative(own, folder, here) for own in value]
    if not isinstance(value, str):
        return value
    from energy.library import BORROW

    lent = BORROW if value.startswith(BORROW) else ""
    own = Path(value.removeprefix(lent))
    if not (own.is_absolute() and own.is_relative_to(here) and folder.is_relative_to(here)):
        return value
    return lent + Path(os.path.relpath(own, folder)).as_posix()


def _beside(name: str, folder: Path) -> str:
    """Return an existing path relative to `folder` as a full path; a bundled name is left as it stands."""
    return str((folder / name).resolve()) if exists(folder / name) else name


def _code_beside(name: str, folder: Path) -> str:
    """Return ``FILE.py:NAME``, a file of arrays or an ONNX file with its full path; anything else as it is."""
    path, _, own = name.rpartition(":")
    if path.endswith(".py"):
        return f"{_beside(path, folder)}:{own}"
    return _beside(name, folder) if name.endswith((".npz", ".onnx")) else name


def _axes_beside(vary: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return what is varied with paths taken from a folder."""
    return {key: _values_beside(key, values, folder) for key, values in vary.items()}


def _values_beside(key: str, value: Any, folder: Path) -> Any:
    if isinstance(value, list | tuple):
        return [_values_beside(key, item, folder) for item in value]
    if isinstance(value, dict):
        return {own: _values_beside(own, item, folder) for own, item in value.items()}
    if not isinstance(value, str):
        return value
    if key == "network":
        return _code_beside(value, folder)
    return _part_of(key, value, folder) if key in PATH_AXES else value


def _part_of(key: str, value: str, folder: Path) -> str:
    """Return a part's path taken from a folder; a library may stand behind what borrows it."""
    from energy.library import BORROW

    if key == "library" and value.startswith(BORROW):
        return BORROW + _beside(value.removeprefix(BORROW), folder)
    return _beside(value, folder)


def _without_none(value: Any) -> Any:
    """Return values as TOML can hold them, which knows no None."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return "none" if value is None else value


def _part_beside(name: Any, folder: Path) -> Any:
    """Return ``FILE:NAME``, or a design file, with the file's full path; anything else is left as it stands."""
    if not isinstance(name, str):
        return name
    path, colon, own = name.rpartition(":")
    if name.endswith(".toml"):
        return _beside(name, folder)
    return f"{_beside(path, folder)}:{own}" if colon and path else name
