"""Cores as built in accuracy: names and objects alike, an ADC's noise and transition levels, corrections, refusals."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from accuracy import (
    AnalogMatrix,
    CalibrationError,
    EvaluationError,
    analog_layers,
    calibrate,
    convert,
    evaluate,
    measure_activity,
)
from accuracy.kernels.plain_torch import PlainTorch
from accuracy.kernels.readout import kernel_for
from circuits import Adc, AdcKind, Core, CoreDesign, Faults, Wires, load_design, load_peripherals, register_adc_kind
from devicekit import DesignError, DeviceError, load_device
from tests.accuracy.small_networks import design, small_data, small_network

SONOS = "sonos_40nm_tcas2022"
DAY = 86400.0
ANALOG = CoreDesign(name="scalar", input_bits=None, bits_per_input_slice=None)
"""Inputs as they are, so that a 1 x 1 matrix hands a current straight to its ADC."""


def outputs(model: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return torch.cat([model(inputs) for inputs, _ in small_data(8, 8)])


def ready(*arguments: object, **keywords: object) -> nn.Module:
    return calibrate(convert(small_network(), *arguments, **keywords), small_data(32, seed=2))


# -- names and objects ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "r_p_hat"), [("A", 1e-6), ("E", 0.0)])
def test_a_core_a_design_and_a_name_make_the_same_network(name: str, r_p_hat: float, tmp_path: Path) -> None:
    cell, wired = load_device(SONOS), load_design(name).replace(r_p_hat=r_p_hat)
    parts = {"peripherals": "sonos_40nm", "faults": Faults(0.001)}
    wanted = outputs(ready(wired, cell, 3, load_peripherals("sonos_40nm", wired), "affine", faults=Faults(0.001)))
    core = Core(name, SONOS, wires=Wires(r_p_hat, "affine"), **parts)
    path = core.save(tmp_path / "core.toml")
    for given in (core, path, f"{path}:{name}"):
        assert torch.equal(outputs(ready(given, seed=3)), wanted)
    assert not torch.equal(outputs(ready(name, cell, 3)), wanted)
    assert torch.equal(outputs(ready(name, SONOS)), outputs(ready(load_design(name), cell)))


def test_a_matrix_takes_them_too(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    weight, x = random.normal(0, 0.1, (40, 5)), random.random((3, 40))
    wanted = AnalogMatrix(weight, load_design("A"), load_device(SONOS), "full", 1).matmul(x)
    path = Core("A", SONOS).save(tmp_path / "core.toml")
    for given, cell in ((Core("A", SONOS), None), (path, None), ("A", SONOS), (Core("A"), SONOS)):
        assert np.array_equal(AnalogMatrix(weight, given, cell, "full", 1).matmul(x), wanted)
    old = load_device(SONOS).at(time=DAY)
    aged = AnalogMatrix(weight, Core("A", SONOS, age=DAY), None, "full", 1).matmul(x)
    assert np.array_equal(aged, AnalogMatrix(weight, "A", old, "full", 1).matmul(x))


@pytest.mark.parametrize("thing", [3, None, ["A"], small_network()])
def test_what_is_no_core_is_refused_by_name(thing: object) -> None:
    expected = f"Expected a core, a design or a name, but got {type(thing).__name__}"
    with pytest.raises(DesignError, match=expected):
        convert(small_network(), thing)
    with pytest.raises(DesignError, match=expected):
        AnalogMatrix(np.ones((2, 2)), thing)
    with pytest.raises(DesignError, match=expected):
        convert(small_network(), "A", overrides={"fc": thing})


@pytest.mark.parametrize(
    ("part", "own", "message"),
    [
        ("cell", 3, "Expected a device's name or the path of its file, but got 3"),
        ("peripherals", 3, "Expected peripherals, their name or their file, but got int"),
        ("adc", 3, "Expected an ADC, the name of a kind or the path of a file, but got int"),
        ("faults", 3, "Expected `faults` to be Faults, but got int"),
        ("bit_line", "resister", "Unknown bit-line model 'resister'"),
        ("adc", "sarr", "Unknown ADC 'sarr'"),
    ],
)
def test_parts_of_the_wrong_kind_are_refused_by_name(part: str, own: object, message: str) -> None:
    error = DeviceError if part == "cell" else DesignError
    with pytest.raises(error, match=message):
        convert(small_network(), "A", **{part: own})
    with pytest.raises(error, match=message):
        AnalogMatrix(np.ones((2, 2)), "A", **{part: own})


def test_a_part_beside_one_of_the_core_s_own_is_refused() -> None:
    core = Core("A", SONOS, "sar", "sonos_40nm", Wires(bit_line="affine"), faults=Faults(0.1))
    values = {"cell": SONOS, "adc": "sar", "peripherals": "sonos_40nm", "bit_line": "affine", "faults": Faults(0.1)}
    for part, value in values.items():
        own = "wires" if part == "bit_line" else part
        with pytest.raises(DesignError, match=f"`{own}` is given beside the core 'A', which has its own"):
            convert(small_network(), core, **{part: value})
        with pytest.raises(DesignError, match=f"`{own}` is given beside the core 'A', which has its own"):
            AnalogMatrix(np.ones((2, 2)), core, **{part: value})
    with pytest.raises(DesignError, match="Core 'A' has `age`, which says nothing without a cell"):
        convert(small_network(), Core("A", age=DAY))


def test_overrides_are_cores_designs_or_names() -> None:
    def layers(model: nn.Module) -> dict[str, Core]:
        return {layer.name: layer.core for layer in analog_layers(model)}

    core = Core("A", SONOS, peripherals="sonos_40nm", wires=Wires(bit_line="affine"), faults=Faults(0.1))
    own = Core("D", "sonos_40nm_iedm2022", faults=Faults(0.2))
    found = layers(convert(small_network(), core, overrides={"conv1": own, "fc": "E", "conv2": load_design("B")}))
    assert found["conv1"] == own.replace(peripherals=core.peripherals, wires=Wires(bit_line="affine"))
    assert found["fc"].design == load_design("E")
    for name in ("fc", "conv2"):
        assert (found[name].cell, found[name].faults, found[name].bit_line) == (core.cell, core.faults, "affine")
    # A name given beside the design is looked up for the use that each design makes of it.
    by_name = layers(convert(small_network(), "A", peripherals="sonos_40nm", overrides={"fc": "E"}))
    assert by_name["conv1"].peripherals.name == "sonos_40nm"
    assert by_name["fc"].peripherals.name == "sonos_40nm_one_bit_unsigned"
    with pytest.raises(DesignError, match="Corrections are made for the whole network"):
        convert(small_network(), "A", overrides={"fc": Core("A", corrections="drift")})


# -- the ADC ----------------------------------------------------------------------------------------------------------


def scalar(adc: Adc | str, *, bits: int = 8, seed: int = 0, design: CoreDesign = ANALOG) -> AnalogMatrix:
    """A 1 x 1 matrix of weight 1: its ADC reads the input."""
    reach = (-1.0, 1.0) if design.symmetric_adc() else (0.0, 1.0)
    return AnalogMatrix(np.ones((1, 1)), design.replace(adc_bits=bits), None, reach, seed, adc=adc)


@pytest.mark.parametrize(("bits", "enob"), [(8, 7.2), (8, 5.5), (10, 8.0)])
def test_enob_is_the_signal_to_noise_ratio_of_a_conversion(bits: int, enob: float) -> None:
    """Sines of many amplitudes about 1 dB below full scale: 6.02 ENOB + 1.76 dB at full scale."""
    matrix, random = scalar(Adc("sar", enob=enob), bits=bits), np.random.default_rng(4)
    phase = random.uniform(0, 2 * math.pi, 2000)
    basis = np.stack([np.sin(phase), np.cos(phase), np.ones(phase.size)], axis=1)
    noise = []
    for amplitude in random.uniform(0.85, 0.95, 6):
        read = matrix.matmul(amplitude * np.sin(phase)[:, None], signed=True)[:, 0]
        noise.append(np.linalg.lstsq(basis, read, rcond=None)[1][0] / phase.size)
    found = 10 * np.log10(0.5 / np.mean(noise))
    # 2**bits - 1 codes span the symmetric range: its LSB is that much larger.
    law = 6.0206 * enob + 1.7609 - 20 * np.log10(2**bits / (2**bits - 2))
    assert found == pytest.approx(law, abs=0.2)  # three standard errors of 12 000 samples


@pytest.mark.parametrize("symmetric", [True, False])
def test_transition_levels_against_a_direct_table_look_up(symmetric: bool) -> None:
    random = np.random.default_rng(5)
    levels = np.sort(np.arange(255) + 0.5 + 0.7 * random.standard_normal(255))
    offset = CoreDesign(name="unsigned", input_bits=None, bits_per_input_slice=None, subtraction="digital")
    matrix = scalar(Adc("sar", thresholds_lsb=tuple(levels)), design=ANALOG if symmetric else offset)
    x = random.uniform(-1 if symmetric else 0, 1, 500)
    read = matrix.matmul(x[:, None], signed=symmetric)[:, 0]
    for value, found in zip(x, read, strict=True):
        if symmetric:
            code = max(sum(level <= (value + 1) * 127 + 1 for level in levels), 1) - 128
            assert found == pytest.approx(code / 127, abs=1e-12)
        else:
            # The empty line of the pair is converted too, to the code of its own zero.
            code = sum(level <= value * 255 for level in levels) - sum(level <= 0 for level in levels)
            assert found == pytest.approx(code / 255, abs=1e-12)


def test_inl_moves_readings_by_what_it_says() -> None:
    """A bow of 3 LSB reads 3 LSB too high in the middle and right at the ends; noise comes on top."""
    matrix, ideal = scalar(Adc("flash", inl_lsb=(0.0, 3.0, 0.0))), scalar("flash")
    x = np.linspace(-1, 1, 1001)[:, None]
    moved = (matrix.matmul(x, signed=True) - ideal.matmul(x, signed=True))[:, 0] * 127
    bow = 3 * (1 - np.abs(x[:, 0]))
    assert np.abs(moved - bow).max() <= 1.05
    assert np.abs((moved - bow).mean()) < 0.03
    noisy = scalar(Adc("flash", inl_lsb=(3.0, 3.0), noise_lsb=2.0))
    scatter = (noisy.matmul(np.zeros((4000, 1)), signed=True)[:, 0]) * 127
    assert scatter.mean() == pytest.approx(3.0, abs=0.1)
    assert scatter.std() == pytest.approx(math.sqrt(4 + 1 / 12), rel=0.03)


def test_noise_follows_the_seed_and_not_the_batch_size() -> None:
    core = Core("E", SONOS, Adc("sar", enob=6.0))
    model = ready(core)
    scored = lambda out, _: out[:, 0].to(torch.float64)  # noqa: E731
    runs = [evaluate(model, small_data(8, batch), 2, seed=7, metric=scored).scores for batch in (8, 3)]
    np.testing.assert_allclose(runs[0], runs[1], rtol=0, atol=1e-5)
    assert np.array_equal(evaluate(ready(core), small_data(8, 8), 2, seed=7, metric=scored).scores, runs[0])
    assert not np.array_equal(evaluate(model, small_data(8, 8), 2, seed=8, metric=scored).scores, runs[0])


def test_errors_of_the_adc_are_drawn_after_the_cells() -> None:
    """The same seed programs the same cells, whatever the ADC; ideal-cell accuracy sees quantisation only."""
    plain, noisy = ready(Core("A", SONOS)), ready(Core("A", SONOS, Adc("sar", enob=5.0, inl_lsb=(0, 2, -2, 0))))
    for one, other in zip(analog_layers(plain), analog_layers(noisy), strict=True):
        assert np.array_equal(one.array.conductances, other.array.conductances)
    results = [evaluate(model, small_data(), 2) for model in (plain, noisy)]
    assert (results[0].ideal, results[0].baseline) == (results[1].ideal, results[1].baseline)
    assert not torch.equal(outputs(plain), outputs(noisy))


@pytest.mark.parametrize("adc", ["ramp", "sar", "flash", Adc("sar", bits=8, enob=8.0, energy="1 pJ")])
def test_an_ideal_adc_changes_no_bit_and_no_kernel(adc: Adc | str) -> None:
    plain, given = ready("A", SONOS), ready(Core("A", SONOS, adc))
    assert torch.equal(outputs(plain), outputs(given))
    layer = analog_layers(given)[0]
    seen = []

    def look(own: nn.Module, x: torch.Tensor) -> torch.Tensor:
        from accuracy.kernels.protocol import Reading

        how = Reading(own.require_calibration().scale, own.require_calibration().signed, own.adc_ranges())
        seen.append(type(kernel_for(own.array, how)))
        return own.array_outputs(x, relu=own.relu)

    layer.stand_in = look
    outputs(given)
    layer.stand_in = None
    assert seen
    assert PlainTorch not in seen


def test_the_core_s_adc_takes_the_place_of_the_one_characterised() -> None:
    model = load_peripherals("sonos_40nm")
    random = np.random.default_rng(1)
    weight, x = random.normal(0, 0.1, (40, 3)), np.repeat(random.random((1, 40)), 1000, axis=0)

    def noise(**parts: object) -> float:
        read = AnalogMatrix(weight, Core("A", peripherals="sonos_40nm", **parts), None, (-2, 2)).matmul(x)
        return float(read.std(axis=0).mean()) / (np.abs(weight).max() * 4 / 254)

    rounded = 1 / 12
    own, front = model.noise_lsb, model.without_adc().noise_lsb
    assert noise() == pytest.approx(math.sqrt(own**2 + rounded), rel=0.1)
    assert noise(adc="sar") == pytest.approx(math.sqrt(front**2 + rounded), rel=0.1)
    assert noise(adc=Adc("sar", noise_lsb=1.5)) == pytest.approx(math.sqrt(front**2 + 1.5**2 + rounded), rel=0.05)


def test_an_adc_s_errors_need_a_range() -> None:
    assert AnalogMatrix(np.ones((2, 2)), "A", adc="sar") is not None
    with pytest.raises(CalibrationError, match="errors of an ADC, act on an ADC's range: give `adc_range`"):
        AnalogMatrix(np.ones((2, 2)), "A", adc=Adc("sar", enob=7))
    with pytest.raises(DesignError, match="has no ADC"):
        convert(small_network(), design("A", adc_bits=None), adc=Adc("sar", enob=7))


@pytest.mark.usefixtures("own_registry")
def test_a_kind_from_outside_brings_its_errors() -> None:
    @register_adc_kind
    class Coarse(AdcKind):
        name, label, cycles = "coarse", "coarse ADC", "1"

        @classmethod
        def thresholds_lsb(cls, bits: int) -> np.ndarray:
            return np.repeat(np.arange(1, 2**bits, 2), 2)[: 2**bits - 1] + 0.5

    read = scalar("coarse").matmul(np.linspace(-1, 1, 999)[:, None], signed=True)[:, 0]
    ideal = scalar("ramp").matmul(np.linspace(-1, 1, 999)[:, None], signed=True)[:, 0]
    assert np.unique(ideal).size == 255
    assert np.unique(read).size == 128, "every other code is missing"
    assert np.abs(read - ideal).max() <= 1.01 / 127
    assert not torch.equal(outputs(ready("A", adc="coarse")), outputs(ready("A")))


# -- corrections, age -------------------------------------------------------------------------------------------------


def test_the_core_s_corrections_are_made_unless_the_caller_says_otherwise() -> None:
    training, data = small_data(16, seed=2), small_data(16)
    core = Core("A", SONOS, peripherals="sonos_40nm", corrections=["drift", "column_trim"])
    model, plain = ready(core), ready(core.replace(corrections=()))
    scored = lambda out, _: out[:, 0].to(torch.float64)  # noqa: E731

    def scores(own: nn.Module, **keywords: object) -> np.ndarray:
        return evaluate(own, data, 2, seed=1, metric=scored, **keywords).scores

    made = scores(model, correction_batches=training)
    assert np.array_equal(made, scores(plain, corrections=("drift", "column_trim"), correction_batches=training))
    assert np.array_equal(scores(model, corrections=()), scores(plain))
    assert not np.array_equal(made, scores(plain))
    only_drift = scores(model, corrections=("drift",), correction_batches=training)
    assert np.array_equal(only_drift, scores(plain, corrections=("drift",), correction_batches=training))
    with pytest.raises(
        EvaluationError, match=r"The core 'A' is corrected after programming \(drift, column_trim\).*corrections=\(\)"
    ):
        evaluate(model, data, 1)
    with pytest.raises(EvaluationError, match=r"Unknown correction 'trim'"):
        evaluate(model, data, 1, corrections=("trim",))


def test_activity_is_of_the_cells_as_they_are_read() -> None:
    """Mean of `Cell.mean` over what every cell is programmed to."""
    training = small_data(8, seed=2)
    for core in (Core("A", SONOS), Core("A", SONOS, age=5 * DAY, temperature=340.0), Core("E", SONOS, temperature=340)):
        model = ready(core)
        for name, found in measure_activity(model, training).items():
            layer = next(layer for layer in analog_layers(model) if layer.name == name)
            targets = layer.array.targets
            read = targets if core.cell.is_fresh else core.cell.mean(targets * core.cell.i_max) / core.cell.i_max
            assert found.mean_conductance == pytest.approx(read.mean(axis=(1, 2, 3)), rel=1e-12)
