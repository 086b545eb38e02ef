"""Counts and times of one core as formulas of its design; components add their own formulas to these.

What follows from how weights are stored (slices, lines, offset) is given by the design. The other derived quantities
repeat those of `circuits.CoreDesign` in a form that works on 100 000 designs at once; a test holds the two together for
every design.
"""

from __future__ import annotations

from energy.formulas import Formula

FIELDS: dict[str, str] = {
    "matrix_rows": "inputs of the matrix-vector product (MVM)",
    "matrix_columns": "outputs of that product",
    "weight_bits": "bits of a weight, sign included",
    "cell_bits": "bits a cell holds",
    "max_rows": "rows of one array at most",
    "bias_rows": "rows of cells that hold biases, beside those of the matrix",
    "input_bits": "bits of an input (0: inputs are not quantised)",
    "input_slice_bits": "bits of the input applied at once",
    "input_resolution": "bits of an input (inf: inputs are not quantised)",
    "accumulator_resolution": "bits that an analog accumulator resolves (inf: no fewer than the input)",
    "adc_bits": "ADC resolution of each weight slice (0: no ADC)",
    "slices": "cells (or pairs) that share one weight",
    "lines_per_column": "bit lines of one output: 2 where a weight is a pair of cells",
    "offset": "1 where weights are shifted to be non-negative",
    "unit_column": "1 where a column of unit weights measures what is subtracted",
    "digital_subtraction": "1 where both lines of a pair are converted",
    "digital_inputs": "1 where every input slice is converted by itself",
    "flipped": "1 where columns above half of full scale are stored complemented",
    "pulse_width": "1 where input slices are pulse lengths",
    "voltage_inputs": "1 where input slices are voltages",
    "has_adc": "1 where the outputs are converted",
    "calibrated_range": "1 where the ADC's range comes from data, 0 where it is the array's full scale",
    "slice_valid": "1 for each weight slice that the design has",
    "input_slice_width": "bits of each input slice",
    "mean_conductance": "mean conductance of each weight slice over G_max, over every physical cell",
    "input_activity": "mean of each input slice over its largest value",
    "energy_spread": "standard deviation of the logarithm of the true energy over the model's",
    "area_spread": "standard deviation of the logarithm of the true area over the model's",
}
"""What the formulas read of a design (and of its activity), with the meaning of each.

The kinds of ADC have their flags, and the time of a conversion, from `energy.adc_formulas`.
"""

COUNTS = (
    Formula("operations", "", "2 * matrix_rows * matrix_columns", "operations of one MVM; a MAC counts as two"),
    Formula("partitions", "", "ceil(matrix_rows / max_rows)", "arrays that share the rows"),
    Formula("arrays", "", "slices * partitions", "arrays of the core"),
    Formula("array_columns", "", "matrix_columns + unit_column", "outputs of one array"),
    Formula("columns_of_arrays", "", "arrays * array_columns", "outputs of all arrays together"),
    Formula("all_rows", "", "matrix_rows + bias_rows", "rows of the matrix and of its biases"),
    Formula("cells", "", "lines_per_column * slices * all_rows * array_columns", "memory cells"),
    Formula("slice_cells", "", "lines_per_column * all_rows * array_columns * slice_valid", "cells of each slice"),
    Formula("row_lines", "", "slices * all_rows", "driven rows of all arrays together"),
    Formula(
        "input_slices",
        "",
        "where(input_bits > 0, ceil(input_bits / max(input_slice_bits, 1)), 1)",
        "pieces in which an input is applied",
    ),
    Formula(
        "input_slice_units",
        "",
        "where(pulse_width > 0, 2 ** input_slice_width - 1, 1) * (input_slice_width > 0)",
        "unit times that each input slice lasts",
    ),
    Formula("unit_times", "", "total(input_slice_units)", "unit times in which one input is applied"),
    Formula("driven_units", "", "total(input_activity * input_slice_units)", "unit times a row is driven, on average"),
    Formula(
        "row_toggles",
        "",
        "total((1 - (1 - input_activity) ** max(input_slice_width, 1)) * (input_slice_width > 0))",
        "input slices, on average, that drive a row at all",
    ),
    Formula("input_dacs", "", "voltage_inputs * row_lines", "DACs, one a driven row"),
    Formula("signal_chains", "", "columns_of_arrays * (1 + digital_subtraction)", "integrators, one an output line"),
    Formula("ideal_conversion_phases", "", "where(digital_inputs > 0, input_slices, 1)", "conversions of one line"),
    Formula("conversion_phases", "", "has_adc * ideal_conversion_phases", "conversions of one line, one after another"),
    Formula("conversions", "", "signal_chains * conversion_phases", "analog-to-digital conversions of one MVM"),
    Formula(
        "slice_conversions", "", "conversions / slices * slice_valid", "conversions of each weight slice in one MVM"
    ),
    Formula("slice_chains", "", "signal_chains / slices * slice_valid", "signal chains of each weight slice"),
    Formula(
        "full_array_bits",
        "bit",
        "b_w + b_in + log2(max_rows + bias_rows) - where(min(b_w, b_in) > 1, 0, 1)",
        "ideal analog resolution of an array with all its rows",
        unbounded=True,
    ),
    Formula(
        "stretches_range",
        "",
        "where(structure.gain_everywhere > 0, 1, calibrated_range * (full_array_bits - adc_bits >= 1))",
        "1 for each slice whose calibrated range is stretched to the ADC's: where the ADC leaves a bit or more of the "
        "array's resolution",
    ),
    Formula("largest_adc_bits", "", "largest(adc_bits)", "resolution of the finest ADC"),
    Formula("comparator_steps", "", "total(slice_conversions * 2 ** adc_bits)", "ramp steps that comparators watch"),
    Formula(
        "ramps",
        "",
        "ramp_adc * has_adc * where(structure.ramp_per_array > 0, arrays, 1)",
        "ramp generators of the core",
    ),
    Formula(
        "ramp_steps", "", "ramps * conversion_phases * 2 ** largest_adc_bits", "steps that all ramp generators make"
    ),
    Formula("gain_conversions", "", "total(slice_conversions * stretches_range)", "conversions that pass a gain stage"),
    Formula(
        "gain_stages",
        "",
        "has_adc * total(slice_chains * stretches_range)",
        "gain stages, one a signal chain that has one",
    ),
    Formula(
        "analog_accumulation",
        "",
        "(1 - digital_inputs) * (input_slices > 1)",
        "1 where input slices are summed as charge before conversion",
    ),
    Formula(
        "rescalings", "", "signal_chains * analog_accumulation * input_slices", "halvings of the accumulated charge"
    ),
    Formula(
        "register_bits",
        "",
        "input_bits * where(structure.register_per_array > 0, row_lines, all_rows)",
        "input bits held and passed to the rows",
    ),
    Formula(
        "input_sum_bits",
        "",
        "largest_adc_bits + where(ideal_conversion_phases > 1, input_bits, 0)",
        "bits of a sum over input slices",
    ),
    Formula(
        "shift_adders",
        "",
        "signal_chains * has_adc * (ideal_conversion_phases > 1)",
        "accumulators that sum the conversions of one line",
    ),
    Formula("shift_add_bits", "", "shift_adders * input_sum_bits", "bits of those accumulators"),
    Formula("shift_add_operations", "", "shift_add_bits * conversion_phases", "bit-additions they make"),
    Formula(
        "output_sum_bits",
        "",
        "input_sum_bits + ceil(log2(partitions)) + (slices - 1) * cell_bits",
        "bits of an output summed over arrays",
    ),
    Formula(
        "output_additions",
        "",
        "has_adc * (matrix_columns * (arrays - 1 + arrays * digital_subtraction + offset) "
        "+ columns_of_arrays * flipped)",
        "additions that join arrays, subtract lines and correct offsets",
    ),
    Formula("output_sum_operations", "", "output_additions * output_sum_bits", "bit-additions of those"),
    Formula("rows_per_array", "", "ceil(matrix_rows / partitions) + bias_rows", "rows of the largest array"),
    Formula(
        "b_w",
        "bit",
        "cell_bits + (lines_per_column > 1) * (1 - digital_subtraction)",
        "resolution of what a cell or pair holds",
    ),
    Formula(
        "b_in",
        "bit",
        "where(digital_inputs > 0, input_slice_bits, min(input_resolution, accumulator_resolution))",
        "resolution of what is applied before one conversion",
        unbounded=True,
    ),
    Formula(
        "b_out",
        "bit",
        "b_w + b_in + log2(rows_per_array) - where(min(b_w, b_in) > 1, 0, 1)",
        "ideal analog resolution of one conversion",
        unbounded=True,
    ),
)

FEATURES = (
    Formula("integrations_per_op", "", "signal_chains * unit_times / operations", "integrations of an operation"),
    Formula(
        "adc_steps_per_op",
        "",
        "total(slice_chains * 2 ** adc_bits) * ideal_conversion_phases / operations",
        "steps of all ADCs for an operation, one where nothing is converted",
    ),
    Formula("cells_per_op", "", "cells / operations", "cells of an operation"),
    Formula("row_lines_per_op", "", "row_lines / operations", "driven rows of an operation"),
    Formula("chains_per_op", "", "signal_chains / operations", "signal chains of an operation"),
    Formula(
        "line_current_a",
        "A",
        "total(slice_cells * mean_conductance) / (lines_per_column * columns_of_arrays) * driven_units / unit_times "
        "* cell.i_max",
        "mean current of a bit line",
    ),
)
"""What tells how far a design is from another, see `energy.structural_error`."""

TIMES = (
    Formula("integration_s", "s", "unit_times * timing.input_bit", "time in which one input is applied"),
    Formula(
        "converting_s",
        "s",
        "conversion_phases * (conversion_interval_s + timing.settling)",
        "time in which the ADCs take up the conversions of a line, settling included",
    ),
    Formula(
        "conversions_s",
        "s",
        "converting_s + (conversion_s - conversion_interval_s)",
        "time of all conversions of a line, the last one to its end",
    ),
    Formula(
        "digital_s",
        "s",
        "has_adc * (ceil(log2(arrays)) + (shift_adders > 0)) * timing.digital_cycle",
        "time of the additions after the last conversion",
    ),
    Formula(
        "latency_s",
        "s",
        "integration_s + conversions_s + digital_s",
        "first input bit to result, one step after another",
    ),
    Formula(
        "interval_s",
        "s",
        "max(integration_s, converting_s)",
        "time between MVMs when the next input is applied while the last one is converted",
    ),
)

SURVEY = (
    Formula("survey_bits", "", "max(adc_bits, survey.lowest_bits)", "bits at which the survey is read"),
    Formula("survey_rate_hz", "Hz", "1 / (conversion_interval_s + timing.settling)", "conversions a second of one ADC"),
    Formula(
        "survey_fom_db",
        "dB",
        "min(survey.fom_intercept_db + survey.fom_per_bit_db * survey_bits, "
        "survey.fom_rate_intercept_db + survey.fom_per_log_rate_db * log(survey_rate_hz))",
        "Schreier figure of merit of a good ADC of these bits and rate",
    ),
    Formula(
        "survey_energy_j",
        "J",
        "survey.energy_spread * 1e-12 * 0.5 * 10 ** ((6.020599913279624 * survey_bits + 1.7609125905568124 "
        "- survey_fom_db) / 10) * exp(survey.energy_intercept + survey.energy_per_log_node * log(process.node_nm) "
        "+ survey.energy_per_log_bits * log(survey_bits))",
        "energy of one conversion by the survey regression",
    ),
    Formula(
        "survey_area_m2",
        "m^2",
        "survey.area_spread * 1e-12 * exp(survey.area_intercept + survey.area_per_log_node * log(process.node_nm) "
        "+ survey.area_per_log_rate * log(survey_rate_hz) + survey.area_per_log_energy * log(survey_energy_j * 1e12))",
        "area of one ADC by the survey regression",
    ),
)
"""ADCs by the regression of the ADC survey; the signal-to-noise ratio of b bits is 6.02 b + 1.76 dB."""

RESULTS = (
    Formula("energy_fj_per_op", "fJ/op", "energy_j_per_mvm / operations * 1e15", "energy of one operation"),
    Formula("energy_nj_per_mvm", "nJ", "energy_j_per_mvm * 1e9", "energy of one MVM"),
    Formula("area_mm2", "mm2", "area_m2 * 1e6", "area of the core"),
    Formula("latency_ns", "ns", "latency_s * 1e9", "first input bit to result, one step after another"),
    Formula("interval_ns", "ns", "interval_s * 1e9", "time between MVMs, pipelined"),
    Formula("tops", "TOPS", "operations / interval_s * 1e-12", "tera-operations a second, pipelined"),
    Formula("tops_per_w", "TOPS/W", "operations / energy_j_per_mvm * 1e-12", "tera-operations a joule"),
    Formula("tops_per_mm2", "TOPS/mm2", "tops / area_mm2", "tera-operations a second and area, pipelined"),
    Formula("power_mw", "mW", "energy_j_per_mvm / interval_s * 1e3", "power at full rate, pipelined"),
    Formula("leakage_mw", "mW", "leakage_w * 1e3", "power while idle"),
)
"""What every cost table shows; components supply ``energy_j_per_mvm``, ``area_m2`` and ``leakage_w``."""

WRITING = (
    Formula(
        "write_energy_uj",
        "uJ",
        "cells * cell.write_pulses * cell.write_pulse_energy * 1e6",
        "energy of programming every cell once, verifying included",
    ),
    Formula(
        "write_ms",
        "ms",
        "ceil(cells / cell.cells_written_at_once) * cell.write_pulses * cell.write_pulse_time * 1e3",
        "time of programming every cell once, verifying included",
    ),
)
"""Results of libraries that give the optional constants of writing."""

COUNT_COLUMNS = (
    "slices",
    "partitions",
    "arrays",
    "cells",
    "row_lines",
    "signal_chains",
    "conversion_phases",
    "conversions",
    "ramps",
    "shift_add_operations",
    "output_sum_operations",
)
"""Counts shown beside the costs."""
