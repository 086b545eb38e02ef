"""All published studies by name."""

from __future__ import annotations

from devicekit.common.errors import unknown_name
from reports.errors import StudyError
from reports.published import cells, chip_costs, chips, conversions, costs, errors, tables
from reports.published.study import PublishedStudy


def studies() -> dict[str, PublishedStudy]:
    """Return every published study by name, in the order of the page."""
    found = (
        *cells.STUDIES,
        *errors.STUDIES,
        *conversions.STUDIES,
        *tables.STUDIES,
        *costs.STUDIES,
        *chips.STUDIES,
        *chip_costs.STUDIES,
    )
    return {own.name: own for own in found}


def study_of(name: str) -> PublishedStudy:
    """Return a published study.

    Args:
        name: of the study.

    Raises:
        StudyError: unknown.
    """
    known = studies()
    if name not in known:
        raise StudyError(unknown_name("published figure or table", name, [*known, "all"]))
    return known[name]
