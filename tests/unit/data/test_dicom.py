"""DICOM is shown as a viewer shows it: rescaled, windowed, inverted where high means dark; found by its content."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ravl_explore.data.reading import is_image, read_image, read_size
from ravl_explore.errors import DataError, MissingDependencyError

pydicom = pytest.importorskip("pydicom")
VALUES = np.array([[0, 1000, 2000], [3000, 4000, 4095]], np.uint16)


def dicom(values: np.ndarray = VALUES, *, preamble: bool = True, implicit: bool = False, **elements: Any) -> bytes:
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
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
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
