"""tokens: the last block's patch tokens of a ViT, averaged over each box."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from ravl_explore.models.region_encoders.base import Tower, cut, input_side
from ravl_explore.models.region_encoders.vits import as_vit, vit_misfit

ROWS = 16384  # tokens projected at once, so that an attention pool's hidden layer fits in memory


class Tokens:
    """Each patch token passes the final norm and the projection as if it were the image, and is made unit-norm.

    The tokens are laid out on the patch grid and RoIAligned to one cell per box. A box smaller than a patch is one
    bilinear sample at its centre, so it says as much about its neighbours as about itself: raise the input size, or
    use ``crop``.

    Parameters
    ----------
    visual : Tower
        The image tower.
    """

    name: ClassVar[str] = "tokens"

    def __init__(self, visual: Tower) -> None:
        self._vit = as_vit(visual)
        self.image_size = input_side(visual)

    @staticmethod
    def misfit(visual: Tower) -> str:
        return vit_misfit(visual)

    def __call__(
        self, pixels: Float[Tensor, "b 3 s s"], boxes: Float[Tensor, "n 5"] | None
    ) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "n dim"]]:
        vit = self._vit
        x, grid = vit.embed(pixels)
        for block in vit.blocks[:-1]:
            x = block(x)
        last = vit.blocks[-1](x)
        image = vit.image(last)
        if boxes is None:
            return image, image.new_zeros(0, image.shape[1])
        patches = self._last_tokens(x, last)[:, vit.n_prefix :]
        dense = torch.cat([vit.project(part) for part in patches.flatten(0, 1).split(ROWS)])
        dense = normalize(dense.float(), dim=-1).unflatten(0, (len(pixels), *grid)).permute(0, 3, 1, 2)
        return image, cut(dense, boxes, 1, 1 / vit.stride(pixels, grid)).flatten(1)

    def _last_tokens(self, before: Tensor, after: Tensor) -> Tensor:
        return after
