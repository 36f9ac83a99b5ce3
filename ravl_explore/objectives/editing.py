"""edited(): a batch in which a discovered feature was taken out of some images and put into others."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ravl_explore.objectives.base import Batch
from ravl_explore.objectives.blending import Blend, feathered, paste, whole_pixels
from ravl_explore.objectives.donors import Clusters, Donors, feature_of

Mode = Literal["swap", "erase", "paste"]
MOST_SHARED = 1 / 4  # of the smaller of two boxes, for them to count as showing different things
MOSTLY_COVERED = 1 / 2  # of a box, for it to show what was pasted


def edited(
    batch: Batch,
    donors: Donors,
    generator: torch.Generator,
    probability: float,
    mode: Mode = "swap",
    blend: Blend = "none",
    clusters: Clusters = "together",
) -> Batch:
    """Each image, for each feature with ``probability``: without the feature if it has it, else with it.

    Only pixels, the regions' flags and concept masks change; with ``blend="features"`` the batch keeps the images as
    they were and says how much of the new ones shall show. What is pasted is a donor's; what a feature is overwritten
    with is a clean region of another image of the batch. Clean regions share at most a quarter with a region that is
    core or shows a feature, and are of images with a class. Where there is nothing to take, no place, or a feature over
    more than a quarter of a core region, the image stays as it was.

    Parameters
    ----------
    batch : Batch
        As the data has it; it is not changed.
    donors : dict of int to list of Tensor
        Crops that show a feature, by its number.
    generator : torch.Generator
        What is drawn from.
    probability : float, 0 to 1
        Of each image and feature.
    mode, blend, clusters : str
        As of :class:`~ravl_explore.objectives.counterfactual.CounterfactualRegions`.
    """
    feature = feature_of(batch, clusters)
    edit = _Edit(batch, feature, donors, generator, mode, blend)
    for number in sorted({*donors, *feature[feature >= 0].tolist()}):
        chosen = torch.rand(len(batch.pixels), generator=generator) < probability
        for place in torch.nonzero(chosen)[:, 0].tolist():
            edit.change(place, number)
    return edit.result(tells_parts=clusters == "apart")


class _Edit:
    """A batch that is being edited, image by image and feature by feature."""

    def __init__(
        self,
        batch: Batch,
        feature: Int[Tensor, " n"],
        donors: Donors,
        generator: torch.Generator,
        mode: Mode,
        blend: Blend,
    ) -> None:
        self._batch, self._donors, self._generator = batch, donors, generator
        self._mode: Mode = mode
        self._blend: Blend = blend
        n_images, self._size = len(batch.pixels), batch.pixels.shape[-1]
        self._image, self._clean = batch.image_of_region, clean_regions(batch)
        self._background = torch.nonzero(self._clean)[:, 0]
        self._pixels, self._shown = batch.pixels.clone(), feature.clone()
        self._promote, self._suppress = (
            None if mask is None else mask.clone() for mask in (batch.promote, batch.suppress)
        )
        self._share = batch.pixels.new_zeros(n_images, self._size, self._size) if blend == "features" else None

    def change(self, place: int, number: int) -> None:
        """Take feature ``number`` out of the image at ``place`` if it is there, else put it in."""
        targets = torch.nonzero((self._image == place) & (self._shown == number))[:, 0]
        targets, crops = self._take_out(place, targets) if len(targets) else self._put_in(place, number)
        for target, crop in zip(targets.tolist(), crops, strict=False):  # no crop: the image stays
            self._paste(place, number, target, crop)

    def result(self, tells_parts: bool) -> Batch:
        """The edited batch."""
        return replace(
            self._batch,
            pixels=self._pixels,
            spurious=self._shown >= 0,
            part=self._shown if tells_parts else None,
            promote=self._promote,
            suppress=self._suppress,
            before=None if self._share is None else self._batch.pixels,
            share=self._share,
        )

    def _take_out(self, place: int, targets: Int[Tensor, " m"]) -> tuple[Tensor, list[Tensor]]:
        """Regions that the feature is taken out of, and what is put there instead; maybe nothing."""
        batch = self._batch
        core = batch.boxes[(self._image == place) & batch.core]
        hidden = shared(core, batch.boxes[targets], of_first=True)
        targets = targets[(hidden <= MOST_SHARED).all(0)]  # what shows the class stays
        others = self._background[self._image[self._background] != place]
        if self._mode == "paste" or not len(targets) or not len(others):
            return targets, []
        rows = others[_draw(len(others), len(targets), self._generator)]
        self._shown[targets] = -1
        return targets, [_cut(batch, row) for row in rows.tolist()]

    def _put_in(self, place: int, number: int) -> tuple[Tensor, list[Tensor]]:
        """The region that a donor's crop is put in, and that crop; maybe nothing."""
        batch, own = self._batch, self._image == place
        targets = torch.nonzero(own & self._clean & (self._shown < 0))[:, 0]
        if self._mode == "erase" or number not in self._donors or not len(targets):
            return targets, []
        crops = self._donors[number]
        targets = targets[_draw(len(targets), 1, self._generator)]
        crop = crops[int(_draw(len(crops), 1, self._generator))]
        here = torch.nonzero(own & ~batch.core)[:, 0]
        covered = shared(batch.boxes[here], batch.boxes[targets], of_first=True)[:, 0]
        self._shown[here[covered >= MOSTLY_COVERED]] = number
        self._shown[targets] = number
        return targets, [crop]

    def _paste(self, place: int, number: int, target: int, crop: Float[Tensor, "3 h w"]) -> None:
        """Overwrite a region's pixels, and what masks say of them."""
        x1, y1, x2, y2 = box = whole_pixels(self._batch.boxes[target], self._size)
        paste(self._pixels[place], crop, box, self._blend)
        inside = (place, slice(y1, y2), slice(x1, x2))
        if self._share is not None:
            self._share[inside] = torch.maximum(self._share[inside], feathered(box, self._size).to(self._share))
        if self._promote is not None:
            self._promote[inside] = False
        if self._suppress is not None:
            self._suppress[inside] = bool(self._shown[target] == number)


def clean_regions(batch: Batch) -> Bool[Tensor, " n"]:
    """Which regions are neither core nor with a feature, nor overlap such a region of the image by more than a quarter.

    None in images without a class: there nobody knows which region is core.

    Parameters
    ----------
    batch : Batch
        As it is before it is edited.
    """
    taken = batch.spurious | batch.core | (batch.labels < 0)[batch.image_of_region]
    clean = ~taken
    image = batch.image_of_region
    for place in range(len(batch.pixels)):
        mine, others = torch.nonzero((image == place) & ~taken)[:, 0], (image == place) & taken
        if len(mine) and others.any():
            clean[mine] = (shared(batch.boxes[mine], batch.boxes[others]) <= MOST_SHARED).all(1)
    return clean


def shared(first: Float[Tensor, "n 5"], second: Float[Tensor, "m 5"], of_first: bool = False) -> Float[Tensor, "n m"]:
    """Area that boxes share, as a share of the smaller one's area, 0 to 1.

    Parameters
    ----------
    first, second : Tensor
        Boxes (n, 5) and (m, 5), as of a batch.
    of_first : bool
        Whether it is a share of the first's area.

    Examples
    --------
    >>> one, two = torch.tensor([[0, 0.0, 0, 4, 4]]), torch.tensor([[0, 2.0, 0, 6, 2]])
    >>> shared(one, two).item(), shared(one, two, of_first=True).item()
    (0.5, 0.25)
    """
    corners = (
        torch.maximum(first[:, None, 1:3], second[None, :, 1:3]),
        torch.minimum(first[:, None, 3:], second[None, :, 3:]),
    )
    common = (corners[1] - corners[0]).clamp(min=0).prod(2)
    areas = [(boxes[:, 3:] - boxes[:, 1:3]).prod(1) for boxes in (first, second)]
    area = areas[0][:, None].expand_as(common) if of_first else torch.minimum(areas[0][:, None], areas[1][None])
    return common / area.clamp(min=torch.finfo(area.dtype).tiny)


def _cut(batch: Batch, row: int) -> Float[Tensor, "3 h w"]:
    x1, y1, x2, y2 = whole_pixels(batch.boxes[row], batch.pixels.shape[-1])
    return batch.pixels[int(batch.boxes[row, 0]), :, y1:y2, x1:x2]


def _draw(n: int, size: int, generator: torch.Generator) -> Tensor:
    return torch.randint(n, (size,), generator=generator)
