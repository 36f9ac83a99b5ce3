"""CLIP models with a ModifiedResNet image tower: image and region embeddings from one forward pass."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize
from torchvision.ops import roi_align

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
TEXT_BATCH = 256


class ClipResNet:
    """An open_clip CLIP with a ModifiedResNet, seen through RoIAlign (method of ViLLA and RegionCLIP).

    The stem and layers 1 to 3 run once on the whole image (stride 16). Each box is RoIAligned on that map to
    ``2 * (image_size // 32)`` cells, then passes layer 4 and the attention pool. The whole image is the box
    ``[0, 0, S, S]`` on the same path: at the model's own input size this equals open_clip's ``encode_image``.

    Parameters
    ----------
    clip : an ``open_clip.model.CLIP`` whose ``visual`` is a ModifiedResNet
    tokenizer : texts -> (n, context) int64
    name : shown in menus and saved with results
    """

    def __init__(self, clip: Any, tokenizer: Callable[..., Tensor], name: str) -> None:
        self._clip = clip.eval()
        self._tokenizer = tokenizer
        self.name = name
        size = clip.visual.image_size
        self.image_size = int(size[0] if isinstance(size, tuple) else size)
        self.dim = int(clip.visual.output_dim)
        self._roi_size = 2 * (self.image_size // 32)
        self._mean = torch.tensor(CLIP_MEAN).view(1, 3, 1, 1)
        self._std = torch.tensor(CLIP_STD).view(1, 3, 1, 1)

    @property
    def visual(self) -> nn.Module:
        return self._clip.visual

    @property
    def device(self) -> torch.device:
        return self._clip.visual.conv1.weight.device

    @property
    def state_dict(self) -> dict[str, Tensor]:
        """All weights, with open_clip's own key names."""
        return self._clip.state_dict()

    def copy(self) -> ClipResNet:
        clip = copy.copy(self._clip)
        clip._modules = dict(self._clip._modules) | {"visual": copy.deepcopy(self._clip.visual)}
        return ClipResNet(clip, self._tokenizer, self.name)

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "n dim"]:
        unique = list(dict.fromkeys(texts))
        tokens = self._tokenizer(unique, context_length=self._clip.context_length).to(self.device)
        parts = [self._clip.encode_text(part, normalize=True).float() for part in tokens.split(TEXT_BATCH)]
        where = {text: row for row, text in enumerate(unique)}
        return torch.cat(parts)[[where[text] for text in texts]]

    def encode(
        self, pixels: Float[Tensor, "b 3 s s"], boxes: Float[Tensor, "n 5"] | None
    ) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "n dim"]]:
        visual: Any = self.visual
        pixels = pixels.to(self.device)
        x = (pixels - self._mean.to(pixels)) / self._std.to(pixels)
        x = visual.stem(x.contiguous(memory_format=torch.channels_last))
        features = visual.layer3(visual.layer2(visual.layer1(x)))
        image = self._head(features) if features.shape[-1] == self._roi_size else self._head(self._whole(features))
        if boxes is None or not len(boxes):
            return image, image.new_zeros(0, self.dim)
        scale = features.shape[-1] / pixels.shape[-1]
        rois = boxes.to(self.device, torch.float32)
        return image, self._head(
            roi_align(features.float(), rois, self._roi_size, scale, sampling_ratio=0, aligned=True)
        )

    def _whole(self, features: Tensor) -> Tensor:
        """RoIAlign of the whole map; at the model's own input size this is the map itself, so encode skips it."""
        side = float(features.shape[-1])
        boxes = [features.new_tensor([[0.0, 0.0, side, side]])] * len(features)
        return roi_align(features.float(), boxes, self._roi_size, 1.0, sampling_ratio=0, aligned=True)

    def _head(self, pooled: Tensor) -> Tensor:
        visual: Any = self.visual
        return normalize(visual.attnpool(visual.layer4(pooled)).float(), dim=-1)
