"""trace(): an image tower's embeddings, with a function that says which cells of the image a number came from.

ViT (open_clip's and timm's, as :class:`~ravl_explore.models.region_encoders.vit.Vit` sees them)
    Gradient-weighted attention rollout (Chefer et al., ICCV 2021), which CFT's released code computes where the paper
    says AttnLRP: for each block in turn ``Abar = mean over heads of relu(dt/dA * A)`` and ``R <- R + Abar R``, from
    ``R = I``. The class token's row of R, without the prefix tokens, laid out on the patch grid. A tower that pools its
    patches has no row that is the image: there it is the mean of the patches' rows of ``R - I`` (an attention pool's
    own weights are left out; they still act through dt/dA).
ModifiedResNet
    The last feature map, each channel weighted by the mean of dt/dF over the map, summed, its negative part cut off
    (Grad-CAM). The map covers the whole image, with the 1/32 resolution of layer 4.

Either map can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor
from torch.nn.attention import (  # of a pool's attention: the fused kernels have no second gradient
    SDPBackend,
    sdpa_kernel,
)

from ravl_explore.errors import ModelError
from ravl_explore.models.region_encoders.base import Tower, cut, input_side, whole_boxes
from ravl_explore.models.region_encoders.vit import Vit
from ravl_explore.models.region_encoders.vits import as_vit, vit_misfit

Relevance = Callable[[Tensor, bool], Tensor]
"""``relevance(target, create_graph)`` -> (b, h, w) >= 0: how much each cell adds to ``target`` (b,).

``target`` is one number an image, computed from the traced embeddings. ``create_graph`` True keeps dt/dA (dt/dF) in the
graph, so that a loss on the map has second-order gradients; False takes it as a constant, as CFT's released code does,
and the map is differentiated through A (F) alone.
"""


def trace(
    visual: Tower, pixels: Float[Tensor, "b 3 s s"], region_method: str
) -> tuple[Float[Tensor, "b dim"], Relevance]:
    """(embeddings as the region method gives them for whole images, their relevance); pixels are normalised.

    Must not run under ``torch.no_grad``; whether the tower's weights take gradients does not matter.

    Parameters
    ----------
    visual : Tower
        The image tower.
    pixels : Float[Tensor, "b 3 s s"]
        RGB, normalised for the tower.
    region_method : str
        How regions are embedded, see :mod:`ravl_explore.models.region_encoders`.

    Raises
    ------
    ModelError
        For any other tower.
    """
    misfit = trace_misfit(visual)
    if misfit:
        raise ModelError(
            "a ViT of open_clip or timm, or CLIP's ModifiedResNet, whose relevance can be traced",
            f"{type(visual).__name__} {misfit}",
            "Take another model for relevance maps and concept-guided fine-tuning; everything else works with this.",
        )
    side = input_side(visual)
    if region_method == "crop" and pixels.shape[-1] != side:  # its images are larger than the tower's input
        pixels = cut(pixels, whole_boxes(pixels), side, 1.0)
    return _trace_resnet(visual, pixels) if isinstance(visual, ModifiedResNet) else trace_vit(as_vit(visual), pixels)


def trace_misfit(visual: Tower) -> str:
    """Why a tower's relevance cannot be traced, as "with ..."; empty when it can.

    Parameters
    ----------
    visual : Tower
        The image tower.
    """
    return "" if isinstance(visual, ModifiedResNet) else vit_misfit(visual)


def trace_vit(vit: Vit, pixels: Float[Tensor, "b 3 s s"]) -> tuple[Float[Tensor, "b dim"], Relevance]:
    """(image embeddings, relevance by gradient-weighted attention rollout).

    Parameters
    ----------
    vit : Vit
        The view of the tower.
    pixels : Float[Tensor, "b 3 s s"]
        RGB, normalised for the tower.
    """
    x, grid = vit.embed(pixels)
    attentions: list[Tensor] = []
    for block in vit.blocks:
        x, weights = vit.weigh(block, x)
        attentions.append(weights)

    def relevance(target: Float[Tensor, " b"], create_graph: bool) -> Float[Tensor, "b h w"]:
        with torch.enable_grad(), torch.autocast(pixels.device.type, enabled=False):
            gradients = torch.autograd.grad(target.sum(), attentions, create_graph=create_graph, retain_graph=True)
            return rollout(attentions, list(gradients), vit.n_prefix, vit.class_token).unflatten(1, grid)

    with sdpa_kernel(SDPBackend.MATH):
        return vit.image(x), relevance


def rollout(
    attentions: list[Tensor], gradients: list[Tensor], n_prefix: int, class_token: bool
) -> Float[Tensor, "b n_patches"]:
    """Relevance of the patches from each block's attention (b, heads, n, n) and the gradient with respect to it.

    Parameters
    ----------
    attentions : list[Tensor]
        Attention probabilities of each block.
    gradients : list[Tensor]
        Of the target, with respect to ``attentions``.
    n_prefix : int
        Tokens before the patches.
    class_token : bool
        Whether the class token is the image; else the patches are pooled.
    """
    # the rows that are read out are carried from the last block down: the same product, without (n, n) matrices for
    # a class token
    n = attentions[0].shape[-1]
    start = torch.eye(n, dtype=attentions[0].dtype, device=attentions[0].device)
    start = start[:1] if class_token else start[n_prefix:].mean(0, keepdim=True)
    row = start.expand(len(attentions[0]), -1, -1)
    for attention, gradient in zip(reversed(attentions), reversed(gradients), strict=True):
        row = row + row @ (gradient * attention).relu().mean(1)
    return (row - start)[:, 0, n_prefix:]


def _trace_resnet(visual: ModifiedResNet, pixels: Float[Tensor, "b 3 s s"]) -> tuple[Float[Tensor, "b dim"], Relevance]:
    """(image embeddings, relevance by gradient-weighted activation); the path of region method ``roi``."""
    x = visual.layer3(visual.layer2(visual.layer1(visual.stem(pixels.contiguous(memory_format=torch.channels_last)))))
    cells = 2 * (input_side(visual) // 32)
    if x.shape[-1] != cells:
        x = cut(x, whole_boxes(pixels), cells, x.shape[-1] / pixels.shape[-1])
    features = visual.layer4(x)
    if not features.requires_grad:
        features.requires_grad_()

    def relevance(target: Float[Tensor, " b"], create_graph: bool) -> Float[Tensor, "b h w"]:
        with torch.enable_grad(), torch.autocast(pixels.device.type, enabled=False):
            (gradient,) = torch.autograd.grad(target.sum(), features, create_graph=create_graph, retain_graph=True)
            return activation_map(features, gradient)

    with sdpa_kernel(SDPBackend.MATH):
        return visual.attnpool(features), relevance


def activation_map(features: Float[Tensor, "b c h w"], gradient: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"]:
    """Each channel weighted by its mean gradient, summed, without what is below 0.

    Parameters
    ----------
    features : Float[Tensor, "b c h w"]
        The last feature map.
    gradient : Float[Tensor, "b c h w"]
        Of the target, with respect to ``features``.
    """
    features, gradient = (each if each.dtype == torch.float64 else each.float() for each in (features, gradient))
    return (gradient.mean((2, 3), keepdim=True) * features).sum(1).relu()
