"""Image files -> (height, width, 3) uint8 RGB, upright, whatever the file's ending says; medical images too.

What a file is, is decided by its first bytes. Rules that change what is seen:

- EXIF orientation is applied; of an animation or a file of many pages, the first picture is read.
- Transparent parts are laid on white, as a page shows them; black would hide dark drawings.
- Greys of 16 bits are cut to 8 by the depth that they use: 8, 10, 12, 14 or 16 bits, the smallest that holds the
  largest value. Detectors write 10, 12 or 14 bits into 16, and taking the upper 8 of 16 would leave those nearly black;
  stretching each image to its own range would make the brightness of two images of one detector incomparable.
- 32 bits a pixel have no such range, so they are refused. DICOM: see :mod:`ravl_explore.data.dicom`.
"""

from __future__ import annotations

import io
import os
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

from ravl_explore.data import dicom
from ravl_explore.errors import DataError, RavlError

Source = str | Path | bytes

MAX_PIXELS = 2**29 // 3  # 512 MiB as RGB, and twice what Pillow warns of; a small file can unpack to more than memory
SUFFIXES = frozenset({
    ".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".pgm", ".ppm", ".pnm", ".jp2",
    ".avif", ".dcm", ".dicom",
})  # fmt: skip
DEPTHS = (8, 10, 12, 14, 16)  # bits that detectors use
ORIENTATION = 0x0112
TURNS = {  # EXIF orientation -> what brings the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
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
_warning_lock = threading.Lock()


def read_image(source: Source, where: str = "") -> UInt8[np.ndarray, "height width 3"]:
    """Pixels of a file, or of a file's bytes; ``where`` names it in messages.

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
            return dicom.pixels(file, MAX_PIXELS)
        with _image(file, head) as image:
            _load(image)
            turn = TURNS.get(_orientation(image))
            return _rgb(image if turn is None else image.transpose(turn), image.format or "")


def read_size(source: Source, where: str = "") -> tuple[int, int]:
    """Width and height as :func:`read_image` gives them, from the header alone. Raises as it does."""
    with _explaining(source, where):
        return _size(source)


def size_or_reason(source: Source) -> tuple[int, int] | str:
    """Width and height; or, for a file whose header cannot be read, why, so that a scan goes on with the next."""
    try:
        return read_size(source)
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


def is_image(path: Path) -> bool:
    """Whether a file starts like an image that can be read."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    return dicom.is_dicom(head) or _opener(head) is not None


def _size(source: Source) -> tuple[int, int]:
    with _opened(source) as file:
        head = _head(file)
        if dicom.is_dicom(head):
            return dicom.size(file, MAX_PIXELS)
        with _image(file, head) as image:
            if isinstance(image, PngImagePlugin.PngImageFile) and _late_notes(file):
                _load(image)
            width, height = image.size
            return (height, width) if _orientation(image) in (5, 6, 7, 8) else (width, height)


@contextmanager
def _opened(source: Source) -> Iterator[IO[bytes]]:
    with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
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
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} x {height} pixels, more than the {MAX_PIXELS:,} that are read: shrink it")
    return image


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


def _rgb(image: Image.Image, kind: str) -> np.ndarray:
    if image.mode.startswith("I;16"):
        return _gray16(np.asarray(image))
    if image.mode == "I" and kind == "PPM":  # Pillow spreads all above 8 bits to 16
        return _repeated((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode}: 32 bits a pixel, of unknown range: save it with 8 or 16")
    if image.has_transparency_data:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return np.array(image.convert("RGB"))


def _gray16(values: np.ndarray) -> np.ndarray:
    top = int(values.max(initial=0)).bit_length()
    depth = next(bits for bits in DEPTHS if top <= bits)
    return _repeated((values >> (depth - 8)).astype(np.uint8))


def _repeated(gray: np.ndarray) -> np.ndarray:
    return np.repeat(gray[:, :, None], 3, axis=2)


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
    if isinstance(error, IsADirectoryError):
        return "a folder, not a file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
