"""`devicekit train`: train a network on the cells it will run on, and say what that recovers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from reports.commands._cells import CellsRead
from reports.commands._core_options import (
    AgeOption,
    CompensationOption,
    TemperatureOption,
)
from reports.commands.common import (
    JsonOption,
    SeedOption,
    examples,
    print_answer,
    print_json,
    print_note,
    print_table,
    progress,
)

_HEADINGS = {
    "error_scale": "Errors x",
    "network": "Network",
    "baseline": "Digital [%]",
    "ideal": "Ideal cells [%]",
    "mean": "Analog [%]",
    "std": "Std [%]",
    "gain": "Gain [points]",
    "gain_interval": "95 % of it",
}
_SHARPNESS = {
    "name": "Layer",
    "weights": "Weights",
    "trace": "Trace",
    "trace_stderr": "+-",
    "loss_increase": "Loss by errors, 2nd order",
    "loss_increase_stderr": "+-",
}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "train",
        epilog=examples(
            "devicekit train --device pcm_joshi2020 --epochs 2 --trials 3 --images 100",
            "devicekit train C --error-scale 4 --epochs 1 --noise none --trials 2 --images 100 --json",
        ),
    )(train)


def train(
    core: Annotated[str, typer.Argument(help="Design or core by name, or FILE:NAME of your own.")] = "A",
    network: Annotated[
        str, typer.Option(help="Network by name, or of your own: MODULE:FUNCTION, FILE.py:FUNCTION or an ONNX file.")
    ] = "digits_cnn",
    weights: Annotated[Path | None, typer.Option(help="Weight file; by default looked for in the data folder.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with the data set, for networks that need one.")] = None,
    data_set: Annotated[
        str | None,
        typer.Option(
            help="Data set by name, or your own: MODULE:FUNCTION, FILE.py:FUNCTION or a .npz file; the network's own "
            "by default."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Memory cell: a name or a file; the core's, or sonos_40nm_tcas2022, by default.")
    ] = None,
    age: AgeOption = None,
    temperature: TemperatureOption = None,
    compensation: CompensationOption = None,
    error_scale: Annotated[float, typer.Option(help="Factor on the spread of the cells, in training and test.")] = 1.0,
    exclude: Annotated[list[str] | None, typer.Option(help="Name pattern of layers that stay digital.")] = None,
    settings: Annotated[
        Path | None, typer.Option(help="TOML file with settings of the training; options go before it.")
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(
            help="What is trained with: weights with errors of fresh cells (default), arrays with everything that acts "
            "on them, or none for plain fine-tuning."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training examples; 10 by default.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples a step; 50 by default.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At the start; 0.001 by default.")] = None,
    draws: Annotated[int | None, typer.Option(help="Sets of cells a step; 1 by default.")] = None,
    trace_penalty: Annotated[
        float | None, typer.Option(help="With --noise none: weight of the Hessian's trace as regulariser.")
    ] = None,
    weight_bits: Annotated[
        int | None,
        typer.Option(help="Bits of weights, 2 to 8, with learned steps, mapped as they are; not with --noise arrays."),
    ] = None,
    activation_bits: Annotated[
        int | None, typer.Option(help="With --weight-bits: bits of the inputs of layers, with learned clipping.")
    ] = None,
    distillation: Annotated[
        float | None,
        typer.Option(
            help="Share of the loss, 0 to 1, that compares with the digital network's outputs, not with labels."
        ),
    ] = None,
    weight_clip: Annotated[
        float | None,
        typer.Option(
            help="Hold weights within so many root mean squares of their layer, so that typical ones err less."
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="float32, or bfloat16 where the processor or accelerator multiplies such numbers."),
    ] = None,
    patience: Annotated[int | None, typer.Option(help="Stop after so many epochs without a better validation.")] = None,
    loss: Annotated[str, typer.Option(help="What is made smaller: cross_entropy, mse or binary.")] = "cross_entropy",
    metric: Annotated[str, typer.Option(help="What is reported, as for devicekit accuracy.")] = "top1",
    trials: Annotated[int, typer.Option(help="How often the cells are programmed for the test.")] = 20,
    images: Annotated[int | None, typer.Option(help="Test images to use; all by default.")] = None,
    training_images: Annotated[int | None, typer.Option(help="Training images to use; all by default.")] = None,
    at_scale: Annotated[
        list[float] | None, typer.Option(help="Test also with so many times the errors; repeatable.")
    ] = None,
    sharpness: Annotated[bool, typer.Option(help="Say how sharp the loss is in each layer, after training.")] = False,
    out: Annotated[
        Path, typer.Option(help="Folder for weights, report and checkpoint; a stopped training there goes on.")
    ] = Path("trained"),
    as_json: JsonOption = False,
    seed: SeedOption = 0,
) -> None:
    """Train a network on the cells of a core; accuracy before and after, on cells that it was not trained with."""
    import json

    from safetensors.torch import save_file

    from accuracy import calibrate, convert, networks
    from accuracy.batches import batch_of
    from accuracy.data_sets import find as find_data
    from accuracy.networks.weights import codes_metadata
    from accuracy.training import Training, compare, hessian_trace
    from accuracy.training import train as train_network
    from accuracy.training.write_back import original_of, trained_original
    from circuits import choose_cores
    from devicekit.common.paths import replacing
    from devicekit.common.plain import plain

    asked = {
        "noise": noise,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "draws": draws,
        "trace_penalty": trace_penalty,
        "weight_bits": weight_bits,
        "activation_bits": activation_bits,
        "distillation": distillation,
        "weight_clip": weight_clip,
        "precision": precision,
        "patience": patience,
        "seed": seed,
    }
    base = {} if settings is None else Training.load(settings).model_dump(exclude_unset=True)
    given = {key: value for key, value in asked.items() if value is not None}
    if seed == 0:
        # The default of the option goes after the file's own seed.
        base = {"seed": given.pop("seed"), **base}
    chosen = Training.make({**base, **given})
    ((name, left_open),) = choose_cores([core]).items()
    built = CellsRead(device, age, temperature, error_scale, compensation).built(left_open)
    model = networks.load(network, weights or (None if networks.is_own(network) else data))
    loaded = find_data(data_set or networks.data_set(network), data)
    networks.try_out(network, model, batch_of(next(iter(loaded.batches("test", 1, 1)))))
    part = "train" if "train" in loaded.parts else "calibration"
    examples_of = loaded.batches(part, chosen.batch_size, training_images)
    ranges = loaded.batches("calibration", 100, 1000)
    test = loaded.batches("test", 100, images)
    with progress("Training", as_json=as_json) as step:
        before, after = (calibrate(convert(model, built, seed=seed, exclude=exclude or ()), ranges) for _ in range(2))
        # Whether the weights can be written is known before they are trained.
        trained_original(original_of(after), after)
        validation = loaded.batches("validation", 100) if "validation" in loaded.parts else None
        result = train_network(
            after,
            examples_of,
            chosen,
            loss=loss,
            validation=validation,
            checkpoint=out / "checkpoint.pt",
            progress=lambda done, total: step(done, total, "Training"),
        )
        network_trained = result.network()
        state = {key: value.contiguous() for key, value in network_trained.state_dict().items()}
        with replacing(out / "weights.safetensors") as temporary:
            save_file(state, temporary, metadata=codes_metadata(network_trained))
        found = compare(
            before,
            after,
            test,
            (1.0, *(at_scale or ())),
            trials,
            seed + 1,
            metric=metric,
            progress=lambda done, total: step(done, total, "Testing before and after"),
        )
        bends = hessian_trace(after, loaded.batches(part, 100, 100), loss=loss) if sharpness else []
    document = plain(
        {
            "core": built.to_dict(),
            "design": name,
            "network": network,
            "metric": metric,
            **result.to_dict(),
            "comparison": found,
            "sharpness": bends,
            "weights": out / "weights.safetensors",
        }
    )
    with replacing(out / "training.json") as temporary:
        temporary.write_text(json.dumps(document, indent=1))
    if as_json:
        print_json(document)
        return
    percent = 100.0 if metric in _SHARES else 1.0
    one = found[0]
    low, high = one.gain_interval() or (None, None)
    between = "" if low is None or high is None else f" (95 %: {_signed(low * percent)} to {_signed(high * percent)})"
    unit = " points" if percent == 100.0 else ""
    print_answer(
        f"On {name} with {built.cell.name if built.cell else 'ideal cells'}: {_text(one.before.mean, percent)} before, "
        f"{_text(one.after.mean, percent)} after training, a gain of {_signed(one.gain * percent)}{unit}{between}."
    )
    rows = []
    for each in found:
        for label, accuracy in (("as given", each.before), ("trained", each.after)):
            trained = label == "trained"
            interval = each.gain_interval() if trained else None
            rows.append(
                {
                    "error_scale": each.error_scale * error_scale,
                    "network": label,
                    **{key: _text(getattr(accuracy, key), percent) for key in ("baseline", "ideal", "mean", "std")},
                    "gain": _signed(each.gain * percent) if trained else None,
                    "gain_interval": None if interval is None else " to ".join(_signed(x * percent) for x in interval),
                }
            )
    headings = _HEADINGS if percent == 100.0 else {key: text.split(" [")[0] for key, text in _HEADINGS.items()}
    print_table(rows, title=f"{network} on {loaded.name}, {trials} sets of cells", headings=headings)
    for remark in dict.fromkeys(text for each in found for text in (*each.before.remarks, *each.after.remarks)):
        print_note(remark)
    if bends:
        print_table(
            [bend.to_dict() for bend in bends], title="Sharpness of the loss after training", headings=_SHARPNESS
        )
    print_note(
        f"{len(result.history) - 1} epochs, weights of epoch {result.best_epoch}"
        + (", the best by validation" if result.history[-1].validation_loss is not None else "")
        + f"; they are in {out / 'weights.safetensors'}: devicekit accuracy {core} --network {network} --weights "
        f"{out / 'weights.safetensors'}"
        + (f" --data-set {data_set}" if data_set else "")
        + (f" --data {data}" if data else "")
        + (f" --device {device}" if device else "")
        + "."
    )


def api_arguments() -> dict[str, str]:
    """Return the options for arguments of the API that are called otherwise here."""
    return {
        "cell": "--device",
        "time": "--age",
        "directory": "--data",
        "error_scales": "--at-scale",
    }


_SHARES = ("top1", "top5", "binary", "binary_probability", "multi_label")


def _text(value: float, scale: float) -> str:
    return f"{scale * value:.2f}" if scale != 1.0 else f"{value:.4g}"


def _signed(value: Any) -> str:
    return f"{value:+.2f}"
