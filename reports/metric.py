"""How the values of a study's metric are shown: unit, digits, sign, words and names of columns, the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.numbers import significant


class ShownMetric:
    """Words and numbers of a metric, from what the metric says of itself.

    Args:
        facts: `accuracy.evaluation.measures.MetricFacts.to_dict`.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = facts
        self.label: str = facts["label"]
        self.unit: str = facts["unit"]
        self.loss_unit: str = facts["loss_unit"]
        self.place: str = facts["place"]
        self.higher_is_better: bool = facts["higher_is_better"]
        self._scale: float = facts["scale"]

    @property
    def is_share(self) -> bool:
        """Whether values are shares, shown in percent."""
        return self.unit == "%"

    @property
    def names_classes(self) -> bool:
        """Whether it counts the examples whose class a network names."""
        return bool(self._facts["name"] == "top1")

    @property
    def title(self) -> str:
        """The metric at the beginning of a sentence."""
        return self.label[:1].upper() + self.label[1:]

    @property
    def with_article(self) -> str:
        """The metric with its indefinite article."""
        return f"{'an' if self.label[:1].lower() in 'aeiou' else 'a'} {self.label}"

    @property
    def loss_words(self) -> str:
        """The unit of a loss, or its sign where it has none."""
        return self.loss_unit or "+ is worse"

    def of_labels(self, count: int) -> str:
        """Return how many places were counted, in brackets, where they have a name."""
        return f" ({count:,} {self.place}s)".replace(",", " ") if self.place else ""

    def scaled(self, value: float) -> float:
        """Return a value in the metric's unit."""
        return self._scale * value

    def value(self, value: float) -> str:
        """Return a value as tables show it, without its unit."""
        return f"{self.scaled(value):.2f}" if self.is_share else significant(value, 4)

    def spread(self, value: float) -> str:
        """Return a standard deviation as tables show it."""
        return f"{self.scaled(value):.2f}" if self.is_share else significant(value, 2)

    def signed(self, value: float, digits: int = 3) -> str:
        """Return a loss with its sign, without its unit."""
        if self.is_share:
            return f"{self.scaled(value):+.2f}"
        return f"{'' if value <= 0 else '+'}{significant(value, digits)}"

    def with_unit(self, value: float) -> str:
        """Return a value with its unit."""
        return f"{self.value(value)} {self.unit}".rstrip()

    def heading(self, text: str) -> str:
        """Return a heading of values, with their unit."""
        return f"{text} [{self.unit}]" if self.unit else text

    def loss_heading(self, text: str = "Loss") -> str:
        """Return a heading of losses, with their unit or what their sign means."""
        return f"{text} [{self.loss_unit}]" if self.loss_unit else f"{text} ({self.loss_words})"

    @property
    def column_unit(self) -> str:
        """End of the names of columns."""
        return "_percent" if self.is_share else f"_{self.unit}" if self.unit else ""

    def column(self, part: str) -> str:
        """Return the name of the column of values: ``accuracy_baseline_percent``, ``perplexity_baseline``."""
        return f"{self._facts['column']}_{part}{self.column_unit}"

    @property
    def loss_column(self) -> str:
        """Name of the column of losses: ``loss_points``, ``loss_nat``, ``loss_perplexity``."""
        return f"loss_{self.loss_unit or self._facts['column']}"

    @property
    def hover_change(self) -> str:
        """Difference of a point from the float network in plotly's words."""
        return "%{y:+.2f} points" if self.is_share else f"%{{y:+.3~g}} {self.loss_unit}".rstrip()

    @property
    def hover(self) -> str:
        """Value of a point in plotly's words."""
        return "%{y:.2f} %" if self.is_share else f"%{{y:.4~g}} {self.unit}".rstrip()
