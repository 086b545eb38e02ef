"""The sentences of the page: what the numbers say, no more than they say."""

from __future__ import annotations

from reports.results import DesignResult, StudyResult
from reports.table import significant


def _names(designs: list[DesignResult]) -> str:
    names = [design.name for design in designs]
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count:,} {noun}s".replace(",", " ")


def summary(result: StudyResult) -> list[str]:
    """Return what the study found in two or three sentences.

    Args:
        result: what the study found.
    """
    network, designs = result.network, list(result.designs)
    close = [design for design in designs if 100 * design.accuracy.loss <= 1]
    far = [design for design in designs if 100 * design.accuracy.loss > 1]
    first = (
        f"{network.name} names {100 * network.baseline:.1f} % of {_plural(network.test_images, 'test image')} of "
        f"{network.data_set} correctly in floating point."
    )
    kept = []
    if close:
        everything = not far and len(designs) > 1
        worst = 100 * max(design.accuracy.loss for design in close)
        who = f"all {len(designs)} designs" if everything else f"design{'s' if len(close) > 1 else ''} {_names(close)}"
        verb = "lose" if everything or len(close) > 1 else "loses"
        kept.append(f"{who} {verb} {f'{worst:.1f} points at most' if worst >= 0.05 else 'nothing'}")
    if far:
        losses = [f"{design.name} {100 * design.accuracy.loss:.1f}" for design in far]
        kept.append(f"{'; '.join(losses)} points are lost" if not close else f"{' and '.join(losses)} points")
    second = f"With {result.device.label} cells {', '.join(kept)}." if kept else ""
    sentences = [f"{first} {second}"]
    if len(designs) > 1:
        cheap = min(designs, key=lambda design: design.cost.energy_fj_per_op)
        dear = max(designs, key=lambda design: design.cost.energy_fj_per_op)
        ratio = dear.cost.energy_fj_per_op / cheap.cost.energy_fj_per_op
        sentences.append(
            f"An operation costs from {significant(cheap.cost.energy_fj_per_op)} fJ (design {cheap.name}) to "
            f"{significant(dear.cost.energy_fj_per_op)} fJ (design {dear.name}), a factor of {significant(ratio, 2)}."
        )
    return sentences


def table_note(result: StudyResult) -> str:
    """Return what stands below the table.

    Args:
        result: what the study found.
    """
    counts = sorted({len(design.accuracy.per_trial) for design in result.designs})
    trials = " or ".join(map(str, counts))
    text = (
        f"Loss is the float network's accuracy ({100 * result.network.baseline:.2f} %) minus the mean with "
        f"{result.device.label} cells; ± is the standard deviation over {trials} trials with other cell errors each; "
        "small figures below a value are its 95 % interval. "
    )
    if all(design.accuracy.loss_interval is None for design in result.designs):
        text = text.replace("small figures below a value are its", "small figures below a cost are its")
    rows, columns = (result.designs[0].fields[key] for key in ("matrix_rows", "matrix_columns"))
    same = all(
        (design.fields["matrix_rows"], design.fields["matrix_columns"]) == (rows, columns) for design in result.designs
    )
    size = f"{rows} × {columns}" if same else "the design's own size"
    return (
        text
        + (
            f"Costs are those of one core for a matrix-vector product of {size}; one multiply-accumulate is two "
            "operations. Latency runs from the first input bit to the result. "
            f"{result.cost_note}"
        ).strip()
    )


def cell_sentence(result: StudyResult) -> str:
    """Return what the cell is.

    Args:
        result: what the study found.
    """
    device = result.device
    ratio = f"{device.on_off_ratio:.0e}".replace("e+0", "e").replace("1e", "10^") if device.on_off_ratio >= 1e4 else ""
    superscript = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
    if ratio.startswith("10^"):
        ratio = "10" + ratio[3:].translate(superscript)
    return (
        f"{device.name} ({device.technology}): currents up to {significant(1e6 * device.i_max)} µA at "
        f"{significant(device.read_voltage)} V, on/off ratio {ratio or significant(device.on_off_ratio)}, programming "
        f"error {device.model}. {device.origin}"
    )


def spice_sentence(result: StudyResult) -> str:
    """Return what circuit simulation said of the bit-line solver; empty without a check.

    Args:
        result: what the study found.
    """
    check = result.spice
    if check is None:
        return ""
    how = "Recorded earlier with" if check.recorded else "Run afresh for this page with"
    return (
        f"{how} {check.simulator}: a bit line of {check.cells} cells with wire resistance. The "
        f"solver that accuracy uses and the simulator differ by {check.relative_difference:.1e} of the current at most."
    )
