"""Annotations: what is known of a dataset beside labels: which images hold a feature, and what regions show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.regions.base import Regions
from ravl_explore.support import checks


@dataclass(frozen=True, eq=False)
class Annotations:
    """What the makers of a dataset marked by hand; each part None where they did not.

    Attributes
    ----------
    feature_name : str or None
        What the marked feature is called.
    feature_present : Bool[np.ndarray, " n_images"] or None
        Which images hold it.
    region_labels : Int[np.ndarray, " n_regions"] or None
        The class that a region shows, -1 for none; of the dataset's own regions, so None where others were embedded.
    """

    feature_name: str | None = None
    feature_present: Bool[np.ndarray, " n_images"] | None = None
    region_labels: Int[np.ndarray, " n_regions"] | None = None

    @classmethod
    def of(cls, data: ImageTextDataset, regions: Regions) -> Annotations:
        """Of a dataset whose ``regions`` were embedded.

        Parameters
        ----------
        data : ImageTextDataset
        regions : Regions
            Those that were embedded, which may be others than its own.
        """
        own, shown = data.regions, data.region_labels
        same = (
            own is not None
            and np.array_equal(own.image_index, regions.image_index)
            and np.allclose(own.boxes, regions.boxes)
        )
        return cls(data.feature_name, data.feature_present, shown if same else None)

    def check(self, n_images: int, n_regions: int, n_classes: int) -> None:
        """Raise InputError unless they fit so many images, regions and classes.

        Parameters
        ----------
        n_images : int
        n_regions : int
        n_classes : int
        """
        if self.feature_name is not None:
            checks.text("feature_name", self.feature_name, empty=True)
        if self.feature_present is not None:
            checks.array("feature_present", self.feature_present, "b", (n_images,))
        if self.region_labels is not None:
            checks.array("region_labels", self.region_labels, "iu", (n_regions,), -1, n_classes - 1)


NO_ANNOTATIONS = Annotations()
