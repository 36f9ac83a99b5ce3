"""DICOM files -> (height, width, 3) uint8, through pydicom (extra ``medical``).

As a viewer shows them: stored values -> modality LUT or rescale slope and intercept -> the first VOI window or VOI LUT
of the file, else from the least to the largest value (bits stored often promise far more than is used) -> 0..255;
MONOCHROME1, where high values mean dark, is inverted. Of several frames, the first. In files of many frames, a setting
of the frame goes before one that all frames share, and that before one of the file. Formulas: DICOM PS3.3, C.11.1 and
C.11.2; functional groups: C.7.6.16.

Without a window, the least and the largest value are those of a set's images of one modality and depth (see
:mod:`ravl_explore.data.ranges`), since each image's own would make one grey of one detector come out differently; of a
picture that is read alone, its own.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from jaxtyping import UInt8

from ravl_explore.data.dicom_shades import kind_of, range_of, showing
from ravl_explore.data.room import ROOM, check_size, strips
from ravl_explore.errors import MissingDependencyError

if TYPE_CHECKING:
    from pydicom import Dataset

Ranges = Callable[[str], tuple[float, float] | None] | None

MAGIC = slice(128, 132)
FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")  # of files without the preamble, as older devices write them
DEFLATED, PLAIN = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.1\0\0\0"
MOST_INFLATED = 2**27  # bytes; deflate is for reports, and packs zeros a thousandfold
LONG = 2**26  # bytes of an element that is passed over: none that is used here is so long
LONG_LENGTHS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
PIXELS, FLOAT_PIXELS = (0x7FE0, 0x0010), ((0x7FE0, 0x0008), (0x7FE0, 0x0009))
GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
SETTINGS = {  # by functional group; what one group says, it says of all of these
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
}


def is_dicom(head: bytes) -> bool:
    """Whether a file that starts with ``head`` (132 bytes) is DICOM.

    Parameters
    ----------
    head : bytes
        Its first 132 bytes.
    """
    if head[MAGIC] == b"DICM":
        return True
    return head[:2] in FIRST_GROUPS and head[3:4] == b"\0" and (head[4:6].isalpha() or head[6:8] == b"\0\0")


def header(file: BinaryIO, max_pixels: int) -> tuple[int, int, str]:
    """Width and height; and what kind of images it shares its range of values with, "" where it tells its window.

    Parameters
    ----------
    file : BinaryIO
        Stands at its start.
    max_pixels : int
        Most pixels of a frame; a larger one is refused.
    """
    data, _ = _read(file)
    width, height = _size(data, max_pixels)
    return width, height, kind_of(data)


def value_range(file: BinaryIO, max_pixels: int) -> tuple[float, float]:
    """Least and largest value, rescaled and without padding, of a file that tells no window.

    Parameters
    ----------
    file : BinaryIO
        Stands at its start.
    max_pixels : int
        Most pixels of a frame; a larger one is refused.
    """
    data, content = _read(file)
    width, height = _size(data, max_pixels)
    with ROOM.take(width * height * _bytes_per_pixel(data)):
        stored, _ = _stored(data, content)
        return range_of(stored, data)


def pixels(file: BinaryIO, max_pixels: int, ranges: Ranges = None) -> UInt8[np.ndarray, "height width 3"]:
    """The first frame as RGB. Raises ValueError and what pydicom raises.

    Parameters
    ----------
    file : BinaryIO
        Stands at its start.
    max_pixels : int
        Most pixels of a frame; a larger one is refused.
    ranges : callable, str -> (float, float) or None
        Gives the range of values that the images of a kind share; where it gives none, the picture's own counts.
    """
    data, content = _read(file)
    width, height = _size(data, max_pixels)
    kind = kind_of(data)
    shared = ranges(kind) if kind and ranges is not None else None  # without room: it may read others
    with ROOM.take(width * height * _bytes_per_pixel(data)):
        stored, photometric = _stored(data, content)
        show = showing(stored, photometric, data, shared)
        shown = np.empty((*stored.shape[:2], 3), np.uint8)
        for rows in strips(*stored.shape[:2]):
            shown[rows] = show(stored[rows])
        return shown


def _read(file: BinaryIO) -> tuple[Dataset, BinaryIO]:
    """All elements before the pixels, and the file that stands where these begin."""
    try:
        import pydicom
        from pydicom import uid
    except ImportError as error:
        raise MissingDependencyError(
            "pydicom, which reads DICOM images", "no such package", "Install it: pip install 'ravl-explore[medical]'."
        ) from error
    content = _inflated(file)
    data = pydicom.dcmread(content, force=True, stop_before_pixels=True, defer_size=LONG)
    if "TransferSyntaxUID" not in data.file_meta:  # a file without preamble and meta information
        implicit = data.original_encoding[0]
        data.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian
    _take_settings_of_the_first_frame(data)
    return data, content


def _inflated(file: BinaryIO) -> BinaryIO:
    """The file, unpacked up to a limit where it is deflated, which pydicom would unpack to any size."""
    meta = _meta(file)
    if DEFLATED not in meta:
        return file
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    content = unpacking.decompress(file.read(), MOST_INFLATED)
    if unpacking.unconsumed_tail:
        raise ValueError(f"a deflated DICOM of more than {MOST_INFLATED:,} bytes: save it without deflate")
    return io.BytesIO(meta.replace(DEFLATED, PLAIN) + content)


def _meta(file: BinaryIO) -> bytes:
    """The preamble and the elements of group 2, PS3.10 7.1; the file is left behind them, or where it was."""
    start = file.read(132)
    if start[MAGIC] != b"DICM":
        file.seek(0)
        return b""
    parts = [start]
    while len(head := file.read(8)) == 8 and head[:2] == b"\x02\0":
        long = file.read(4) if head[4:6] in LONG_LENGTHS else b""
        length = struct.unpack("<I", long)[0] if long else struct.unpack("<H", head[6:])[0]
        parts += [head, long, file.read(min(length, 2**20))]
    meta = b"".join(parts)
    file.seek(len(meta) if DEFLATED in meta else 0)
    return meta


def _take_settings_of_the_first_frame(data: Dataset) -> None:
    """Put what the functional groups say of the first frame where files of one frame have it."""
    for groups in GROUPS:
        items = data.get(groups) or [{}]
        for group, names in SETTINGS.items():
            settings = (items[0].get(group) or [{}])[0]
            found = [name for name in names if settings.get(name) not in (None, "")]
            for name in names if found else ():
                if name in data:
                    delattr(data, name)
            for name in found:
                data[name] = settings[name]


def _size(data: Dataset, max_pixels: int) -> tuple[int, int]:
    width, height = int(data.get("Columns") or 0), int(data.get("Rows") or 0)
    if not width or not height:
        raise ValueError("DICOM without rows and columns, such as a report")
    check_size(width, height, _bytes_per_pixel(data), max_pixels)
    return width, height


def _bytes_per_pixel(data: Dataset) -> int:
    """What reading takes at most: samples as stored, twice, what decoders need of them, and what becomes of them."""
    n_samples, n_bytes = int(data.get("SamplesPerPixel") or 1), max(1, int(data.get("BitsAllocated") or 8) // 8)
    decoder = 0 if not _compressed(data) else 8 if "2000" in data.file_meta.TransferSyntaxUID.name else 4
    return n_samples * (2 * n_bytes + decoder) + 3


def _compressed(data: Dataset) -> bool:
    syntax = data.file_meta.TransferSyntaxUID
    return not syntax.is_private and bool(syntax.is_compressed)


def _stored(data: Dataset, content: BinaryIO) -> tuple[np.ndarray, str]:
    """(height, width) or (height, width, 3) stored values of the first frame, and how they stand for colour."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import as_pixel_options

    syntax, little = data.file_meta.TransferSyntaxUID, bool(data.original_encoding[1])
    start = content.read(8)
    tag = struct.unpack("<HH" if little else ">HH", start[:4]) if len(start) == 8 else None
    if tag in FLOAT_PIXELS:
        raise ValueError("DICOM with floating-point values, of unknown range: save it with 8 or 16 bits")
    if tag != PIXELS:
        raise ValueError("DICOM without pixels, such as a report")
    vr = {} if data.original_encoding[0] else {"pixel_vr": start[4:6].decode("ascii")}
    if vr:
        content.read(4)
    options = as_pixel_options(data, transfer_syntax_uid=syntax, pixel_keyword="PixelData", **vr)
    if _compressed(data):
        _check_frame(data, content, options["number_of_frames"], options.get("extended_offsets"))
    try:
        options["view_only"] = True  # no copy
        stored, facts = get_decoder(syntax).as_array(content, index=0, raw=True, **options)
    except (RuntimeError, NotImplementedError) as error:
        compressed = getattr(syntax, "name", "")
        raise ValueError(f"DICOM in {compressed}: {error}; a decoder such as python-gdcm may read it") from error
    return stored, str(facts["photometric_interpretation"])


def _check_frame(data: Dataset, content: BinaryIO, n_frames: int, offsets: tuple[bytes, bytes] | None) -> None:
    """Raise ValueError when the first frame is larger than the file says: a small one may unpack to gigabytes."""
    from pydicom.encaps import get_frame

    place = content.tell()
    frame = get_frame(content, 0, number_of_frames=n_frames, extended_offsets=offsets)
    content.seek(place)
    found, said = _frame_size(frame), (int(data.Columns), int(data.Rows))
    if found is not None and found != said:
        raise ValueError(f"a frame of {found[0]} x {found[1]} pixels in a DICOM of {said[0]} x {said[1]}")


def _frame_size(frame: bytes) -> tuple[int, int] | None:
    """Width and height by the start of a JPEG, JPEG-LS or JPEG 2000 stream; None for other ones."""
    codestream = frame.find(b"\xff\x4f\xff\x51", 0, 2**12)
    if codestream >= 0 and len(frame) >= codestream + 24:
        x, y, x_start, y_start = struct.unpack_from(">4I", frame, codestream + 8)
        return x - x_start, y - y_start
    place = 2 if frame[:2] == b"\xff\xd8" else len(frame)
    while place + 9 <= len(frame) and frame[place] == 0xFF:
        marker, length = frame[place + 1], int.from_bytes(frame[place + 2 : place + 4], "big")
        if marker == 0xFF:  # a filling byte
            place += 1
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            height, width = struct.unpack_from(">HH", frame, place + 5)
            return width, height
        else:
            place += 2 + length
    return None
