"""Alignment of relevance with masks equals a count cell by cell."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest

from ravl_explore.errors import InputError
from ravl_explore.metrics import Alignment, alignment
from ravl_explore.metrics.alignment import minmax


def slow(maps: np.ndarray, promote: np.ndarray, suppress: np.ndarray) -> tuple[float, float, float, int]:
    hits = {"in": 0, "fore union": 0, "out": 0, "back union": 0}
    right = seen = n_images = 0
    shares = []
    for each, good, bad in zip(maps.tolist(), promote.tolist(), suppress.tolist(), strict=True):
        if not any(map(any, good)) or not any(map(any, bad)):
            continue
        n_images += 1
        cells = [value for row in each for value in row]
        low, high = min(cells), max(cells)
        scaled = [[(value - low) / (high - low) if high > low else 0.0 for value in row] for row in each]
        mean = sum(map(sum, scaled)) / len(cells)
        inside = total = 0.0
        for y, row in enumerate(scaled):
            for x, value in enumerate(row):
                if not good[y][x] and not bad[y][x]:
                    continue
                above = value > mean
                hits["in"] += above and good[y][x]
                hits["fore union"] += above or good[y][x]
                hits["out"] += (not above) and bad[y][x]
                hits["back union"] += (not above) or bad[y][x]
                right += above == good[y][x]
                seen += 1
                inside += value * good[y][x]
                total += value
        if total:
            shares.append(inside / total)
    if not n_images:
        return nan, nan, nan, 0
    miou = (hits["in"] / hits["fore union"] + hits["out"] / hits["back union"]) / 2
    return miou, right / seen, sum(shares) / len(shares) if shares else nan, n_images


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps, kind = rng.random((7, 4, 5)) * rng.random((7, 1, 1)) * 9, rng.integers(3, size=(7, 4, 5))
    kind[0], kind[1], kind[2], maps[3] = 0, 1, 2, 0.5
    found = alignment(maps, kind == 0, kind == 1)
    expected = slow(maps, kind == 0, kind == 1)
    assert (found.miou, found.pixel_accuracy, found.share, found.n_images) == pytest.approx(expected)
    assert found.n_images == 4


def test_the_best_and_the_worst_map() -> None:
    left = np.zeros((2, 4, 4), bool)
    left[:, :, :2] = True
    assert alignment(left.astype(np.float32), left, ~left) == Alignment(1.0, 1.0, 1.0, 2)
    assert alignment((~left).astype(np.float32), left, ~left) == Alignment(0.0, 0.0, 0.0, 2)


def test_the_scale_of_a_map_does_not_matter_and_cells_in_neither_mask_do_not_count() -> None:
    rng = np.random.default_rng(0)
    maps, kind = rng.random((4, 6, 6)), rng.integers(2, size=(4, 6, 6))
    assert vars(alignment(maps * 100 + 7, kind == 0, kind == 1)) == pytest.approx(
        vars(alignment(maps, kind == 0, kind == 1))
    )
    wide = np.full((4, 6, 12), np.nan)
    wide[:, :, :6] = maps
    wide[:, :, 6:] = maps  # same mean, so the same foreground
    none = np.zeros((4, 6, 6), bool)
    promote, suppress = (np.concatenate([kind == k, none], 2) for k in (0, 1))
    assert vars(alignment(wide, promote, suppress)) == pytest.approx(vars(alignment(maps, kind == 0, kind == 1)))


def test_nothing_to_count() -> None:
    none = np.zeros((3, 2, 2), bool)
    for maps, promote, suppress in (
        (np.ones((3, 2, 2)), none, none),
        (np.ones((3, 2, 2)), ~none, none),
        (np.ones((0, 2, 2)), none[:0], none[:0]),
    ):
        found = alignment(maps, promote, suppress)
        assert found.n_images == 0 and all(map(isnan, (found.miou, found.pixel_accuracy, found.share)))
    left = np.array([[[True, False]]])
    constant = alignment(np.full((1, 1, 2), 3.0), left, ~left)
    assert (constant.miou, constant.pixel_accuracy, constant.n_images) == (0.25, 0.5, 1) and isnan(constant.share)


def test_what_does_not_fit_is_refused() -> None:
    left = np.array([[[True, False]]])
    with pytest.raises(InputError, match=r"masks of the maps' shape \(1, 2, 2\)"):
        alignment(np.ones((1, 2, 2)), left, ~left)
    with pytest.raises(InputError, match="each cell in one mask at most, got 1 in both"):
        alignment(np.ones((1, 1, 2)), left, left)


def test_minmax_keeps_the_kind_of_number() -> None:
    found = minmax(np.array([[[1, 3], [2, 5]]], np.float32))
    assert found.dtype == np.float32 and found.ravel().tolist() == [0, 0.5, 0.25, 1]
