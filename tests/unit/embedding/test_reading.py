"""Images are read in order, batch by batch, from where an earlier run stopped; large ones are squashed on reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from ravl_explore.embedding.reading import Reader, squashed
from ravl_explore.models.base import resize

SIZE = 16


def reader(data: Any) -> Reader:
    return Reader(data, np.arange(len(data)), data.image_sizes, SIZE, skips=False)


@pytest.mark.parametrize(("start", "batch_size"), [(0, 3), (2, 3), (4, 5), (0, 7), (0, 20), (7, 3)])
def test_batches_hold_every_image_once(make_data: Callable[..., Any], start: int, batch_size: int) -> None:
    data = make_data(7)
    read = list(reader(data).batches(start, batch_size))
    assert [place for places, _ in read for place in places] == list(range(start, 7))
    assert all(len(places) == len(images) <= batch_size for places, images in read)
    for places, images in read:
        for place, image in zip(places, images, strict=True):
            assert np.array_equal(image, data.image(place))


def test_a_batch_is_the_same_whenever_it_was_squashed(make_data: Callable[..., Any]) -> None:
    shapes = [(20, 24), (90, 80), (24, 20)]  # the second has over four times the model's pixels
    images = [np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]
    ((_, read),) = reader(make_data(3, images=images)).batches(0, 3)
    assert [isinstance(image, torch.Tensor) for image in read] == [False, True, False]
    torch.testing.assert_close(squashed(read, SIZE), resize(images, SIZE), rtol=0, atol=0)
