"""Peripherals in C against their law in numpy, which draws the same noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accuracy.arrays.noise import NoiseSource
from accuracy.arrays.physics import through_peripherals
from accuracy.kernels import periphery
from accuracy.mapping.adc import UniformAdc
from circuits.peripherals.model import PeripheralModel

pytestmark = pytest.mark.skipif(not periphery.available(torch.zeros(1)), reason="no C compiler")

BITS = 5


def _model(rng: np.random.Generator, *, zero: float, follows: bool, noisy: bool) -> PeripheralModel:
    common: dict[str, float] = {}
    if follows:
        common = {
            "common_gain": float(rng.normal(0, 0.05)),
            "common_offset_lsb": float(rng.normal(0, 1)),
            "common_offset_sigma_lsb": float(rng.uniform(0, 1)),
            "common_current": 1e-6,
        }
    return PeripheralModel(
        name="made up", kind="assumed", source="drawn", adc_bits=BITS, zero=zero, temperature=300.0,
        gain=float(rng.uniform(0.8, 1.2)), gain_sigma=float(rng.uniform(0, 0.05)),
        offset_lsb=float(rng.normal()), offset_sigma_lsb=float(rng.uniform(0, 2)),
        clip_low=float(rng.uniform(-0.1, 0.1)), clip_high=float(rng.uniform(0.9, 1.1)),
        inl_lsb=tuple(rng.normal(0, 0.4, 2**BITS).tolist()),
        noise_lsb=float(rng.uniform(0, 1)) if noisy else 0.0,
        shot_noise_lsb=float(rng.uniform(0, 1)) if noisy else 0.0,
        pattern_lsb=float(rng.uniform(0, 0.5)) if noisy else 0.0,
        **common,
    )  # fmt: skip


def _case(seed: int, *, follows: bool, noisy: bool, dtype: torch.dtype) -> tuple[torch.Tensor, tuple[Any, ...]]:
    rng = np.random.default_rng(seed)
    slices, lines, columns, images = (int(rng.integers(1, high)) for high in (4, 3, 20, 6))
    blocks = slices * lines
    models = [_model(rng, zero=float(rng.choice([0.0, 0.5])), follows=follows, noisy=noisy) for _ in range(slices)]
    hi = rng.uniform(0.5, 20, blocks)
    lo = np.where(rng.random(blocks) < 0.5, -hi, 0.0)
    adc = UniformAdc(lo, hi, (2**BITS - 1 - (lo < 0)) / (hi - lo))
    # Beyond the range on both sides, too.
    v = torch.from_numpy(rng.normal(0, 1.5, (images, 3, blocks, columns)) * hi[:, None]).to(dtype)
    common = torch.from_numpy(rng.uniform(0, 3, (images, 3, slices, columns))).to(dtype) if follows else None
    deviates = rng.standard_normal((blocks * columns, 3))
    return v, (adc, models, deviates, common)


@given(
    seed=st.integers(0, 2**32 - 1),
    follows=st.booleans(),
    noisy=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
@settings(max_examples=60, deadline=None)
def test_the_kernel_computes_the_law(seed: int, follows: bool, noisy: bool, dtype: torch.dtype) -> None:
    v, (adc, models, deviates, common) = _case(seed, follows=follows, noisy=noisy, dtype=dtype)
    before = v.clone()

    def noise() -> NoiseSource:
        source = NoiseSource([seed])
        source.begin(len(v))
        return source

    law = through_peripherals(v, adc, models, deviates, noise(), common)
    seen = periphery.converted(v, adc, models, deviates, noise(), common, convert=False)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(seen, law, rtol=tolerance, atol=tolerance * float(adc.hi.max()))
    read = periphery.converted(v, adc, models, deviates, noise(), common)
    # A code may differ where the law lies on its edge but for rounding; these draws have no such value.
    torch.testing.assert_close(read, adc.read(law), rtol=1e-6, atol=1e-6)
    assert torch.equal(v, before)


def test_threads_change_no_bit() -> None:
    v, (adc, models, deviates, common) = _case(5, follows=True, noisy=True, dtype=torch.float32)
    v, common = v.repeat(60, 40, 1, 1), common.repeat(60, 40, 1, 1)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            source = NoiseSource([5])
            source.begin(len(v))
            found.append(periphery.converted(v, adc, models, deviates, source, common))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
