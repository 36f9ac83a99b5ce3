"""SUN397: lists, names and labels of the official partitions."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from ravl_explore.data import Sun397
from ravl_explore.data.sun397 import class_name
from ravl_explore.errors import DataError, InputError

CLASSES = ["/a/abbey", "/a/airplane_cabin", "/p/podium/indoor", "/p/podium/outdoor"]
TESTING = ["/p/podium/outdoor/sun_1.jpg", "/a/abbey/sun_2.jpg", "/p/podium/indoor/sun_3.jpg"]
TRAINING = ["/a/airplane_cabin/sun_4.jpg", "/a/abbey/sun_5.jpg"]


def write(root: Path, lists: str = "Partitions", end: str = "\n") -> Path:
    """torchvision's layout, each image as wide as its number; the lists in a folder of choice."""
    for entry in TESTING + TRAINING:
        path = root / "SUN397" / entry[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        number = int(path.stem[4:])
        Image.new("RGB", (number, 9)).save(path, "PNG" if number == 3 else "JPEG")
    (root / lists).mkdir(exist_ok=True)
    for name, lines in (("ClassName", CLASSES), ("Testing_01", TESTING), ("Training_01", TRAINING)):
        (root / lists / f"{name}.txt").write_bytes((end.join(lines) + end).encode())
    return root


@pytest.mark.parametrize("lists", ["Partitions", ".", "SUN397"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_images_labels_and_names(tmp_path: Path, lists: str, end: str) -> None:
    data = Sun397(write(tmp_path, lists, end))
    assert data.class_names == ("abbey", "airplane cabin", "podium indoor", "podium outdoor")
    assert data.labels.tolist() == [3, 0, 2]
    assert data.image_sizes.tolist() == [[1, 9], [2, 9], [3, 9]], "also a PNG that ends in .jpg"
    assert data.templates == ("a photo of a {}.", "a photo of the {}.")
    train = Sun397(tmp_path, part="train")
    assert train.labels.tolist() == [1, 0] and train.image_sizes[:, 0].tolist() == [4, 5]


def test_the_class_folder_alone_will_do(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "Partitions").rename(tmp_path / "SUN397" / "Partitions")
    assert len(Sun397(tmp_path / "SUN397")) == 3


def test_names_in_words() -> None:
    assert [class_name(each) for each in CLASSES[1:3]] == ["airplane cabin", "podium indoor"]
    assert class_name("/f/forest/broadleaf") == "forest broadleaf"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the list ClassName\.txt"):
        Sun397(tmp_path)
    write(tmp_path)
    with pytest.raises(DataError, match=r"the list Testing_02\.txt.*Partitions\.zip"):
        Sun397(tmp_path, partition=2)
    with pytest.raises(InputError, match="1 to 10"):
        Sun397(tmp_path, partition=0)
    with pytest.raises(InputError, match="'train' or 'test'"):
        Sun397(tmp_path, part="val")
    (tmp_path / "SUN397" / "a" / "abbey" / "sun_2.jpg").unlink()
    assert Sun397(tmp_path).unreadable() == {1: "no such file"}


def test_an_unknown_class_or_a_path_that_leaves(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "Partitions" / "Testing_01.txt").write_text("/z/zoo/sun_1.jpg\n")
    with pytest.raises(DataError, match=r"1 of others, the first 'z/zoo/sun_1\.jpg'"):
        Sun397(tmp_path)
    (tmp_path / "Partitions" / "ClassName.txt").write_text("/../../x\n/a/abbey\n")
    (tmp_path / "Partitions" / "Testing_01.txt").write_text("../../x/1.jpg\n")
    with pytest.raises(DataError):
        Sun397(tmp_path)
