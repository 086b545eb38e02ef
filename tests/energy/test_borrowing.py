"""A periphery borrowed for cells of another technology: asked for by name, marked constant by constant."""

from pathlib import Path

import pandas as pd
import pytest

import circuits
import devicekit
import energy
from circuits import Core, LayerShape
from energy.errors import EnergyError
from energy.library import OF_NO_TECHNOLOGY, OF_THE_CELL
from tests.energy.printed import check_number

LENT = "borrow:sonos_40nm"
OTHERS = [name for name in devicekit.device_names() if not name.startswith("sonos")]
A = circuits.load_design("A")


@pytest.mark.parametrize("device", OTHERS)
def test_another_technology_is_refused_with_the_way_out_and_borrows_where_asked(device: str) -> None:
    cell = devicekit.load_device(device)
    with pytest.raises(EnergyError, match=r"is for 'sonos_40nm'.* `library` = 'borrow:sonos_40nm'\."):
        energy.estimate_core(A, cell=cell)
    cost = energy.estimate_core(A, cell=cell, library=LENT)
    row = cost.row()
    assert row["periphery_borrowed_from"] == "sonos_40nm"
    assert row["energy_basis"] == row["area_basis"] == "predicted"
    low, high = cost.interval_of("energy_fj_per_op")
    assert high / low > 1.5, "the structural error of a core that was calibrated to nothing"
    library = cost.library
    assert (library.technology, library.borrowed, library.lends) == (cell.technology, "sonos_40nm", False)
    for name, constant in library.constants.items():
        if name in OF_THE_CELL:
            assert (constant.kind, constant.source) == ("measured", f"the cell {device}")
        elif name.partition(".")[0] not in OF_NO_TECHNOLOGY:
            assert constant.kind == "assumed", name
            assert constant.source.startswith("borrowed from sonos_40nm, for cells of sonos_40nm: "), name
    assert library.si["cell.i_max"] == cell.i_max
    for name, value in row.items():
        if isinstance(value, int | float):
            check_number(cost.explain(name), name, float(value))
    assert "borrowed from sonos_40nm" in cost.explain("comparator.energy_pj").text(5)


def test_cells_of_its_own_technology_borrow_nothing() -> None:
    for cell in (None, "sonos_40nm_tcas2022", devicekit.load_device("sonos_40nm_iedm2022").at(time=86400.0)):
        assert energy.estimate_core(A, cell=cell, library=LENT).row() == energy.estimate_core(A, cell=cell).row()
    assert energy.load_library(LENT).constants == energy.load_library("sonos_40nm").constants


def test_what_the_cell_draws_is_its_own() -> None:
    """Line energy of the cells follows I_max V_D, whoever lends the periphery; the comparator is what was lent."""
    cell = devicekit.load_device("reram_milo2021")
    own, lent = energy.estimate_core(A, cell=cell, library=LENT), energy.estimate_core(A)
    activity = own.activity
    same = energy.estimate_core(A, activity, cell="sonos_40nm_tcas2022")
    ratio = cell.i_max * cell.read_voltage / (1.6e-6 * 0.1)
    assert own.value("array.joules") == pytest.approx(ratio * same.value("array.joules"), rel=1e-9)
    assert own.value("comparator.joules") == pytest.approx(lent.value("comparator.joules"), rel=1e-12)


def test_networks_tables_and_cores_borrow_alike() -> None:
    layers = [LayerShape(name="a", rows=300, columns=70, mvms=9)]
    cost = energy.estimate_network(layers, Core("A", "pcm_joshi2020"), library=LENT)
    assert cost.row()["periphery_borrowed_from"] == "sonos_40nm"
    assert "periphery_borrowed_from" not in energy.estimate_network(layers, "A").row()
    table = energy.estimate_designs(pd.DataFrame({"max_rows": [72, 1152]}), library=LENT, cell="pcm_joshi2020")
    assert table["periphery_borrowed_from"].tolist() == ["sonos_40nm"] * 2
    alone = energy.estimate_core(circuits.CoreDesign(max_rows=72), library=LENT, cell="pcm_joshi2020")
    assert table["energy_fj_per_op"][0] == pytest.approx(alone.energy_fj_per_op, rel=1e-12)
    assert "periphery_borrowed_from" not in energy.estimate_designs(pd.DataFrame({"max_rows": [72]}))


WRITES = "".join(
    f'[cell.{name}]\nvalue = {value}\nunit = "{unit}"\nkind = "assumed"\nsource = "test"\n'
    for name, value, unit in (
        ("write_pulse_energy", 1, "pJ"),
        ("write_pulse_time", 1, "us"),
        ("write_pulses", 5, ""),
        ("cells_written_at_once", 8, ""),
    )
)


def test_what_a_write_costs_is_never_borrowed(tmp_path: Path) -> None:
    path = tmp_path / "writes.toml"
    path.write_text('base = "sonos_40nm"\nname = "writes"\n' + WRITES)
    assert "write_ms" in energy.estimate_core(A, library=path).row()
    row = energy.estimate_core(A, cell="pcm_joshi2020", library=f"borrow:{path}").row()
    assert "write_ms" not in row
    assert row["periphery_borrowed_from"] == "writes"


def test_a_library_that_is_none_lends_nothing() -> None:
    with pytest.raises(EnergyError, match=r"Unknown component library or file 'sonos_40mn'. Did you mean 'sonos_40nm'"):
        energy.load_library("borrow:sonos_40mn")


def test_a_cell_of_no_named_technology_borrows_too() -> None:
    cell = devicekit.Cell(error=devicekit.StateIndependent(0.05), i_max=5e-6)
    with pytest.raises(EnergyError, match="of no named technology"):
        energy.estimate_core(A, cell=cell)
    assert energy.estimate_core(A, cell=cell, library=LENT).row()["periphery_borrowed_from"] == "sonos_40nm"
