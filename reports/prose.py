"""The sentences of the page: what the numbers say, no more than they say."""

from __future__ import annotations

from collections.abc import Sequence

from reports.built_cores import caption_of_parts, shared_parts
from reports.layer_cores import cost_remark, shown_energy
from reports.metric import ShownMetric
from reports.numbers import in_prefix, significant
from reports.results import StudyResult, Values


def sentence(text: str) -> str:
    """Return a text with a capital at its beginning and a full stop at its end.

    Args:
        text: one sentence or several.
    """
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _names(designs: Sequence[Values]) -> str:
    names: list[str] = [design["name"] for design in designs]
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
    network, designs, shown = result.network, result.designs, ShownMetric(result.metric)
    tested = f"{_plural(network['test_images'], 'test ' + network['example'])}{shown.of_labels(network['labels'])}"
    if shown.names_classes and network["labels"] == network["test_images"]:
        first = (
            f"{network['name']} names {100 * network['baseline']:.1f} % of {tested} of {network['data_set']} correctly "
            "in floating point."
        )
    else:
        first = (
            f"{network['name']} has {shown.with_article} of {shown.with_unit(network['baseline'])} on {tested} of "
            f"{network['data_set']} in floating point{'' if shown.higher_is_better else '; lower is better'}."
        )
    second = (_points if shown.is_share else _changes)(result, shown)
    sentences = [f"{first} {second}".strip()]
    if len(designs) > 1:
        energy = shown_energy(designs)
        costs, unit = {design["name"]: energy.value(design) for design in designs}, energy.unit.partition("/")[0]
        cheap, dear = min(costs, key=lambda name: costs[name]), max(costs, key=lambda name: costs[name])
        sentences.append(
            f"An {energy.of} costs from {significant(costs[cheap])} {unit} (design {cheap}) to "
            f"{significant(costs[dear])} {unit} (design {dear}), a factor of "
            f"{significant(costs[dear] / costs[cheap], 2)}."
        )
    return sentences


def _changes(result: StudyResult, shown: ShownMetric) -> str:
    """What a metric in units of its own becomes on each design."""
    found = [(design["name"], design["accuracy"]["mean"], design["accuracy"]["loss"]) for design in result.designs]
    values = [f"{shown.with_unit(mean)} on {name} ({shown.signed(loss)})" for name, mean, loss in found]
    listed = values[0] if len(values) == 1 else f"{', '.join(values[:-1])} and {values[-1]}"
    cells = f"{result.device['label']} cells{shared_parts(result.designs)}"
    return f"With {cells} it is {listed}; the sign in brackets is + where it got worse."


def _points(result: StudyResult, shown: ShownMetric) -> str:
    """How many points the designs lose of a share."""
    designs = result.designs
    close = [design for design in designs if shown.scaled(design["accuracy"]["loss"]) <= 1]
    far = [design for design in designs if shown.scaled(design["accuracy"]["loss"]) > 1]
    kept = []
    if close:
        everything = not far and len(designs) > 1
        worst = 100 * max(design["accuracy"]["loss"] for design in close)
        everyone = "both designs" if len(designs) == 2 else f"all {len(designs)} designs"
        who = everyone if everything else f"design{'s' if len(close) > 1 else ''} {_names(close)}"
        verb = "lose" if everything or len(close) > 1 else "loses"
        kept.append(f"{who} {verb} {f'{worst:.1f} points at most' if worst >= 0.05 else 'nothing'}")
    if far:
        losses = [f"{design['name']} {100 * design['accuracy']['loss']:.1f}" for design in far]
        kept.append(f"{'; '.join(losses)} points are lost" if not close else f"{' and '.join(losses)} points")
    return f"With {result.device['label']} cells{shared_parts(result.designs)} {', '.join(kept)}." if kept else ""


def inference_sentence(result: StudyResult) -> str:
    """Return what an inference is and what cores it runs on.

    Args:
        result: what the study found.
    """
    network, shown = result.network, ShownMetric(result.metric)
    places = network["places_per_inference"]
    own = f" of {_plural(places, shown.place)} (the first test {network['example']})" if shown.place else ""
    return (
        f"Every layer of {network['name']} on cores of its own; an inference is one {network['example']}{own}. A "
        "core is sized for the largest products it will see; a small layer leaves most of it unused, which the peak "
        "figures do not tell."
    )


def table_note(result: StudyResult) -> str:
    """Return what stands below the table.

    Args:
        result: what the study found.
    """
    designs = result.designs
    trials = " or ".join(map(str, sorted({design["accuracy"]["trials"] for design in designs})))
    what = "value" if any(design["accuracy"]["loss_interval"] for design in designs) else "cost"
    shown, cells = ShownMetric(result.metric), "the mean of the core as built"
    baseline = f"the float network's {shown.label} ({shown.with_unit(result.network['baseline'])})"
    loss = f"{baseline} minus {cells}" if shown.higher_is_better else f"{cells} minus {baseline}, so that + is worse"
    text = (
        f"Loss is {loss}; ± is the standard deviation over {trials} trials with other cell errors "
        f"each; small figures below a {what} are its 95 % interval{_paired(result, shown)}. "
        f"{caption_of_parts(designs)} "
    )
    sizes = {(design["fields"]["matrix_rows"], design["fields"]["matrix_columns"]) for design in designs}
    (rows, columns), same = next(iter(sizes)), len(sizes) == 1
    size = f"{rows} × {columns}" if same else "the design's own size"
    if any(design["stages"] for design in designs):
        trials = designs[0]["stages"][0]["accuracy"]["trials"]
        text += (
            "Cells alone, and untrimmed: the same core without the rest, and before its columns are corrected "
            f"({trials} trials each). "
        )
    return (
        text
        + (
            f"Costs are those of one core for a matrix-vector product of {size}; one multiply-accumulate is two "
            "operations. Latency runs from the first input bit to the result. "
            f"{' '.join(filter(None, (cost_remark(designs), result.cost_note)))}"
        ).strip()
    )


def _paired(result: StudyResult, shown: ShownMetric) -> str:
    """Say what the interval of a loss is drawn over, where an example is no single label; or why there is none."""
    network = result.network
    if not any(design["accuracy"]["loss_interval"] for design in result.designs):
        return f" (the loss has none: {shown.label} gives no score for each of several {network['example']}s)"
    if network["labels"] == network["test_images"]:
        return ""
    return f", of the loss over whole {network['example']}s and trials, paired with the float network"


def cell_sentence(result: StudyResult) -> str:
    """Return what the cell is.

    Args:
        result: what the study found.
    """
    device = result.device
    technology = device["technology"].replace("_", " ") or "technology not stated"
    return (
        f"{device['name']} ({technology}): currents up to {significant(1e6 * device['i_max_a'])} µA at "
        f"{significant(device['read_voltage_v'])} V, on/off ratio {_ratio(device['on_off_ratio'])}, programming "
        f"error {_law(device)}. {device['origin']}"
    )


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return "without limit"
    if ratio < 1e4:
        return significant(ratio)
    mantissa, exponent = f"{ratio:.0e}".split("e+")
    power = f"10{str(int(exponent)).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
    return power if mantissa == "1" else f"{mantissa} × {power}"


def _law(device: Values) -> str:
    values = [
        f"{name} {' '.join(in_prefix(own['value'], own['unit'])[:2]).strip()}"
        for name, own in device["parameters"].items()
    ]
    law = device["error_model"].replace("_", " ")
    return f"{law} ({', '.join(values)})" if values else law


def spice_note(result: StudyResult) -> str:
    """Return why recorded values of circuit simulation stand in; empty where it ran.

    Args:
        result: what the study found.
    """
    if result.spice is None or not result.spice["recorded"]:
        return ""
    reason = str(result.spice.get("reason", "")).strip().rstrip(".")
    why = f" ({reason})" if reason else ""
    return f"Nothing came of ngspice on this machine{why}; these values were recorded when the package was made."


def spice_sentence(result: StudyResult) -> str:
    """Return what circuit simulation said of the bit-line solver; empty without a check.

    Args:
        result: what the study found.
    """
    check = result.spice
    if check is None:
        return ""
    how = "Recorded earlier with" if check["recorded"] else "Run afresh for this page with"
    return (
        f"{how} ngspice {check['ngspice_version']}: a bit line of {check['cells']} cells with wire resistance. The "
        f"solver that accuracy uses and the simulator differ by {check['relative_difference']:.1e} of the current at "
        "most."
    )
