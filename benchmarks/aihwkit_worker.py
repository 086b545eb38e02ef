"""Run inside an environment that has aihwkit: time a network there, plain and analog, and print one line of JSON.

Call: python aihwkit_worker.py FOLDER ROUNDS [training], with FOLDER/weights.pt (of ResNet-20, batch norm folded) and
FOLDER/images.pt. It imports nothing of devicekit.
"""

from __future__ import annotations

import importlib.metadata
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Two convolutions and a shortcut without parameters."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.stride, self.more = 1 if before == after else 2, (after - before) // 2
        self.conv1 = nn.Conv2d(before, after, 3, self.stride, 1)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (images, channels, height / stride, width / stride)."""
        y = self.conv2(torch.relu(self.conv1(x)))
        if self.stride == 2:
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))
        return torch.relu(x + y)


class Network(nn.Module):
    """ResNet-20 for 32 x 32 images, batch norm folded into its convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1)
        self.layer1 = nn.Sequential(*(Block(16, 16) for _ in range(3)))
        self.layer2 = nn.Sequential(Block(16, 32), Block(32, 32), Block(32, 32))
        self.layer3 = nn.Sequential(Block(32, 64), Block(64, 64), Block(64, 64))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        x = self.layer3(self.layer2(self.layer1(torch.relu(self.conv1(x)))))
        return self.linear(x.mean(dim=(2, 3)))


def time_training(network: nn.Module, images: torch.Tensor, rounds: int) -> dict[str, Any]:
    """Return processor time of a step of hardware-aware training, and its ratio to a step of plain training."""
    try:
        from aihwkit.nn.conversion import convert_to_analog
        from aihwkit.optim import AnalogSGD
        from aihwkit.simulator.configs import TorchInferenceRPUConfig
        from aihwkit.simulator.parameters.enums import WeightModifierType

        config = TorchInferenceRPUConfig()
        config.forward.inp_res = config.forward.out_res = 1 / 254
        config.forward.out_noise = config.forward.w_noise = 0.0
        config.modifier.type = WeightModifierType.ADD_NORMAL
        config.modifier.std_dev = 0.1
        analog = convert_to_analog(network, config).train()
        own = AnalogSGD(analog.parameters(), lr=1e-4)
        own.regroup_param_groups(analog)
        labels = torch.zeros(len(images), dtype=torch.int64)

        def steps(model: Any, optimiser: Any) -> float:
            started = time.process_time()
            for batch, target in zip(images.split(50), labels.split(50), strict=True):
                optimiser.zero_grad()
                functional.cross_entropy(model(batch), target).backward()
                optimiser.step()
            return (time.process_time() - started) / len(images.split(50))

        plain = torch.optim.SGD(network.parameters(), lr=1e-4)
        steps(network, plain), steps(analog, own)
        pairs = [(steps(network, plain), steps(analog, own)) for _ in range(rounds)]
        ratios = [slow / fast for fast, slow in pairs]
        return {
            "seconds": statistics.median(slow for _, slow in pairs),
            "ratio": statistics.median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
        }
    except Exception as error:
        # Whatever it is, the table says it.
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}


def main() -> None:
    torch.set_num_threads(1)
    folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
    answer: dict[str, Any] = {"torch": torch.__version__, "aihwkit": importlib.metadata.version("aihwkit")}
    network = Network().eval()
    network.load_state_dict(torch.load(folder / "weights.pt"))
    images = torch.load(folder / "images.pt")

    if sys.argv[3:] == ["training"]:
        answer["training"] = time_training(network, images, rounds)
        print(json.dumps(answer))
        return

    from aihwkit.nn.conversion import convert_to_analog
    from aihwkit.simulator import configs

    def evaluate(model: Any) -> float:
        started = time.perf_counter()
        with torch.inference_mode():
            for batch in images.split(100):
                model(batch)
        return time.perf_counter() - started

    for name in ("InferenceRPUConfig", "TorchInferenceRPUConfig"):
        try:
            config = getattr(configs, name)()
            # Eight bits at inputs and outputs, no noise of a single read: what our design A converts.
            config.forward.inp_res = config.forward.out_res = 1 / 254
            config.forward.out_noise = config.forward.w_noise = 0.0
            analog = convert_to_analog(network, config).eval()
            for module in analog.modules():
                if hasattr(module, "analog_module") and hasattr(module.analog_module, "program_weights"):
                    module.analog_module.program_weights()
            evaluate(network), evaluate(analog)
            pairs = [(evaluate(network), evaluate(analog)) for _ in range(rounds)]
            answer[name] = {
                "seconds": statistics.median(own for _, own in pairs),
                "ratio": statistics.median(own / plain for plain, own in pairs),
            }
        except Exception as error:
            # Whatever it is, the table says it.
            answer[name] = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
