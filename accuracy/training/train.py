"""The trainer: a plain torch loop over examples, with fresh cells in every step.

What a step does depends on the seed and the step's number only, so that a training that was stopped, in whatever way,
goes on from its checkpoint to the weights that it would have reached.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from accuracy.batches import Batch, Batches, batch_of, model_device
from accuracy.calibration.calibrate import Progress, calibrate, require_layers
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.training.augmentation import augmented
from accuracy.training.checkpoint import read_checkpoint, save_checkpoint, start_mark
from accuracy.training.errors import TrainingError
from accuracy.training.examples import Examples
from accuracy.training.forward import Forward
from accuracy.training.held_weights import MovingAverage, WeightLimits
from accuracy.training.hessian import trace_term
from accuracy.training.losses import Loss, loss_of
from accuracy.training.precision import Precision
from accuracy.training.result import Epoch, TrainingResult
from accuracy.training.settings import Training
from accuracy.training.teacher import Teacher
from accuracy.training.write_back import original_of

CALIBRATION_EXAMPLES = 1000
"""Training examples that ranges are set with after training."""


def train(
    model: nn.Module,
    data: Batches,
    settings: Training | None = None,
    *,
    validation: Batches | None = None,
    loss: Loss | str = "cross_entropy",
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 30.0,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a converted network on the cells it will run on, in place.

    It stays in inference mode: batch norms are folded or keep their statistics, dropout is off. Ranges are calibrated
    again at the end, with training examples. With `weight_bits`, its layers then have designs that hold the integers
    they were trained to (``weight_scale="given"``), and say so themselves (`weight_step`, `weight_bits`, `input_step`,
    `input_bits`), so that another conversion for such a design maps the same integers.

    Args:
        model: from `accuracy.convert` and `accuracy.calibrate`.
        data: training examples, in any of the forms of `accuracy.batches`, that can be gone through several times.
        settings: how; the defaults of `Training` where None.
        validation: examples to choose the best epoch by; None: a share of the training examples.
        loss: what is made smaller: ``"cross_entropy"``, ``"mse"``, ``"binary"``, or a function of outputs and labels.
        checkpoint: file that the state is kept in; a training that was stopped goes on from there. It is removed by
            nobody. None: none.
        checkpoint_seconds: between two of its states.
        progress: called with (steps done, steps in all).

    Returns:
        The trained network and what happened.

    Raises:
        TrainingError: settings, data or a checkpoint that do not fit, or a loss that is no finite number.
        EvaluationError: the model was not converted, or data of another form.
        CalibrationError: it was not calibrated.
    """
    settings = Training() if settings is None else settings
    if not isinstance(settings, Training):
        raise TrainingError(f"Expected `settings` to be a Training, but got {settings!r}.")
    layers = require_layers(model)
    for layer in layers:
        layer.require_calibration()
    run = _Run(model, layers, data, settings, loss, validation)
    name = loss if isinstance(loss, str) else getattr(loss, "__qualname__", type(loss).__name__)
    try:
        run.mark = start_mark(model, settings, name, run.examples.steps)
        original = original_of(model)
        path = None if checkpoint is None else Path(checkpoint)
        with run.forward.active():
            if path is None or not run.restore(path):
                run.end_epoch(0, 0.0)
            run.go(path, checkpoint_seconds, progress)
        model.load_state_dict(run.best)
        run.forward.export()
    finally:
        run.forward.close()
    calibrate(model, run.examples.some(CALIBRATION_EXAMPLES))
    return TrainingResult(model, settings, tuple(run.history), run.best_epoch, run.stopped, original)


class _Run:
    """One training as it goes on."""

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[AnalogLayer],
        data: Batches,
        settings: Training,
        loss: Loss | str,
        validation: Batches | None,
    ) -> None:
        self.model, self.layers, self.settings, self.loss = model, layers, settings, loss_of(loss)
        held_out = 0.0 if validation is not None else settings.validation
        self.examples = Examples(data, settings.batch_size, settings.seed, held_out)
        self.validation = self.examples.validation() if validation is None else validation
        self.precision = Precision(model, settings.precision)
        self.teacher = Teacher(model, loss, settings.temperature) if settings.distillation else None
        self.forward = Forward(layers, settings)
        self.limits = None
        if settings.weight_clip is not None:
            self.limits = WeightLimits(self.forward.chosen, settings.weight_clip)
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        steps = self.forward.learned_steps()
        learned = {id(step) for step in steps}
        groups: list[dict[str, Any]] = [{"params": [own for own in self.parameters if id(own) not in learned]}]
        for step in steps:
            # AdamW moves every number by about the learning rate, whatever its size: steps by that share of theirs.
            share = float(step.detach()) if settings.optimiser == "adamw" else 1.0
            groups.append({"params": [step], "share": share, "weight_decay": 0.0})
        if settings.optimiser == "sgd":
            self.optimiser: torch.optim.Optimizer = torch.optim.SGD(
                groups, settings.learning_rate, momentum=0.9, weight_decay=settings.weight_decay
            )
        else:
            self.optimiser = torch.optim.AdamW(groups, settings.learning_rate, weight_decay=settings.weight_decay)
        self.average = None if settings.average is None else MovingAverage(self.parameters, settings.average)
        self.total = settings.epochs * self.examples.steps
        self.step = 0
        self.summed = 0.0
        self.history: list[Epoch] = []
        self.best: dict[str, Any] = {}
        self.best_epoch = 0
        self.stopped = False
        self.mark = ""

    def go(self, path: Path | None, seconds: float, progress: Progress | None) -> None:
        """Take all steps that are left."""
        saved = time.monotonic()
        while self.step < self.total and not self.stopped:
            epoch, begin = divmod(self.step, self.examples.steps)
            for item in self.examples.epoch(epoch, begin):
                batch = augmented(batch_of(item, model_device(self.model)), self.settings, self.step)
                self.summed += self._take(batch)
                self.step += 1
                if self.limits is not None:
                    self.limits.apply(self.step / self.total)
                if self.average is not None:
                    self.average.add(self.step)
                if progress is not None:
                    progress(self.step, self.total)
                ends = self.step % self.examples.steps == 0
                if path is not None and not ends and time.monotonic() - saved > seconds:
                    self.save(path)
                    saved = time.monotonic()
            if self.step != (epoch + 1) * self.examples.steps:
                raise TrainingError(
                    f"Epoch {epoch + 1} gave {self.step - epoch * self.examples.steps} batches, but there were "
                    f"{self.examples.steps} when the data were first gone through."
                )
            self.end_epoch(epoch + 1, self.summed / self.examples.steps)
            self.summed = 0.0
            if path is not None:
                self.save(path)
                saved = time.monotonic()

    def _take(self, batch: Batch) -> float:
        """Take one step on a batch; return its loss."""
        settings = self.settings
        rate = 0.5 * settings.learning_rate * (1.0 + math.cos(math.pi * self.step / self.total))
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        self.optimiser.zero_grad()
        mean = 0.0
        for draw in range(settings.draws):
            self.forward.begin(0, self.step, draw)
            outputs = self._outputs(batch)
            value = self._compared(batch, outputs)
            if settings.trace_penalty:
                value = value + settings.trace_penalty * trace_term(
                    self.model, self.layers, batch, self.loss, self.step, settings
                )
            torch.autograd.backward(value / settings.draws)
            mean += float(value.detach()) / settings.draws
        if not math.isfinite(mean):
            raise TrainingError(
                f"The loss became {mean} in step {self.step + 1}: try a smaller `learning_rate`, or `gradient_norm`."
            )
        if settings.gradient_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, settings.gradient_norm)
        self.optimiser.step()
        return mean

    def _outputs(self, batch: Batch) -> Any:
        with self.precision.context():
            return self.precision.widened(batch.run(self.model))

    def _compared(self, batch: Batch, outputs: Any) -> Tensor:
        """Return the loss of outputs: by labels, by the digital network's outputs, or by both."""
        share = self.settings.distillation
        parts = []
        if self.teacher is not None:
            with self.precision.context():
                targets = self.teacher.outputs(batch)
            parts.append(share * self.teacher.loss(batch, outputs, self.precision.widened(targets)))
        if share < 1.0:
            parts.append((1.0 - share) * self.loss(outputs, batch.labels))
        return torch.stack(parts).sum()

    def end_epoch(self, epoch: int, training_loss: float) -> None:
        """Validate the weights of an epoch and keep the best."""
        with contextlib.nullcontext() if self.average is None else self.average.used():
            self._validate(epoch, training_loss)

    def _validate(self, epoch: int, training_loss: float) -> None:
        found = None
        if self.validation:
            total, count = 0.0, 0
            with torch.no_grad():
                for draw in range(1 if self.settings.noise == "none" else self.settings.validation_draws):
                    self.forward.begin(1, draw)
                    for item in self.validation:
                        batch = batch_of(item, model_device(self.model))
                        total += float(self.loss(self._outputs(batch), batch.labels)) * batch.examples()
                        count += batch.examples()
            found = total / count
        self.history.append(Epoch(epoch, training_loss if epoch else None, found))
        losses = [one.validation_loss for one in self.history if one.validation_loss is not None]
        if found is None or found <= min(losses):
            self.best_epoch, self.best = epoch, copy.deepcopy(self.model.state_dict())
        patience = self.settings.patience
        self.stopped = found is not None and patience is not None and epoch - self.best_epoch >= patience

    def save(self, path: Path) -> None:
        """Write the state."""
        state = {
            "step": self.step,
            "summed": self.summed,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "best": self.best,
            "best_epoch": self.best_epoch,
            "stopped": self.stopped,
            "average": [] if self.average is None else self.average.values,
            "history": [[one.number, one.training_loss, one.validation_loss] for one in self.history],
        }
        save_checkpoint(path, self.mark, state)

    def restore(self, path: Path) -> bool:
        """Go on from a checkpoint, where there is one; return whether there was."""
        state = read_checkpoint(path, self.mark)
        if state is None:
            return False
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.summed = state["step"], state["summed"]
        self.best, self.best_epoch, self.stopped = state["best"], state["best_epoch"], state["stopped"]
        if self.average is not None:
            self.average.values = [value.to(model_device(self.model)) for value in state["average"]]
        self.history = [Epoch(*row) for row in state["history"]]
        return True
