"""ADCs: noise against the signal-to-noise law of a sine, transition levels against a direct table look-up, refusals."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import circuits
from circuits import Adc, AdcErrors, AdcKind, adc_codes, load_adc, quantisation_variance, transition_levels
from circuits.adc_kinds import _KINDS
from devicekit import Constant, DesignError, ExtensionWarning


def sinad_db(errors: AdcErrors, seed: int) -> float:
    """Signal-to-noise-and-distortion ratio [dB] of a full-scale sine, by fits of sine, cosine and offset.

    As IEEE Std 1241-2010 has it, with sines of many amplitudes about 1 dB below full scale, so that noise is not cut
    off and rounding does not favour one amplitude; the ratio is brought to full scale.
    """
    random = np.random.default_rng(seed)
    full, phase = 2 ** (errors.bits - 1), random.uniform(0, 2 * math.pi, 20_000)
    basis = np.stack([np.sin(phase), np.cos(phase), np.ones(phase.size)], axis=1)
    residuals = []
    for amplitude, offset in zip(random.uniform(0.85, 0.95, 20), random.uniform(-1, 1, 20), strict=True):
        values = full - 0.5 + offset + amplitude * full * np.sin(phase)
        codes = adc_codes(values, errors, normals=random.standard_normal(phase.size))
        residuals.append(np.linalg.lstsq(basis, codes.astype(float), rcond=None)[1][0] / phase.size)
    return float(10 * np.log10(full**2 / 2 / np.mean(residuals)))


@pytest.mark.parametrize(("bits", "enob"), [(8, 7.5), (8, 6.0), (10, 8.2), (6, 5.9)])
def test_enob_is_the_signal_to_noise_ratio_of_a_full_scale_sine(bits: int, enob: float) -> None:
    errors = Adc("sar", enob=enob).errors(bits)
    assert errors is not None
    assert sinad_db(errors, seed=1) == pytest.approx(6.0206 * enob + 1.7609, abs=0.1)


def test_enob_holds_what_the_transition_levels_take() -> None:
    inl = 0.8 * np.random.default_rng(5).standard_normal(255)
    levels = tuple(np.sort(np.arange(255) + 0.5 - inl))
    errors, plain = Adc("sar", enob=6.0, thresholds_lsb=levels).errors(8), Adc("sar", enob=6.0).errors(8)
    assert errors is not None
    assert plain is not None
    assert errors.noise_lsb < 0.9 * plain.noise_lsb
    assert sinad_db(errors, seed=2) == pytest.approx(6.0206 * 6 + 1.7609, abs=0.15)


def test_noise_of_an_ideal_staircase_is_input_referred() -> None:
    """Away from the ends, codes scatter by noise and rounding together: sigma^2 + 1/12."""
    errors = AdcErrors(8, 1.7, None)
    random = np.random.default_rng(3)
    values = random.uniform(60, 190, 200_000)
    scatter = adc_codes(values, errors, normals=random.standard_normal(values.size)) - values
    assert scatter.std() == pytest.approx(math.sqrt(1.7**2 + 1 / 12), rel=0.01)
    assert scatter.mean() == pytest.approx(0, abs=0.02)


@given(
    bits=st.integers(1, 7),
    seed=st.integers(0, 2**32 - 1),
    spread=st.floats(0.0, 2.0),
    symmetric=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_codes_are_those_of_a_direct_table_look_up(bits: int, seed: int, spread: float, symmetric: bool) -> None:
    random = np.random.default_rng(seed)
    levels = np.sort(np.arange(2**bits - 1) + 0.5 + spread * random.standard_normal(2**bits - 1))
    values = random.uniform(-2, 2**bits + 2, 40)
    codes = adc_codes(values, AdcErrors(bits, 0.0, levels), symmetric=symmetric)
    for value, code in zip(values, codes, strict=True):
        # A symmetric range leaves the lowest code out; its codes count from the next one.
        physical = value + 1 if symmetric else value
        wanted = sum(1 for level in levels if level <= physical)
        assert code == (max(wanted, 1) - 1 if symmetric else wanted)


def test_ideal_transition_levels_round() -> None:
    values = np.random.default_rng(0).uniform(-3, 260, 10_000)
    ideal = AdcErrors(8, 0.0, np.arange(255) + 0.5)
    assert np.array_equal(adc_codes(values, ideal), np.rint(np.clip(values, 0, 255)))
    inner = np.rint(np.clip(values, 0, 254))
    assert np.array_equal(adc_codes(values, ideal, symmetric=True), inner)
    assert np.array_equal(adc_codes(values, AdcErrors(8, 0.1, None), symmetric=True), inner)


def test_the_three_forms_of_non_linearity_agree() -> None:
    levels = np.sort(np.arange(15) + 0.5 + 0.3 * np.sin(np.arange(15)))
    levels += 0.5 - levels[0]
    given_levels = Adc(thresholds_lsb=tuple(levels)).errors(4).thresholds_lsb
    dnl = Adc(dnl_lsb=tuple(np.diff(levels) - 1)).errors(4).thresholds_lsb
    inl = Adc(inl_lsb=tuple(np.arange(15) + 0.5 - levels)).errors(4).thresholds_lsb
    for found in (dnl, inl):
        np.testing.assert_allclose(found, given_levels, atol=1e-12)


def test_few_points_of_dnl_are_interpolated_over_the_inner_codes() -> None:
    levels = transition_levels(6, dnl_lsb=[0.2, -0.2])
    np.testing.assert_allclose(np.diff(levels) - 1, np.linspace(0.2, -0.2, 62))
    assert levels[-1] - levels[0] == pytest.approx(62)


@pytest.mark.parametrize("field", ["thresholds_lsb", "inl_lsb", "dnl_lsb"])
def test_levels_may_stand_in_a_file_beside(field: str, tmp_path: Path) -> None:
    numbers = {"thresholds_lsb": np.arange(7) + 0.6, "inl_lsb": [0, 0.2, 0.1], "dnl_lsb": [0.1] * 6}[field]
    (tmp_path / "levels.csv").write_text("# measured\n" + "\n".join(f"{number:g}," for number in numbers))
    (tmp_path / "own.toml").write_text(f'kind = "sar"\nbits = 3\n{field} = "levels.csv"\n')
    assert getattr(load_adc(tmp_path / "own.toml"), field) == pytest.approx(tuple(numbers))
    for name, text, message in (
        ("levels.csv", "0.5, x", "levels.csv: not a table of numbers: could not convert"),
        ("none.csv", "0", "there is no such file"),
        ("../levels.csv", "0", "a file in its own folder, but got '../levels.csv'"),
    ):
        (tmp_path / "levels.csv").write_text(text)
        (tmp_path.parent / "levels.csv").write_text(text)
        (tmp_path / "own.toml").write_text(f'kind = "sar"\nbits = 3\n{field} = "{name}"\n')
        with pytest.raises(DesignError, match=message):
            load_adc(tmp_path / "own.toml")


def test_positive_inl_reads_too_high_and_few_points_are_interpolated() -> None:
    bow = transition_levels(8, inl_lsb=[0.0, 2.0, 0.0])
    assert bow[127] == pytest.approx(127.5 - 2.0)
    assert bow[63] == pytest.approx(63.5 - 2.0 * 63 / 127)
    code = adc_codes([126.0], AdcErrors(8, 0.0, bow))
    assert code == 128, "2 LSB too high"


def test_a_transition_below_the_one_before_leaves_a_code_out() -> None:
    levels = transition_levels(3, dnl_lsb=[0, 0, -2.5, 0, 0, 0])
    assert np.all(np.diff(levels) >= 0)
    codes = adc_codes(np.linspace(0, 7, 10_001), AdcErrors(3, 0.0, levels))
    assert np.all(np.diff(codes) >= 0), "a code counts the transitions below its value"


@pytest.mark.parametrize("spread", [0.0, 0.4, 3.0])
def test_quantisation_variance_against_a_dense_grid(spread: float) -> None:
    random = np.random.default_rng(8)
    levels = np.sort(np.arange(63) + 0.5 + spread * random.standard_normal(63))
    values = np.linspace(-0.5, 63.5, 2_000_001)
    codes = np.searchsorted(levels, values)
    slope, offset = np.polyfit(values, codes, 1)
    wanted = np.var(codes - slope * values - offset)
    assert quantisation_variance(6, levels) == pytest.approx(wanted, rel=1e-4)
    if not spread:
        assert quantisation_variance(6) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("kind", ["ramp", "sar", "flash", "pipeline"])
def test_an_adc_that_gives_nothing_is_ideal(kind: str) -> None:
    adc = load_adc(kind)
    assert (adc.errors(8), adc.has_errors, adc.has_costs, adc.label) == (None, False, False, kind)
    assert Adc(kind, enob=8, bits=8).errors(8) is None, "all bits effective"


def test_a_file_gives_back_the_same_adc(tmp_path: Path) -> None:
    energy = Constant(value=0.4, unit="pJ", kind="measured", source="our chip", interval=(0.3, 0.5))
    adc = Adc(
        "sar",
        name="ours",
        bits=8,
        rate="12.5 MHz",
        enob=7.1,
        inl_lsb=(0.0, 0.3, -0.2, 0.1),
        energy=energy,
        area="310 um2",
        source="our chip",
    )
    assert load_adc(adc.save(tmp_path / "ours.toml")) == adc
    assert adc.cost("rate").value == 12.5e6
    assert adc.cost("area").value == pytest.approx(310e-12)
    assert adc.cost("energy") == energy
    table = Adc("flash", noise_lsb=0.2, dnl_lsb=(0.1,) * 6, bits=3)
    assert load_adc(table.save(tmp_path / "table.toml")) == table


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "sarr"}, r"Unknown ADC 'sarr'\. Did you mean 'sar'"),
        ({"kind": 3}, "expected the kind of an ADC to be a name, but got 3|Expected the kind"),
        ({"bits": 0}, "`bits` to be none, or an integer from 1 to 24, but got 0"),
        ({"bits": True}, "`bits`"),
        ({"noise_lsb": -0.1}, "`noise_lsb` to be none, or a finite number of at least 0"),
        ({"noise_lsb": math.nan}, "`noise_lsb`"),
        ({"noise_lsb": 0.1, "enob": 7}, "`noise_lsb` or `enob`, but got both"),
        ({"enob": 8.5, "bits": 8}, "`enob` of at most 8, what 8 ideal bits reach without noise, but got 8.5"),
        ({"enob": 7.9, "bits": 8, "inl_lsb": (0, 3, -3, 0)}, "what its transition levels reach"),
        ({"inl_lsb": (0.1,)}, "`inl_lsb` to be two points or more"),
        ({"inl_lsb": (0, 1), "dnl_lsb": (0, 1)}, "one of inl_lsb, dnl_lsb, thresholds_lsb, but got inl_lsb, dnl_lsb"),
        ({"inl_lsb": "0.1"}, "`inl_lsb` to be a list of numbers"),
        ({"inl_lsb": (0, math.inf)}, "`inl_lsb` to be a list of finite numbers"),
        ({"dnl_lsb": (0.0,) * 15, "bits": 4}, "`dnl_lsb` to have at most 14 numbers at 4 bits, but got 15"),
        ({"dnl_lsb": (0.1,), "bits": 4}, "`dnl_lsb` to be two points or more"),
        ({"thresholds_lsb": (0.0,) * 8, "bits": 3}, "`thresholds_lsb` to have 7 numbers at 3 bits, but got 8"),
        ({"thresholds_lsb": (0.0,) * 6, "bits": 3}, "`thresholds_lsb` to have 7 numbers at 3 bits, but got 6"),
        ({"thresholds_lsb": (0.0,) * 6, "bits": 20}, "`thresholds_lsb` to be given for at most 16 bits"),
        ({"energy": -1e-12}, "`energy` to be above 0 J"),
        ({"energy": "5 ns"}, "`energy` to be a quantity in J"),
        ({"area": {"value": 1, "unit": "um2", "kind": "guessed", "source": "x"}}, "`area.kind`"),
        ({"area": {"value": 1, "unit": "um2", "colour": "red"}}, "`area.kind`"),
        ({"rate": [1]}, "`rate`"),
        ({"name": 5}, "`name` to be a text"),
        ({"resolution": 8}, r"Unknown field of an ADC 'resolution'"),
    ],
)
def test_impossible_adcs_are_refused(values: dict, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        circuits.adc.adc_from_mapping(values)


def test_what_is_no_adc_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DesignError, match="Expected an ADC, the name of a kind or the path of a file, but got int"):
        circuits.adc.as_adc(3)
    with pytest.raises(DesignError, match=r"Unknown ADC 'flush'\. Did you mean 'flash'.*the path of its file"):
        load_adc("flush")
    bad = tmp_path / "bad.toml"
    bad.write_text("kind = ")
    with pytest.raises(DesignError, match=r"bad\.toml: not a TOML file"):
        load_adc(bad)
    bad.write_text('kind = "sar"\nenobs = 7\n')
    with pytest.raises(DesignError, match=r"bad\.toml: Unknown field of an ADC 'enobs'\. Did you mean 'enob'"):
        load_adc(bad)


# -- kinds from outside -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("own_registry")
def test_a_kind_brings_its_own_errors() -> None:
    @circuits.register_adc_kind
    class Folding(AdcKind):
        name, label, cycles = "folding", "folding ADC", "1"

        @classmethod
        def noise_lsb(cls, bits):
            return 0.1 * bits

        @classmethod
        def thresholds_lsb(cls, bits):
            return np.arange(2**bits - 1) + 0.75

    errors = load_adc("folding").errors(6)
    assert errors.noise_lsb == pytest.approx(0.6)
    assert errors.thresholds_lsb[0] == 0.75
    own = Adc("folding", noise_lsb=0.0, inl_lsb=(0, 0)).errors(6)
    assert own.noise_lsb == 0
    assert own.thresholds_lsb[0] == 0.5, "an ADC's own numbers come before its kind's"
    assert circuits.register_adc_kind(Folding) is Folding
    assert "folding" in circuits.adc_kind_names()


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"label": "x", "cycles": "1"}, "`name` to be letters, digits and underscores, but got None"),
        ({"name": "x", "cycles": "1"}, "`label` to be a text"),
        ({"name": "x", "label": "x"}, "`cycles` to be a text"),
        ({"name": "x y", "label": "x", "cycles": "1"}, "letters, digits and underscores, but got 'x y'"),
        ({"name": "sar", "label": "x", "cycles": "1"}, "the name 'sar' is that of circuits.adc_kinds.Sar"),
        ({"name": "x", "label": "x", "cycles": "1", "interval": 1}, "`interval` to be a text or None"),
        ({"name": "x", "label": "x", "cycles": "1", "circuit": {"a": 1.0}}, "`circuit` to be AdcParameters by name"),
        (
            {"name": "x", "label": "x", "cycles": "1", "circuit": {"a": circuits.AdcParameter("an error", 1.0)}},
            "expected a method `draw`, which says what its errors in `circuit` do",
        ),
        (
            {
                "name": "x",
                "label": "x",
                "cycles": "1",
                "cycle_time": Constant(value=1, unit="ns", kind="assumed", source="test"),
            },
            "`cycle_time` to be above 0 s",
        ),
    ],
)
@pytest.mark.usefixtures("own_registry")
def test_impossible_kinds_are_refused(attributes: dict, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        circuits.register_adc_kind(type("Bad", (AdcKind,), attributes))
    with pytest.raises(DesignError, match="Cannot register 3 as ADC: expected a subclass of AdcKind"):
        circuits.register_adc_kind(3)
    assert circuits.adc_kind_names() == ["ramp", "sar", "flash", "pipeline"]


@pytest.mark.usefixtures("own_registry")
def test_a_kind_with_levels_of_another_length_is_refused() -> None:
    @circuits.register_adc_kind
    class Short(AdcKind):
        name, label, cycles = "short", "short", "1"

        @classmethod
        def thresholds_lsb(cls, bits):
            return np.arange(3)

    with pytest.raises(DesignError, match=r"`thresholds_lsb\(8\)` to give 255 transition levels"):
        Adc("short").errors(8)


def installed(folder: Path, module: str, entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay a package with an entry point on the path, as pip would."""
    (folder / "own_adcs.py").write_text(module)
    meta = folder / "own_adcs-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: own-adcs\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text(f"[devicekit.adc_kinds]\n{entry}\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "own_adcs", raising=False)


KIND = """
from circuits import AdcKind
class Slope(AdcKind):
    name, label, cycles = "dual_slope", "dual-slope ADC", "2 ** (bits + 1)"
"""


@pytest.mark.usefixtures("own_registry")
def test_an_installed_package_offers_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_KINDS, "_complete", False)
    installed(tmp_path, KIND, "dual_slope = own_adcs:Slope", monkeypatch)
    assert Adc("dual_slope").its_kind.label == "dual-slope ADC"


@pytest.mark.usefixtures("own_registry")
def test_a_package_whose_kind_cannot_be_used_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_KINDS, "_complete", False)
    installed(tmp_path, KIND, "dual_slope = own_adcs:Slop", monkeypatch)
    assert Adc("sar").kind == "sar", "what is known needs no other package"
    with pytest.warns(ExtensionWarning, match=r"'dual_slope' of the package 'own-adcs' .* is left out"):
        circuits.adc_kind_names()
