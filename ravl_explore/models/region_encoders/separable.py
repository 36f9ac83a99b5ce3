"""RoIAlign as two small matrix products: the same numbers as torchvision's, with a backward pass that is not slow."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def separable_cut(
    maps: Float[Tensor, "b c h w"], boxes: Float[Tensor, "n 5"], side: int, scale: float, pool: int = 1
) -> Float[Tensor, "n c out out"]:
    """What :func:`~ravl_explore.models.region_encoders.base.cut` gives, up to rounding.

    Bilinear interpolation and the averages of RoIAlign are sums along x of sums along y, so a box is ``Y M X`` with one
    matrix a side. torchvision spells them out sample by sample, and its gradient took a fifth of
    what regions cost on a CPU. Here each box reads the whole map, so use this where a map is about as large as the
    output. All boxes of an image are one product with its map, which is not copied. ``pool`` averages so many cells of
    the result along each side, as an average pool after it would.

    Parameters
    ----------
    maps : Float[Tensor, "b c h w"]
        Feature maps.
    boxes : Float[Tensor, "n 5"]
        The map's place in the batch, then x1, y1, x2, y2.
    side : int
        Cells along each side of a box, before they are pooled.
    scale : float
        Cells of the map for one unit of the boxes.
    pool : int
        How many cells of the result are averaged along each side.
    """
    maps = maps.float().permute(0, 2, 3, 1)
    boxes = boxes.to(maps.device, torch.float32)
    order = torch.argsort(boxes[:, 0], stable=True)
    boxes = boxes[order]
    rows = _weights(boxes[:, 2], boxes[:, 4], side, maps.shape[1], scale).unflatten(1, (-1, pool)).mean(2)
    columns = _weights(boxes[:, 1], boxes[:, 3], side, maps.shape[2], scale).unflatten(1, (-1, pool)).mean(2)
    with torch.autocast(maps.device.type, enabled=False):  # which would multiply in half precision
        along_y = _along_y(maps, boxes[:, 0].long(), rows).flatten(0, 1)  # n*out w c
        found = (columns.repeat_interleave(rows.shape[1], 0) @ along_y).unflatten(0, rows.shape[:2])
    if bool((order[1:] < order[:-1]).any()):
        found = found[torch.argsort(order)]
    return found.permute(0, 3, 1, 2)


def _along_y(
    maps: Float[Tensor, "b h w c"], image: Tensor, rows: Float[Tensor, "n out h"]
) -> Float[Tensor, "n out w c"]:
    """Each box's sums along y; boxes are in the order of their images."""
    if not len(rows):
        return maps.new_zeros(0, rows.shape[1], *maps.shape[2:])
    images, counts = (each.tolist() for each in torch.unique_consecutive(image, return_counts=True))
    first, last = images[0], images[-1] + 1
    if len(set(counts)) == 1 and len(images) == last - first:  # as many of every image: one product for all
        sums = rows.unflatten(0, (len(images), -1)).flatten(1, 2) @ maps[first:last].flatten(2)
    else:
        pairs = zip(rows.split(counts), images, strict=True)
        sums = torch.cat([own.flatten(0, 1) @ maps[place].flatten(1) for own, place in pairs])
    return sums.reshape(*rows.shape[:2], *maps.shape[2:])


def _weights(low: Tensor, high: Tensor, side: int, size: int, scale: float) -> Float[Tensor, "n side size"]:
    """How much each of ``size`` cells of the map adds to each of ``side`` cells of a box, along one axis."""
    start = low * scale - 0.5
    step = (high - low) * scale / side
    n_samples = step.ceil().clamp(min=0)  # sampling_ratio=0: as many as a cell of the box spans cells of the map
    number = torch.arange(max(int(n_samples.max()), 1) if len(low) else 1, device=low.device)
    within = (number + 0.5) / n_samples.clamp(min=1)[:, None]  # n samples
    cells = torch.arange(side, device=low.device)
    at = start[:, None, None] + (cells[:, None] + within[:, None]) * step[:, None, None]  # n side samples
    counts = (number < n_samples[:, None])[:, None] & (at >= -1) & (at <= size)
    hat = (1 - (at.clamp(0, size - 1)[..., None] - torch.arange(size, device=low.device)).abs()).clamp(min=0)
    return (hat * counts[..., None]).sum(2) / n_samples.clamp(min=1)[:, None, None]
