"""The error models known by name: those of devicekit, those registered in a program, those of installed packages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from devicekit.cells.error_model import ErrorModel
from devicekit.common.entry_points import load_entry_points
from devicekit.common.errors import DeviceError, DevicekitError, unknown_name

GROUP = "devicekit.error_models"
"""Entry points of installed packages; each names a subclass of `ErrorModel`."""

_HINT = " A model of your own is made known with devicekit.register_error_model."
Model = TypeVar("Model", bound=type[ErrorModel])


@dataclass(frozen=True)
class Form:
    """One way to fit an error model; most have one, see `ErrorModel.forms`.

    Attributes:
        model: the error model's class.
        guess: starting values from target [A], sigma [A] and i_max [A].
        parameters: number of free parameters where there are states enough for all.
    """

    model: type[ErrorModel]
    guess: Callable[[ArrayLike, ArrayLike, float], ErrorModel]
    parameters: int


_models: dict[str, type[ErrorModel]] = {}
_forms: dict[str, Form] = {}
_asked = False
"""Whether installed packages were asked for their models."""


def register_error_model(cls: Model) -> Model:
    """Return an error model's class, from now on known by its name to fits, device files and the choice of model.

    Use it as a decorator above ``@dataclass(frozen=True)``. An installed package can name its class in the entry point
    group ``devicekit.error_models`` instead; it is then loaded when error models are first asked for.

    Args:
        cls: a subclass of `ErrorModel`.

    Raises:
        DeviceError: no such class, a name that another model has, starting values that fail, or a law that changes with
            the unit of current although its parameters change along: then a unit is not what the class says.
    """
    if not (isinstance(cls, type) and issubclass(cls, ErrorModel)):
        raise DeviceError(f"Expected an error model to be a subclass of devicekit.ErrorModel, but got {cls!r}.")
    what = f"Error model {cls.__module__}.{cls.__qualname__}"
    if missing := sorted(getattr(cls, "__abstractmethods__", ())):
        raise DeviceError(f"{what} does not define {', '.join(missing)}.")
    name = getattr(cls, "name", None)
    if not (isinstance(name, str) and name.isidentifier()):
        raise DeviceError(f"{what}: expected `name` to be a text of letters, digits and underscores, but got {name!r}.")
    if "__dataclass_fields__" not in vars(cls):
        raise DeviceError(f"{what} is no dataclass; write @dataclass(frozen=True) above it.")
    if name not in cls.forms():
        raise DeviceError(f"{what}: expected `forms()` to hold the model's own name {name!r}.")
    # A class that is defined again, in a notebook say, takes the place of its former self.
    others = {form: other.model for form, other in _forms.items() if _place(other.model) != _place(cls)}
    if taken := sorted(others.keys() & cls.forms().keys()):
        raise DeviceError(f"{what}: the name {taken[0]!r} is that of {'.'.join(_place(others[taken[0]]))}.")
    try:
        forms = {
            form: Form(cls, guess, _parameters(cls, f"{what}: {form}", guess)) for form, guess in cls.forms().items()
        }
    except DevicekitError:
        raise
    except Exception as error:
        raise DeviceError(f"{what} fails on 24 states of a usual cell: {type(error).__name__}: {error}.") from error
    _models[name] = cls
    _forms.update(forms)
    return cls


def _place(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


def _parameters(cls: type[ErrorModel], what: str, guess: Callable[[ArrayLike, ArrayLike, float], ErrorModel]) -> int:
    """Return a form's number of parameters; refuse a law that breaks what fits and files rely on."""
    i_max, factor = 1.6e-6, 8.0
    target = np.linspace(0.04, 1.0, 24) * i_max
    law = guess(target, 4e-8 * (1.0 - np.exp(-target / 5e-7)) + 1e-9, i_max)
    if not isinstance(law, cls):
        raise DeviceError(f"{what}: expected starting values to be a {cls.__name__}, but got {law!r}.")
    sigma = np.asarray(law.sigma(target.reshape(4, 6), i_max))
    if sigma.shape != (4, 6) or not np.all(np.isfinite(sigma) & (sigma >= 0)):
        raise DeviceError(f"{what}: expected sigma() to have the currents' shape and to be finite and at least 0.")
    if law.with_values(law.values()).values() != law.values():
        raise DeviceError(f"{what}: expected with_values(values()) to return the same law.")
    scaled = law.scaled(factor).sigma(target * factor, i_max * factor)
    if not np.allclose(scaled, sigma.ravel() * factor, rtol=1e-6, atol=0.0):
        units = ", ".join(f"{name} [{law.unit(name) or '1'}]" for name in law.values())
        raise DeviceError(
            f"{what}: sigma() depends on the unit of current; are the units of the parameters right? They are {units}."
        )
    read = cls.from_table(law.to_table(), what)
    if not np.allclose(read.sigma(target, i_max), sigma.ravel(), rtol=1e-12, atol=0.0):
        raise DeviceError(f"{what}: expected from_table(to_table()) to return the same law.")
    return len(law.values())


def _load_installed() -> None:
    global _asked
    if not _asked:
        _asked = True
        load_entry_points(GROUP, register_error_model)


def error_models() -> dict[str, type[ErrorModel]]:
    """Return the class of every error model by the name it has in device files, installed packages included."""
    _load_installed()
    return dict(_models)


def fitted_forms() -> dict[str, Form]:
    """Return what can be fitted and compared, by name: the models, and further forms of some."""
    _load_installed()
    return dict(_forms)


def error_model(name: str) -> type[ErrorModel]:
    """Return the class of an error model by its name in device files.

    Raises:
        DeviceError: no such model, with the nearest names and how one's own is made known.
    """
    if name not in _models:
        _load_installed()
    if name not in _models:
        raise DeviceError(unknown_name("error model", name, _models) + _HINT)
    return _models[name]


def form_name(model: str | type[ErrorModel]) -> str:
    """Return the name that a model is fitted under.

    Args:
        model: a name of `fitted_forms`, or a registered class.

    Raises:
        DeviceError: an unknown name, a class that is not registered, or anything else.
    """
    if isinstance(model, type) and issubclass(model, ErrorModel):
        if error_models().get(getattr(model, "name", "")) is not model:
            raise DeviceError(f"The error model {model.__qualname__} is not known by name yet." + _HINT)
        return model.name
    if not isinstance(model, str):
        raise DeviceError(f"Expected an error model's name or class, but got {model!r}.")
    if model not in fitted_forms():
        raise DeviceError(unknown_name("error model", model, _forms) + _HINT)
    return model
