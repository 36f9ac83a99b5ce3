"""A box covers the whole pixels that it touches: inside its image, and at least one."""

from __future__ import annotations

import numpy as np
import pytest

from ravl_explore.regions.covered_pixels import covered_pixels

WIDTH, HEIGHT = 40, 30


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ((0, 0, 20, 15), (0, 0, 20, 15)),
        ((10.4, 5.6, 12.2, 7.1), (10, 5, 13, 8)),
        ((7.2, 3, 7.6, 9), (7, 3, 8, 9)),
        ((-1, -0.5, 10, 10), (0, 0, 10, 10)),
        ((30, 20, 40.8, 30.6), (30, 20, 40, 30)),
        ((-1, -2, 0.5, 0.1), (0, 0, 1, 1)),
        ((-2, -3, -1, -1), (0, 0, 1, 1)),
        ((39.9, 29.9, 44, 44), (39, 29, 40, 30)),
        ((40.2, 30, 41, 31), (39, 29, 40, 30)),
    ],
)
def test_what_a_box_covers_by_hand(box: tuple, pixels: tuple) -> None:
    for kind in (np.float32, np.float64):
        assert covered_pixels(np.array(box, kind), WIDTH, HEIGHT) == pixels


def test_every_pixel_that_a_box_touches_and_no_other() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        x1, y1 = rng.uniform(0, (WIDTH - 1, HEIGHT - 1))
        x2, y2 = rng.uniform((x1 + 0.01, y1 + 0.01), (WIDTH, HEIGHT))
        columns = [x for x in range(WIDTH) if x < x2 and x + 1 > x1]
        rows = [y for y in range(HEIGHT) if y < y2 and y + 1 > y1]
        left, top, right, bottom = covered_pixels(np.array([x1, y1, x2, y2]), WIDTH, HEIGHT)
        assert list(range(left, right)) == columns and list(range(top, bottom)) == rows
