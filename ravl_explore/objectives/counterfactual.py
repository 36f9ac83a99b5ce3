"""Counterfactual regions: break the correlation in the pixels, with the regions that discovery found (our own)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ravl_explore.errors import InputError
from ravl_explore.objectives.base import Batch, EqualCaptions, ImageObjective, check_choice


@dataclass(frozen=True)
class CounterfactualRegions(ImageObjective):
    """CLIP's loss on images whose discovered feature is taken away or put in, each with ``probability``.

    An image with spurious regions has each of them overwritten by a clean, non-core region of another image of the
    batch. An image without gets a spurious region of another image pasted over one of its non-core regions. So the
    feature stops telling the class, while garments, animals or lungs stay as they were. Not from a paper.

    Parameters
    ----------
    probability : of an image being edited
    equal_captions : of other images of the batch, ``"negatives"`` as in CLIP, or ``"positives"``
    """

    probability: float = 0.5
    equal_captions: EqualCaptions = "negatives"

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise InputError("probability from 0 to 1", f"{self.probability}", "0.5 makes both cases equally common.")
        check_choice("equal_captions", self.equal_captions, ("negatives", "positives"))

    @classmethod
    def menu(cls) -> dict[str, tuple[()]]:
        """Menu label -> constructor arguments."""
        return {"Counterfactual regions": ()}

    @property
    def name(self) -> str:
        return "Counterfactual regions"

    def edit(self, batch: Batch, generator: torch.Generator) -> Batch:
        image = batch.image_of_region
        spurious, plain = batch.spurious, ~batch.spurious & ~batch.core
        donors = {True: torch.nonzero(plain)[:, 0], False: torch.nonzero(spurious)[:, 0]}
        chosen = torch.rand(len(batch.pixels), generator=generator) < self.probability
        pixels = batch.pixels.clone()
        for place in torch.nonzero(chosen)[:, 0].tolist():
            own = image == place
            holds = bool((own & spurious).any())
            targets = torch.nonzero(own & (spurious if holds else plain))[:, 0]
            pool = donors[holds][image[donors[holds]] != place]
            if len(targets) == 0 or len(pool) == 0:
                continue
            if not holds:
                targets = targets[_draw(len(targets), 1, generator)]
            for target, donor in zip(targets, pool[_draw(len(pool), len(targets), generator)], strict=True):
                _paste(pixels, batch.pixels, batch.boxes[target], batch.boxes[donor])
        return replace(batch, pixels=pixels)


def _draw(n: int, size: int, generator: torch.Generator) -> Tensor:
    return torch.randint(n, (size,), generator=generator)


def _paste(into: Tensor, source: Tensor, target: Tensor, donor: Tensor) -> None:
    """Overwrite the target box with the donor box's original pixels, resized to fit."""
    x1, y1, x2, y2 = _whole_pixels(target, into.shape[-1])
    u1, v1, u2, v2 = _whole_pixels(donor, source.shape[-1])
    crop = source[int(donor[0]), :, v1:v2, u1:u2]
    if crop.shape[1:] != (y2 - y1, x2 - x1):
        crop = interpolate(crop[None], (y2 - y1, x2 - x1), mode="bilinear", antialias=True, align_corners=False)[0]
    into[int(target[0]), :, y1:y2, x1:x2] = crop


def _whole_pixels(box: Tensor, size: int) -> tuple[int, int, int, int]:
    """The box rounded to whole pixels, inside the image and at least one pixel wide and high."""
    x1, y1, x2, y2 = (round(float(value)) for value in box[1:])
    x1, y1 = min(max(x1, 0), size - 1), min(max(y1, 0), size - 1)
    return x1, y1, max(min(x2, size), x1 + 1), max(min(y2, size), y1 + 1)
