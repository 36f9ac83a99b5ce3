"""How the stored values of a DICOM image are shown: rescaled, seen through a window or a lookup table, as 8 bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ravl_explore.data.depth import depth_of, to_8_bits
from ravl_explore.data.room import strips

if TYPE_CHECKING:
    from pydicom import Dataset

COLORS = "colour DICOM images of more than 8 bits"


def kind_of(data: Dataset) -> str:
    """Images of this kind share their range of values; "" for one that is shown by what its file says.

    Parameters
    ----------
    data : Dataset
        The elements of the file.
    """
    if int(data.get("SamplesPerPixel") or 1) > 1:
        return COLORS if int(data.get("BitsStored") or 8) > 8 else ""
    if data.get("PhotometricInterpretation") == "PALETTE COLOR" or _window_of(data) or data.get("VOILUTSequence"):
        return ""
    facts = [data.get("Modality") or "no modality", f"{data.get('BitsStored')} bits"]
    signed = ["signed"] if data.get("PixelRepresentation") else []
    return f"DICOM images without a window ({', '.join([*facts, *signed])})"


def showing(
    stored: np.ndarray, photometric: str, data: Dataset, shared: tuple[float, float] | None
) -> Callable[[np.ndarray], np.ndarray]:
    """What turns some rows of the stored values into (rows, width, 1 or 3) uint8.

    Parameters
    ----------
    stored : np.ndarray
        (height, width) or (height, width, 3) values of the frame, as stored.
    photometric : str
        How they stand for colour, as DICOM calls it.
    data : Dataset
        The elements of the file.
    shared : (float, float) or None
        Least and largest value of the images of its kind; its own unless given.
    """
    if photometric == "PALETTE COLOR":
        from pydicom.pixels.processing import apply_color_lut

        def looked_up(values: np.ndarray) -> np.ndarray:
            colors = apply_color_lut(values, data)
            return (colors >> 8 * (colors.dtype.itemsize - 1)).astype(np.uint8)

        return looked_up
    if stored.ndim == 3:
        from pydicom.pixels.processing import convert_color_space

        depth = depth_of(int((shared or range_of(stored, data))[1])) if kind_of(data) else 8
        luminance = photometric in ("YBR_FULL", "YBR_FULL_422")
        return lambda values: to_8_bits(convert_color_space(values, photometric, "RGB") if luminance else values, depth)
    shown = _gray(stored, data, shared)
    inverted = photometric == "MONOCHROME1"

    def gray(values: np.ndarray) -> np.ndarray:
        seen = np.rint(255 * shown(values)).astype(np.uint8)[:, :, None]
        return 255 - seen if inverted else seen

    return gray


def range_of(stored: np.ndarray, data: Dataset) -> tuple[float, float]:
    """Least and largest value, rescaled and without padding.

    Parameters
    ----------
    stored : np.ndarray
        (height, width) or (height, width, 3) values of the frame, as stored.
    data : Dataset
        The elements of the file.
    """
    if stored.ndim == 3:
        return 0, float(stored.max())
    padding, low, high = _padding(stored, data), np.inf, -np.inf
    for rows in strips(*stored.shape):
        values = stored[rows]
        inside = values if padding is None else values[(values < padding[0]) | (values > padding[1])]
        if inside.size:  # a modality LUT need not rise
            rescaled = _rescaled(inside, data)
            low, high = min(low, float(rescaled.min())), max(high, float(rescaled.max()))
    return (low, high) if low <= high else (0, 0)


def _gray(stored: np.ndarray, data: Dataset, shared: tuple[float, float] | None) -> Callable[[np.ndarray], np.ndarray]:
    """What turns stored values into those that a viewer shows, 0..1 in float64, before any inversion."""
    window = _window_of(data)
    if window is not None:
        function = str(data.get("VOILUTFunction") or "LINEAR").upper()
        return lambda values: _window(_rescaled(values, data), *window, function)
    if data.get("VOILUTSequence"):
        table, first, n_bits = _table(data.VOILUTSequence[0], data)
        return lambda values: np.clip(_look_up(_rescaled(values, data), table, first) / (2**n_bits - 1), 0, 1)
    low, high = shared or range_of(stored, data)
    if high <= low:
        return lambda values: np.zeros(values.shape)
    return lambda values: np.clip((_rescaled(values, data) - low) / (high - low), 0, 1)


def _rescaled(stored: np.ndarray, data: Dataset) -> np.ndarray:
    """Values in the unit of the modality, in float64."""
    if data.get("ModalityLUTSequence"):
        table, first, _ = _table(data.ModalityLUTSequence[0], data)
        return _look_up(stored, table, first)
    slope, intercept = _first(data.get("RescaleSlope")), _first(data.get("RescaleIntercept"))
    return stored.astype(np.float64) * (1 if slope is None else slope) + (intercept or 0)


def _table(item: Dataset, data: Dataset) -> tuple[np.ndarray, int, int]:
    """A lookup table's entries, the value that the first stands for, and bits an entry."""
    n_entries, first, n_bits = (int(value) for value in item.LUTDescriptor)
    n_entries = n_entries or 2**16
    content = item.LUTData
    if isinstance(content, bytes):
        kind = "u1" if len(content) < 2 * n_entries else "<u2" if data.original_encoding[1] else ">u2"
        content = np.frombuffer(content, kind, min(n_entries, len(content) // int(kind[-1])))
    return np.atleast_1d(np.asarray(content, np.float64))[:n_entries], first, n_bits


def _look_up(values: np.ndarray, table: np.ndarray, first: int) -> np.ndarray:
    """Values beyond the table take its first or last entry."""
    return table[np.clip(np.rint(values).astype(np.int64) - first, 0, len(table) - 1)]


def _padding(stored: np.ndarray, data: Dataset) -> tuple[int, int] | None:
    """Least and largest stored value that is no part of the picture, PS3.3 C.7.5.1.1.2; written signed or not."""
    values = [_first(data.get(name)) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if values[0] is None:
        return None
    as_stored = [int(np.int64(value).astype(stored.dtype)) for value in values if value is not None]
    return min(as_stored), max(as_stored)


def _window_of(data: Dataset) -> tuple[float, float] | None:
    center, width = _first(data.get("WindowCenter")), _first(data.get("WindowWidth"))
    return None if center is None or width is None else (center, width)


def _window(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """PS3.3 C.11.2.1.2 (LINEAR, where the window spans width - 1) and C.11.2.1.3 (SIGMOID, LINEAR_EXACT)."""
    if width <= 0:
        raise ValueError(f"DICOM with a window of width {width:g}")
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0, 1)
    if width <= 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def _first(value: float | str | Sequence[float] | None) -> float | None:
    """Windows may come in several, of which the first is the preferred one."""
    if value is None or isinstance(value, (int, float, str)):
        return None if value in (None, "") else float(value)
    return float(value[0]) if len(value) else None
