"""Write the two bundled SONOS device files from the published tables.

    python scripts/make_sonos_devices.py FACTS_FOLDER

FACTS_FOLDER holds the published numbers as CSV files, each with its source in a comment line.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import tomli_w

from devicekit.common.paths import replacing

DEVICES = Path(__file__).resolve().parent.parent / "data" / "devices"
TCAS = "Xiao et al., IEEE TCAS-I 69(4) 2022, doi 10.1109/TCSI.2021.3134313"
CAS = "Xiao et al., IEEE CAS Magazine 22(4) 2022"
IEDM = "Agrawal et al., IEDM 2022, 21.7, doi 10.1109/IEDM45625.2022.10019564 (128 K measured cells)"


def number(value: float, unit: str, kind: str, source: str, interval: tuple[float, float] | None = None) -> dict:
    """Return one constant of a device file."""
    entry: dict = {"value": value, "unit": unit, "kind": kind, "source": source}
    return entry if interval is None else {**entry, "interval": list(interval)}


def exponential(s_max: float, i_sat: float, source: str) -> dict:
    """Return an error table; currents in nA."""
    return {
        "model": "saturating_exponential",
        "parameters": {"s_max": f"{s_max:.10g} nA", "i_sat": f"{i_sat:.10g} nA"},
        "kind": "published",
        "source": source,
    }


def common(i_max_source: str) -> dict:
    """Return what both publications share, and what is assumed."""
    return {
        "i_max": number(1.6, "uA", "published", i_max_source),
        "on_off_ratio": number(1e7, "", "published", CAS + ": on/off ratio of the cell"),
        "read_voltage": number(0.1, "V", "published", TCAS + ": V_D = 0.1 V, V_G = 0 V"),
        "temperature": {
            "model": "subthreshold",
            "i_0": number(
                10.0,
                "uA",
                "assumed",
                "order of the current at V_T = 0 of a cell that reads 1.6 uA in"
                " subthreshold; fit your own read-temperature data",
                (3.0, 30.0),
            ),
            "eta": number(0.7, "", "assumed", "gate coupling 1/n with n near 1.4, usual for a flash cell", (0.5, 0.9)),
            "threshold_slope": number(-0.8, "mV/K", "assumed", "usual for silicon at 300 K", (-1.5, -0.4)),
            "reference": number(300.0, "K", "assumed", "room temperature: the publication states none"),
        },
    }


def tcas(facts: Path) -> dict:
    """Return the reference device."""
    means = pd.read_csv(facts / "sonos_tcas2022.csv", comment="#")
    sigma = pd.read_csv(facts / "sonos_tcas2022_sigma.csv", comment="#").set_index("time_days")
    where = TCAS + ", Fig. 4(e), as tabulated in CrossSim 2.0 (BSD-3)"
    spread = TCAS + ", Fig. 4(d)-(e), as tabulated in CrossSim 2.0 (BSD-3)"

    def error(day: int) -> dict:
        row = sigma.loc[day]
        return exponential(row["s_max_nA"], 1.0 / row["one_over_i_sat_per_nA"], spread)

    def mean(day: int) -> dict:
        return {
            "model": "table",
            "unit": "nA",
            "targets": means["current_nA_0d"].tolist(),
            "means": means[f"current_nA_{day}d"].tolist(),
            "kind": "measured",
            "source": where,
        }

    return {
        "format": "devicekit-cell-1",
        "name": "sonos_40nm_tcas2022",
        "technology": "sonos_40nm",
        "title": "40 nm SONOS charge-trap cell: the reference device",
        "notes": [
            "Two-transistor cell read at V_G = 0 V, V_D = 0.1 V; 16 programmed states from 52 nA to 1.59 uA, means at"
            " 0, 1, 2 and 5 days, spread fitted at those times by sigma = s_max (1 - exp(-I / i_sat)).",
            "The programmed target of a state is its mean at day 0. i_sat is 1 over the published 1 / i_sat.",
            "It does not claim read noise, correlation over dies or wafers, or an activation energy. The storage"
            " temperature of the retention data is not stated; the law of read temperature is assumed.",
        ],
        "measured_range": [f"{means['current_nA_0d'].min()} nA", f"{means['current_nA_0d'].max()} nA"],
        **common(CAS + ": I_max = 1.6 uA"),
        "error": error(0),
        "retention": {
            "time_axis": "linear",
            "points": [{"time": f"{day} day", "mean": mean(day), "error": error(day)} for day in (1, 2, 5)],
        },
    }


def iedm(facts: Path) -> dict:
    """Return the later device."""
    sigma = pd.read_csv(facts / "sonos_iedm2022_sigma.csv", comment="#")
    drift = pd.read_csv(facts / "sonos_iedm2022_drift.csv", comment="#").set_index("time_days")
    source = IEDM + ", as tabulated in CrossSim 3.2 (BSD-3)"
    programmed = sigma[sigma["what"] == "programmed"].astype({"time_days": int}).set_index("time_days")
    noise = sigma[sigma["what"] == "read_noise"].iloc[0]

    def error(day: int) -> dict:
        return exponential(programmed.loc[day, "s_max_nA"], programmed.loc[day, "i_sat_nA"], source)

    def mean(day: int) -> dict:
        return {
            "model": "polynomial",
            "unit": "nA",
            "coefficients": drift.loc[day].tolist(),
            "valid": [1.0, 1800.0],
            "kind": "published",
            "source": source,
            "note": "The published fit is valid to 1800 nA. The lower end is assumed: below 1 nA the relative shift is"
            " held, so that its constant term cannot turn a cell in the off state negative.",
        }

    return {
        "format": "devicekit-cell-1",
        "name": "sonos_40nm_iedm2022",
        "technology": "sonos_40nm",
        "title": "40 nm SONOS charge-trap cell, later and better written, with read noise",
        "notes": [
            "Spread sigma = s_max (1 - exp(-I / i_sat)) of 128 K cells, valid to 3.2 uA when programmed and to 1.8 uA"
            " later; mean drift as published polynomials for days 1 to 5, interpolated linearly in time, none at 0.",
            "Read noise is the published saturating exponential of the current itself, the same at all times.",
            "It does not claim correlation over dies or wafers, or an activation energy. I_max, on/off ratio and read"
            " voltage are those of the same cell in its earlier publication.",
        ],
        **common(CAS + ": I_max = 1.6 uA of the same cell"),
        "error": error(0),
        "read_noise": exponential(noise["s_max_nA"], noise["i_sat_nA"], source),
        "retention": {
            "time_axis": "linear",
            "points": [{"time": f"{day} day", "mean": mean(day), "error": error(day)} for day in range(1, 6)],
        },
    }


def main(facts: Path) -> None:
    """Write both files."""
    for content in (tcas(facts), iedm(facts)):
        with replacing(DEVICES / f"{content['name']}.toml") as path:
            path.write_text(tomli_w.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
