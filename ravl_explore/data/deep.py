"""Pictures of more than 8 bits a sample: all their bits, which Pillow keeps for greys alone, and how they are seen.

How many of the bits count, :mod:`ravl_explore.data.depth` tells.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, Jpeg2KImagePlugin, PngImagePlugin, PpmImagePlugin, TiffImagePlugin

from ravl_explore.data.depth import colors_of, depth_of, on_white, opacity, to_8_bits

FULL = 65535
SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
SIGNED, FLOAT = 2, 3  # SampleFormat of TIFF
BITS_PER_SAMPLE, PHOTOMETRIC, PLANAR, SAMPLE_FORMAT = 258, 262, 284, 339


@dataclass(frozen=True, eq=False)
class Deep:
    """A picture with all its bits.

    Attributes
    ----------
    values : UInt16[np.ndarray, "height width"] or UInt16[np.ndarray, "height width n_channels"]
        Grey, or grey and alpha, RGB, or RGBA.
    image : ImageFile.ImageFile
        The same as Pillow loaded it, for its notes.
    premultiplied : bool
        Whether the colours are stored as they show through their alpha.
    """

    values: np.ndarray
    image: ImageFile.ImageFile
    premultiplied: bool = False

    def shown(self, rows: slice, depth: int) -> np.ndarray:
        """Some rows as they are seen: (rows, width, 1 or 3) uint8.

        Parameters
        ----------
        rows : slice
            Of the stored picture.
        depth : int
            Bits that its set uses, of :data:`~ravl_explore.data.depth.DEPTHS`.
        """
        values = self.values[rows]
        color = values[..., None] if values.ndim == 2 else colors_of(values)
        seen = to_8_bits(color, depth)
        if isinstance(self.image, TiffImagePlugin.TiffImageFile) and self.image.tag_v2.get(PHOTOMETRIC) == 0:
            seen = 255 - seen  # 0 is white, which Pillow does not know of 16 bits
        key = self.image.info.get("transparency")
        if key is not None:
            seen[(color == key).all(-1)] = 255
        if values.ndim == 3 and values.shape[2] in (2, 4):
            return on_white(seen, opacity(values[..., -1], depth), self.premultiplied)
        return seen


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether a picture that is not loaded yet has 16 bits a sample of which nothing says how many are used.

    Not among them: CMYK, whose light inks are no sign of few bits, and JPEG 2000 in colour, see :func:`check_upper`.

    Parameters
    ----------
    image : ImageFile.ImageFile
        As Pillow opened it.
    """
    raw = raw_mode(image)
    if isinstance(image, PpmImagePlugin.PpmImageFile):
        return raw == "I;16B" or _ppm_maximum(image) == FULL
    if isinstance(image, Jpeg2KImagePlugin.Jpeg2KImageFile):
        return image.mode == "I;16" and jpeg_2000_bits(image) == 16  # of fewer, Pillow makes 16
    pngs_and_tiffs = (PngImagePlugin.PngImageFile, TiffImagePlugin.TiffImageFile)
    return ";16" in raw and image.mode != "I" and not raw.startswith("CMYK") and isinstance(image, pngs_and_tiffs)


def raw_mode(image: ImageFile.ImageFile) -> str:
    """Pillow's name for how the samples are stored; it leaves the depth out of TIFFs with a plane a colour.

    Parameters
    ----------
    image : ImageFile.ImageFile
        As Pillow opened it.
    """
    raw = _raw(image.tile[0]) if image.tile else ""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or raw not in ("R", "G", "B", "A"):
        return raw
    if set(image.tag_v2.get(BITS_PER_SAMPLE, ())) != {16}:
        return raw
    return f"{raw};16{'L' if image.tag_v2.prefix == b'II' else 'B'}"


def jpeg_2000_bits(image: ImageFile.ImageFile) -> int:
    """Bits a sample of a JPEG 2000, as its codestream says (ISO 15444-1, A.5.1); 0 for other pictures.

    Parameters
    ----------
    image : ImageFile.ImageFile
        As Pillow opened it.
    """
    if not isinstance(image, Jpeg2KImagePlugin.Jpeg2KImageFile):
        return 0
    file = image.fp
    assert file is not None, "it is open"
    place = file.tell()
    file.seek(0)
    start = file.read(2**16)
    file.seek(place)
    head = start.find(b"\xff\x4f\xff\x51")
    return (start[head + 42] & 0x7F) + 1 if head >= 0 and len(start) > head + 42 else 0


def check_upper(n_bits: int, shown: np.ndarray) -> None:
    """Raise ValueError for a JPEG 2000 in colour of 16 bits, of which Pillow gives 8, when these are nearly black.

    Parameters
    ----------
    n_bits : int
        Of the file, as :func:`jpeg_2000_bits` gives them.
    shown : UInt8[np.ndarray, "height width 3"]
        The picture in 8 bits.
    """
    if n_bits == 16:
        _check_upper(int(shown.max(initial=0)) << 8, "colour of 16 bits in JPEG 2000", "save it as PNG or TIFF")


def check_range(image: ImageFile.ImageFile) -> None:
    """Raise ValueError for samples of which nothing says which is black and which is white.

    Parameters
    ----------
    image : ImageFile.ImageFile
        As Pillow opened it.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        formats, bits = (image.tag_v2.get(tag) or (1,) for tag in (SAMPLE_FORMAT, BITS_PER_SAMPLE))
        kind = {SIGNED: "signed", FLOAT: "floating-point"}.get(formats[0], "unsigned")
        if kind != "unsigned" or bits[0] > 16:
            raise ValueError(f"{kind} values of {bits[0]} bits, of unknown range: save it with 8 or 16 unsigned bits")
    elif image.mode == "F":
        raise ValueError("floating-point values, of unknown range: save it with 8 or 16 unsigned bits")


def read_deep(open_again: Callable[[], ImageFile.ImageFile], load: Callable[[Image.Image], None]) -> Deep:
    """All bits of a picture for which :func:`is_deep` holds; opened twice where Pillow gives 8 of them at a time.

    Parameters
    ----------
    open_again : callable, () -> ImageFile.ImageFile
        Opens the file from its start.
    load : callable, Image.Image -> None
        Decodes an opened picture.
    """
    image = open_again()
    raw = raw_mode(image)
    if isinstance(image, PpmImagePlugin.PpmImageFile):
        return Deep(_ppm_samples(image, load), image)
    if image.mode.startswith("I;"):
        load(image)
        return Deep(np.asarray(image).astype(np.uint16, copy=False), image)
    if raw.startswith("LA;"):  # two samples of two bytes are as long as RGBA
        image.tile = [_with_raw(tile, "RGBA") for tile in image.tile]
        load(image)
        return Deep(np.asarray(image).view(">u2"), image)
    is_tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
    upper_only = is_tiff and image.tile[0][0] == "libtiff" and image.tag_v2.get(PLANAR) == 2  # planes, one byte order
    _set_raw_modes(image, swapped=False)
    load(image)
    found = np.asarray(image).astype(np.uint16)
    found <<= 8
    if upper_only:
        _check_upper(
            int(colors_of(found).max(initial=0)), "compressed planes of 16 bits", "save it without compression"
        )
        return Deep(found, image, raw.startswith("RGBa"))
    image = open_again()
    _set_raw_modes(image, swapped=True)
    load(image)  # in the other byte order, what Pillow takes for the upper byte is the lower one
    found |= np.asarray(image)
    return Deep(found, image, raw.startswith("RGBa"))


def significant_bits(file: BinaryIO) -> int:
    """What a PNG says of its depth (sBIT), 0 where it says nothing.

    Parameters
    ----------
    file : BinaryIO
        Stands afterwards where it stood.
    """
    place = file.tell()
    file.seek(8)
    try:
        while len(start := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", start)
            if kind == b"sBIT":
                return min(max(file.read(min(length, 3)), default=0), 16)
            if kind in (b"IDAT", b"IEND"):
                return 0
            file.seek(length + 4, 1)
        return 0
    finally:
        file.seek(place)


def _check_upper(largest: int, what: str, remedy: str) -> None:
    """Raise ValueError when the upper 8 of 16 bits, all that is known, are not those that are used."""
    if depth_of(largest) < 16:
        raise ValueError(f"{what} that uses few of them, of which the upper 8 alone can be read: {remedy}")


def _raw(tile: ImageFile._Tile) -> str:
    args = tile.args
    return str(args[0] if isinstance(args, tuple) else args)


def _with_raw(tile: ImageFile._Tile, raw: str) -> ImageFile._Tile:
    args = tile.args
    return tile._replace(args=(raw, *args[1:]) if isinstance(args, tuple) else raw)


def _set_raw_modes(image: ImageFile.ImageFile, swapped: bool) -> None:
    """Have every tile read as plain samples of 16 bits, in the file's byte order or the other one."""
    ending = raw_mode(image)[-1]
    ending = SWAPPED[ending] if swapped else ending
    image.tile = [
        _with_raw(tile, f"{_raw(tile).split(';')[0].replace('RGBa', 'RGBA')};16{ending}") for tile in image.tile
    ]


def _ppm_maximum(image: ImageFile.ImageFile) -> int:
    """The largest value that a PPM in colour says it may hold, 0 where Pillow needs none."""
    arguments = image.tile[0][3] if image.tile else ()
    return int(arguments[1]) if isinstance(arguments, tuple) and len(arguments) == 2 else 0


def _ppm_samples(image: ImageFile.ImageFile, load: Callable[[Image.Image], None]) -> np.ndarray:
    """Read as one wide grey, which Pillow leaves at its 16 bits."""
    width, height = image.size
    if image.mode != "RGB":
        load(image)
        return np.asarray(image).astype(np.uint16)
    tile, wide = image.tile[0], (0, 0, 3 * width, height)
    image._mode, image._size = "I", (3 * width, height)
    if tile[0] == "ppm_plain":
        image.tile = [tile._replace(extents=wide, args=("I", FULL))]
    else:
        image.tile = [tile._replace(codec_name="raw", extents=wide, args="I;16B")]
    load(image)
    return np.asarray(image).astype(np.uint16).reshape(height, width, 3)
