"""Image files -> (height, width, 3) uint8 RGB, upright, whatever the file's ending says; medical images too.

What a file is, is decided by its first bytes. Rules that change what is seen:

- EXIF orientation is applied; of an animation or a file of many pages, the first picture is read.
- Transparent parts are laid on white, as a page shows them; black would hide dark drawings.
- Greys and colours of 16 bits are cut to 8 by the depth that they use, see :mod:`ravl_explore.data.depth`; DICOM
  without a window is shown over the range of its values, see :mod:`ravl_explore.data.dicom`. Both are facts of a
  detector: the images of a set share them, which :mod:`ravl_explore.data.ranges` finds; a picture that is read alone
  has its own.
- Signed values, floating-point ones and 32 bits a pixel have no such range, so they are refused.
- A picture takes less than 1 GB while it is read, see :mod:`ravl_explore.data.room`; larger ones are refused.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile, PngImagePlugin

from ravl_explore.data import deep, dicom
from ravl_explore.data.depth import colors_of, depth_of
from ravl_explore.data.formats import Source, head_of, opened, opener_of
from ravl_explore.data.orientation import SIDEWAYS, has_late_notes, orientation_of, upright_of
from ravl_explore.data.room import ROOM, check_size, strips
from ravl_explore.errors import DataError, RavlError

Range = tuple[float, float]

MAX_PIXELS = 2**29 // 3  # 512 MiB as RGB, and twice what Pillow warns of; a small file can unpack to more than memory
DECODERS = {"WEBP": 4, "AVIF": 4, "JPEG2000": 5, "TIFF": 2}  # bytes a sample beside the picture, as measured
DEEP = "images of 16 bits"
_warning_lock = threading.Lock()


@dataclass(frozen=True)
class Header:
    """What a file's header tells.

    Attributes
    ----------
    width : int
        Of the upright picture, in pixels.
    height : int
        Of the upright picture, in pixels.
    kind : str
        Of images whose range of values the file does not tell, such as "images of 16 bits"; "" where it does. The
        images of one kind in a set share their range.
    """

    width: int
    height: int
    kind: str = ""


def read_image(
    source: Source, where: str = "", ranges: Callable[[str], Range | None] | None = None
) -> UInt8[np.ndarray, "height width 3"]:
    """Pixels of a file, or of a file's bytes.

    Parameters
    ----------
    source : str, Path or bytes
        The file, or its content.
    where : str
        Names it in messages; its path unless given.
    ranges : callable, str -> (float, float) or None
        Gives the range of values that the images of a kind (see :class:`Header`) share; where it gives none, the
        picture's own counts.

    Raises
    ------
    DataError
        When it is not there, empty, no image, cut short, damaged, too large, or of a kind without a fixed range.
    MissingDependencyError
        For DICOM without pydicom.
    """
    with _explaining(source, where), opened(source) as file:
        head = head_of(file)
        if dicom.is_dicom(head):
            return dicom.pixels(file, MAX_PIXELS, ranges)
        with _image(file, head) as image:
            is_deep = deep.is_deep(image)
            shared = ranges(DEEP) if is_deep and ranges is not None else None  # without room: it may read others
            with ROOM.take(image.width * image.height * _bytes_per_pixel(image)):
                return _deep_rgb(file, head, shared) if is_deep else _rgb(image)


def read_size(source: Source, where: str = "") -> tuple[int, int]:
    """Width and height as :func:`read_image` gives them, from the header alone. Raises as it does.

    Parameters
    ----------
    source : str, Path or bytes
        The file, or its content.
    where : str
        Names it in messages; its path unless given.
    """
    with _explaining(source, where):
        header = _header(source)
        return header.width, header.height


def read_range(source: Source) -> Range:
    """Least and largest value of a picture of a kind whose range its file does not tell. Raises as reading it does.

    Parameters
    ----------
    source : str, Path or bytes
        The file, or its content.
    """
    with _explaining(source, ""), opened(source) as file:
        head = head_of(file)
        if dicom.is_dicom(head):
            return dicom.value_range(file, MAX_PIXELS)
        with _image(file, head) as image, ROOM.take(image.width * image.height * _bytes_per_pixel(image)):
            return _deep_range(file, _deep(file, head))


def header_or_reason(source: Source) -> Header | str:
    """What the header tells; or, where it cannot be read, why, so that a scan goes on with the next file.

    Parameters
    ----------
    source : str, Path or bytes
        The file, or its content.
    """
    try:
        with _explaining(source, ""):
            return _header(source)
    except DataError as error:
        return reason_of(error)


def read_orientation(source: Source) -> int:
    """EXIF orientation, 1 (upright) to 8, by which :func:`read_image` turns a file. Raises as it does.

    Parameters
    ----------
    source : str, Path or bytes
        The file, or its content.
    """
    with _explaining(source, ""), opened(source) as file:
        head = head_of(file)
        if dicom.is_dicom(head):
            return 1
        with _image(file, head) as image:
            if isinstance(image, PngImagePlugin.PngImageFile) and has_late_notes(file):
                _load(image)
            return orientation_of(image)


def reason_of(error: DataError) -> str:
    """Why a file cannot be read, of what :func:`read_image` raised, without its name.

    Parameters
    ----------
    error : DataError
    """
    return _reason(error.__cause__ or error)


def _header(source: Source) -> Header:
    with opened(source) as file:
        head = head_of(file)
        if dicom.is_dicom(head):
            return Header(*dicom.header(file, MAX_PIXELS))
        with _image(file, head) as image:
            kind = DEEP if deep.is_deep(image) else ""
            if isinstance(image, PngImagePlugin.PngImageFile) and has_late_notes(file):
                with ROOM.take(image.width * image.height * _bytes_per_pixel(image)):
                    _load(image)
            width, height = image.size
            return Header(height, width, kind) if orientation_of(image) in SIDEWAYS else Header(width, height, kind)


def _image(file: BinaryIO, head: bytes) -> ImageFile.ImageFile:
    """Open without Image.open, which would warn of every large image, and try decoders that run other programs."""
    opener = opener_of(head)
    if opener is None:
        if head[4:8] == b"ftyp" and head[8:11] in (b"hei", b"hev", b"mif"):
            raise ValueError("HEIC, which is not read: convert it to JPEG")
        raise ValueError("not an image: it starts like none of the formats that are read")
    image = opener(file)
    check_size(*image.size, _bytes_per_pixel(image), MAX_PIXELS)
    return image


def _bytes_per_pixel(image: ImageFile.ImageFile) -> int:
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


def _rgb(image: ImageFile.ImageFile) -> np.ndarray:
    """A strip at a time, since a whole picture in RGBA, and another to lay it on, would take gigabytes."""
    deep.check_range(image)
    shift = 4 if deep.raw_mode(image) == "I;12" else 8  # other greys of known depth Pillow spreads to 16 bits
    n_bits = deep.jpeg_2000_bits(image)
    _load(image)
    upright, stored = upright_of(image, image.height, image.width)
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


def _deep_rgb(file: BinaryIO, head: bytes, shared: Range | None) -> np.ndarray:
    picture = _deep(file, head)
    height, width = picture.values.shape[:2]
    depth = depth_of(int((shared or _deep_range(file, picture))[1]))
    upright, stored = upright_of(picture.image, height, width)
    for rows in strips(height, width):
        stored[rows] = picture.shown(rows, depth)
    return upright


def _deep(file: BinaryIO, head: bytes) -> deep.Deep:
    def open_again() -> ImageFile.ImageFile:
        file.seek(0)
        return _image(file, head)

    return deep.read_deep(open_again, _load)


def _deep_range(file: BinaryIO, picture: deep.Deep) -> Range:
    """From 0 to the largest value of the picture, or to what its file says that it may hold."""
    declared = deep.significant_bits(file) if isinstance(picture.image, PngImagePlugin.PngImageFile) else 0
    return 0, max(int(colors_of(picture.values).max(initial=0)), 2**declared - 1)


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
