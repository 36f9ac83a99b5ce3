"""Boxes that come with the dataset, or that the user gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from ravl_explore.errors import InputError
from ravl_explore.regions.base import Regions
from ravl_explore.regions.dataset_members import HasImageSizes, own_regions
from ravl_explore.support import checks


@dataclass(frozen=True, eq=False)
class Given:
    """Use the boxes in ``regions``; without any, those that the dataset itself brings as ``data.regions``.

    Parameters
    ----------
    regions : Regions or None
        Boxes of the dataset's images, by their numbers there.

    Raises
    ------
    InputError
        When there are none, or a box lies outside its image.
    """

    regions: Regions | None = None

    def __post_init__(self) -> None:
        if self.regions is not None:
            checks.instance("regions", self.regions, Regions, "Give Given(Regions(boxes, image_index)).")

    @classmethod
    def menu(cls) -> dict[str, tuple[()]]:
        """Menu label -> constructor arguments."""
        return {"Boxes of the dataset": ()}

    @property
    def name(self) -> str:
        """Short name for menus."""
        return "Boxes of the dataset"

    def of_images(self, images: Int[np.ndarray, " n"], n_images: int) -> Given:
        """The same for some of the ``n_images`` images; a dataset's own boxes go with the dataset.

        Parameters
        ----------
        images : Int[np.ndarray, " n"]
            Numbers of images of the dataset.
        n_images : int
            How many the dataset has.
        """
        if self.regions is None:
            return self
        self.regions.check_images(n_images)
        return Given(self.regions.of_images(images))

    def __call__(self, data: HasImageSizes) -> Regions:
        """Boxes for every image, in pixels of the stored images.

        Parameters
        ----------
        data : HasImageSizes
            The dataset whose images are cut.
        """
        regions = self.regions if self.regions is not None else own_regions(data)
        if regions is None:
            raise InputError("a dataset with boxes", "one without", "Pick a grid, or give Given(Regions(...)).")
        checks.instance("regions", regions, Regions, "Make them with Regions(boxes, image_index).")
        checks.offers("data", data, "a dataset", ("image_sizes",), "Open one with data.open_dataset.")
        regions.check_inside(data.image_sizes)
        return regions
