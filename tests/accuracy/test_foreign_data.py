"""Pictures, archives and weights that are damaged, oversized or mislabelled: one named error each, never a guess."""

import gzip
import io
import pickle
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from accuracy.data_sets import DataSetError, cifar, idx, pictures
from accuracy.networks import NetworkError, tflite, weights

WHOLE = pictures.whole


def png(side: int = 4) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.arange(side * side * 3, dtype=np.uint8).reshape(side, side, 3)).save(out, "PNG")
    return out.getvalue()


def huge_png(side: int) -> bytes:
    """A valid header of a picture that would fill the memory, in 70 bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def table(path: Path, *rows: str) -> Path:
    path.write_text("filename,class_index\n" + "".join(f"{row}\n" for row in rows))
    return path


@pytest.mark.parametrize("side", [8000, 60_000])
def test_a_picture_that_would_fill_the_memory_is_not_decoded(side: int) -> None:
    with pytest.raises(DataSetError, match=r"x\.png: .*(more than 50 million|decompression bomb)"):
        pictures.decode(huge_png(side), WHOLE, "x.png")


def test_a_member_that_claims_more_than_a_picture_is_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.png")
    info.size = 10**12
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 10240)
    with pytest.raises(DataSetError, match=r"a\.png has 1000000000000 bytes"):
        pictures.from_tar(tmp_path / "a.tar", table(tmp_path / "t.csv", "a.png,0"), WHOLE)


def test_pictures_of_one_name_are_labelled_by_their_path(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar", {"cat/1.png": png(), "dog/1.png": png()})
    both = table(tmp_path / "paths.csv", "cat/1.png,3", "./dog/1.png,5")
    assert pictures.from_tar(archive, both, WHOLE).labels.tolist() == [3, 5]
    with pytest.raises(DataSetError, match=r"cat/1\.png and dog/1\.png share the label of '1\.png'"):
        pictures.from_tar(archive, table(tmp_path / "names.csv", "1.png,3"), WHOLE)
    with pytest.raises(DataSetError, match="has class_index 5 here and 3 above"):
        pictures.from_tar(archive, table(tmp_path / "twice.csv", "1.png,3", "1.png,5"), WHOLE)


@pytest.mark.parametrize("index", ["1.7", "cat", ""])
def test_labels_are_whole_numbers(tmp_path: Path, index: str) -> None:
    with pytest.raises(DataSetError, match=r"t\.csv:2: expected a whole number as class_index"):
        pictures.read_labels(table(tmp_path / "t.csv", f"a.png,{index}"))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 4, 4, 3)), [0, 1], "Expected images as uint8"),
        (np.full((2, 4, 4, 3), 300), [0, 1], "Expected images as uint8"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0, 1.7], r"labels as whole numbers, but got 1\.7"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0, np.nan], "labels as whole numbers"),
        (np.zeros((2, 4, 4, 3), np.uint8), ["a", "b"], "labels as whole numbers"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0], "Got 2 images but labels of shape"),
    ],
)
def test_pixels_and_labels_of_an_archive_are_what_they_must_be(tmp_path, images, labels, message) -> None:
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    with pytest.raises(DataSetError, match=message):
        cifar.read_npz(tmp_path / "a.npz")


def test_whole_labels_may_be_stored_as_floats(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 4, 4, 3), np.uint8), labels=[0.0, 3.0])
    assert cifar.read_npz(tmp_path / "a.npz").labels.tolist() == [0, 3]


@pytest.mark.parametrize("data", [np.full((1, 3072), 0.5), np.full((1, 3072), 256), np.full((1, 3072), -1)])
def test_pixels_of_a_pickled_batch_are_bytes(tmp_path: Path, data) -> None:
    (tmp_path / "test_batch").write_bytes(pickle.dumps({b"data": data, b"labels": [1]}, protocol=2))
    with pytest.raises(DataSetError, match="whole numbers from 0 to 255"):
        cifar.read_python([tmp_path / "test_batch"])


@pytest.mark.parametrize("offsets", [[0, 10**6], [5, 2], [-3, 4], [0]])
def test_offsets_of_packed_pictures_stay_inside(tmp_path: Path, offsets) -> None:
    np.savez(tmp_path / "a.npz", jpeg_bytes=np.frombuffer(png(), np.uint8), offsets=offsets, labels=[0])
    with pytest.raises(DataSetError, match="`offsets`"):
        pictures.from_packed(tmp_path / "a.npz")


def seeds() -> dict[str, tuple[bytes, object]]:
    """One good file of each kind, and what reads it."""
    state = io.BytesIO()
    torch.save({"weight": torch.ones(3)}, state)
    archive = io.BytesIO()
    np.savez(archive, images=np.zeros((2, 4, 4, 3), np.uint8), labels=[0, 1])
    packed = io.BytesIO()
    np.savez(packed, jpeg_bytes=np.frombuffer(png(), np.uint8), offsets=[0, len(png())], labels=[0])
    graph = io.BytesIO()
    np.savez(graph, graph_json='{"ops": [], "input": {}}')
    images = gzip.compress(bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4]), mtime=0)
    pickled = pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [1]}, protocol=2)
    return {
        "a.png": (png(), lambda path: pictures.decode(path.read_bytes(), WHOLE, str(path))),
        "a.pt": (state.getvalue(), weights.read_state),
        "a.npz": (archive.getvalue(), cifar.read_npz),
        "p.npz": (packed.getvalue(), pictures.from_packed),
        "g.npz": (graph.getvalue(), tflite.read),
        "i.gz": (images, lambda path: idx.read_idx(path, 3)),
        "batch": (pickled, lambda path: cifar.read_python([path])),
    }  # fmt: skip


SEEDS = seeds()


@pytest.mark.parametrize("name", [*SEEDS, "a.safetensors"])
@settings(max_examples=60, deadline=None)
@given(changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8), cut=st.floats(0, 1))
def test_damaged_files_are_read_or_refused_by_name(tmp_path_factory, name: str, changes, cut: float) -> None:
    folder = tmp_path_factory.getbasetemp()
    path = folder / f"damaged-{name}"
    if name == "a.safetensors":
        save_file({"weight": torch.ones(3)}, path)
        data, read = path.read_bytes(), weights.read_state
    else:
        data, read = SEEDS[name]
    damaged = bytearray(data)
    for where, value in changes:
        damaged[int(where * (len(damaged) - 1))] = value
    path.write_bytes(bytes(damaged[: max(1, int(len(damaged) * (cut if cut > 0.5 else 1.0)))]))
    try:
        read(path)
    except (DataSetError, NetworkError) as error:
        message = str(error)
    else:
        message = ""
    assert len(message) <= 500
