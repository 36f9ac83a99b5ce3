"""A ViT that sees some of an image's patches: all of the garment's quadrant, and a few of each other one."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import normalize

from ravl_explore.models.clip_model import CLIP_MEAN, CLIP_STD, ClipModel

OTHER_PATCHES = 2  # kept of each quadrant without the garment, of 16: enough to see the square, a third of the tokens


def encode_some(
    model: ClipModel, pixels: Float[Tensor, "b 3 s s"], quadrant: Int[np.ndarray, " b"], rng: np.random.Generator
) -> Float[Tensor, "b dim"]:
    """Image embeddings of a ViT that sees the garment's quadrant and ``OTHER_PATCHES`` of each other one at random.

    Patch dropout makes training cheaper (FLIP, arXiv 2212.00794); here it spares what tells the classes apart.

    Parameters
    ----------
    model : ClipModel
        Whose image tower is open_clip's ViT.
    pixels : Float[Tensor, "b 3 s s"]
        RGB in [0, 1].
    quadrant : Int[np.ndarray, "b"]
        Where the garment is: 0 and 1 above, 2 and 3 below.
    rng : np.random.Generator
        Draws what is random; it moves on.
    """
    visual = model.visual
    assert isinstance(visual, VisionTransformer)
    rows, columns = visual.grid_size
    y, x = np.divmod(np.arange(rows * columns), columns)
    patch_quadrant = (2 * y // rows) * 2 + 2 * x // columns
    noise = rng.random((len(pixels), rows * columns)) - (patch_quadrant == quadrant[:, None])
    kept = noise < 0  # all of the garment's
    for corner in range(4):
        members = np.flatnonzero(patch_quadrant == corner)
        first = np.argsort(noise[:, members], axis=1)[:, :OTHER_PATCHES]
        np.put_along_axis(kept, members[first], True, axis=1)
    keep = torch.from_numpy(np.nonzero(kept)[1].reshape(len(pixels), -1))
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (CLIP_MEAN, CLIP_STD))
    visual.register_module("patch_dropout", Kept(keep))
    embedded = visual((pixels - mean) / std)
    visual.patch_dropout = nn.Identity()
    return normalize(embedded, dim=-1)


class Kept(nn.Module):
    """In place of open_clip's patch dropout: the class token and chosen patches, (b, n_kept).

    Parameters
    ----------
    keep : Int[Tensor, "b k"]
        Numbers of the patches that stay, in each image.
    """

    def __init__(self, keep: Int[Tensor, "b k"]) -> None:
        super().__init__()
        self._keep = keep

    def forward(self, tokens: Float[Tensor, "b n width"]) -> Float[Tensor, "b m width"]:
        return torch.cat([tokens[:, :1], tokens[:, 1:][torch.arange(len(tokens))[:, None], self._keep]], dim=1)
