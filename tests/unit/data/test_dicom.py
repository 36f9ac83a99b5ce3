"""DICOM is shown as a viewer shows it: rescaled, windowed, inverted where high means dark; found by its content."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ravl_explore.data.formats import is_image
from ravl_explore.data.lazy_images import LazyImages
from ravl_explore.data.reading import read_image, read_size
from ravl_explore.errors import DataError, MissingDependencyError

pydicom = pytest.importorskip("pydicom")
VALUES = np.array([[0, 1000, 2000], [3000, 4000, 4095]], np.uint16)


def dicom(
    values: np.ndarray = VALUES,
    *,
    preamble: bool = True,
    implicit: bool = False,
    syntax: str | None = None,
    **elements: Any,
) -> bytes:
    """A small secondary capture; an element given as None is left out."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid(entropy_srcs=["test"])
    bits = values.dtype.itemsize * 8
    color = values.ndim == 3 and values.shape[-1] == 3
    facts = {
        "Modality": "OT",
        "Rows": values.shape[0],
        "Columns": values.shape[1],
        "SamplesPerPixel": 3 if color else 1,
        "PhotometricInterpretation": "RGB" if color else "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(values.dtype.kind == "i"),
        "PixelData": values.tobytes() + b"\0" * (values.nbytes % 2),
    } | ({"PlanarConfiguration": 0} if color else {})
    for name, value in (facts | elements).items():
        if value is not None:
            setattr(data, name, value)
    out = io.BytesIO()
    syntax = syntax or (ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)
    if not preamble:
        pydicom.dcmwrite(out, data, implicit_vr=implicit, little_endian=True)
        return out.getvalue()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = (
        data.SOPClassUID,
        data.SOPInstanceUID,
    )
    pydicom.dcmwrite(out, data, enforce_file_format=True)
    return out.getvalue()


def gray(content: bytes) -> list[list[int]]:
    image = read_image(content)
    assert image.dtype == np.uint8 and (image == image[:, :, :1]).all()
    return image[:, :, 0].tolist()


def test_without_a_window_the_range_of_the_values_is_shown() -> None:
    scaled = np.rint(VALUES / 4095 * 255).astype(int).tolist()
    assert gray(dicom()) == scaled
    assert gray(dicom((VALUES // 16).astype(np.uint8))) == np.rint(VALUES // 16 / 255 * 255).astype(int).tolist()
    hounsfield = (VALUES.astype(np.int16) - 2000).astype(np.int16)
    assert gray(dicom(hounsfield)) == scaled, "signed values"
    assert gray(dicom(np.full((2, 2), 7, np.uint16))) == [[0, 0], [0, 0]]


def test_monochrome1_is_inverted() -> None:
    bright = np.array(gray(dicom()))
    assert gray(dicom(PhotometricInterpretation="MONOCHROME1")) == (255 - bright).tolist()
    window = {"WindowCenter": "2000.5", "WindowWidth": "2001"}
    shown = np.array(gray(dicom(**window)))
    assert gray(dicom(PhotometricInterpretation="MONOCHROME1", **window)) == (255 - shown).tolist()


def test_the_window_is_applied_after_the_rescale() -> None:
    """PS3.3 C.11.2.1.2: from center - 0.5 - (width - 1) / 2 to center - 0.5 + (width - 1) / 2."""
    plain = gray(dicom(WindowCenter="2000.5", WindowWidth="2001"))
    assert plain == [[0, 0, 128], [255, 255, 255]]
    rescaled = dicom(RescaleSlope="2", RescaleIntercept="-1000", WindowCenter="3000.5", WindowWidth="2001")
    assert gray(rescaled) == [[0, 0, 128], [255, 255, 255]], "2 x 2000 - 1000 = 3000 is the middle"
    narrow = dicom(np.array([[0, 1, 2, 3]], np.uint16), WindowCenter="2", WindowWidth="3")
    assert gray(narrow) == [[0, 64, 191, 255]], "from 0.5 to 2.5"
    several = dicom(WindowCenter=["2000.5", "0"], WindowWidth=["2001", "10"])
    assert gray(several) == plain, "the first of several"
    slope = dicom(RescaleSlope="-1", RescaleIntercept="4095")
    assert gray(slope) == (255 - np.array(gray(dicom()))).tolist(), "also where no window is given"


def test_other_shapes_of_window() -> None:
    exact = dicom(WindowCenter="2000", WindowWidth="2000", VOILUTFunction="LINEAR_EXACT")
    assert gray(exact) == [[0, 0, 128], [255, 255, 255]]
    sigmoid = gray(dicom(WindowCenter="2000", WindowWidth="2000", VOILUTFunction="SIGMOID"))
    assert sigmoid[0][1] == round(255 / (1 + np.exp(2))) and sigmoid[0][2] == 128 and sigmoid[1][2] < 255
    step = gray(dicom(WindowCenter="2000.5", WindowWidth="1"))
    assert step == [[0, 0, 0], [255, 255, 255]]
    with pytest.raises(DataError, match="window of width 0"):
        read_image(dicom(WindowCenter="1", WindowWidth="0"))


def test_a_voi_lookup_table() -> None:
    from pydicom.dataset import Dataset

    table = Dataset()
    table.LUTDescriptor, table.LUTData = [3, 0, 8], np.array([200, 100, 0], "<u2").tobytes()
    values = np.array([[0, 1, 2, 9]], np.uint16)
    assert gray(dicom(values, VOILUTSequence=[table])) == [[200, 100, 0, 0]]


def test_padding_does_not_count_for_the_range() -> None:
    values = np.array([[0, 1000, 1500, 2000]], np.uint16)
    assert gray(dicom(values)) == [[0, 128, 191, 255]]
    assert gray(dicom(values, PixelPaddingValue=0)) == [[0, 0, 128, 255]]


def test_padding_may_be_a_range_and_written_without_its_sign() -> None:
    values = np.array([[-2000, -1800, 0, 500, 1000]], np.int16)
    whole = {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1500}
    assert gray(dicom(values, **whole)) == [[0, 0, 0, 128, 255]]
    assert gray(dicom(values, PixelPaddingValue=-1500, PixelPaddingRangeLimit=-2000)) == [[0, 0, 0, 128, 255]]
    assert gray(dicom(values[:, 2:], **whole)) == [[0, 128, 255]]
    assert gray(dicom(np.array([[-2000, 0, 500]], np.int16), PixelPaddingValue=-2000)) == [[0, 0, 255]]
    high = np.array([[0, 500, 1000, 4090, 4095]], np.uint16)
    assert gray(dicom(high, PixelPaddingValue=4095, PixelPaddingRangeLimit=4090))[0][:3] == [0, 128, 255]


def sequence(**elements: Any) -> list[Any]:
    """A DICOM sequence of one item."""
    from pydicom.dataset import Dataset

    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return [item]


def voi(center: str, width: str, **more: Any) -> dict[str, Any]:
    return {"FrameVOILUTSequence": sequence(WindowCenter=center, WindowWidth=width, **more)}


@pytest.mark.parametrize("place", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_settings_count_wherever_the_standard_puts_them(place: str) -> None:
    window = {"WindowCenter": "3000.5", "WindowWidth": "2001"}
    rescale = {"RescaleSlope": "2", "RescaleIntercept": "-1000"}
    groups = voi("3000.5", "2001") | {"PixelValueTransformationSequence": sequence(**rescale)}
    assert gray(dicom(**{place: sequence(**groups)})) == gray(dicom(**window, **rescale))
    exact = voi("2000", "2000", VOILUTFunction="LINEAR_EXACT")
    assert gray(dicom(**{place: sequence(**exact)})) == [[0, 0, 128], [255, 255, 255]]
    assert gray(dicom(WindowCenter="5", WindowWidth="10", **{place: sequence(**voi("2000.5", "2001"))})) == gray(
        dicom(WindowCenter="2000.5", WindowWidth="2001")
    ), "what is said of the frame goes before what is said of the file"
    values, table = np.array([[0, 1, 2, 9]], np.uint16), np.array([200, 100, 0], "<u2").tobytes()
    lut = {"VOILUTSequence": sequence(LUTDescriptor=[3, 0, 8], LUTData=table)}
    within = dicom(values, WindowCenter="1", WindowWidth="2", **{place: sequence(FrameVOILUTSequence=sequence(**lut))})
    assert gray(within) == gray(dicom(values, **lut)) == [[200, 100, 0, 0]]
    empty = {place: sequence(FrameVOILUTSequence=sequence(WindowCenter=None, WindowWidth=None))}
    assert gray(dicom(**window, **empty)) == gray(dicom(**window)), "an empty group says nothing"


def test_the_first_frames_own_settings_go_before_the_shared_ones() -> None:
    content = dicom(
        NumberOfFrames=2,
        PixelData=VALUES.tobytes() * 2,
        SharedFunctionalGroupsSequence=sequence(**voi("5", "10")),
        PerFrameFunctionalGroupsSequence=[*sequence(**voi("2000.5", "2001")), *sequence(**voi("5", "10"))],
    )
    assert gray(content) == gray(dicom(WindowCenter="2000.5", WindowWidth="2001"))


def test_half_a_rescale_and_long_tables() -> None:
    assert gray(dicom(RescaleIntercept="-1000", WindowCenter="1000.5", WindowWidth="2001")) == [
        [0, 0, 128],
        [255, 255, 255],
    ], "a slope that is not given is 1"
    table = {"LUTDescriptor": [4096, 0, 8], "LUTData": (np.arange(4096) // 16).astype("<u2").tobytes()}
    assert gray(dicom(VOILUTSequence=sequence(**table))) == (VALUES // 16).tolist(), "more entries than 8 bits count"
    falling = {"LUTDescriptor": [4096, 0, 16], "LUTData": np.arange(4095, -1, -1).astype("<u2").tobytes()}
    assert gray(dicom(ModalityLUTSequence=sequence(**falling))) == (255 - np.array(gray(dicom()))).tolist()


def test_images_without_a_window_share_their_range_by_modality_and_depth() -> None:
    def scan(largest: int, **more: Any) -> bytes:
        return dicom(np.array([[0, 1000, largest]], np.uint16), **more)

    window = {"WindowCenter": "500", "WindowWidth": "1001"}
    contents = [scan(2000), scan(4000), scan(1000, Modality="CT"), scan(2000, **window)]
    data = LazyImages(contents, [0, 1, 0, 1], ["cat", "dog"])
    assert [int(data.image(i)[0, 1, 0]) for i in range(4)] == [64, 64, 255, 255]
    assert data.notes == (
        "DICOM images without a window (CT, 16 bits), 1 in all, are shown from 0 to 1000, "
        "their least and largest value (1000, in 'image 2').",
        "DICOM images without a window (OT, 16 bits), 2 in all, are shown from 0 to 4000, "
        "their least and largest value (4000, in 'image 1').",
    )
    assert read_image(scan(2000))[0, 1, 0] == 128, "a picture alone has its own"


def test_colours_of_more_than_8_bits_go_by_the_depth_that_they_use() -> None:
    colors = np.random.default_rng(0).integers(0, 4096, (2, 4, 3)).astype(np.uint16)
    colors[0, 0, 0] = 4095
    assert (read_image(dicom(colors)) == colors >> 4).all()


def deflated(data: bytes) -> bytes:
    """The same file, packed as DICOM's deflated syntax has it."""
    start = data.index(b"\x08\0\x16\0")  # SOPClassUID, the first element behind the meta information
    meta = data[:start].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    place = meta.index(b"\x02\0\x10\0UI") + 6
    meta = meta[:place] + struct.pack("<H", 22) + meta[place + 2 :]
    length = struct.unpack("<I", meta[140:144])[0] + 2
    meta = meta[:140] + struct.pack("<I", length) + meta[144:]
    packing = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return meta + packing.compress(data[start:]) + packing.flush()


def test_deflated_files_are_unpacked_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    content = deflated(dicom())
    assert gray(content) == gray(dicom()) and read_size(content) == (3, 2)
    monkeypatch.setattr("ravl_explore.data.dicom.MOST_INFLATED", 100)
    for read in (read_image, read_size):
        with pytest.raises(DataError, match="a deflated DICOM of more than 100 bytes: save it without deflate"):
            read(content)


def test_a_frame_larger_than_the_file_says_is_not_unpacked() -> None:
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

    for kind, syntax in (("JPEG", JPEGBaseline8Bit), ("JPEG2000", JPEG2000Lossless)):
        for side, fits in ((32, True), (500, False)):
            out = io.BytesIO()
            Image.new("L", (side, side), 77).save(out, kind, **({"no_jp2": True} if kind == "JPEG2000" else {}))
            values = np.zeros((32, 32), np.uint8)
            content = dicom(
                values, syntax=syntax, PixelData=encapsulate([out.getvalue()]), WindowCenter="64", WindowWidth="128"
            )
            if fits:
                assert abs(int(read_image(content)[5, 5, 0]) - 154) < 4
                continue
            with pytest.raises(DataError, match="a frame of 500 x 500 pixels in a DICOM of 32 x 32"):
                read_image(content)


def test_colours_and_the_first_frame() -> None:
    colors = np.random.default_rng(0).integers(0, 256, (2, 4, 3), dtype=np.uint8)
    assert (read_image(dicom(colors)) == colors).all()
    frames = np.stack([VALUES, VALUES[::-1]])
    film = dicom(VALUES, NumberOfFrames=2, PixelData=frames.tobytes())
    assert gray(film) == gray(dicom())


def test_a_palette() -> None:
    values = np.array([[0, 1]], np.uint8)
    tables = {
        f"{name}PaletteColorLookupTable{part}": value
        for name, entries in (("Red", (0xFF00, 0)), ("Green", (0, 0x8000)), ("Blue", (0, 0x1000)))
        for part, value in (("Descriptor", [2, 0, 16]), ("Data", np.array(entries, "<u2").tobytes()))
    }
    content = dicom(values, PhotometricInterpretation="PALETTE COLOR", **tables)
    assert read_image(content).tolist() == [[[255, 0, 0], [0, 128, 16]]]


@pytest.mark.parametrize("implicit", [False, True])
def test_found_by_content_whatever_the_ending(tmp_path: Path, implicit: bool) -> None:
    for name, content in (
        ("scan.jpg", dicom(implicit=implicit)),
        ("IM0001", dicom(preamble=False, implicit=implicit)),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        assert is_image(path) and read_size(path) == (3, 2)
        assert gray(path.read_bytes()) == gray(dicom())
        assert (read_image(path) == read_image(dicom())).all()


def test_a_damaged_note_elsewhere_is_no_matter() -> None:
    """Warnings are errors here: a birth date of nonsense would warn if it were looked at."""
    from pydicom import config

    with config.disable_value_validation():
        content = dicom(PatientBirthDate="not a date")
    assert gray(content) == gray(dicom())


def test_what_cannot_be_shown_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scan.dcm"
    for content, told in (
        (dicom(PixelData=None), "without pixels"),
        (dicom(Rows=None), "without rows"),
        (dicom(Rows=60000, Columns=60000), "60000 x 60000 pixels, more than"),
        (dicom()[:-4], "."),
        (dicom()[:200], "."),
        (dicom()[:132], "."),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=told) as raised:
            read_image(path)
        assert str(path) in str(raised.value)
    path.write_bytes(dicom(PixelData=None))
    assert read_size(path) == (3, 2), "the header is whole"


def test_without_pydicom_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    content = dicom()
    monkeypatch.setitem(sys.modules, "pydicom", None)
    for read in (read_image, read_size):
        with pytest.raises(MissingDependencyError, match=r"ravl-explore\[medical\]"):
            read(content)
