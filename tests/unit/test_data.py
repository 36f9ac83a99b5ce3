"""Datasets hold what they are given, read folders as people see the pictures, and refuse what cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ravl_explore.data import ArrayDataset, Folder
from ravl_explore.data.base import check_templates
from ravl_explore.errors import DataError, InputError

BLACK = np.zeros((2, 4, 6, 3), np.uint8)
NAMES = ("cat", "dog")


# --- ArrayDataset -----------------------------------------------------------------------------------------------------


def test_array_keeps_pixels_labels_and_sizes() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    data = ArrayDataset(images, [1, 0], NAMES, captions=["a dog", "a cat"])
    assert len(data) == 2 and data.class_names == NAMES
    assert data.image_sizes.tolist() == [[6, 4], [6, 4]], "width, then height"
    assert data.labels.dtype == np.int64 and data.labels.tolist() == [1, 0]
    assert (data.image(1) == images[1]).all()
    assert data.captions == ("a dog", "a cat")
    assert data.regions is None and data.feature_present is None


def test_array_takes_images_of_different_sizes() -> None:
    data = ArrayDataset([np.zeros((4, 6, 3), np.uint8), np.ones((8, 2, 3), np.uint8)], [0, 1], NAMES)
    assert data.image_sizes.tolist() == [[6, 4], [2, 8]]
    assert data.image(1).shape == (8, 2, 3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"images": [], "labels": []}, "at least one image"),
        ({"class_names": ["cat"], "labels": [0, 0]}, "at least two classes, got 1"),
        ({"class_names": ["cat", "cat"]}, "class names that differ"),
        ({"labels": [0, 1, 1]}, "one label for each of 2 images"),
        ({"labels": [0, 2]}, "labels from 0 to 1, got 2 at image 1"),
        ({"labels": [-1, 0]}, "labels from 0 to 1, got -1 at image 0"),
        ({"captions": ["one"]}, "2 captions, got 1"),
        ({"feature_present": [True]}, "feature_present of shape"),
        ({"images": BLACK.astype(np.float32)}, "image 0 with shape .* in float32"),
        ({"images": BLACK[..., 0]}, "uint8, got image 0"),
        ({"images": BLACK[..., :2]}, "uint8, got image 0"),
        ({"images": np.zeros((2, 0, 6, 3), np.uint8)}, "image 0"),
        ({"images": [BLACK[0], BLACK[0, :, :, 0]]}, "image 1"),
    ],
)
def test_array_refuses(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        ArrayDataset(**({"images": BLACK, "labels": [0, 1], "class_names": NAMES} | changes))


def test_array_names_a_bad_image_in_the_middle_when_it_is_read() -> None:
    data = ArrayDataset([BLACK[0], BLACK[0].astype(float), BLACK[0]], [0, 1, 0], NAMES)
    with pytest.raises(DataError, match="image 1"):
        data.image(1)


# --- templates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("templates", [[], ["a photo"], ["{} {}"], ["{name}"], ["a {} {0}"], ["a {} }"], [""]])
def test_templates_need_one_place_for_the_class(templates: list[str]) -> None:
    with pytest.raises(InputError, match="template"):
        check_templates(templates)
    with pytest.raises(InputError, match="template"):
        ArrayDataset(BLACK, [0, 1], NAMES, templates=templates)


def test_good_templates_pass() -> None:
    check_templates(["{}", "a photo of a {}, 100 %"])


# --- Folder -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes: a wide red picture and a tall blue one."""
    for name, size, color in (("dog", (8, 4), "red"), ("cat", (3, 5), "blue")):
        (tmp_path / name).mkdir()
        Image.new("RGB", size, color).save(tmp_path / name / "one.png")
    return tmp_path


def test_folder_takes_sorted_subfolders_as_classes(folder: Path) -> None:
    (folder / ".cache").mkdir()
    (folder / "notes.txt").write_text("not a class")
    (folder / "cat" / "notes.txt").write_text("not an image")
    data = Folder(folder)
    assert data.class_names == ("cat", "dog") and data.labels.tolist() == [0, 1]
    assert data.image_sizes.tolist() == [[3, 5], [8, 4]]
    assert data.image(1).shape == (4, 8, 3) and data.image(1).dtype == np.uint8
    assert (data.image(1) == (255, 0, 0)).all()
    assert data.name == folder.name and data.captions is None


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "CMYK"])
def test_folder_reads_every_mode_as_rgb(folder: Path, mode: str) -> None:
    (folder / "cat" / "one.png").unlink()
    path = folder / "cat" / ("one.tif" if mode == "CMYK" else "one.png")
    Image.new("RGB", (3, 5), "white").convert(mode).save(path)
    image = Folder(folder).image(0)
    assert image.shape == (5, 3, 3) and (image == 255).all()


def test_folder_scales_16_bits_down_and_refuses_32(folder: Path) -> None:
    """Pillow's own conversion would make every value above 255 white."""
    path, values = folder / "cat" / "one.png", np.array([[0, 255, 256], [4000, 40000, 65535]], np.uint16)
    Image.fromarray(values).save(path)
    assert (Folder(folder).image(0) == (values // 256)[:, :, None]).all()
    path.unlink()
    Image.fromarray(values.astype(np.float32)).save(path.with_suffix(".tif"))
    with pytest.raises(DataError, match=r"one\.tif.*32 bits"):
        Folder(folder).image(0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_folder_turns_images_as_exif_says(folder: Path, orientation: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(folder / "dog" / "one.png", exif=exif)
    upright: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a),
    }
    data = Folder(folder)
    assert (data.image(1) == upright[orientation](pixels)).all()
    height, width = data.image(1).shape[:2]
    assert data.image_sizes[1].tolist() == [width, height]


@pytest.mark.parametrize("content", [b"", b"not an image", "cut"])
def test_folder_names_an_unreadable_file(folder: Path, content: bytes | str) -> None:
    path = folder / "dog" / "one.png"
    noise = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:1000] if content == "cut" else content)
    with pytest.raises(DataError, match=r"one\.png") as raised:
        Folder(folder).image(1)
    assert str(path) in str(raised.value)
    if content != "cut":  # the header of a cut file can still be read
        with pytest.raises(DataError, match=r"one\.png"):
            _ = Folder(folder).image_sizes


def test_folder_names_a_file_that_has_gone(folder: Path) -> None:
    data = Folder(folder)
    (folder / "dog" / "one.png").unlink()
    with pytest.raises(DataError, match=r"one\.png"):
        data.image(1)


def test_folder_takes_images_without_an_ending_and_with_a_wrong_one(folder: Path) -> None:
    content = (folder / "dog" / "one.png").read_bytes()
    (folder / "dog" / "IM0001").write_bytes(content)
    (folder / "dog" / "deep").mkdir()
    (folder / "dog" / "deep" / "two.JPG").write_bytes(content)
    (folder / "dog" / "README").write_text("no image, and no ending")
    (folder / "dog" / ".hidden.png").write_bytes(content)
    (folder / "dog" / ".cache").mkdir()
    (folder / "dog" / ".cache" / "three.png").write_bytes(content)
    data = Folder(folder)
    assert [file.name for file in data.files[1:]] == ["IM0001", "two.JPG", "one.png"]
    assert data.unreadable() == {} and all((data.image(i) == (255, 0, 0)).all() for i in (1, 2, 3))


def test_folder_does_not_follow_links_to_folders(folder: Path) -> None:
    (folder / "dog" / "loop").symlink_to(folder / "dog")
    assert len(Folder(folder)) == 2


def test_folder_refuses(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError, match="not a folder"):
        Folder(tmp_path / "missing")
    with pytest.raises(DataError, match="not a folder"):
        Folder(folder / "dog" / "one.png")
    (folder / "dog" / "one.png").unlink()
    (folder / "dog").rmdir()
    with pytest.raises(DataError, match="at least two classes, got 1"):
        Folder(folder)
    (folder / "cat" / "one.png").unlink()
    with pytest.raises(DataError, match="at least one image"):
        Folder(folder)


def test_folder_leaves_out_subfolders_without_images_and_names_them(folder: Path) -> None:
    assert Folder(folder).notes == ()
    (folder / "ant").mkdir()
    (folder / "__MACOSX" / "dog").mkdir(parents=True)
    (folder / "__MACOSX" / "dog" / "._one.png").write_bytes(b"x")
    data = Folder(folder)
    assert data.class_names == ("cat", "dog") and data.labels.tolist() == [0, 1]
    assert data.notes == ("Subfolders without an image are no classes: '__MACOSX', 'ant'.",)
    assert data.fingerprint() == Folder(folder).fingerprint()
    (folder / "dog" / "one.png").unlink()
    with pytest.raises(DataError, match=r"got 'cat' alone; without any: '__MACOSX', 'ant', 'dog'"):
        Folder(folder)
    (folder / "cat" / "one.png").unlink()
    with pytest.raises(DataError, match="at least one image"):
        Folder(folder)
