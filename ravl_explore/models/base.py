"""VisionLanguageModel: what discovery and fine-tuning need of a CLIP-like model, whatever library it is from.

To add a loader, write one file with a class or function that returns an object with these attributes, and add it to
``__all__`` of :mod:`ravl_explore.models`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from math import comb
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from ravl_explore.errors import InputError, ModelError
from ravl_explore.regions.base import Regions
from ravl_explore.support import checks

SAME = 1e-4  # distance of unit-norm embeddings (cosine 1 - 5e-9) that rounding alone explains
CLOSE = 1 - 1e-5  # cosine in float32 from which on the distance is looked at exactly
ALIKE_ROWS = 1024  # compared with all others at a time
TEMPERATURE = 0.07  # paper, Appendix B; the released code uses it for scores too
REQUIRED = ("name", "dim", "image_size", "region_method", "embed_text", "encode")


class VisionLanguageModel(Protocol):
    """A model that embeds images, regions of images, and texts in one space.

    Attributes
    ----------
    name : str
        Shown in menus and saved with results.
    dim : int
        Embedding size.
    image_size : int
        Side of the square input, in pixels.
    region_method : str
        How regions are embedded, see :mod:`ravl_explore.models.region_encoders`.
    visual : torch.nn.Module
        The image tower, the part that fine-tuning changes.
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
        """Unit-norm text embeddings, without gradient.

        Parameters
        ----------
        texts : Sequence[str]
            In a language that the text tower reads.
        """
        ...

    def encode(
        self, pixels: Float[Tensor, "b 3 s s"], boxes: Float[Tensor, "n 5"] | None
    ) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "n dim"]]:
        """Unit-norm image and region embeddings, with gradient.

        ``pixels`` are RGB in [0, 1]; ``boxes`` hold the image's place in the batch, then x1, y1, x2, y2 in pixels of
        the model's input.

        Parameters
        ----------
        pixels : Float[Tensor, "b 3 s s"]
            RGB in [0, 1], of the model's input size.
        boxes : Float[Tensor, "n 5"] | None
            The image's place in the batch, then x1, y1, x2, y2 in pixels of the model's input; None for no region.
        """
        ...

    def fingerprint(self) -> str:
        """One name for all that embeddings depend on: weights, structure, region method and preprocessing."""
        ...

    def copy(self) -> VisionLanguageModel:
        """A model with its own image tower; the frozen text tower may be shared."""
        ...


def resize(images: Sequence[np.ndarray], size: int) -> Float[Tensor, "n 3 size size"]:
    """Squash images of any sizes to ``size`` x ``size`` pixels, RGB in [0, 1]: no crop, so boxes only scale.

    Parameters
    ----------
    images : Sequence[np.ndarray]
        RGB, (height, width, 3) uint8 each.
    size : int
        Side of the result, in pixels.
    """

    def one(batch: np.ndarray) -> Tensor:
        pixels = torch.from_numpy(batch).permute(0, 3, 1, 2).float().div_(255)
        if pixels.shape[2:] == (size, size):
            return pixels
        return interpolate(pixels, (size, size), mode="bilinear", antialias=True, align_corners=False)

    if len({image.shape for image in images}) == 1:
        return one(np.stack(images))
    return torch.cat([one(np.array(image)[None]) for image in images])


def scale_boxes(boxes: np.ndarray, image_sizes: np.ndarray, size: int) -> Float[np.ndarray, "n 4"]:
    """Boxes (n, 4) in pixels of stored images (n, 2: width, height) -> pixels of the squashed input.

    Parameters
    ----------
    boxes : np.ndarray
        x1, y1, x2, y2 in pixels of the stored image.
    image_sizes : np.ndarray
        Width and height of each box's stored image, in pixels.
    size : int
        Side of the squashed input, in pixels.
    """
    scale = size / np.asarray(image_sizes, dtype=np.float32)
    return (boxes * scale[:, [0, 1, 0, 1]]).astype(np.float32)


def batch_boxes(
    regions: Regions, image_sizes: Int[np.ndarray, "n_images 2"], images: Int[np.ndarray, " b"], size: int
) -> Float[Tensor, "n 5"]:
    """The regions of some images as ``encode`` takes them.

    Parameters
    ----------
    regions : Regions
        Boxes in pixels of the stored images.
    image_sizes : Int[np.ndarray, "n_images 2"]
        Width and height of every stored image, in pixels.
    images : Int[np.ndarray, " b"]
        Numbers of the batch's images, in its order.
    size : int
        Side of the model's input, in pixels.

    Returns
    -------
    Float[Tensor, "n 5"]
        The image's place in the batch, then x1, y1, x2, y2 in pixels of the model's input, image after image.
    """
    rows, place = regions.rows_of(images)
    boxes = scale_boxes(regions.boxes[rows], image_sizes[regions.image_index[rows]], size)
    return torch.from_numpy(np.concatenate([place[:, None].astype(np.float32), boxes], axis=1))


def check_model(model: VisionLanguageModel) -> None:
    """Raise InputError unless it is a model: no name or path of one, and not its class.

    Parameters
    ----------
    model : VisionLanguageModel
        What somebody gave as a model.
    """
    remedy = "Open one with models.open_model, or models.Demo('spurious')."
    checks.offers("model", model, "a model", REQUIRED, remedy)


def class_embeddings(
    model: VisionLanguageModel, class_names: Sequence[str], templates: Sequence[str]
) -> Float[Tensor, "n_classes dim"]:
    """Prompt ensemble: mean of the unit-norm prompts of a class, made unit-norm again (released code).

    Parameters
    ----------
    model : VisionLanguageModel
        Whose text tower embeds the prompts.
    class_names : Sequence[str]
        In the order of the result's rows.
    templates : Sequence[str]
        Prompts with ``{}`` for the name, such as ``"a photo of a {}."``.

    Raises
    ------
    InputError
        When the text tower cannot tell the prompts of two classes apart: a template is longer than what it reads, so
        that the names are cut off, or names become the same in its tokens.
    """
    prompts = [template.format(name) for name in class_names for template in templates]
    embeddings = model.embed_text(prompts).reshape(len(class_names), len(templates), -1)
    _check_that_prompts_differ(embeddings, class_names, templates)
    return normalize(embeddings.mean(1), dim=-1)


def _check_that_prompts_differ(
    embeddings: Float[Tensor, "n_classes n_templates dim"], class_names: Sequence[str], templates: Sequence[str]
) -> None:
    for column, template in enumerate(templates):
        pairs = _alike(embeddings[:, column])
        if not pairs:
            continue
        one, other = (class_names[i] for i in pairs[0])
        more = f", and {len(pairs) - 1} more pairs" if pairs[1:] else ""
        came = f"one and the same for {one!a} and {other!a}{more} (template {_shortened(template)})"
        if len(pairs) == comb(len(class_names), 2) and _plain(one) != _plain(other):
            remedy = (
                "The text tower reads only the beginning, and the name comes after it: shorten the template, or put {} "
                "first."
            )
        else:
            remedy = (
                "Rename one of the classes, or give both images one label: to the text tower they are the same. Where "
                "the names are long, shorten them or the template."
            )
        raise InputError("prompts that the model's text tower can tell apart", came, remedy)


def _alike(embeddings: Float[Tensor, "n dim"]) -> list[tuple[int, int]]:
    """Pairs of rows that are the same but for rounding."""
    rows = embeddings.detach().cpu().float()
    found: list[tuple[int, int]] = []
    for start in range(0, len(rows), ALIKE_ROWS):
        close = (rows[start : start + ALIKE_ROWS] @ rows.T).triu(start + 1) > CLOSE
        for i, j in close.nonzero().tolist():
            if float((rows[start + i].double() - rows[j].double()).norm()) < SAME:
                found.append((start + i, j))
    return found


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _shortened(template: str, most: int = 80) -> str:
    return repr(template if len(template) <= most else f"{template[:most]}...")


def pick_device(device: str | None) -> torch.device:
    """The named device, or the CPU; ModelError when it is not there.

    Parameters
    ----------
    device : str | None
        PyTorch's name of it; None is the CPU.
    """
    chosen = torch.device("cpu")
    if device is not None:
        try:
            chosen = torch.device(device)
        except (RuntimeError, TypeError) as error:
            raise ModelError("a device such as 'cpu' or 'cuda'", repr(device), "Check its spelling.") from error
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(chosen.type, False) or (
        chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count()
    ):
        have = ", ".join(name for name, present in there.items() if present)
        raise ModelError("a device of this machine", f"{device!r}", f"PyTorch finds here: {have}. Use one of these.")
    return chosen
