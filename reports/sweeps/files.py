"""What a sweep leaves in its folder: the page, the table, everything behind them, and the study."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from devicekit.common.file_sets import replacing_together, settle
from reports.errors import StudyError
from reports.study import Study
from reports.sweeps.page import render
from reports.sweeps.result import SweepResult
from reports.table import to_csv


def check_folder(study: Study, folder: Path) -> None:
    """Refuse a folder that holds the results of another study: nothing is overwritten in silence.

    Args:
        study: the study.
        folder: where its results shall go.

    Raises:
        StudyError: another study's results are there.
    """
    settle(folder)
    there = folder / "study.toml"
    if there.is_file() and Study.load(there) != study:
        raise StudyError(f"{folder}: holds the results of another study; choose another folder (--out), or remove it.")


def write(result: SweepResult, study: Study, folder: Path) -> Path:
    """Write ``index.html``, ``table.csv``, ``results.json`` and ``study.toml``, all or none.

    Args:
        result: what the study found.
        study: the study.
        folder: where.

    Returns:
        The path of the page.
    """
    files = {
        "table.csv": to_csv(result.rows),
        "index.html": render(result, made=datetime.now(UTC), folder=f"{folder}/"),
        "results.json": json.dumps(result.to_dict(), indent=1, ensure_ascii=False) + "\n",
    }
    with replacing_together(folder) as together:
        study.save(together / "study.toml", place=folder)
        for name, text in files.items():
            (together / name).write_text(text, encoding="utf-8")
    return folder / "index.html"
