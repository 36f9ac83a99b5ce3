"""tint(): each pixel gets the colour of the mask that it is in."""

from __future__ import annotations

import numpy as np

from ravl_explore.plots.masks import PROMOTED, SUPPRESSED, tint


def test_tint_colours_what_the_masks_say() -> None:
    pixels = np.full((4, 6, 3), 100, np.uint8)
    promote, suppress = np.zeros((4, 6), bool), np.zeros((4, 6), bool)
    promote[:, :2], suppress[:, 4:] = True, True
    shown = tint(pixels, promote, suppress, strength=255, stripe=1)
    assert (shown[:, :2] == PROMOTED).all() and (shown[:, 2:4] == 100).all()
    for y in range(4):
        for x in (4, 5):
            assert shown[y, x].tolist() == (list(SUPPRESSED) if (y + x) % 2 == 0 else [0, 0, 0])
    half = tint(pixels, promote, suppress, strength=51, stripe=9)
    assert half[0, 0].tolist() == [round(100 + (c - 100) / 5) for c in PROMOTED]
    assert (tint(pixels, promote & False, suppress & False) == pixels).all()
