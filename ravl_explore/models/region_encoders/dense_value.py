"""dense_value: every patch of a ViT as the pooling attention sees it, averaged over each box."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ravl_explore.models.region_encoders.tokens import Tokens


class DenseValue(Tokens):
    """The attention that pools the image is replaced by its value path (Zhou et al., MaskCLIP, ECCV 2022).

    With a class token the last block is what pools: there ``v = W_v LN1(x) + b_v``, ``x <- x + W_o v + b_o``, then the
    MLP as usual. With an attention pool after the last block (SigLIP), the pool runs on each token alone, where its
    attention can only return that token's value; all blocks are ordinary, since their patch tokens were trained. Where
    the tower pools by average there is no such attention, and this is the same as ``tokens``. Final norm, projection,
    layout and what becomes of small boxes: see :class:`Tokens`.
    """

    name: ClassVar[str] = "dense_value"

    def _last_tokens(self, before: Tensor, after: Tensor) -> Tensor:
        vit = self._vit
        return vit.values(vit.blocks[-1], before) if vit.class_token else after
