"""A core as built: files give back the same core, names mean what they say, and what cannot be is refused by name."""

import dataclasses
import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest

import circuits
import devicekit
from circuits import Adc, Core, CoreDesign, Faults, Wires, as_core, load_core, load_cores, load_design, load_peripherals
from circuits.peripherals.model import ADC_NOISE
from devicekit import DesignError, DeviceError, DevicekitError

DAY = 86400.0
SONOS = "sonos_40nm_tcas2022"


def own_cell() -> devicekit.Cell:
    """A cell that is in no file."""
    cell = devicekit.load_device(SONOS)
    return dataclasses.replace(cell, name="ours", i_max=2.1e-6, on_off_ratio=3e5)


CORES = {
    "nothing but a design": lambda: Core("A"),
    "a design of one's own": lambda: Core(CoreDesign(name="x", adc_bits=None, bits_per_cell=3, input_bits=None)),
    "ADC bits by slice": lambda: Core(CoreDesign(name="y", bits_per_cell=4, adc_bits=(7, 8))),
    "bundled things by name": lambda: Core(
        "E", SONOS, "sar", "sonos_40nm", 1e-5, ["column_trim", "drift"], age=3 * DAY, temperature=330.0, name="E, old"
    ),
    "a moved cell": lambda: Core("A", devicekit.load_device(SONOS).at(time=DAY, temperature=310)),
    "things in no file": lambda: Core(
        load_design("C").replace(max_rows=96),
        own_cell(),
        Adc("flash", bits=8, inl_lsb=(0, 0.4, 0), energy="1.5 pJ", noise_lsb=0.3),
        load_peripherals("sonos_40nm").trimmed(columns=True).model_copy(update={"name": "trimmed"}),
        Wires(resistance="0.7 Ohm", bit_line="relinearised"),
        faults=Faults(0.01, 0.002),
        age=DAY / 7,
    ),
    "parts that wait for a cell": lambda: Core("D", wires={"resistance": 2.5}, age="3 days", temperature="350 K"),
} | {f"cell {name}": lambda name=name: Core("A", name) for name in devicekit.device_names()}


@pytest.mark.parametrize("case", CORES)
def test_a_file_gives_back_the_same_core(case: str, tmp_path: Path) -> None:
    core = CORES[case]()
    path = core.save(tmp_path / "core.toml")
    loaded = Core.load(f"{path}:{core.name}")
    assert loaded == core
    assert loaded.to_dict() == core.to_dict()
    assert hash(loaded) == hash(core)
    assert load_core(path) == core, "a file with one core needs no name"
    again = loaded.save(tmp_path / "again.toml")
    assert again.read_text() == path.read_text()
    json.dumps(core.to_dict(), allow_nan=False)
    assert pickle.loads(pickle.dumps(core)) == core
    if core.cell is not None:
        targets = np.linspace(0, core.cell.i_max, 33)
        for function in ("mean", "sigma", "read_sigma"):
            own, other = (getattr(cell, function)(targets) for cell in (core.cell, loaded.cell))
            assert np.array_equal(own, other)
    if core.peripherals is not None:
        assert loaded.peripherals == core.peripherals


def test_cores_that_differ_in_one_part_are_not_equal() -> None:
    base = CORES["bundled things by name"]()
    changes = {
        "design": load_design("D"),
        "cell": "sonos_40nm_iedm2022",
        "adc": "flash",
        "peripherals": None,
        "wires": 2e-5,
        "corrections": ("drift",),
        "faults": Faults(0.1),
        "age": DAY,
        "temperature": 300.0,
        "name": "E, new",
    }
    for field, value in changes.items():
        assert base.replace(**{field: value}) != base, field
    assert base.replace() == base
    assert base != "E, old"


def test_everything_is_taken_by_name_as_by_object() -> None:
    named = Core("A", SONOS, "sar", "sonos_40nm")
    built = Core(load_design("A"), devicekit.load_device(SONOS), Adc("sar"), load_peripherals("sonos_40nm"))
    assert named == built
    assert Core("D", peripherals="sonos_40nm").peripherals.name == "sonos_40nm_one_bit", "recorded for the design's use"


def test_the_cell_is_as_it_is_read() -> None:
    core = Core("A", SONOS, age="5 days", temperature=350.0, compensation="none")
    cell = devicekit.load_device(SONOS).at(time=5 * DAY, temperature=350.0)
    targets = np.linspace(0, cell.i_max, 9)
    assert np.array_equal(core.cell.mean(targets), cell.mean(targets))
    assert (core.age, core.temperature) == (5 * DAY, 350.0)
    fresh = core.replace(age=0)
    assert fresh.cell.time == 0
    assert fresh.temperature == 350.0
    assert core.replace(cell="sonos_40nm_iedm2022").cell.time == 5 * DAY, "another cell of the same age"
    assert core.programmed_cell.time == 0
    moved = Core("A", cell)
    assert moved.age == 5 * DAY
    assert moved == core
    assert moved.compensation.fraction == 0


def test_wires_decide_the_resistance_of_the_design() -> None:
    wired = load_design("A").replace(r_p_hat=1e-4)
    assert Core(wired).design.r_p_hat == 1e-4
    assert Core(wired).bit_line == "resistor"
    assert Core(wired, wires=Wires(bit_line="affine")).design.r_p_hat == 1e-4
    assert Core(wired, wires=1e-5).design.r_p_hat == 1e-5
    assert Core("A", wires={"r_p_hat": 2e-5, "bit_line": "affine"}).to_dict()["wires"] == {
        "r_p_hat": 2e-5,
        "bit_line": "affine",
    }
    # 1 Ohm beside a cell of 1.6 uA at 0.1 V (62.5 kOhm).
    in_ohm = Core("A", SONOS, wires=Wires(resistance="1 Ohm"))
    assert in_ohm.design.r_p_hat == pytest.approx(1 / 62.5e3, rel=1e-12)
    assert in_ohm.replace(cell=own_cell()).design.r_p_hat == pytest.approx(21e-6, rel=1e-12)


def test_a_name_of_its_own_is_the_design_s_name_too() -> None:
    core = Core("A", name="A, trimmed", corrections="column_trim")
    assert (core.name, core.design.name, core.corrections) == ("A, trimmed", "A, trimmed", ("column_trim",))
    assert core.replace(design=load_design("B")).name == "B"
    assert Core("A").design == load_design("A")


def test_the_adc_of_the_characterisation_makes_way_for_another() -> None:
    model = load_peripherals("sonos_40nm")
    own = sum(model.figures[name].value ** 2 for name in ADC_NOISE)
    rest = [f.value for name, f in model.figures.items() if name.startswith("noise_") and name not in ADC_NOISE]
    rest.remove(model.shot_noise_lsb)
    assert own > 0.05
    # What is left is the root of the sum of squares of everything that stands before the ADC.
    assert model.without_adc().noise_lsb == pytest.approx(math.hypot(*rest), rel=1e-9)
    core = Core("A", peripherals="sonos_40nm")
    assert core.column_peripherals == model
    assert core.replace(adc="ramp").column_peripherals == model
    for adc in ("sar", Adc("ramp", enob=7.0)):
        assert core.replace(adc=adc).column_peripherals == model.without_adc()
    assert Core("A", adc="sar").column_peripherals is None


def test_errors_of_the_adc_of_each_slice() -> None:
    design = CoreDesign(name="y", bits_per_cell=4, adc_bits=(7, 8))
    assert Core(design).adc_errors == (None, None)
    core = Core("E", adc=Adc("sar", enob=7.0))
    assert len(core.adc_errors) == 4
    assert core.adc_errors[0].noise_lsb == pytest.approx(math.sqrt(3 / 12))
    assert Core(design.replace(adc_bits=None), adc="sar").adc_errors == ()


# -- files ------------------------------------------------------------------------------------------------------------

FILE = """
source = "made up"

[defaults]
max_rows = 576

[designs.half]
adc_bits = 7

[cores.plain]
design = "A"

[cores.changed]
design = "half"
note = "two more things than the design"
adc_bits = 9
accumulator_bits = "none"

[cores.inline]
weight_bits = 5
cell = "cells/own.toml"
adc = "adcs/own.toml"
peripherals = "own.json"
age = "1 hour"

[cores.inline.wires]
r_p_hat = 3e-6
bit_line = "affine"

[cores.table]
corrections = ["drift"]
[cores.table.design]
negative_weights = "offset"
[cores.table.adc]
kind = "sar"
enob = 6.5
[cores.table.faults]
stuck_low = 0.01
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A core file with a cell, an ADC and peripherals beside it."""
    from devicekit.cells.device_writing import save_device

    save_device(own_cell(), tmp_path / "cells" / "own.toml", "ours")
    Adc("sar", noise_lsb=0.25).save(tmp_path / "adcs" / "own.toml")
    load_peripherals("sonos_40nm").model_copy(update={"name": "own"}).save(tmp_path / "own.json")
    path = tmp_path / "cores.toml"
    path.write_text(FILE)
    return path


def test_a_core_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent.parent)  # paths in it are taken from its folder
    cores = load_cores(file)
    assert list(cores) == ["plain", "changed", "inline", "table", "half"]
    assert cores["plain"] == Core("A", name="plain")
    assert cores["changed"].design == CoreDesign(name="changed", max_rows=576, adc_bits=9)
    inline = load_core(f"{file}:inline")
    assert (inline.design.weight_bits, inline.cell.name, inline.age) == (5, "ours", 3600.0)
    assert (inline.adc, inline.peripherals.name) == (Adc("sar", noise_lsb=0.25), "own")
    assert (inline.design.r_p_hat, inline.bit_line) == (3e-6, "affine")
    table = load_core(f"{file}:table")
    assert (table.adc, table.faults, table.corrections) == (Adc("sar", enob=6.5), Faults(0.01), ("drift",))
    assert load_core(f"{file}:half") == Core(circuits.load_designs(file)["half"])
    assert inline.save(file.parent / "saved.toml").read_text().count("ours") >= 1, "what is in a file is written out"
    assert load_core(file.parent / "saved.toml") == inline


def test_designs_are_cores() -> None:
    assert load_core("A") == Core("A")
    assert set(load_cores("accelerators")) == set(circuits.load_designs("accelerators"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[cores.x]\n", r"cores\.x\]: expected `design`, a design's name, or fields of a design, but got neither"),
        ("[cores]\nx = 3\n", r"\[cores\.x\]: expected a table, but got 3"),
        ("cores = 3\n", r"expected \[cores\.NAME\] tables, but got 3"),
        ("x = 3\n", r"expected a table \[cores\.NAME\] or \[designs\.NAME\], but found none"),
        ("[cores.x\n", "not a TOML file"),
        ('[cores.x]\ndesign = "A"\ncel = "y"\n', r"Unknown key 'cel'\. Did you mean 'cell'"),
        ('[cores.x]\ndesign = "Z"\n', r"`design`: Unknown design 'Z'"),
        ("[cores.x]\ndesign = 3\n", "`design` to be a name or a table, but got 3"),
        ('[cores.x]\ndesign = "A"\nmax_rows = 0\n', r"\[cores\.x\]: Design 'x': expected `max_rows`"),
        ('[cores.x]\ndesign = "A"\ncell = "sonos"\n', r"\[cores\.x\]: Unknown device 'sonos'"),
        ('[cores.x]\ndesign = "A"\n[cores.x.cell]\nname = "y"\n', r"\[cores\.x\]: `cell`: format: Field required"),
        ('[cores.x]\ndesign = "A"\nadc = "sarr"\n', r"\[cores\.x\]: Core 'x': Unknown ADC 'sarr'"),
        ('[cores.x]\ndesign = "A"\nadc = {bits = 9}\n', r"ADC 'ramp' is of 9 bits, but the design 'x' has .* = 8"),
        ('[cores.x]\ndesign = "A"\nperipherals = "y"\n', r"\[cores\.x\]: Unknown peripheral model or file 'y'"),
        ('[cores.x]\ndesign = "A"\n[cores.x.peripherals]\nname = "y"\n', r"`peripherals`: kind: Field required"),
        ('[cores.x]\ndesign = "A"\nwires = {r_p = 1}\n', r"Unknown field of wires 'r_p'"),
        ('[cores.x]\ndesign = "A"\nfaults = {low = 1}\n', r"Unknown field of faults 'low'"),
        ('[cores.x]\ndesign = "A"\nage = "5 V"\n', r"Core 'x': Expected `age` to be a quantity in s"),
    ],
)
def test_malformed_core_files_are_refused_with_their_place(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(DevicekitError, match=message) as error:
        load_core(f"{path}:x")
    assert "bad.toml" in str(error.value)


def test_unknown_names_are_told_the_nearest(file: Path) -> None:
    with pytest.raises(DesignError, match=r"Unknown core or design 'plane'\. Did you mean 'plain'"):
        load_core(f"{file}:plane")
    with pytest.raises(DesignError, match="expected FILE:NAME, for the file has several cores: plain, changed"):
        load_core(file)
    with pytest.raises(DesignError, match=r"Unknown design 'issac2016'\. Did you mean 'isaac2016'.*FILE:NAME"):
        load_core("issac2016")
    with pytest.raises(DesignError, match="Unknown design set or file"):
        load_core(file.parent / "none.toml" / ":x")


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"design": 3}, DesignError, "`design` of a core to be a design or its name, but got int"),
        ({"design": "Z"}, DesignError, "Unknown design 'Z'"),
        ({"cell": 3}, DeviceError, "Expected a device's name or the path of its file, but got 3"),
        ({"cell": "sonos"}, DeviceError, "Unknown device 'sonos'"),
        ({"adc": 3}, DesignError, "Expected an ADC, the name of a kind or the path of a file, but got int"),
        ({"peripherals": 3}, DesignError, "Expected peripherals, their name or their file, but got int"),
        ({"peripherals": "x"}, circuits.PeripheralError, "Unknown peripheral model or file 'x'"),
        ({"wires": "x"}, DesignError, "Core 'A': Expected `wires` to be Wires or a number, but got str"),
        ({"wires": -1}, DesignError, "Core 'A': Wires: expected `r_p_hat` to be none, or finite and at least 0"),
        ({"wires": {"bit_line": "resistors"}}, DesignError, r"Unknown bit-line model 'resistors'\. Did you mean"),
        ({"wires": {"r_p_hat": 1e-5, "resistance": 1}}, DesignError, "`r_p_hat` or `resistance`, but got both"),
        ({"wires": {"resistance": "1 V"}}, DesignError, "`resistance` to be a quantity in Ohm"),
        ({"corrections": ["trim"]}, DesignError, r"Core 'A': Unknown correction 'trim'"),
        ({"corrections": 3}, DesignError, "Core 'A': Expected `corrections` to be a list of names, but got 3"),
        ({"faults": 3}, DesignError, "Core 'A': Expected `faults` to be Faults, but got int"),
        ({"faults": {"stuck_low": 0.7, "stuck_high": 0.7}}, DesignError, "fractions of stuck cells"),
        ({"faults": {"stuck_low": "a"}}, DesignError, "fractions of stuck cells"),
        ({"age": "x", "cell": SONOS}, DesignError, "Core 'A': Expected `age` to be a quantity in s"),
        ({"age": -1, "cell": SONOS}, DeviceError, "`time` to be a finite time in s of at least 0"),
        ({"temperature": 300, "cell": "pcm_joshi2020"}, DeviceError, "no law of read temperature"),
        ({"name": 3}, DesignError, "`name` of a core to be a text, but got 3"),
        ({"design": CoreDesign(adc_bits=None), "peripherals": "sonos_40nm"}, DesignError, "the design has no ADC"),
        ({"design": CoreDesign(adc_bits=None), "adc": {"enob": 7}}, DesignError, "has no ADC"),
        ({"adc": {"bits": 7}}, DesignError, "ADC 'ramp' is of 7 bits, but the design 'A' has `adc_bits` = 8"),
        ({"adc": {"enob": 9}}, DesignError, "`enob` of at most 8"),
        (
            {"design": CoreDesign(name="y", bits_per_cell=4, adc_bits=(7, 8)), "adc": {"noise_lsb": 0.1}},
            DesignError,
            r"gives numbers for one resolution, but the design 'y' has `adc_bits` = \(7, 8\)",
        ),
    ],
)
def test_impossible_cores_are_refused(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Core(**{"design": "A", **arguments})


def test_one_function_makes_a_core_of_anything() -> None:
    assert as_core("A") == as_core(load_design("A")) == as_core(Core("A")) == Core("A")
    filled = as_core(Core("A", adc="sar"), cell=SONOS, wires=1e-6, peripherals="sonos_40nm", faults=Faults(0.1))
    assert filled == Core("A", SONOS, "sar", "sonos_40nm", 1e-6, faults=Faults(0.1))
    aged = as_core(Core("A", age=DAY), cell=SONOS)
    assert aged.cell.time == DAY


@pytest.mark.parametrize("thing", [3, None, ["A"], devicekit.StateIndependent(0.1)])
def test_what_is_no_core_is_refused_by_name(thing: object) -> None:
    expected = f"Expected a core, a design or a name, but got {type(thing).__name__}"
    with pytest.raises(DesignError, match=expected):
        as_core(thing)


@pytest.mark.parametrize("part", ["cell", "adc", "peripherals", "wires", "faults"])
def test_a_part_given_twice_is_refused(part: str) -> None:
    values = {"cell": SONOS, "adc": "sar", "peripherals": "sonos_40nm", "wires": 1e-6, "faults": Faults(0.1)}
    with pytest.raises(DesignError, match=f"`{part}` is given beside the core 'A', which has its own"):
        as_core(Core("A", **{part: values[part]}), **{part: values[part]})


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"age": DAY}, "age"),
        ({"temperature": 300.0}, "temperature"),
        ({"wires": {"resistance": 1}}, "wires.resistance"),
    ],
)
def test_what_needs_a_cell_is_refused_without(arguments: dict, what: str) -> None:
    with pytest.raises(DesignError, match=f"Core 'A' has `{what}`, which says nothing without a cell"):
        as_core(Core("A", **arguments))


def test_a_core_has_no_other_parts() -> None:
    with pytest.raises(DesignError, match="A core has no 'cels'; it has design, cell, adc"):
        Core("A").replace(cels=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Core("A").age = 3


def test_a_temperature_is_compensated_unless_the_core_says_otherwise(tmp_path):
    usual = Core("A", cell="sonos_40nm_tcas2022", temperature=330.0)
    assert usual.compensation == devicekit.ReadCompensation(0.98)
    assert usual.cell.compensation == usual.compensation
    assert usual.to_dict()["compensation"] == {"fraction": 0.98, "reference": 0.5, "tracking": "reference_cell"}
    assert "compensation" not in usual.to_mapping()
    bare, half = usual.replace(compensation="none"), usual.replace(compensation={"fraction": 0.5, "reference": 0.2})
    means = [float(core.cell.mean(8e-7)) for core in (bare, half, usual)]
    assert means[0] > means[1] > means[2] > 8e-7
    for core in (usual, bare, half):
        assert load_core(core.save(tmp_path / "core.toml")) == core
        assert core.replace(age="1 day").compensation == core.compensation
    # A cell that was moved by itself is read as it is; another temperature keeps what the core says.
    alone = Core("A", cell=devicekit.load_device("sonos_40nm_tcas2022").at(temperature=330.0))
    assert float(alone.cell.mean(8e-7)) == means[0]
    assert bare.replace(temperature=340.0).compensation.fraction == 0
    assert usual.replace(temperature=None).compensation is None
    assert usual.programmed_cell.compensation is None
    # Waiting for a cell, and without a temperature.
    assert Core("A", temperature=330.0).replace(cell=usual.programmed_cell) == usual
    with pytest.raises(DesignError, match="says nothing without a `temperature`"):
        Core("A", cell="sonos_40nm_tcas2022", compensation="none")


@pytest.mark.parametrize("own", ["", "[designs.A]\nbits_per_cell = 7\n"])
def test_a_core_of_a_design_with_other_weights_stays_unsliced(tmp_path, own):
    path = tmp_path / "cores.toml"
    path.write_text(own + '[cores.x]\ndesign = "A"\nnegative_weights = "offset"\n')
    design = load_core(f"{path}:x").design
    assert (design.negative_weights, design.bits_per_cell, design.slices) == ("offset", 8, 1)
