"""`devicekit accuracy`: what accuracy a network keeps on a core's analog arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from reports.commands.common import (
    JsonOption,
    SeedOption,
    Step,
    examples,
    print_json,
    print_note,
    print_table,
    progress,
)

_HEADINGS = {
    "design": "Design",
    "device": "Cells",
    "baseline": "Digital [%]",
    "ideal": "Ideal cells [%]",
    "mean": "Analog [%]",
    "std": "Std [%]",
    "loss": "Loss [%]",
    "trials": "Trials",
    "images": "Images",
}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "accuracy",
        epilog=examples(
            "devicekit accuracy A E --trials 3",
            "devicekit accuracy B --device sonos_40nm_iedm2022 --images 100 --trials 2 --json",
        ),
    )(accuracy)


def accuracy(
    designs: Annotated[
        list[str] | None, typer.Argument(help="Designs: names, or FILE:NAME for one of your own; A to E by default.")
    ] = None,
    network: Annotated[str, typer.Option(help="Network by name, or MODULE:FUNCTION of your own.")] = "digits_cnn",
    weights: Annotated[Path | None, typer.Option(help="Weight file; by default looked for in the data folder.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with the data set, for networks that need one.")] = None,
    data_set: Annotated[str | None, typer.Option(help="Data set by name; the network's own by default.")] = None,
    device: Annotated[
        str, typer.Option(help="Memory cell: a device name, a file, or 'ideal'.")
    ] = "sonos_40nm_tcas2022",
    trials: Annotated[int, typer.Option(help="How often the cells are programmed.")] = 10,
    images: Annotated[int | None, typer.Option(help="Test images to use; all by default.")] = None,
    calibration_images: Annotated[int | None, typer.Option(help="Training images for ranges; all by default.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images at a time; results do not depend on it.")] = 100,
    as_json: JsonOption = False,
    seed: SeedOption = 0,
) -> None:
    """Accuracy of a network on analog arrays, with ideal cells and with the device's errors."""
    from accuracy import calibrate, convert, evaluate, networks
    from accuracy.data_sets import load as load_data
    from circuits import load_design
    from devicekit import load_device

    chosen = {name: load_design(name) for name in designs or ["A", "B", "C", "D", "E"]}
    cell = None if device == "ideal" else load_device(device)
    # The user's own network takes its own weights; one known by name may have them beside its images.
    model = networks.load(network, weights or (None if ":" in network else data))
    loaded = load_data(data_set or networks.data_set(network), data)
    calibration = loaded.batches("calibration", batch_size, calibration_images)
    test = loaded.batches("test", batch_size, images)
    rows: list[dict[str, Any]] = []
    with progress("Accuracy", as_json=as_json) as step:
        for name, design in chosen.items():
            converted = convert(model, design, cell, seed=seed)
            calibrate(converted, calibration, progress=_stage(step, f"{name}: calibrating"))
            result = evaluate(converted, test, trials, seed, progress=_stage(step, f"{name}: evaluating"))
            rows.append(
                {
                    "design": name,
                    "device": device,
                    "network": network,
                    "baseline": result.baseline,
                    "ideal": result.ideal,
                    "mean": result.mean,
                    "std": result.std,
                    "loss": result.loss,
                    "per_trial": result.per_trial,
                    "trials": len(result.per_trial),
                    "images": result.images,
                    "clipped_inputs": result.clipped_inputs,
                }
            )
    used = min(calibration_images or loaded.size("calibration"), loaded.size("calibration"))
    if as_json:
        print_json({"network": network, "calibration_images": used, "seed": seed, "designs": rows})
        return
    shown = [
        {key: _percent(row[key]) if key in _PERCENT else row[key] for key in _HEADINGS if key in row} for row in rows
    ]
    print_table(shown, title=f"Accuracy of {network} on {loaded.name}", headings=_HEADINGS)
    print_note(f"Ranges were calibrated on {used} training images; accuracy is on {rows[0]['images']} test images.")


_PERCENT = ("baseline", "ideal", "mean", "std", "loss")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def _stage(step: Step, description: str) -> Callable[[int, int], None]:
    """Return what moves the bar under a description of its own."""
    return lambda done, total: step(done, total, description)
