"""TrainingSet: a dataset made ready for fine-tuning, and the batches cut from it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ravl_explore.assignment.assignment import Assignment
from ravl_explore.concepts.base import ConceptMasks
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.checked_images import checked_image
from ravl_explore.models.base import batch_boxes, resize
from ravl_explore.objectives.base import Batch

PIXELS_AT_ONCE = 2**22  # stored pixels that are held in full while they are squashed: 12 MB, and 50 MB as floats


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """A dataset made ready for fine-tuning: what its regions show was decided before.

    Attributes
    ----------
    data : ImageTextDataset
        The images.
    assignment : Assignment
        Which of their regions show the feature, and the classes to learn.
    captions : Float[Tensor, "n_unique dim"]
        Embeddings of the distinct captions.
    caption_index : Int[np.ndarray, " n_images"]
        Which of them an image has.
    classes : Float[Tensor, "n_classes dim"]
        Embeddings of the classes.
    temperature : float
        What similarities are divided by.
    concepts : ConceptMasks or None
        Where to look in each image, for objectives that use relevance.
    """

    data: ImageTextDataset
    assignment: Assignment
    captions: Float[Tensor, "n_unique dim"]
    caption_index: Int[np.ndarray, " n_images"]
    classes: Float[Tensor, "n_classes dim"]
    temperature: float
    concepts: ConceptMasks | None = None

    @property
    def labels(self) -> Int[np.ndarray, " n_images"]:
        """Class of each image, -1 where its caption names none."""
        return self.data.labels if self.assignment.labels is None else self.assignment.labels

    def batch(self, images: Int[np.ndarray, " b"], size: int, image_sizes: np.ndarray) -> Batch:
        """The images of a step, squashed, with their regions and, if there are any, concept masks.

        Parameters
        ----------
        images : Int[np.ndarray, " b"]
            Indices into the dataset.
        size : int
            Side of the model's input, in pixels.
        image_sizes : Int[np.ndarray, "n_images 2"]
            Width and height of every image of the dataset, in pixels.
        """
        marked, regions = self.assignment, self.assignment.regions
        rows, _ = regions.rows_of(images)
        batch = Batch(
            pixels=self._pixels(images, size, image_sizes),
            boxes=batch_boxes(regions, image_sizes, images, size),
            labels=torch.from_numpy(self.labels[images]),
            captions=self.captions[self.caption_index[images]],
            classes=self.classes,
            temperature=self.temperature,
            spurious=torch.from_numpy(marked.spurious[rows]),
            core=torch.from_numpy(marked.core[rows]),
            part=None if marked.part is None else torch.from_numpy(marked.part[rows]),
            similarity=None if marked.similarity is None else torch.from_numpy(marked.similarity[rows]),
        )
        if self.concepts is None:
            return batch
        masks = [self.concepts(int(i)) for i in images]
        promote, suppress = (torch.from_numpy(np.stack([nearest(pair[k], size) for pair in masks])) for k in (0, 1))
        return replace(batch, promote=promote, suppress=suppress)

    def _pixels(self, images: np.ndarray, size: int, image_sizes: np.ndarray) -> Float[Tensor, "b 3 size size"]:
        """A few images in full at a time, so that memory holds the squashed batch and not the stored one."""
        pixels = torch.empty(len(images), 3, size, size)
        start = 0
        for group in _groups(image_sizes[images].prod(1)):
            stored = [checked_image(self.data, int(i), image_sizes[i]) for i in images[start:][:group]]
            pixels[start : start + group] = resize(stored, size)
            start += group
        return pixels


def evenly(n: int, most: int) -> Iterator[slice]:
    """Cut ``n`` things in as few pieces of at most ``most`` as there can be, whose sizes differ by one at most.

    A short last batch would pull at the full learning rate with a loss that so few images make small.

    Parameters
    ----------
    n : int
        How many there are; 0 or more.
    most : int
        How many a piece may hold; 1 or more.

    Examples
    --------
    >>> [piece.stop - piece.start for piece in evenly(20, 8)], list(evenly(0, 8))
    ([6, 7, 7], [])
    """
    n_pieces = math.ceil(n / most)
    return (slice(k * n // n_pieces, (k + 1) * n // n_pieces) for k in range(n_pieces))


def nearest(mask: Bool[np.ndarray, "h w"], size: int) -> Bool[np.ndarray, "size size"]:
    """A mask squashed to ``size`` x ``size``; each cell says what the mask says at the cell's centre.

    Parameters
    ----------
    mask : Bool[np.ndarray, "h w"]
        Of the stored image.
    size : int
        Side of the model's input, in pixels.

    Examples
    --------
    >>> nearest(np.array([[True, False, False]]), 2).tolist()
    [[True, False], [True, False]]
    """
    rows, columns = (((np.arange(size) + 0.5) * n / size).astype(np.int64) for n in mask.shape)
    return mask[rows[:, None], columns[None]]


def _groups(n_pixels: Int[np.ndarray, " b"]) -> list[int]:
    """How many images in a row are squashed together, so that each group has at most ``PIXELS_AT_ONCE`` (or one)."""
    groups, held = [], 0
    for n in n_pixels.tolist():
        if groups and held + n <= PIXELS_AT_ONCE:
            groups[-1], held = groups[-1] + 1, held + n
        else:
            groups.append(1)
            held = n
    return groups
