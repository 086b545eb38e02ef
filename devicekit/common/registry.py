"""Classes by name that can be added from outside: the package's own, registered ones, and those of other packages."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

from devicekit.common.entry_points import load_entry_points
from devicekit.common.errors import DevicekitError, unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Classes of one kind by their attribute `name`.

    Installed packages add theirs by an entry point in `group`; those are loaded when a name is not known yet, or when
    all names are asked for. What cannot be used is left out with a warning.

    Args:
        what: what a class stands for in messages, such as ``"error model"``.
        base: every class is a concrete subclass of it.
        group: name of the entry points' group, such as ``"devicekit.error_models"``.
        error: what is raised on an unknown name and on a class that cannot be registered.
        check: raises an error on a class that breaks what all of the kind must hold.
    """

    def __init__(
        self,
        what: str,
        base: type,
        group: str,
        error: type[DevicekitError],
        check: Callable[[type[T]], None] | None = None,
    ) -> None:
        self.what, self.base, self.group, self.error, self.check = what, base, group, error, check
        self._classes: dict[str, type[T]] = {}
        self._complete = False

    def register(self, cls: type[T]) -> None:
        """Add a class under its `name`.

        A class that is defined again (a notebook's cell that runs twice) replaces its former self.

        Raises:
            DevicekitError: no concrete subclass of the base, no name, or a name that another class has.
        """
        where = f"Cannot register {getattr(cls, '__name__', cls)!r} as {self.what}"
        if not (isinstance(cls, type) and issubclass(cls, self.base)):
            raise self.error(f"{where}: expected a subclass of {self.base.__name__}.")
        if inspect.isabstract(cls):
            missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
            raise self.error(f"{where}: it does not define {missing}.")
        name = getattr(cls, "name", None)
        if not isinstance(name, str) or not name.isidentifier():
            raise self.error(
                f"{where}: expected its attribute `name` to be letters, digits and underscores, but got {name!r}."
            )
        former = self._classes.get(name)
        if former is not None and _home(former) != _home(cls):
            raise self.error(f"{where}: the name {name!r} is that of {'.'.join(_home(former))}.")
        if self.check is not None:
            self.check(cls)
        self._classes[name] = cls

    def get(self, name: str) -> type[T]:
        """Return the class of a name.

        Raises:
            DevicekitError: an unknown name; the message gives the nearest ones.
        """
        # Entry points are read only where they are needed: that takes longer than all the rest of a design.
        if not isinstance(name, str) or (name not in self._classes and name not in self.all()):
            raise self.error(unknown_name(self.what, str(name), self._classes))
        return self._classes[name]

    def all(self) -> Mapping[str, type[T]]:
        """Return every class by name, those of installed packages last."""
        if not self._complete:
            self._complete = True
            load_entry_points(self.group, self.register)
        return MappingProxyType(self._classes)


def _home(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__
