"""Image files -> (height, width, 3) uint8 RGB, upright, whatever the file's ending says; medical images too.

What a file is, is decided by its first bytes. Rules that change what is seen:

- EXIF orientation is applied; of an animation or a file of many pages, the first picture is read.
- Transparent parts are laid on white, as a page shows them; black would hide dark drawings.
- Greys and colours of 16 bits are cut to 8 by the depth that they use, see :mod:`ravl_explore.data.deep`; DICOM without
  a window is shown over the range of its values, see :mod:`ravl_explore.data.dicom`. Both are facts of a detector: the
  images of a set share them, which :mod:`ravl_explore.data.ranges` finds; a picture that is read alone has its own.
- Signed values, floating-point ones and 32 bits a pixel have no such range, so they are refused.
- A picture takes less than 1 GB while it is read, see :mod:`ravl_explore.data.room`; larger ones are refused.
"""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from ravl_explore.data import deep, dicom
from ravl_explore.data.room import ROOM, check_size, strips
from ravl_explore.errors import DataError, RavlError

Source = str | Path | bytes
Range = tuple[float, float]

MAX_PIXELS = 2**29 // 3  # 512 MiB as RGB, and twice what Pillow warns of; a small file can unpack to more than memory
SUFFIXES = frozenset({
    ".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".pgm", ".ppm", ".pnm", ".jp2",
    ".avif", ".dcm", ".dicom",
})  # fmt: skip
ORIENTATION = 0x0112
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # EXIF orientation -> the upright picture as it is stored
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: np.rot90(upright.swapaxes(0, 1), 2),
    8: lambda upright: np.rot90(upright, -1),
}
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
DECODERS = {"WEBP": 4, "AVIF": 4, "JPEG2000": 5, "TIFF": 2}  # bytes a sample beside the picture, as measured
DEEP = "images of 16 bits"
HEAD = 132  # bytes that tell every format apart
FORMATS: tuple[tuple[tuple[bytes, ...], Callable[[IO[bytes]], Image.Image]], ...] = (
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
_warning_lock = threading.Lock()


@dataclass(frozen=True)
class Header:
    """What a file's header tells.

    Attributes
    ----------
    width, height : of the upright picture
    kind : of images whose range of values the file does not tell, such as "images of 16 bits"; "" where it does. The
        images of one kind in a set share their range
    """

    width: int
    height: int
    kind: str = ""


def read_image(
    source: Source, where: str = "", ranges: Callable[[str], Range | None] | None = None
) -> UInt8[np.ndarray, "height width 3"]:
    """Pixels of a file, or of a file's bytes; ``where`` names it in messages.

    ``ranges`` gives the range of values that the images of a kind (see :class:`Header`) share; where it gives none, the
    picture's own counts.

    Raises
    ------
    DataError
        When it is not there, empty, no image, cut short, damaged, too large, or of a kind without a fixed range.
    MissingDependencyError
        For DICOM without pydicom.
    """
    with _explaining(source, where), _opened(source) as file:
        head = _head(file)
        if dicom.is_dicom(head):
            return dicom.pixels(file, MAX_PIXELS, ranges)
        with _image(file, head) as image:
            is_deep = deep.is_deep(image)
            shared = ranges(DEEP) if is_deep and ranges is not None else None  # without room: it may read others
            with ROOM.take(image.width * image.height * _bytes_per_pixel(image)):
                return _deep_rgb(file, head, shared) if is_deep else _rgb(image)


def read_size(source: Source, where: str = "") -> tuple[int, int]:
    """Width and height as :func:`read_image` gives them, from the header alone. Raises as it does."""
    with _explaining(source, where):
        header = _header(source)
        return header.width, header.height


def read_range(source: Source) -> Range:
    """Least and largest value of a picture of a kind whose range its file does not tell. Raises as reading it does."""
    with _explaining(source, ""), _opened(source) as file:
        head = _head(file)
        if dicom.is_dicom(head):
            return dicom.value_range(file, MAX_PIXELS)
        with _image(file, head) as image, ROOM.take(image.width * image.height * _bytes_per_pixel(image)):
            return _deep_range(file, _deep(file, head))


def header_or_reason(source: Source) -> Header | str:
    """What the header tells; or, where it cannot be read, why, so that a scan goes on with the next file."""
    try:
        with _explaining(source, ""):
            return _header(source)
    except DataError as error:
        return reason_of(error)


def read_orientation(source: Source) -> int:
    """EXIF orientation, 1 (upright) to 8, by which :func:`read_image` turns a file. Raises as it does."""
    with _explaining(source, ""), _opened(source) as file:
        head = _head(file)
        if dicom.is_dicom(head):
            return 1
        with _image(file, head) as image:
            if isinstance(image, PngImagePlugin.PngImageFile) and _late_notes(file):
                _load(image)
            return _orientation(image)


def reason_of(error: DataError) -> str:
    """Why a file cannot be read, of what :func:`read_image` raised, without its name."""
    return _reason(error.__cause__ or error)


def is_image(path: Path, *, may_be_text: bool = False) -> bool:
    """Whether a file starts like an image that can be read, which no text does by its first words.

    Raises OSError when it is there and cannot be opened.

    Parameters
    ----------
    path : file
    may_be_text : whether its name is that of a text; it then also needs a byte 0, which texts do not have
    """
    try:
        with _opened(path) as file:
            head = file.read(NETPBM_HEAD)
    except (_NoFile, FileNotFoundError):
        return False
    if may_be_text and b"\0" not in head:
        return False
    opener = _opener(head)
    if opener is PpmImagePlugin.PpmImageFile:
        return NETPBM.match(head) is not None
    if opener is BmpImagePlugin.BmpImageFile:
        return head[6:10] == bytes(4) and int.from_bytes(head[14:18], "little") in BMP_SIZES
    return dicom.is_dicom(head) or opener is not None


def _header(source: Source) -> Header:
    with _opened(source) as file:
        head = _head(file)
        if dicom.is_dicom(head):
            return Header(*dicom.header(file, MAX_PIXELS))
        with _image(file, head) as image:
            kind = DEEP if deep.is_deep(image) else ""
            if isinstance(image, PngImagePlugin.PngImageFile) and _late_notes(file):
                with ROOM.take(image.width * image.height * _bytes_per_pixel(image)):
                    _load(image)
            width, height = image.size
            return Header(height, width, kind) if _orientation(image) in SIDEWAYS else Header(width, height, kind)


class _NoFile(ValueError):
    """A named pipe, a socket or a device, which may never answer."""


@contextmanager
def _opened(source: Source) -> Iterator[IO[bytes]]:
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


def _head(file: IO[bytes]) -> bytes:
    head = file.read(HEAD)
    file.seek(0)
    if not head:
        raise ValueError("an empty file, 0 bytes")
    return head


def _opener(head: bytes) -> Callable[[IO[bytes]], Image.Image] | None:
    for starts, opener in FORMATS:
        if head.startswith(starts) and (not head.startswith(b"RIFF") or head[8:12] == b"WEBP"):
            return opener
    return AvifImagePlugin.AvifImageFile if head[4:12] in (b"ftypavif", b"ftypavis") else None


def _image(file: IO[bytes], head: bytes) -> Image.Image:
    """Open without Image.open, which would warn of every large image, and try decoders that run other programs."""
    opener = _opener(head)
    if opener is None:
        if head[4:8] == b"ftyp" and head[8:11] in (b"hei", b"hev", b"mif"):
            raise ValueError("HEIC, which is not read: convert it to JPEG")
        raise ValueError("not an image: it starts like none of the formats that are read")
    image = opener(file)
    check_size(*image.size, _bytes_per_pixel(image), MAX_PIXELS)
    return image


def _bytes_per_pixel(image: Image.Image) -> int:
    """What reading takes at most: the picture as Pillow holds it, what its decoder needs, and what becomes of it."""
    n_samples = len(image.getbands())
    held = 1 if image.mode in ("1", "L", "P") else 2 if image.mode.startswith("I;16") else 4
    made = 3
    if deep.is_deep(image):
        made = 9 if n_samples == 1 else 32 if image.format == "PPM" else 14 if n_samples == 3 else 18
    decoder = DECODERS.get(image.format or "", 0) * n_samples
    if image.info.get("progressive"):  # a JPEG whose coefficients are collected first
        decoder = 2 * n_samples
    return held + max(made, decoder)


def _load(image: Image.Image) -> None:
    if image.width * image.height <= (Image.MAX_IMAGE_PIXELS or MAX_PIXELS):
        image.load()
        return
    with _warning_lock, warnings.catch_warnings():  # some decoders warn of size themselves; it was checked
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image.load()


def _orientation(image: Image.Image) -> int:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return 1  # Pillow turns these itself
    try:
        return int(Image.Image.getexif(image).get(ORIENTATION, 1))  # PngImageFile's own would decode all pixels first
    except Exception:  # a damaged note does not spoil the picture
        return 1


def _late_notes(file: IO[bytes]) -> bool:
    """Whether a PNG holds notes after its pixels, where ExifTool writes the orientation."""
    place, seen_pixels = file.tell(), False
    file.seek(8)
    try:
        while len(start := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", start)
            if kind == b"IEND":
                return False
            seen_pixels |= kind == b"IDAT"
            if seen_pixels and kind in (b"eXIf", b"iTXt", b"tEXt", b"zTXt"):
                return True
            file.seek(length + 4, os.SEEK_CUR)
        return False
    finally:
        file.seek(place)


def _rgb(image: Image.Image) -> np.ndarray:
    """A strip at a time, since a whole picture in RGBA, and another to lay it on, would take gigabytes."""
    deep.check_range(image)
    shift = 4 if deep.raw_mode(image) == "I;12" else 8  # other greys of known depth Pillow spreads to 16 bits
    n_bits = deep.jpeg_2000_bits(image)
    _load(image)
    upright, stored = _upright(image, image.height, image.width)
    for rows in strips(image.height, image.width):
        stored[rows] = _strip(image.crop((0, rows.start, image.width, rows.stop)), shift)
    deep.check_upper(n_bits, upright)
    return upright


def _strip(strip: Image.Image, shift: int) -> np.ndarray:
    if strip.mode.startswith("I"):
        return (np.asarray(strip) >> shift).astype(np.uint8)[:, :, None]
    if strip.has_transparency_data:
        over = strip.convert("RGBA")
        strip = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return np.asarray(strip.convert("RGB"))


def _deep_rgb(file: IO[bytes], head: bytes, shared: Range | None) -> np.ndarray:
    picture = _deep(file, head)
    height, width = picture.values.shape[:2]
    depth = deep.depth_of(int((shared or _deep_range(file, picture))[1]))
    upright, stored = _upright(picture.image, height, width)
    for rows in strips(height, width):
        stored[rows] = picture.shown(rows, depth)
    return upright


def _deep(file: IO[bytes], head: bytes) -> deep.Deep:
    def open_again() -> Image.Image:
        file.seek(0)
        return _image(file, head)

    return deep.read_deep(open_again, _load)


def _deep_range(file: IO[bytes], picture: deep.Deep) -> Range:
    """From 0 to the largest value of the picture, or to what its file says that it may hold."""
    declared = deep.significant_bits(file) if isinstance(picture.image, PngImagePlugin.PngImageFile) else 0
    return 0, max(int(deep.colors_of(picture.values).max(initial=0)), 2**declared - 1)


def _upright(image: Image.Image, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The upright picture, to be filled, and a view of it as the file stores it."""
    orientation = _orientation(image)
    size = (width, height) if orientation in SIDEWAYS else (height, width)
    upright = np.empty((*size, 3), np.uint8)
    return upright, STORED.get(orientation, np.asarray)(upright)


@contextmanager
def _explaining(source: Source, where: str) -> Iterator[None]:
    """Turn whatever a decoder raises on a damaged file into a DataError that names it."""
    try:
        yield
    except RavlError:
        raise
    except Exception as error:
        name = where or ("an image in memory" if isinstance(source, bytes) else repr(str(source)))
        raise DataError(
            "a readable image file", f"{name} ({_reason(error)})", "Mend or remove it, then run again."
        ) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, SyntaxError) and error.msg == "unknown pixel mode":
        return "a TIFF whose samples are of a kind that is not read: save it with 8 or 16 unsigned bits"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
