"""Which bit-line model holds on an array: the simplest that stays below the limit, and how far the others are off."""

from __future__ import annotations

import numpy as np
import pandas as pd

from circuits.bit_line.line_errors import LIMIT_LSB

NAMES = {"ideal": "ideal", "resistor": "resistor", "affine": "affine", "relinearised": "re-linearised"}
"""Models in the order of their cost, and what they are called in a sentence."""
PLACE = ["rows", "r_p_hat", "activity", "mean_conductance", "pairing"]


def simplest_models(errors: pd.DataFrame, limit_lsb: float = LIMIT_LSB) -> pd.DataFrame:
    """Return the simplest model that holds on each array, one row an array.

    Args:
        errors: of `error_map` or `bit_line_errors`.
        limit_lsb: largest error allowed [LSB].

    Returns:
        The place, ``model`` and ``error_lsb`` as converted, ``model_gain_removed`` and ``error_lsb_gain_removed`` with
        the best-fit gain removed; None and NaN where no model holds.
    """
    rows = []
    for key, group in errors.groupby(PLACE, sort=False):
        row = dict(zip(PLACE, key, strict=True))
        ordered = group.set_index("model").reindex([name for name in NAMES if name in set(group["model"])])
        for suffix in ("", "_gain_removed"):
            holds = ordered[f"error_lsb{suffix}"] <= limit_lsb
            first = str(holds.idxmax()) if holds.any() else None
            row[f"model{suffix}"] = first
            row[f"error_lsb{suffix}"] = float(ordered.loc[first, f"error_lsb{suffix}"]) if first else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def verdict(errors: pd.DataFrame, limit_lsb: float = LIMIT_LSB, adc_bits: int = 8) -> str:
    """Return in words which model holds: on the one array, to how many LSB, or on how many of several.

    Args:
        errors: as for `simplest_models`.
        limit_lsb: largest error allowed [LSB].
        adc_bits: the ADC's resolution, of which the errors are steps.
    """
    found = simplest_models(errors, limit_lsb)
    lsb = f"LSB of {adc_bits} bits"
    if len(found) > 1:
        return _over_arrays(errors, found, limit_lsb, lsb)
    row = found.iloc[0]
    by_model = errors.set_index("model")["error_lsb"]
    first = errors.iloc[0]
    names = {"r_p_hat": "R_p_hat", "r_in_hat": "R_in_hat", "r_s_hat": "R_s_hat"}
    resistances = ", ".join(f"{name} = {first[key]:g}" for key, name in names.items() if key in first)
    where = f"At {row['rows']} rows, {resistances} and mean conductance {row['mean_conductance']:g}"
    if row["model"] is None:
        best = by_model.idxmin()
        return (
            f"{where} no model holds to {limit_lsb:g} {lsb}: {NAMES[best]} cells come closest, with "
            f"{by_model[best]:.2g} LSB.{_gain(row)}"
        )
    simpler = [
        f"{NAMES[name]} {by_model[name]:.2f}" for name in NAMES if name in by_model and by_model[name] > limit_lsb
    ]
    off = f"; simpler models are off by {' and '.join(simpler)} LSB" if simpler else ""
    return f"{where} the {NAMES[row['model']]} model holds, to {row['error_lsb']:.2g} {lsb}{off}.{_gain(row)}"


def _gain(row: pd.Series) -> str:
    order = [*NAMES, None]
    first, plain = row["model_gain_removed"], row["model"]
    if first is None or order.index(first) >= order.index(plain):
        return ""
    return f" With the best-fit gain removed the {NAMES[first]} model does ({row['error_lsb_gain_removed']:.2g} LSB)."


def _over_arrays(errors: pd.DataFrame, found: pd.DataFrame, limit_lsb: float, lsb: str) -> str:
    parts = []
    for name in (name for name in NAMES if name in set(errors["model"])):
        own = errors[errors["model"] == name]["error_lsb"]
        holds = int((own <= limit_lsb).sum())
        count = "all" if holds == len(own) else "none" if not holds else f"{holds}"
        parts.append(f"{NAMES[name]} on {count} (largest error {own.max():.2g})")
    return f"Of {len(found)} arrays a model holds to {limit_lsb:g} {lsb}: {', '.join(parts)}."
