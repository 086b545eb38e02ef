"""What to build: studies over designs, joint tables, figures, the page and the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reports.errors import StudyError
    from reports.page import render
    from reports.results import StudyResult
    from reports.run import Progress, run_study
    from reports.study import Study

__all__ = ["Progress", "Study", "StudyError", "StudyResult", "render", "run_study"]
_HOMES = {
    "Progress": "reports.run",
    "Study": "reports.study",
    "StudyError": "reports.errors",
    "StudyResult": "reports.results",
    "render": "reports.page",
    "run_study": "reports.run",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: the command lives in this package too and must start fast."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
