"""Numbers as a person reads them."""

import pytest

from devicekit.common.engineering import duration, engineering, with_error


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (engineering(39.5656e-9, "A"), "39.57 nA"),
        (engineering(1.6e-6, "A", 2), "1.6 uA"),
        (engineering(0.0, "V"), "0 V"),
        (engineering(0.55, ""), "0.55"),
        (engineering(1e-3, "s"), "1 ms"),
        (with_error(39.5656e-9, 0.412e-9, "A"), "39.57 +- 0.41 nA"),
        (with_error(495e-9, 45e-9, "A"), "495 +- 45 nA"),
        (with_error(0.5312, 0.013, ""), "0.531 +- 0.013"),
        (with_error(1.5, float("nan"), ""), "1.5"),
        (with_error(1.0, 1e8, ""), "1 +- 1e+08"),
        (duration(0.01), "10 ms"),
        (duration(100.0), "100 s"),
        (duration(86400.0), "1 day"),
        (duration(432000.0), "5 days"),
        (duration(5400.0), "1.5 h"),
    ],
)
def test_numbers_are_written_as_far_as_they_are_known(text: str, expected: str) -> None:
    assert text == expected
