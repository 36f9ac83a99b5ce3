"""CLIP models with a ModifiedResNet image tower."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ravl_explore.models.clip_model import CLIP_MEAN, CLIP_STD, ClipModel

__all__ = ["CLIP_MEAN", "CLIP_STD", "ClipResNet"]


class ClipResNet(ClipModel):
    """An open_clip CLIP with a ModifiedResNet, seen through RoIAlign.

    Parameters
    ----------
    clip : an ``open_clip.model.CLIP`` whose ``visual`` is a ModifiedResNet
    tokenizer : texts -> (n, context) int64
    name : shown in menus and saved with results
    """

    def __init__(self, clip: Any, tokenizer: Callable[..., Tensor], name: str) -> None:
        super().__init__(clip, tokenizer, name, "roi")
