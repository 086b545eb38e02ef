"""What a study adds to cores that leave it open, and that every accuracy says what is in it."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from circuits import Core, NetworkCores, PeripheralGrid, load_design, load_peripherals
from devicekit import DesignError, DeviceError, ReadCompensation, load_device
from reports.built_cores import built, caption_of_parts, costly_periphery, own_parts, what_is_in, without_periphery
from reports.cache import ResultCache
from reports.errors import StudyError
from reports.network_step import evaluate_design, load_network
from reports.page import command_line
from reports.stages import stages
from reports.study import Study

CELL = load_device("sonos_40nm_tcas2022")


def test_a_study_fills_in_what_a_core_leaves_open_and_nothing_else() -> None:
    study = Study(
        peripherals="sized", corrections=("column_trim",), age="1 day", r_p_hat=1e-5, bit_line="affine", adc="sar"
    )
    core = built(study, Core("A"), CELL)
    assert isinstance(core.peripherals, PeripheralGrid)
    assert core.corrections == ("column_trim",)
    assert core.age == pytest.approx(86400)
    assert (core.design.r_p_hat, core.bit_line) == (1e-5, "affine")
    assert core.adc is not None
    assert core.adc.kind == "sar"
    own = Core("A", peripherals="sonos_40nm", corrections=("drift",), wires=1e-6, age="2 days", cell=CELL, adc="ramp")
    assert built(study, own, CELL) == own
    grounded = built(Study(input_resistance="sized", supply_resistance="2 Ohm", feed="rows"), Core("A"), CELL)
    assert grounded.lines.r_in_hat == pytest.approx(81.2 * CELL.g_max, rel=1e-3)
    assert (grounded.lines.r_s_hat, grounded.lines.feed) == (pytest.approx(2 * CELL.g_max), "rows")
    with pytest.raises(DesignError, match="leave one of them out"):
        built(Study(peripherals="sized", r_in_hat=8e-3), Core("A"), CELL)
    # Without an ADC there is nothing for peripherals to act on.
    assert built(study, Core(own.design.replace(adc_bits=None)), CELL).peripherals is None
    plain = Core("A")
    assert built(Study(peripherals="ideal"), plain, CELL) == plain.replace(cell=CELL)
    with pytest.raises(DesignError, match="correction"):
        built(Study(corrections=("trim",)), plain, CELL)
    with pytest.raises((DesignError, DeviceError), match="age"):
        built(Study(age="long"), plain, CELL)
    hot = built(Study(temperature="350 K"), plain, CELL)
    bare = built(Study(temperature="350 K", compensation="none"), plain, CELL)
    assert hot.compensation == ReadCompensation(0.98)
    assert float(hot.cell.mean(8e-7)) == pytest.approx(8.2e-7, rel=0.01)  # type: ignore[union-attr]
    assert bare.compensation is not None
    assert bare.compensation.fraction == 0
    assert float(bare.cell.mean(8e-7)) > 3 * 8e-7  # type: ignore[union-attr]
    assert built(Study(temperature="350 K", compensation=0.0), plain, CELL) == bare
    assert built(Study(temperature="310 K", compensation=0.5), hot, CELL) == hot
    with pytest.raises(DesignError, match="says nothing without a `temperature`"):
        built(Study(compensation="none"), plain, CELL)


def test_a_core_that_says_nothing_gets_the_circuits_sized_for_it_and_a_trim() -> None:
    core = built(Study(), Core("A"), CELL)
    assert core.peripherals == load_peripherals("sized", load_design("A"))
    assert core.corrections == ("column_trim",)
    assert built(Study(corrections=()), Core("A"), CELL).corrections == ()
    assert built(Study(), Core("A", corrections="drift"), CELL).corrections == ("drift",)
    own = Core("A", peripherals="sonos_40nm")
    assert built(Study(), own, CELL) == own.replace(cell=CELL)
    # Nothing like it is recorded: its columns stay ideal, and the page says so.
    foreign = built(Study(), Core(load_design("A").replace(name="short", bits_per_cell=3)), CELL)
    assert (foreign.peripherals, foreign.corrections) == (None, ())
    assert built(Study(), Core("A"), load_device("pcm_joshi2020")).peripherals is None
    (remark,) = without_periphery(Study(), [NetworkCores(core), NetworkCores(foreign)])
    assert "such as short with" in remark
    assert without_periphery(Study(peripherals="ideal"), [NetworkCores(foreign)]) == []


def test_the_spread_of_the_cells_is_scaled() -> None:
    core = built(Study(error_scale=2.0), Core("A"), CELL)
    assert core.cell is not None
    np.testing.assert_allclose(core.cell.sigma(1e-6), 2 * CELL.sigma(1e-6))


def test_stages_add_one_part_after_another() -> None:
    full = Core(
        "A", cell=CELL, peripherals="sized", corrections=("column_trim",), age="1 day", wires=1e-5,
        adc={"kind": "sar", "enob": 7.5}, faults={"stuck_low": 0.01},
    )  # fmt: skip
    found = stages(NetworkCores(full))
    assert [stage.name for stage in found] == [
        "cells", "stuck cells", "wires", "ADC", "periphery", "trim", "age",
    ]  # fmt: skip
    assert found[-1].cores.core is full
    cells = found[0].cores.core
    assert cells.age == 0
    assert (cells.adc, cells.peripherals, cells.corrections, cells.faults) == (None, None, (), None)
    assert cells.design.r_p_hat == 0
    assert found[2].cores.core.design.r_p_hat == 1e-5
    for before, after in itertools.pairwise(found):
        assert before.cores != after.cores
    assert [stage.name for stage in stages(NetworkCores(Core("A", cell=CELL)))] == ["cells"]


def test_what_is_in_an_accuracy_and_what_is_left_out_is_said() -> None:
    fresh = Core("A", cell=CELL).to_dict()
    assert what_is_in(fresh) == ("cells (sonos_40nm_tcas2022); left out: age, periphery, trim, wires")
    full = Core("A", cell=CELL, peripherals="sized", corrections=("column_trim",), age="1 day", wires=1e-5).to_dict()
    words = what_is_in(full)
    assert words.endswith("left out: nothing")
    for part in ("age (1 day)", "periphery (sonos_40nm sized for A)", "trim (column trim)", "wires (R_p_hat 1e-05)"):
        assert part in words
    read = Core("A", cell=CELL, temperature=330.0)
    assert "temperature (330 K, compensated 98 % by a reference cell, assumed)" in what_is_in(read.to_dict())
    bare = read.replace(compensation="none")
    assert "temperature (330 K, uncompensated)" in what_is_in(bare.to_dict())
    wired = Core("A", cell=CELL, wires={"input_resistance": "500 Ohm", "r_s_hat": 1e-6, "feed": "rows"}).to_dict()
    assert "wires (virtual ground R_in_hat 0.008, supply R_s_hat 1e-06)" in what_is_in(wired)
    drawn = what_is_in(built(Study(adc="sar_40nm"), Core("A"), CELL).to_dict())
    assert "errors of the ADC (sar_40nm (sar), its circuit's own errors)" in drawn
    assert "errors of the ADC" not in what_is_in(built(Study(adc="sar"), Core("A"), CELL).to_dict())
    designs = [{"name": "A", "core": fresh}, {"name": "B", "core": fresh}]
    assert caption_of_parts(designs) == f"In every row: {what_is_in(fresh)}."
    assert own_parts(designs) == ["", ""]
    # What rows share is said once, what sets them apart at each.
    mixed = [designs[0], {"name": "B", "core": full}]
    alone, more = own_parts(mixed)
    assert alone == "no age, no periphery, no trim, no wires"
    assert "wires (R_p_hat 1e-05)" in more
    assert "cells" not in more
    caption = caption_of_parts(mixed)
    assert caption.startswith("In every row: cells (sonos_40nm_tcas2022). In A: no age")
    assert caption.endswith(f"In B: {more}.")


def test_a_study_keeps_its_parts_in_file_command_and_result(tmp_path: Path) -> None:
    study = Study(
        designs=("A",), device="sonos_40nm_tcas2022", images=20, calibration_images=30, trials=2, batch_size=20,
        peripherals="sized", corrections=("column_trim",), temperature="300 K", r_s_hat=1e-6, feed="far",
    )  # fmt: skip
    assert Study.load(study.save(tmp_path / "study.toml")) == study
    words = command_line(
        {key: value for key, value in study.model_dump(mode="json").items() if value not in (None, "", [])}
    )
    assert "--correct column_trim" in words
    assert "--peripherals sized" in words
    assert "--temperature '300 K'" in words
    assert "--r-s-hat 1e-06 --feed far" in words
    with pytest.raises(StudyError, match=r"corections.*corrections"):
        Study.make({"corections": ["column_trim"]})
    network, cache = load_network(study), ResultCache(tmp_path)
    plain = study.model_copy(update={"temperature": None, "r_s_hat": None, "feed": None})
    with_trim = built(plain, Core("A"), CELL)
    without = with_trim.replace(corrections=())
    found, untrimmed = (
        evaluate_design(study, network, NetworkCores(core), cache, lambda *_: None) for core in (with_trim, without)
    )
    assert found["accuracy"]["mean"] > untrimmed["accuracy"]["mean"] + 0.2


def test_a_periphery_that_costs_the_network_is_named_with_what_it_would_take() -> None:
    cores = [NetworkCores(built(Study(), Core(name), CELL)) for name in ("A", "E")]
    designs = [
        {"stages": [{"name": "cells", "accuracy": {"mean": 0.95}}], "accuracy": {"mean": mean}} for mean in (0.94, 0.31)
    ]
    (remark,) = costly_periphery(designs, cores)
    # 1152 rows of E in 16 arrays of 72, four slices, eight input bits.
    assert remark.startswith("E: ")
    assert "64 points" in remark
    assert f"adds up {16 * 4 * 8} conversions" in remark
    ideal = [NetworkCores(built(Study(peripherals="ideal"), Core(name), CELL)) for name in ("A", "E")]
    assert costly_periphery(designs, ideal) == []
