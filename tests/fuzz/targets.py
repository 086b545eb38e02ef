"""Every kind of file a user brings: good examples of it, what reads it, and what of its content would be nonsense."""

from __future__ import annotations

import gzip
import io
import math
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from safetensors.torch import save as save_tensors

import circuits
import devicekit
import energy
from accuracy.data_sets import cifar, idx, pictures
from accuracy.networks import tflite, weights
from circuits.spice.model_cards import card_lines
from devicekit.common.quantities import parse_quantity
from energy.expressions import expression
from energy.layer_files import read_layers
from reports.study import Study

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@dataclass(frozen=True)
class Target:
    """One kind of file.

    Attributes:
        suffix: of the file's name.
        seeds: good files.
        read: reads a file as a user's call does, and returns the nonsense found in it, or None.
        text: whether tokens and lines are damaged too.
    """

    suffix: str
    seeds: tuple[bytes, ...]
    read: Callable[[Path], str | None]
    text: bool = True


def _nonsense(**numbers: tuple[float, float, float]) -> str | None:
    """Return the numbers that lie outside (or on) no sensible range: value, lowest, highest; None for none."""
    found = [
        f"{name} = {v:g}" for name, (v, low, high) in numbers.items() if not (math.isfinite(v) and low <= v <= high)
    ]
    return ", ".join(found) or None


def device(path: Path) -> str | None:
    """A cell: a spread of at most ten full scales, means of at most a thousand, positive currents."""
    cell = devicekit.load_device(path)
    targets = cell.i_max * np.array([0.1, 0.5, 1.0])
    later = cell.at(time=8e4)
    return _nonsense(
        i_max=(cell.i_max, 1e-15, 1.0),
        sigma=(float(np.max(cell.sigma(targets)) / cell.i_max), 0.0, 10.0),
        mean=(float(np.max(later.mean(targets)) / cell.i_max), 0.0, 1000.0),
        programmed=(float(np.min(cell.program(targets, seed=0))), 0.0, 1e9),
    )


def designs(path: Path) -> str | None:
    """Core designs whose derived counts are positive."""
    for design in list(circuits.load_designs(path).values())[:5]:
        found = _nonsense(cells=(design.cells, 1, 1e15), arrays=(design.arrays, 1, 1e12), r=(design.r_p_hat, 0, 1e15))
        if found:
            return found
    return None


def cores(path: Path) -> str | None:
    """Cores as built, with the costs of the first."""
    first = next(iter(circuits.load_cores(path).values()))
    cost = energy.estimate_core(first)
    return _nonsense(energy=(cost.energy_fj_per_op, 0, 1e300), area=(cost.area_mm2, 0, 1e300))


def adc(path: Path) -> str | None:
    """An ADC of one's own, and the costs of a core with it."""
    own = circuits.load_adc(path)
    cost = energy.estimate_core(circuits.Core(circuits.load_design("A"), adc=own))
    if own.circuit:
        circuits.adc_figures(own, 8, converters=2)
    return _nonsense(energy=(cost.energy_fj_per_op, 0, 1e300), latency=(cost.latency_ns, 0, 1e300))


def library(path: Path) -> str | None:
    """A component library that gives a core finite, positive costs."""
    cost = energy.estimate_core(circuits.load_design("A"), library=path)
    low, high = cost.interval_of("energy_fj_per_op")
    return _nonsense(
        energy_fj_per_op=(cost.energy_fj_per_op, 0, 1e300),
        area_mm2=(cost.area_mm2, 0, 1e300),
        latency_ns=(cost.latency_ns, 0, 1e300),
        interval=(high - low, 0, 1e300),
    )


def measurements(path: Path) -> str | None:
    """Measured currents below 1 A, and a fitted cell whose spread is no more than ten full scales."""
    read = devicekit.read_measurements(path)
    target = np.asarray(read.columns["target"], dtype=float)
    found = _nonsense(target=(float(np.max(np.abs(target), initial=0.0)), 0, 1.0))
    if found or len(target) > 3000:
        return found
    cell = devicekit.fit_device(read, model="saturating_exponential").cell
    return _nonsense(i_max=(cell.i_max, 1e-18, 1.0), sigma=(float(cell.sigma(cell.i_max)) / cell.i_max, 0, 10.0))


def pulses(path: Path) -> str | None:
    """Update curves, and a fitted update whose range is about that of the readings and whose steps are finite."""
    data = devicekit.read_pulses(path)
    reach = float(np.nanmax(data.conductance) - np.nanmin(data.conductance))
    if len(data.up) > 12 or data.pulses > 500:
        return None
    model = devicekit.fit_pulses(data, "constant_step").model
    steps = [branch.step for branch in (model.up, model.down) if branch is not None]
    return _nonsense(range=(model.range / reach, 0.0, 10.0), step=(max(steps) / reach, 0.0, 100.0))


def peripherals(path: Path) -> str | None:
    """A characterised periphery."""
    circuits.load_peripherals(path)
    return None


def parameters(path: Path) -> str | None:
    """Parameters of a periphery."""
    circuits.load_parameters(path)
    return None


def transistor(path: Path) -> str | None:
    """A transistor cell, which carries its full current and nothing when off."""
    cell = circuits.load_transistor_cell(path)
    current, _ = cell.evaluate(cell.prepare(np.array([0.0, 0.5, 1.0])), 0.0)
    return _nonsense(least=(float(np.min(current)), -1e-9, 1e-6), most=(float(np.max(current)), 0.9, 1.1))


def study(path: Path) -> str | None:
    """A study; its files need not be there."""
    Study.load(path)
    return None


def layers(path: Path) -> str | None:
    """Layers of a network by shape."""
    return _nonsense(macs=(float(sum(layer.macs for layer in read_layers(path))), 1, math.inf))


def quantity(path: Path) -> str | None:
    """One quantity as text."""
    return _nonsense(current=(parse_quantity(path.read_text(errors="replace"), "A", "x"), -1e308, 1e308))


def formula(path: Path) -> str | None:
    """One formula as text."""
    compiled = expression(path.read_text(errors="replace"))
    values = {name: np.full((1, 1, 1), 2.0 + number) for number, name in enumerate(compiled.names)}
    compiled.evaluate(values)
    changed = [name for number, name in enumerate(compiled.names) if values[name].tolist() != [[[2.0 + number]]]]
    return f"operands {changed} were written to" if changed else None


def _saved(save: Callable[[io.BytesIO], object]) -> bytes:
    out = io.BytesIO()
    save(out)
    return out.getvalue()


def _reader(read: Callable[[Path], object]) -> Callable[[Path], str | None]:
    def checked(path: Path) -> str | None:
        read(path)
        return None

    return checked


def _table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    target = np.repeat([50.0, 200.0, 400.0, 800.0, 1600.0], 12)
    return pd.DataFrame({"target (nA)": target, "current (nA)": target + rng.normal(0, 0.05, 60) * (target + 100)})


def _bundled(pattern: str, most: int = 40_000) -> tuple[bytes, ...]:
    paths = sorted(devicekit.data_path(".").glob(pattern))
    return tuple(path.read_bytes() for path in paths if path.stat().st_size <= most)


def _decoded(path: Path) -> object:
    return pictures.decode(path.read_bytes(), pictures.whole, str(path))


def _from_tar(path: Path) -> object:
    table = path.with_suffix(".labels")
    table.write_text("filename,class_index\nb.png,1\n")
    return pictures.from_tar(path, table, pictures.whole)


def _tar(out: io.BytesIO, picture: bytes) -> None:
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("a/b.png")
        info.size = len(picture)
        archive.addfile(info, io.BytesIO(picture))


DEVICE = """format = "devicekit-cell-1"
name = "mine"
technology = "mine"
title = "outliers and a law"
measured_range = ["50 nA", "800 nA"]
i_max = { value = 0.8, unit = "uA", kind = "measured", source = "lot 7" }
on_off_ratio = { value = 1e4, kind = "assumed", source = "lot 7" }
read_voltage = { value = 0.1, unit = "V", kind = "measured", source = "lot 7" }
[error]
model = "state_independent"
kind = "fitted"
source = "lot 7"
parameters = { alpha = 0.04 }
[tail]
shape = "low"
fraction = { value = 0.012, interval = [0.008, 0.017], kind = "fitted", source = "lot 7" }
scale = { value = 6.5, kind = "fitted", source = "lot 7" }
[retention]
time_axis = "log"
[[retention.points]]
time = "2 days"
mean = { model = "table", unit = "nA", targets = [50, 800], means = [52, 790], kind = "measured", source = "lot 7" }
error = { model = "state_independent", kind = "fitted", source = "lot 7", parameters = { alpha = 0.05 } }
[retention.law]
model = "log_time"
unit = "nA"
targets = [50, 800]
rates = [0.01, -0.004]
sigma_rate = 0.05
t_0 = "1 h"
kind = "fitted"
source = "lot 7"
"""
RAMPS = "pulse,G (uS)\n" + "".join(
    f"{n},{10 + 5 * (n % 20 if n % 40 < 20 else 20 - n % 20) / 20:g}\n" for n in range(60)
)
LIBRARY = """base = "sonos_40nm"
name = "mine"
technology = "sonos_40nm"
[timing.settling]
value = 12
unit = "ns"
kind = "assumed"
source = "mine"
[components.extra]
instances = "max(arrays, 2) / 2"
"""
CORES = """[cores.old]
design = "A"
max_rows = 576
cell = "sonos_40nm_tcas2022"
age = "2 days"
temperature = "85 degC"
compensation = { fraction = 0.9, reference = 0.2, tracking = "linear_bias" }
adc = { kind = "sar", enob = 7.2 }
[cores.plain]
negative_weights = "offset"
weight_bits = 8
bits_per_cell = 2
wires = { r_p_hat = 1e-5, bit_line = "affine", input_resistance = "500 Ohm", r_s_hat = 1e-6, feed = "rows" }
"""
ADC = """kind = "sar"
bits = 8
rate = "50 MHz"
enob = 7.2
inl_lsb = [0.0, 0.2, -0.2, 0.0]
energy = "2 pJ"
area = "3000 um^2"
"""
DRAWN = """base = "sar_40nm"
decision_energy = "5 fJ"
noise_lsb = 0.1
[circuit]
capacitor_mismatch = 0.02
comparator_offset_lsb = 0.5
"""
CARD = """.lib tt
.model m nmos level=14 vth0=0.3
+ u0=0.03
.subckt c d g s b w=1u
m1 d g s b m w={w} l=0.2u
.ends
.param a = {2*3}
.endl tt
.model n nmos
"""


def _targets() -> dict[str, Target]:
    frame, blank = _table(), np.zeros((8, 8, 3), np.uint8)
    csv = (
        frame.to_csv(index=False).encode(),
        frame.to_csv(index=False, sep=";").encode(),
        frame.to_csv(index=False, sep="\t").encode("utf-16"),
    )
    picture, jpeg = (_saved(lambda out, kind=kind: Image.fromarray(blank).save(out, kind)) for kind in ("PNG", "JPEG"))
    whole = devicekit.data_path("components/sonos_40nm.toml").read_bytes().replace(b"draws = ", b"# draws = ")
    state = {"layer.weight": torch.ones(3, 2), "layer.bias": torch.zeros(3)}
    images = _saved(lambda out: np.savez(out, images=np.zeros((2, 4, 4, 3), np.uint8), labels=[0, 1]))
    batch = pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [1]}, protocol=2)
    packed = gzip.compress(bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4]), mtime=0)
    graph = _saved(lambda out: np.savez(out, graph_json='{"ops": [], "input": {"scale": 1}}'))
    own_designs, own_study = ((EXAMPLES / f"your_{name}.toml").read_bytes() for name in ("designs", "study"))
    text = {
        "device": Target(".toml", (*_bundled("devices/*.toml"), DEVICE.encode()), device),
        "designs": Target(".toml", (*_bundled("designs/*.toml"), own_designs), designs),
        "core": Target(".toml", (CORES.encode(),), cores),
        "adc": Target(".toml", (ADC.encode(), DRAWN.encode(), *_bundled("adcs/*.toml")), adc),
        "library": Target(".toml", (whole, LIBRARY.encode()), library),
        "csv": Target(".csv", csv, measurements),
        "pulses": Target(".csv", (RAMPS.encode(), b"0.1,0.9\n0.3,0.6\n0.45,0.4\n0.5,0.25\n"), pulses),
        "peripherals": Target(".json", _bundled("peripherals/*.model.json"), peripherals),
        "parameters": Target(".toml", _bundled("peripherals/*.toml"), parameters),
        "transistor": Target(".toml", _bundled("circuits/*_cell.toml"), transistor),
        "card": Target(".lib", (CARD.encode(), *_bundled("circuits/*.lib")), _reader(card_lines)),
        "study": Target(".toml", (own_study,), study),
        "layers": Target(".csv", (b"name,rows,columns,mvms,groups\nconv1,27,16,1024,1\nfc,64,10,1,1\n",), layers),
        "quantity": Target(".txt", (b"1.6 uA", b"3e-7", b"12 nC/s", b"-4 uA"), quantity),
        "formula": Target(".txt", (b"a * max(b.c, 2) / 256 + where(a > b.c, 1, total(a) ** 2)",), formula),
    }
    binary = {
        "xlsx": (".xlsx", (_saved(lambda out: frame.to_excel(out, index=False)),), measurements),
        "parquet": (".parquet", (_saved(lambda out: frame.to_parquet(out)),), measurements),
        "picture": (".png", (picture, jpeg), _reader(_decoded)),
        "tar": (".tar", (_saved(lambda out: _tar(out, picture)),), _reader(_from_tar)),
        "idx": (".gz", (packed,), _reader(lambda path: idx.read_idx(path, 3))),
        "images": (".npz", (images,), _reader(cifar.read_npz)),
        "batch": ("", (batch,), _reader(lambda path: cifar.read_python([path]))),
        "safetensors": (".safetensors", (save_tensors(state),), _reader(weights.read_state)),
        "state": (".pt", (_saved(lambda out: torch.save(state, out)),), _reader(weights.read_state)),
        "graph": (".npz", (graph,), _reader(tflite.read)),
    }
    return text | {name: Target(*fields, text=False) for name, fields in binary.items()}


TARGETS = _targets()
