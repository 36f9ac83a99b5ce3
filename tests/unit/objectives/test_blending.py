"""Crops put into pictures: ramps pixel by pixel, Poisson against a direct solve of the equations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from ravl_explore.objectives.blending import feathered, paste, seamless, whole_pixels

# in a picture of 12 x 12: inside, at a corner, along one side, across from side to side, a row, a pixel, at two sides
BOXES = [
    (3, 2, 9, 10),
    (0, 0, 5, 4),
    (4, 0, 9, 6),
    (0, 3, 12, 8),
    (2, 5, 10, 6),
    (7, 7, 8, 8),
    (5, 0, 9, 12),
    (11, 11, 12, 12),
]


def picture(seed: int, height: int = 12, width: int = 12) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def solved(into: Tensor, crop: Tensor, box: tuple[int, int, int, int]) -> np.ndarray:
    """Poisson's equation written out pixel by pixel and solved at once.

    For each neighbour q of a pixel p: u_p - u_q = crop_p - crop_q inside the box, u_p - picture_q = 0 where q is just
    outside it (there the crop is continued as it ends), and nothing where q is outside the picture.
    """
    x1, y1, x2, y2 = box
    size, around, donor = into.shape[-1], into.double().numpy(), crop.double().numpy()
    places = list(itertools.product(range(y1, y2), range(x1, x2)))
    matrix, right = np.zeros((len(places), len(places))), np.zeros((3, len(places)))
    for row, (y, x) in enumerate(places):
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if not (0 <= v < size and 0 <= u < size):
                continue
            matrix[row, row] += 1
            if (v, u) in places:
                matrix[row, places.index((v, u))] -= 1
                right[:, row] += donor[:, y - y1, x - x1] - donor[:, v - y1, u - x1]
            else:
                right[:, row] += around[:, v, u]
    return np.linalg.solve(matrix, right.T).T.reshape(3, y2 - y1, x2 - x1).clip(0, 1)


@pytest.mark.parametrize("box", BOXES)
def test_poisson_is_the_direct_solution(box: tuple[int, int, int, int]) -> None:
    into, crop = picture(0), picture(1, box[3] - box[1], box[2] - box[0]) * 0.2 + 0.4
    found = seamless(into, crop, box)
    assert found.dtype == torch.float32
    assert torch.allclose(found, torch.from_numpy(solved(into, crop, box)).float(), atol=1e-6)


def test_poisson_keeps_what_fits_already_and_loses_plain_color() -> None:
    smooth = (torch.arange(12.0)[:, None] + torch.arange(12.0))[None].expand(3, -1, -1) / 40
    assert torch.allclose(
        seamless(smooth, smooth[:, 3:8, 2:9], (2, 3, 9, 8))[:, 1:-1, 1:-1].diff(dim=2), torch.tensor(1 / 40), atol=0.02
    )
    gray, red = torch.full((3, 12, 12), 0.5), torch.tensor([1.0, 0, 0])[:, None, None].expand(3, 4, 4)
    assert torch.allclose(seamless(gray, red, (2, 2, 6, 6)), torch.tensor(0.5)), (
        "documented: only color, so nothing stays"
    )


def test_poisson_of_a_whole_picture_is_the_crop() -> None:
    crop = picture(1)
    assert torch.equal(seamless(picture(0), crop, (0, 0, 12, 12)), crop)


@pytest.mark.parametrize("box", [*BOXES, (0, 0, 12, 12), (2, 2, 10, 10)])
def test_a_feathered_edge_is_a_ramp(box: tuple[int, int, int, int]) -> None:
    x1, y1, x2, y2 = box
    ramp = max(1, round(min(x2 - x1, y2 - y1) / 8))

    def one(place: int, start: int, stop: int) -> float:
        steps = [place - start + 1] * (start > 0) + [stop - place] * (stop < 12) + [ramp + 1]
        return min(steps) / (ramp + 1)

    expected = [[one(y, y1, y2) * one(x, x1, x2) for x in range(x1, x2)] for y in range(y1, y2)]
    assert torch.allclose(feathered(box, 12), torch.tensor(expected))


@pytest.mark.parametrize("blend", ["none", "feather", "poisson"])
@pytest.mark.parametrize("box", BOXES)
def test_only_the_box_changes(blend: str, box: tuple[int, int, int, int]) -> None:
    into, crop = picture(0), picture(1, 5, 3)
    before, donor = into.clone(), crop.clone()
    paste(into, crop, box, blend)  # pyright: ignore[reportArgumentType]
    x1, y1, x2, y2 = box
    outside = torch.ones(12, 12, dtype=torch.bool)
    outside[y1:y2, x1:x2] = False
    assert torch.equal(into[:, outside], before[:, outside]) and torch.equal(crop, donor)
    assert not torch.equal(into, before) and into.min() >= 0 and into.max() <= 1


def test_feathered_pixels_are_between_both() -> None:
    into = torch.zeros(3, 32, 32)
    paste(into, torch.ones(3, 16, 16), (8, 8, 24, 24), "feather")
    assert torch.allclose(into[0, 16, 7:12], torch.tensor([0, 1 / 3, 2 / 3, 1, 1]))
    assert torch.allclose(into[0, 8, 8], torch.tensor(1 / 9))


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ((0.4, 0.6, 3.6, 4.4), (0, 1, 4, 4)),
        ((7.8, 7.8, 8, 8), (7, 7, 8, 8)),
        ((-5, -5, -1, -1), (0, 0, 1, 1)),
        ((9, 9, 20, 20), (7, 7, 8, 8)),
        ((3, 3, 3, 3), (3, 3, 4, 4)),
    ],
)
def test_boxes_become_whole_pixels_of_the_picture(box: tuple, pixels: tuple) -> None:
    assert whole_pixels(torch.tensor([0, *box], dtype=torch.float32), 8) == pixels
