"""The torch form on an accelerator against the host: the same codes but where a current lies on the border of two."""

import pytest
import torch
from torch import nn

from accuracy import analog_layers, calibrate, convert, evaluate
from accuracy.evaluation import trials
from accuracy.kernels import finite_checks, readout
from accuracy.kernels.plain_torch import PlainTorch
from accuracy.mapping.adc import given_adc_ranges
from circuits import CoreDesign, load_designs
from devicekit import Cell, StateIndependent

DESIGNS = load_designs("xiao2022")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 20, 3, padding=1), nn.ReLU(), nn.Conv2d(20, 9, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(225, 10)
    ).eval()


@needs_gpu
@pytest.mark.parametrize("name", ["A", "C", "D", "E"])
def test_a_network_converts_calibrates_and_evaluates_there_as_on_the_host(name: str) -> None:
    x, labels = torch.rand(24, 3, 12, 12, generator=torch.Generator().manual_seed(1)), torch.zeros(24).long()
    found = {}
    for device in ("cpu", "cuda"):
        model = convert(network().to(device), DESIGNS[name], "sonos_40nm_tcas2022", seed=2)
        calibrate(model, [(x, labels)])
        with torch.no_grad():
            found[device] = model(x.to(device)).cpu()
        assert evaluate(model, [(x, labels)], trials=1).trials.shape == (1,)
        assert sum(layer.array.inputs_clipped for layer in analog_layers(model)) > 0
    scale = float(found["cpu"].abs().max())
    # A code that falls otherwise moves an output by a share of its range; few do.
    assert float((found["cpu"] - found["cuda"]).abs().median()) < 1e-3 * scale


def test_the_constants_of_an_adc_are_made_once_for_a_device() -> None:
    """A tensor made anew for each layer is a copy to the device, and a copy waits for all that was asked before."""
    ranges = given_adc_ranges(CoreDesign(), False, (-1.0, 1.0))
    adc = ranges.uniform(2)
    assert given_adc_ranges(CoreDesign(), False, (-1.0, 1.0)).uniform(2) is adc
    v = torch.linspace(-2, 2, 12).reshape(3, 2, 2)
    with torch.inference_mode():
        first = adc.read(v)
    edges = adc._edges(v.device, v.dtype)
    assert all(one is two for one, two in zip(edges, adc._edges(v.device, v.dtype), strict=True))
    assert torch.equal(adc.read(v.clone().requires_grad_()), first)
    assert adc.read(v.double()).dtype == torch.float64


class Reciprocal(nn.Module):
    """1 / x: infinite where x is 0."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1.0 / x


@pytest.mark.parametrize("zeros", [False, True], ids=["finite", "infinite in the third batch"])
def test_an_accelerator_is_asked_once_a_batch_whether_inputs_are_finite(
    zeros: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happens on an accelerator, on the host: the same results, noise and counts as asked at every layer."""
    monkeypatch.setattr(readout, "KERNELS", [PlainTorch()])
    torch.manual_seed(0)
    network = nn.Sequential(Reciprocal(), nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 3))
    cell = Cell(error=StateIndependent(0.05), read_noise=StateIndependent(0.05), i_max=1.6e-6, on_off_ratio=1e3)
    x = torch.rand(40, 12, generator=torch.Generator().manual_seed(1)) + 0.5
    labels = torch.randint(3, (40,), generator=torch.Generator().manual_seed(2))
    model = calibrate(convert(network.eval(), DESIGNS["A"], cell, seed=2), [(x, labels)])
    x = x.clone()
    if zeros:
        x[25] = 0.0
    data = list(zip(x.split(10), labels.split(10), strict=True))
    expected = evaluate(model, data, trials=2)
    asked: list[bool] = []
    whole, ask = finite_checks.FiniteChecks.all_finite, finite_checks.is_finite

    def count(checks: finite_checks.FiniteChecks) -> bool:
        asked.append(whole(checks))
        return asked[-1]

    monkeypatch.setattr(trials, "waits_for_answers", lambda device: True)
    monkeypatch.setattr(finite_checks.FiniteChecks, "all_finite", count)
    found = evaluate(model, data, trials=2)
    assert ask(torch.tensor([1.0]))
    assert not ask(torch.tensor([float("nan")]))
    assert found.per_trial.tolist() == expected.per_trial.tolist()
    assert found.clipped_inputs == expected.clipped_inputs
    # The batch with an infinite input runs again in the passes on arrays: two trials and ideal cells.
    assert asked.count(False) == (3 if zeros else 0)
    assert len(asked) == 4 * 4 + asked.count(False)
