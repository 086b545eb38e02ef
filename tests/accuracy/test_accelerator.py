"""The torch form on an accelerator against the host: the same codes but where a current lies on the border of two."""

import pytest
import torch
from torch import nn

from accuracy import analog_layers, calibrate, convert, evaluate
from accuracy.mapping.adc import given_adc_ranges
from circuits import CoreDesign, load_designs

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
