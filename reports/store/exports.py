"""Tables as files: CSV, Parquet, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from devicekit.common.paths import replacing
from reports.errors import StudyError
from reports.results import Values
from reports.table import to_csv

_LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}",
}  # fmt: skip
FORMS = (".csv", ".parquet", ".md", ".tex")


def export(rows: Sequence[Values], path: str | Path) -> Path:
    """Write rows as a file of the form that its ending says.

    Args:
        rows: mappings with the same keys.
        path: ends in one of `FORMS`; written whole or not at all.

    Returns:
        The path.

    Raises:
        StudyError: another ending, or no rows.
    """
    target = Path(path)
    if target.suffix not in FORMS:
        raise StudyError(f"Expected a file that ends in {', '.join(FORMS)}, but got {str(path)!r}.")
    if not rows:
        raise StudyError("Expected at least one row to export, but got none.")
    with replacing(target) as temporary:
        if target.suffix == ".parquet":
            import pandas as pd

            pd.DataFrame(list(rows)).to_parquet(temporary, index=False)
        else:
            made = {".csv": to_csv, ".md": to_markdown, ".tex": to_latex}[target.suffix](rows)
            temporary.write_text(made, encoding="utf-8")
    return target


def to_markdown(rows: Sequence[Values]) -> str:
    """Return rows as a table in Markdown, numbers with four significant digits.

    Args:
        rows: mappings with the same keys.
    """
    head = list(rows[0])
    numeric = [_is_numeric(rows, key) for key in head]
    lines = [head, ["--:" if own else ":--" for own in numeric]]
    lines += [[_shown(row[key]).replace("|", "\\|") for key in head] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def to_latex(rows: Sequence[Values]) -> str:
    """Return rows as a ``tabular`` with the rules of the package booktabs, numbers with four significant digits.

    Args:
        rows: mappings with the same keys.
    """
    head = list(rows[0])
    columns = "".join("r" if _is_numeric(rows, key) else "l" for key in head)
    lines = [_escaped(head), *(_escaped([_shown(row[key]) for key in head]) for row in rows)]
    body = [" & ".join(line) + r" \\" for line in lines]
    parts = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", body[0], r"\midrule", *body[1:], r"\bottomrule"]
    return "\n".join([*parts, r"\end{tabular}"]) + "\n"


def _is_numeric(rows: Sequence[Values], key: str) -> bool:
    values = [row[key] for row in rows if row[key] is not None]
    return bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _escaped(cells: Sequence[str]) -> list[str]:
    return ["".join(_LATEX.get(character, character) for character in cell) for cell in cells]
