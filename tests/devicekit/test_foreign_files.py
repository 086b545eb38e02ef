"""The same cells in many layouts, languages, units and encodings: read right, or refused with what settles it."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
import scipy.io
from made_files import TARGETS, biff2, made, truth

import devicekit
from devicekit.common.errors import MeasurementError

Write = str | bytes | Callable[[Path], object]
CELLS = made()
ON = CELLS[CELLS["target"] > 0]
PLAIN = CELLS[["target", "current"]]
WIDE = CELLS.pivot(index="cell", columns="target", values="current")
HOUR = 3600.0
VOLT = "# read_voltage = 0.1 V\n"


def named(target: str, value: str, frame: pd.DataFrame = PLAIN) -> pd.DataFrame:
    return frame[["target", "current"]].set_axis([target, value], axis=1)


def text(frame: pd.DataFrame, separator: str = ",", decimal: str = ".", header: bool = True) -> str:
    return frame.to_csv(index=False, sep=separator, decimal=decimal, header=header)


CSV = text(named("target (nA)", "current (nA)"))


def write(path: Path, content: Write) -> Path:
    if callable(content):
        content(path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content, encoding="utf-8")
    return path


def read(folder: Path, files: dict[str, Write], **options: object) -> devicekit.Measurements:
    paths = [write(folder / name, content) for name, content in files.items()]
    return devicekit.read_measurements(paths[0] if len(paths) == 1 else paths, **options)  # type: ignore[arg-type]


def assert_right(found: devicekit.Measurements, frame: pd.DataFrame = CELLS) -> None:
    """Every state has its cells, mean and spread, at the first time; no state is made up."""
    columns = found.columns
    expected = truth(frame)
    own = columns["time"] == columns["time"].min() if "time" in columns else np.ones(found.rows, dtype=bool)
    targets, value = columns["target"][own] * 1e9, columns["value"][own] * 1e9
    assert np.unique(targets.round(1)).tolist() == pytest.approx(expected.index.tolist(), abs=0.2)
    for target, row in expected.iterrows():
        cells = value[np.isclose(targets, float(str(target)), atol=0.3)]
        assert len(cells) == row["size"]
        assert cells.mean() == pytest.approx(row["mean"], abs=0.05)
        assert cells.std(ddof=1) == pytest.approx(row["std"], rel=0.01)


def sheets(tables: dict[str, pd.DataFrame]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with pd.ExcelWriter(path) as writer:
            for name, table in tables.items():
                table.to_excel(writer, sheet_name=name, index=False)

    return make


def sheet(rows: list[list[object]]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        book = openpyxl.Workbook()
        assert book.active is not None
        for row in rows:
            book.active.append(row)
        book.save(path)

    return make


ROWS = PLAIN.to_numpy().tolist()
RIGHT: dict[str, tuple[str, Write, dict[str, object]]] = {
    "semicolons and commas": ("a.csv", text(named("Soll (nA)", "Strom (nA)"), ";", ","), {}),
    "French": ("a.csv", text(named("Courant cible (nA)", "Courant mesuré (nA)"), ";", ","), {}),
    "Japanese": ("a.csv", text(named("目標電流 (nA)", "電流 (nA)")), {}),
    "UTF-16 without a mark": ("a.csv", CSV.encode("utf-16-le"), {}),
    "UTF-16, big end first": ("a.txt", CSV.replace(",", "\t").encode("utf-16-be"), {}),
    "quoted decimal commas": ("a.csv", re.sub(r"(\d+)\.(\d+),(-?\d+)\.(\d+)", r'"\1,\2","\3,\4"', CSV), {}),
    "gzip": ("a.csv.gz", gzip.compress(CSV.encode()), {}),
    "Excel's sep line": ("a.csv", "sep=;\n" + CSV.replace(",", ";"), {}),
    "no header": (
        "a.tsv.gz",
        gzip.compress(text(PLAIN, "\t", header=False).encode()),
        {"header": False, "target": 1, "value": 2, "units": "nA"},
    ),
    "no header, decimal commas": (
        "a.csv",
        text(PLAIN, ";", ",", header=False),
        {"header": False, "target": 1, "value": 2, "units": "nA"},
    ),
    "numpy.savetxt": ("a.txt", "# target_nA current_nA\n" + text(PLAIN, " ", header=False), {}),
    "names and units in two lines": ("a.csv", "Target,Current\n(nA),(nA)\n" + text(PLAIN, header=False), {}),
    "Origin": ("a.txt", "target\tcurrent\nnA\tnA\nset\tread at 0.1 V\n" + text(PLAIN, "\t", header=False), {}),
    "separators at line ends": ("a.csv", CSV.replace("\n", ",\n"), {}),
    "units in entries": (
        "a.csv",
        text(
            pd.DataFrame(
                {
                    "target": [f"{t:g} nA" if t < 500 else f"{t / 1000:g} uA" for t in PLAIN["target"]],
                    "current": PLAIN["current"].map("{:.3f} nA".format),
                }
            )
        ),
        {},
    ),
    "capitals": ("a.csv", text(named("TARGET (NA)", "ID (NA)")), {}),
    "numbers of states": (
        "a.csv",
        text(named("level", "Id (nA)").assign(level=np.repeat(range(1, 7), 40))),
        {"levels": "0, 100, 200, 400, 600, 800 nA"},
    ),
    "names of states": (
        "a.csv",
        text(named("State", "Id (nA)").assign(State=np.repeat([f"L{n}" for n in range(6)], 40))),
        {"levels": {f"L{n}": f"{target:g} nA" for n, target in enumerate(TARGETS)}},
    ),
    "states in rows": (
        "a.csv",
        text(WIDE.T.set_axis([f"dev{n + 1} [nA]" for n in range(40)], axis=1).reset_index(names="target (nA)")),
        {},
    ),
    "bare numbers over rows": (
        "a.csv",
        text(WIDE.T.set_axis([str(n + 1) for n in range(40)], axis=1).reset_index(names="target (nA)")),
        {"units": "nA"},
    ),
    "header of targets": (
        "a.csv",
        text(WIDE.set_axis([f"{t:g}" for t in TARGETS], axis=1).set_axis([f"cell {n}" for n in range(40)])
             .reset_index(names="target (nA)")),
        {},
    ),
    "names in the first column": (
        "a.csv",
        "\n".join(f"{name} (nA)," + ",".join(map(str, PLAIN[name])) for name in ("target", "current")),
        {},
    ),
    "columns twice": (
        "a.csv",
        text(pd.concat([WIDE.iloc[:20].reset_index(drop=True), WIDE.iloc[20:].reset_index(drop=True)], axis=1)
             .set_axis([f"{t:g} nA" for t in TARGETS] + [f"{t:g} nA (2)" for t in TARGETS], axis=1)),
        {},
    ),
    "decimal commas in wide headers": (
        "a.csv",
        text(
            (WIDE / 1000).round(6).set_axis([f"{t / 1000:g} uA".replace(".", ",") for t in TARGETS], axis=1), ";", ","
        ),
        {},
    ),
    "legacy Excel": ("a.xls", lambda path: biff2(path, [["target (nA)", "current (nA)"], *ROWS]), {}),
    "text that is called .xls": ("a.xls", CSV.replace(",", "\t"), {}),
    "sheet with preamble": (
        "a.xlsx",
        sheet([["Lot 7", "2024"], [], [None, "target (nA)", "current (nA)"], *[[None, *row] for row in ROWS]]),
        {},
    ),
    "sheet of text": (
        "a.xlsx",
        sheet([["Soll (nA)", "Strom (nA)"], *[[str(v).replace(".", ",") for v in row] for row in ROWS]]),
        {},
    ),
    "sheet a state": (
        "a.xlsx",
        sheets({f"{t:g} nA": CELLS[CELLS["target"] == t][["current"]].set_axis(["I (nA)"], axis=1) for t in TARGETS}),
        {},
    ),
    "sheet of remarks first": (
        "a.xlsx",
        sheets({"Info": pd.DataFrame({"a": ["x"]}), "Data": named("target (nA)", "current (nA)")}),
        {},
    ),
    "MATLAB vectors": (
        "a.mat",
        lambda path: scipy.io.savemat(
            path, {"d": {"target_nA": PLAIN["target"].to_numpy(), "current_nA": PLAIN["current"].to_numpy()}}
        ),
        {},
    ),
    "MATLAB vectors a state": (
        "a.mat",
        lambda path: scipy.io.savemat(path, {f"I_{t:g}nA": WIDE[t].to_numpy() for t in TARGETS}),
        {},
    ),
    "NumPy arrays": (
        "a.npz",
        lambda path: np.savez(path, target_A=PLAIN["target"] * 1e-9, current_A=PLAIN["current"] * 1e-9),
        {},
    ),
    "NumPy, cells of a state in a row": (
        "a.npz", lambda path: np.savez(path, target_uA=TARGETS / 1000, current_nA=WIDE.to_numpy().T), {},
    ),
    "MATLAB, cells of a state in a column": (
        "a.mat", lambda path: scipy.io.savemat(path, {"target_nA": TARGETS, "I_nA": WIDE.to_numpy()}), {},
    ),
    "numbered columns with a unit": (
        "a.csv", text(WIDE.set_axis([f"L{n} (nA)" for n in range(6)], axis=1)),
        {"levels": "0, 100, 200, 400, 600, 800 nA"},
    ),
    "summaries beside cells": (
        "a.csv",
        text(WIDE.T.set_axis([f"cell {n + 1} (nA)" for n in range(40)], axis=1).assign(**{"std (nA)": 1.5})
             .reset_index(names="target (nA)")),
        {},
    ),
    "decimal commas with exponents": (
        "a.txt", "Soll [A]\tStrom [A]\n" + "\n".join(f"{t * 1e-9:.5E}\t{c * 1e-9:.6E}" for t, c in ROWS)
        .replace(".", ","), {},
    ),
    "NumPy matrix": (
        "a.npy", lambda path: np.save(path, PLAIN.to_numpy()), {"target": 1, "value": 2, "units": "nA"},
    ),
    "turned signs": ("a.csv", text(named("target (nA)", "Id (nA)", -PLAIN)), {"flip_sign": True}),
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT)
def test_cells_are_read_right(tmp_path: Path, case: str) -> None:
    name, content, options = RIGHT[case]
    assert_right(read(tmp_path, {name: content}, **options))


SHARE = ON.assign(target=ON["target"] / 16, current=ON["current"] / 16)
OHM = pd.DataFrame({"target": 0.1 / (ON["target"] * 1e-6), "current": 0.1 / (ON["current"] * 1e-6)})
QUANTA = ON[["target", "current"]] / 7748.091729
LOGS = np.log10(ON[["target", "current"]] * 1e-9)
QUANTITIES: dict[str, tuple[str, dict[str, object]]] = {
    "kohm": (VOLT + text(named("target (kOhm)", "R (kΩ)", OHM)), {}),
    "ohm without header": (
        text(OHM * 1000, header=False),
        {"header": False, "target": 1, "value": 2, "units": "ohm", "read_voltage": "0,1 V"},
    ),
    "ohm beside nA": (
        text(pd.DataFrame({"target (nA)": ON["target"], "Resistance (kohm)": OHM["current"]})),
        {"read_voltage": 0.1},
    ),
    "conductance quanta": (VOLT + text(named("target (G0)", "G/G0", QUANTA)), {}),
    "2 e^2/h": (VOLT + text(named("target (2e^2/h)", "conductance [2e2/h]", QUANTA)), {}),
    "voltage in the header": (text(named("target (uS)", "G (uS) @ 0.1V", ON / 100)), {}),
    "shares": (text(named("target (% of Imax)", "current (% of Imax)", SHARE)), {"i_max": "1.6 uA"}),
    "shares with i_max in the file": (
        "# i_max = 1.6 uA\n" + text(named("target (I/Imax)", "I/Imax", SHARE / 100)), {},
    ),
    "logarithms": (text(named("log10(target (A))", "log10(I/A)", LOGS)), {}),
    "logarithms as told": (
        text(named("log target (A)", "log I (A)", LOGS)), {"target": "log target (A)", "value": "log I (A)",
                                                          "units": {"target": "log10 A", "value": "log10 A"}},
    ),
    "window as text": (
        text(named("target (nA)", "current (nA)", ON).assign(
            **{"target (nA)": [f"{t - 10:g}..{t + 10:g}" for t in ON["target"]]})), {},
    ),
    "window as tolerance": (
        text(named("target (nA)", "current (nA)", ON).assign(
            **{"target (nA)": [f"{t:g}±10" for t in ON["target"]]})), {},
    ),
    "window in two columns": (
        text(pd.DataFrame({"window_min (nA)": ON["target"] - 10, "window_max (nA)": ON["target"] + 10,
                           "current (nA)": ON["current"]})), {},
    ),
    "thousands": (
        "target (pA);current (pA)\n" + "\n".join(f"{t * 1000:,.0f};{c * 1000:,.1f}" for t, c in
                                                  ON[["target", "current"]].to_numpy()), {},
    ),
    "Swiss thousands": (
        "target (pA);current (pA)\n" + "\n".join(f"{t * 1000:,.0f};{c * 1000:,.1f}".replace(",", "'") for t, c in
                                                  ON[["target", "current"]].to_numpy()), {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", QUANTITIES)
def test_quantities_become_currents(tmp_path: Path, case: str) -> None:
    content, options = QUANTITIES[case]
    assert_right(read(tmp_path, {"a.csv": content}, **options), ON)


def followed(times: list[object], header: str) -> str:
    """Return the cells at three times, 2 % less each."""
    frame = pd.DataFrame({"cell": CELLS["cell"], "target (nA)": CELLS["target"]})
    return text(
        pd.concat(
            [
                frame.assign(**{header: time, "current (nA)": (CELLS["current"] * (1 - 0.02 * step)).round(3)})
                for step, time in enumerate(times)
            ]
        )
    )


DAY = [0.0, HOUR, 24 * HOUR]


@pytest.mark.parametrize(
    ("header", "times", "options", "seconds"),
    [
        ("Stunden", [0, 1, 24], {}, DAY),
        ("days", [0, 1, 7], {}, [0, 86400, 7 * 86400]),
        ("Elapsed_h", [0, 1, 24], {}, DAY),
        ("T [h]", [0, 1, 24], {}, DAY),
        ("log10(t/s)", [0, 2, 4], {}, [1, 100, 1e4]),
        ("log(time (s))", [0, 2, 4], {"units": {"time": "log10 s"}}, [1, 100, 1e4]),
        ("time (s)", [1618447530, 1618451130, 1618533930], {}, DAY),
        ("timestamp", [1618447530400, 1618451130400, 1618533930400], {}, DAY),
        ("time stamp", ["2021-04-15 02:45:30", "2021-04-15 03:45:30", "2021-04-16 02:45:30"], {}, DAY),
        ("Zeitpunkt", ["15.04.2021 02:45", "15.04.2021 03:45", "16.04.2021 02:45"], {}, DAY),
        ("Datetime", ["4/15/2021 2:45 AM", "4/15/2021 3:45 AM", "4/16/2021 2:45 AM"], {}, DAY),
        ("time (days)", [44301.125, 44301.125 + 1 / 24, 44302.125], {}, DAY),
    ],
)
def test_times_since_programming(
    tmp_path: Path, header: str, times: list[object], options: dict[str, object], seconds: list[float]
) -> None:
    found = read(tmp_path, {"a.csv": followed(times, header)}, **options)
    assert_right(found)
    assert np.unique(found.columns["time"].round(3)) == pytest.approx(seconds, abs=0.01)
    assert (found.cells, found.rows) == (240, 720)
    assert "240 cells, 720 reads at 3 times" in found.describe()


def test_each_cell_has_its_own_programming(tmp_path: Path) -> None:
    """Cells programmed one after another, 2 s apart: times count from each one's own."""
    frame = pd.DataFrame({"cell": CELLS["cell"], "target (nA)": CELLS["target"], "current (nA)": CELLS["current"]})
    stamps = 1618447530 + 2.0 * np.arange(len(frame))
    table = pd.concat([frame.assign(**{"time (s)": stamps + later}) for later in (0.0, HOUR)])
    found = read(tmp_path, {"a.csv": text(table)})
    assert np.unique(found.columns["time"]) == pytest.approx([0, HOUR])
    with pytest.raises(MeasurementError, match=r"no column says which cell was read.*cell"):
        read(tmp_path, {"b.csv": text(table.drop(columns="cell"))})


SWEEP = pd.concat(
    [
        pd.DataFrame({"cell": ON["cell"], "target (nA)": ON["target"], "Vg (V)": bias,
                      "Id (nA)": (ON["current"] * share).round(4)})
        for bias, share in ((0.0, 1e-5), (0.5, 0.1), (1.0, 1.0))
    ]
)  # fmt: skip
MARKED = named("target (nA)", "I (nA)").copy()
MARKED.loc[[3, 50], "I (nA)"] = -999.0
LOOPS = pd.DataFrame({"cell": np.repeat(range(24), 10), "Loop": np.tile(range(10), 24), "target (nA)": CELLS["target"],
                      "I (nA)": CELLS["current"]})  # fmt: skip
BAKED = pd.concat(
    [
        named("target (nA)", "I (nA)", PLAIN * share).assign(
            **{"Bake duration (h)": time, "target (nA)": PLAIN["target"]}
        )
        for time, share in ((0, 1.0), (24, 0.9))
    ]
)
REFUSED: dict[str, tuple[dict[str, Write], dict[str, object], str]] = {
    "numbers of states": (
        {"a.csv": text(named("level", "Id (nA)").assign(level=np.repeat(range(1, 7), 40)))}, {}, "levels=",
    ),
    "evenly numbered states": (
        {"a.csv": text(named("state", "Id (nA)").assign(state=np.repeat(range(0, 60, 10), 40)))}, {}, "accept=.apart",
    ),
    "codes": (
        {"a.csv": text(named("state", "I_nA").assign(state=np.repeat([f"{n:03b}" for n in range(6)], 40)))},
        {}, r"000, 001, 010.*levels=",
    ),
    "words": (
        {"a.csv": VOLT + text(named("state", "G (uS)").assign(state=np.where(CELLS["target"] < 300, "HRS", "LRS")))},
        {}, r"HRS, LRS.*levels=.mean",
    ),
    "no header": ({"a.csv": text(PLAIN, header=False)}, {"units": "nA"}, r"no header line.*header=False"),
    "no header, one state": (
        {"a.csv": text(PLAIN[PLAIN["target"] == 400], header=False)}, {"units": "nA"}, r"no header line.*header=False",
    ),
    "no header, most in one state": (
        {"a.csv": text(pd.concat([PLAIN[PLAIN["target"] == 400]] * 3 + [PLAIN[PLAIN["target"] == 800]]), header=False)},
        {"units": "nA"}, r"no header line.*header=False",
    ),
    "no header, a name first": (
        {"a.csv": "\n".join(f"D1,{line}" for line in text(PLAIN, header=False).split())}, {"units": "nA"},
        "header=False",
    ),
    "a mark of missing numbers": (
        {"a.csv": text(MARKED)}, {}, r"a\.csv:5: the value -999, 2 times.*missing_marks=-999",
    ),
    "thousands or decimals": (
        {"a.csv": "target (pA);I (pA)\n" + "\n".join(f"{t:.3f};{c:.3f}" for t, c in
                                                     ON[["target", "current"]].to_numpy())}, {}, "decimal=",
    ),
    "commas of tabs": (
        {"a.txt": text(named("target (nA)", "I (nA)", ON).map("{:.3f}".format), "\t").replace(".", ",")},
        {}, "decimal=",
    ),
    "per cent": ({"a.csv": text(named("target (%)", "I (%)"))}, {}, r"'%' says no scale.*i_max"),
    "shares of nothing": ({"a.csv": text(named("target (I/Imax)", "I/Imax"))}, {}, "i_max"),
    "shares beside nA": ({"a.csv": text(named("target", "I (nA)", SHARE.assign(current=ON["current"])))}, {}, "units="),
    "resistances": ({"a.csv": text(named("target (kohm)", "R (kohm)", OHM))}, {}, "read_voltage="),
    "a resistance of 0": ({"a.csv": VOLT + "target (ohm),R (ohm)\n1,1\n1,0\n"}, {}, r"a\.csv:4.*above 0"),
    "logarithms": ({"a.csv": text(named("target (A)", "log I (A)", ON))}, {}, r"base 10 or e.*log10 A"),
    "hidden logarithms": (
        {"a.csv": text(named("target (nA)", "I (A)", ON.assign(current=LOGS["current"])))}, {}, "log10 A",
    ),
    "negative": ({"a.csv": text(named("target (nA)", "I (nA)", ON.assign(current=-ON["current"])))}, {}, "flip_sign"),
    "amperes": ({"a.csv": text(named("target (A)", "I (A)", ON))}, {}, r"above 1 A.*accept=.large"),
    "attoamperes": ({"a.csv": text(named("target (fA)", "I (fA)", ON / 1e4))}, {}, r"below 1 fA.*accept=.small"),
    "another prefix": ({"a.csv": text(named("target (nA)", "I (uA)", ON))}, {}, r"998 times.*units="),
    "mega or milli": ({"a.csv": text(named("TARGET (MA)", "ID (MA)", ON))}, {}, "milli or mega"),
    "T": ({"a.csv": followed([25, 85], "T")}, {}, "temperature=.T"),
    "t": ({"a.csv": followed([25, 85], "t")}, {}, "temperature=.t"),
    "days of a calendar": ({"a.csv": followed([44301.114, 44301.156, 44302.114], "Time")}, {}, "units=..time.: .day"),
    "day or month": ({"a.csv": followed(["04/05/2021 02:45", "05/05/2021 02:45"], "Datetime")}, {}, "2021-04-15"),
    "before programming": ({"a.csv": followed([-1, 0, 24], "time (h)")}, {}, "before programming"),
    "a swept gate": ({"a.csv": text(SWEEP)}, {}, r"'Vg \(V\)' takes 3 values.*only="),
    "rows of one cell": ({"a.csv": text(LOOPS)}, {}, r"only 'Loop' tells apart.*cycle='Loop'"),
    "a time by another name": ({"a.csv": text(BAKED)}, {}, r"'Bake duration \(h\)'.*time="),
    "the clock of the instrument": (
        {"a.csv": text(named("target (nA)", "I (nA)").assign(**{"Relative Time (s)": np.arange(240) / 10}))}, {},
        "the clock of the instrument.*`ignore`",
    ),
    "numbered columns": (
        {"a.csv": text(WIDE.T.set_axis([f"{n + 1} (nA)" for n in range(40)], axis=1))}, {}, "numbers of states",
    ),
    "text of thousands in a sheet": (
        {"a.xlsx": sheet([["Soll (pA)", "Ist (pA)"], *[[f"{t:.3f}", f"{c:.3f}"] for t, c in
                                                     ON[["target", "current"]].to_numpy()]])}, {}, "decimal=",
    ),
    "update curves": ({"a.csv": VOLT + "pulse,G (uS)\n" + "\n".join(f"{n},{10 + n}" for n in range(20))}, {},
                      "update curves"),
    "files alike": ({"a.csv": CSV, "b.csv": CSV.replace("1", "2")}, {}, r"nothing says what tells them apart.*each="),
    "files unlike": ({"a.csv": CSV, "b.csv": CSV.replace("current", "reading")}, {}, "its columns are not those"),
    "before and after": ({"pre.csv": CSV, "post.csv": CSV.replace("1", "2")}, {}, "each="),
    "temperatures in names": ({"a_25C.csv": CSV, "a_85C.csv": CSV.replace("1", "2")}, {}, "bake_temperature"),
    "names twice": ({"a.csv": CSV + CSV}, {}, r"a\.csv:242.*expected a number, but got 'target"),
    "low and high": (
        {"a.csv": text(pd.DataFrame({"low (nA)": [90.0] * 9, "high (nA)": [110.0] * 9, "I (nA)": range(95, 104)}))},
        {}, "target_low",
    ),
    "bare bins": ({"a.csv": "target (nA),bin (nA),count\n100,90,4\n100,100,5\n"}, {}, "cannot tell which columns"),
    "a netlist": ({"a.csv": ".subckt rram te be\nR1 te be 1k\n.ends\n"}, {}, "SPICE netlist"),
    "a web page": ({"a.xls": "<html><table><tr><td>target</td></tr></table></html>"}, {}, r"a\.xls"),
    "MATLAB 7.3": ({"a.mat": b"MATLAB 7.3 MAT-file" + b" " * 600}, {}, "-v7"),
    "pandas' numbers": ({"a.csv": "100,100.1,400,400.1\n" + "101,99,402,395\n" * 9}, {"units": "nA"},
                        "two columns of one"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_one_reading_is_refused(tmp_path: Path, case: str) -> None:
    files, options, message = REFUSED[case]
    with pytest.raises(MeasurementError, match=message):
        read(tmp_path, files, **options)


def test_files_and_names(tmp_path: Path) -> None:
    def state(target: float, share: float = 1.0) -> str:
        cells = CELLS[CELLS["target"] == target]
        return text(pd.DataFrame({"cell": cells["cell"], "current (nA)": (cells["current"] * share).round(3)}))

    assert_right(read(tmp_path, {f"dev7_{t:g}nA_run.csv": state(t) for t in TARGETS}))
    assert_right(read(tmp_path, {f"I{str(t / 1000).replace('.', 'p')}uA.csv": state(t) for t in TARGETS}))
    both = {f"cells_{t:g}nA_{h}h.csv": state(t, 1 - 0.002 * h) for t in TARGETS for h in (0, 24)}
    for options in ({}, {"pattern": "cells_{target}nA_{time}h.csv"}, {"pattern": "cells_{target}nA_{time}h"}):
        found = read(tmp_path, dict(both), **options)
        assert_right(found)
        assert np.unique(found.columns["time"]).tolist() == [0, 24 * HOUR]
        assert found.cells == 240
    (tmp_path / "set").mkdir()
    for name, content in both.items():
        write(tmp_path / "set" / name, content)
    write(tmp_path / "set" / "readme.txt", "remarks")
    folder = devicekit.read_measurements(tmp_path / "set", pattern="cells_{target}nA_{time}h.csv")
    assert folder.rows == 480
    assert [item.name for item in folder.unused] == ["'readme.txt'"]
    for t in TARGETS:
        (tmp_path / f"{t:g}nA").mkdir()
    assert_right(read(tmp_path, {f"{t:g}nA/cells.csv": state(t) for t in TARGETS}))
    told = read(tmp_path, {"a.csv": state(400.0)}, each="target=400 nA")
    assert_right(told, CELLS[CELLS["target"] == 400])
    with pytest.raises(MeasurementError, match="given twice"):
        devicekit.read_measurements([tmp_path / "a.csv", tmp_path / "a.csv"], each="die=1,2")
    with pytest.raises(MeasurementError, match="does not fit the pattern"):
        read(tmp_path, {"a.csv": state(400.0)}, pattern="b_{target}nA.csv")


def test_bakes_in_two_files(tmp_path: Path) -> None:
    before = text(pd.DataFrame({"cell": range(240), "target (nA)": CELLS["target"], "current (nA)": CELLS["current"]}))
    after = text(
        pd.DataFrame({"cell": range(240), "target (nA)": CELLS["target"], "I": CELLS["current"] * 0.9}).rename(
            columns={"I": "current (nA)"}
        )
    )
    told = read(tmp_path, {"pre.csv": before, "post.csv": after}, each="time=0 s, 24 h")
    named_so = read(tmp_path, {"lot_fresh.csv": before, "lot_after_24h_150C.csv": after})
    for found in (told, named_so):
        assert_right(found)
        assert found.cells == 240
        assert np.unique(found.columns["time"]).tolist() == [0, 24 * HOUR]
    assert np.unique(named_so.columns["bake_temperature"]) == pytest.approx([423.15])
    # Ohms alone, without header or targets: the read before the bake is what each cell was written to.
    files = {
        name: "\n".join(f"{0.1 / (c * share * 1e-9):.3f}" for c in ON["current"])
        for name, share in (("read_pre.txt", 1.0), ("read_post.txt", 0.9))
    }
    bare = read(
        tmp_path, dict(files), header=False, value=1, units="ohm", read_voltage="0.1 V", each="time=0 s, 30 min",
        cell="row", levels="first",
    )  # fmt: skip
    assert bare.rows == len(ON)
    assert bare.columns["value"] == pytest.approx(0.9 * bare.columns["target"], rel=1e-4)


def test_sheets_of_dies_and_sheets_that_are_not_read(tmp_path: Path) -> None:
    table = named("target (nA)", "current (nA)")
    thirds = [table.iloc[step::3] for step in range(3)]
    for names, role in ((["die1", "die2", "die3"], "die"), (["Chip A", "Chip B", "Chip C"], "die"),
                        (["W1", "W2", "W3"], "wafer")):  # fmt: skip
        found = read(tmp_path, {"a.xlsx": sheets(dict(zip(names, thirds, strict=True)))})
        assert_right(found)
        assert np.unique(found.columns[role]).tolist() == [0, 1, 2]
    made_sheets = sheets({f"Sheet{step + 1}": third for step, third in enumerate(thirds)})
    first = read(tmp_path, {"b.xlsx": made_sheets})
    assert first.rows == 80
    assert [item.name for item in first.unused] == ["'Sheet2'", "'Sheet3'"]
    assert any("2 more sheets with the same columns were not read" in warning for warning in first.warnings)
    assert_right(read(tmp_path, {"b.xlsx": made_sheets}, sheet="all", each="die=1, 2, 3"))
    assert read(tmp_path, {"b.xlsx": made_sheets}, sheet="Sheet2").rows == 80


def test_comments_between_rows_are_conditions(tmp_path: Path) -> None:
    rows = pd.DataFrame({"cell": CELLS["cell"], "t": CELLS["target"], "i": CELLS["current"]})
    later = rows.assign(i=(rows["i"] * 0.9).round(3))
    content = (
        "# time = 0 s\ncell,target (nA),current (nA)\n" + text(rows, header=False) + "# time = 24 h\n"
        + text(later, header=False)
    )  # fmt: skip
    found = read(tmp_path, {"a.csv": content})
    assert_right(found)
    assert np.unique(found.columns["time"]).tolist() == [0, 24 * HOUR]
    stray = read(tmp_path, {"b.csv": content.replace("# time = 24 h", "# after bake").replace("# time = 0 s\n", "")})
    assert any(item.kind == "line" and "after bake" in item.reason for item in stray.unused)
    with pytest.raises(MeasurementError, match="nothing gives it to those above"):
        read(tmp_path, {"c.csv": content.replace("# time = 0 s\n", "")})


def test_overflow_marks_are_counted(tmp_path: Path) -> None:
    for mark in ("9.91E+37", "-9.9e37", "199.999e99", "OVERFLOW"):
        lines = CSV.splitlines()
        for row in (4, 51):
            lines[row] = lines[row].split(",")[0] + "," + mark
        found = read(tmp_path, {"a.csv": "\n".join(lines)})
        assert_right(found, CELLS.drop([3, 50]))
        assert any("2 of 240 rows have a mark of overflow" in warning for warning in found.warnings)
    told = read(tmp_path, {"a.csv": text(MARKED)}, missing_marks=-999)
    assert_right(told, CELLS.drop([3, 50]))


def test_columns_that_explain_variance_are_warned_of_and_others_are_not(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    failed = random.random(len(CELLS)) < 0.1
    current = CELLS["current"] + np.where(failed, random.normal(0, 300, len(CELLS)), 0)
    table = pd.DataFrame({"target (nA)": CELLS["target"], "current (nA)": current, "PASS": ~failed})
    found = read(tmp_path, {"a.csv": text(table)})
    assert any("'PASS' is not used, but explains" in warning for warning in found.warnings)
    chosen = read(tmp_path, {"a.csv": text(table)}, only="PASS=True")
    assert_right(chosen, CELLS[~failed])
    assert any(item.kind == "rows" and item.name == str(failed.sum()) for item in chosen.unused)
    false_alarms = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        noise = {
            f"extra{number}": column
            for number, column in enumerate(
                (
                    random.integers(0, 3, 240),
                    random.normal(size=240),
                    random.choice(["a", "b"], 240),
                    np.arange(240) % 8,
                )
            )
        }
        table = pd.DataFrame({"target (nA)": CELLS["target"], "current (nA)": CELLS["current"], **noise})
        false_alarms += len(read(tmp_path, {"a.csv": text(table)}).warnings)
    assert false_alarms <= 1


def histogram(step: float = 5.0) -> pd.DataFrame:
    parts = []
    for target in TARGETS[1:]:
        values = CELLS["current"][CELLS["target"] == target]
        edges = np.arange(np.floor(values.min() / step) * step, values.max() + step, step)
        parts.append(pd.DataFrame({"t": target, "low": edges[:-1], "high": edges[1:],
                                   "n": np.histogram(values, edges)[0]}))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        ({"bin_low (nA)": "low", "bin_high (nA)": "high"}, {}),
        ({"bin_left (nA)": "low"}, {}),
        ({"upper edge (nA)": "high"}, {}),
        ({"bin_center (nA)": "middle"}, {}),
        ({"x (nA)": "low"}, {"bin_low": "x (nA)"}),
    ],
)
@pytest.mark.parametrize("occupied_only", [False, True])
def test_bins_by_one_edge_or_their_middle(
    tmp_path: Path, columns: dict[str, str], options: dict[str, str], occupied_only: bool
) -> None:
    bins = histogram()
    bins = bins[bins["n"] > 0] if occupied_only else bins
    bins = bins.assign(middle=(bins["low"] + bins["high"]) / 2)
    table = pd.DataFrame({"target (nA)": bins["t"], **{h: bins[c] for h, c in columns.items()}, "count": bins["n"]})
    found = read(tmp_path, {"a.csv": text(table)}, **options)
    assert found.columns["bin_low"] * 1e9 == pytest.approx(bins["low"].to_numpy(), abs=1e-3)
    assert found.columns["bin_high"] * 1e9 == pytest.approx(bins["high"].to_numpy(), abs=1e-3)
    assert found.cells == bins["n"].sum()
    assert not found.bins_are_cut
    assert read(tmp_path, {"a.csv": "# bins = cut\n" + text(table)}, **options).bins_are_cut


def test_limits_of_the_instrument(tmp_path: Path) -> None:
    clipped = text(named("target (nA)", "I (nA)", PLAIN.clip(upper=800)))
    for head in (
        "# compliance = 800 nA\n",
        "# compliance 800 nA\n",
        "Ilimit,8e-7\nDate,x\n",
        "# I_compliance: 0.8 uA\n",
    ):
        found = read(tmp_path, {"a.csv": head + clipped})
        assert found.upper_limit == pytest.approx(800e-9)
        assert any("compliance of 800 nA" in warning for warning in found.warnings)
    guessed = read(tmp_path, {"a.csv": clipped})
    assert guessed.upper_limit is None
    assert any("exactly 800 nA, the highest" in warning for warning in guessed.warnings)
    assert read(tmp_path, {"a.csv": clipped}, compliance="0.8 uA").upper_limit == pytest.approx(800e-9)


def test_what_was_understood_is_plain(tmp_path: Path) -> None:
    found = read(tmp_path, {"a.csv": text(named("target", "Id (nA)").assign(operator="x"))})
    assert found.understood["columns"] == [
        {"column": "target", "role": "target", "unit": "nA", "unit_from": "column 'Id (nA)'", "rows": 240},
        {"column": "Id (nA)", "role": "value", "unit": "nA", "unit_from": "header", "rows": 240},
    ]
    assert found.understood["unused"] == [
        {"kind": "column", "name": "'operator'", "reason": "one value throughout", "explains": None, "p": None}
    ]
    assert "not used: column 'operator': one value throughout" in found.describe()


def test_rram_sets_in_their_published_layout(shared_data: Path) -> None:
    folder = shared_data / "device_rram"
    relaxation = devicekit.read_measurements(folder / "techB_relaxation.npz", read_voltage=0.1)
    assert (relaxation.cells, relaxation.rows) == (15961, 87744)
    assert np.unique(relaxation.columns["time"]).tolist() == [0.01, 0.1, 1, 100, 1000, 10000]
    assert any("15961 reads at the first time equal their targets" in note for note in relaxation.notes)
    bake = devicekit.read_measurements(
        folder / "techA_bake.npz", read_voltage=0.1, bake_temperature="temp_C", levels="first"
    )
    assert bake.rows == 5 * 16384
    assert np.unique(bake.columns["bake_temperature"]) == pytest.approx(np.array([100, 140, 180, 220, 260]) + 273.15)
    traces = devicekit.read_measurements(
        folder / "techA_timeseries.npz", read_voltage=0.1, target="header 1", levels="mean"
    )
    assert traces.rows == 500_000
    assert traces.columns["time"].max() == pytest.approx(99_999 / 400)
    counts = devicekit.read_measurements(
        folder / "confusion_matrices.npz", sheet="techA_t1s", layout="confusion", i_max="24 uA"
    )
    bundled = devicekit.read_measurements(devicekit.data_path("measurements/rram_a_confusion_1s.csv"))
    for role in ("target", "bin_low", "bin_high", "count"):
        np.testing.assert_allclose(counts.columns[role], bundled.columns[role], rtol=1e-9)
