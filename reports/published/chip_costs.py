"""Fabricated chips: energy as measured and as computed with the periphery of the 40 nm library.

None of these chips is of the library's technology: cells are their own, the periphery is borrowed, and the ratio of
measured to computed says what the borrowing is worth. That the same ratio holds over settings is the test.
"""

from __future__ import annotations

from circuits import CoreDesign
from devicekit import load_device
from energy import estimate_core
from reports.published.chips import PCM, RERAM, SONOS, chips, figure_of, flash_design
from reports.published.drawing import lines
from reports.published.study import Finding, PublishedStudy, Setting
from reports.results import Interval, Values

BORROWED = "borrow:sonos_40nm"
ALIKE = 2.0
"""Largest over least ratio at which a chip's energies count as following the model."""


def _row(
    chip: str, quantity: str, setting: str, computed: float, interval: Interval | None, measured: float, assumed: str
) -> Values:
    low, high = (None, None) if interval is None else interval
    return {
        "chip": chip,
        "quantity": quantity,
        "setting": setting,
        "measured": measured,
        "computed": computed,
        "computed_low": low,
        "computed_high": high,
        "measured_over_computed": measured / computed,
        "assumed": assumed,
    }


def _products(setting: Setting) -> tuple[list[Values], list[Values]]:
    """Energy of a product on a core of resistive memory by its bits: in all, and of its word lines alone."""
    table, line = chips()[RERAM]["energy"], chips()[RERAM]["word_line"]
    groups = ("word_lines_fj_per_op", "neurons_fj_per_op", "input_pulses_fj_per_op")
    operations = 2 * table["rows"] * table["columns"]
    capacitance = 1e-15 * (line["driver_ff"] + line["cells"] * line["cell_ff"])
    pulse = capacitance * line["high_v"] * (line["high_v"] - line["low_v"])
    totals, word_lines = [], []
    for number, (inputs, outputs) in enumerate(zip(table["input_bits"], table["output_bits"], strict=True)):
        # A sign and so many bits of magnitude, each a pulse; one bit alone is a pulse as well.
        magnitude = max(inputs - 1, 1)
        design = CoreDesign(
            name="wan2022",
            matrix_rows=table["rows"],
            matrix_columns=table["columns"],
            max_rows=table["rows"],
            weight_bits=4,
            bits_per_cell=3,
            input_bits=magnitude,
            adc_bits=outputs,
        )
        cost = estimate_core(design, library=BORROWED, cell=load_device(RERAM), adc="sar")
        where = f"{inputs} bits in, {outputs} out"
        totals.append(
            _row(
                RERAM,
                "energy_fj_per_op",
                where,
                cost.energy_fj_per_op,
                cost.interval["energy_fj_per_op"],
                sum(table[name][number] for name in groups),
                "40 nm periphery for 130 nm, SAR ADCs, currents instead of settled voltages",
            )
        )
        word_lines.append(
            _row(
                RERAM,
                "word_lines_fj_per_op",
                where,
                1e15 * line["lines"] * magnitude * pulse / operations,
                None,
                table[groups[0]][number],
                "each word line charged once a bit, C V (V - V_low) of the stated capacitances",
            )
        )
    return totals, word_lines


def _others() -> list[Values]:
    """Efficiency of a core of phase-change memory; energy of an inference and area of the arrays on flash."""
    hermes, guo = "pcm_hermes2022", "flash_guo2017"
    rows, columns = (int(figure_of(hermes, name)) for name in ("rows", "columns"))
    design = CoreDesign(name="hermes2022", matrix_rows=rows, matrix_columns=columns, max_rows=rows)
    core = estimate_core(design, library=BORROWED, cell=load_device(PCM))
    found = [
        _row(
            hermes,
            quantity,
            "8 bits in, 8 out",
            float(getattr(core, quantity)),
            core.interval[quantity],
            figure_of(hermes, quantity),
            "40 nm periphery for 14 nm, 8 bits applied one after another, a ramp ADC",
        )
        for quantity in ("tops_per_w", "tops_per_mm2")
    ]
    # Bits are what energy counts: one a row, and nothing behind the integrators.
    one_bit = {"input_bits": 1, "input_encoding": "bit_serial"}
    flash = [
        estimate_core(flash_design(*shape).replace(**one_bit), library="sonos_40nm", cell=load_device(SONOS[0]))
        for shape in ((784, 64), (64, 10))
    ]
    found += [
        _row(
            guo,
            "energy_nj_per_inference",
            "1 bit in, analog out",
            1e9 * sum(cost.energy_j_per_mvm for cost in flash),
            None,
            figure_of(guo, "energy_nj"),
            "SONOS cells and integrators of 40 nm that run for 10 ns a layer; the chip, 180 nm, takes up to 1 us",
        ),
        _row(
            guo,
            "area_mm2",
            "both arrays",
            sum(cost.area_mm2 for cost in flash),
            None,
            figure_of(guo, "area_mm2"),
            "40 nm for 180 nm; the chip states less than 1 mm2, circuits that program its cells included",
        ),
    ]
    return found


def _energy(setting: Setting) -> Finding:
    totals, word_lines = _products(setting)
    others = _others()
    ratios = [row["measured_over_computed"] for row in totals]
    of_lines = [row["measured_over_computed"] for row in word_lines]
    inputs = chips()[RERAM]["energy"]["input_bits"]
    figure = lines(
        "chip-energy",
        "Energy of a product on a core of resistive memory",
        "Measured at 130 nm; computed with borrowed 40 nm periphery, the word lines from their capacitances.",
        {
            "measured": (inputs, [row["measured"] for row in totals]),
            "computed": (inputs, [row["computed"] for row in totals]),
            "word lines, measured": (inputs, [row["measured"] for row in word_lines]),
            "word lines, computed": (inputs, [row["computed"] for row in word_lines]),
        },
        "input bits (and two more at the output)",
        "energy [fJ/op]",
        log=False,
    )
    hermes = next(row for row in others if row["quantity"] == "tops_per_w")
    flash = next(row for row in others if row["quantity"] == "energy_nj_per_inference")
    return Finding(
        f"resistive memory, 1 to 8 bits: measured is {min(ratios):.1f} to {max(ratios):.1f} times computed, word "
        f"lines {min(of_lines):.1f} to {max(of_lines):.1f}; phase-change memory: measured {hermes['measured']:g} "
        f"TOPS/W, computed {hermes['computed']:.1f}; flash: measured about {flash['measured']:g} nJ an inference, "
        f"computed {flash['computed']:.2g}",
        max(ratios) / min(ratios) < ALIKE and max(*of_lines, *(1 / own for own in of_lines)) < ALIKE,
        [*totals, *word_lines, *others],
        figure,
        "Technologies differ: 130, 14 and 180 nm against a library of 40 nm, so that only how energy follows the "
        "bits is judged, and that on resistive memory alone. The converters are taken to be SAR ADCs, with one step "
        "a bit; with ramp ADCs, whose energy doubles with every bit, the ratio would run from 3.1 down to 1.3 and "
        "the law not show.",
    )


STUDIES = (
    PublishedStudy(
        "chip_energy",
        "; ".join(chips()[chip]["source"] for chip in (RERAM, "pcm_hermes2022", "flash_guo2017")),
        "Energy of fabricated chips",
        "Energy follows input and output bits as on the chip of resistive memory: one factor for all, within 2; its "
        "word lines cost what their capacitances say, within 2.",
        "23 to 154 fJ/op at 1 to 8 bits",
        _energy,
        networks=False,
        criterion="the largest ratio of measured to computed energy is less than twice the smallest, and word lines "
        "are less than a factor of two off",
    ),
)
