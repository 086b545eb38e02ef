"""`devicekit peripherals --adc`: what an ADC's errors make of it, what it costs in time, and its netlist's codes."""

from __future__ import annotations

from typing import Any

from reports.commands.common import print_json, print_note, print_table


def show_adc(name: str, *, bits: int | None, converters: int, confirm: bool, as_json: bool, seed: int) -> None:
    """Print the figures of an ADC as built.

    Args:
        name: a kind, a bundled ADC, or a file.
        bits: resolution; None: the ADC's own, else 8.
        converters: how many to draw.
        confirm: whether ngspice converts as well.
        as_json: whether to print JSON.
        seed: of mismatch and noise.

    Raises:
        DesignError: an unknown or impossible ADC.
        MissingDependencyError: ngspice is asked for and absent.
    """
    from circuits import load_adc
    from circuits.adc_confirmation import confirm_adc
    from circuits.adc_figures import adc_figures

    adc = load_adc(name)
    width = bits if bits is not None else adc.bits or 8
    figures = adc_figures(adc, width, converters=converters, seed=seed).to_dict()
    confirmation = confirm_adc(adc, width, seed=seed).to_dict() if confirm else None
    if as_json:
        print_json({"adc": adc.to_mapping(), "figures": figures, "spice": confirmation})
        return
    title = f"{adc.label}: {adc.its_kind.label}, {width} bits, {converters} drawn"
    print_table(_rows(figures), title=title, headings={"figure": "", "value": ""})
    if confirmation is not None:
        print_note(
            f"ngspice: {confirmation['same_code']} of {confirmation['conversions']} codes are those of the model, the "
            f"others within {confirmation['largest_difference_lsb']} LSB; values as near as "
            f"{confirmation['least_distance_from_a_transition_lsb']:.3f} LSB to a transition."
        )


def _rows(figures: dict[str, Any]) -> list[dict[str, Any]]:
    f = figures
    return [
        {"figure": "effective bits, mean and least", "value": f"{f['enob_mean']:.3f} and {f['enob_least']:.3f}"},
        {"figure": "SNDR of a full-scale sine, mean [dB]", "value": f"{f['sndr_mean_db']:.2f}"},
        {
            "figure": "largest INL, median and worst ADC [LSB]",
            "value": f"{f['inl_median_lsb']:.3f} and {f['inl_worst_lsb']:.3f}",
        },
        {
            "figure": "largest DNL, median and worst ADC [LSB]",
            "value": f"{f['dnl_median_lsb']:.3f} and {f['dnl_worst_lsb']:.3f}",
        },
        {"figure": "DNL below the middle code, spread over ADCs [LSB]", "value": f"{f['middle_dnl_sigma_lsb']:.3f}"},
        {"figure": "offset, spread over ADCs [LSB]", "value": f"{f['offset_sigma_lsb']:.3f}"},
        {"figure": "gain, spread over ADCs", "value": f"{f['gain_sigma']:.5f}"},
        {"figure": "missing codes, mean", "value": f"{f['missing_codes_mean']:.2f}"},
        {"figure": "monotonic ADCs", "value": f"{100 * f['monotonic_share']:.0f} %"},
    ]
