"""Published studies of conversion and wires: Figs. 16, 17, 19 and 21."""

from __future__ import annotations

from typing import Any

import numpy as np

from accuracy.evaluation.intervals import loss_interval
from circuits import Core, CoreDesign
from devicekit import load_device
from reports.published.drawing import lines
from reports.published.study import (
    RESAMPLES,
    RESNET50,
    RESNET50_INT4,
    XIAO,
    Finding,
    PublishedStudy,
    Setting,
    amount,
    bounds,
    largest_tolerated,
    loss_columns,
    points,
)
from reports.published.whole_set import whole_set_columns
from reports.results import Values

_WIRE_LIMIT = 5.0
"""Points of loss at which a resistance counts as no longer tolerated: more than chance gives with a hundred images."""
_WIRE_RATIO = 30.0
_TELLING_POINTS = 3.0
"""Width of an interval [points] beyond which a published loss inside it is no agreement."""
INT4_ACCURACY = 0.76154
"""Published digital accuracy of the 4-bit ResNet-50 v1.5 on all 50 000 validation images."""


def _loss(setting: Setting, design: CoreDesign, **own: Any) -> Values:
    """Return the loss that a design has with ideal cells, as columns: that of its conversions and wires."""
    return loss_columns(setting.accuracy(design, None, **own))


def _adc(setting: Setting) -> Finding:
    bits = (4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18)
    losses: dict[str, list[Values]] = {}
    kinds: dict[str, dict[str, Any]] = {
        "differential, calibrated": {},
        "differential, full range": {"adc_range": "full"},
        "offset, calibrated": {"negative_weights": "offset"},
    }
    for name, fields in kinds.items():
        losses[name] = [_loss(setting, CoreDesign(adc_bits=own, **fields)) for own in bits]
    rows = [
        {"mapping": name, "adc_bits": own, **columns}
        for name, values in losses.items()
        for own, columns in zip(bits, values, strict=True)
    ]
    at = bits.index(7)
    figure = lines(
        "adc-bits",
        "Resolution of the ADC",
        f"Loss of {setting.network} with ideal cells. {amount(rows)}",
        {name: (bits, points(own)) for name, own in losses.items()},
        "ADC bits",
        "loss [points]",
        log=False,
        bounds={name: bounds(own) for name, own in losses.items()},
    )
    calibrated, full = (losses[f"differential, {name}"][at]["loss_points"] for name in ("calibrated", "full range"))
    enough = next(
        (own for own, loss in zip(bits, points(losses["differential, full range"]), strict=True) if loss < 1.0), None
    )
    longest = min(1152, _longest(setting))
    return Finding(
        f"7 bits: {calibrated:.2f} points with calibrated ranges, {full:.1f} over the full range, which needs "
        f"{f'more than {bits[-1]}' if enough is None else enough} bits to lose less than one",
        calibrated < 1.0 and full > calibrated + 1.0,
        rows,
        figure,
        "B_out is what one conversion would need to lose nothing: bits of weight and input and of the number of rows, "
        f"{CoreDesign(matrix_rows=longest).b_out:.1f} in the longest layer here.",
    )


def _longest(setting: Setting) -> int:
    """Return the rows of the longest layer."""
    return max(layer.rows for layer in setting.load(setting.network).layers)


def _cell_bits_and_rows(setting: Setting) -> Finding:
    longest, bits_of = _longest(setting), (1, 2, 4, 8)
    # Longer arrays would be the same arrays.
    rows_of = tuple(rows for rows in (72, 144, 288, 576, 1152) if rows / 2 < longest)
    losses = {
        bits: [
            _loss(
                setting,
                CoreDesign(
                    negative_weights="offset",
                    bits_per_cell=bits,
                    max_rows=rows,
                    input_accumulation="digital",
                    adc_range="aligned",
                ),
            )
            for rows in rows_of
        ]
        for bits in bits_of
    }
    rows = [
        {"bits_per_cell": bits, "max_rows": own, **columns}
        for bits, values in losses.items()
        for own, columns in zip(rows_of, values, strict=True)
    ]
    small, large = losses[2][rows_of.index(144)], losses[8][-1]
    figure = lines(
        "cell-bits-rows",
        "Bits a cell and rows an array with 8-bit ADCs",
        f"Offset cells, {setting.network}, ideal cells, every input bit converted, ranges aligned where an ADC has a "
        f"code for every level of the current. {amount(rows)}",
        {f"{bits} bit{'s' if bits > 1 else ''} a cell": (rows_of, points(own)) for bits, own in losses.items()},
        "rows an array",
        "loss [points]",
        bounds={f"{bits} bit{'s' if bits > 1 else ''} a cell": bounds(own) for bits, own in losses.items()},
    )
    harmless = large["low_points"] <= 0.0
    return Finding(
        f"2 bits a cell and 144 rows lose {small['loss_points']:.2f} points "
        f"({small['low_points']:.2f} to {small['high_points']:.2f}), 8 bits and {rows_of[-1]} rows "
        f"{large['loss_points']:.2f} ({large['low_points']:.2f} to {large['high_points']:.2f})",
        None if harmless else small["high_points"] < large["low_points"],
        rows,
        figure,
        f"Arrays of up to {rows_of[-1]} rows were tried: the longest layer of {setting.network} has {longest}. With "
        "calibrated ranges, whose codes lie between the levels, offset cells of ResNet-50 lose nearly all accuracy at "
        "1 and 2 bits a cell and any number of rows. "
        + (
            "None of them loses more than chance does, so that nothing calls for shorter ones here." if harmless else ""
        ),
    )


def _activation_bits(setting: Setting) -> Finding:
    if not setting.has(RESNET50_INT4):
        return Finding(
            "the 4-bit network is not at hand",
            None,
            [],
            None,
            "Give --data, a folder with ImageNet images and the INT4 weights.",
        )
    few = {"images": 50 if setting.quick else 1300, "trials": 2 if setting.quick else 10}
    network, design = RESNET50_INT4, CoreDesign(weight_scale="given")
    core = Core(design, cell=load_device("sonos_40nm_tcas2022"))
    own = setting.accuracy(design, None, network, core=core, with_scores=True, calibration_images=50, **few)
    right, ideal, trials = (np.asarray(scores) for scores in own["scores"])
    margins = setting.margins(network, own["images"])
    steps = {"ideal cells": (right, ideal[None], 0.12), "SONOS cells beyond ideal ones": (ideal, trials, 0.74)}
    rows: list[dict[str, Any]] = []
    for name, (before, after, published) in steps.items():
        low, high = loss_interval(before, after, np.ones(before.size), 0.95, RESAMPLES, setting.seed)
        rows.append(
            {
                "network": network,
                "step": name,
                "baseline_percent": 100 * own["baseline"],
                "loss_points": 100 * float(before.mean() - after.mean()),
                "low_points": 100 * low,
                "high_points": 100 * high,
                **whole_set_columns(margins, before, after, INT4_ACCURACY, right=right, seed=setting.seed),
                "published_points": published,
                "images": own["images"],
                "trials": len(after),
            }
        )
    words = "; ".join(
        f"{row['step']} lose {row['loss_points']:.2f} points ({row['low_points']:.2f} to {row['high_points']:.2f}; "
        f"published {row['published_points']:.2f})"
        for row in rows
    )
    whole = "; ".join(
        f"{row['step']} {row['whole_set_loss_points']:.2f} ({row['whole_set_low_points']:.2f} to "
        f"{row['whole_set_high_points']:.2f})"
        for row in rows
        if "whole_set_loss_points" in row
    )
    return Finding(
        f"digital {100 * own['baseline']:.2f} % on {own['images']} images; {words}",
        _agrees(rows),
        rows,
        None,
        f"An interval of 95 % that is wider than {_TELLING_POINTS:g} points confirms no loss of under one. The 1300 "
        "images at hand, of which these are the first, are an easier part of the validation set: the network has "
        f"82.1 % on them and {100 * INT4_ACCURACY:.1f} % on all, as published. Carried over to all by the margins of "
        f"the images: {whole or 'too few images to say'}. Whether 4-bit networks bear more error than 8-bit ones is "
        "another law; see docs/accuracy.md.",
        network,
    )


def _agrees(rows: list[dict[str, Any]]) -> bool | None:
    """Whether published losses lie inside the intervals; those that nearly anything lies inside say nothing."""
    if not all(row["low_points"] <= row["published_points"] <= row["high_points"] for row in rows):
        return False
    return True if all(row["high_points"] - row["low_points"] <= _TELLING_POINTS for row in rows) else None


def _wires(setting: Setting) -> Finding:
    values = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
    # Every bit line is solved.
    few = {"images": 50 if setting.network == RESNET50 else 100, "trials": 2}
    kinds: dict[str, dict[str, Any]] = {"differential": {}, "offset": {"negative_weights": "offset"}}
    losses = {
        name: [_loss(setting, CoreDesign(adc_bits=None, **fields, r_p_hat=value), **few) for value in values]
        for name, fields in kinds.items()
    }
    rows = [
        {"mapping": name, "r_p_hat": own, **columns}
        for name, found in losses.items()
        for own, columns in zip(values, found, strict=True)
    ]
    ends = {name: largest_tolerated(values, points(own), _WIRE_LIMIT) for name, own in losses.items()}
    ratio, open_end = ends["differential"] / ends["offset"], max(points(losses["differential"])) <= _WIRE_LIMIT
    figure = lines(
        "wires",
        "Resistance of the bit lines",
        f"Loss of {setting.network} with ideal cells, resistors as cells, without ADCs. {amount(rows)}",
        {name: (values, points(own)) for name, own in losses.items()},
        "bit-line resistance between cells, over that of a full cell",
        "loss [points]",
        bounds={name: bounds(own) for name, own in losses.items()},
    )
    at = losses["differential"][values.index(1e-5)]
    unharmed = max(points(losses["offset"])) <= _WIRE_LIMIT
    return Finding(
        f"{_WIRE_LIMIT:g} points are lost at R_p_hat {ends['differential']:.1e} with differential, "
        f"{ends['offset']:.1e} "
        f"with offset cells: {'more than ' if open_end else ''}{ratio:.0f} times; at 1e-5 differential loses "
        f"{at['loss_points']:.2f}",
        None if unharmed else setting.on_long_columns(ratio > _WIRE_RATIO and at["low_points"] <= 0.0),
        rows,
        figure,
        "Bit lines of 1152 rows, as published, lose more at the same resistance than the shorter ones of small "
        "networks.",
    )


STUDIES = (
    PublishedStudy(
        "adc_bits",
        f"{XIAO}, Fig. 16",
        "Resolution of the ADC with and without calibrated ranges",
        "Differential cells keep accuracy down to 7 bits with calibrated ranges, and need far more over the full "
        "range.",
        "7 bits, although B_out is 26.2",
        _adc,
        criterion="7 bits lose less than a point with calibrated ranges, and more than a point more over the full "
        "range",
    ),
    PublishedStudy(
        "cell_bits_and_rows",
        f"{XIAO}, Fig. 17",
        "Bits a cell and rows an array at 8-bit ADCs",
        "Offset cells need short arrays and few bits a cell.",
        "at most 144 rows and 2 bits a cell",
        _cell_bits_and_rows,
        criterion="2 bits a cell and 144 rows lose less than 8 bits and the longest arrays, and the intervals do not "
        "overlap",
    ),
    PublishedStudy(
        "activation_bits",
        f"{XIAO}, accuracies of the 4-bit network (Fig. 19)",
        "The 4-bit ResNet-50",
        "A network trained for 4 bits loses 0.12 points with ideal cells, and 0.74 more with SONOS cells.",
        "0.86 points of SONOS, of which 0.74 beyond ideal cells",
        _activation_bits,
        criterion="both published losses lie in their intervals, and those are no wider than 3 points",
    ),
    PublishedStudy(
        "wires",
        f"{XIAO}, Fig. 21",
        "Resistance of the bit lines",
        "Offset cells are far more sensitive than differential ones, which lose nothing up to 1e-5.",
        "more than 100 times",
        _wires,
        criterion="differential cells lose 5 points at 30 or more times the resistance at which offset cells do, and "
        "at 1e-5 nothing beyond chance",
    ),
)
