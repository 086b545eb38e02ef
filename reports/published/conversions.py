"""Published studies of conversion and wires: Figs. 16, 17, 19 and 21."""

from __future__ import annotations

from typing import Any

import numpy as np

from accuracy.evaluation.intervals import loss_interval
from circuits import Core, CoreDesign
from devicekit import load_device
from reports.published.drawing import lines
from reports.published.study import RESNET50, RESNET50_INT4, XIAO, Finding, PublishedStudy, Setting, largest_tolerated
from reports.published.whole_set import whole_set_columns

_TELLING_POINTS = 3.0
"""Width of an interval [points] beyond which a published loss inside it is no agreement."""
INT4_ACCURACY = 0.76154
"""Published digital accuracy of the 4-bit ResNet-50 v1.5 on all 50 000 validation images."""


def _loss(setting: Setting, design: CoreDesign, **own: Any) -> float:
    """Return the points that a design loses with ideal cells."""
    accuracy = setting.accuracy(design, None, **own)
    return 100 * float(accuracy["baseline"] - accuracy["ideal"])


def _adc(setting: Setting) -> Finding:
    bits = (4, 5, 6, 7, 8, 9)
    losses: dict[str, list[float]] = {}
    kinds: dict[str, dict[str, Any]] = {
        "differential, calibrated": {},
        "differential, full range": {"adc_range": "full"},
        "offset, calibrated": {"negative_weights": "offset"},
    }
    for name, fields in kinds.items():
        losses[name] = [_loss(setting, CoreDesign(adc_bits=own, **fields)) for own in bits]
    rows = [
        {"mapping": name, "adc_bits": own, "loss_points": loss}
        for name, values in losses.items()
        for own, loss in zip(bits, values, strict=True)
    ]
    at = bits.index(7)
    figure = lines(
        "adc-bits",
        "Resolution of the ADC",
        f"Loss of {setting.network} with ideal cells.",
        {name: (bits, own) for name, own in losses.items()},
        "ADC bits",
        "loss [points]",
        log=False,
    )
    calibrated, full = losses["differential, calibrated"][at], losses["differential, full range"][at]
    return Finding(
        f"7 bits: {calibrated:.2f} points with calibrated ranges, {full:.1f} over the full range",
        calibrated < 1.0 and full > calibrated + 1.0,
        rows,
        figure,
    )


def _cell_bits_and_rows(setting: Setting) -> Finding:
    rows_of, bits_of = (72, 144, 288, 576, 1152), (1, 2, 4, 8)
    losses = {
        bits: [
            _loss(
                setting,
                CoreDesign(negative_weights="offset", bits_per_cell=bits, max_rows=rows, input_accumulation="digital"),
            )
            for rows in rows_of
        ]
        for bits in bits_of
    }
    rows = [
        {"bits_per_cell": bits, "max_rows": own, "loss_points": loss}
        for bits, values in losses.items()
        for own, loss in zip(rows_of, values, strict=True)
    ]
    small, large = losses[2][rows_of.index(144)], losses[8][rows_of.index(1152)]
    figure = lines(
        "cell-bits-rows",
        "Bits a cell and rows an array with 8-bit ADCs",
        f"Offset cells, {setting.network}, ideal cells, every input bit converted.",
        {f"{bits} bit{'s' if bits > 1 else ''} a cell": (rows_of, own) for bits, own in losses.items()},
        "rows an array",
        "loss [points]",
    )
    return Finding(
        f"2 bits a cell and 144 rows lose {small:.2f} points, 8 bits and 1152 rows {large:.2f}",
        None if large < 1.0 else small < 1.0,
        rows,
        figure,
        "Arrays are only as long as these networks' layers.",
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
        low, high = loss_interval(before, after, np.ones(before.size), 0.95, 2000, setting.seed)
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
        f"The images are an easier part of the validation set (published digital {100 * INT4_ACCURACY:.1f} %). Carried "
        f"over to the whole set by the margins of the images: {whole or 'too few images to say'}.",
        network,
    )


def _agrees(rows: list[dict[str, Any]]) -> bool | None:
    """Whether published losses lie inside the intervals; those that nearly anything lies inside say nothing."""
    if not all(row["low_points"] <= row["published_points"] <= row["high_points"] for row in rows):
        return False
    return True if all(row["high_points"] - row["low_points"] <= _TELLING_POINTS for row in rows) else None


def _wires(setting: Setting) -> Finding:
    values = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
    # Every bit line is solved.
    few = {"images": 50 if setting.network == RESNET50 else 100, "trials": 2}
    kinds: dict[str, dict[str, Any]] = {"differential": {}, "offset": {"negative_weights": "offset"}}
    losses = {
        name: [_loss(setting, CoreDesign(adc_bits=None, **fields, r_p_hat=value), **few) for value in values]
        for name, fields in kinds.items()
    }
    rows = [
        {"mapping": name, "r_p_hat": own, "loss_points": loss}
        for name, found in losses.items()
        for own, loss in zip(values, found, strict=True)
    ]
    ends = {name: largest_tolerated(values, own, 1.0) for name, own in losses.items()}
    ratio, open_end = ends["differential"] / ends["offset"], max(losses["differential"]) <= 1.0
    figure = lines(
        "wires",
        "Resistance of the bit lines",
        f"Loss of {setting.network} with ideal cells, resistors as cells.",
        {name: (values, own) for name, own in losses.items()},
        "R_p_hat",
        "loss [points]",
    )
    at = losses["differential"][values.index(1e-5)]
    return Finding(
        f"one point is lost at R_p_hat {ends['differential']:.1e} with differential, {ends['offset']:.1e} with offset "
        "cells: "
        f"{'more than ' if open_end else ''}{ratio:.0f} times; at 1e-5 differential loses {at:.2f}",
        None if max(losses["offset"]) <= 1.0 else at < 0.6 and (ratio > 30 or open_end),
        rows,
        figure,
        "The published lines have 1152 rows and lose 100 times more; shorter ones bear more of both.",
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
    ),
    PublishedStudy(
        "cell_bits_and_rows",
        f"{XIAO}, Fig. 17",
        "Bits a cell and rows an array at 8-bit ADCs",
        "Offset cells need short arrays and few bits a cell.",
        "at most 144 rows and 2 bits a cell",
        _cell_bits_and_rows,
    ),
    PublishedStudy(
        "activation_bits",
        f"{XIAO}, Fig. 19",
        "Networks with 4-bit activations",
        "A network trained for 4 bits loses little: 0.12 points with ideal and 0.86 with SONOS cells.",
        "0.86 points of SONOS, of which 0.74 beyond ideal cells",
        _activation_bits,
    ),
    PublishedStudy(
        "wires",
        f"{XIAO}, Fig. 21",
        "Resistance of the bit lines",
        "Offset cells are far more sensitive than differential ones, which lose nothing up to 1e-5.",
        "more than 100 times",
        _wires,
    ),
)
