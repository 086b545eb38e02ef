"""Unrolled convolutions against torch's own unfolding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from accuracy.arrays.patches import windows
from accuracy.mapping.operators import Geometry


@pytest.mark.parametrize("compiled", [True, False])
@settings(deadline=None, max_examples=40)
@given(
    channels=st.integers(1, 5),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    cut=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    dtype=st.sampled_from((np.uint8, np.int8, np.int32)),
)
def test_windows_are_what_torch_unfolds(compiled, channels, kernel, stride, dilation, padding, cut, dtype):
    geometry = Geometry(kernel, stride, padding, dilation)
    x = np.random.default_rng(0).integers(-100 if dtype != np.uint8 else 0, 100, (2, channels, 8, 9)).astype(dtype)
    unfolded = nn.Unfold(kernel, dilation, padding, stride)(torch.from_numpy(x.astype(np.float32)))
    rows = unfolded.shape[1]
    first, last = round(cut[0] * (rows - 1)), rows - round(cut[1] * (rows - 1))
    first, last = min(first, last - 1), max(first + 1, last)
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr("accuracy.arrays.patches.load_library", lambda *_: None)
        found = windows(geometry, x, slice(first, last))
    assert found.dtype == dtype
    expected = unfolded.transpose(1, 2)[..., first:last]
    np.testing.assert_array_equal(found.reshape(2, -1, found.shape[-1]), expected.numpy())
