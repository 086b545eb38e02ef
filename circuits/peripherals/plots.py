"""The page of figures of a characterisation."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from circuits.peripherals.curves import transition_non_linearity
from circuits.peripherals.front_end import Schedule
from circuits.peripherals.runs import Runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


INK, BLUE, ORANGE, GREY = "#1f2933", "#2f6690", "#c8553d", "#9aa5b1"
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "white",
}


def plot_characterization(run: Runs) -> tuple[Figure, dict[str, Axes]]:
    """Return the figure page and its axes by name.

    Args:
        run: the runs of a characterisation.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        page = Figure(figsize=(11.0, 10.2), layout="constrained")
        grid = page.add_gridspec(3, 2)
        axes = {
            "waveforms": page.add_subplot(grid[0, 0]),
            "curve": page.add_subplot(grid[0, 1]),
            "adc": page.add_subplot(grid[1, 0]),
            "patterns": page.add_subplot(grid[1, 1]),
            "columns": page.add_subplot(grid[2, 0]),
            "noise": page.add_subplot(grid[2, 1]),
        }
        _waveforms(run, axes["waveforms"])
        _curve(run, axes["curve"])
        _adc(run, axes["adc"])
        _patterns(run, axes["patterns"])
        _columns(run, axes["columns"])
        _noise(run, axes["noise"])
        model = run.model
        title = f"{model.name}: peripherals of a column in ngspice, {model.temperature:.0f} K, {model.corner} corner"
        page.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    return page, axes


def _waveforms(run: Runs, axis: Axes) -> None:
    time = run.waveform_time * 1e9
    for node, label, colour in (
        ("out", "integrator", GREY),
        ("hold", "accumulator", ORANGE),
        ("gained", "gain stage", BLUE),
    ):
        axis.plot(time, run.waveforms[node] * 1e3, color=colour, lw=1.2, label=label)
    for start in Schedule.of(run.parameters).starts:
        axis.axvline(start * 1e9, color="#e6e6e6", lw=0.7, zorder=0)
    bits = run.parameters.bits
    title = f"{bits} input bits, full scale up and down" if bits > 1 else "One input bit at full scale"
    axis.set(title=title, xlabel="time [ns]", ylabel="from mid-supply [mV]")
    axis.grid(axis="x", visible=False)
    axis.margins(x=0)
    axis.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, -0.02))


def _curve(run: Runs, axis: Axes) -> None:
    model = run.model
    codes = np.arange(len(model.inl_lsb))
    axis.plot(codes, model.inl, color=BLUE, lw=1.4)
    axis.axhline(0, color=GREY, lw=0.8)
    axis.set(title="Integral non-linearity of the chain", xlabel="code", ylabel="INL [LSB]", xlim=(0, codes[-1]))
    note = f"gain {model.gain:.4f}, offset {model.offset_lsb:+.2f} LSB removed"
    axis.annotate(note, (0.98, 0.04), xycoords="axes fraction", ha="right", fontsize=8, color=INK)


def _adc(run: Runs, axis: Axes) -> None:
    transitions = run.adc.transitions()
    codes = 1 + np.flatnonzero(np.isfinite(transitions))
    integral, differential = transition_non_linearity(transitions[codes - 1])
    axis.plot(codes, integral, color=BLUE, lw=1.4, label="INL of transitions")
    axis.plot(codes[:-1], differential, color=ORANGE, lw=1.2, label="DNL of codes")
    axis.axhline(0, color=GREY, lw=0.8)
    axis.set(title="Ramp ADC by itself", xlabel="code", ylabel="[LSB]", xlim=(0, codes[-1]))
    axis.legend()


def _patterns(run: Runs, axis: Axes) -> None:
    bits = run.pattern_levels.shape[1]
    sums = run.pattern_levels @ (2.0 ** np.arange(bits) / (2**bits - 1))
    axis.scatter(sums, run.pattern_errors, s=14, color=GREY, lw=0, label="bits weighted by powers of two")
    axis.scatter(sums, run.weighted_errors, s=14, color=BLUE, lw=0, label="bits weighted as the circuit does")
    axis.axhline(0, color=GREY, lw=0.8)
    axis.legend(loc="upper right")
    axis.margins(y=0.3)
    axis.set(
        title="Random bit patterns against the static curve",
        xlabel="sum of the pattern [full scale]",
        ylabel="difference [LSB]",
    )
    rms = f"rms {np.std(run.pattern_errors):.3f} and {run.model.pattern_lsb:.3f} LSB"
    axis.annotate(rms, (0.98, 0.04), xycoords="axes fraction", ha="right", fontsize=8, color=INK)


def _columns(run: Runs, axis: Axes) -> None:
    axis.set(xlabel="offset [LSB]", ylabel="gain")
    if not run.column_gain.size:
        axis.set_title("Columns with mismatch")
        axis.annotate("no mismatch drawn", (0.5, 0.5), xycoords="axes fraction", ha="center", color=INK)
        return
    axis.scatter(run.column_offset_lsb, run.column_gain, s=18, color=BLUE, alpha=0.8, lw=0)
    model = run.model
    axis.set_title(f"Columns with mismatch: σ {model.offset_sigma_lsb:.2f} LSB and {model.gain_sigma:.2%}")


def _noise(run: Runs, axis: Axes) -> None:
    names = sorted(run.noise, key=lambda name: run.noise[name].lsb)
    values = [run.noise[name].lsb for name in names]
    colours = [GREY if run.noise[name].simulated is None else BLUE for name in names]
    # Long names would take their width from every panel.
    labels = [textwrap.fill(name, 30) for name in names]
    axis.barh(labels, values, color=colours, height=0.65)
    for label, value in zip(labels, values, strict=True):
        axis.annotate(
            f"{value:.3f}", (value, label), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8
        )
    axis.margins(x=0.12)
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", labelsize=7.5)
    axis.set(title="Noise of one conversion", xlabel="rms [LSB]; grey: closed form only")
