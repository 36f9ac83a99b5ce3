"""A picture that EXIF turns is filled as its file stores it and seen upright; see also test_reading.py."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ravl_explore.data.orientation import SIDEWAYS, has_late_notes, orientation_of, upright_of

STORED = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
FIRST = {1: (0, 0), 2: (0, 2), 3: (1, 2), 4: (1, 0), 5: (0, 0), 6: (1, 0), 7: (1, 2), 8: (0, 2)}  # stored, shown first


def opened(orientation: int, kind: str = "PNG") -> Any:
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    Image.fromarray(STORED).save(out, kind, exif=exif)
    return Image.open(io.BytesIO(out.getvalue()))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_stored_picture_is_a_view_of_the_upright_one(orientation: int) -> None:
    image = opened(orientation)
    assert orientation_of(image) == orientation
    upright, stored = upright_of(image, 2, 3)
    assert upright.shape == ((3, 2, 3) if orientation in SIDEWAYS else (2, 3, 3)) and stored.shape == (2, 3, 3)
    stored[:] = STORED
    assert upright[0, 0].tolist() == STORED[FIRST[orientation]].tolist()
    assert sorted(upright.ravel().tolist()) == sorted(STORED.ravel().tolist()), "every pixel once"


def test_tiffs_are_turned_already() -> None:
    assert orientation_of(opened(6, "TIFF")) == 1


@pytest.mark.parametrize(("late", "expected"), [(False, False), (True, True)])
def test_notes_after_the_pixels_are_seen(late: bool, expected: bool) -> None:
    out = io.BytesIO()
    Image.fromarray(STORED).save(out, "PNG")
    content = out.getvalue()
    end = content.index(b"IEND") - 4
    note = b"\0\0\0\x01tEXtx\0\0\0\0"
    file = io.BytesIO(content[:end] + note + content[end:] if late else content[:33] + note + content[33:])
    file.seek(5)
    assert has_late_notes(file) == expected and file.tell() == 5
