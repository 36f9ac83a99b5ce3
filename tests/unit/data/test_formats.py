"""A file is told by its first bytes, and one that may never answer is not opened."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin, WebPImagePlugin

from ravl_explore.data.formats import SUFFIXES, head_of, is_image, opened, opener_of


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (3, 2)).save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("source", [b"some bytes", "file"])
def test_a_file_and_its_content_are_read_alike_and_closed(tmp_path: Path, source: Any) -> None:
    if source == "file":
        source = tmp_path / "file"
        source.write_bytes(b"some bytes")
    with opened(source) as file:
        assert file.read() == b"some bytes"
    assert file.closed


def test_a_folder_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a folder, not a file"), opened(tmp_path):
        pass


def test_the_head_leaves_the_file_at_its_start() -> None:
    file = io.BytesIO(bytes(range(200)))
    assert head_of(file) == bytes(range(132)) and file.tell() == 0
    with pytest.raises(ValueError, match="an empty file, 0 bytes"):
        head_of(io.BytesIO())


def test_what_opens_a_file_is_told_by_its_first_bytes() -> None:
    assert opener_of(picture("PNG")) is PngImagePlugin.PngImageFile
    assert opener_of(picture("WEBP")) is WebPImagePlugin.WebPImageFile
    assert opener_of(b"RIFF\0\0\0\0WAVEfmt ") is None, "sounds are RIFF, too"
    assert opener_of(b"id,label\n") is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"P5 3 2 255\n......", True),
        (b"P5 # a comment\n3 2\n255\n......", True),
        (b"P5 is the fifth paragraph", False),
        (b"BM was here, and wrote a long enough sentence", False),
        (b"", False),
        (b"id,label\n", False),
    ],
)
def test_no_text_is_an_image_by_its_first_words(tmp_path: Path, content: bytes, expected: bool) -> None:
    path = tmp_path / "words"
    path.write_bytes(content)
    assert is_image(path) == expected


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "JPEG", "PPM", "WEBP"])
def test_a_picture_is_an_image_whatever_its_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(picture(kind))
    assert is_image(path) and is_image(path, may_be_text=True)


def test_what_is_called_a_text_needs_more_than_first_words(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"GIF87a,label\na.gif,cat\n")
    assert is_image(path) and not is_image(path, may_be_text=True)


def test_what_is_not_there_is_no_image(tmp_path: Path) -> None:
    assert not is_image(tmp_path / "gone.png")


def test_endings_are_lower_case_with_their_dot() -> None:
    assert all(each == each.lower() and each.startswith(".") for each in SUFFIXES) and ".png" in SUFFIXES
