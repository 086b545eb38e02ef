"""Networks that survive the array: gradients through converted networks, and training on the cells they will run on."""

from accuracy.training.compare import Comparison, compare
from accuracy.training.errors import TrainingError
from accuracy.training.hessian import LayerSharpness, hessian_trace
from accuracy.training.result import Epoch, TrainingResult
from accuracy.training.settings import Training
from accuracy.training.train import train

__all__ = [
    "Comparison",
    "Epoch",
    "LayerSharpness",
    "Training",
    "TrainingError",
    "TrainingResult",
    "compare",
    "hessian_trace",
    "train",
]
