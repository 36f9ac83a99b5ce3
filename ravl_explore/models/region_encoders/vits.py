"""as_vit(): the view that fits a ViT image tower, and why there is none for another."""

from __future__ import annotations

from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer

from ravl_explore.errors import ModelError
from ravl_explore.models.region_encoders.base import Tower
from ravl_explore.models.region_encoders.open_clip_vit import OpenClipVit, open_clip_misfit
from ravl_explore.models.region_encoders.timm_vit import TimmVit, timm_misfit
from ravl_explore.models.region_encoders.vit import Vit


def as_vit(visual: Tower) -> Vit:
    """The tower's view; ModelError where :func:`vit_misfit` finds a reason.

    Parameters
    ----------
    visual : Tower
        The image tower.
    """
    misfit = vit_misfit(visual)
    if misfit:
        raise ModelError("a ViT image tower", f"{type(visual).__name__} {misfit}", "Use region_method='crop'.")
    return OpenClipVit(visual) if isinstance(visual, VisionTransformer) else TimmVit(visual)


def vit_misfit(visual: Tower) -> str:
    """Why a tower's patch tokens cannot be used; empty when they can.

    Parameters
    ----------
    visual : Tower
        The image tower.
    """
    if isinstance(visual, VisionTransformer):
        return open_clip_misfit(visual)
    if isinstance(visual, TimmModel):
        return timm_misfit(visual)
    return "without the blocks of a ViT"
