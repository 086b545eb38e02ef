"""What a study found, as plain values: made by `reports.run`, read by the table, the figures and the page.

Nothing here computes. Fractions are in 0..1, currents in [A]; what is shown in other units says so in its name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class FittedParameter:
    """One parameter of the fitted error model.

    Attributes:
        name: its name in the model.
        value: fitted value, in `unit`.
        stderr: standard error, in `unit`; None where the fit gave none.
        unit: SI unit.
        published: the published value it should return to, in `unit`; None where there is none.
    """

    name: str
    value: float
    stderr: float | None
    unit: str
    published: float | None = None


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """A cell model fitted to measured currents.

    Attributes:
        source: file name of the measurements.
        kind: how the measurements came about, such as ``"resampled from published statistics"``.
        round_trip: whether the data were drawn from the very model they are fitted with.
        model: name of the chosen error model.
        parameters: fitted parameters.
        target: programmed currents of the states [A].
        sigma: spread of each state [A].
        sigma_stderr: its standard error [A].
        cells: number of cells of each state.
        curve_current: currents of the drawn curves [A].
        curve_sigma: the fitted spread there [A].
        curve_low: lower end of its 95 % band [A]; empty where the fit gave no covariance.
        curve_high: upper end of its 95 % band [A].
        curve_published: the published spread there [A]; empty where there is none.
        notes: what a reader must know, as sentences.
    """

    source: str
    kind: str
    round_trip: bool
    model: str
    parameters: tuple[FittedParameter, ...]
    target: tuple[float, ...]
    sigma: tuple[float, ...]
    sigma_stderr: tuple[float, ...]
    cells: tuple[int, ...]
    curve_current: tuple[float, ...]
    curve_sigma: tuple[float, ...]
    curve_low: tuple[float, ...] = ()
    curve_high: tuple[float, ...] = ()
    curve_published: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DeviceSummary:
    """The cell that accuracy and energy were computed with.

    Attributes:
        name: its name.
        label: short name for headings, such as ``"SONOS"``.
        technology: what it is made of.
        model: its error model with parameters, in words.
        i_max: largest cell current [A].
        on_off_ratio: largest over smallest current.
        read_voltage: read voltage [V].
        origin: where the cell came from: a fit, or a device file.
    """

    name: str
    label: str
    technology: str
    model: str
    i_max: float
    on_off_ratio: float
    read_voltage: float
    origin: str


@dataclass(frozen=True, kw_only=True)
class SpiceCheck:
    """The bit-line solver confirmed by circuit simulation.

    Attributes:
        simulator: name and version, such as ``"ngspice-39"``.
        cells: cells of the bit line.
        relative_difference: largest relative difference between solver and simulator.
        recorded: whether the values were recorded earlier because no simulator is here.
        note: what is to be said beside it.
    """

    simulator: str
    cells: int
    relative_difference: float
    recorded: bool = False
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class LineError:
    """How wrong one model of a bit line is against the transistor cell, on random arrays.

    Attributes:
        designs: names of the designs with such lines.
        rows: cells of the line.
        pairing: ``"differential"`` or ``"offset"``.
        mean_conductance: mean normalised conductance of the cells.
        r_p_hat: normalised wire resistance between cells.
        model: ``"ideal"`` (no wire), ``"resistor"``, ``"affine"`` or ``"relinearised"``.
        line_error: mean relative error of a line's current.
        error_lsb: largest error after subtraction [LSB of 8 bits].
        error_lsb_gain_removed: the same once the best common gain is taken out [LSB].
    """

    designs: tuple[str, ...]
    rows: int
    pairing: str
    mean_conductance: float
    r_p_hat: float
    model: str
    line_error: float
    error_lsb: float
    error_lsb_gain_removed: float


@dataclass(frozen=True, kw_only=True)
class PeripheralSummary:
    """What a characterisation of integrator, accumulator, gain stage and converter found.

    Attributes:
        name: its name.
        kind: how it was obtained.
        source: simulator and settings.
        adc_bits: resolution of the converter.
        inl_lsb: integral non-linearity at every code [LSB].
        figures: label, value as text and unit of the figures worth showing.
    """

    name: str
    kind: str
    source: str
    adc_bits: int
    inl_lsb: tuple[float, ...]
    figures: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, kw_only=True)
class AccuracyResult:
    """What a network is worth on one design, fractions in 0..1.

    Attributes:
        baseline: the float network.
        ideal: quantised, ideal cells, calibrated converters.
        mean: programmed cells, mean over trials.
        std: standard deviation over trials.
        per_trial: every trial.
        loss: baseline - mean.
        loss_interval: 95 % interval of the loss on the same images; None where it was not computed.
        images: test images.
    """

    baseline: float
    ideal: float
    mean: float
    std: float
    per_trial: tuple[float, ...]
    loss: float
    images: int
    loss_interval: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one component takes of a core's energy and area.

    Attributes:
        component: its name.
        energy_fj_per_op: energy an operation [fJ].
        area_mm2: area [mm2].
    """

    component: str
    energy_fj_per_op: float
    area_mm2: float


@dataclass(frozen=True, kw_only=True)
class CostResult:
    """What one core costs, with 95 % intervals where the estimator gives them.

    Attributes:
        energy_fj_per_op: energy an operation [fJ].
        area_mm2: area [mm2].
        latency_ns: first input bit to result [ns].
        tops_per_w: operations a joule [1e12/J].
        intervals: (low, high) by the names above.
        breakdown: shares of the components; they sum to energy and area.
        activity: where the array activity came from.
    """

    energy_fj_per_op: float
    area_mm2: float
    latency_ns: float
    tops_per_w: float
    intervals: dict[str, Interval] = field(default_factory=dict)
    breakdown: tuple[Share, ...] = ()
    activity: str = ""


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """What one layer costs an inference.

    Attributes:
        name: the layer's name.
        cores: cores that hold it.
        utilisation: share of their cells in use, 0..1.
        energy_gated_nj: energy of an inference, unused rows and columns switched off [nJ].
        latency_us: first input of the layer to its last output [us].
    """

    name: str
    cores: int
    utilisation: float
    energy_gated_nj: float
    latency_us: float


@dataclass(frozen=True, kw_only=True)
class NetworkCostResult:
    """What an inference of the network costs on cores of one design.

    Attributes:
        cores: cores that hold the network.
        area_mm2: their area [mm2].
        energy_gated_uj: energy of an inference, unused rows and columns switched off [uJ].
        energy_ungated_uj: the same with every core fully driven [uJ].
        latency_us: one layer after another [us].
        inferences_per_s: when layers work at the same time [1/s].
        spatial_utilisation: share of the cells in use, 0..1.
        peak_tops_per_w: of a full core.
        utilised_tops_per_w: of this network, gated.
        intervals: 95 % intervals by the names above.
        layers: one entry a layer.
    """

    cores: int
    area_mm2: float
    energy_gated_uj: float
    energy_ungated_uj: float
    latency_us: float
    inferences_per_s: float
    spatial_utilisation: float
    peak_tops_per_w: float
    utilised_tops_per_w: float
    intervals: dict[str, Interval] = field(default_factory=dict)
    layers: tuple[LayerCost, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LayerSignal:
    """How much of a layer's output is error, on one programming.

    Attributes:
        name: the layer's name.
        own_db: its float output over its own error [dB]; None without error.
        network_db: its float output over the error of all layers up to it [dB]; None without error.
    """

    name: str
    own_db: float | None
    network_db: float | None


@dataclass(frozen=True, kw_only=True)
class DesignResult:
    """One row of the joint table.

    Attributes:
        name: the design's name.
        fields: what the design is, as `CoreDesign.to_mapping` gives it.
        b_out: ideal analog resolution [bit].
        slices: cells, or pairs, that share a weight.
        partitions: arrays that share the rows.
        conversions_per_mvm: conversions of one matrix-vector product.
        accuracy: what the network is worth on it.
        cost: what a core costs.
        network_cost: what an inference of the network costs.
        signals: signal-to-error ratio of each layer.
    """

    name: str
    fields: dict[str, Any]
    b_out: float
    slices: int
    partitions: int
    conversions_per_mvm: int
    accuracy: AccuracyResult
    cost: CostResult
    network_cost: NetworkCostResult | None = None
    signals: tuple[LayerSignal, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NetworkSummary:
    """The network and the images it was tried on.

    Attributes:
        name: its name.
        data_set: the data set's name.
        description: one or two sentences about the images.
        baseline: accuracy of the float network on the test images used.
        test_images: test images used.
        calibration_images: training images that set the converter ranges.
        classes: number of classes.
        layers: name, rows and columns of every layer's matrix and the products an inference makes with it.
        notes: what a reader must know, as sentences.
    """

    name: str
    data_set: str
    description: str
    baseline: float
    test_images: int
    calibration_images: int
    classes: int
    layers: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """One constant and where it came from.

    Attributes:
        room: what it belongs to: device, energy, design, network.
        name: its name.
        value: its value, as text.
        unit: its unit.
        kind: measured, published, fitted, simulated, resampled or assumed.
        source: citation, file or reason.
        interval: 95 % interval as text; empty where unknown or exact.
    """

    room: str
    name: str
    value: str
    unit: str
    kind: str
    source: str
    interval: str = ""


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """Everything the page shows.

    Attributes:
        title: the study's title.
        settings: the study's settings as they were run.
        fit: the fit; None where a device file was used and no measurements.
        device: the cell.
        spice: the circuit check; None where there is neither a simulator nor a recorded value.
        wires: errors of bit-line models on the arrays of the designs.
        peripherals: a characterisation of the circuits around the array; None where there is none.
        network: the network.
        designs: one entry a design, in the order asked for.
        provenance: every constant.
        software: versions by name.
        cost_note: what must be said of the costs below the table; may be empty.
        remarks: what was skipped or assumed, as sentences.
        seconds: how long the run took [s]; steps taken from an earlier, interrupted run not counted.
    """

    title: str
    settings: dict[str, Any]
    fit: FitResult | None
    device: DeviceSummary
    spice: SpiceCheck | None
    network: NetworkSummary
    designs: tuple[DesignResult, ...]
    provenance: tuple[Provenance, ...]
    software: dict[str, str]
    cost_note: str = ""
    remarks: tuple[str, ...] = ()
    wires: tuple[LineError, ...] = ()
    peripherals: PeripheralSummary | None = None
    seconds: float = 0.0
