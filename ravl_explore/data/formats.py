"""What a file is by its first bytes, whatever its name says; and opening one, but none that may never answer."""

from __future__ import annotations

import io
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from ravl_explore.data import dicom

Source = str | Path | bytes


class Sources(Protocol):
    """Where images are read from: a list of files or their contents, or anything that gives one at a time."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Source: ...


SUFFIXES = frozenset({
    ".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".pgm", ".ppm", ".pnm", ".jp2",
    ".avif", ".dcm", ".dicom",
})  # fmt: skip
HEAD = 132  # bytes that tell every format apart
FORMATS: tuple[tuple[tuple[bytes, ...], Callable[[BinaryIO], ImageFile.ImageFile]], ...] = (
    ((b"\xff\xd8\xff",), JpegImagePlugin.JpegImageFile),
    ((b"\x89PNG\r\n\x1a\n",), PngImagePlugin.PngImageFile),
    ((b"GIF87a", b"GIF89a"), GifImagePlugin.GifImageFile),
    ((b"BM",), BmpImagePlugin.BmpImageFile),
    ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), TiffImagePlugin.TiffImageFile),
    ((b"RIFF",), WebPImagePlugin.WebPImageFile),
    ((b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"), PpmImagePlugin.PpmImageFile),
    ((b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"), Jpeg2KImagePlugin.Jpeg2KImageFile),
)
NETPBM = re.compile(  # its kind, then width, height and (but for black and white) the largest value, among comments
    rb"(?:P[14](?:\s+(?:#[^\r\n]*[\r\n]\s*)*\d+){2}|P[2356](?:\s+(?:#[^\r\n]*[\r\n]\s*)*\d+){3})\s"
)
NETPBM_HEAD = 1024  # with comments
BMP_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})  # bytes of the second header of each version


class _NoFile(ValueError):
    """A named pipe, a socket or a device, which may never answer."""


def is_image(path: Path, *, may_be_text: bool = False) -> bool:
    """Whether a file starts like an image that can be read, which no text does by its first words.

    Raises OSError when it is there and cannot be opened.

    Parameters
    ----------
    path : Path
        Of the file.
    may_be_text : bool
        Whether its name is that of a text; it then also needs a byte 0, which texts do not have.
    """
    try:
        with opened(path) as file:
            head = file.read(NETPBM_HEAD)
    except (_NoFile, FileNotFoundError):
        return False
    if may_be_text and b"\0" not in head:
        return False
    opener = opener_of(head)
    if opener is PpmImagePlugin.PpmImageFile:
        return NETPBM.match(head) is not None
    if opener is BmpImagePlugin.BmpImageFile:
        return head[6:10] == bytes(4) and int.from_bytes(head[14:18], "little") in BMP_SIZES
    return dicom.is_dicom(head) or opener is not None


@contextmanager
def opened(source: Source) -> Iterator[BinaryIO]:
    """A file to read from, closed after use; ValueError for a folder, a named pipe, a socket or a device.

    Parameters
    ----------
    source : str, Path or bytes
        The file, or its content.
    """
    if isinstance(source, bytes):
        with io.BytesIO(source) as file:
            yield file
        return
    mode = Path(source).stat().st_mode
    if stat.S_ISDIR(mode):
        raise _NoFile("a folder, not a file")
    if not stat.S_ISREG(mode):
        kind = "named pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"
        raise _NoFile(f"a {kind}, not a file")
    with Path(source).open("rb") as file:
        yield file


def head_of(file: BinaryIO) -> bytes:
    """The first bytes of a file, which then stands at its start again; ValueError for an empty one.

    Parameters
    ----------
    file : BinaryIO
    """
    head = file.read(HEAD)
    file.seek(0)
    if not head:
        raise ValueError("an empty file, 0 bytes")
    return head


def opener_of(head: bytes) -> Callable[[BinaryIO], ImageFile.ImageFile] | None:
    """What opens a file that starts so, for Pillow; None for DICOM, and for what is no image.

    Parameters
    ----------
    head : bytes
        As :func:`head_of` gives it.
    """
    for starts, opener in FORMATS:
        if head.startswith(starts) and (not head.startswith(b"RIFF") or head[8:12] == b"WEBP"):
            return opener
    return AvifImagePlugin.AvifImageFile if head[4:12] in (b"ftypavif", b"ftypavis") else None
