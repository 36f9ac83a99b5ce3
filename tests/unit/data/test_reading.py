"""Every format is read as people see the picture, sizes agree with pixels, and damaged files are named."""

from __future__ import annotations

import io
import os
import socket
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ravl_explore.data import reading
from ravl_explore.data.formats import is_image
from ravl_explore.data.reading import Header, header_or_reason, read_image, read_range, read_size
from ravl_explore.errors import DataError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str, **options: Any) -> bytes:
    """The image as a file's bytes."""
    out = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(out, kind, **options)
    return out.getvalue()


def gray(source: Any) -> np.ndarray:
    """One channel of an image whose channels agree."""
    image = read_image(source)
    assert image.dtype == np.uint8 and image.shape[2] == 3
    assert (image == image[:, :, :1]).all()
    return image[:, :, 0]


# --- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".png", ".jpg", ".dcm", ".txt", ""])
@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "JPEG2000", "GIF"])
def test_content_decides_not_the_ending(tmp_path: Path, kind: str, ending: str) -> None:
    colors = np.array([[(255, 0, 0), (0, 255, 0), (0, 0, 255)], [(0, 0, 0), (255, 255, 255), (9, 9, 9)]], np.uint8)
    path = tmp_path / f"picture{ending}"
    path.write_bytes(encoded(colors, kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert (read_image(path) == colors).all()
    assert read_size(path) == (3, 2) and header_or_reason(path) == Header(3, 2) and is_image(path)
    assert (read_image(path.read_bytes()) == colors).all(), "bytes are as good as a file"


def test_jpeg_and_avif() -> None:
    flat = np.full((16, 8, 3), (200, 30, 60), np.uint8)
    for kind in ("JPEG", "AVIF"):
        image = read_image(encoded(flat, kind, quality=95))
        assert image.shape == (16, 8, 3) and abs(image.astype(int) - flat).max() < 6
        assert read_size(encoded(flat, kind)) == (8, 16)


def test_the_first_picture_of_an_animation_is_read() -> None:
    frames = [Image.new("RGB", (5, 3), color) for color in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        with Image.open(io.BytesIO(content)) as opened:
            assert getattr(opened, "n_frames", 1) == 3, kind
        assert (read_image(content) == (255, 0, 0)).all(), kind


def test_palettes_are_looked_up_and_transparency_is_laid_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.putdata([0, 1])
    assert read_image(encoded(image, "PNG")).tolist() == [[[0, 0, 255], [255, 0, 0]]]
    assert read_image(encoded(image, "PNG", transparency=0)).tolist() == [[[255, 255, 255], [255, 0, 0]]]
    half = bytes([128, 255])  # one opacity per palette entry
    assert read_image(encoded(image, "PNG", transparency=half)).tolist() == [[[127, 127, 255], [255, 0, 0]]]


def test_a_gif_with_a_transparent_colour() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.putdata([0, 1])
    content = encoded(image, "GIF", transparency=0)
    assert read_image(content).tolist() == [[[255, 255, 255], [255, 0, 0]]]


def test_alpha_is_laid_on_white() -> None:
    rgba = np.array([[(10, 20, 30, 255), (10, 20, 30, 0), (0, 0, 0, 128)]], np.uint8)
    assert read_image(encoded(rgba, "PNG")).tolist() == [[[10, 20, 30], [255, 255, 255], [127, 127, 127]]]
    la = Image.merge("LA", [Image.new("L", (1, 1), 40), Image.new("L", (1, 1), 0)])
    assert read_image(encoded(la, "PNG")).tolist() == [[[255, 255, 255]]]
    keyed = encoded(np.array([[(1, 2, 3), (4, 5, 6)]], np.uint8), "PNG", transparency=(1, 2, 3))
    assert read_image(keyed).tolist() == [[[255, 255, 255], [4, 5, 6]]]


def test_one_bit_grey_and_cmyk() -> None:
    bits = Image.new("1", (3, 1))
    bits.putdata([0, 255, 0])
    assert gray(encoded(bits, "PNG")).tolist() == gray(encoded(bits, "TIFF")).tolist() == [[0, 255, 0]]
    assert gray(encoded(PIXELS[:, :, 0], "PNG")).tolist() == PIXELS[:, :, 0].tolist()
    cyan = Image.new("CMYK", (2, 2), (255, 0, 0, 0))
    assert (read_image(encoded(cyan, "TIFF")) == (0, 255, 255)).all()
    red, green, blue = read_image(encoded(cyan, "JPEG", quality=100))[0, 0].tolist()
    assert red < 10 and green > 245 and blue > 245, "Adobe's inverted CMYK"


@pytest.mark.parametrize(("top", "shift"), [(255, 0), (256, 2), (1023, 2), (1024, 4), (4095, 4), (4096, 6), (16384, 8)])
def test_greys_of_16_bits_are_cut_by_the_depth_they_use(top: int, shift: int) -> None:
    values = np.array([[0, 1, top // 2, top - 1, top]], np.uint16)
    for content in (encoded(values, "PNG"), encoded(values, "TIFF"), encoded(values, "TIFF", compression="tiff_lzw")):
        assert gray(content).tolist() == (values >> shift).tolist()
    assert gray(encoded(values, "PNG")).max() >= 64, "never nearly black"


def test_big_endian_16_bits() -> None:
    values = np.array([[0x0102, 0xFF00]], ">u2")
    path = io.BytesIO()
    Image.frombytes("I;16B", (2, 1), values.tobytes()).save(path, "TIFF")
    assert gray(path.getvalue()).tolist() == [[0x01, 0xFF]]
    pgm = b"P5\n2 1\n65535\n" + values.tobytes()
    assert gray(pgm).tolist() == [[0x01, 0xFF]]


@pytest.mark.parametrize(
    ("dtype", "sample_format", "told"),
    [
        (np.uint16, 2, "signed values of 16 bits"),
        (np.uint8, 2, "signed values of 8 bits"),
        (np.int32, 2, "signed values of 32 bits"),
        (np.float32, 3, "floating-point values of 32 bits"),
    ],
)
def test_values_without_a_range_are_told_as_the_file_has_them(dtype: Any, sample_format: int, told: str) -> None:
    content = encoded(np.ones((2, 2), dtype), "TIFF", tiffinfo={339: sample_format})
    with pytest.raises(DataError, match=f"{told}, of unknown range: save it with 8 or 16 unsigned bits"):
        read_image(content)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_32_bits_have_no_range_and_are_refused(dtype: Any) -> None:
    content = encoded(np.ones((2, 2), dtype), "TIFF")
    with pytest.raises(DataError, match=r"scan 7.*32 bits"):
        read_image(content, "scan 7")
    assert read_size(content) == (2, 2)


# --- orientation ------------------------------------------------------------------------------------------------------

UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "TIFF lzw", "WEBP", "PNG late", "16 bits"])
def test_pictures_are_turned_upright_once(kind: str, orientation: int) -> None:
    pixels, options = PIXELS, {"exif": turned(orientation)}
    if kind == "WEBP":
        options |= {"lossless": True}
    if kind == "TIFF lzw":
        options |= {"compression": "tiff_lzw"}
    if kind == "16 bits":
        pixels = RNG.integers(40000, 65536, (4, 6)).astype(np.uint16)
    content = encoded(pixels, {"16 bits": "PNG"}.get(kind, kind.split()[0]), **options)
    if kind == "PNG late":  # where ExifTool writes it
        start = content.index(b"eXIf") - 4
        length = struct.unpack(">I", content[start : start + 4])[0] + 12
        chunk = content[start : start + length]
        end = content.index(b"IEND") - 4 - length
        content = (rest := content[:start] + content[start + length :])[:end] + chunk + rest[end:]
    expected = UPRIGHT[orientation](pixels if kind != "16 bits" else np.repeat((pixels >> 8)[:, :, None], 3, 2))
    assert (read_image(content) == expected).all()
    assert read_size(content) == (expected.shape[1], expected.shape[0])


def test_orientation_of_a_jpeg_photo() -> None:
    wide = np.zeros((16, 32, 3), np.uint8)
    wide[:, 16:] = 255
    content = encoded(wide, "JPEG", exif=turned(6), quality=95)
    image = read_image(content)
    assert image.shape == (32, 16, 3) and image[:8].max() < 30 and image[-8:].min() > 225, "right comes to the bottom"
    assert read_size(content) == (16, 32)


def test_a_damaged_note_does_not_spoil_the_picture() -> None:
    content = encoded(PIXELS, "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xffnonsense")
    assert (read_image(content) == PIXELS).all() and read_size(content) == (6, 4)


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file, 0 bytes"),
        (b"GIF", "not an image"),
        (b"this is text", "not an image"),
        (b"<html>Error 404</html>", "not an image"),
        (b"RIFF....WAVEfmt ", "not an image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\x89PNG\r\n\x1a\n", "."),
        (b"\xff\xd8\xff\xe0", "."),
        (b"BM" + b"\xff" * 60, "."),
        (b"II*\0\x08\0\0\0", "."),
    ],
)
def test_what_is_no_image_is_named_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "holiday photo.jpg"
    path.write_bytes(content)
    for read in (read_image, read_size):
        with pytest.raises(DataError, match=reason) as raised:
            read(path)
        assert repr(str(path)) in str(raised.value) and "None" not in str(raised.value)
    found = header_or_reason(path)
    assert isinstance(found, str) and found and str(path) not in found


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "JPEG2000", "PPM"])
def test_files_cut_short(tmp_path: Path, kind: str) -> None:
    noise = RNG.integers(0, 256, (60, 60, 3), dtype=np.uint8)
    path = tmp_path / "cut"
    whole = encoded(noise, kind)
    for share in (0.5, 0.95):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(DataError, match="cut"):
            read_image(path)


def test_a_flipped_byte_in_the_pixels() -> None:
    content = bytearray(encoded(RNG.integers(0, 256, (60, 60, 3), dtype=np.uint8), "PNG"))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(DataError, match="an image in memory"):
        read_image(bytes(content))


def test_a_file_that_is_not_there_and_a_folder(tmp_path: Path) -> None:
    assert header_or_reason(tmp_path / "gone.png") == "no such file"
    assert header_or_reason(tmp_path) == "a folder, not a file"
    assert not is_image(tmp_path / "gone.png") and not is_image(tmp_path)
    with pytest.raises(DataError, match=r"gone\.png.*no such file"):
        read_image(tmp_path / "gone.png")


@pytest.mark.parametrize("kind", ["named pipe", "socket", "device"])
def test_what_is_no_file_is_told_and_never_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "picture.png"
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "named pipe":
            os.mkfifo(path)
        elif kind == "socket":
            listening.bind(str(path))
        else:
            path.symlink_to("/dev/null")
        for read in (read_image, read_size, read_range):
            with pytest.raises(DataError, match=f"a {kind}, not a file"):
                read(path)
        assert header_or_reason(path) == f"a {kind}, not a file" and not is_image(path)


# --- large ------------------------------------------------------------------------------------------------------------


def png_bomb(side: int) -> bytes:
    """A PNG of side x side black pixels, 1 bit each, in a few kB; the rows are only promised."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_an_image_of_30000_pixels_a_side_is_refused_before_it_unpacks() -> None:
    for read in (read_image, read_size):
        with pytest.raises(DataError, match=r"30000 x 30000 pixels, more than the 178,956,970"):
            read(png_bomb(30_000), "bomb.png")


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_long_strip_is_read(kind: str) -> None:
    content = encoded(np.full((3, 30_000), 7, np.uint8), kind)
    assert read_size(content) == (30_000, 3)
    assert (read_image(content) == 7).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "GIF"])
def test_a_large_image_that_pillow_would_warn_of_is_read_without_a_warning(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    content = encoded(np.full((50, 60), 7, np.uint8), kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(content)).load()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        assert (read_image(content) == 7).all() and read_size(content) == (60, 50)
        assert list(warnings.filters) == before, "and other code is warned as before"
    monkeypatch.setattr(reading, "MAX_PIXELS", 2999)
    with pytest.raises(DataError, match="60 x 50 pixels, more than the 2,999"):
        read_image(content)


PEAK = """
import sys
from ravl_explore.data.reading import DataError, read_image, read_size
for path in sys.argv[1:]:
    for read in (read_image, read_size):
        try:
            read(path)
        except DataError as error:
            print(error)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def packed_png(side: int, bits: int, color: int, n_samples: int, *chunks: bytes) -> bytes:
    """A PNG of zeros, which packs a thousandfold."""
    pack, row = zlib.compressobj(1), bytes(1 + (side * bits * n_samples + 7) // 8)
    pixels = b"".join(pack.compress(row) for _ in range(side)) + pack.flush()
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, bits, color, 0, 0, 0))
    end = png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + end


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


PALETTE = (png_chunk(b"PLTE", bytes(6)), png_chunk(b"tRNS", b"\0\xff"))


@pytest.mark.parametrize(
    ("content", "read"),
    [
        (lambda: packed_png(13_300, 1, 3, 1, *PALETTE), True),
        (lambda: packed_png(6_900, 16, 2, 3), True),
        (lambda: packed_png(13_300, 8, 2, 3), False),
    ],
    ids=["transparent palette", "colour of 16 bits", "colour"],
)
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_a_small_file_never_takes_a_gigabyte(tmp_path: Path, content: Any, read: bool) -> None:
    path = tmp_path / "small.png"
    path.write_bytes(content())
    assert path.stat().st_size < 4_000_000
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    *told, peak = done.stdout.strip().splitlines()
    assert int(peak) < 1_000_000, "kB"
    assert len(told) == (0 if read else 2) and all("more than the 127," in each for each in told)
