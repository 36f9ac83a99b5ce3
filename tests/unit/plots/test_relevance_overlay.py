"""The overlay keeps the image's size and the map's cells, and its colours run evenly from dark to light."""

from __future__ import annotations

import numpy as np
import pytest

from ravl_explore.errors import InputError
from ravl_explore.plots.relevance import cividis, overlay


def test_each_cell_covers_its_part_of_the_image() -> None:
    heat = np.array([[0.0, 1.0], [0.5, 0.25]], np.float32)
    found = overlay(np.zeros((5, 7, 3), np.uint8), heat, 1.0)
    assert found.shape == (5, 7, 3) and found.dtype == np.uint8
    for y in range(5):
        for x in range(7):
            expected = cividis(heat[y * 2 // 5, x * 2 // 7])
            assert found[y, x].tolist() == np.rint(expected).tolist()


def test_the_image_stays_visible_in_grey() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    found = overlay(pixels, np.zeros((1, 1)), 0.0).astype(int)
    for y in range(6):
        for x in range(6):
            grey = round(0.299 * int(pixels[y, x, 0]) + 0.587 * int(pixels[y, x, 1]) + 0.114 * int(pixels[y, x, 2]))
            assert np.abs(found[y, x] - grey).max() <= 1
    half = overlay(pixels, np.ones((1, 1)), 0.5)
    assert np.abs(half - (0.5 * cividis(np.array(1.0)) + 0.5 * found)).max() <= 1


def test_lightness_rises_evenly() -> None:
    """Cividis was made for that; a rainbow would fail here."""
    linear = cividis(np.linspace(0, 1, 50)) / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)  # CIE L*
    steps = np.diff(lightness)
    assert (steps > 0).all() and steps.max() < 2.5 * steps.mean()


@pytest.mark.parametrize(
    "heat", [np.full((2, 2), np.nan), np.full((2, 2), 1.5), np.full((2, 2), -0.1), np.zeros((0, 0))]
)
def test_other_values_are_refused(heat: np.ndarray) -> None:
    with pytest.raises(InputError, match="a map of values from 0 to 1"):
        overlay(np.zeros((4, 4, 3), np.uint8), heat)
