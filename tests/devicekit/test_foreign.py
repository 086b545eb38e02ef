"""Whatever a reader makes of a broken file is one named error of readable length."""

import struct
import zlib

import pytest

from devicekit.common.errors import LONGEST_MESSAGE, DeviceError, DevicekitError, MeasurementError, shortened
from devicekit.common.foreign import read_toml, reading

REASONS = [
    zlib.error("bad data"),
    struct.error("short"),
    RecursionError(),
    MemoryError(),
    KeyError("x"),
    OSError(5, "Input/output error"),
]


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: type(reason).__name__)
def test_any_error_of_a_reader_is_the_rooms_own_and_keeps_its_cause(reason):
    with (
        pytest.raises(MeasurementError, match=r"cells\.csv: not a table") as caught,
        reading("cells.csv", MeasurementError, "a table"),
    ):
        raise reason
    assert caught.value.__cause__ is reason


def test_named_errors_and_interrupts_pass_as_they_are():
    with pytest.raises(DeviceError, match=r"^named$"), reading("f", MeasurementError, "a table"):
        raise DeviceError("named")
    with pytest.raises(KeyboardInterrupt), reading("f", MeasurementError, "a table"):
        raise KeyboardInterrupt


def test_messages_keep_their_ends():
    message = shortened("file.csv: " + "x" * 10_000 + " the reason", LONGEST_MESSAGE)
    assert len(message) <= LONGEST_MESSAGE
    assert message.startswith("file.csv: x")
    assert message.endswith("x the reason")
    assert str(DevicekitError(f"begin {'x' * 5000} end")).endswith("x end")
    assert len(str(DeviceError("x" * 5000))) <= LONGEST_MESSAGE


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = ", "not a TOML file: Invalid value"),
        (b"\xff\xfe", "not a TOML file: 'utf-8' codec"),
        (b"a = " + b"[" * 5000, "not a TOML file"),
    ],
)
def test_toml_is_read_or_refused(tmp_path, content, message):
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(DevicekitError, match=message):
        read_toml(path, DevicekitError)
    with pytest.raises(DevicekitError, match="there is no such file"):
        read_toml(tmp_path / "missing.toml", DevicekitError)
    with pytest.raises(DevicekitError, match="it is a folder"):
        read_toml(tmp_path, DevicekitError)
