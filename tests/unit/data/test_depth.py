"""Of 16 bits those count that are used; see-through samples lie on white."""

from __future__ import annotations

import numpy as np
import pytest

from ravl_explore.data.depth import colors_of, on_white, opacity, to_8_bits


@pytest.mark.parametrize(("depth", "expected"), [(8, [3, 255, 255]), (10, [0, 64, 255]), (16, [0, 1, 255])])
def test_the_upper_8_of_the_depth_are_kept_and_more_is_white(depth: int, expected: list[int]) -> None:
    assert to_8_bits(np.array([3, 256, 65535], np.uint16), depth).tolist() == expected


@pytest.mark.parametrize(("n_channels", "n_colors"), [(2, 1), (3, 3), (4, 3)])
def test_alpha_is_no_colour(n_channels: int, n_colors: int) -> None:
    assert colors_of(np.zeros((2, 3, n_channels), np.uint16)).shape == (2, 3, n_colors)


def test_alpha_has_the_depth_of_the_colours_unless_it_is_larger() -> None:
    assert opacity(np.array([[0, 1023]], np.uint16), 10).tolist() == [[0, 255]]
    assert opacity(np.array([[0, 65535]], np.uint16), 10).tolist() == [[0, 255]]


def test_half_of_a_colour_lies_on_half_of_white() -> None:
    color, alpha = np.array([[[100]], [[100]], [[100]]], np.uint8), np.array([[0], [128], [255]], np.uint8)
    assert on_white(color, alpha, premultiplied=False).ravel().tolist() == [255, 177, 100]
    stored = np.array([[[0]], [[50]], [[100]]], np.uint8)
    assert on_white(stored, alpha, premultiplied=True).ravel().tolist() == [255, 177, 100]
