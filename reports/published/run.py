"""Run published studies and write one page: figure, law, verdict, our number beside the published one."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from devicekit.common.errors import DevicekitError
from devicekit.common.file_sets import replacing_together, settle
from devicekit.common.plain import PlainValues
from reports.cache import ResultCache
from reports.page_parts import figures_json, plotly_source, template_environment, template_text
from reports.published.labels import table
from reports.published.registry import studies, study_of
from reports.published.study import Finding, PublishedStudy, Setting
from reports.run import Progress
from reports.table import to_csv

ALL = "all"
VERDICTS = {True: "shows", False: "does not show", None: "cannot be said here"}
NOT_COMPUTED = "not computed"


@dataclass(frozen=True)
class Reproduced(PlainValues):
    """A published study and what was found.

    Attributes:
        name: of the study.
        place: where it was published.
        title: what it is about.
        law: what it must show.
        published: the published number, in words.
        finding: what was found; None where it failed.
        reason: why it failed.
        network: that most of it was computed on; empty where no network was needed.
        criterion: when the law counts as shown (`PublishedStudy.criterion`).
    """

    name: str
    place: str
    title: str
    law: str
    published: str
    finding: Finding | None
    reason: str = ""
    network: str = ""
    criterion: str = ""

    @property
    def verdict(self) -> str:
        """What is said of the law: one of `VERDICTS`, or `NOT_COMPUTED`."""
        return NOT_COMPUTED if self.finding is None else VERDICTS[self.finding.shown]


def reproduce(
    names: Sequence[str] = (ALL,),
    out: str | Path = "out/reproduced",
    *,
    quick: bool = True,
    data: str | Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Reproduced]:
    """Compute published figures and tables again, and write a page with the table of each beside it.

    Every evaluation is kept under the folder: a run that was interrupted goes on where it stopped, and gives the same.

    Args:
        names: of studies (`reports.published.registry.studies`); ``"all"`` for every one.
        out: folder to write to.
        quick: few images and trials on small networks; otherwise as many as the publication where the data allow.
        data: folder with data sets and weights; None for what is bundled.
        seed: of everything random.
        progress: called with (studies done, studies in all, what is done now).

    Raises:
        StudyError: an unknown study.
    """
    asked = list(studies().values()) if ALL in names else [study_of(name) for name in dict.fromkeys(names)]
    folder = Path(out)
    settle(folder)
    cache = ResultCache(folder / ".cache")
    found: list[Reproduced] = []
    setting = Setting(quick, None if data is None else Path(data), seed, cache)
    began = time.monotonic()
    for number, own in enumerate(asked):

        def told(text: str, number: int = number, name: str = own.name) -> None:
            if progress is not None:
                progress(number, len(asked), f"{name}: {text}" if text else name)

        told("")
        setting.progress = told
        found.append(_reproduced(own, setting))
    if progress is not None:
        progress(len(asked), len(asked), "Writing")
    _write(found, folder, quick, time.monotonic() - began)
    return found


def _reproduced(own: PublishedStudy, setting: Setting) -> Reproduced:
    facts = (own.name, own.place, own.title, own.law, own.published)
    try:
        finding = own.run(setting)
    except DevicekitError as error:
        # One that cannot be computed here does not keep the others from it.
        return Reproduced(*facts, None, str(error), criterion=own.criterion)
    network = finding.network or (setting.network if own.networks else "")
    return Reproduced(*facts, finding, network=network, criterion=own.criterion)


def _write(found: Sequence[Reproduced], folder: Path, quick: bool, seconds: float) -> None:
    from markupsafe import Markup

    made = datetime.now(UTC)
    figures = [own.finding.figure for own in found if own.finding is not None and own.finding.figure is not None]
    page = template_environment().get_template("reproduced.html.j2").render(
        studies=found,
        tables={own.name: table(own.finding.rows) for own in found if own.finding is not None},
        counts=_counts(found),
        quick=quick,
        version=version("devicekit"),
        made=f"{made.day} {made:%B %Y, %H:%M} UTC",
        seconds=round(seconds),
        style=Markup(template_text("page.css")),
        theme=Markup(template_text("theme.js")),
        script=Markup(template_text("page.js")),
        plotly=Markup(plotly_source()),
        figures_json=Markup(figures_json(figures)),
    )  # fmt: skip
    # Without times, so that two runs can be compared.
    content = {"quick": quick, "studies": [_document(own) for own in found]}
    with replacing_together(folder) as together:
        (together / "index.html").write_text(page, encoding="utf-8")
        (together / "results.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
        for own in found:
            if own.finding is not None and own.finding.rows:
                (together / f"{own.name}.csv").write_text(to_csv(own.finding.rows), encoding="utf-8")


def _counts(found: Sequence[Reproduced]) -> str:
    """Return in how many studies the law shows, as the end of a sentence."""
    studies_of = Counter(own.verdict for own in found)
    parts = [f"{word} in {studies_of[word]}" for word in VERDICTS.values()]
    if studies_of[NOT_COMPUTED]:
        parts.append(f"was not computed in {studies_of[NOT_COMPUTED]}")
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _document(own: Reproduced) -> dict[str, object]:
    document = own.to_dict()
    if own.finding is not None:
        document["finding"] = {key: value for key, value in own.finding.to_dict().items() if key != "figure"}
    return document
