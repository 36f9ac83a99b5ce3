"""RegionEncoder: what a way of embedding regions offers, and the helpers that several share."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchvision.ops import roi_align

Tower = Any
"""An image tower: a Module of open_clip, by itself or around one of timm, whose parts have no types."""


class RegionEncoder(Protocol):
    """Embeds images and regions with one image tower.

    Attributes
    ----------
    name : str
        What ``region_method`` calls it.
    image_size : int
        Side of the square that images are squashed to, in pixels.
    """

    name: ClassVar[str]
    image_size: int

    @staticmethod
    def misfit(visual: Tower) -> str:
        """Why the tower cannot be used, as "with ..."; empty when it can.

        Parameters
        ----------
        visual : Tower
            The image tower.
        """
        ...

    def __call__(
        self, pixels: Float[Tensor, "b 3 s s"], boxes: Float[Tensor, "n 5"] | None
    ) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "n dim"]]:
        """Image and region embeddings of any length, with gradient.

        ``pixels`` are normalised for the tower; ``boxes`` hold the image's place in the batch, then x1, y1, x2, y2 in
        pixels; None stands for no region.
        """
        ...


@runtime_checkable
class BlendingEncoder(RegionEncoder, Protocol):
    """A RegionEncoder that also embeds two images mixed in the feature map, before a pool."""

    def blended(
        self,
        before: Float[Tensor, "b 3 s s"],
        after: Float[Tensor, "b 3 s s"],
        share: Float[Tensor, "b s s"],
        boxes: Float[Tensor, "n 5"] | None,
    ) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "n dim"]]:
        """As a call, of ``share`` of ``after`` and the rest of ``before``.

        Parameters
        ----------
        before : Float[Tensor, "b 3 s s"]
            The images as they are, normalised for the tower.
        after : Float[Tensor, "b 3 s s"]
            What is mixed into them, normalised for the tower.
        share : Float[Tensor, "b s s"]
            How much of ``after`` each pixel has, 0 to 1.
        boxes : Float[Tensor, "n 5"] | None
            As a call takes them.
        """
        ...


def input_side(visual: Tower) -> int:
    """Side of the tower's own input, in pixels.

    Parameters
    ----------
    visual : Tower
        The image tower.
    """
    size = visual.image_size
    return int(max(size) if isinstance(size, tuple | list) else size)


def whole_boxes(pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 5"]:
    """One box around each image of a batch.

    Parameters
    ----------
    pixels : Float[Tensor, "b 3 s s"]
        The batch, of which the shape is read.
    """
    boxes = pixels.new_zeros(len(pixels), 5, dtype=torch.float32)
    boxes[:, 0] = torch.arange(len(pixels), device=pixels.device)
    boxes[:, 3], boxes[:, 4] = pixels.shape[-1], pixels.shape[-2]
    return boxes


def cut(maps: Float[Tensor, "b c h w"], boxes: Float[Tensor, "n 5"], side: int, scale: float) -> Tensor:
    """RoIAlign in float32: each box, ``scale`` times as large, as ``side`` x ``side`` averages of the map.

    Every cell averages as many bilinear samples as it spans cells of the map (``sampling_ratio=0``), corners are
    aligned, and a box of the size of its output is cut without any change.

    Parameters
    ----------
    maps : Float[Tensor, "b c h w"]
        Feature maps, or images.
    boxes : Float[Tensor, "n 5"]
        The map's place in the batch, then x1, y1, x2, y2.
    side : int
        Cells along each side of the result.
    scale : float
        Cells of the map for one unit of the boxes.
    """
    return roi_align(maps.float(), boxes.to(maps.device, torch.float32), side, scale, sampling_ratio=0, aligned=True)


def patches_inside(boxes: Float[Tensor, "n 5"], grid: tuple[int, int], stride: float) -> Bool[Tensor, "n n_patches"]:
    """Which patches have their centre inside a box; a box too thin for any takes the nearest row or column.

    ``grid`` is (rows, columns), ``stride`` the pixels from one patch to the next.

    Parameters
    ----------
    boxes : Float[Tensor, "n 5"]
        The image's place in the batch, then x1, y1, x2, y2 in pixels.
    grid : tuple[int, int]
        Rows and columns of patches.
    stride : float
        Pixels from one patch to the next.
    """

    def along(low: Tensor, high: Tensor, n: int) -> Bool[Tensor, "n_boxes n"]:
        centres = (torch.arange(n, device=low.device) + 0.5) * stride
        inside = (centres >= low[:, None]) & (centres <= high[:, None])
        nearest = (centres - (low + high)[:, None] / 2).abs().argmin(1)
        return inside | (~inside.any(1, keepdim=True) & (torch.arange(n, device=low.device) == nearest[:, None]))

    x1, y1, x2, y2 = boxes[:, 1:].unbind(1)
    rows, columns = along(y1, y2, grid[0]), along(x1, x2, grid[1])
    return (rows[:, :, None] & columns[:, None, :]).flatten(1)
