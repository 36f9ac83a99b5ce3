"""masked_cls: a ViT's own pooling, restricted to the patches of each box."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ravl_explore.models.region_encoders.base import Tower, input_side, patches_inside
from ravl_explore.models.region_encoders.vits import as_vit, vit_misfit

CHUNK = 64  # regions whose patches are gathered at once


class MaskedCls:
    """Each region has a class token of its own, which in every block attends to itself and to the box's patches only.

    Patches never look at it, so the image and all its regions share one forward pass (the mask class tokens of Ding et
    al., MaskCLIP, ICML 2023; Wu et al., CLIPSelf, ICLR 2024, has them, too). Without a class token the attention pool
    or the average after the last block is restricted to the box's patches instead. A patch is in the box when its
    centre is; a box too thin for any centre takes the nearest row or column, so boxes smaller than a patch may share
    one.

    Parameters
    ----------
    visual : Tower
        The image tower.
    """

    name: ClassVar[str] = "masked_cls"

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
        if boxes is None:
            for block in vit.blocks:
                x = block(x)
            image = vit.image(x)
            return image, image.new_zeros(0, image.shape[1])
        boxes = boxes.to(pixels.device)
        place, inside = boxes[:, 0].long(), patches_inside(boxes, grid, vit.stride(pixels, grid))
        if not vit.class_token:
            for block in vit.blocks:
                x = block(x)
            patches = x[:, vit.n_prefix :]
            parts = zip(place.split(CHUNK), inside.split(CHUNK), strict=True)
            return vit.image(x), torch.cat([vit.pool(patches[where], mask) for where, mask in parts])
        rows = [(place == i).nonzero()[:, 0] for i in range(len(pixels))]  # the regions of each image
        mask = pad_sequence([inside[each] for each in rows], batch_first=True)  # (b, most regions, n_patches)
        regions = x[:, :1].expand(-1, mask.shape[1], -1)
        for block in vit.blocks:
            regions, x = vit.attend(block, regions, x[:, vit.n_prefix :], mask), block(x)
        found = torch.cat([regions[i, : len(each)] for i, each in enumerate(rows)])
        order = torch.cat(rows).argsort()  # back to the order of the boxes
        return vit.image(x), vit.project(found[order])
