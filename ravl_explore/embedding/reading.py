"""Reader: the images of a dataset batch by batch, read ahead in threads while others are embedded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.checked_images import checked_image
from ravl_explore.data.optional_members import where
from ravl_explore.embedding.skipping import Unreadable
from ravl_explore.errors import DataError
from ravl_explore.models.base import resize

READERS = min(8, os.cpu_count() or 1)
SHRINK = 4  # images of more than this many times the model's pixels are squashed as they are read, to spare memory

Image = np.ndarray | Tensor
"""As it is stored, (height, width, 3) uint8; or squashed, (3, size, size) from 0 to 1."""


class Reader:
    """Reads images, and tells of those that cannot be read.

    Parameters
    ----------
    data : ImageTextDataset
        Whose images are read, from its first to its last.
    numbers : Int[np.ndarray, " n_images"]
        What each is to be called where it cannot be read: its number in the dataset that ``data`` is a part of.
    sizes : Int[np.ndarray, "n_images 2"]
        Width and height that each must have, in pixels.
    image_size : int
        Side of the model's input, in pixels.
    skips : bool
        Whether an image that cannot be read is told in its place; otherwise its error is raised.
    """

    def __init__(
        self,
        data: ImageTextDataset,
        numbers: Int[np.ndarray, " n_images"],
        sizes: Int[np.ndarray, "n_images 2"],
        image_size: int,
        skips: bool,
    ) -> None:
        self._data, self._numbers, self._sizes = data, numbers, sizes
        self._image_size, self._skips = image_size, skips

    def batches(self, start: int, batch_size: int) -> Iterator[tuple[range, list[Image | Unreadable]]]:
        """The images from ``start`` on, and their places in ``data``; the next batch is read while one is worked on."""
        n_images = len(self._data)
        with ThreadPoolExecutor(READERS, thread_name_prefix="ravl_explore reader") as pool:
            batches = [range(first, min(first + batch_size, n_images)) for first in range(start, n_images, batch_size)]
            ahead: list[Future[Image | Unreadable]] = []
            try:
                for places, following in zip(batches, [*batches[1:], range(0)], strict=False):
                    now = ahead or [pool.submit(self._read, place) for place in places]
                    ahead = [pool.submit(self._read, place) for place in following]
                    yield places, [image.result() for image in now]
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _read(self, place: int) -> Image | Unreadable:
        try:
            image = checked_image(self._data, place, self._sizes[place])
        except DataError as error:
            if not self._skips:
                raise
            return Unreadable(int(self._numbers[place]), where(self._data, place), error.came)
        size = self._image_size
        return resize([image], size)[0] if image.size > SHRINK * 3 * size**2 else image


def squashed(images: list[Image], size: int) -> Float[Tensor, "n 3 size size"]:
    """A batch at the model's ``size``; images that were not squashed as they were read are squashed together."""
    stored = [image for image in images if isinstance(image, np.ndarray)]
    if len(stored) == len(images):
        return resize(stored, size)
    return torch.stack([image if isinstance(image, Tensor) else resize([image], size)[0] for image in images])
