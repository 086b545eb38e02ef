"""The network of a study after training on its cells, beside the same network as given: figures, table and page."""

from __future__ import annotations

from typing import Any

from circuits import NetworkCores
from devicekit.common.plain import plain
from reports.cache import ResultCache
from reports.errors import StudyError
from reports.evaluation_key import evaluation_inputs
from reports.figure import SERIES, Figure
from reports.metric import ShownMetric
from reports.network_step import (
    LoadedNetwork,
    Report,
    beyond_envelopes,
    converted,
    load_network,
    training_batches,
)
from reports.results import StudyResult, Values
from reports.study import Study

WEIGHTS = "weights.safetensors"
"""What `devicekit train` calls its weights."""


def load_trained(study: Study) -> LoadedNetwork | None:
    """Return the network of a study with its trained weights; None where the study names none.

    Args:
        study: the study.

    Raises:
        NetworkError: no such weights, or weights that do not fit.
        StudyError: an ONNX network, which holds its weights itself.
    """
    if study.trained is None:
        return None
    if study.network.endswith(".onnx"):
        raise StudyError("`trained` are weights for the network of the study, but an ONNX file holds its own.")
    path = study.trained / WEIGHTS if study.trained.is_dir() else study.trained
    return load_network(study.model_copy(update={"weights": path}))


def evaluate_trained(
    study: Study, given: LoadedNetwork, trained: LoadedNetwork, cores: NetworkCores, cache: ResultCache, report: Report
) -> Values:
    """Return how both fare on the same cells, from an earlier run where all inputs are the same.

    Args:
        study: the study.
        given: the network as given.
        trained: the network with its trained weights.
        cores: as they were evaluated, with their wires.
        cache: earlier results.
        report: called with (steps done, steps in all).

    Returns:
        ``comparison`` (`accuracy.training.Comparison.to_dict`, one a size of the errors) and ``activities``
        (`Activity.to_dict` by layer) of the trained network.
    """
    from accuracy import measure_activity
    from accuracy.training import compare

    scales = study.trained_scales if any(core.cell is not None for core in cores.kinds) else (1.0,)
    # Tolerance and stages play no part in it.
    inputs = evaluation_inputs(study, trained.fingerprint, cores) | {"given": given.fingerprint, "scales": list(scales)}
    known = cache.get(f"trained-{cores.name}", inputs)
    if known is not None:
        report(1, 1)
        return known
    with beyond_envelopes():
        # Said of the network as given already.
        before, after = (converted(study, own, cores) for own in (given, trained))
        activities: Any = {}
        if cores.core.design.input_bits is not None:
            activities = measure_activity(after, training_batches(study, trained))
        found = compare(
            before,
            after,
            given.batches(study, "test", study.images),
            scales,
            study.trials,
            study.seed,
            metric=study.metric,
            draw_cells=study.draw_cells,
            correction_batches=training_batches(study, given, study.correction_images),
            workers=study.workers,
            progress=report,
        )
    values = {"comparison": [one.to_dict() for one in found], "activities": plain(activities)}
    cache.put(f"trained-{cores.name}", inputs, values)
    return values


def passes(study: Study) -> int:
    """Return the passes over the images that `evaluate_trained` takes for a core."""
    return 0 if study.trained is None else 2 * len(study.trained_scales) * (study.trials + 2)


def own_scale(design: Values) -> Values | None:
    """Return the comparison at the errors of the study; None where there are no trained weights.

    Args:
        design: as in `StudyResult`.
    """
    trained = design.get("trained")
    return None if trained is None else next(one for one in trained["comparison"] if one["error_scale"] == 1.0)


def trained_text(design: Values, shown: ShownMetric) -> str | None:
    """Return what the trained network gives, with its gain, in a few words; None without trained weights."""
    one = own_scale(design)
    if one is None:
        return None
    return f"trained {shown.value(one['after']['mean'])} ({_gain(one, shown)})"


def trained_columns(design: Values, shown: ShownMetric) -> Values:
    """Return the columns of the joint table; none without trained weights."""
    one = own_scale(design)
    if one is None:
        return {}
    low, high = one["gain_interval"] or (None, None)
    gain = shown.loss_column.replace("loss", "gain")
    return {
        shown.column("trained_baseline"): shown.scaled(one["after"]["baseline"]),
        shown.column("trained_device"): shown.scaled(one["after"]["mean"]),
        shown.column("trained_device_std"): shown.scaled(one["after"]["std"]),
        f"trained_{gain}": shown.scaled(one["gain"]),
        f"trained_{gain}_low": None if low is None else shown.scaled(low),
        f"trained_{gain}_high": None if high is None else shown.scaled(high),
        "trained_network_energy_gated_uj": design["trained"]["network_cost"]["energy_gated_uj"],
    }


def trained_rows(result: StudyResult) -> list[dict[str, str]]:
    """Return the rows of the page's table, one a design and size of errors."""
    shown, scale = ShownMetric(result.metric), result.settings.get("error_scale", 1.0)
    return [
        {
            "name": design["name"],
            "series": str(index % len(SERIES)),
            "scale": f"{scale * one['error_scale']:g}",
            "digital": f"{shown.value(one['before']['baseline'])} → {shown.value(one['after']['baseline'])}",
            "before": f"{shown.value(one['before']['mean'])} ± {shown.spread(one['before']['std'])}",
            "after": f"{shown.value(one['after']['mean'])} ± {shown.spread(one['after']['std'])}",
            "gain": _gain(one, shown),
            "recovered": "" if one["recovered"] is None else f"{100 * one['recovered']:.0f} %".replace("-", "−"),
        }
        for index, design in enumerate(result.designs)
        for one in (design.get("trained") or {"comparison": ()})["comparison"]
    ]


def trained_figure(result: StudyResult) -> Figure | None:
    """Return the figure of the metric against the size of the errors, before and after training; None without it.

    Args:
        result: what the study found.
    """
    shown, scale = ShownMetric(result.metric), result.settings.get("error_scale", 1.0)
    traces: list[dict[str, Any]] = []
    for index, design in enumerate(result.designs):
        if design.get("trained") is None:
            continue
        found, colour = design["trained"]["comparison"], SERIES[index % len(SERIES)]
        for key, words, dash in (("before", "as given", "dot"), ("after", "trained", "solid")):
            means = [shown.scaled(one[key]["mean"]) for one in found]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": f"{design['name']}, {words}",
                    "x": [scale * one["error_scale"] for one in found],
                    "y": means,
                    "line": {"color": colour, "width": 2, "dash": dash},
                    "marker": {"size": 8, "color": colour},
                    "error_y": {
                        "type": "data",
                        "array": [shown.scaled(one[key]["std"]) for one in found],
                        "color": colour,
                        "thickness": 1.2,
                        "width": 4,
                    },
                    "hovertemplate": f"{design['name']}, {words}: {shown.hover}<extra></extra>",
                }
            )
    if not traces:
        return None
    trials = result.designs[0]["accuracy"]["trials"]
    caption = (
        f"Mean of {trials} sets of cells, the same for both networks, with their standard deviation. Solid: trained; "
        "dotted: as given. Training knew one size of errors; the others say how far it reaches."
    )
    layout = {
        "xaxis": {"title": {"text": "errors of the cells, in units of the cell's"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": shown.heading(shown.label)}},
    }
    return Figure(
        name="trained", title=f"{shown.title} before and after training", caption=caption, data=traces, layout=layout
    )


def _gain(one: Values, shown: ShownMetric) -> str:
    text = shown.signed(one["gain"])
    if one["gain_interval"] is not None:
        text += ", " + " to ".join(map(shown.signed, one["gain_interval"]))
    return text.replace("-", "−")
