"""How a picture is turned: EXIF orientation, and the picture upright beside the same as its file stores it."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image, TiffImagePlugin

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


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation by which a picture must yet be turned, 1 (upright) to 8.

    Parameters
    ----------
    image : Image.Image
        As Pillow opened it.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return 1  # Pillow turns these itself
    try:
        return int(Image.Image.getexif(image).get(ORIENTATION, 1))  # PngImageFile's own would decode all pixels first
    except Exception:  # a damaged note does not spoil the picture
        return 1


def has_late_notes(file: BinaryIO) -> bool:
    """Whether a PNG holds notes after its pixels, where ExifTool writes the orientation.

    Parameters
    ----------
    file : BinaryIO
        Stands afterwards where it stood.
    """
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


def upright_of(
    image: Image.Image, height: int, width: int
) -> tuple[UInt8[np.ndarray, "upright_height upright_width 3"], UInt8[np.ndarray, "height width 3"]]:
    """The upright picture, to be filled, and a view of it as the file stores it.

    Parameters
    ----------
    image : Image.Image
        Which tells its orientation.
    height : int
        Of the stored picture, in pixels.
    width : int
        Of the stored picture, in pixels.
    """
    orientation = orientation_of(image)
    size = (width, height) if orientation in SIDEWAYS else (height, width)
    upright = np.empty((*size, 3), np.uint8)
    return upright, STORED.get(orientation, np.asarray)(upright)
