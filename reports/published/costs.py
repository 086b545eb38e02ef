"""Published studies of energy and area: Fig. 24 and Table 3."""

from __future__ import annotations

import itertools
from typing import Any

from circuits import CoreDesign, load_designs
from reports.published.drawing import bars
from reports.published.study import XIAO, Finding, PublishedStudy, Setting

LIBRARY = "sonos_40nm"


def _table3(setting: Setting) -> Finding:
    from energy import estimate_core
    from energy.published import load_published

    rows: list[dict[str, Any]] = []
    agree = []
    for name, printed in load_published().items():
        cost = estimate_core(name, library=LIBRARY)
        for quantity, own in printed.items():
            value = float(getattr(cost, quantity))
            agree.append(abs(value - own.value) <= own.half_digit * (1 + 1e-9))
            rows.append(
                {"design": name, "quantity": quantity, "printed": own.text, "computed": value, "agrees": agree[-1]}
            )
    predicted = estimate_core("B", library=LIBRARY)
    rows.append(
        {
            "design": "B",
            "quantity": "energy_fj_per_op",
            "printed": "",
            "computed": predicted.energy_fj_per_op,
            "agrees": None,
        }
    )
    low, high = predicted.interval_of("energy_fj_per_op")
    return Finding(
        f"{sum(agree)} of {len(agree)} printed numbers to the digit; B is predicted at "
        f"{predicted.energy_fj_per_op:.3g} fJ/op ({low:.0f} to {high:.0f})",
        all(agree),
        rows,
        None,
        "devicekit reproduce table3 fits them again and shows what each constant rests on.",
    )


def _breakdown(setting: Setting) -> Finding:
    from energy import estimate_core

    costs = {name: estimate_core(name, library=LIBRARY) for name in load_designs("xiao2022")}
    shares: dict[str, dict[str, float]] = {}
    for name, cost in costs.items():
        table = cost.breakdown.set_index("label")["energy_fj_per_op"]
        shares[name] = {str(label): float(value / table.sum()) for label, value in table.items()}
    largest = {name: max(own, key=lambda label: own[label]) for name, own in shares.items()}
    row_counts, bit_counts = (72, 144, 288, 576, 1152), (1, 2, 4, 8)
    by_rows = [_energy(CoreDesign(max_rows=rows)) for rows in row_counts]
    digital = [_energy(CoreDesign(max_rows=rows, input_accumulation="digital")) for rows in row_counts]
    by_bits = [_energy(CoreDesign(negative_weights="offset", bits_per_cell=bits)) for bits in bit_counts]
    saving = [own / analog for own, analog in zip(digital[1:], by_rows[1:], strict=True)]
    falls = all(a > b for own in (by_rows, by_bits) for a, b in itertools.pairwise(own))
    of_adc = ("adc", "ramp", "comparator")
    adc_largest = all(any(word in largest[name].lower() for word in of_adc) for name in ("D", "E"))
    rows: list[dict[str, Any]] = [
        {"configuration": name, "component": label, "share_percent": 100 * share, "energy_fj_per_op": share * total}
        for name, own in shares.items()
        for total in [costs[name].energy_fj_per_op]
        for label, share in own.items()
    ]
    rows += [
        {"configuration": configuration, "component": "all", "share_percent": 100.0, "energy_fj_per_op": energy}
        for configuration, energy in [
            *(
                (f"differential, {rows} rows, analog accumulation", own)
                for rows, own in zip(row_counts, by_rows, strict=True)
            ),
            *(
                (f"differential, {rows} rows, digital accumulation", own)
                for rows, own in zip(row_counts, digital, strict=True)
            ),
            *((f"offset, {bits} bits a cell, 1152 rows", own) for bits, own in zip(bit_counts, by_bits, strict=True)),
        ]
    ]
    labels = sorted({label for own in shares.values() for label, share in own.items() if share > 0.03})
    groups = {label: {name: 100 * own.get(label, 0.0) for name, own in shares.items()} for label in labels}
    figure = bars(
        "energy-shares",
        "Where the energy goes",
        "Components with more than 3 % in some design. Energies by rows and bits a cell stand at the end of the table.",
        groups,
        "share of the core's energy [%]",
    )
    low, high = min(saving), max(saving)
    return Finding(
        f"largest: {largest['A']} in A, {largest['D']} in D, {largest['E']} in E; analog accumulation takes {low:.1f} "
        f"to {high:.1f} times less energy; {by_rows[0]:.1f} fJ/op at 72 rows and {by_rows[-1]:.1f} at 1152, "
        f"{by_bits[0]:.1f} at one bit a cell and {by_bits[-1]:.1f} at eight",
        "integrator" in largest["A"].lower() and adc_largest and falls and low > 1.8 and high < 4.5,
        rows,
        figure,
    )


def _energy(design: CoreDesign) -> float:
    from energy import estimate_core

    return float(estimate_core(design, library=LIBRARY).energy_fj_per_op)


STUDIES = (
    PublishedStudy(
        "energy",
        f"{XIAO}, Fig. 24",
        "Energy of core configurations",
        "The integrator takes most in A, the ADC in D and E; analog accumulation takes 2 to 4 times less; energy "
        "falls as rows and bits a cell are added.",
        "2 to 4 times",
        _breakdown,
        networks=False,
        criterion="those are the largest components, analog accumulation from 144 to 1152 rows takes 1.8 to 4.5 "
        "times less, and energy falls at every step from 72 to 1152 rows and from one to eight bits a cell",
    ),
    PublishedStudy(
        "core_costs",
        f"{XIAO}, Table 3",
        "Energy and area of the reference cores",
        "Printed totals of A, C, D and E, which the library was fitted to, come out to the digit; B is a prediction.",
        "8.40 to 902 fJ/op",
        _table3,
        networks=False,
        criterion="all printed numbers come out to their last digit",
    ),
)
