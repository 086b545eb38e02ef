"""The user's own networks: ``module:function`` or ``file.py:function`` that makes a module, or an ONNX file."""

from __future__ import annotations

from torch import nn

from accuracy.networks import onnx_file
from accuracy.networks.errors import NetworkError
from accuracy.own_code import own_function


def is_own(name: str) -> bool:
    """Say whether a network's name means a function or an ONNX file of the user's."""
    return ":" in name or onnx_file.is_onnx(name)


def build(name: str) -> nn.Module:
    """Return what the user's function makes, or the network of an ONNX file.

    Args:
        name: ``package.module:function`` (importable, the working folder included) or ``path/file.py:function``. The
            function takes no arguments (a class without required arguments will do). Or ``path/file.onnx``.

    Raises:
        NetworkError: no such module, file or function, an exception in it, or it does not return a `torch.nn.Module`;
            an ONNX file that cannot be read (`accuracy.networks.onnx_file.read`).
    """
    if onnx_file.is_onnx(name):
        return onnx_file.read(name)
    model = own_function(name, "network", NetworkError)()
    if not isinstance(model, nn.Module):
        raise NetworkError(f"Expected {name} to return a torch.nn.Module, but got {type(model).__name__}.")
    return model
