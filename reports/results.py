"""What a study found, as plain values: what the rooms' results give as `to_dict`, read by table, figures and page.

Nothing here computes. Fractions are in 0..1; a name carries the unit of its number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from devicekit.common.plain import PlainValues

Interval = tuple[float, float]
Values = dict[str, Any]
"""Plain values by name."""


@dataclass(frozen=True, kw_only=True)
class StudyResult(PlainValues):
    """Everything the page shows; ``results.json`` holds it.

    Attributes:
        title: the study's title.
        settings: the study's settings as they were run.
        device: the cell (`Cell.to_dict`), its ``label`` for headings, and its ``origin``, a sentence.
        fit: the fit to measured currents (`DeviceFit.to_dict`); ``round_trip``: whether the data were drawn from the
            very model they are fitted with; ``published``: parameters it should return to, by name; ``curve``: the
            fitted law with its 95 % band and the published law, over currents. None where a device file was used and
            its measurements are not bundled.
        spice: the circuit check (`BitLineConfirmation.to_dict`); None where there is none.
        wires: errors of bit-line models on the arrays of the designs: the rows of `bit_line_errors`, each with the
            ``designs`` whose lines they are.
        peripherals: a characterisation of the circuits around the array (`PeripheralModel.to_dict`); None without.
        metric: what is counted, in words, with unit and direction (`MetricFacts.to_dict`).
        network: name, examples, layers (`LayerShape.to_dict`) and ``coverage`` (`Coverage.to_dict`) of the network, and
            ``notes``, sentences.
        designs: one entry a core, in the order asked for: `CoreDesign.to_dict` with ``core``, what it is built of
            beside its design (`Core.to_dict`: cell, age, temperature, ADC, peripherals, wires, corrections, faults),
            ``overrides``, the cores of layers that lie on others (`reports.layer_cores.overrides_shown`),
            ``accuracy`` (`Accuracy.to_dict`), ``cost`` (`CoreCost.to_dict`), ``network_cost`` (`NetworkCost.to_dict`),
            ``layer_reports`` (`LayerReport.to_dict`, one a layer), and ``trained``: ``comparison`` of the network as
            given and with trained weights (`accuracy.training.Comparison.to_dict`, one a size of the errors) and the
            trained one's ``network_cost``; None or absent without trained weights.
        provenance: every constant: ``room`` it belongs to, ``name``, and the fields of `Constant`; no value where it
            is no number.
        software: versions by name.
        cost_note: what must be said of the costs below the table; may be empty.
        remarks: what was skipped or assumed, as sentences.
        seconds: how long the run took [s]; steps taken from an earlier, interrupted run not counted.
    """

    title: str
    settings: Values
    device: Values
    fit: Values | None
    spice: Values | None
    wires: list[Values]
    peripherals: Values | None
    metric: Values
    network: Values
    designs: list[Values]
    provenance: list[Values]
    software: dict[str, str]
    cost_note: str = ""
    remarks: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the result that a ``results.json`` holds.

        Args:
            values: its content.
        """
        return cls(**{field.name: values[field.name] for field in dataclasses.fields(cls)})


def interval_of(values: Mapping[str, Any], name: str) -> Interval | None:
    """Return the interval of a number, from its ``_low`` and ``_high``; None where it has none, or none of any width.

    A calibrated total has none: how well the printed number is known says nothing of a built core.

    Args:
        values: plain values by name.
        name: of the number.
    """
    if is_calibrated(values, name):
        return None
    low, high = values.get(f"{name}_low"), values.get(f"{name}_high")
    return (low, high) if low is not None and high is not None and low < high else None


_TOTALS = {"energy_fj_per_op": "energy", "tops_per_w": "energy", "area_mm2": "area"}


def is_calibrated(values: Mapping[str, Any], name: str) -> bool:
    """Return whether a number is a total, or follows from one, that the component library was calibrated to.

    Args:
        values: plain values of a core's cost by name.
        name: of the number.
    """
    return name in _TOTALS and values.get(f"{_TOTALS[name]}_basis") == "calibrated"
