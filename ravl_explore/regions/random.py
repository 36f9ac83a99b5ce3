"""Random boxes: what to compare other proposers with, and a look at an image that no grid steers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ravl_explore.errors import InputError
from ravl_explore.regions.base import Regions
from ravl_explore.regions.dataset_members import HasImageSizes
from ravl_explore.regions.proposing import check_room, sizes_of_images
from ravl_explore.support import checks
from ravl_explore.support.fields import Field


@dataclass(frozen=True)
class Random:
    """``n`` boxes in every image, of sides and places drawn evenly; the same seed gives the same boxes.

    An image's boxes depend on the seed, its place in the dataset and its size, not on how many images follow.

    Parameters
    ----------
    n : int
        Boxes per image.
    seed : int
        Of the draw.
    min_size, max_size : float
        Bounds of a box's width and height, as fractions of the image's (0 to 1); no side is below one pixel.

    Raises
    ------
    InputError
        For settings out of range.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> Random(3, seed=0)(SimpleNamespace(image_sizes=np.array([[80, 40], [9, 9]]))).count(2).tolist()
    [3, 3]
    """

    form_label = "Random boxes"
    form = (
        Field("n", "Boxes", "integer", 20, "per image"),
        Field("seed", "Seed", "integer", 0, "the same seed gives the same boxes"),
        Field("min_size", "Smallest", "number", 0.1, "side of a box, as a fraction of the image's"),
        Field("max_size", "Largest", "number", 0.5, "side of a box, as a fraction of the image's"),
    )

    n: int = 20
    seed: int = 0
    min_size: float = 0.1
    max_size: float = 0.5

    def __post_init__(self) -> None:
        remedy = "They are fractions of the image's width and height."
        values = {
            "n": checks.whole("at least one box per image: n", self.n, 1, remedy="Try Random(20)."),
            "seed": checks.seed("seed", self.seed),
            "min_size": checks.number("min_size", self.min_size, above=0, high=1, remedy=remedy),
            "max_size": checks.number("max_size", self.max_size, above=0, high=1, remedy=remedy),
        }
        if self.min_size > self.max_size:
            raise InputError("0 < min_size <= max_size <= 1", f"{self.min_size} and {self.max_size}", remedy)
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def name(self) -> str:
        """Short name for menus."""
        return f"{self.n} random boxes, seed {self.seed}"

    def __call__(self, data: HasImageSizes) -> Regions:
        """Boxes for every image, in pixels of the stored images.

        Parameters
        ----------
        data : HasImageSizes
            The dataset whose images are cut.
        """
        sizes = sizes_of_images(data)[:, None]
        check_room(self.n, len(sizes), self.name, "Take fewer boxes.")
        drawn = np.random.default_rng(self.seed).random((len(sizes), self.n, 4), dtype=np.float32)
        share = self.min_size + (self.max_size - self.min_size) * drawn[..., :2]
        sides = np.minimum(np.maximum(share * sizes, 1), sizes)
        corners = drawn[..., 2:] * (sizes - sides)
        boxes = np.concatenate([corners, np.minimum(corners + sides, sizes)], axis=2).reshape(-1, 4)
        return Regions(boxes, np.repeat(np.arange(len(sizes)), self.n))
