"""Whether a study's cores have wires: where nobody says so, the line currents measured on the network decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from circuits import Core, NetworkCores, Wires, wire_error_lsb
from circuits.designs import split_rows
from devicekit.common.plain import PlainValues

if TYPE_CHECKING:
    from torch import nn

    from accuracy.batches import Batches

USUAL_RESISTANCE = 1e-5
"""R_p_hat of a bit line in 40 nm: what the published core was checked with (Xiao et al. 2022)."""
LEAST_ERROR_LSB = 0.1


@dataclass(frozen=True)
class WireCost(PlainValues):
    """What wires would cost a core, by the currents measured on the network.

    Attributes:
        r_p_hat: the resistance asked about.
        error_lsb: bound of the error of a reading in the layer where it is largest, rms [LSB].
        layer: that layer.
        included: whether the core is evaluated with these wires.
    """

    r_p_hat: float
    error_lsb: float
    layer: str
    included: bool


def leaves_wires_open(core: Core) -> bool:
    """Return whether a core says nothing of its wires, and a resistance of its bit lines could act.

    Args:
        core: as built, with what the study says.
    """
    design = core.design
    sliced = design.input_encoding == "bit_serial" and design.input_slice_bits != 1
    calibrated = design.adc_bits is not None and design.input_bits is not None
    said = core.wires is not None or design.r_p_hat > 0
    return calibrated and not sliced and not said and core.cell is not None


def wire_cost(model: nn.Module, cores: NetworkCores, batches: Batches) -> WireCost | None:
    """Return what the usual resistance would cost cores that have none; None where no currents are known.

    One chip has wires or has none: the layer where they cost most decides for all cores that leave them open.

    Args:
        model: converted and calibrated for the cores without wires.
        cores: the cores; layers of those that say what wires they have are left aside.
        batches: training data that the currents are measured on.
    """
    from accuracy import analog_layers, measure_line_currents

    currents = measure_line_currents(model, batches)
    worst: tuple[float, str] | None = None
    for layer in analog_layers(model):
        own, core = currents.get(layer.name), cores.of(layer.names)
        if own is None or own.full_scale_a is None or not leaves_wires_open(core):
            continue
        assert core.cell is not None
        rows, *_ = split_rows(layer.array.mapping.rows, layer.design.max_rows)
        error = wire_error_lsb(
            own, layer.design, rows, USUAL_RESISTANCE, core.cell.i_max,
            trimmed="column_trim" in core.corrections, signed_inputs=layer.require_calibration().signed,
        )  # fmt: skip
        worst = max(worst or (0.0, layer.name), (error, layer.name))
    if worst is None:
        return None
    return WireCost(USUAL_RESISTANCE, worst[0], worst[1], worst[0] > LEAST_ERROR_LSB)


def wired(cores: NetworkCores, cost: WireCost | None) -> NetworkCores:
    """Return cores with the wires that the rule gives those that leave them open.

    Args:
        cores: as built.
        cost: from `wire_cost`; None leaves them as they are.
    """
    if cost is None or not cost.included:
        return cores
    wires = Wires(cost.r_p_hat)
    return cores.each(lambda core: core.replace(wires=wires) if leaves_wires_open(core) else core)


def wire_note(costs: dict[str, WireCost]) -> str:
    """Return what the rule found, as a sentence; empty where it had nothing to decide.

    Args:
        costs: by core.
    """
    if not costs:
        return ""
    left = [name for name, cost in costs.items() if not cost.included]
    taken = [name for name, cost in costs.items() if cost.included]
    text = f"Bit lines of R_p_hat = {USUAL_RESISTANCE:g}, by the line currents measured on this network: "
    parts = []
    if taken:
        most = max(costs[name].error_lsb for name in taken)
        parts.append(f"in {', '.join(taken)} they may cost up to {most:.2g} ADC steps and are in")
    if left:
        most = max(costs[name].error_lsb for name in left)
        parts.append(
            f"in {', '.join(left)} they cost at most {most:.2g} steps, less than {LEAST_ERROR_LSB:g}, and are left out"
        )
    return text + "; ".join(parts) + "."
