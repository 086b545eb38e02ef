"""Every form of storing signed weights is held to the same laws, over every weight."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from circuits import CoreDesign, WeightCode, register_weight_code, weight_code, weight_codes
from circuits.weight_codes import _FORMS
from devicekit import DesignError, ExtensionWarning
from tests.circuits.weight_forms import CASES, OUTSIDE, Excess, SignedDigit, without_case

FORMS = [weight_code(name) for name in weight_codes()] + list(OUTSIDE)
CODES = [
    form(weight_bits, cell_bits)
    for form in FORMS
    for weight_bits in (*range(2, 10), 13)
    for cell_bits in range(1, form.magnitude_bits(weight_bits) + 1)
]


def all_weights(code: WeightCode) -> np.ndarray:
    return np.arange(-code.largest, code.largest + 1)


def stands_for(code: WeightCode, weights: np.ndarray) -> np.ndarray:
    """Magnitudes, where the column's sign is applied digitally."""
    return np.abs(weights) if code.one_sign else weights


def test_every_form_has_a_case() -> None:
    assert without_case() == set()


def test_a_form_without_a_case_is_noticed(own_registry: None) -> None:
    register_weight_code(Excess)
    assert without_case() == {"excess"}


@pytest.mark.parametrize("name", CASES)
def test_digits_on_paper(name: str) -> None:
    weight, digits, worth, offset = CASES[name]
    code = weight_code(name)(8, 2)
    assert code.digits(np.array(weight)).tolist() == digits
    assert list(code.worth) == worth
    assert code.offset == offset


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_digits_are_of_their_cells_and_sum_to_the_weight(form: type[WeightCode]) -> None:
    for code in (code for code in CODES if type(code) is form):
        weights = all_weights(code)
        digits = code.digits(weights)
        assert digits.shape == (code.slices, code.lines, weights.size) == (len(code.worth), code.lines, weights.size)
        assert digits.min() >= 0
        assert digits.max() <= 2**code.cell_bits - 1 == code.levels
        signs = np.array([1, -1])[: code.lines]
        total = sum(
            worth * sign * digits[s, line] for s, worth in enumerate(code.worth) for line, sign in enumerate(signs)
        )
        np.testing.assert_array_equal(total - code.offset, stands_for(code, weights), err_msg=repr(code))
        np.testing.assert_array_equal(code.integers(digits), stands_for(code, weights), err_msg=repr(code))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_matrix_has_the_digits_of_its_weights(form: type[WeightCode]) -> None:
    code = form(6, 1)
    matrix = np.random.default_rng(0).integers(-code.largest, code.largest + 1, size=(5, 7))
    found = code.digits(matrix)
    for place in np.ndindex(matrix.shape):
        np.testing.assert_array_equal(found[(..., *place)], code.digits(matrix[place]))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_mean_states_are_those_of_the_enumerated_weights(form: type[WeightCode]) -> None:
    rng = np.random.default_rng(1)
    for code in (code for code in CODES if type(code) is form and code.weight_bits <= 8):
        weights = all_weights(code)
        probability = rng.dirichlet(np.ones(weights.size))
        expected = [0.0] * code.slices
        for weight, p in zip(weights, probability, strict=True):
            for s, lines in enumerate(code.digits(np.array(weight))):
                expected[s] += p * sum(digit / (2**code.cell_bits - 1) for digit in lines.tolist()) / code.lines
        assert code.mean_states(probability) == pytest.approx(expected, rel=1e-12), code


@pytest.mark.parametrize("form", [form for form in FORMS if form.lines == 1], ids=lambda form: form.name)
def test_flipped_columns_are_at_most_half_full_and_read_exactly(form: type[WeightCode]) -> None:
    rng = np.random.default_rng(2)
    for code in (code for code in CODES if type(code) is form):
        digits = code.digits(rng.integers(-code.largest, code.largest + 1, size=(9, 20)))
        x = rng.integers(0, 4, size=9)
        flips = code.flips(digits)
        assert flips.shape == (code.slices, 20)
        stored = np.where(flips[:, None, None, :], code.complement(digits), digits)
        assert stored.min() >= 0
        assert (2 * stored[:, 0].sum(axis=1) <= code.levels * 9).all()
        assert (flips == (2 * digits[:, 0].sum(axis=1) > code.levels * 9)).all()
        read = np.einsum("r,slrc->slc", x, stored)[:, 0]
        read = np.where(flips, code.levels * x.sum() - read, read)
        np.testing.assert_array_equal(read, np.einsum("r,slrc->slc", x, digits)[:, 0], err_msg=repr(code))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_zero_draws_the_offset_so_that_a_unit_column_measures_it(form: type[WeightCode]) -> None:
    for code in (code for code in CODES if type(code) is form):
        digits = code.digits(np.array(0))
        assert np.dot(code.worth, digits[:, 0] - (digits[:, 1] if code.lines == 2 else 0)) == code.offset
        assert not (code.unit_column and code.offset == 0)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_design_counts_what_its_form_needs(form: type[WeightCode], own_registry: None) -> None:
    if form in OUTSIDE:
        register_weight_code(form)
    for code in (code for code in CODES if type(code) is form and code.weight_bits < 10):
        plain = {"negative_weights": form.name, "weight_bits": code.weight_bits, "bits_per_cell": code.cell_bits}
        design = CoreDesign(matrix_rows=20, matrix_columns=3, **plain)
        assert design.weight_code == code
        assert (design.slices, design.lines_per_column) == (code.slices, code.lines)
        digits = code.digits(np.zeros((20, 3 + code.unit_column), dtype=np.int64))
        assert design.cells == digits.size
        assert design.symmetric_adc() == (code.lines == 2)
        for other, suits in (
            ({"subtraction": "digital"}, code.lines == 2),
            ({"flipped_encoding": True}, code.lines == 1),
        ):
            if suits:
                assert not CoreDesign(**plain, **other).symmetric_adc()
            else:
                with pytest.raises(DesignError, match=next(iter(other))):
                    CoreDesign(**plain, **other)
    with pytest.raises(DesignError, match=rf"`bits_per_cell` to be at most .* in {form.name} form"):
        CoreDesign(negative_weights=form.name, bits_per_cell=form.magnitude_bits(8) + 1)


# -- forms from outside -----------------------------------------------------------------------------------------------


def test_a_registered_form_is_known_by_its_name(own_registry: None) -> None:
    for unknown in ("excess", None, ["offset"]):
        with pytest.raises(DesignError, match="Unknown `negative_weights`"):
            CoreDesign(negative_weights=unknown)
    assert register_weight_code(Excess) is Excess
    assert CoreDesign(negative_weights="excess").weight_code == Excess(8, 8)
    with pytest.raises(DesignError, match=r"Design 'mine': Unknown `negative_weights` 'exces'\. Did you mean 'excess'"):
        CoreDesign(name="mine", negative_weights="exces")


def test_an_installed_package_brings_its_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_registry: None
) -> None:
    (tmp_path / "their_forms.py").write_text(
        "from circuits.weight_codes import Offset\n\n\n"
        "class Raised(Offset):\n    name = 'raised_by_more'\n\n"
        "    @property\n    def offset(self):\n        return self.largest\n"
    )
    info = tmp_path / "their_forms-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-forms\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[devicekit.weight_codes]\nraised = their_forms:Raised\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_FORMS, "_complete", False)
    try:
        assert CoreDesign(negative_weights="raised_by_more").weight_code.offset == 127
        assert "raised_by_more" in weight_codes()
        monkeypatch.setattr(_FORMS, "_complete", False)
        (info / "entry_points.txt").write_text("[devicekit.weight_codes]\nraised = their_forms:Razed\n")
        with pytest.warns(ExtensionWarning, match=r"'raised' of the package 'their-forms' .*: AttributeError"):
            assert "offset" in weight_codes()
    finally:
        sys.modules.pop("their_forms", None)


class Nameless(Excess):
    name = "two words"


class Taken(Excess):
    name = "offset"


class Wrong(SignedDigit):
    """Forgets that carries need one slice more than the magnitude has bits."""

    name = "wrong"

    @property
    def worth(self) -> tuple[int, ...]:
        return super().worth[:-1]


class Flat(Excess):
    name = "flat"

    def digits(self, integers: np.ndarray) -> np.ndarray:
        return super().digits(integers)[:, 0]


class Unfinished(WeightCode):
    name = "unfinished"


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (int, "'int' as `negative_weights`: expected a subclass of WeightCode"),
        (Unfinished, "'Unfinished' .*: it does not define digits"),
        (Nameless, "letters, digits and underscores, but got 'two words'"),
        (Taken, r"the name 'offset' is that of circuits\.weight_codes\.Offset"),
        (Wrong, r"'Wrong': with 4-bit weights on 1-bit cells the weight -7 has digits .* from 0 to 1, .* stand for"),
        (Flat, r"'Flat': .* digits of shape \(slices, lines, \.\.\.\) = \(4, 1, 15\), but got \(4, 15\)"),
    ],
)
def test_what_is_no_form_is_refused(form: type, message: str, own_registry: None) -> None:
    with pytest.raises(DesignError, match=message):
        register_weight_code(form)
    assert getattr(form, "name", None) not in set(weight_codes()) - {"offset"}
