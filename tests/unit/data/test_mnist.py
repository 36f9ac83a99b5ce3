"""MNIST's files: images row by row, labels not shifted, either split, packed or not, in every usual place."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ravl_explore.data import FashionMnist, Mnist
from ravl_explore.errors import DataError

N = {"t10k": 5, "train": 7}


def pictures(part: str) -> np.ndarray:
    """(n, 28, 28): each row of each picture has its own value."""
    return (np.arange(N[part] * 28).reshape(-1, 28, 1) % 251 + np.zeros((1, 1, 28))).astype(np.uint8)


def labels(part: str) -> np.ndarray:
    return (np.arange(N[part]) * 3 % 10).astype(np.uint8)


def files(folder: Path, *, packed: bool = True, dotted: bool = False) -> Path:
    """The four files, with five test and seven training images."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, n in N.items():
        content = {
            f"{part}-images-idx3-ubyte": struct.pack(">4i", 0x803, n, 28, 28) + pictures(part).tobytes(),
            f"{part}-labels-idx1-ubyte": struct.pack(">2i", 0x801, n) + labels(part).tobytes(),
        }
        for name, body in content.items():
            name = name.replace("-idx", ".idx") if dotted else name
            path = folder / (f"{name}.gz" if packed else name)
            path.write_bytes(gzip.compress(body) if packed else body)
    return folder


@pytest.mark.parametrize("place", [".", "raw", "MNIST/raw"])
@pytest.mark.parametrize("packed", [True, False])
def test_pixels_and_labels_of_either_split(tmp_path: Path, place: str, packed: bool) -> None:
    files(tmp_path / place, packed=packed)
    for split, part in (("test", "t10k"), ("train", "train")):
        data = Mnist(tmp_path, split)
        assert len(data) == N[part] and data.labels.tolist() == labels(part).tolist()
        for i in range(len(data)):
            assert (data.image(i) == pictures(part)[i][:, :, None]).all()
        assert data.image(0).shape == (28, 28, 3) and data.image(0).flags.writeable
        assert data.image_sizes.tolist() == [[28, 28]] * len(data)


def test_names_and_prompts(tmp_path: Path) -> None:
    digits, garments = Mnist(files(tmp_path)), FashionMnist(tmp_path)
    assert digits.class_names == tuple("0123456789") and digits.name == "MNIST, test"
    assert digits.templates[:2] == ("a photo of the number {}", "the digit {}") and len(digits.templates) == 4
    assert garments.class_names[0] == "t-shirt" and garments.class_names[9] == "ankle boot"
    assert garments.templates == ("a photo of a {}", "the {}", "an image of a {}", "{}")
    assert digits.fingerprint() == garments.fingerprint() != Mnist(tmp_path, "train").fingerprint()


def test_a_dot_in_the_name_and_a_wrong_ending(tmp_path: Path) -> None:
    assert len(Mnist(files(tmp_path / "dotted", packed=False, dotted=True))) == 5
    for path in files(tmp_path / "ending").iterdir():
        path.rename(path.with_suffix(""))
    assert len(Mnist(tmp_path / "ending")) == 5, "packed without .gz"


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"MNIST's files, got none called t10k-images-idx3-ubyte\.gz"):
        Mnist(tmp_path)
    with pytest.raises(DataError, match="split 'train' or 'test'"):
        Mnist(tmp_path, "val")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t10k-images-idx3-ubyte", gzip.compress(struct.pack(">4i", 0x803, 5, 28, 28) + b"\0" * 100)),
        ("t10k-images-idx3-ubyte", gzip.compress(struct.pack(">2i", 0x801, 5) + b"\0" * 5)),
        ("t10k-images-idx3-ubyte", gzip.compress(struct.pack(">4i", 0xD03, 5, 28, 28) + bytes(5 * 784))),
        ("t10k-labels-idx1-ubyte", gzip.compress(b"\0\0")),
        ("t10k-labels-idx1-ubyte", gzip.compress(b"\0" * 999)[:12]),
        ("t10k-labels-idx1-ubyte", b""),
    ],
    ids=["short", "labels for images", "another type", "no header", "cut gzip", "empty"],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    files(tmp_path)
    (tmp_path / f"{name}.gz").write_bytes(content)
    with pytest.raises(DataError, match=f"a whole idx file, got .*{name}"):
        Mnist(tmp_path)


def test_a_packed_file_is_unpacked_no_further_than_it_promises(tmp_path: Path) -> None:
    path = files(tmp_path) / "t10k-images-idx3-ubyte.gz"
    head = struct.pack(">4i", 0x803, 5, 28, 28)
    path.write_bytes(gzip.compress(head + bytes(2**20)))
    with pytest.raises(DataError, match="a whole idx file"):
        Mnist(tmp_path)
    path.write_bytes(gzip.compress(struct.pack(">4i", 0x803, 2**20, 2**10, 2**10)))
    with pytest.raises(DataError, match=r"promises 1048576 x 1024 x 1024 values, more than"):
        Mnist(tmp_path)


def test_files_of_two_downloads(tmp_path: Path) -> None:
    files(tmp_path)
    body = struct.pack(">2i", 0x801, 6) + bytes(6)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(body))
    with pytest.raises(DataError, match=r"6 labels in .* for 5 images"):
        Mnist(tmp_path)


def test_a_download_that_fails_says_which_files_go_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    asked: list[Any] = []

    def offline(root: str, download: bool) -> None:
        asked.append((root, download))
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", offline)
    with pytest.raises(DataError, match=r"a connection.*train-images-idx3-ubyte\.gz and so on, into .*FashionMNIST"):
        FashionMnist(tmp_path, download=True)
    assert asked == [(str(tmp_path), True)]
    files(tmp_path)
    assert len(FashionMnist(tmp_path, download=True)) == 5 and len(asked) == 1, "what is there is not fetched again"
