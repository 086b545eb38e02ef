"""Virtual ground and supply lines before conversion: what a matrix reads, against Kirchhoff's laws of its arrays."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import accuracy
from circuits import (
    Core,
    CoreDesign,
    EnvelopeWarning,
    Wires,
    load_core,
    load_design,
    load_peripherals,
    load_transistor_cell,
    solve_bit_lines,
)
from circuits.bit_line.envelope import forget_warnings
from circuits.bit_line.resistances import LineResistances
from devicekit import Cell, DesignError, StateIndependent
from tests.reference.array_reference import solve_array

CELL = Cell(error=StateIndependent(0.02), i_max=1.6e-6, on_off_ratio=1e3, read_voltage=0.1)


def expected(matrix, x, lines):
    """Read the matrix array by array: a slice is an array of its own, cut after `matrix_columns` columns."""
    design = matrix.design
    cells = np.asarray(matrix.array.conductances)
    slices, sides, _, columns = cells.shape
    mapping = matrix.array.mapping
    own = columns - (1 if design.has_unit_column else 0)
    starts = list(range(0, own, design.matrix_columns))
    integers = np.rint(x * 255).astype(int)
    total = np.zeros((len(x), columns))
    for number, row_part in enumerate(mapping.partitions):
        for s in range(slices):
            for start in starts:
                end = columns if start == starts[-1] else start + design.matrix_columns
                # Side by side: both lines of the first column, then of the second.
                sub = cells[s, :, row_part, start:end].transpose(1, 2, 0).reshape(row_part.stop - row_part.start, -1)
                for sample, inputs in enumerate(integers):
                    current = np.zeros(sub.shape[1])
                    for bit in range(8):
                        on = (inputs[row_part] >> bit & 1).astype(bool)
                        current += 2**bit / 255 * solve_array(sub, on, **lines)
                    lines_of = current.reshape(-1, sides)
                    read = lines_of[:, 0] - lines_of[:, 1] if sides == 2 else lines_of[:, 0]
                    factors = matrix.array.factors.numpy()[number, s, start:end]
                    total[sample, start:end] += factors * read
        if matrix.array.sum_factors is not None:
            total += (integers[:, row_part].sum(axis=1) / 255)[:, None] * matrix.array.sum_factors.numpy()[number]
    if design.has_unit_column:
        total = total[:, :own] - total[:, own:]
    return total * np.asarray(matrix.array.step)


@pytest.mark.parametrize("feed", ["readout", "far", "rows"])
@pytest.mark.parametrize("form", ["differential", "offset", "offset_unit_column"])
def test_matrix_reads_what_its_arrays_carry(form, feed):
    rng = np.random.default_rng(1)
    weight, x = rng.normal(size=(14, 5)), rng.random((2, 14))
    design = CoreDesign(negative_weights=form, bits_per_cell=4, max_rows=8, matrix_columns=3)
    lines = {"r_p_hat": 1e-3, "r_in_hat": 0.02, "r_s_hat": 2e-3, "feed": feed}
    matrix = accuracy.AnalogMatrix(weight, Core(design, cell=CELL, wires=lines), seed=3)
    want = expected(matrix, x, lines)
    np.testing.assert_allclose(matrix.matmul(x), want, rtol=1e-9, atol=1e-10 * np.abs(want).max())
    single = matrix.matmul(torch.from_numpy(x).float()).numpy()
    np.testing.assert_allclose(single, want, atol=1e-4 * np.abs(want).max())


def test_columns_of_one_array_disturb_each_other_through_their_rows():
    """Lines along the rows join columns of one array, and nothing joins those of two."""
    rng = np.random.default_rng(2)
    weight, x = rng.normal(size=(20, 4)), rng.random((3, 20))
    weight[0, 0] = 5.0
    other = weight.copy()
    other[1:, 0] = 0.0
    wires = {"r_s_hat": 1e-3, "feed": "rows"}

    def last(matrix, columns):
        design = CoreDesign(matrix_columns=columns)
        return accuracy.AnalogMatrix(matrix, Core(design, wires=wires)).matmul(x)[:, -1]

    assert np.abs(last(weight, 4) - last(other, 4)).max() > 1e-4
    np.testing.assert_array_equal(last(weight, 2), last(other, 2))


def test_signed_inputs_meet_the_virtual_ground_phase_by_phase():
    rng = np.random.default_rng(4)
    weight, x = rng.normal(size=(30, 3)), rng.uniform(-1, 1, (5, 30))
    matrix = accuracy.AnalogMatrix(weight, Core("A", wires={"r_in_hat": 0.05}))
    phases = [matrix.matmul(np.rint(127 * part) / 127, signed=True) for part in (x.clip(0), x.clip(max=0))]
    np.testing.assert_allclose(matrix.matmul(np.rint(127 * x) / 127, signed=True), sum(phases), rtol=1e-12)


def test_a_network_with_a_virtual_ground_is_read_the_same_in_single_and_double():
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(6 * 36, 5)
    )
    x = torch.rand(4, 3, 6, 6)
    core = Core(load_design("A").replace(adc_bits=None), cell=CELL, wires={"r_in_hat": 8e-3, "r_p_hat": 1e-5})
    model = accuracy.calibrate(accuracy.convert(network, core), [(x, torch.zeros(4).long())])
    with torch.no_grad():
        single, double = model(x), model.double()(x.double())
    np.testing.assert_allclose(single.numpy(), double.numpy(), atol=1e-4 * float(double.abs().max()))
    ideal = accuracy.convert(network, core.replace(wires=None))
    accuracy.calibrate(ideal, [(x, torch.zeros(4).long())])
    with torch.no_grad():
        assert float((ideal(x) - single).abs().max()) > 0.01 * float(single.abs().max())


def test_envelope_warns_of_a_virtual_ground():
    forget_warnings()
    torch.manual_seed(0)
    network = torch.nn.Linear(400, 4, bias=False)
    x = torch.rand(6, 400)
    batches = [(x, torch.zeros(6).long())]
    core = Core("A", cell=CELL, wires={"r_in_hat": 2e-3})
    model = accuracy.calibrate(accuracy.convert(network, core), batches)
    with pytest.warns(EnvelopeWarning, match=r"R_in_hat = 0\.002"):
        accuracy.evaluate(model, batches, trials=2)
    closer = core.replace(wires={"r_in_hat": 2e-3, "bit_line": "relinearised"})
    with warnings.catch_warnings():
        warnings.simplefilter("error", EnvelopeWarning)
        accuracy.evaluate(accuracy.calibrate(accuracy.convert(network, closer), batches), batches, trials=2)


# -- cores ------------------------------------------------------------------------------------------------------------


def test_resistances_in_ohm_are_related_to_the_cell(tmp_path):
    core = Core("A", cell=CELL, wires={"input_resistance": "500 Ohm", "supply_resistance": 0.5, "feed": "rows"})
    assert core.lines == LineResistances(0.0, 500 * CELL.g_max, 0.5 * CELL.g_max, "rows")
    assert core.lines.r_in_hat == pytest.approx(8e-3)
    shown = core.to_dict()["wires"]
    assert (shown["input_resistance_ohm"], shown["r_in_hat"], shown["feed"]) == (500.0, pytest.approx(8e-3), "rows")
    core.save(tmp_path / "core.toml")
    assert load_core(tmp_path / "core.toml") == core


@pytest.mark.parametrize("name", list("ABCDE"))
def test_the_sized_circuit_is_asked_for_its_own_resistance(name, tmp_path):
    core = Core(name, cell="sonos_40nm_tcas2022", wires={"input_resistance": "sized"})
    sized = load_peripherals("sized", core.design)
    assert core.lines.r_in_hat == pytest.approx(sized.input_resistance_ohm * core.cell.g_max)
    assert 20 < sized.input_resistance_ohm < 130
    assert core.to_mapping()["wires"] == {"r_p_hat": 0.0, "bit_line": "resistor", "input_resistance": "sized"}
    core.save(tmp_path / "core.toml")
    assert load_core(tmp_path / "core.toml").lines == core.lines


@pytest.mark.parametrize(
    ("wires", "message"),
    [
        ({"r_in_hat": 0.1, "input_resistance": 5.0}, "`r_in_hat` or `input_resistance`, but got both"),
        ({"r_s_hat": -1.0}, "`r_s_hat` to be none, or finite and at least 0, but got -1.0"),
        ({"input_resistance": "seized"}, "input_resistance"),
        ({"feed": "row"}, r"Unknown `feed` 'row'\. Did you mean 'rows'"),
    ],
)
def test_impossible_wires_are_refused(wires, message):
    with pytest.raises(DesignError, match=message):
        Wires(**wires)


def test_the_input_resistance_stands_once():
    with pytest.raises(DesignError, match="leave one of them out"):
        Core("A", cell=CELL, peripherals="sized", wires={"r_in_hat": 1e-3})
    with pytest.raises(DesignError, match="one bit at a time or by pulse width"):
        Core(CoreDesign(input_encoding="voltage"), wires={"r_in_hat": 1e-3})
    with pytest.raises(DesignError, match=r"wires.input_resistance.*without a cell"):
        Core("A", wires={"input_resistance": "sized"}).require_cell()


def test_source_lines_of_cells_that_are_turned_round(tmp_path):
    """With drains on the bit line the line at the other end is the source line, and costs what the bit line did."""
    rng = np.random.default_rng(6)
    weight, x = rng.normal(size=(40, 4)), rng.random((4, 40))
    loss = {}
    ideal = accuracy.AnalogMatrix(weight, Core("A", cell=CELL), seed=1).matmul(x)
    for orientation in ("source", "drain"):
        wires = {"r_s_hat": 1e-3, "bit_line": "transistor", "orientation": orientation}
        core = Core("A", cell=CELL, wires=wires)
        assert load_core(core.save(tmp_path / f"{orientation}.toml")) == core
        matrix = accuracy.AnalogMatrix(weight, core, seed=1)
        loss[orientation] = np.abs(matrix.matmul(x) - ideal).max()
        cells = matrix.array.conductances[0]
        on = np.rint(255 * x).astype(int)
        model = load_transistor_cell(orientation=orientation)
        lines = [
            sum(
                2**bit
                / 255
                * solve_bit_lines(own, (on >> bit & 1).astype(bool), 0.0, "transistor", model=model, r_s_hat=1e-3)
                for bit in range(8)
            )
            for own in cells
        ]
        factors = matrix.array.factors.numpy()[0, 0]
        np.testing.assert_allclose(
            matrix.matmul(x), (lines[0] - lines[1]) * factors * np.asarray(matrix.array.step), rtol=1e-9, atol=1e-9
        )
    assert loss["drain"] > 5 * loss["source"]
    with pytest.raises(DesignError, match="a resistor has no source and drain"):
        Wires(r_s_hat=1e-3, orientation="drain")
