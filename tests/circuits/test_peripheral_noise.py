"""Noise floors in ngspice: thermal, flicker and shot noise against their closed forms, supply and neighbours."""

import re

import numpy as np
import pytest

from circuits.peripherals import load_parameters, noise, theory
from circuits.peripherals.disturbances import Disturbances, kick_back, simulate_disturbances
from circuits.peripherals.front_end import simulate_front_end
from circuits.peripherals.netlist import BOLTZMANN, Netlist
from circuits.peripherals.noise import noise_floors
from circuits.peripherals.ramp_adc import comparator_noise_netlist, simulate_comparator_noise
from circuits.peripherals.transistors import add_models, flicker_coefficient
from circuits.spice.simulator import run_netlist
from tests.reference import peripheral_closed_forms as closed_forms

pytestmark = pytest.mark.usefixtures("ngspice")

NOMINAL = load_parameters("sonos_40nm")
IDEAL = NOMINAL.ideal()
SPREAD = NOMINAL["transistor.channel_length_modulation"]


def test_noise_floors_agree_with_their_closed_forms():
    floors = noise_floors(NOMINAL)
    checked = {name: floor for name, floor in floors.items() if floor.simulated is not None}
    assert len(checked) == 6
    for name, floor in checked.items():
        assert floor.simulated == pytest.approx(floor.closed_form, rel=2e-3), name
    assert floors["accumulator sampling"].simulated == pytest.approx(
        np.sqrt(1.380649e-23 * 300.15 / 202e-15), rel=1e-3
    ), "kT/C"


def test_noise_follows_temperature_and_density_and_vanishes():
    hot = noise_floors(NOMINAL.at(temperature=4 * 300.15))
    cold = noise_floors(NOMINAL)
    for name in ("integrator reset", "accumulator sampling", "accumulator sharing"):
        assert hot[name].simulated / cold[name].simulated == pytest.approx(2, rel=1e-3), name
    loud = noise_floors(NOMINAL.with_values({"integrator.noise_density": 2 * NOMINAL["integrator.noise_density"]}))
    assert loud["integrator amplifier"].simulated / cold["integrator amplifier"].simulated == pytest.approx(2, rel=1e-3)
    silent = noise_floors(IDEAL)
    assert [silent[name].lsb for name in ("integrator amplifier", "gain stage", "comparator", "clock jitter")] == [
        0
    ] * 4


def test_the_conveyors_bias_adds_the_shot_noise_of_its_current():
    biased = NOMINAL.with_values({"conveyor.bias_current": NOMINAL["input.common_current"]})
    floors = noise_floors(biased)
    assert floors["bias of the conveyor"].lsb == pytest.approx(floors["shot noise of the common current"].lsb)
    assert floors["bias of the conveyor"].lsb > 0.1


def test_shot_noise_of_an_integrated_current():
    """Ngspice's spectral density of a junction through a window of length t gives q I t."""
    duration, load = 7.5e-9, 1.0
    elements = f"Vbias a 0 dc 0.6 ac 1\nD1 a out junction\n.model junction d(is=1e-15)\nRload out 0 {load} noisy=0"
    run = run_netlist(f"shot noise\n{elements}\n.options temp=27\n.noise v(out) Vbias dec 10 1e3 1e6\n.end")
    spectrum = run.plots["noise1"]
    operating = run_netlist(f"operating point\n{elements}\n.options temp=27\n.op\n.end")
    junction = -float(operating["vbias#branch"][0])
    # The load is in parallel with the junction's own resistance nkT/qI.
    parallel = 1 / (1 / load + junction / 0.025865)
    density = float(spectrum["onoise_spectrum"][0]) ** 2 / parallel**2
    assert density == pytest.approx(2 * 1.602176634e-19 * junction, rel=1e-3)
    frequency = np.linspace(0, 400 / duration, 400_001)
    window = duration * np.sinc(frequency * duration)
    charge = np.sqrt(np.trapezoid(density * window**2, frequency))
    assert charge == pytest.approx(theory.shot_noise(junction, duration), rel=2e-3)


@pytest.mark.parametrize(
    ("name", "density"),
    [
        ("integrator amplifier", "integrator.noise_density"),
        ("gain stage", "gain_stage.noise_density"),
        ("comparator", "adc.comparator_noise_density"),
    ],
)
def test_each_amplifiers_noise_goes_with_its_density(name, density):
    def floor(factor):
        silent = NOMINAL.with_values({"gain_stage.resistance": 1e-3})
        return noise_floors(silent.with_values({density: factor * NOMINAL[density]}))[name].simulated

    assert floor(3) / floor(1) == pytest.approx(3, rel=2e-3)
    assert floor(0) < 2e-3 * floor(1)


def test_jitter_counts_by_the_slope_of_the_ramp():
    for jitter in (5e-12, 20e-12):
        floor = noise_floors(NOMINAL.with_values({"adc.clock_jitter": jitter}))["clock jitter"]
        assert floor.lsb == pytest.approx(jitter * 1e9)


class Comparator:
    """The transistor comparator at its trip point: square-law transconductances, and transfers by small signals."""

    def __init__(self):
        text = comparator_noise_netlist(NOMINAL, transistors=True)
        self.netlist = text[: text.index(".noise")]
        at = run_netlist(self.netlist + ".op\n.end", ["first", "mirror", "tail"])
        first, mirror, tail = (float(at[node][0]) for node in ("first", "mirror", "tail"))
        assert first == pytest.approx(mirror, abs=1e-6)
        # Channel-length modulation raises the mirrored current of the tail as it does the diode's.
        head, diode = NOMINAL["supply.voltage"] - tail, run_netlist(self.netlist + ".op\n.end", ["bias"])["bias"][0]
        reference = NOMINAL["supply.voltage"] - float(diode)
        current = NOMINAL["comparator.tail_current"] / 2 * (1 + SPREAD * head) / (1 + SPREAD * reference)
        self.pair_size = NOMINAL["comparator.input_width"], NOMINAL["comparator.length"]
        self.load_size = NOMINAL["comparator.load_width"], NOMINAL["comparator.load_length"]
        self.pair_slope, self.load_slope = 1 + SPREAD * (tail - first), 1 + SPREAD * first
        self.pair, self.load = (
            np.sqrt(2 * current * NOMINAL[f"transistor.{kind}_transconductance"] * width / length * slope)
            for kind, (width, length), slope in (
                ("pmos", self.pair_size, self.pair_slope),
                ("nmos", self.load_size, self.load_slope),
            )
        )
        result = run_netlist(self.netlist + ".ac dec 40 1 1e13\n.end", ["frequency", "first"])
        self.frequency, self.gain = result["frequency"].real, result["first"]

    def impedance(self, node):
        """Response of the first stage's output to a current into a node [Ohm]."""
        still = self.netlist.replace(" ac 1", "")
        test = f"itest 0 {node} dc 0 ac 1\n.ac dec 40 1 1e13\n.end"
        return run_netlist(still + test, ["first"])["first"]


def test_the_transistor_comparators_noise_is_that_of_its_pair_and_load():
    """Integrated noise over gain against 8/3 kT gm of the four transistors, each through its own way to the output."""
    comparator = Comparator()
    direct, mirrored = comparator.impedance("first"), comparator.impedance("mirror")
    # A current in the pair flows to both sides; the load's is at the output, the diode's goes through the mirror.
    ways = {"pair": [(direct - mirrored) / 2] * 2, "load": [direct, mirrored]}
    variance = sum(
        8 / 3 * BOLTZMANN * 300.15 * transconductance * np.trapezoid(np.abs(way) ** 2, comparator.frequency)
        for transconductance, name in ((comparator.pair, "pair"), (comparator.load, "load"))
        for way in ways[name]
    )
    simulated = simulate_comparator_noise(NOMINAL, transistors=True)
    assert simulated == pytest.approx(np.sqrt(variance) / abs(comparator.gain[0]), rel=0.01)


@pytest.mark.parametrize(("kind", "name", "bias"), [("nch", "nmos", 1.0), ("pch", "pmos", -1.0)])
def test_a_transistors_flicker_noise_is_that_of_its_gate(kind, name, bias):
    """Output noise of one transistor over its gain between two frequencies against S_V W L f and the logarithm."""
    width, length, drain = 4e-6, 0.12e-6, 0.5
    netlist = Netlist("one transistor", 300.15)
    add_models(netlist, NOMINAL)
    netlist.voltage("gate", "gate", "0", f"dc {0.5 * bias!r} ac 1")
    netlist.voltage("drain", "drain", "0", drain * bias)
    factor = flicker_coefficient(NOMINAL, kind, width, length)
    card = f".model flickering {name} level=1 kf={factor!r} af=1 vto={0.3 * bias!r} lambda={SPREAD!r} "
    card += f"kp={NOMINAL[f'transistor.{name}_transconductance']!r} tox={NOMINAL['transistor.oxide_thickness']!r}"
    device = f"m1 drain gate 0 0 flickering w={width!r} l={length!r}\nhout out 0 vdrain 1"
    text = netlist.text(card, device, ".noise v(out) vgate dec 50 1 1e3").replace(
        "hout out 0 vdrain", "hout out 0 Vdrain"
    )
    result = run_netlist(text)
    expected = closed_forms.flicker_noise(NOMINAL[f"transistor.{name}_flicker"], width, length, 1, 1e3)
    expected /= np.sqrt(1 + SPREAD * drain)
    assert result["inoise_total"][0] == pytest.approx(expected, rel=0.01)


def test_the_transistor_comparators_flicker_noise_is_that_of_its_pair_and_load():
    comparator = Comparator()
    ratio = (comparator.load / comparator.pair) ** 2
    shares = (
        ("pmos", comparator.pair_size, comparator.pair_slope, 1.0),
        ("nmos", comparator.load_size, comparator.load_slope, ratio),
    )
    density = sum(
        2 * weight * NOMINAL[f"transistor.{kind}_flicker"] / (width * length) / slope
        for kind, (width, length), slope, weight in shares
    )
    transfer = np.abs(comparator.gain / comparator.gain[0]) ** 2
    expected = np.sqrt(density * np.trapezoid(transfer / comparator.frequency, comparator.frequency))
    assert noise_floors(NOMINAL, transistors=True)["comparator flicker"].simulated == pytest.approx(expected, rel=0.01)


def test_flicker_noise_goes_with_its_coefficient_and_vanishes():
    names = ("integrator amplifier flicker", "comparator flicker")

    def floors(factor):
        coefficients = ("transistor.nmos_flicker", "transistor.pmos_flicker")
        scaled = {name: factor * NOMINAL[name] for name in coefficients}
        found = noise_floors(NOMINAL.with_values(scaled), transistors=True)
        return np.array([found[name].lsb for name in names])

    np.testing.assert_allclose(floors(4) / floors(1), 2, rtol=1e-3)
    np.testing.assert_array_equal(floors(0), 0)
    assert not set(names) & set(noise_floors(NOMINAL)), "macromodels have none"


def test_flicker_noise_of_the_integrator_counts_fully():
    """It is the same for every bit of a conversion: weights add, where white noise adds their squares."""
    floor = noise_floors(NOMINAL, transistors=True)["integrator amplifier flicker"]
    weights = theory.accumulator_weights(theory.share_ratio(NOMINAL), 8)
    expected = floor.simulated * weights.sum() * NOMINAL["gain_stage.gain"] / NOMINAL.lsb_voltage
    assert floor.lsb == pytest.approx(expected, rel=1e-9)


@pytest.fixture(scope="module")
def disturbed(ngspice):
    return simulate_disturbances(NOMINAL)


def test_the_supplys_noise_goes_with_it_and_vanishes(disturbed):
    def floor(noise):
        return disturbed.floors(NOMINAL.with_values({"supply.noise": noise}))["supply"].lsb

    assert floor(4e-3) == pytest.approx(2 * floor(2e-3))
    assert floor(0.0) == 0
    most = max(abs(disturbed.supply_offset_lsb + sign * 127.5 * disturbed.supply_gain) for sign in (-1, 1))
    assert floor(1e-3) == pytest.approx(1e-3 * most)


def test_the_integrators_supply_rejection_is_that_of_small_signals():
    """The supply moved as a whole between two conversions, against ngspice's AC analysis of the amplifier in reset."""
    netlist = noise._integrator_amplifier(NOMINAL, True).replace("dc 0 ac 1", "0")
    netlist = re.sub(r"(?m)^Rbias sum out .*$", "Rbias sum out 300", netlist[: netlist.index(".noise")])
    for rail, phase in (("Vvdd", 0), ("Vvss", 180), ("Vbias_rail", 180), ("Vpcascode", 0)):
        netlist = re.sub(rf"(?m)^({rail} \S+ 0) (\S+)$", rf"\1 dc \2 ac 0.5 {phase}", netlist)
    rejection = run_netlist(netlist + ".ac lin 1 1e4 1e4\n.end", ["out"])["out"].real[0]
    assert rejection < 1e-3, "better than 60 dB"
    supply, step = NOMINAL["supply.voltage"], 0.02
    low, high = (
        simulate_front_end(NOMINAL.with_values({"supply.voltage": supply + change}), np.zeros(8), transistors=True)
        for change in (-step, step)
    )
    np.testing.assert_allclose((high.integrator - low.integrator) / (2 * step), rejection, rtol=0.02)


def test_neighbours_kick_the_ramp_each_the_same_and_less_on_a_larger_capacitor(disturbed):
    assert disturbed.kick_back_lsb > 0.01
    assert kick_back(NOMINAL, 3) == pytest.approx(disturbed.kick_back_lsb, rel=0.05)
    larger = NOMINAL.with_values({"adc.ramp_capacitance": 4 * NOMINAL["adc.ramp_capacitance"]}, redesign=True)
    assert kick_back(larger) == pytest.approx(disturbed.kick_back_lsb / 4, rel=0.1)


def test_kick_back_is_a_binomial_count_of_neighbours_and_vanishes_without_them(disturbed):
    def floor(columns):
        return disturbed.floors(NOMINAL.with_values({"adc.columns": columns}))["kick back of neighbours"].lsb

    decided = np.random.default_rng(0).random((20_000, 255)) < 0.5
    assert floor(256) == pytest.approx(np.std(disturbed.kick_back_lsb * decided.sum(axis=1)), rel=0.02)
    assert floor(1) == 0
    assert Disturbances(0.0, 0.0, 0.0).floors(NOMINAL)["supply"].lsb == 0


def test_blocks_of_transistors_have_noise_of_their_own():
    floors, behavioural = noise_floors(NOMINAL, transistors=True), noise_floors(NOMINAL)
    for name in ("integrator amplifier", "comparator"):
        assert floors[name].closed_form is None
        assert floors[name].simulated == pytest.approx(behavioural[name].simulated, rel=0.8), "of the same order"
    for name in ("integrator reset", "gain stage"):
        assert floors[name].simulated == behavioural[name].simulated
