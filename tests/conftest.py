"""What all tests share: where the optional data lies, and the rule that a skip must have an accepted reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# The only things a run of the tests may lack. A skip for any other reason is a hole in the proof, not a courtesy.
ACCEPTED_REASONS = ("no shared data", "no GPU", "no 16 GiB of memory", "no aihwkit", "no efficientnet-lite0", "no ARM")
# What the set-up cannot install where nobody may install anything; it passes --no-root then.
NEEDS_ROOT = ("no ngspice", "no Chromium", "no compiler")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--strict-skips", action="store_true", help="fail the run when a test was skipped for a reason not accepted"
    )
    parser.addoption(
        "--no-root", action="store_true", help="accept skips for system programs that could not be installed here"
    )


def _accepted(config: pytest.Config, reason: str) -> bool:
    return reason.startswith(ACCEPTED_REASONS + (NEEDS_ROOT if config.getoption("--no-root") else ()))


def shared_data_folder() -> Path | None:
    """Return the folder of networks, images and measurements beside the checkout, or None."""
    folder = Path(os.environ.get("DEVICEKIT_SHARED_DATA", ROOT.parent / "shared" / "data"))
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of networks, images and measurements beside the checkout; skips where it is absent."""
    folder = shared_data_folder()
    if folder is None:
        pytest.skip("no shared data: set DEVICEKIT_SHARED_DATA or put it at ../shared/data")
    return folder


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forms of signed weights and kinds of ADC that a test registers are forgotten after it."""
    from circuits.adc_kinds import _KINDS
    from circuits.weight_codes import _FORMS

    for registry in (_FORMS, _KINDS):
        monkeypatch.setattr(registry, "_classes", dict(registry.all()))
        monkeypatch.setattr(registry, "_complete", True)


def _reason(report: pytest.TestReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not session.config.getoption("--strict-skips"):
        return
    refused = [r for r in reporter.stats.get("skipped", []) if not _accepted(session.config, _reason(r))]
    if refused and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    terminalreporter.section("skipped, and why")
    for report in skipped:
        reason = _reason(report)
        verdict = "" if _accepted(config, reason) else "NOT ACCEPTED: "
        terminalreporter.line(f"{report.nodeid}: {verdict}{reason}")
