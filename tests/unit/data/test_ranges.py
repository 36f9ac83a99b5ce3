"""Images of a set share what their files do not tell, so that one grey of one detector is shown alike; it is told."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ravl_explore.data import Folder, Subset, Table, ranges, reading
from ravl_explore.data.lazy_images import LazyImages
from ravl_explore.data.reading import read_image
from ravl_explore.data.room import _Room

NAMES = ("cat", "dog")


def picture(largest: int, kind: str = "PNG") -> bytes:
    """Grey 2000 everywhere but for one pixel."""
    out = io.BytesIO()
    pixels = np.full((4, 4), 2000, np.uint16)
    pixels[0, 0] = largest
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


def lazy(contents: list[bytes]) -> LazyImages:
    return LazyImages(contents, [i % 2 for i in range(len(contents))], NAMES)


def test_two_pictures_of_one_detector_come_out_alike() -> None:
    data = lazy([picture(4000), picture(4200), picture(2000, "TIFF")])
    shown = [int(data.image(i)[3, 3, 0]) for i in range(3)]
    assert shown == [2000 >> 6] * 3, "also before anyone asked for the sizes"
    assert data.notes == (
        "Images of 16 bits, 3 in all, are shown at one depth, 14 bits, which the largest value needs "
        "(4200, in 'image 1').",
    )
    assert int(read_image(picture(4000))[3, 3, 0]) == 2000 >> 4, "alone, a picture has its own depth"


def test_every_source_of_files_shares_and_tells(tmp_path: Path) -> None:
    for name, largest in (("cat", 4000), ("dog", 60000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(picture(largest))
    (tmp_path / "t.csv").write_text("image,label\ncat/0.png,cat\ndog/0.png,dog\n")
    for data in (Folder(tmp_path), Table(tmp_path / "t.csv")):
        part = Subset(data, [0])
        assert int(part.image(0)[3, 3, 0]) == 2000 >> 8, "the depth of the whole set"
        assert "16 bits, which the largest value needs (60000, in" in part.notes[0] and part.notes == data.notes


def test_pictures_of_8_bits_say_nothing_and_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    Image.new("L", (2, 2)).save(out, "PNG")
    monkeypatch.setattr(ranges, "read_range", None)
    data = lazy([out.getvalue()] * 2)
    assert data.image(0).shape == (2, 2, 3) and len(data.image_sizes) == 2 and data.notes == ()


def test_many_readers_scan_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []
    original = ranges.read_range
    monkeypatch.setattr(ranges, "read_range", lambda source: read.append(source) or original(source))
    data = lazy([picture(1000 * i) for i in range(1, 9)])
    with ThreadPoolExecutor(8) as pool:
        shown = {int(image[3, 3, 0]) for image in pool.map(data.image, range(8))}
    assert shown == {2000 >> 6}, "8000 needs 14 bits"
    assert len(read) == 8 and len(data.notes) == 1


def test_an_image_that_is_read_before_the_scan_leaves_room_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ROOM", _Room(1))
    data = lazy([picture(4000), picture(4200)])
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(int(data.image(0)[3, 3, 0])), daemon=True)
    thread.start()
    thread.join(60)
    assert found == [2000 >> 6]


def test_of_many_some_are_looked_at_and_the_note_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "MOST_READ", 3)
    data = lazy([picture(4000), picture(60000), *[picture(4000)] * 5])
    assert int(data.image(1)[0, 0, 0]) == 255 and int(data.image(1)[3, 3, 0]) == 2000 >> 4
    assert "12 bits" in data.notes[0]
    assert "; 3 of them were looked at, and what is brighter in others is white." in data.notes[0]


def test_what_cannot_be_read_does_not_count() -> None:
    whole = picture(60000)
    data = lazy([picture(4000), whole[: len(whole) // 2], picture(3000)])
    assert int(data.image(0)[3, 3, 0]) == 2000 >> 4
