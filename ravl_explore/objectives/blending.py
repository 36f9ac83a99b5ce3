"""Put a crop into a picture so that its edges show less: feathered, with gradients kept, or in the model's features."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

Blend = Literal["none", "feather", "poisson", "features"]
Box = tuple[int, int, int, int]
RAMP = 1 / 8  # of the box's shorter side that a feathered edge takes


def whole_pixels(box: Tensor, size: int) -> Box:
    """x1, y1, x2, y2 of a box, rounded, inside the image and at least one pixel wide and high.

    Parameters
    ----------
    box : Float[Tensor, "5"]
        A batch's: the image, then corners in pixels.
    size : int
        Side of the image, in pixels.

    Examples
    --------
    >>> whole_pixels(torch.tensor([0, -3.0, 1.2, 2.0, 9.0]), 8)
    (0, 1, 2, 8)
    """
    x1, y1, x2, y2 = (round(float(value)) for value in box[1:])
    x1, y1 = min(max(x1, 0), size - 1), min(max(y1, 0), size - 1)
    return x1, y1, max(min(x2, size), x1 + 1), max(min(y2, size), y1 + 1)


def paste(into: Float[Tensor, "3 s s"], crop: Float[Tensor, "3 h w"], box: Box, blend: Blend) -> None:
    """Overwrite a box in place; nothing outside it changes.

    Parameters
    ----------
    into : Float[Tensor, "3 s s"]
        The picture.
    crop : Float[Tensor, "3 h w"]
        What is put there, resized to fit.
    box : tuple of four int
        x1, y1, x2, y2, see :func:`whole_pixels`.
    blend : {"none", "feather", "poisson", "features"}
        How; ``"none"`` and ``"features"`` put it there as it is.
    """
    x1, y1, x2, y2 = box
    if crop.shape[1:] != (y2 - y1, x2 - x1):
        crop = interpolate(crop[None], (y2 - y1, x2 - x1), mode="bilinear", antialias=True, align_corners=False)[0]
    if blend == "feather":
        share = feathered(box, into.shape[-1]).to(crop)
        crop = share * crop + (1 - share) * into[:, y1:y2, x1:x2]
    elif blend == "poisson":
        crop = seamless(into, crop, box)
    into[:, y1:y2, x1:x2] = crop


def feathered(box: Box, size: int) -> Float[Tensor, "h w"]:
    """How much of the crop each pixel shows: from little at the box's sides to 1; a side of the picture is no edge.

    Parameters
    ----------
    box : tuple of four int
        x1, y1, x2, y2.
    size : int
        Side of the picture, in pixels.

    Examples
    --------
    >>> feathered((0, 0, 4, 1), 8)  # the ramp is one pixel wide, at the right and below
    tensor([[0.5000, 0.5000, 0.5000, 0.2500]])
    """
    x1, y1, x2, y2 = box
    ramp = max(1, round(RAMP * min(x2 - x1, y2 - y1)))

    def along(length: int, at_start: bool, at_end: bool) -> Tensor:
        place = torch.arange(1, length + 1, dtype=torch.float32)
        rising = place if not at_start else torch.full_like(place, ramp + 1.0)
        falling = place.flip(0) if not at_end else torch.full_like(place, ramp + 1.0)
        return torch.minimum(rising, falling).div(ramp + 1).clamp(max=1)

    return along(y2 - y1, y1 == 0, y2 == size)[:, None] * along(x2 - x1, x1 == 0, x2 == size)


def seamless(into: Float[Tensor, "3 s s"], crop: Float[Tensor, "3 h w"], box: Box) -> Float[Tensor, "3 h w"]:
    """The crop's gradients, joined without a step to the pixels around the box (Pérez et al. 2003, Poisson editing).

    What is added to the crop is harmonic: it solves Laplace's equation with the difference between the picture's
    pixels just outside the box and the crop's at its sides as boundary. At a side of the picture it has no slope. Both
    axes of a box have eigenvectors, so the solution is exact. A crop of one color takes the surrounding's color:
    a feature that is nothing but color is lost.

    Parameters
    ----------
    into : Float[Tensor, "3 s s"]
        The picture; it is not changed.
    crop : Float[Tensor, "3 h w"]
        As large as the box.
    box : tuple of four int
        x1, y1, x2, y2.
    """
    x1, y1, x2, y2 = box
    size = into.shape[-1]
    crop64, around = crop.double(), into.double()
    edge = torch.zeros_like(crop64)
    if y1 > 0:
        edge[:, 0] += around[:, y1 - 1, x1:x2] - crop64[:, 0]
    if y2 < size:
        edge[:, -1] += around[:, y2, x1:x2] - crop64[:, -1]
    if x1 > 0:
        edge[:, :, 0] += around[:, y1:y2, x1 - 1] - crop64[:, :, 0]
    if x2 < size:
        edge[:, :, -1] += around[:, y1:y2, x2] - crop64[:, :, -1]
    if (x1, y1, x2, y2) == (0, 0, size, size):  # nothing around it
        return crop
    down, columns = _modes(y2 - y1, y1 > 0, y2 < size)
    across, rows = _modes(x2 - x1, x1 > 0, x2 < size)
    spectrum = columns.T @ edge @ rows / (down[:, None] + across)
    return (crop64 + columns @ spectrum @ rows.T).clamp(0, 1).to(crop.dtype)


@lru_cache(maxsize=512)
def _modes(n: int, fixed_start: bool, fixed_end: bool) -> tuple[Tensor, Tensor]:
    """(eigenvalues, eigenvectors) of minus the second difference of n values, held at an end or without slope there."""
    diagonal = torch.full((n,), 2.0, dtype=torch.float64)
    diagonal[0] -= 0 if fixed_start else 1
    diagonal[-1] -= 0 if fixed_end else 1
    off = torch.full((n - 1,), -1.0, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(torch.diag(diagonal) + torch.diag(off, 1) + torch.diag(off, -1))
    return values, vectors
