"""ADCs drawn from the errors of their circuits: laws of mismatch, histograms, searches against direct enumeration."""

import math
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import circuits
from circuits import Adc, adc_figures, adc_names, load_adc
from circuits.adc_kinds import adc_kind, adc_kind_names
from circuits.converters.drawn import (
    BinarySearch,
    Levels,
    Pipeline,
    bow_shape,
    capacitor_weights,
    droop_of,
    flash_levels,
    levels_below,
    ramp_levels,
    slack_of,
)
from devicekit import DesignError

KINDS = ("ramp", "sar", "flash", "pipeline")


def drawn(adc: Adc, bits: int = 8, converters: int = 4, seed: int = 0):
    errors = adc.errors(bits)
    assert errors is not None
    return errors.draw(converters, np.random.default_rng([seed, 1]), np.random.default_rng([seed, 0]))


# -- no error ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [1, 2, 3, 8, 11])
def test_a_circuit_without_errors_rounds(kind: str, bits: int) -> None:
    values = np.random.default_rng(bits).uniform(-3, 2**bits + 2, (20_000, 3))
    none = dict.fromkeys(adc_kind(kind).circuit, 0.0)
    converters = adc_kind(kind).draw(bits, none, 3, np.random.default_rng(1), np.random.default_rng(2))
    assert np.array_equal(converters.codes(values), np.rint(np.clip(values, 0, 2**bits - 1)))


@pytest.mark.parametrize("kind", KINDS)
def test_errors_of_zero_are_an_ideal_adc(kind: str) -> None:
    zero = Adc(kind, circuit=dict.fromkeys(adc_kind(kind).circuit, 0.0))
    assert zero.errors(8) is None
    for name in adc_kind(kind).circuit:
        assert Adc(kind, circuit={name: 1e-3}).errors(8) is not None, f"{name} acts"


def test_every_kind_with_errors_is_tried_here() -> None:
    assert set(adc_kind_names()) >= set(KINDS)
    assert all(adc_kind(kind).circuit for kind in KINDS)


@given(
    bits=st.integers(1, 7),
    spread=st.sampled_from([0.0, 0.3, 2.0, 6.0, 40.0]),
    seed=st.integers(0, 2**32 - 1),
    shared=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_counting_levels_in_steps_is_a_search(bits: int, spread: float, seed: int, shared: bool) -> None:
    """Near-ideal levels by a guess and steps, others by a search: the same count, ties and the far ends included."""
    random = np.random.default_rng(seed)
    rows = 1 if shared else 3
    ideal = np.arange(2**bits - 1) + 0.5
    levels = np.sort(ideal + spread * random.standard_normal((rows, 2**bits - 1)), axis=1)
    values = np.concatenate([random.uniform(-60, 2**bits + 60, (50, 3)), [[-np.inf, np.inf, 0.0]]])
    values = np.concatenate([values, np.broadcast_to(levels.T[:, :1], (2**bits - 1, 3))])
    wanted = [[np.sum(levels[0 if shared else own] <= value) for own, value in enumerate(row)] for row in values]
    assert np.array_equal(levels_below(values, levels, slack_of(levels)), wanted)


# -- SAR --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "sigma"), [(6, 0.01), (8, 0.004), (10, 0.002)])
def test_dnl_in_the_middle_of_a_capacitor_array(bits: int, sigma: float) -> None:
    """sigma_DNL = sqrt(2^N - 1) sigma_u where all bits switch; 20 000 arrays know it to 0.5 %."""
    normals = np.random.default_rng(7).standard_normal((20_000, bits + 1))
    weights = capacitor_weights(bits, sigma, normals)
    middle = weights[:, 0] - weights[:, 1:].sum(axis=1) - 1.0
    assert middle.std() == pytest.approx(math.sqrt(2**bits - 1) * sigma, rel=0.02)
    # One bit lower the same law holds for N - 1 bits.
    lower = weights[:, 1] - weights[:, 2:].sum(axis=1) - 1.0
    assert lower.std() == pytest.approx(math.sqrt(2 ** (bits - 1) - 1) * sigma, rel=0.02)


def test_the_histogram_finds_the_same_law() -> None:
    figures = adc_figures(Adc("sar", circuit={"capacitor_mismatch": 0.01}), 8, converters=400)
    assert figures.middle_dnl_lsb.std() == pytest.approx(math.sqrt(255) * 0.01, rel=0.1)


@given(bits=st.integers(1, 6), mismatch=st.floats(0.0, 0.5), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_transitions_of_a_search_are_where_its_codes_change(bits: int, mismatch: float, seed: int) -> None:
    """Missing codes and large mismatch included: transitions in closed form against the search itself."""
    random = np.random.default_rng(seed)
    weights = capacitor_weights(bits, mismatch, random.standard_normal((3, bits + 1)))
    search = BinarySearch(weights, random.normal(0, 0.5, 3))
    transitions = search.transitions()
    assert np.all(np.diff(transitions, axis=1) >= 0)
    values = random.uniform(-2, 2**bits + 1, (200, 3))
    counted = np.array([[np.sum(own <= value) for own, value in zip(transitions, row, strict=True)] for row in values])
    near = np.abs(values[:, None, :] - transitions.T[None]).min(axis=1) < 1e-9
    assert np.array_equal(search.codes(values)[~near], counted[~near])


def test_comparator_noise_acts_at_every_decision() -> None:
    """At the middle transition the first decision alone is uncertain: P(upper half) is the normal law of the distance.

    A quarter of a code above it, with noise of 0.3 LSB; later decisions cannot take back the first.
    """
    search = BinarySearch(2.0 ** np.arange(7, -1, -1)[None], np.zeros(1), decision_noise_lsb=0.3)
    random = np.random.default_rng(3)
    values = np.full((200_000, 1), 127.75)
    codes = search.codes(values, lambda: random.standard_normal(values.shape))
    assert np.mean(codes >= 128) == pytest.approx(0.5 * math.erfc(-0.25 / 0.3 / math.sqrt(2)), abs=0.004)
    # A value in the middle of a code is off by no more than the decisions next to it.
    quiet = search.codes(np.full_like(values, 90.0), lambda: random.standard_normal(values.shape))
    assert np.mean(quiet == 90) == pytest.approx(math.erf(0.5 / 0.3 / math.sqrt(2)), abs=0.006)


# -- ramp -------------------------------------------------------------------------------------------------------------


def test_a_bow_is_as_large_as_it_says_and_straight_at_its_ends() -> None:
    for bow in (1.5, -1.5, 30.0):
        levels = ramp_levels(8, bow, 0.0, np.zeros(254))
        deviation = np.arange(255) + 0.5 - levels
        assert deviation[0] == deviation[-1] == pytest.approx(0, abs=1e-9)
        assert deviation[np.abs(deviation).argmax()] == pytest.approx(bow, rel=1e-3)
    assert 254 * droop_of(0.01) / 8 == pytest.approx(254 * 0.01, rel=1e-3), "x / 8 for small x"
    places = np.linspace(0, 1, 50)
    np.testing.assert_allclose(bow_shape(places, 1e-10), places, atol=1e-10)


def test_unequal_steps_walk_between_calibrated_ends() -> None:
    """A Brownian bridge: INL at k of n steps has sigma_s sqrt(k (1 - k / n))."""
    random = np.random.default_rng(5)
    levels = np.array([ramp_levels(8, 0.0, 0.02, random.standard_normal(254)) for _ in range(4000)])
    inl = levels - (np.arange(255) + 0.5)
    steps = np.arange(255)
    wanted = 0.02 * np.sqrt(steps * (1 - steps / 254))
    np.testing.assert_allclose(inl.std(axis=0)[10:-10], wanted[10:-10], rtol=0.06)


@given(mismatch=st.floats(0.0, 1.0), bow=st.floats(-20, 20), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_a_ramp_is_monotonic_whatever_its_errors(mismatch: float, bow: float, seed: int) -> None:
    levels = ramp_levels(7, bow, mismatch, np.random.default_rng(seed).standard_normal(126))
    assert np.all(np.diff(levels) >= 0)
    ramp = Levels(levels[None], np.array([0.3, -2.0]))
    values = np.linspace(-5, 140, 3000)
    assert np.all(np.diff(ramp.codes(np.stack([values, values], axis=1)), axis=0) >= 0)


def test_columns_share_a_ramp_and_have_comparators_of_their_own() -> None:
    ramp = drawn(Adc("ramp", circuit={"step_mismatch": 0.1, "comparator_offset_lsb": 2.0}), converters=500)
    first, other = ramp.transitions()[:2]
    assert np.ptp(first - other) == pytest.approx(0, abs=1e-12), "one ramp"
    assert ramp.offsets.std() == pytest.approx(2.0, rel=0.1)


# -- flash ------------------------------------------------------------------------------------------------------------


def test_dnl_of_a_flash_is_that_of_two_comparators() -> None:
    """sigma_DNL = sqrt(2) sigma_o while levels keep their order, and sigma_r of the ladder in quadrature."""
    random = np.random.default_rng(1)
    levels = flash_levels(6, 0.1, 0.0, random.standard_normal((4000, 127)))
    assert np.diff(levels, axis=1).std() == pytest.approx(math.sqrt(2) * 0.1, rel=0.01)
    both = flash_levels(6, 0.06, 0.08, random.standard_normal((4000, 127)))
    assert np.diff(both, axis=1).std() == pytest.approx(math.hypot(math.sqrt(2) * 0.06, 0.08), rel=0.02)
    ladder = flash_levels(6, 0.0, 0.02, random.standard_normal((4000, 127)))
    place = np.arange(1, 64)
    wanted = 0.02 * np.sqrt(place * (1 - place / 64))
    np.testing.assert_allclose((ladder - place + 0.5).std(axis=0), wanted, rtol=0.06)


def test_the_sum_of_a_thermometer_code_is_the_count_of_levels() -> None:
    """Comparators out of order: the code counts those that fire, as a direct sum over comparators does."""
    flash = drawn(Adc("flash", circuit={"comparator_offset_lsb": 1.5}), bits=5, converters=3)
    values = np.random.default_rng(2).uniform(-2, 33, (300, 3))
    fired = values[:, :, None] >= flash.levels[None]
    assert np.array_equal(flash.codes(values), fired.sum(axis=2))


# -- pipeline ---------------------------------------------------------------------------------------------------------


def test_a_gain_error_of_the_first_stage_opens_its_two_transitions() -> None:
    """A residue of gain 2 (1 + e) jumps by -e 2^(N - 2) LSB where the first stage decides otherwise."""
    error, stages = -0.02, np.zeros((1, 10))
    stages[0, 0] = error
    pipeline = Pipeline(12, stages, np.zeros((1, 10, 2)))
    values = np.linspace(-0.5, 4095.5, 409_601)[:, None]
    codes = pipeline.codes(values)[:, 0]
    steps = np.diff(codes)
    jumps = values[:-1, 0][steps > 1]
    assert len(jumps) == 2
    assert jumps == pytest.approx([4096 * 3 / 8 - 0.5, 4096 * 5 / 8 - 0.5], abs=0.02)
    assert steps.max() - 1 == pytest.approx(-error * 2**10, abs=1.0)
    falling = Pipeline(12, -stages, np.zeros((1, 10, 2))).codes(values)[:, 0]
    assert np.diff(falling).min() < -10, "too much gain: a larger value, a smaller code"


def test_redundancy_makes_good_what_comparators_decide_wrongly() -> None:
    """Offsets below a quarter of the range do nothing; beyond it codes are lost."""
    random = np.random.default_rng(4)
    values = random.uniform(0, 255, (20_000, 50))
    near = random.uniform(-0.24, 0.24, (50, 6, 2))
    assert np.array_equal(Pipeline(8, np.zeros((50, 6)), near).codes(values), np.rint(values))
    far = np.full((50, 6, 2), 0.4)
    assert np.any(Pipeline(8, np.zeros((50, 6)), far).codes(values) != np.rint(values))


# -- effective bits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_effective_bits_follow_noise_and_levels(kind: str) -> None:
    """4^(bits - ENOB) / 12 is the variance of rounding and noise together; SNDR = 6.02 ENOB + 1.76 dB."""
    figures = adc_figures(Adc(kind, noise_lsb=0.6), 8, converters=6)
    wanted = 8 - math.log(1 + 12 * 0.6**2, 4)
    # At the ends of the range noise is cut off, which helps a little.
    assert figures.enob == pytest.approx(np.full(6, wanted), abs=0.03)
    assert figures.sndr_db == pytest.approx(6.0206 * figures.enob + 1.7609, abs=1e-3)
    ideal = adc_figures(Adc(kind), 8, converters=1)
    assert ideal.enob[0] == pytest.approx(8, abs=1e-3)
    assert (ideal.missing_codes[0], ideal.monotonic[0]) == (0, True)
    assert np.abs(ideal.dnl_lsb).max() < 1 / 32
    assert np.abs(ideal.inl_lsb).max() < 1 / 32


def test_the_histogram_finds_levels_that_are_given() -> None:
    inl = 0.6 * np.sin(np.linspace(0, 2 * math.pi, 63))
    figures = adc_figures(Adc("flash", thresholds_lsb=tuple(np.arange(63) + 0.5 - inl)), 6, converters=1)
    np.testing.assert_allclose(figures.inl_lsb[0], inl - np.linspace(inl[0], inl[-1], 63), atol=1 / 32)


def test_a_code_without_values_is_missing() -> None:
    table = np.arange(15) + 0.5
    table[7] = table[8]
    figures = adc_figures(Adc("sar", thresholds_lsb=tuple(table)), 4, converters=2)
    assert figures.missing_codes.tolist() == [1, 1]
    assert figures.dnl_lsb[0].min() == pytest.approx(-1, abs=1e-9)


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", adc_names())
def test_bundled_adcs_have_errors_and_say_where_they_come_from(name: str) -> None:
    adc = load_adc(name)
    figures = adc_figures(adc, converters=8)
    assert adc.name == name
    assert "assumed" in adc.source
    assert 7.0 < figures.enob.mean() < 7.9


def test_a_file_inherits_from_a_bundled_adc_or_a_neighbour(tmp_path: Path) -> None:
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text('base = "sar_40nm"\nenergy = "2 pJ"\n[circuit]\ncapacitor_mismatch = 0.02\n')
    second.write_text(
        'base = "first.toml"\nname = "ours"\n[energy]\nvalue = 3\nunit = "pJ"\nkind = "measured"\nsource = "us"\n'
    )
    base, one, two = load_adc("sar_40nm"), load_adc(first), load_adc(second)
    assert one.circuit == {**base.circuit, "capacitor_mismatch": 0.02}
    assert (one.name, two.name, two.bits) == ("", "ours", 8)
    assert two.circuit == one.circuit
    assert (one.cost("energy").value, two.cost("energy").value, two.cost("energy").kind) == (2e-12, 3, "measured")
    assert load_adc(two.save(tmp_path / "whole.toml")) == two


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": 'base = "sar_40mn"'}, r"a\.toml: `base`: Unknown ADC 'sar_40mn'\. Did you mean 'sar_40nm'"),
        ({"a": 'base = "b.toml"', "b": 'base = "a.toml"'}, r"in a circle: a\.toml -> b\.toml -> a\.toml"),
        ({"a": 'base = "a.toml"'}, r"in a circle: a\.toml -> a\.toml"),
        ({"a": 'base = "../b.toml"'}, r"a bundled name or a file in its own folder, but got '\.\./b\.toml'"),
        ({"a": 'base = "/etc/passwd"'}, "a bundled name or a file in its own folder"),
        ({"a": "base = 3"}, r"`base` to be a name \(ADC\), but got 3"),
        ({"a": 'base = "sar_40nm"\nbitts = 7'}, r"Unknown field of an ADC 'bitts'"),
        ({"a": 'base = "b.toml"', "b": "kind ="}, r"b\.toml: not a TOML file"),
    ],
)
def test_bases_that_are_none_are_refused_by_name(files: dict[str, str], message: str, tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text('kind = "sar"\n')
    folder = tmp_path / "own"
    folder.mkdir()
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    with pytest.raises(DesignError, match=message):
        load_adc(folder / "a.toml")


def test_a_link_to_the_outside_is_no_base(tmp_path: Path) -> None:
    (tmp_path / "outside.toml").write_text('kind = "sar"\n')
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "link.toml").symlink_to(tmp_path / "outside.toml")
    (folder / "a.toml").write_text('base = "link.toml"\n')
    with pytest.raises(DesignError, match="in its own folder"):
        load_adc(folder / "a.toml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"circuit": {"capacitor_mismatsh": 0.1}},
            "Unknown error of the circuit of a SAR ADC 'capacitor_mismatsh'",
        ),
        ({"circuit": {"capacitor_mismatch": -0.1}}, "`circuit.capacitor_mismatch` to be a number from 0 to 1, but got"),
        ({"circuit": {"capacitor_mismatch": math.nan}}, "`circuit.capacitor_mismatch` to be a number"),
        ({"circuit": {"capacitor_mismatch": True}}, "`circuit.capacitor_mismatch` to be a number"),
        ({"circuit": [0.1]}, "`circuit` to be a table"),
        ({"circuit": {"capacitor_mismatch": 0.1}, "enob": 7}, "what came out in `enob`, but got both"),
        ({"circuit": {"capacitor_mismatch": 0.1}, "inl_lsb": (0, 1)}, "what came out in `inl_lsb`, but got both"),
        ({"circuit": {"capacitor_mismatch": 0.1}, "bits": 20}, "`circuit` to be given for at most 16 bits"),
        ({"decision_energy": "5 fJ", "energy": "1 pJ"}, "`energy` or `decision_energy`, but got both"),
        (
            {"kind": "ramp", "circuit": {"bow_lsb": 4.0}, "bits": 3},
            "3 bits: Expected a ramp's bow below half of its range",
        ),
    ],
)
def test_impossible_circuits_are_refused(values: dict, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        Adc(**{"kind": "sar", **values})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [1, 2, 8])
def test_the_largest_errors_still_make_codes(kind: str, bits: int) -> None:
    """Whatever a file may say, codes are codes."""
    largest = {name: parameter.high for name, parameter in adc_kind(kind).circuit.items() if name != "bow_lsb"}
    random = np.random.default_rng(9)
    values = np.vstack(
        [random.uniform(-9, 2**bits + 9, (200, 40)), np.full((1, 40), np.inf), np.full((1, 40), -np.inf)]
    )
    codes = drawn(Adc(kind, circuit=largest), bits, 40).codes(values, lambda: random.standard_normal(values.shape))
    assert codes.min() >= 0
    assert codes.max() <= 2**bits - 1


def test_figures_need_a_resolution_and_converters() -> None:
    with pytest.raises(DesignError, match="a resolution from 2 to 14 bits, but got None"):
        adc_figures(Adc("sar"))
    with pytest.raises(DesignError, match="a resolution from 2 to 14 bits, but got 1"):
        adc_figures(Adc("sar"), 1)
    with pytest.raises(DesignError, match="at least one converter"):
        adc_figures(Adc("sar"), 8, converters=0)
    with pytest.raises(DesignError, match="transitions lie beyond the range or coincide"):
        adc_figures(Adc("ramp", circuit={"comparator_offset_lsb": 1e6}), 4)


@pytest.mark.usefixtures("own_registry")
def test_a_kind_from_outside_draws_what_it_says() -> None:
    """A kind with one error: an offset of each column."""

    @circuits.register_adc_kind
    class Counting(circuits.AdcKind):
        name, label, cycles = "counting", "counting ADC", "4 * bits"
        circuit: ClassVar = {"skew_lsb": circuits.AdcParameter("offset of a column, sigma [LSB]", 10.0)}

        @classmethod
        def draw(cls, bits, errors, converters, own, shared, noise_lsb=0.0):
            offsets = errors["skew_lsb"] * own.standard_normal(converters)
            return Levels(np.arange(2**bits - 1)[None] + 0.5, offsets, noise_lsb)

    figures = adc_figures(Adc("counting", circuit={"skew_lsb": 2.0}), 6, converters=300)
    assert figures.offset_lsb.std() == pytest.approx(2.0, rel=0.1)
    with pytest.raises(DesignError, match="from 0 to 10, but got 11"):
        Adc("counting", circuit={"skew_lsb": 11})
