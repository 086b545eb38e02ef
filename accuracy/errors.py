"""The exceptions and warnings of the accuracy room."""

from __future__ import annotations

from devicekit.common.errors import DevicekitError


class MappingError(DevicekitError):
    """Weights cannot be laid out on the arrays of a design (not finite, of the wrong shape, of mixed sign)."""


class InputError(DevicekitError):
    """Inputs of an analog matrix are not finite, have the wrong shape, or signs that its design cannot take."""


class NotFiniteError(DevicekitError):
    """A kernel met an input that is not finite; the layer, which knows what becomes of it, reads once more."""


class CalibrationError(DevicekitError):
    """A converted model needs ranges and has none, has another design's, or its calibration data are unusable."""


class ConversionError(DevicekitError):
    """A model or one of its layers cannot be converted to analog arrays."""


class EvaluationError(DevicekitError):
    """An evaluation cannot start: a one-shot iterator of batches, no trials, a model that was not converted."""


class InputRangeWarning(UserWarning):
    """Inputs lie outside the input range and were clipped; the text has the count."""


class ConversionWarning(UserWarning):
    """A model was converted in a weaker way than usual; the text says what was not done."""


class EvaluationWarning(UserWarning):
    """An evaluation holds with a restriction; the text says which."""
