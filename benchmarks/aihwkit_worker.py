"""Run inside an environment that has aihwkit: time a network there, plain and analog, and print one line of JSON.

Call: python aihwkit_worker.py FOLDER ROUNDS, with FOLDER/network.pt (a traced module) and FOLDER/images.pt. It imports
nothing of devicekit.
"""

from __future__ import annotations

import importlib.metadata
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    import torch

    torch.set_num_threads(1)
    folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
    answer: dict[str, Any] = {"torch": torch.__version__, "aihwkit": importlib.metadata.version("aihwkit")}
    network = torch.load(folder / "network.pt", weights_only=False).eval()
    images = torch.load(folder / "images.pt")

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
