"""Pixels and facts of regions, for the crop gallery."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.checked_images import checked_image
from ravl_explore.discovery import Discovery
from ravl_explore.regions.covered_pixels import covered_pixels
from ravl_explore.widgets.basics.pictures import image_name, png

MOST_SCORES = 5


class DiscoverySource:
    """Crops of a dataset's regions with what the searched model said of them.

    Parameters
    ----------
    discovery : Discovery
        Whose regions they are.
    data : ImageTextDataset
        The images that it was made from.
    """

    def __init__(self, discovery: Discovery, data: ImageTextDataset) -> None:
        self._discovery, self._data = discovery, data
        self._embeddings = discovery.scores.embeddings

    def crop(self, region: int, size: int) -> bytes:
        """The region's own pixels as PNG, at most ``size`` pixels wide and high."""
        image = Image.fromarray(self._pixels(region))
        return png(image.crop(covered_pixels(self._embeddings.regions.boxes[region], *image.size)), size)

    def image(self, region: int, size: int) -> tuple[bytes, tuple[float, float, float, float]]:
        """The whole image as PNG, and the region's box as fractions of its width and height."""
        pixels = self._pixels(region)
        height, width = pixels.shape[:2]
        x1, y1, x2, y2 = (float(value) for value in self._embeddings.regions.boxes[region])
        return png(Image.fromarray(pixels), size), (x1 / width, y1 / height, x2 / width, y2 / height)

    def describe(self, region: int) -> dict[str, object]:
        """Image number, label, prediction, cluster, and the highest class scores of image and region."""
        scores, names = self._discovery.scores, self._embeddings.class_names
        image = self._image_of(region)
        label, prediction = int(self._embeddings.labels[image]), int(scores.predictions[image])
        order = np.argsort(-np.maximum(scores.image[image], scores.region[region]))[:MOST_SCORES]
        return {
            "image": image,
            "name": image_name(self._data, image),
            "label": names[label],
            "prediction": names[prediction],
            "correct": label == prediction,
            "cluster": int(self._discovery.clustering.labels[region]),
            "scores": [
                {
                    "class_name": names[c],
                    "image": float(scores.image[image, c]),
                    "region": float(scores.region[region, c]),
                }
                for c in order
            ],
        }

    def _image_of(self, region: int) -> int:
        return int(self._embeddings.regions.image_index[region])

    def _pixels(self, region: int) -> np.ndarray:
        return checked_image(self._data, self._image_of(region))
