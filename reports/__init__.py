"""What to build: studies over designs, joint tables, figures, the page and the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reports.errors import StudyError
    from reports.run import run_study
    from reports.study import Study

__all__ = ["Study", "StudyError", "run_study"]
_HOMES = {"Study": "reports.study", "StudyError": "reports.errors", "run_study": "reports.run"}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: the command lives in this package too and must start fast."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
