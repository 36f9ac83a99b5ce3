"""Images are the same when their contents are, wherever and whenever they were stored."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ravl_explore.data import ArrayDataset, Folder, Subset
from ravl_explore.data.files import ImageFiles
from ravl_explore.data.lazy_images import LazyImages
from ravl_explore.data.optional_members import content_fingerprint
from ravl_explore.data.relabelled import Relabelled
from ravl_explore.errors import Cancelled


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(3):
            pixels = np.random.default_rng(10 * label + i).integers(0, 255, (9, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")
    return tmp_path / "images"


def copied(root: Path, name: str) -> Path:
    """As a download or cp -r does: other times, another folder."""
    target = root.parent / name
    shutil.copytree(root, target, copy_function=shutil.copyfile)
    for file in target.rglob("*.png"):
        os.utime(file, (1, 1))
    return target


def test_copies_have_the_same_contents(root: Path) -> None:
    data, other = Folder(root), Folder(copied(root, "copies"))
    assert data.fingerprint() != other.fingerprint()
    assert content_fingerprint(data) == content_fingerprint(other)
    file = other.files[3]
    content = bytearray(file.read_bytes())
    content[-30] ^= 1
    file.write_bytes(content)
    assert content_fingerprint(data) != content_fingerprint(other)
    file.unlink()
    assert content_fingerprint(data) != content_fingerprint(other)


def test_parts_and_other_labels_pass_it_on(root: Path) -> None:
    data, other = Folder(root), Folder(copied(root, "copies"))
    part = Subset(Relabelled(Subset(data, [5, 0, 3, 1]), np.array([0, 1, 0, 1])), [2, 0])
    assert content_fingerprint(part) == content_fingerprint(Subset(other, [3, 5])) != content_fingerprint(data)
    assert content_fingerprint(Subset(data, [3, 5])) != content_fingerprint(Subset(data, [5, 3]))
    assert content_fingerprint(Subset(data, range(6))) == content_fingerprint(data)


def test_what_is_stored_in_a_table_is_told_by_its_bytes(root: Path) -> None:
    files = sorted(root.rglob("*.png"))
    stored = LazyImages([file.read_bytes() for file in files], [0, 0, 0, 1, 1, 1], ["cat", "dog"])
    changed = LazyImages([b"x", *(file.read_bytes() for file in files[1:])], [0, 0, 0, 1, 1, 1], ["cat", "dog"])
    assert content_fingerprint(stored) != content_fingerprint(changed)


def test_arrays_have_it_already() -> None:
    data = ArrayDataset(np.zeros((3, 4, 4, 3), np.uint8), [0, 1, 0], ["cat", "dog"])
    assert content_fingerprint(data) == data.fingerprint()
    assert content_fingerprint(Subset(data, [1, 0])) == Subset(data, [1, 0]).fingerprint()


def test_reading_all_can_be_stopped(root: Path) -> None:
    told: list[tuple[int, int]] = []
    content_fingerprint(Folder(root), progress=lambda done, total, stage: told.append((done, total)))
    assert told == [(0, 6), (6, 6)]

    def stop(*_: object) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        content_fingerprint(Folder(root), progress=stop)


def test_a_tilde_in_a_list_of_files_is_the_home_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root.parent))
    data = ImageFiles(["~/images/cat/0.png", "~/images/dog/0.png"], [0, 1], ["cat", "dog"], root="~/images")
    assert data.files[0] == root / "cat" / "0.png" and data.root == root
