"""RoIAlign as two small matrix products: the same numbers as torchvision's, with a backward pass that is not slow."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

BOXES_AT_ONCE = 1024  # boxes whose map is copied at a time, so that memory holds little more than the result


def separable_cut(
    maps: Float[Tensor, "b c h w"], boxes: Float[Tensor, "n 5"], side: int, scale: float, pool: int = 1
) -> Float[Tensor, "n c out out"]:
    """What :func:`~ravl_explore.models.region_encoders.base.cut` gives, up to rounding.

    Bilinear interpolation and the averages of RoIAlign are sums along x of sums along y, so a box is ``Y M X`` with one
    matrix a side. torchvision spells them out sample by sample, and its gradient took a fifth of
    what regions cost on a CPU. Here each box reads the whole map, so use this where a map is about as large as the
    output. ``pool`` averages so many cells of the result along each side, as an average pool after it would.
    """
    maps = maps.float().permute(0, 2, 3, 1)
    boxes = boxes.to(maps.device, torch.float32)
    image = boxes[:, 0].long()
    rows = _weights(boxes[:, 2], boxes[:, 4], side, maps.shape[1], scale).unflatten(1, (-1, pool)).mean(2)
    columns = _weights(boxes[:, 1], boxes[:, 3], side, maps.shape[2], scale).unflatten(1, (-1, pool)).mean(2)
    parts = []
    with torch.autocast(maps.device.type, enabled=False):  # which would multiply in half precision
        for own, y, x in zip(*(each.split(BOXES_AT_ONCE) for each in (image, rows, columns)), strict=True):
            along_y = (y @ maps[own].flatten(2)).unflatten(2, maps.shape[2:])  # n out w c
            parts.append(x[:, None] @ along_y)  # n out out c
    return torch.cat(parts).permute(0, 3, 1, 2)


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
