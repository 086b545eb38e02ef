"""ADCs drawn for each column: codes against the converters themselves, seeds, what columns share, every design."""

import numpy as np
import pytest
import torch

from accuracy import AnalogMatrix, analog_layers, evaluate
from accuracy.arrays.physics import Physics
from accuracy.kernels.plain_torch import PlainTorch
from accuracy.kernels.protocol import Reading
from accuracy.kernels.readout import kernel_for
from circuits import Adc, Core, load_designs
from circuits.adc_kinds import adc_kind
from tests.accuracy.small_networks import design, small_data
from tests.accuracy.test_cores import ANALOG, outputs, ready

SIGNED = ANALOG.replace(adc_bits=6)
UNSIGNED = ANALOG.replace(name="unsigned", negative_weights="offset", bits_per_cell=8, adc_bits=6)
CIRCUITS = {
    "ramp": {"bow_lsb": 2.0, "step_mismatch": 0.3, "comparator_offset_lsb": 1.0},
    "sar": {"capacitor_mismatch": 0.1, "comparator_offset_lsb": 1.0},
    "flash": {"comparator_offset_lsb": 0.7, "ladder_mismatch": 0.1},
    "pipeline": {"stage_gain_error": -0.05, "stage_gain_mismatch": 0.05, "comparator_offset_lsb": 5.0},
}


@pytest.mark.parametrize("kind", CIRCUITS)
def test_a_reading_is_the_code_of_its_own_column_s_adc(kind: str) -> None:
    """Columns of one cell each hand the input to their ADCs: a code at 0 in the middle, the lowest code unused."""
    matrix = AnalogMatrix(np.ones((1, 5)), SIGNED, None, (-1.0, 1.0), 3, adc=Adc(kind, circuit=CIRCUITS[kind]))
    x = np.random.default_rng(5).uniform(-1.1, 1.1, (400, 1))
    (converters,) = matrix.array.converters(0)
    values = np.repeat((x + 1) * 31, 5, axis=1)
    codes = np.maximum(converters.codes(values + 1) - 1, 0)
    np.testing.assert_allclose(matrix.matmul(x, signed=True), codes / 31 - 1, atol=1e-12)
    assert np.ptp(codes, axis=1).max() >= 1, "columns differ"


@pytest.mark.parametrize("kind", CIRCUITS)
def test_an_unsigned_range_uses_all_codes(kind: str) -> None:
    matrix = AnalogMatrix(np.ones((1, 4)), UNSIGNED, None, (0.0, 1.0), 3, adc=Adc(kind, circuit=CIRCUITS[kind]))
    x = np.linspace(0, 1, 300)[:, None]
    (converters,) = matrix.array.converters(0)
    held = (matrix.array.conductances[0, 0] * x).astype(np.float64)
    wanted = converters.codes(held * 63) / 63
    read = matrix.matmul(x) + 128 / 127 * x
    np.testing.assert_allclose(read, wanted * 255 / 127, atol=1e-9)


@pytest.mark.parametrize("kind", CIRCUITS)
def test_circuits_without_errors_are_the_ideal_adc_bit_for_bit(kind: str) -> None:
    zero = Adc(kind, circuit=dict.fromkeys(adc_kind(kind).circuit, 0.0))
    assert all(Physics.of(Core(name, adc=zero)).adc == () for name in load_designs("xiao2022"))
    same = ready(Core("A", "sonos_40nm_tcas2022", zero))
    assert all(layer.array.only_quantises for layer in analog_layers(same)), "and as fast"
    assert torch.equal(outputs(same), outputs(ready("A", "sonos_40nm_tcas2022")))


@pytest.mark.parametrize(
    ("name", "kind"), [("A", "ramp"), ("A", "sar"), ("B", "sar"), ("C", "flash"), ("D", "pipeline"), ("E", "ramp")]
)
def test_errors_act_in_every_design(name: str, kind: str) -> None:
    core = Core(name, adc=Adc(kind, circuit=CIRCUITS[kind]))
    own = outputs(ready(core))
    assert torch.isfinite(own).all()
    assert not torch.equal(own, outputs(ready(name)))


def test_a_faint_error_changes_little() -> None:
    """Codes differ by one where a value lies beside a transition: outputs move by no more than a few codes."""
    plain, faint = outputs(ready("A")), outputs(ready(Core("A", adc=Adc("sar", circuit={"capacitor_mismatch": 1e-4}))))
    assert float((plain - faint).abs().max()) < 0.05 * float(plain.abs().max())


def test_adcs_are_drawn_with_the_cells_and_leave_them_as_they_are() -> None:
    weight, x = np.random.default_rng(0).normal(0, 0.1, (40, 6)), np.random.default_rng(1).random((3, 40))
    adc = Adc("sar", circuit={"comparator_offset_lsb": 3.0})
    core = Core("A", "sonos_40nm_tcas2022", adc)
    one, same, other = (AnalogMatrix(weight, core, None, (-2, 2), seed) for seed in (1, 1, 2))
    plain = AnalogMatrix(weight, core.replace(adc=None), None, (-2, 2), 1)
    assert np.array_equal(one.conductances, plain.conductances)
    assert np.array_equal(one.matmul(x), same.matmul(x))
    assert not np.allclose(one.array.converters(0)[0].offsets, other.array.converters(0)[0].offsets)
    before = one.array.converters(0)
    one.array.program(5)
    assert not np.allclose(before[0].offsets, one.array.converters(0)[0].offsets)


def test_each_partition_slice_and_line_has_adcs_of_its_own_and_all_share_the_ramp() -> None:
    layout = design("A", max_rows=20, bits_per_cell=3, subtraction="digital")
    adc = Adc("ramp", circuit={"step_mismatch": 0.1, "comparator_offset_lsb": 1.0})
    matrix = AnalogMatrix(np.random.default_rng(0).normal(0, 0.1, (50, 4)), layout, None, (0, 2), adc=adc)
    found = [own for partition in range(3) for own in matrix.array.converters(partition)]
    assert len(found) == 3 * layout.slices * 2
    assert np.unique(np.concatenate([own.offsets for own in found])).size == 4 * len(found)
    assert all(np.array_equal(own.levels, found[0].levels) for own in found)


def test_noise_of_decisions_does_not_depend_on_the_batch() -> None:
    model = ready(Core("D", adc=Adc("sar", circuit={"comparator_noise_lsb": 0.5, "capacitor_mismatch": 0.02})))
    scored = lambda out, _: out[:, 0].to(torch.float64)  # noqa: E731
    runs = [evaluate(model, small_data(12, size), 2, seed=1, metric=scored).scores for size in (12, 5)]
    assert np.array_equal(*runs)


def test_the_general_path_reads_them() -> None:
    layer = analog_layers(ready(Core("A", adc="sar_40nm")))[0]
    assert isinstance(kernel_for(layer.array, Reading(1.0, False, None)), PlainTorch)
