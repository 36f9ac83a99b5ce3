"""Reading one mask from a PNG or NPZ file; nothing in it is run, and what is no mask is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ravl_explore.concepts.base import Mask
from ravl_explore.errors import DataError

GIVEN = ("promote", "suppress")  # what an NPZ file may hold
MOST_BYTES = 2**29  # that an NPZ file may unpack to
GRAY = {"1", "L", "P", "I", "I;16"}


def read_png(path: Path) -> Mask:
    """The mask of a PNG file: one channel, or several that say the same.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DataError
        For a file that cannot be read, and for values other than 0 and 1, or 0 and 255.
    """
    try:
        with Image.open(path, formats=("PNG",)) as image:
            array = np.asarray(image if image.mode in GRAY else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError("a PNG file", f"{str(path)!r} ({_said(error)})", "Check the file, or save it again.") from error
    if array.ndim == 3:
        if (array != array[..., :1]).any():
            raise DataError(
                "a mask in shades of gray", f"{str(path)!r} in colour", "Save one mask a file, of 0 and 255 alone."
            )
        array = array[..., 0]
    return binary(array, str(path))


def read_npz(path: Path) -> tuple[Mask, Mask | None]:
    """(promote, suppress or None) of an NPZ file's arrays of these names.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DataError
        For a file that cannot be read, that would run code, or holds no ``promote``; and as :func:`binary`.
    """
    found: dict[str, np.ndarray] = {}
    try:
        with np.load(path, allow_pickle=False) as content:
            names = list(content.files)
            n_bytes = sum(each.file_size for each in content.zip.infolist())
            if n_bytes > MOST_BYTES:
                raise ValueError(f"arrays of {n_bytes:,} bytes, more than the {MOST_BYTES:,} that are read")
            found = {name: content[name] for name in GIVEN if name in names}
    except Exception as error:  # a damaged zip can raise nearly anything
        raise DataError(
            "an NPZ file of plain arrays", f"{str(path)!r} ({_said(error)})", "Save it with numpy.savez(promote=...)."
        ) from error
    if "promote" not in found:
        raise DataError(
            "an array called promote", f"{', '.join(names[:5]) or 'none'} in {str(path)!r}", "Rename the array."
        )
    promote = binary(found["promote"], f"promote of {str(path)!r}")
    return promote, binary(found["suppress"], f"suppress of {str(path)!r}") if "suppress" in found else None


def binary(array: np.ndarray, what: str) -> Mask:
    """The mask that an array says.

    Parameters
    ----------
    array : np.ndarray
        As the file holds it.
    what : str
        What to call it in messages.

    Raises
    ------
    DataError
        For other than two dimensions, and for values other than 0 and 1, or 0 and 255: what a grey pixel would mean is
        not known.
    """
    if array.ndim != 2 or 0 in array.shape:
        raise DataError("a mask of height x width", f"{what} of shape {array.shape}", "Save one mask a file.")
    if array.dtype == bool:
        return array
    if array.dtype.kind not in "iuf":
        raise DataError("a mask of numbers", f"{what} of {array.dtype}", "Save it as uint8.")
    values = np.unique(array)
    if not np.isin(values, (0, 1)).all() and not np.isin(values, (0, 255)).all():
        some = ", ".join(f"{value:g}" for value in values[:6].tolist()) + (" ..." if len(values) > 6 else "")
        raise DataError("a mask of 0 and 1, or of 0 and 255", f"{what} with {some}", "Choose a threshold and save it.")
    return array > 0


def resize_nearest(mask: Mask, height: int, width: int) -> Mask:
    """Every pixel takes the value of the one under its centre.

    Parameters
    ----------
    mask : Bool[np.ndarray, "h w"]
    height : int
        Afterwards, in pixels.
    width : int
        Afterwards, in pixels.

    Examples
    --------
    >>> resize_nearest(np.array([[True, False]]), 2, 4).tolist()
    [[True, True, False, False], [True, True, False, False]]
    """
    rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(int)
    return mask[rows[:, None], columns]


def turned(mask: Mask, orientation: int) -> Mask:
    """A mask of the stored image -> of the image as EXIF turns it by one of the orientations 5 to 8.

    Parameters
    ----------
    mask : Bool[np.ndarray, "h w"]
    orientation : int
        5 to 8.

    Examples
    --------
    >>> turned(np.array([[True, False, False]]), 6).tolist()
    [[True], [False], [False]]
    """
    return {5: mask.T, 6: np.rot90(mask, -1), 7: np.rot90(mask, 2).T, 8: np.rot90(mask)}[orientation]


def _said(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
