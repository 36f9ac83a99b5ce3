"""The forward pass of a training step: image and region embeddings, in chunks if asked, and relevance where needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ravl_explore.errors import InputError
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.models.optional import blender, tracer
from ravl_explore.objectives.base import Batch, Objective


def forward(
    model: VisionLanguageModel, objective: Objective, batch: Batch, chunk: int | None = None
) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "n dim"], Batch]:
    """Embeddings as the objective wants them.

    Parameters
    ----------
    model : VisionLanguageModel
        What embeds.
    objective : Objective
        Says whether regions and relevance are needed.
    batch : Batch
        On the model's device.
    chunk : int or None
        Regions at once, see :func:`encode`.

    Returns
    -------
    tuple of Tensor, Tensor and Batch
        Of images and of regions, and the batch, which has ``relevance`` if the objective uses that.

    Raises
    ------
    ModelError
        When the objective uses relevance and the model cannot tell it, or the batch is to be mixed in the feature map
        and the model cannot do that.
    InputError
        When the objective uses relevance and there are no concept masks.
    """
    boxes = batch.boxes if objective.uses_regions else None
    if not objective.uses_relevance:
        return *encode(model, batch, boxes, chunk), batch
    if batch.promote is None or batch.suppress is None:
        raise InputError(
            f"concept masks for {objective.name!r}",
            "none",
            "Give TrainingSet.concepts, or call mitigate(concepts=...).",
        )
    image, relevance = tracer(model)(batch.pixels)
    region = image.new_zeros(0, image.shape[1])
    if boxes is not None:
        region = encode(model, batch, boxes, chunk)[1]
    return image, region, replace(batch, relevance=relevance)


def encode(
    model: VisionLanguageModel, batch: Batch, boxes: Tensor | None, chunk: int | None
) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "n dim"]]:
    """``model.encode``, or its ``blend`` where the batch holds images to be mixed.

    Parameters
    ----------
    model : VisionLanguageModel
        What embeds.
    batch : Batch
        On the model's device.
    boxes : Float[Tensor, "n 5"] or None
        Regions; None embeds images alone.
    chunk : int or None
        Regions at once; None for all. Only inputs and embeddings are kept of a chunk; what it computed on the way is
        computed again when its gradient is asked for. Images are kept together with their regions, so nothing but an
        image of more than ``chunk`` regions passes the early layers twice.
    """
    embed: Callable[..., tuple[Tensor, Tensor]]
    images_of_step: tuple[Tensor, ...]
    if batch.before is None or batch.share is None:
        embed, images_of_step = model.encode, (batch.pixels,)
    else:
        embed, images_of_step = blender(model), (batch.before, batch.pixels, batch.share)
    if boxes is None or chunk is None:
        return embed(*images_of_step, boxes)
    place = boxes[:, 0].long()
    counts = torch.bincount(place, minlength=len(batch.pixels)).tolist()
    order = torch.argsort(place, stable=True)  # an edited batch need not have its boxes in the images' order
    boxes = boxes[order]
    images, regions = [], []
    for first, last, rows, again in _pieces(counts, chunk):
        own = boxes[rows].clone()
        own[:, 0] -= first
        pieces = (part[first:last] for part in images_of_step)
        image, region = checkpoint(embed, *pieces, own, use_reentrant=False)
        images += [] if again else [image]
        regions.append(region)
    where = torch.empty_like(order)
    where[order] = torch.arange(len(order), device=order.device)
    return torch.cat(images), torch.cat(regions)[where]


def _pieces(counts: list[int], chunk: int) -> Iterator[tuple[int, int, slice, bool]]:
    """(first image, after the last, rows of their boxes, whether the image was in an earlier piece)."""
    first = row = 0
    while first < len(counts):
        last, held = first, 0
        while last < len(counts) and held + counts[last] + 1 <= chunk:
            held += counts[last] + 1
            last += 1
        if last > first:
            stop = row + held - (last - first)
            yield first, last, slice(row, stop), False
        else:  # one image with more regions than a chunk
            last, stop = first + 1, row + counts[first]
            for start in range(row, max(stop, row + 1), chunk):
                yield first, last, slice(start, min(start + chunk, stop)), start > row
        first, row = last, stop
