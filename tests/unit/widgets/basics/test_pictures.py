"""Pictures: what is sent is the image itself, enlarged by whole pixels or made smaller, and text of others is text."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ravl_explore.errors import DataError
from ravl_explore.widgets.basics.pictures import STORED, data_url, enlarged, figure, image_name, lost, read_image


def decoded(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,")))))


def test_a_small_image_is_sent_as_it_is_and_a_large_one_made_smaller() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    np.testing.assert_array_equal(decoded(data_url(pixels)), pixels)
    assert decoded(data_url(np.zeros((2 * STORED, STORED, 3), np.uint8))).shape == (STORED, STORED // 2, 3)


@pytest.mark.parametrize(("shape", "times"), [((100, 70), 3), ((151, 10), 1), ((150, 150), 2), ((400, 2), 1)])
def test_enlarged_repeats_whole_pixels(shape: tuple[int, int], times: int) -> None:
    mask = np.random.default_rng(1).random(shape) < 0.5
    expected = np.array(
        [[mask[y // times, x // times] for x in range(shape[1] * times)] for y in range(shape[0] * times)]
    )
    np.testing.assert_array_equal(enlarged(mask), expected)
    np.testing.assert_array_equal(enlarged(np.stack([mask] * 3, -1))[..., 2], expected)


def test_captions_and_reasons_are_text() -> None:
    shown = figure(np.full((2, 2, 3), 7, np.uint8), "<b>cat</b> & dog", "smooth")
    assert "<b>" not in shown and shown.count("&lt;b&gt;cat&lt;/b&gt; &amp; dog") == 2 and 'class="smooth"' in shown
    (url,) = re.findall(r'src="([^"]+)"', shown)
    assert (decoded(url) == 7).all()
    assert lost("no <i>file</i>") == "<figure><p>no &lt;i&gt;file&lt;/i&gt;</p></figure>"


def test_an_image_that_cannot_be_read_says_why(make_data: Callable[..., Any]) -> None:
    data = make_data(3)
    pixels, reason = read_image(data, 1)
    assert reason == "" and pixels is not None
    np.testing.assert_array_equal(pixels, data.image(1))

    def fail(index: int) -> np.ndarray:
        raise DataError("an image", f"{index}", "Mend it.")

    data.image = fail
    assert read_image(data, 2) == (None, "Expected an image, got 2. Mend it.")


@pytest.mark.parametrize(
    ("where", "name"), [("/a/b/c.png", "b/c.png"), ("row 3 of x/y", "row 3 of x/y"), ("c.png", "mine, c.png")]
)
def test_names_of_images(where: str, name: str) -> None:
    data: Any = SimpleNamespace(name="mine", where=lambda image: where)
    assert image_name(data, 3) == name
    assert image_name(SimpleNamespace(name="mine"), 3) == "mine, image 3"  # type: ignore[arg-type]
