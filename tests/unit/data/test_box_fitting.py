"""Boxes turn as pixels do, for every orientation of EXIF; what was resized is told from what is another picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ravl_explore.data.box_fitting import fit_boxes, resized, turned
from ravl_explore.data.files import ImageFiles
from ravl_explore.data.reading import read_image, read_orientation
from ravl_explore.errors import DataError


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "webp"])
def test_a_box_frames_the_same_pixels_once_turned(tmp_path: Path, orientation: int, kind: str) -> None:
    pixels = np.zeros((6, 10), np.uint8)
    pixels[1:3, 4:9] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{kind}"
    Image.fromarray(pixels).save(path, exif=exif, lossless=True)
    assert read_orientation(path) == orientation
    x1, y1, x2, y2 = turned(np.array([[4, 1, 9, 3]]), np.array([10, 6]), orientation)[0].tolist()
    upright = read_image(path)[..., 0] > 128
    framed = np.zeros_like(upright)
    framed[y1:y2, x1:x2] = True
    assert (upright == framed).all()


@pytest.mark.parametrize(
    ("said", "size", "same"),
    [
        ((640, 480), (64, 48), True),
        ((640, 427), (320, 213), True),
        ((640, 427), (320, 214), True),
        ((64, 48), (640, 480), True),
        ((1000, 30), (333, 10), True),
        ((640, 480), (480, 640), False),
        ((640, 480), (224, 224), False),
        ((640, 480), (640, 460), False),
    ],
)
def test_what_counts_as_resized(said: tuple[int, int], size: tuple[int, int], same: bool) -> None:
    assert resized(np.array(said), np.array(size)) == same


def test_of_unreadable_pictures_boxes_stay_and_those_without_boxes_are_not_asked(tmp_path: Path) -> None:
    for i in range(2):
        Image.new("L", (40, 30)).save(tmp_path / f"{i}.png")
    data = ImageFiles([tmp_path / "0.png", tmp_path / "gone.png", tmp_path / "1.png"], [0, 1, 0], ["a", "b"])
    boxes, index = np.array([[-2.0, 0, 20, 99], [500, 500, 600, 600]]), np.array([0, 1])
    said = np.array([[40, 30], [640, 480], [7, 90]], float)
    fitted = fit_boxes(data, boxes, index, said)
    assert fitted.boxes.tolist() == [[0, 0, 20, 30], [500, 500, 600, 600]] and fitted.inside.all()
    assert fitted.n_cut == 1 and fitted.notes == []
    with pytest.raises(DataError, match="1 of other proportions"):
        fit_boxes(data, boxes[:1], np.array([2]), said)
    assert len(fit_boxes(data, np.zeros((0, 4)), np.zeros(0, int), said).boxes) == 0
