"""edited(): a batch in which a discovered feature was taken out of some images and put into others."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
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
    """
    feature, image = feature_of(batch, clusters), batch.image_of_region
    clean = clean_regions(batch)
    n_images, size = len(batch.pixels), batch.pixels.shape[-1]
    features = sorted({*donors, *feature[feature >= 0].tolist()})
    pixels, shown = batch.pixels.clone(), feature.clone()
    promote, suppress = (None if mask is None else mask.clone() for mask in (batch.promote, batch.suppress))
    before, share = None, None
    if blend == "features":
        before, share = batch.pixels, pixels.new_zeros(n_images, size, size)
    background = torch.nonzero(clean)[:, 0]
    for each in features:
        chosen = torch.rand(n_images, generator=generator) < probability
        for place in torch.nonzero(chosen)[:, 0].tolist():
            own = image == place
            targets = torch.nonzero(own & (shown == each))[:, 0]
            crops: list[Tensor] = []
            if len(targets):
                hidden = shared(batch.boxes[own & batch.core], batch.boxes[targets], of_first=True)
                targets = targets[(hidden <= MOST_SHARED).all(0)]  # what shows the class stays
                others = background[image[background] != place]
                if mode != "paste" and len(targets) and len(others):
                    rows = others[_draw(len(others), len(targets), generator)]
                    crops = [_cut(batch, row) for row in rows.tolist()]
                    shown[targets] = -1
            elif mode != "erase" and each in donors:
                targets = torch.nonzero(own & clean & (shown < 0))[:, 0]
                if len(targets):
                    targets = targets[_draw(len(targets), 1, generator)]
                    crops = [donors[each][int(_draw(len(donors[each]), 1, generator))]]
                    here = torch.nonzero(own & ~batch.core)[:, 0]
                    covered = shared(batch.boxes[here], batch.boxes[targets], of_first=True)[:, 0]
                    shown[here[covered >= MOSTLY_COVERED]] = each
                    shown[targets] = each
            for target, crop in zip(targets.tolist(), crops, strict=False):  # no crop: the image stays
                x1, y1, x2, y2 = box = whole_pixels(batch.boxes[target], size)
                paste(pixels[place], crop, box, blend)
                if share is not None:
                    share[place, y1:y2, x1:x2] = torch.maximum(
                        share[place, y1:y2, x1:x2], feathered(box, size).to(share)
                    )
                if promote is not None:
                    promote[place, y1:y2, x1:x2] = False
                if suppress is not None:
                    suppress[place, y1:y2, x1:x2] = bool(shown[target] == each)
    return replace(
        batch,
        pixels=pixels,
        spurious=shown >= 0,
        part=shown if clusters == "apart" else None,
        promote=promote,
        suppress=suppress,
        before=before,
        share=share,
    )


def clean_regions(batch: Batch) -> Bool[Tensor, " n"]:
    """(n,) neither core nor with a feature, nor overlapping such a region of the image by more than a quarter.

    None in images without a class: there nobody knows which region is core.
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
    """Area that boxes share, over the smaller one's area, or over the first's.

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
