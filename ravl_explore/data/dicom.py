"""DICOM files -> (height, width, 3) uint8, through pydicom (extra ``medical``).

As a viewer shows them: stored values -> modality LUT or rescale slope and intercept -> the first VOI window or VOI LUT
of the file, else from the image's own least to its largest value (bits stored often promise far more than is used) ->
0..255; MONOCHROME1, where high values mean dark, is inverted. Of several frames, the first. Formulas: DICOM PS3.3,
C.11.1 and C.11.2.
"""

from __future__ import annotations

from typing import IO, Any

import numpy as np

from ravl_explore.errors import MissingDependencyError

MAGIC = slice(128, 132)
FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")  # of files without the preamble, as older devices write them


def is_dicom(head: bytes) -> bool:
    """Whether a file that starts with ``head`` (132 bytes) is DICOM."""
    if head[MAGIC] == b"DICM":
        return True
    return head[:2] in FIRST_GROUPS and head[3:4] == b"\0" and (head[4:6].isalpha() or head[6:8] == b"\0\0")


def size(file: IO[bytes], max_pixels: int) -> tuple[int, int]:
    """Width and height, from the header."""
    return _size(_read(file, stop_before_pixels=True), max_pixels)


def pixels(file: IO[bytes], max_pixels: int) -> np.ndarray:
    """(height, width, 3) uint8 of the first frame. Raises ValueError and what pydicom raises."""
    data = _read(file)
    _size(data, max_pixels)
    if "PixelData" not in data:
        raise ValueError("DICOM without pixels, such as a report")
    from pydicom.pixels.utils import pixel_array

    try:
        stored = pixel_array(data, index=0)
    except (RuntimeError, NotImplementedError) as error:
        compressed = getattr(data.file_meta.TransferSyntaxUID, "name", "")
        raise ValueError(f"DICOM in {compressed}: {error}; a decoder such as python-gdcm may read it") from error
    if data.PhotometricInterpretation == "PALETTE COLOR":
        from pydicom.pixels.processing import apply_color_lut

        colors = apply_color_lut(stored, data)
        return (colors >> 8 * (colors.dtype.itemsize - 1)).astype(np.uint8)
    if stored.ndim == 3:
        return (stored >> max(0, int(data.BitsStored) - 8)).astype(np.uint8)
    shown = np.rint(255 * _windowed(stored, data)).astype(np.uint8)
    if data.PhotometricInterpretation == "MONOCHROME1":
        shown = 255 - shown
    return np.repeat(shown[:, :, None], 3, axis=2)


def _read(file: IO[bytes], **options: Any) -> Any:
    try:
        import pydicom
        from pydicom import uid
    except ImportError as error:
        raise MissingDependencyError(
            "pydicom, which reads DICOM images", "no such package", "Install it: pip install 'ravl-explore[medical]'."
        ) from error
    data = pydicom.dcmread(file, force=True, **options)
    if "TransferSyntaxUID" not in data.file_meta:  # a file without preamble and meta information
        implicit = data.original_encoding[0]
        data.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian
    return data


def _size(data: Any, max_pixels: int) -> tuple[int, int]:
    width, height = int(data.get("Columns") or 0), int(data.get("Rows") or 0)
    if not width or not height:
        raise ValueError("DICOM without rows and columns, such as a report")
    if width * height > max_pixels:
        raise ValueError(f"{width} x {height} pixels, more than the {max_pixels:,} that are read: shrink it")
    return width, height


def _windowed(stored: np.ndarray, data: Any) -> np.ndarray:
    """Grey values as a viewer shows them, 0..1 in float64, before any inversion."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi

    values = np.asarray(apply_modality_lut(stored, data), dtype=np.float64)
    width = _first(data.get("WindowWidth"))
    center = _first(data.get("WindowCenter"))
    if width is not None and center is not None:
        return _window(values, center, width, str(data.get("VOILUTFunction") or "LINEAR").upper())
    if data.get("VOILUTSequence"):
        bits = int(data.VOILUTSequence[0].LUTDescriptor[2])
        return np.clip(apply_voi(values.astype(np.int64), data) / (2**bits - 1), 0, 1)
    padding = data.get("PixelPaddingValue")
    inside = values[stored != padding] if padding is not None else values
    low, high = (inside.min(), inside.max()) if inside.size else (0, 0)
    return np.clip((values - low) / (high - low), 0, 1) if high > low else np.zeros_like(values)


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


def _first(value: Any) -> float | None:
    """Windows may come in several, of which the first is the preferred one."""
    if value is None or isinstance(value, (int, float, str)):
        return None if value in (None, "") else float(value)
    return float(value[0]) if len(value) else None
