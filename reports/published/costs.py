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
    return Finding(
        f"{sum(agree)} of {len(agree)} printed numbers to the digit; B is predicted at "
        f"{predicted.energy_fj_per_op:.3g} fJ/op",
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
    saving = {
        rows: _energy(CoreDesign(max_rows=rows, input_accumulation="digital")) / _energy(CoreDesign(max_rows=rows))
        for rows in (144, 288, 576, 1152)
    }
    by_rows = [_energy(CoreDesign(max_rows=rows)) for rows in (72, 144, 288, 576, 1152)]
    by_bits = [
        _energy(CoreDesign(negative_weights="offset", weight_bits=8, bits_per_cell=bits)) for bits in (1, 2, 4, 8)
    ]
    falls = all(a > b for own in (by_rows, by_bits) for a, b in itertools.pairwise(own))
    of_adc = ("adc", "ramp", "comparator")
    adc_largest = all(any(word in largest[name].lower() for word in of_adc) for name in ("D", "E"))
    rows: list[dict[str, Any]] = [
        {"design": name, "component": label, "share_percent": 100 * share}
        for name, own in shares.items()
        for label, share in own.items()
    ]
    labels = sorted({label for own in shares.values() for label, share in own.items() if share > 0.03})
    groups = {label: {name: 100 * own.get(label, 0.0) for name, own in shares.items()} for label in labels}
    figure = bars(
        "energy-shares",
        "Where the energy goes",
        "Components with more than 3 % in some design.",
        groups,
        "share of the core's energy [%]",
    )
    low, high = min(saving.values()), max(saving.values())
    return Finding(
        f"largest: {largest['A']} in A, {largest['D']} in D, {largest['E']} in E; analog accumulation saves "
        f"{low:.1f} to {high:.1f} times; energy falls with rows and bits a cell: {'yes' if falls else 'no'}",
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
        "The integrator is largest in A, the ADC in D and E; analog accumulation saves 2 to 4 times; energy falls with "
        "rows and with bits a cell.",
        "2 to 4 times",
        _breakdown,
        networks=False,
    ),
    PublishedStudy(
        "core_costs",
        f"{XIAO}, Table 3",
        "Energy and area of the reference cores",
        "Printed totals of A, C, D and E to the digit; B is a prediction.",
        "8.40 to 902 fJ/op",
        _table3,
        networks=False,
    ),
)
