"""Against aihwkit, another simulator of analog inference: codes of a product, cells that age, a network a day later.

It runs where aihwkit can be imported; `make test-all` installs it in a folder of its own. Its tiles in plain torch are
used, for its compiled ones need not fit this torch.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import accuracy
from accuracy import AnalogMatrix
from circuits import Core, CoreDesign
from devicekit import load_device

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("aihwkit") is None, reason="no aihwkit beside this torch"),
    pytest.mark.filterwarnings("ignore"),
]
SECOND, HOUR, DAY = 1.0, 3600.0, 86400.0
CELLS = 200_000
T_0 = 20.0
"""Its clock starts when cells were first read [s after programming]."""


def imported(module: str) -> Any:
    """A module that warns while it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)


def peer(module: str) -> Any:
    """A module of aihwkit."""
    return imported(f"aihwkit.{module}")


def tile_settings() -> Any:
    """Settings of tiles in plain torch whose reads are free of noise."""
    settings = peer("simulator.configs").TorchInferenceRPUConfig()
    settings.forward.inp_noise = settings.forward.out_noise = settings.forward.w_noise = 0.0
    settings.mapping.weight_scaling_omega = 0.0
    settings.mapping.digital_bias = True
    return settings


@pytest.mark.parametrize("bits", [4, 6, 8])
@pytest.mark.parametrize("reach", [2.0, 5.0, 60.0])
def test_codes_of_a_product(bits: int, reach: float) -> None:
    """Weights of seven bits, signed inputs and outputs of equal bits, some of them beyond the ADC's range."""
    random = np.random.default_rng(0)
    integers = random.integers(-127, 128, (60, 20))
    integers[0, 0] = 127
    weight, x = integers / 127, random.uniform(-1.1, 1.1, (200, 60))
    settings, enums = tile_settings(), peer("simulator.parameters.enums")
    settings.forward.inp_res = settings.forward.out_res = 1 / (2**bits - 2)
    settings.forward.inp_bound, settings.forward.out_bound = 1.0, reach
    settings.forward.noise_management = enums.NoiseManagementType.NONE
    settings.forward.bound_management = enums.BoundManagementType.NONE
    layer = peer("nn").AnalogLinear(60, 20, bias=False, rpu_config=settings).eval()
    layer.set_weights(torch.tensor(weight.T, dtype=torch.float32), None)
    with torch.no_grad():
        theirs = layer(torch.tensor(x, dtype=torch.float32)).numpy()
    ours = AnalogMatrix(weight, CoreDesign(input_bits=bits, adc_bits=bits), adc_range=(-reach, reach))
    code = reach / (2 ** (bits - 1) - 1)
    apart = np.abs(theirs - np.asarray(ours.matmul(x, signed=True))) / code
    # A sum half way between two codes may be rounded either way.
    levels = 2 ** (bits - 1) - 1
    exact = np.rint(levels * np.clip(x, -1, 1)) / levels @ weight / code
    tied = np.abs(exact - np.floor(exact) - 0.5) < 1e-3
    assert tied.mean() < 0.01
    assert apart[~tied].max() < 1e-3
    assert apart.max() < 1 + 1e-3


@pytest.mark.parametrize("age", [T_0, HOUR, DAY])
@pytest.mark.parametrize("g", [0.05, 0.1, 0.3, 0.6, 1.0])
def test_cells_of_phase_change_memory(g: float, age: float) -> None:
    """Programmed, drifted and with 1/f noise; their programming error is another fit of one figure."""
    model = peer("inference.noise.pcm").PCMLikeNoiseModel(g_max=25.0)
    torch.manual_seed(round(1000 * g + age))
    target = torch.full((CELLS,), 25.0 * g)
    programmed = model.apply_programming_noise_to_conductance(target)
    exponents = model.generate_drift_coefficients(target)
    # At the first read ours holds what that read found, theirs the noise since programming as well.
    drawn = programmed if age == T_0 else model.apply_drift_noise_to_conductance(programmed, exponents, age - T_0)
    cell = load_device("pcm_joshi2020").at(time=0 if age == T_0 else age)
    # Arrays clip at 0, as theirs do here.
    ours = np.maximum(cell.program(np.full(CELLS, g * cell.i_max), seed=0), 0.0) * (25.0 / cell.i_max)
    spread = float(drawn.std())
    assert ours.mean() == pytest.approx(float(drawn.mean()), abs=0.02 * spread + 0.01 * 25 * g)
    assert ours.std() == pytest.approx(spread, rel=0.08)


@pytest.mark.parametrize("us", [4.0, 10.0, 20.0, 30.0, 39.0])
def test_cells_of_resistive_memory_lie_between_a_second_and_a_day(us: float) -> None:
    """Read off one publication twice; ours contains the relaxation of its measurement and no retention beyond it."""
    model = peer("inference.noise.reram").ReRamWan2022NoiseModel(g_max=40.0, coeff_g_max_reference=40.0)
    x = us / 40.0
    after = {time: sum(own * x**power for power, own in enumerate(model.coeff_dic[time])) for time in (SECOND, DAY)}
    cell = load_device("reram_wan2022")
    assert after[SECOND] < float(cell.sigma(us * 1e-7)) * 1e7 < after[DAY]


CASES = {"25 s": 25.0, "1 hour": HOUR, "1 day": DAY}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("age", "compensated"), [("25 s", False), ("1 hour", False), ("1 hour", True), ("1 day", True)]
)
def test_a_network_on_phase_change_memory(shared_data: Path, age: str, compensated: bool) -> None:
    """ResNet-20 with exact inputs and outputs: its accuracy on their cells and on ours, with one gain a layer or none.

    Theirs finds the gain with one-hot inputs right after programming, ours with training images against ideal cells.
    """
    images, draws = 300, 5
    network = imported("torch.fx.experimental.optimization").fuse(
        accuracy.networks.load("resnet20_cifar10", shared_data).eval()
    )
    data = accuracy.data_sets.load("cifar10", shared_data)
    batches = list(data.batches("test", 100, images))
    settings = tile_settings()
    settings.forward.is_perfect = True
    settings.noise_model = peer("inference.noise.pcm").PCMLikeNoiseModel(g_max=25.0)
    settings.drift_compensation = peer("inference").GlobalDriftCompensation() if compensated else None
    analog = peer("nn.conversion").convert_to_analog(network, settings).eval()
    theirs = []
    for draw in range(draws):
        torch.manual_seed(draw)
        with torch.no_grad():
            analog.program_analog_weights()
            analog.drift_analog_weights(CASES[age] - T_0)
            theirs.append(_right(analog, batches) / images)
    design = CoreDesign(input_bits=None, bits_per_input_slice=None, input_encoding="voltage", adc_bits=None)
    core = Core(design, cell="pcm_joshi2020", age=age)
    model = accuracy.calibrate(accuracy.convert(network, core), data.batches("calibration", 100, 100))
    found = accuracy.evaluate(
        model,
        batches,
        draws,
        corrections=("drift",) if compensated else (),
        correction_batches=list(data.batches("calibration", 100, 100)),
    )
    spread = np.sqrt((np.var(theirs, ddof=1) + found.std**2) / draws)
    print(f"{age}, compensated: {compensated}: {np.mean(theirs):.2%} in aihwkit, {found.mean:.2%} here, ± {spread:.2%}")
    # Two points for the other fit of the programming error and the other way to find the gain.
    assert found.mean == pytest.approx(np.mean(theirs), abs=2.8 * spread + 0.02)


def _right(model: torch.nn.Module, batches: list[Any]) -> int:
    return sum(int((model(x).argmax(1) == y).sum()) for x, y in batches)
