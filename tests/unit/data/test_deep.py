"""Pictures of 16 bits keep all their bits, in colour too, until they are cut by the depth that they use."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ravl_explore.data import deep
from ravl_explore.data.reading import DEEP, header_or_reason, read_image, read_range
from ravl_explore.errors import DataError

RNG = np.random.default_rng(0)
SHIFTS = {300: 2, 4096: 4, 16000: 6, 65536: 8}


def png(values: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of 16 bits: grey, grey and alpha, RGB or RGBA by its channels."""
    height, width = values.shape[:2]
    color = {2: 4, 3: 2, 4: 6}[values.shape[2]] if values.ndim == 3 else 0
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    header = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def tiff(values: np.ndarray, *, order: str = "<", planar: bool = False, photometric: int = 2, extra: Any = ()) -> bytes:
    """A TIFF of 16 bits, its tags after the pixels, one strip a plane."""
    height, width, n_samples = values.shape
    planes = [values[..., i] for i in range(n_samples)] if planar else [values]
    strips = [plane.astype(f"{order}u2").tobytes() for plane in planes]
    places = [8 + sum(map(len, strips[:i])) for i in range(len(strips))]
    entries = [
        (256, [width]), (257, [height]), (258, [16] * n_samples), (259, [1]), (262, [photometric]), (273, places),
        (277, [n_samples]), (278, [height]), (279, list(map(len, strips))), (284, [2 if planar else 1]),
    ] + ([(338, list(extra))] if extra else [])  # fmt: skip
    start = 8 + sum(map(len, strips))
    after = start + 2 + 12 * len(entries) + 4
    table, tail = struct.pack(f"{order}H", len(entries)), b""
    for tag, numbers in entries:
        content = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if len(content) > 4:
            place, tail = struct.pack(f"{order}I", after + len(tail)), tail + content
        else:
            place = content
        table += struct.pack(f"{order}HHI", tag, 4, len(numbers)) + place
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    return head + b"".join(strips) + table + bytes(4) + tail


def values_below(top: int, n_channels: int = 3) -> np.ndarray:
    values = RNG.integers(0, top, (5, 7, n_channels)).astype(np.uint16)
    values[0, 0] = top - 1
    return values


@pytest.mark.parametrize("top", SHIFTS)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "TIFF big", "TIFF planes", "TIFF big planes", "PPM", "PPM plain"])
def test_colours_are_cut_as_greys_are(kind: str, top: int) -> None:
    values = values_below(top)
    if kind == "PNG":
        content = png(values)
    elif kind.startswith("TIFF"):
        content = tiff(values, order=">" if "big" in kind else "<", planar="planes" in kind)
    elif kind == "PPM":
        content = b"P6\n7 5\n65535\n" + values.astype(">u2").tobytes()
    else:
        content = b"P3\n7 5\n65535\n" + b" ".join(b"%d" % value for value in values.ravel())
    assert (read_image(content) == values >> SHIFTS[top]).all()
    header = header_or_reason(content)
    assert not isinstance(header, str) and header.kind == DEEP and read_range(content) == (0, top - 1)


@pytest.mark.parametrize("kind", ["PNG grey", "TIFF", "PGM", "PGM plain", "JPEG 2000"])
def test_greys_of_every_format_go_by_one_rule(kind: str) -> None:
    values = values_below(4096, 1)[..., 0]
    out = io.BytesIO()
    if kind == "PGM":
        out.write(b"P5\n7 5\n65535\n" + values.astype(">u2").tobytes())
    elif kind == "PGM plain":
        out.write(b"P2\n7 5\n65535\n" + b" ".join(b"%d" % value for value in values.ravel()))
    else:
        Image.fromarray(values).save(out, {"PNG grey": "PNG", "JPEG 2000": "JPEG2000"}.get(kind, kind))
    assert (read_image(out.getvalue()) == (values >> 4)[..., None]).all()


def test_a_depth_that_the_file_declares_holds() -> None:
    values = np.array([[0, 50, 100]], np.uint16)
    pgm = b"P5\n3 1\n4095\n" + values.astype(">u2").tobytes()
    assert read_image(pgm)[0, :, 0].tolist() == [0, 3, 6], "12 bits, though the picture is dark"
    header = header_or_reason(pgm)
    assert not isinstance(header, str) and header.kind == "", "so it needs no other picture"
    out = io.BytesIO()
    Image.fromarray(np.full((8, 8), 2**15 - 500, np.uint16)).save(out, "JPEG2000", no_jp2=True)
    of_12 = bytearray(out.getvalue())
    of_12[of_12.index(b"\xff\x4f\xff\x51") + 42] = 11  # bits less one, so that the middle is 2048 and not 32768
    assert (read_image(bytes(of_12)) == (2048 - 500) >> 4).all()
    assert read_image(png(values, (b"sBIT", b"\x0c")))[0, :, 0].tolist() == [0, 3, 6]
    assert read_image(png(values))[0, :, 0].tolist() == [0, 50, 100]


def test_opacity_of_16_bits() -> None:
    color = values_below(4096)
    for opaque in (4095, 65535):
        alpha = np.full((5, 7, 1), opaque, np.uint16)
        alpha[2:] = 0
        expected = (color >> 4).astype(np.uint8)
        expected[2:] = 255
        assert (read_image(png(np.concatenate([color, alpha], 2))) == expected).all()
        assert (read_image(tiff(np.concatenate([color, alpha], 2), extra=[2])) == expected).all()
        gray = read_image(png(np.concatenate([color[..., :1], alpha], 2)))
        assert (gray == expected[..., :1]).all()
    half = tiff(np.array([[[1000, 0, 0, 32768]]], np.uint16), extra=[1])  # already dimmed by its alpha
    assert read_image(half).tolist() == [[[255, 127, 127]]]


def test_a_transparent_colour_of_16_bits() -> None:
    values = np.array([[(1000, 2000, 3000), (1000, 2000, 3001)]], np.uint16)
    keyed = png(values, (b"tRNS", values[0, 0].astype(">u2").tobytes()))
    assert read_image(keyed).tolist() == [[[255, 255, 255], [62, 125, 187]]]
    gray = png(values[..., 0] + np.array([[0, 1]], np.uint16), (b"tRNS", struct.pack(">H", 1000)))
    assert read_image(gray)[0, :, 0].tolist() == [255, 1001 >> 2]


def test_white_is_zero_in_16_bits_as_in_8() -> None:
    out = io.BytesIO()
    Image.fromarray(np.array([[0, 4095]], np.uint16)).save(out, "TIFF", tiffinfo={262: 0})
    assert read_image(out.getvalue())[0, :, 0].tolist() == [255, 0]


def test_the_upper_8_bits_alone_do_where_all_16_are_used() -> None:
    deep.check_upper(8, np.full((1, 1, 3), 3, np.uint8))
    deep.check_upper(16, np.full((1, 1, 3), 64, np.uint8))
    with pytest.raises(ValueError, match="save it as PNG or TIFF"):
        deep.check_upper(16, np.full((1, 1, 3), 63, np.uint8))


def test_a_damaged_picture_of_16_bits_is_named() -> None:
    content = png(values_below(65536))
    with pytest.raises(DataError, match="an image in memory"):
        read_image(content[:80])
