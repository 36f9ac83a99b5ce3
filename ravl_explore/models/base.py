"""VisionLanguageModel: what discovery and fine-tuning need of a CLIP-like model, whatever library it is from.

To add a loader, write one file with a class or function that returns an object with these attributes, and add it to
``__all__`` of :mod:`ravl_explore.models`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from ravl_explore.errors import ModelError

TEMPERATURE = 0.07  # paper, Appendix B; the released code uses it for scores too


class VisionLanguageModel(Protocol):
    """A model that embeds images, regions of images, and texts in one space.

    Attributes
    ----------
    name : str
    dim : embedding size
    image_size : side of the square input, in pixels
    region_method : how regions are embedded, see :mod:`ravl_explore.models.region_encoders`
    visual : the image tower, the part that fine-tuning changes
    """

    name: str
    dim: int
    image_size: int

    @property
    def region_method(self) -> str: ...

    @property
    def visual(self) -> nn.Module: ...

    @property
    def device(self) -> torch.device: ...

    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "n dim"]:
        """Unit-norm text embeddings, without gradient."""
        ...

    def encode(
        self, pixels: Float[Tensor, "b 3 s s"], boxes: Float[Tensor, "n 5"] | None
    ) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "n dim"]]:
        """Unit-norm image and region embeddings, with gradient.

        ``pixels`` are RGB in [0, 1]; ``boxes`` hold the image's place in the batch, then x1, y1, x2, y2 in pixels of
        the model's input.
        """
        ...

    def fingerprint(self) -> str:
        """One name for all that embeddings depend on: weights, structure, region method and preprocessing."""
        ...

    def copy(self) -> VisionLanguageModel:
        """A model with its own image tower; the frozen text tower may be shared."""
        ...


def resize(images: Sequence[np.ndarray], size: int) -> Float[Tensor, "n 3 size size"]:
    """Squash images of any sizes to ``size`` x ``size`` pixels, RGB in [0, 1]: no crop, so boxes only scale."""

    def one(batch: np.ndarray) -> Tensor:
        pixels = torch.from_numpy(batch).permute(0, 3, 1, 2).float().div_(255)
        if pixels.shape[2:] == (size, size):
            return pixels
        return interpolate(pixels, (size, size), mode="bilinear", antialias=True, align_corners=False)

    if len({image.shape for image in images}) == 1:
        return one(np.stack(images))
    return torch.cat([one(np.array(image)[None]) for image in images])


def scale_boxes(boxes: np.ndarray, image_sizes: np.ndarray, size: int) -> Float[np.ndarray, "n 4"]:
    """Boxes (n, 4) in pixels of stored images (n, 2: width, height) -> pixels of the squashed input."""
    scale = size / np.asarray(image_sizes, dtype=np.float32)
    return (boxes * scale[:, [0, 1, 0, 1]]).astype(np.float32)


def class_embeddings(
    model: VisionLanguageModel, class_names: Sequence[str], templates: Sequence[str]
) -> Float[Tensor, "n_classes dim"]:
    """Prompt ensemble: mean of the unit-norm prompts of a class, made unit-norm again (released code)."""
    prompts = [template.format(name) for name in class_names for template in templates]
    embeddings = model.embed_text(prompts).reshape(len(class_names), len(templates), -1)
    return normalize(embeddings.mean(1), dim=-1)


def pick_device(device: str | None) -> torch.device:
    """The named device, or the CPU; ModelError when it is not there."""
    chosen = torch.device("cpu")
    if device is not None:
        try:
            chosen = torch.device(device)
        except RuntimeError as error:
            raise ModelError("a device such as 'cpu' or 'cuda'", repr(device), "Check its spelling.") from error
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(chosen.type, False) or (
        chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count()
    ):
        have = ", ".join(name for name, present in there.items() if present)
        raise ModelError("a device of this machine", f"{device!r}", f"PyTorch finds here: {have}. Use one of these.")
    return chosen
