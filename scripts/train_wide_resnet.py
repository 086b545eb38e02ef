"""Train a wide ResNet on CIFAR-10 as far as the time goes, then fine-tune it on bad cells; write weights and figures.

Run from the project's root: ``python scripts/train_wide_resnet.py SHARED OUT``, where SHARED is the folder of CIFAR-10.
Seeded, checkpointed: a run that was stopped goes on. Products in bfloat16 where the processor has them, so that weights
repeat exactly only on the same kind of processor. Trained on the 50 000 recompressed training images (JPEG) and
the 4000 lossless ones; the 1000 lossless test images are looked at once, at the end. The publication trains for 200
epochs on the lossless images; this network is trained for few, so that its digital accuracy is far from the published
one, and what cells cost it is the question.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from accuracy import calibrate, convert, data_sets, networks, training
from accuracy.data_sets.data_set import Batches, Images
from accuracy.networks.wide_resnet import WideResNet
from circuits import load_design
from devicekit import load_device
from devicekit.common.paths import replacing

BATCH, RATE, DECAY, SHIFT, SEED = 64, 0.1, 5e-4, 4, 0
NOISY = training.Training(
    epochs=1, learning_rate=3e-4, validation=0, distillation=1.0, weight_clip=3.5, mirror=True, shift=2,
    precision="bfloat16",
)  # fmt: skip


def pixels_of(shared: Path) -> Images:
    """Return the training images, lossless ones first."""
    first = data_sets.load("cifar10", shared).images("calibration")
    more = data_sets.load("cifar10_jpeg", shared).images("train")
    return Images(np.concatenate([first.pixels, more.pixels]), np.concatenate([first.labels, more.labels]))


def fit(model: nn.Module, data: Batches, epochs: int, checkpoint: Path) -> nn.Module:
    """Train from random weights: SGD with Nesterov momentum, along half a cosine after a short rise."""
    model.train().to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(model.parameters(), RATE, momentum=0.9, nesterov=True, weight_decay=DECAY)
    examples = len(data.images.labels)
    steps = examples // BATCH
    total = epochs * steps
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total, pct_start=0.15, cycle_momentum=False)
    done = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        rate.load_state_dict(state["rate"])
        done = state["done"]
    start, loss = time.time(), torch.zeros(())
    while done < total:
        epoch, step = divmod(done, steps)
        random = np.random.default_rng([SEED, epoch])
        order = random.permutation(examples)
        # What a step draws depends on its number alone, so that a run that goes on draws the same.
        draw = np.random.default_rng([SEED, epoch, step])
        chosen = torch.from_numpy(order[step * BATCH : (step + 1) * BATCH])
        images, labels = data.pick(chosen)
        images = nn.functional.pad(images, (SHIFT,) * 4)
        top, left, turned = draw.integers(0, 2 * SHIFT + 1), draw.integers(0, 2 * SHIFT + 1), draw.random(BATCH) < 0.5
        images = images[:, :, top : top + 32, left : left + 32]
        images = torch.where(torch.from_numpy(turned)[:, None, None, None], images.flip(-1), images)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(images.contiguous(memory_format=torch.channels_last))
        loss = nn.functional.cross_entropy(logits.float(), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rate.step()
        done += 1
        if done % 100 == 0 or done == total:
            print(f"{done}/{total} steps, loss {float(loss):.3f}, {time.time() - start:.0f} s", flush=True)
            with replacing(checkpoint) as temporary:
                state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "rate": rate.state_dict()}
                torch.save({**state, "done": done}, temporary)
    return model.eval().to(memory_format=torch.contiguous_format)


def main() -> None:
    """Train, fine-tune, compare; write weights and `wide_resnet.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=2, choices=(2, 4))
    parser.add_argument("--epochs", type=int, default=4, help="from random weights")
    parser.add_argument("--noisy-images", type=int, default=10_000, help="of the fine-tuning on cells")
    parser.add_argument("--trials", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    data = data_sets.load("cifar10", arguments.shared)
    pixels = pixels_of(arguments.shared)
    torch.manual_seed(SEED)
    name = f"wrn16_{arguments.width}"
    digital, trained = arguments.out / f"{name}.safetensors", arguments.out / f"{name}_noise_aware.safetensors"
    if not digital.exists():
        batches = Batches(pixels, data.preprocess, BATCH)
        model = fit(WideResNet(16, arguments.width), batches, arguments.epochs, arguments.out / f"{name}.pt")
        with replacing(digital) as temporary:
            save_file({key: value.contiguous() for key, value in model.state_dict().items()}, temporary)
    cell = dataclasses.replace(load_device("sonos_40nm_tcas2022"), error_scale=4.0)
    before, after = (
        calibrate(
            convert(networks.load(f"{name}_cifar10", digital), load_design("A"), cell, seed=0),
            data.batches("calibration", 100, 1000),
        )
        for _ in range(2)
    )
    chosen = np.random.default_rng(SEED).permutation(len(pixels.labels))[: arguments.noisy_images]
    examples = Batches(Images(pixels.pixels[chosen], pixels.labels[chosen]), data.preprocess, 50)
    result = training.train(
        after,
        examples,
        NOISY,
        checkpoint=arguments.out / f"{name}_noise_aware.pt",
        progress=lambda done, total: print(f"on cells: {done}/{total}", flush=True) if done % 20 == 0 else None,
    )
    save_file({key: value.contiguous() for key, value in result.network().state_dict().items()}, trained)
    found = training.compare(
        before, after, data.batches("test", 100), (0.25, 1.0), arguments.trials, 100,
        progress=lambda done, total: print(f"test: {done}/{total}", flush=True),
    )  # fmt: skip
    report = {"network": name, "epochs": arguments.epochs, **result.to_dict()}
    report["comparison"] = [one.to_dict() for one in found]
    with replacing(arguments.out / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(report, indent=1))
    for one in found:
        print(4 * one.error_scale, one.before.baseline, one.after.baseline, one.before.mean, one.after.mean, one.gain)
        print(one.gain_interval(), one.recovered, flush=True)


if __name__ == "__main__":
    main()
