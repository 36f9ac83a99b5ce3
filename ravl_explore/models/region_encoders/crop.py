"""crop: each box cut out and embedded like an image; works with any tower."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ravl_explore.models.region_encoders.base import Tower, cut, input_side, whole_boxes

CHUNK = 128  # crops per forward pass


class Crop:
    """Images are squashed to twice the tower's side, so that a quadrant is cut at the tower's own resolution.

    A box is cut by RoIAlign on the pixels: exactly where it has the tower's size, as averages where it is larger, by
    bilinear interpolation where it is smaller. The image itself is the crop of the whole, unless it already has the
    tower's size. A box smaller than a patch is enlarged like any other; below a pixel there is nothing left to see.

    Parameters
    ----------
    visual : Tower
        The image tower.
    """

    name: ClassVar[str] = "crop"

    def __init__(self, visual: Tower) -> None:
        self._visual = visual
        self._side = input_side(visual)
        self.image_size = 2 * self._side

    @staticmethod
    def misfit(visual: Tower) -> str:
        return ""

    def __call__(
        self, pixels: Float[Tensor, "b 3 s s"], boxes: Float[Tensor, "n 5"] | None
    ) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "n dim"]]:
        own_size = pixels.shape[-1] == self._side
        image = self._embed(pixels if own_size else cut(pixels, whole_boxes(pixels), self._side, 1.0))
        if boxes is None:
            return image, image.new_zeros(0, image.shape[1])
        return image, torch.cat([self._embed(cut(pixels, part, self._side, 1.0)) for part in boxes.split(CHUNK)])

    def _embed(self, pixels: Tensor) -> Tensor:
        found = self._visual(pixels)
        return found[0] if isinstance(found, tuple) else found  # some towers return their tokens, too
