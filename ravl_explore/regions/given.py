"""Boxes that come with the dataset, or that the user gives."""

from __future__ import annotations

from dataclasses import dataclass

from ravl_explore.errors import InputError
from ravl_explore.regions.base import HasImageSizes, Regions
from ravl_explore.support import checks


@dataclass(frozen=True, eq=False)
class Given:
    """Use the boxes in ``regions``; without any, those that the dataset itself brings as ``data.regions``.

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
        return "Boxes of the dataset"

    def __call__(self, data: HasImageSizes) -> Regions:
        regions = self.regions if self.regions is not None else getattr(data, "regions", None)
        if regions is None:
            raise InputError("a dataset with boxes", "one without", "Pick a grid, or give Given(Regions(...)).")
        checks.instance("regions", regions, Regions, "Make them with Regions(boxes, image_index).")
        checks.offers("data", data, "a dataset", ("image_sizes",), "Open one with data.open_dataset.")
        regions.check_inside(data.image_sizes)
        return regions
