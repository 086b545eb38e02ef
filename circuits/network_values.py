"""Activity of arrays and shapes of layers: what energy asks of a network, without a network library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.line_currents import LineCurrents
from devicekit.common.errors import DesignError
from devicekit.common.plain import PlainValues


@dataclass(frozen=True, eq=False)
class Activity(PlainValues):
    """Mean conductance of an array's cells, mean activity of its rows, and what flows on its lines.

    Attributes:
        mean_conductance: mean normalised conductance of each weight slice, over every physical cell (both cells of a
            differential pair), least significant slice first; shape (slices,), in 0..`most`.
        input_activity: mean of each input slice over rows and inputs, least significant first; for one-bit slices
            the fraction of rows driven; shape (input slices,), in 0..1.
        source: where the numbers come from.
        most: largest mean conductance that can be: 1, or more where hot cells conduct more than G_max.
        lines: currents of the arrays' lines [A]; None where they are not known.
    """

    mean_conductance: NDArray[np.float64]
    input_activity: NDArray[np.float64]
    source: str
    most: float
    lines: LineCurrents | None

    def __init__(
        self,
        mean_conductance: ArrayLike,
        input_activity: ArrayLike,
        source: str = "given by the caller",
        most: float = 1.0,
        lines: LineCurrents | Mapping[str, Any] | None = None,
    ):
        for name, values, largest in (
            ("mean_conductance", mean_conductance, most),
            ("input_activity", input_activity, 1.0),
        ):
            array = np.array(values, dtype=np.float64)
            if array.ndim != 1 or array.size == 0 or not np.all((array >= 0) & (array <= largest)):
                raise DesignError(
                    f"Expected `{name}` of an Activity to be numbers in 0..{largest:g}, but got {values!r}."
                )
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "most", float(most))
        known = LineCurrents(**lines) if isinstance(lines, Mapping) else lines
        if known is not None and known.common_mean_a.shape != (self.mean_conductance.size, self.input_activity.size):
            raise DesignError(
                f"Expected `lines` of an Activity for {self.mean_conductance.size} weight and "
                f"{self.input_activity.size} input slices, but got the shape {known.common_mean_a.shape}."
            )
        object.__setattr__(self, "lines", known)


@dataclass(frozen=True, kw_only=True)
class LayerShape(PlainValues):
    """The matrix of one layer and how often an inference uses it.

    Attributes:
        name: the layer's name in its network.
        rows: inputs of one group's matrix: kernel area times input channels of the group, or input features.
        columns: outputs of one group's matrix.
        mvms: matrix-vector products an inference makes with it: output positions of a convolution.
        groups: independent matrices of that shape (depthwise layers have one a channel).
        kind: the layer's kind, such as ``"conv2d"`` or ``"linear"``.
        bias: whether digital biases are added.
        within: names of what the layer is part of and may be named as a whole by, such as an attention.
    """

    name: str
    rows: int
    columns: int
    mvms: int = 1
    groups: int = 1
    kind: str = "linear"
    bias: bool = False
    within: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "within", tuple(self.within))
        for field in ("rows", "columns", "mvms", "groups"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise DesignError(
                    f"Layer {self.name!r}: expected `{field}` to be an integer of at least 1, got {value!r}."
                )

    @property
    def names(self) -> tuple[str, ...]:
        """What patterns may call the layer: its own name, and those of what it is part of."""
        return (self.name, *self.within)

    def matches(self, pattern: str) -> bool:
        """Return whether a shell-style pattern means the layer, or what it is part of."""
        return matches(self.names, pattern)

    @property
    def weights(self) -> int:
        """Number of weights, biases not counted."""
        return self.rows * self.columns * self.groups

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return self.weights * self.mvms


def matches(names: Iterable[str], pattern: str) -> bool:
    """Return whether a shell-style pattern matches one of some names.

    Args:
        names: of a layer, and of what it is part of.
        pattern: such as ``"layer1.*"``; case counts.
    """
    return any(fnmatchcase(name, pattern) for name in names)
