"""Which parameters the peripheral blocks have: unit, meaning, range, and the value at which an error vanishes."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Definition:
    """What is known of a parameter before any file is read.

    Attributes:
        unit: SI unit; empty for plain numbers.
        meaning: one line.
        ideal: the value at which the non-ideality vanishes; None for a parameter that is none.
        low: least value allowed.
        strict: whether the least value itself is refused.
    """

    unit: str
    meaning: str
    ideal: float | None = None
    low: float = 0.0
    strict: bool = False

    @property
    def requirement(self) -> str:
        """What `allows` asks, in words."""
        return f"{'above' if self.strict else 'of at least'} {self.low:g}"

    def allows(self, value: float) -> bool:
        """Whether a value is in range.

        Args:
            value: [unit].
        """
        return value > self.low if self.strict else value >= self.low


def _size(unit: str, meaning: str) -> Definition:
    return Definition(unit, meaning, strict=True)


def _limit(unit: str, meaning: str) -> Definition:
    """A quality that is ideal when infinite."""
    return Definition(unit, meaning, ideal=math.inf, strict=True)


def _leak(unit: str, meaning: str) -> Definition:
    """An error that is ideal at zero and cannot be negative."""
    return Definition(unit, meaning, ideal=0.0)


def _error(unit: str, meaning: str, low: float = -math.inf) -> Definition:
    """An error that is ideal at zero and has a sign."""
    return Definition(unit, meaning, ideal=0.0, low=low)


DEFINITIONS: dict[str, Definition] = {
    "supply.voltage": _size("V", "supply; also the swing of every clock"),
    "supply.noise": _leak("V", "noise on the supply, rms, slower than a conversion"),
    "timing.bits": _size("", "input bits, applied one by one and accumulated"),
    "timing.integration_time": _size("s", "time for which a bit's current is integrated"),
    "timing.transfer_time": _size("s", "time between integrations: share the charge, reset the integrator"),
    "timing.edge_time": Definition("s", "rise and fall time of clocks", ideal=1e-12, strict=True),
    "timing.gain_time": _size("s", "time for which the gain stage settles before conversion"),
    "input.full_scale_current": _size("A", "difference of the two bit lines that fills the range in every bit"),
    "input.common_current": Definition("A", "current of both bit lines beside their difference"),
    "input.cell_conductance": _leak("1/V", "relative fall of the cells' current with their bit line's voltage"),
    "input.bit_line_capacitance": _size("F", "capacitance of one bit line"),
    "conveyor.input_resistance": _leak("Ohm", "input resistance; with the bit line's capacitance it sets a delay"),
    "conveyor.gain_error": _error("", "relative error of the current gain, common to both lines", low=-1.0),
    "conveyor.mismatch": _error("", "relative difference of the two lines' current gains", low=-1.0),
    "conveyor.output_resistance": _limit("Ohm", "output resistance into the integrator's virtual ground"),
    "conveyor.offset_current": _error("A", "current at the output without input"),
    "conveyor.bias_current": _leak("A", "class-A bias beside each line's own current; adds its noise"),
    "integrator.capacitance": _size("F", "integration capacitor"),
    "integrator.parasitic_capacitance": _leak("F", "from the virtual ground to ground"),
    "integrator.dc_gain": _limit("", "open-loop gain of the amplifier"),
    "integrator.gain_bandwidth": _limit("Hz", "gain-bandwidth product of the amplifier"),
    "integrator.output_swing": _limit("V", "largest output either side of mid-supply"),
    "integrator.offset_voltage": _error("V", "input offset of the amplifier"),
    "integrator.noise_density": _leak("V/Hz**0.5", "white input noise of the amplifier"),
    "integrator.reset_resistance": _leak("Ohm", "on-resistance of the reset switch"),
    "integrator.injected_charge": _error("C", "charge that the reset switch leaves when it opens"),
    "accumulator.capacitance": _size("F", "each of the two capacitors that share charge"),
    "accumulator.mismatch": _error("", "relative excess of the sampling capacitor over the holding one", low=-0.9),
    "accumulator.parasitic_1": _leak("F", "parasitic at the sampling capacitor"),
    "accumulator.parasitic_2": _leak("F", "parasitic at the holding capacitor, input of the gain stage included"),
    "accumulator.on_resistance": _leak("Ohm", "on-resistance of a switch"),
    "accumulator.off_resistance": _limit("Ohm", "off-resistance of a switch"),
    "accumulator.injected_charge": _error("C", "charge that a switch leaves on each side when it opens"),
    "gain_stage.gain": _size("", "closed-loop gain, tunable; 1 or more"),
    "gain_stage.gain_error": _error("", "relative error of the gain-setting ratio", low=-0.9),
    "gain_stage.resistance": _size("Ohm", "total resistance of the feedback divider"),
    "gain_stage.dc_gain": _limit("", "open-loop gain of the amplifier"),
    "gain_stage.gain_bandwidth": _limit("Hz", "gain-bandwidth product of the amplifier"),
    "gain_stage.output_swing": _limit("V", "largest output either side of mid-supply"),
    "gain_stage.offset_voltage": _error("V", "input offset of the amplifier"),
    "gain_stage.noise_density": _leak("V/Hz**0.5", "white input noise of the amplifier"),
    "adc.bits": _size("", "resolution of the ramp ADC"),
    "adc.columns": Definition("", "columns that share the ramp, whose decisions kick it", ideal=1.0, low=1.0),
    "adc.clock_frequency": _size("Hz", "rate at which the counter counts, one code a period"),
    "adc.clock_jitter": _leak("s", "rms jitter of the counting edge"),
    "adc.ramp_capacitance": _size("F", "capacitor of the ramp generator, shared by all columns"),
    "adc.ramp_resistance": _limit("Ohm", "output resistance of the ramp's current source; bends the ramp"),
    "adc.ramp_error": _error("", "relative error of the ramp's slope", low=-0.9),
    "adc.comparator_gain": _limit("", "gain of the comparator before the logic that it drives"),
    "adc.comparator_bandwidth": _limit("Hz", "bandwidth of the comparator; delays its decision"),
    "adc.comparator_offset": _error("V", "input offset of the comparator"),
    "adc.comparator_noise_density": _leak("V/Hz**0.5", "white input noise of the comparator"),
    "adc.decision_level": Definition("V", "output at which the logic behind the comparator switches"),
    "transistor.nmos_threshold": _size("V", "threshold voltage, NMOS"),
    "transistor.pmos_threshold": _size("V", "threshold voltage, PMOS, as a magnitude"),
    "transistor.nmos_transconductance": _size("A/V**2", "mobility times oxide capacitance, NMOS"),
    "transistor.pmos_transconductance": _size("A/V**2", "mobility times oxide capacitance, PMOS"),
    "transistor.channel_length_modulation": Definition("1/V", "slope of the saturated current over the current"),
    "transistor.oxide_thickness": _size("m", "gate oxide, equivalent"),
    "transistor.overlap_capacitance": Definition("F/m", "gate to drain or source, per width"),
    "transistor.junction_capacitance": Definition("F/m**2", "drain or source to bulk, per area"),
    "transistor.nmos_flicker": _leak("V**2*m**2", "flicker noise at the gate, S_V times W L f, NMOS"),
    "transistor.pmos_flicker": _leak("V**2*m**2", "flicker noise at the gate, S_V times W L f, PMOS"),
    "transistor.threshold_mismatch": _leak("V*m", "Pelgrom coefficient of the threshold voltage"),
    "amplifier.tail_current": _size("A", "bias of the integrator's telescopic amplifier"),
    "amplifier.input_overdrive": _size("V", "overdrive of its input pair and NMOS cascodes"),
    "amplifier.load_overdrive": _size("V", "overdrive of its PMOS cascodes and of every current source"),
    "amplifier.margin": Definition("V", "drain-source voltage beyond the overdrive that its cascode biases leave"),
    "amplifier.length": _size("m", "channel length of its transistors"),
    "comparator.tail_current": _size("A", "bias of the differential pair"),
    "comparator.output_current": _size("A", "bias of the second stage"),
    "comparator.input_width": _size("m", "width of the input pair"),
    "comparator.load_width": _size("m", "width of the mirror load"),
    "comparator.length": _size("m", "channel length of the input pair and the current sources"),
    "comparator.load_length": _size("m", "channel length of the mirror load and the second stage"),
    "comparator.common_mode": _size("V", "voltage at which the ADC's mid-range sits"),
    "comparator.load_capacitance": _size("F", "logic behind the comparator"),
    "sizing.transconductance": _size("1/V", "transconductance of the conveyor's input transistor over its current"),
    "sizing.loop_gain": _size("", "gain of the loop that lowers the conveyor's input resistance"),
    "sizing.bias_mismatch": Definition("", "relative difference of the two lines' bias currents, column to column"),
    "sizing.largest_bias": _size("A", "largest bias current of a conveyor"),
    "sizing.integrator_swing": _size("V", "largest output of the integrator in any bit"),
    "sizing.least_capacitance": _size("F", "smallest integration capacitor"),
    "sizing.largest_capacitance": _size("F", "largest integration capacitor"),
    "sizing.tail_per_capacitance": _size("A/F", "bias of the integrator's amplifier over its capacitor"),
    "sizing.largest_tail": _size("A", "largest bias of the integrator's amplifier"),
    "sizing.signed_range": _size("V", "ADC input at full scale either side of zero signal, at most"),
    "sizing.unsigned_range": _size("V", "the same from zero signal up"),
    "sizing.largest_tap": _size("", "largest gain of the gain stage; taps are powers of two"),
    "sizing.largest_error": _size("", "noise and variation that a sized circuit may have at most, in codes, rms"),
}
