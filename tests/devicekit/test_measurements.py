"""Reading a lab's own files: layouts, units, instruments; every fault by name; nothing dropped in silence."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import devicekit
from devicekit.common.errors import DevicekitError, MeasurementError
from devicekit.measurements.column_roles import split_header
from devicekit.measurements.read_options import ACCEPTABLE

LONG = "target (nA),current (nA)\n100,101.5\n100,99.5\n800,790\n800,812\n"


def read(folder: Path, text: str | bytes, name: str = "cells.csv", **options: object) -> devicekit.Measurements:
    path = folder / name
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text, encoding="utf-8")
    return devicekit.read_measurements(path, **options)  # type: ignore[arg-type]


def assert_long(found: devicekit.Measurements) -> None:
    assert found.columns["target"] == pytest.approx([1e-7, 1e-7, 8e-7, 8e-7])
    assert found.columns["value"] == pytest.approx([1.015e-7, 9.95e-8, 7.9e-7, 8.12e-7])


@pytest.mark.parametrize(
    "text",
    [
        LONG,
        LONG.replace(",", "\t"),
        LONG.replace(",", ";"),
        LONG.replace(",", " | "),
        "# a comment\n\n" + LONG + "# the end\n",
        "% matlab\n// c\n" + LONG,
        "Itarget_nA   Id_nA\n100 101.5\n100   99.5\n800 790\n800  812\n",
        '"target (nA)","current (nA)"\n"100","101.5"\n"100","99.5"\n800,790\n800,812\n',
        "target (nA);current (nA)\n100;101,5\n100;99,5\n800;790\n800;812\n",
        "TARGET [uA],I [A]\n0.1,101.5e-9\n0.1,99.5E-9\n.8,7.9e-7\n0.8,+8.12e-7\n",
        "state/nA,current/µA\n100,0.1015\n100,0.0995\n800,0.79\n800,0.812\n",
        LONG.replace("\n", "\r\n"),
        "﻿" + LONG,
        "Operator,A. Person\nStation,4\nDate,2024-05-01\n" + LONG,
    ],
)
def test_the_same_cells_in_many_spellings(tmp_path: Path, text: str) -> None:
    assert_long(read(tmp_path, text))


def test_utf16_and_latin1_text(tmp_path: Path) -> None:
    assert_long(read(tmp_path, LONG.encode("utf-16")))
    assert_long(read(tmp_path, ("# µA\n" + LONG).encode("latin-1")))


def test_roles_units_and_notes_are_echoed(tmp_path: Path) -> None:
    found = read(tmp_path, "# kind = resampled from x\nInfo: 3\n" + LONG)
    assert found.kind == "resampled from x"
    text = found.describe()
    assert "cells.csv: 4 cells (resampled from x)" in text
    assert "target = 'target (nA)' [nA]" in text
    assert "value = 'current (nA)' [nA]" in text


def test_columns_by_argument_and_unit_by_argument(tmp_path: Path) -> None:
    text = "Iset,Imeas,extra\n100,101.5,9\n100,99.5,9\n800,790,9\n800,812,9\n"
    assert_long(read(tmp_path, text, target="Iset", value="Imeas", units="nA"))
    assert_long(read(tmp_path, text, target="Iset", value="Imeas", units={"value": "nA", "target": "nA"}))
    with pytest.raises(MeasurementError, match=r"no column 'Imes' for value.*Did you mean 'Imeas'"):
        read(tmp_path, text, target="Iset", value="Imes")
    with pytest.raises(MeasurementError, match=r"Unknown column role 'valeu'. Did you mean 'value'"):
        read(tmp_path, text, valeu="Imeas")
    with pytest.raises(
        MeasurementError, match=r"column 'Imeas': the value has no unit|column 'Iset': the target has no"
    ):
        read(tmp_path, text, target="Iset", value="Imeas")
    with pytest.raises(MeasurementError, match="cannot tell which columns hold the programmed target"):
        read(tmp_path, text)


def test_conductances_need_and_use_the_read_voltage(tmp_path: Path) -> None:
    text = "target (uS),G [uS]\n1,1.015\n1,0.995\n8,7.9\n8,8.12\n"
    assert_long(read(tmp_path, text, read_voltage="100 mV"))
    assert_long(read(tmp_path, "# read_voltage = 0.1 V\n" + text))
    assert read(tmp_path, text, read_voltage=0.1).read_voltage == 0.1
    with pytest.raises(MeasurementError, match=r"conductances \(uS\) need the voltage they were read at"):
        read(tmp_path, text)
    with pytest.raises(MeasurementError, match="expected `read_voltage` to be above 0 V"):
        read(tmp_path, text, read_voltage=-0.1)
    with pytest.raises(MeasurementError, match=r"cells\.csv: Expected `read_voltage` to be a quantity in V"):
        read(tmp_path, text, read_voltage="0.1 A")


def test_other_roles_and_their_units(tmp_path: Path) -> None:
    text = (
        "wafer,die,addr,cycle,T (°C),t (h),target_nA,current_nA\n"
        "W1,D3,17,1,25,0,100,101\nW1,D4,18,1,85,24,100,99\nW2,D3,17,2,85,24,100,98\n"
    )
    columns = read(tmp_path, text).columns
    assert columns["temperature"] == pytest.approx([298.15, 358.15, 358.15])
    assert columns["time"] == pytest.approx([0, 86400, 86400])
    assert columns["wafer"].tolist() == [0, 0, 1]
    assert columns["die"].tolist() == [0, 1, 0]
    assert columns["cell"].tolist() == [0, 1, 0]
    fahrenheit = read(tmp_path, "temp (F),target_nA,current_nA\n77,100,101\n")
    assert fahrenheit.columns["temperature"] == pytest.approx([298.15])
    with pytest.raises(MeasurementError, match=r"column 'temperature': the temperature has no unit"):
        read(tmp_path, "temperature,target_nA,current_nA\n77,100,101\n")
    assumed = read(tmp_path, "time,target_nA,current_nA\n77,100,101\n")
    assert "unit assumed" in assumed.describe()


def test_wide_tables(tmp_path: Path) -> None:
    found = read(tmp_path, "die,100 nA,800 nA\n1,101.5,790\n1,99.5,812\n2,,805\n")
    assert found.columns["target"] == pytest.approx([1e-7, 1e-7, 8e-7, 8e-7, 8e-7])
    assert found.columns["value"] == pytest.approx([1.015e-7, 9.95e-8, 7.9e-7, 8.12e-7, 8.05e-7])
    assert found.columns["die"].tolist() == [0, 0, 0, 0, 1]
    assert any("1 empty entries below the last cell" in note for note in found.notes)
    plain = read(tmp_path, "100,800\n101.5,790\n99.5,812\n", units="nA")
    assert_long(plain)
    with pytest.raises(MeasurementError, match=r"cells\.csv:3, column '100 nA': the number is missing"):
        read(tmp_path, "100 nA,800 nA\n101.5,790\n,812\n99,805\n")


def test_histograms_long_and_wide(tmp_path: Path) -> None:
    long = read(
        tmp_path,
        "target (nA),bin_low (nA),bin_high (nA),count\n100,90,100,5\n100,100,110,6\n800,780,800,4\n800,800,820,3\n",
    )
    assert long.is_histogram
    assert long.columns["count"].tolist() == [5, 6, 4, 3]
    wide = read(tmp_path, "bin_low (nA),bin_high (nA),100 nA,800 nA\n90,100,5,0\n100,110,6,1\n")
    assert wide.is_histogram
    assert wide.columns["target"] == pytest.approx([1e-7, 1e-7, 8e-7, 8e-7])
    assert wide.columns["bin_high"] == pytest.approx([1e-7, 1.1e-7, 1e-7, 1.1e-7])
    assert "4 bins of histograms" in wide.describe()


def test_parquet_and_excel(tmp_path: Path) -> None:
    table = pd.DataFrame({"target (nA)": [100, 100, 800, 800], "current (nA)": [101.5, 99.5, 790, 812]})
    table.to_parquet(tmp_path / "cells.parquet")
    assert_long(devicekit.read_measurements(tmp_path / "cells.parquet"))
    with pd.ExcelWriter(tmp_path / "cells.xlsx") as writer:
        table.to_excel(writer, sheet_name="first", index=False, startrow=2)
        table.assign(**{"current (nA)": 1.0}).to_excel(writer, sheet_name="second", index=False)
    assert_long(devicekit.read_measurements(tmp_path / "cells.xlsx"))
    assert devicekit.read_measurements(tmp_path / "cells.xlsx", sheet="second").columns["value"][0] == 1e-9
    with pytest.raises(MeasurementError, match=r"no sheet 'third'; there are 'first', 'second'"):
        devicekit.read_measurements(tmp_path / "cells.xlsx", sheet="third")
    table.loc[2, "current (nA)"] = np.nan
    table.to_parquet(tmp_path / "hole.parquet")
    with pytest.raises(MeasurementError, match=r"hole\.parquet, row 3, column 'current \(nA\)': the number is missing"):
        devicekit.read_measurements(tmp_path / "hole.parquet")
    table.to_excel(tmp_path / "hole.xlsx", index=False)
    with pytest.raises(MeasurementError, match=r"hole\.xlsx\[Sheet1\]:4, column 'current \(nA\)'"):
        devicekit.read_measurements(tmp_path / "hole.xlsx")


ICCAP = """! VERSION = 6.00
BEGIN_HEADER
 ICCAP_INPUTS
  vd V D GROUND SMU1 0.1 LIN 1 0.1 0.1 1 0
  itarget I D GROUND SMU1 0.1 LIST 1 2 1e-7 8e-7
 ICCAP_OUTPUTS
  id I D GROUND SMU1 B
END_HEADER

BEGIN_DB
 ICCAP_VAR itarget 1e-7

 #vd id
 0.1 1.015e-07
 0.1 9.95e-08
END_DB
BEGIN_DB
 ICCAP_VAR itarget 8e-7

 #vd id
 0.1 7.9e-07
 0.1 8.12e-07
END_DB
"""
EASYEXPERT = """SetupTitle, Cell read
PrimitiveTest, I/V Sampling
TestParameter, Channel.Unit, SMU1:HR, SMU2:MP
MetaData, TestRecord.RecordTime, 05/01/2024 10:00:00
Dimension1, 4, 4, 4
DataName, Itarget, Vd, Id
DataValue, 1E-07, 0.1, 1.015E-07
DataValue, 1E-07, 0.1, 9.95E-08
DataValue, 8E-07, 0.1, 7.9E-07
DataValue, 8E-07, 0.1, 8.12E-07
"""
KEITHLEY = """Model,2636B
Serial Number,"4012345"
Test Name,cell_read
Start Time,05/01/2024 10:00

Index,Target (A),DrainI (A),DrainV (V),Relative Time (s)
1,1e-7,1.015e-7,0.1,0
2,1e-7,9.95e-8,0.1,0
3,8e-7,7.9e-7,0.1,0
4,8e-7,8.12e-7,0.1,0
"""


def test_instrument_files(tmp_path: Path) -> None:
    mdm = read(tmp_path, ICCAP, "cells.mdm")
    assert_long(mdm)
    assert any("IC-CAP" in note for note in mdm.notes)
    keysight = read(tmp_path, EASYEXPERT)
    assert_long(keysight)
    assert keysight.metadata["setuptitle"] == "Cell read"
    keithley = read(tmp_path, KEITHLEY)
    assert_long(keithley)
    assert keithley.metadata["model"] == "2636B"
    assert any("preamble" in note for note in keithley.notes)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("", "a.csv", r"a\.csv: the file is empty"),
        ("  \n \n", "a.csv", r"a\.csv: the file is empty"),
        ("# only\n# comments\n", "a.csv", r"a\.csv: the file has no rows, only comments"),
        ("target (nA),current (nA)\n", "a.csv", r"a\.csv:1: the file has a header and no rows"),
        (LONG.replace("790", "nan"), "a.csv", r"a\.csv:4, column 'current \(nA\)': the number is missing.* 1 in all"),
        (LONG.replace("790", ""), "a.csv", r"a\.csv:4, column 'current \(nA\)': the number is missing"),
        (LONG.replace("790", "inf"), "a.csv", r"a\.csv:4, column 'current \(nA\)': expected a finite number"),
        (LONG.replace("790", "7g0"), "a.csv", r"a\.csv:4, column 'current \(nA\)': expected a number, but got '7g0'"),
        ("# c\n\n" + LONG.replace("812", "x"), "a.csv", r"a\.csv:7, column"),
        (LONG.replace("800,790", "800,790,1"), "a.csv", r"a\.csv:4: expected 2 fields as in the header, but got 3"),
        (
            LONG.replace("current", "target"),
            "a.csv",
            r"a\.csv:1: the header 'target \(nA\)' stands over columns 1 and 2",
        ),
        (LONG.replace("(nA)", "(nAmp)"), "a.csv", r"column 'target \(nAmp\)': expected the unit of target .*'nAmp'"),
        (LONG.replace("current (nA)", "current (V)"), "a.csv", r"expected the unit of value to be one of current or"),
        (
            "time (kg)," + LONG.replace("\n", "\n1,", 4).removesuffix("1,"),
            "a.csv",
            r"the unit of time to convert to s, but got",
        ),
        (LONG.replace("100,101", "-100,101"), "a.csv", r"expected targets of at least 0, but the lowest is -1e-07 A"),
        (
            "target (nA),bin_low (nA),bin_high (nA),count\n1,0,1,4\n1,1,2,-3\n",
            "a.csv",
            r"counts to be whole numbers of at least 0, but bin 2 has -3",
        ),
        ("target (nA),bin_low (nA),bin_high (nA),count\n1,0,1,4\n1,1,2,2.5\n", "a.csv", r"bin 2 has 2\.5"),
        ("target (nA),bin_low (nA),bin_high (nA),count\n1,0,1,4\n1,2,1,2\n", "a.csv", r"low edge of every bin below"),
        (bytes(range(256)) * 20, "a.csv", r"a\.csv: the file is binary"),
        (b"PAR1 nonsense", "a.parquet", r"a\.parquet: not a Parquet file"),
        (b"PK nonsense", "a.xlsx", r"a\.xlsx: not an XLSX file"),
        (b"\xff\xfe\x00", "a.csv", r"a\.csv: starts as UTF-16 text but is not|a\.csv: the file"),
        ("1,2\n3,4\nx,5\n", "a.csv", r"a\.csv"),
        ("state (nA),programmed (nA),target (nA),i (nA),id (nA)\n1,1,1,1,1\n", "a.csv", ""),
        (ICCAP.replace("0.1 7.9e-07", "0.1"), "a.mdm", r"a\.mdm:21: expected 2 numbers, but got 1"),
        (ICCAP[: ICCAP.rindex("END_DB")], "a.mdm", r"a\.mdm:17: BEGIN_DB has no end; the file is cut off"),
        (ICCAP[: ICCAP.index("BEGIN_DB")], "a.mdm", r"a\.mdm: no data block"),
        (ICCAP.replace("#vd id\n 0.1 7", "#vd ig\n 0.1 7"), "a.mdm", r"a\.mdm:20: this data block has columns"),
        (EASYEXPERT.replace("0.1, 7.9E-07", "7.9E-07"), "a.csv", r"a\.csv:9: expected 3 values, but got 2"),
        (EASYEXPERT[: EASYEXPERT.index("DataValue")], "a.csv", r"a\.csv: no DataName line with DataValue lines"),
    ],
)
def test_every_fault_has_one_message_with_its_place(tmp_path: Path, text: str | bytes, name: str, message: str) -> None:
    if not message:
        assert read(tmp_path, text, name).columns["value"].tolist() == [1e-9]
        return
    with pytest.raises(MeasurementError, match=message):
        read(tmp_path, text, name)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"nothing\.csv: no such file"):
        devicekit.read_measurements(tmp_path / "nothing.csv")
    with pytest.raises(MeasurementError, match="is a folder, not a file"):
        devicekit.read_measurements(tmp_path)
    with pytest.raises(MeasurementError, match="`missing` to be 'error' or 'drop', but got 'ignore'"):
        read(tmp_path, LONG, missing="ignore")
    with pytest.raises(
        MeasurementError, match="`layout` to be one of auto, long, wide, histogram, rows, confusion, but got 'tall'"
    ):
        read(tmp_path, LONG, layout="tall")


def test_a_file_of_a_million_columns_is_refused_at_once(tmp_path: Path) -> None:
    header = ",".join(f"c{index}" for index in range(1_000_000))
    with pytest.raises(MeasurementError, match=r"1000000 columns, more than the 5000"):
        read(tmp_path, header + "\n" + "1," * 999_999 + "1\n")


def test_two_columns_of_one_role_are_asked_about(tmp_path: Path) -> None:
    text = "target (nA),Current (nA),current (uA)\n1,1,1\n"
    with pytest.raises(MeasurementError, match=r"columns 'Current \(nA\)', 'current \(uA\)' could both be the value"):
        read(tmp_path, text)
    assert read(tmp_path, text, value="current (uA)").columns["value"].tolist() == [1e-6]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    found = read(tmp_path, LONG.replace("790", "nan") + "800,\n", missing="drop")
    assert found.rows == 3
    assert "2 rows with missing numbers were left out of 5" in found.describe()
    with pytest.raises(MeasurementError, match="no rows are left"):
        read(tmp_path, "target (nA),current (nA)\n1,nan\n", missing="drop")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("current (nA)", ("current", "nA")),
        ("G [uS]", ("g", "uS")),
        ("Id_A", ("id", "A")),
        ("Bake Temp.[°C]", ("bake_temp", "°C")),
        ("cell id", ("cell_id", None)),
        ("target, nA", ("target", "nA")),
        ("I/uA", ("i", "uA")),
    ],
)
def test_headers_are_split(header: str, expected: tuple[str, str | None]) -> None:
    assert split_header(header) == expected


def reads_or_says(call: Callable[[], object]) -> None:
    """A reader either reads or raises one of our own errors, with words; anything else is a bug."""
    with contextlib.suppress(DevicekitError):
        call()


fields = st.one_of(
    st.sampled_from(
        ["target (nA)", "current (nA)", "100 nA", "count", "bin_low (nA)", "nan", "", "inf", "1e400", "−3"]
    ),
    st.floats(allow_nan=True).map(str),
    st.text(max_size=8),
)
FUZZ = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(st.lists(st.lists(fields, min_size=1, max_size=5), max_size=8), st.sampled_from([",", ";", "\t", " ", "|"]))
def test_any_table_is_read_or_refused(tmp_path: Path, rows: list[list[str]], delimiter: str) -> None:
    text = "\n".join(delimiter.join(row) for row in rows)
    reads_or_says(lambda: read(tmp_path, text.encode("utf-8", "surrogatepass")))


@FUZZ
@given(st.binary(max_size=400), st.sampled_from(["a.csv", "a.parquet", "a.xlsx", "a.mdm"]))
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes, name: str) -> None:
    reads_or_says(lambda: read(tmp_path, content, name))


@FUZZ
@given(st.integers(0, 300), st.text(max_size=6), st.sampled_from([LONG, ICCAP, EASYEXPERT, KEITHLEY]))
def test_any_damage_to_a_good_file_is_read_or_refused(tmp_path: Path, at: int, junk: str, text: str) -> None:
    damaged = text[:at] + junk + text[at + len(junk) :]
    name = "a.mdm" if text is ICCAP else "a.csv"
    reads_or_says(lambda: read(tmp_path, damaged.encode("utf-8", "surrogatepass"), name))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.floats(0, 1e-3, allow_subnormal=False), st.floats(-1e-3, 1e-3, allow_subnormal=False)),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from([(",", "A", 1.0), (";", "nA", 1e-9), ("\t", "uA", 1e-6), (" ", "mA", 1e-3)]),
)
def test_what_is_written_is_read(
    tmp_path: Path, cells: list[tuple[float, float]], spelling: tuple[str, str, float]
) -> None:
    delimiter, unit, factor = spelling
    lines = [delimiter.join((f"target[{unit}]", f"current[{unit}]"))]
    lines += [delimiter.join((repr(target / factor), repr(value / factor))) for target, value in cells]
    found = read(tmp_path, "\n".join(lines) + "\n", accept=ACCEPTABLE)
    assert found.rows == len(cells)
    np.testing.assert_allclose(found.columns["target"], [target for target, _ in cells], rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(found.columns["value"], [value for _, value in cells], rtol=1e-12, atol=1e-300)


def test_lines_of_bare_delimiters_are_counted(tmp_path: Path) -> None:
    found = read(tmp_path, LONG + ",\n,\n")
    assert_long(found)
    assert "2 lines that hold only delimiters were passed over" in found.describe()
