"""What to build: studies over designs, joint tables, figures, the page and the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reports.errors import StudyError
    from reports.page import render
    from reports.results import StudyResult
    from reports.run import Progress, run_study
    from reports.store import Store, StoreError
    from reports.store.store import Entry
    from reports.study import Study
    from reports.sweeps.comparison import Comparison, compare
    from reports.sweeps.result import SweepResult
    from reports.sweeps.sweep import sweep

__all__ = [
    "Comparison",
    "Entry",
    "Progress",
    "Store",
    "StoreError",
    "Study",
    "StudyError",
    "StudyResult",
    "SweepResult",
    "compare",
    "render",
    "run_study",
    "sweep",
]
_HOMES = {
    "Comparison": "reports.sweeps.comparison",
    "Entry": "reports.store.store",
    "Progress": "reports.run",
    "Store": "reports.store",
    "StoreError": "reports.store",
    "Study": "reports.study",
    "StudyError": "reports.errors",
    "StudyResult": "reports.results",
    "SweepResult": "reports.sweeps.result",
    "compare": "reports.sweeps.comparison",
    "render": "reports.page",
    "run_study": "reports.run",
    "sweep": "reports.sweeps.sweep",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: the command lives in this package too and must start fast."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
