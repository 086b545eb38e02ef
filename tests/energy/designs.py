"""Random designs for property tests: every mapping, encoding and ADC that a `CoreDesign` can express."""

from hypothesis import strategies as st

from circuits import CoreDesign, weight_code, weight_codes
from devicekit.common.errors import DesignError


@st.composite
def core_designs(draw):
    """Draw a possible design; impossible combinations are drawn again."""
    form = weight_code(draw(st.sampled_from(sorted(weight_codes()))))
    weight_bits = draw(st.integers(2, 12))
    accumulation = draw(st.sampled_from(["analog", "digital"]))
    input_bits = draw(st.integers(1, 12) if accumulation == "digital" else st.one_of(st.none(), st.integers(1, 12)))
    fields = {
        "name": "drawn",
        "matrix_rows": draw(st.integers(1, 3000)),
        "matrix_columns": draw(st.integers(1, 600)),
        "negative_weights": form.name,
        "subtraction": draw(st.sampled_from(["analog", "digital"])) if form.lines == 2 else "analog",
        "weight_bits": weight_bits,
        "bits_per_cell": draw(st.integers(1, form.magnitude_bits(weight_bits))),
        "max_rows": draw(st.integers(1, 2000)),
        "input_bits": input_bits,
        "bits_per_input_slice": draw(st.one_of(st.none(), st.integers(1, input_bits))) if input_bits else None,
        "input_accumulation": accumulation,
        "input_encoding": draw(st.sampled_from(["bit_serial", "voltage", "pulse_width"])),
        "bias_rows": draw(st.sampled_from([0, 0, 1, 3])) if not form(weight_bits, 1).one_sign else 0,
        "flipped_encoding": draw(st.booleans()) if form.lines == 1 else False,
    }
    adc = draw(st.one_of(st.none(), st.integers(1, 16), st.just("sliced")))
    if adc == "sliced":
        slices = CoreDesign(**fields).slices
        adc = tuple(draw(st.lists(st.integers(1, 16), min_size=slices, max_size=slices)))
    try:
        return CoreDesign(**fields, adc_bits=adc)
    except DesignError as error:  # the strategy above means to draw possible designs only
        raise AssertionError(str(error)) from error
