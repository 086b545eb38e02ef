"""The faces of the rooms: what a public function takes or gives back can be imported beside it."""

import importlib
import inspect
import typing
from collections.abc import Iterator
from typing import Any

import pytest

ROOMS = ("devicekit", "circuits", "energy", "accuracy", "reports")


def exported(room: str) -> dict[str, Any]:
    face = importlib.import_module(room)
    return {name: getattr(face, name) for name in face.__all__}


def functions(room: str) -> Iterator[tuple[str, Any]]:
    """Every exported function, and every public method of an exported class."""
    for name, own in exported(room).items():
        if inspect.isfunction(own):
            yield name, own
        elif inspect.isclass(own):
            for method, function in vars(own).items():
                if inspect.isfunction(function) and not method.startswith("_"):
                    yield f"{name}.{method}", function


def our_classes(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and hint.__module__.split(".")[0] in ROOMS:
        yield hint
    for argument in typing.get_args(hint):
        for each in argument if isinstance(argument, list | tuple) else (argument,):
            yield from our_classes(each)


@pytest.mark.parametrize("room", ["circuits", "energy", "reports"])
def test_what_a_public_function_takes_and_gives_is_exported(room: str) -> None:
    known = {id(own) for name in ROOMS for own in exported(name).values()}
    looked_at = 0
    for name, function in functions(room):
        # Tables and figures are imported by the functions that make them.
        import pandas as pd
        from matplotlib.axes import Axes
        from matplotlib.figure import Figure

        hints = typing.get_type_hints(function, localns={"pd": pd, "Axes": Axes, "Figure": Figure})
        for argument, hint in hints.items():
            for own in our_classes(hint):
                looked_at += 1
                assert id(own) in known, f"{room}.{name}: {argument} is a {own.__module__}.{own.__qualname__}"
    assert looked_at


@pytest.mark.parametrize("room", ROOMS)
def test_faces_are_whole(room: str) -> None:
    face = importlib.import_module(room)
    assert len(set(face.__all__)) == len(face.__all__)
    assert all(own is not None for own in exported(room).values())
