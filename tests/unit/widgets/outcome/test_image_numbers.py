"""Image numbers and boxes: what is spelled is read again, and what cannot be read is told."""

from __future__ import annotations

import numpy as np
import pytest

from ravl_explore.errors import InputError
from ravl_explore.widgets.outcome.image_numbers import parsed_box, parsed_images, spelled_box, spelled_images


def test_numbers_are_spelled_as_they_are_read() -> None:
    assert spelled_images([]) == "" and spelled_images([5, 6, 8, 8, 9]) == "5-6, 8, 8-9"
    for images in ([3], [0, 1, 2, 7], [7, 2], [5, 6, 8, 8, 9]):
        assert parsed_images(spelled_images(images), 10).tolist() == images
    assert parsed_images(" 1; 3 - 4 ", 5).tolist() == [1, 3, 4]


@pytest.mark.parametrize("text", ["", "1, x", "3-1", "12", "-1", "1-", "1.5"])
def test_numbers_that_cannot_be_read(text: str) -> None:
    with pytest.raises(InputError, match=r"image numbers such as|images from 0 to 11"):
        parsed_images(text, 12)


def test_boxes_are_spelled_as_they_are_read() -> None:
    box = [0.0, 2.5, 16.0, 32.0]
    read = parsed_box(spelled_box(np.array([box, box])))
    assert read is not None and read.tolist() == box
    assert parsed_box("  ") is None and spelled_box(None) == "" == spelled_box(np.array([box, [0, 0, 1, 1]]))
    assert spelled_box(np.zeros((0, 4))) == ""


@pytest.mark.parametrize("text", ["1, 2, 3", "a, 2, 3, 4", "nan, 2, 3, 4", "1, 2, 3, inf"])
def test_boxes_that_cannot_be_read(text: str) -> None:
    with pytest.raises(InputError, match="four numbers x1, y1, x2, y2"):
        parsed_box(text)
