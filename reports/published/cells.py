"""Published studies of cells, weights and currents: Figs. 4, 7, 14, 15, 20, 22 and the law of bit slicing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from circuits import Core, CoreDesign, load_designs
from devicekit import fit_device, load_device, read_measurements
from reports.cell_step import find_measurements
from reports.published.drawing import bars, lines
from reports.published.study import RESNET50, XIAO, Finding, PublishedStudy, Setting, independent
from reports.study import REFERENCE_MEASUREMENTS

_CURRENT_RATIO = 2.0
"""How many times the mean current a row of unsliced differential cells that of offset cells must be."""
_RANGE_RATIO = 5.0
"""How many times the range of differential cells' top slice offset cells must use."""


def _sonos_fit(setting: Setting) -> Finding:
    fit = fit_device(read_measurements(find_measurements(REFERENCE_MEASUREMENTS)), seed=setting.seed)
    published = load_device("sonos_40nm_tcas2022").error
    rows, inside = [], []
    for name, own in fit.to_dict()["parameters"].items():
        known = getattr(published, name, None)
        pull = None if known is None or not own["stderr"] else (own["value"] - known) / own["stderr"]
        rows.append(
            {"parameter": name, "fitted_a": own["value"], "stderr_a": own["stderr"], "published_a": known, "pull": pull}
        )
        inside.append(pull is not None and abs(pull) < 3)
    table = fit.table
    current = np.linspace(0, 1.6e-6, 81)
    figure = lines(
        "sonos-fit",
        "Programming error of SONOS cells",
        "Spread of the measured states and the law fitted to them; the raw histograms are not public, so that the "
        "cells were drawn from published means and spreads: a round trip.",
        {
            "states": (1e6 * table["target"].to_numpy(), 1e9 * table["sigma"].to_numpy()),
            "fitted law": (1e6 * current, 1e9 * fit.cell.error.sigma(current, fit.cell.i_max)),
            "published law": (1e6 * current, 1e9 * published.sigma(current, 1.6e-6)),
        },
        "target current [µA]",
        "spread [nA]",
        log=False,
        points="states",
    )
    words = ", ".join(
        f"{row['parameter']} {1e9 * row['fitted_a']:.1f} ± {1e9 * row['stderr_a']:.1f} nA" for row in rows
    )
    return Finding(words, bool(inside) and all(inside) and fit.cell.error.name == published.name, rows, figure)


def _weights(setting: Setting) -> Finding:
    """Mean conductance by slice, weighted by the layers' sizes."""
    from accuracy import analog_layers, convert
    from accuracy.calibration.activity import mean_conductance

    network = setting.load(setting.network)
    rows: list[dict[str, Any]] = []
    for name, design in {
        "differential, unsliced": CoreDesign(),
        "differential, 2 bits a cell": CoreDesign(weight_bits=9, bits_per_cell=2),
        "offset, unsliced": CoreDesign(negative_weights="offset"),
        "offset, 2 bits a cell": CoreDesign(negative_weights="offset", bits_per_cell=2),
    }.items():
        layers = analog_layers(convert(network.model, design.replace(adc_bits=None), seed=setting.seed))
        sizes = np.array([layer.array.mapping.rows * layer.array.mapping.columns for layer in layers], dtype=float)
        for programmed in (False, True):
            if programmed and design.lines_per_column == 1:
                continue
            own = np.array([mean_conductance(layer, programmed_only=programmed) for layer in layers])
            mean = (sizes[:, None] * own).sum(axis=0) / sizes.sum()
            for number, value in enumerate(mean):
                rows.append(
                    {
                        "mapping": name,
                        "slice": number,
                        "over": "programmed cell of each pair" if programmed else "all cells",
                        "mean_conductance_percent": 100 * float(value),
                    }
                )
    found = {(row["mapping"], row["slice"], row["over"]): row["mean_conductance_percent"] for row in rows}
    unsliced = found["differential, unsliced", 0, "all cells"]
    lowest = found["differential, 2 bits a cell", 0, "programmed cell of each pair"]
    lowest_all = found["differential, 2 bits a cell", 0, "all cells"]
    offset = found["offset, unsliced", 0, "all cells"]
    groups = {
        over: {
            f"{name.replace('differential', 'diff.')} {slice_ + 1}": value
            for (name, slice_, own), value in found.items()
            if own == over
        }
        for over in ("all cells", "programmed cell of each pair")
    }
    figure = bars(
        "mean-conductance",
        "Mean conductance by mapping and slice",
        f"Weights of {network.name}; the number is the slice, least significant first.",
        groups,
        "mean conductance [% of G_max]",
    )
    return Finding(
        f"differential unsliced {unsliced:.1f} %, its lowest slice {lowest:.0f} % over programmed and "
        f"{lowest_all:.0f} % over all cells, offset {offset:.0f} %",
        unsliced < 12 and abs(offset - 50) < 8 and abs(lowest - 50) < 15 and abs(lowest_all - 25) < 8,
        rows,
        figure,
        network=network.name,
    )


def _slicing(setting: Setting) -> Finding:
    """Signal-to-noise ratio of a dot product whose cells have one error, slices summed by their worth."""
    rows = []
    for bits in (8, 4, 2, 1):
        slices = 8 // bits
        # A slice's full scale is worth 2^(bits k) (2^bits - 1) units; errors of slices are independent.
        worth = (2**bits - 1) * 2.0 ** (bits * np.arange(slices))
        rows.append({"bits_per_cell": bits, "slices": slices, "snr_gain": float(255 / math.sqrt((worth**2).sum()))})
    gain = next(row["snr_gain"] for row in rows if row["slices"] == 4)
    design = CoreDesign(negative_weights="offset", adc_bits=None, input_bits=None)
    measured = _error_of(design, setting) / _error_of(design.replace(bits_per_cell=2), setting)
    figure = lines(
        "slicing",
        "What slicing gains against an error that is the same in all states",
        "Gain in the signal-to-noise ratio of a dot product with offset weights over one slice; never above √3.",
        {"closed form": ([row["slices"] for row in rows], [row["snr_gain"] for row in rows])},
        "slices",
        "gain",
        log=False,
    )
    return Finding(
        f"four 2-bit slices: {gain:.3f} in closed form, {measured:.3f} on a matrix of random weights",
        abs(gain - 1.286) < 0.001 and abs(measured / gain - 1) < 0.05 and gain < math.sqrt(3),
        rows,
        figure,
    )


def _error_of(design: CoreDesign, setting: Setting) -> float:
    from accuracy import AnalogMatrix

    rng = np.random.default_rng(setting.seed)
    weight, x = rng.laplace(0, 0.1, (512, 128)).clip(-1, 1), rng.random((128, 512))
    weight[0, 0] = 1.0
    exact = AnalogMatrix(weight, design).matmul(x)
    noisy = AnalogMatrix(weight, design, independent(0.02), seed=setting.seed).matmul(x)
    return float(np.std(np.asarray(noisy) - np.asarray(exact)))


def _outputs(setting: Setting) -> Finding:
    """The largest output that is converted, over the largest that there could be: all rows on, all cells full."""
    rows: list[dict[str, Any]] = []
    for name, design in {
        "differential": CoreDesign(weight_bits=9, bits_per_cell=2),
        "offset": CoreDesign(negative_weights="offset", bits_per_cell=2),
    }.items():
        for layer, ranges, full in _ranges(setting, design):
            rows += [
                {
                    "mapping": name,
                    "layer": layer,
                    "slice": index,
                    "range_of_full_scale_percent": 100 * max(-lo, hi) / full,
                }
                for index, (lo, hi) in enumerate(ranges)
            ]
    top = max(row["slice"] for row in rows)
    offset = [row["range_of_full_scale_percent"] for row in rows if row["mapping"] == "offset"]
    highest = [
        row["range_of_full_scale_percent"] for row in rows if row["mapping"] == "differential" and row["slice"] == top
    ]
    series = {}
    for name in ("differential", "offset"):
        for index in (0, top):
            own = [
                row["range_of_full_scale_percent"] for row in rows if (row["mapping"], row["slice"]) == (name, index)
            ]
            series[f"{name}, slice {index + 1}"] = (list(range(1, len(own) + 1)), own)
    figure = lines(
        "output-range",
        "Range in use, of the largest current a column could draw",
        "One point a layer: the upper end of the calibrated range, which holds 99.98 % of the values. The ranges of a "
        "layer's slices are powers of two apart, so that each is at most twice what its slice needs.",
        series,
        "layer",
        "range in use [% of full scale]",
        log=False,
        log_up=True,
    )
    return Finding(
        f"offset {np.median(offset):.1f} % of full scale in the median layer, top slice of differential "
        f"{np.median(highest):.2f} %",
        setting.on_long_columns(bool(np.median(offset) > _RANGE_RATIO * np.median(highest))),
        rows,
        figure,
        ""
        if setting.network == RESNET50
        else "Layers of these networks have fewer rows than those of ResNet-50, so that sums average out less and "
        "more of the range is in use.",
        setting.network,
    )


def _ranges(setting: Setting, design: CoreDesign) -> list[tuple[str, list[tuple[float, float]], float]]:
    from accuracy import analog_layers, calibrate, convert

    network, study = setting.load(setting.network), setting.study(setting.network)
    setting.progress(f"ranges of {network.name}")
    model = convert(network.model, design, seed=setting.seed)
    calibrate(model, network.batches(study, "calibration", study.calibration_images))
    found = []
    for layer in analog_layers(model):
        rows = max(part.stop - part.start for part in layer.array.mapping.partitions)
        found.append((layer.name, [(lo, hi) for lo, hi in layer.require_calibration().ranges], float(rows)))
    return found


def _line_currents(setting: Setting) -> Finding:
    from accuracy import calibrate, convert, measure_line_currents

    cell = load_device("sonos_40nm_tcas2022")
    network, study = setting.load(setting.network), setting.study(setting.network)
    training = network.batches(study, "calibration", study.calibration_images)
    lengths = {shape.name: shape.rows for shape in network.layers}
    rows: list[dict[str, Any]] = []
    for name, design in load_designs("xiao2022").items():
        setting.progress(f"currents of {name}")
        model = calibrate(convert(network.model, Core(design, cell=cell), seed=setting.seed), training)
        own = measure_line_currents(model, training)
        # Rows of the arrays that a layer lies on; the longest of its parts.
        driven = {layer: math.ceil(lengths[layer] / math.ceil(lengths[layer] / design.max_rows)) for layer in own}
        rows.append(
            {
                "design": name,
                "mean_line_current_ua": 1e6 * max(float(part.common_mean_a.max()) for part in own.values()),
                "largest_line_current_ua": 1e6 * max(float(part.common_range_a.max()) for part in own.values()),
                "adc_range_ua": 1e6
                * max(float(part.full_scale_a.max()) for part in own.values() if part.full_scale_a is not None),
                "median_layer_current_a_row_na": 1e9
                * float(np.median([part.common_mean_a.max() / driven[layer] for layer, part in own.items()])),
                "largest_layer_current_a_row_na": 1e9
                * max(float(part.common_mean_a.max()) / driven[layer] for layer, part in own.items()),
            }
        )
    a_row = {row["design"]: row["median_layer_current_a_row_na"] for row in rows}
    largest = {row["design"]: row["largest_line_current_ua"] for row in rows}
    groups = {
        "median layer": a_row,
        "layer with the largest": {row["design"]: row["largest_layer_current_a_row_na"] for row in rows},
    }
    figure = bars(
        "line-currents",
        "Currents of the lines, a row",
        f"Mean over columns and images of {network.name}, of the input bit and slice with the most, over the rows of "
        "the array. E has offset cells, the others differential ones; those of A, C and D hold a weight's magnitude "
        "whole, those of B one bit.",
        groups,
        "current a row [nA]",
        log=True,
    )
    whole = max(a_row[name] for name in ("A", "C", "D"))
    return Finding(
        f"mean current a row in the median layer: {a_row['A']:.0f} nA in A, {a_row['B']:.0f} nA in B, "
        f"{a_row['E']:.0f} nA in E, {a_row['E'] / whole:.1f} times the largest of A, C and D; largest line current "
        f"{largest['A']:.1f} µA in A, {largest['E']:.1f} µA in E",
        a_row["E"] > _CURRENT_RATIO * whole,
        rows,
        figure,
        network=network.name,
    )


STUDIES = (
    PublishedStudy(
        "sonos_fit",
        f"{XIAO}, Fig. 22",
        "Error of SONOS cells",
        "A saturating exponential describes the spread of all states (a round trip: cells drawn from the published "
        "law).",
        "s_max 39.6 nA, i_sat 530 nA",
        _sonos_fit,
        networks=False,
        criterion="the fit chooses that law, and both parameters lie within three standard errors of the published "
        "ones",
    ),
    PublishedStudy(
        "mean_conductance",
        f"{XIAO}, Figs. 4 and 7",
        "Weights and conductances",
        "Differential cells sit near zero when unsliced; offset cells and programmed cells of low slices near the "
        "middle.",
        "1.95 % unsliced differential, near 50 % offset and low slices",
        _weights,
        criterion="unsliced differential cells conduct less than 12 % on average, offset cells 42 to 58 %, and of "
        "the lowest slice of differential ones the programmed cells 35 to 65 %, all cells 17 to 33 %",
    ),
    PublishedStudy(
        "slicing",
        f"{XIAO}, signal-to-noise ratio of slices",
        "Bit slicing against cell errors",
        "With offset weights four 2-bit slices gain 1.286 in signal-to-noise ratio, finer ones at most √3.",
        "1.286, at most 1.732",
        _slicing,
        networks=False,
        criterion="the closed form gives 1.286, a matrix of random weights the same within 5 %",
    ),
    PublishedStudy(
        "output_range",
        f"{XIAO}, Figs. 14 and 15",
        "Range that outputs use",
        "Outputs use a large part of full scale with offset weights, a tiny one in the top slice of differential ones.",
        "10 to 20 % offset, under 0.1 % top slice of differential",
        _outputs,
        criterion="in the median layer offset cells use more than five times what the top slice of differential ones "
        "does",
    ),
    PublishedStudy(
        "line_currents",
        f"{XIAO}, Fig. 20",
        "Currents of the lines",
        "Lines of offset cells carry far more current a row than differential ones.",
        "a figure without numbers",
        _line_currents,
        criterion="in the median layer the mean current a row of E is more than twice that of A, C and D",
    ),
)
