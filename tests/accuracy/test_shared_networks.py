"""Small networks as users bring them, scripts beside the checkout: each shows the right value, or a refusal by name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT.parent / "shared" / "cases" / "networks"

pytestmark = pytest.mark.slow

# What each script prints; of one that ends in a refusal, the refusal.
SHOWN = {
    "alias_untraced": r"a: AnalogLayer b: AnalogLayer",
    "batchnorm_after_linear_sequence": r"float mode vs original: 0\.0 ideal: 0\.0\d+ ",
    "fx_frozen_random_and_state": (
        r"Noisy converted: two calls equal False \| original: False.*\n"
        r"Stateful converted: two calls equal False \| original: False"
    ),
    "fx_optional_argument": r"float mode vs original: 0\.0 .*\nown accuracy 1\.0; baseline 1\.0 ",
    "gradients": r"(\w (?!.*False).*\n){3}",
    "half_precision": r"torch\.bfloat16 ok torch\.bfloat16\ntorch\.float16 ok torch\.float16",
    "load_state_mixed": r"float mode vs new net: 0\.0 \| arrays vs new net: 0\.0\d+ vs old net: [1-9]\.",
    "nan_inputs": r"EvaluationError: Expected finite inputs, but 256 values are NaN or infinite",
    "one_logit_top1": r"EvaluationError: .*one number for each label, which cannot be ranked: use metric='binary'",
    # It prints what goes wrong only.
    "several_inputs": r"\A\Z",
    "silent_digital_functional": (
        r"analog: \['0', '2', '3'\].*\n"
        r"energy counts: \[\('0', 64, 512\), \('2', 512, 64\), \('3', 64, 10\)\]"
    ),
    "silent_digital_lstm": (
        r"nn\.LSTM \['rnn\.ih_l0', 'rnn\.hh_l0', 'fc'\] warnings: 0 (?P<same>float 0\.\d+ analog 0\.\d+ .*)\n"
        r"same, as Linear \['i', 'h', 'fc'\] warnings: 0 (?P=same)\n"
        r"layer_shapes \(energy\): \[\('rnn\.ih_l0', 8, 192\), \('rnn\.hh_l0', 48, 192\), \('fc', 48, 10\)\]"
    ),
    "silent_digital_parametrized": r"analog: \['0', '2', '4'\] of layers 0, 2, 4",
    "silent_digital_subclass": r"analog: \['0', '2', '5'\].*\nenergy counts: \['0', '2', '5'\]",
    "time_first_noise": r"(batch_first (True|False) largest difference between batches of 8 and of 2: 0\.0\n){2}",
    "weight_attribute": r"\A\Z",
    "wrong_width": r"(\w (\d+|conv \d) InputError Layer '0': expected an input with .*\n){24}",
    "zero_weights": r"(\w ok\n){4}",
}


@pytest.mark.skipif(not FOLDER.is_dir(), reason="no shared data: ../shared/cases/networks")
def test_every_script_has_its_value() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} <= set(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_a_script_shows_the_right_value(name: str) -> None:
    path = FOLDER / f"{name}.py"
    if not path.is_file():
        pytest.skip("no shared data: ../shared/cases/networks")
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(path)], env=settings, capture_output=True, text=True, check=False)
    ends_in_a_refusal = "Error: " in SHOWN[name]
    assert (done.returncode != 0) == ends_in_a_refusal, done.stderr
    assert re.search(SHOWN[name], done.stderr if ends_in_a_refusal else done.stdout), done.stdout + done.stderr
