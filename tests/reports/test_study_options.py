"""Every option of `devicekit accuracy` is a field of a study: what can be asked once can be kept and swept."""

from __future__ import annotations

import typer

from reports.command import build_app
from reports.study import Study

FIELDS = {"override": "overrides", "correct": "corrections", "designs": "designs"}
"""Fields of a study that are called otherwise than the option's parameter."""
NOT_IN_A_STUDY = {
    "figure": "where trials are drawn to: the page of a study has the figure",
    "layers": "what is printed: the page and results.json hold every layer's report",
    "as_json": "what is printed: results.json holds everything",
}
"""Options that choose no result, each with what a study has instead."""


def options(command: str) -> set[str]:
    app = typer.main.get_command(build_app())
    found = app.commands[command].params  # type: ignore[attr-defined]
    return {str(parameter.name) for parameter in found if parameter.name != "help"}


def test_every_option_of_accuracy_is_in_a_study_or_says_why_not() -> None:
    own = options("accuracy")
    missing = {name for name in own - set(NOT_IN_A_STUDY) if FIELDS.get(name, name) not in Study.model_fields}
    assert not missing, f"options of devicekit accuracy that a study lacks: {sorted(missing)}"
    assert set(NOT_IN_A_STUDY) <= own, "an option that is gone needs no reason"
    assert set(FIELDS) <= own


def test_every_option_of_report_that_is_no_place_is_in_a_study() -> None:
    places = {"study", "out", "as_json", "designs_before"}
    names = {"correct": "corrections", "override": "overrides", "trained_scale": "trained_scales"}
    assert {names.get(name, name) for name in options("report") - places} <= set(Study.model_fields)
