"""relevance_maps(): where in its images a model sees a class, and how well that agrees with concept masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ravl_explore.concepts.base import ConceptMasks
from ravl_explore.data.base import ImageTextDataset, check_attributes
from ravl_explore.data.checked_images import checked_image, checked_sizes
from ravl_explore.errors import InputError
from ravl_explore.metrics import Alignment, alignment
from ravl_explore.metrics.alignment import minmax
from ravl_explore.models.base import TEMPERATURE, VisionLanguageModel, check_model, class_embeddings, resize
from ravl_explore.models.optional import tracer
from ravl_explore.objectives.base import Relevance
from ravl_explore.objectives.concept_guided import Score, explained
from ravl_explore.regions.covered_pixels import covered_pixels
from ravl_explore.support import checks
from ravl_explore.support.progress import Progress, report

BATCH = 32  # images traced at once: every block's attention is kept for its gradient


@dataclass(frozen=True, eq=False)
class RelevanceMaps:
    """A map for each of some images, on the model's own grid.

    Attributes
    ----------
    maps : Float[np.ndarray, "n h w"]
        Min-max normalised per image to 0..1, float32; a constant map is 0.
    images : Int[np.ndarray, " n"]
        Indices into the dataset; an image may come several times, with different boxes.
    boxes : Float[np.ndarray, "n 4"] or None
        x1, y1, x2, y2 in pixels of the stored image, where crops were looked at.
    shown : Int[np.ndarray, " n"]
        The class that each map explains.
    scores : Float[np.ndarray, "n n_classes"]
        Zero-shot scores of what was looked at, 0 to 1.
    labels : Int[np.ndarray, " n"]
        Of the images, -1 where there is no class.
    class_names : tuple of str
        The dataset's.
    model_name, data_name : str
        What looked at what.
    """

    maps: Float[np.ndarray, "n h w"]
    images: Int[np.ndarray, " n"]
    boxes: Float[np.ndarray, "n 4"] | None
    shown: Int[np.ndarray, " n"]
    scores: Float[np.ndarray, "n n_classes"]
    labels: Int[np.ndarray, " n"]
    class_names: tuple[str, ...]
    model_name: str
    data_name: str

    @property
    def predictions(self) -> Int[np.ndarray, " n"]:
        """The class with the highest score."""
        return self.scores.argmax(1)

    def align(self, concepts: ConceptMasks) -> Alignment:
        """Agreement with masks of the same dataset, read off at the centre of each cell.

        Parameters
        ----------
        concepts : ConceptMasks
            Of all images of the dataset.

        Raises
        ------
        InputError
            When there are no masks of some of the images.
        """
        if len(self.images) and int(self.images.max()) >= len(concepts):
            raise InputError(
                f"masks of image {int(self.images.max())}", f"{len(concepts)} masks", "Open them for this dataset."
            )
        promote, suppress = (np.zeros(self.maps.shape, bool) for _ in range(2))
        for row, image in enumerate(self.images.tolist()):
            promote[row], suppress[row] = (self._on_grid(mask, row) for mask in concepts(image))
        return alignment(self.maps, promote, suppress)

    def _on_grid(self, mask: Bool[np.ndarray, "height width"], row: int) -> Bool[np.ndarray, "h w"]:
        height, width = mask.shape
        box = None if self.boxes is None else self.boxes[row]
        x1, y1, x2, y2 = (0, 0, width, height) if box is None else covered_pixels(box, width, height)
        h, w = self.maps.shape[1:]
        rows = y1 + ((np.arange(h) + 0.5) * (y2 - y1) / h).astype(int)
        columns = x1 + ((np.arange(w) + 0.5) * (x2 - x1) / w).astype(int)
        return mask[rows[:, None], columns]


def relevance_maps(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    images: Sequence[int] | np.ndarray,
    classes: str | int = "label",
    boxes: np.ndarray | None = None,
    *,
    score: Score = "contrast",
    progress: Progress | None = None,
) -> RelevanceMaps:
    """Trace the score of one class per image back to the cells of the image (see :mod:`ravl_explore.models.tracing`).

    Parameters
    ----------
    model : VisionLanguageModel
        One that has ``trace``, as those of open_clip.
    data : ImageTextDataset
        Whose images are looked at.
    images : sequence or array of int
        Indices into ``data``.
    classes : {"label", "prediction"}, str or int
        Which class: each image's label (where it has none, the prediction), the model's prediction for it, a class by
        its name, or by its number where it is called like one of the former.
    boxes : array (n, 4) of numbers, or None
        One an image, x1, y1, x2, y2 in pixels of the stored image: looks at this crop as if it were an image of its
        own.
    score : {"contrast", "logit"}
        Of that class: how far its logit (cosine of image and class prompts over the temperature, 0.07) lies above the
        mean of all classes' logits, or the logit itself, of which a large part says nothing about the class; see
        :class:`ravl_explore.objectives.ConceptGuided`, which explains the same two.
    progress : Progress or None
        Told the images done; may raise Cancelled.

    Raises
    ------
    InputError
        For an image, class or box that is not there.
    ModelError
        For a model whose relevance is not known.

    Examples
    --------
    >>> from ravl_explore import data, models
    >>> found = relevance_maps(models.Demo("vit-spurious"), data.Demo("val"), [0, 1], "prediction")
    >>> found.maps.shape, float(found.maps.max())
    ((2, 8, 8), 1.0)
    """
    check_model(model)
    trace = tracer(model)
    check_attributes(data)
    images = _indices(images, len(data))
    checks.one_of("score", score, ("logit", "contrast"))
    chosen, boxes = _chosen(classes, data.class_names), _boxes(boxes, len(images))
    embedded = class_embeddings(model, data.class_names, data.templates)
    sizes = checked_sizes(data, images)
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    model.visual.eval()
    for start in range(0, len(images), BATCH):
        report(progress, start, len(images), "Tracing relevance")
        rows = range(start, min(start + BATCH, len(images)))
        whole = [checked_image(data, int(images[row]), sizes[row]) for row in rows]
        pixels = whole if boxes is None else [_crop(*pair) for pair in zip(whole, boxes[rows], strict=True)]
        labels = data.labels[images[rows.start : rows.stop]]
        parts.append(_traced(trace, resize(pixels, model.image_size), embedded, labels, chosen, score))
    report(progress, len(images), len(images), "Tracing relevance")
    empty = (np.zeros((0, 1, 1), np.float32), np.zeros(0, np.int64), np.zeros((0, len(data.class_names)), np.float32))
    maps, shown, scores = (np.concatenate(part) for part in zip(*(parts or [empty]), strict=True))
    return RelevanceMaps(
        maps=minmax(maps),
        images=images,
        boxes=boxes,
        shown=shown,
        scores=scores,
        labels=data.labels[images],
        class_names=data.class_names,
        model_name=model.name,
        data_name=data.name,
    )


def _traced(
    trace: Callable[[Tensor], tuple[Tensor, Relevance]],
    pixels: Float[Tensor, "b 3 s s"],
    classes: Float[Tensor, "n_classes dim"],
    labels: Int[np.ndarray, " b"],
    chosen: str | int,
    score: Score,
) -> tuple[Float[np.ndarray, "b h w"], Int[np.ndarray, " b"], Float[np.ndarray, "b n_classes"]]:
    """Maps, the classes that they explain, and all scores, of a batch."""
    with torch.inference_mode(False), torch.enable_grad():
        image, relevance = trace(pixels)
        logits = image @ classes.to(image).T / TEMPERATURE
        if isinstance(chosen, int):
            shown = torch.full((len(logits),), chosen, device=logits.device)
        elif chosen == "label":
            shown = torch.from_numpy(labels).to(logits.device)
            shown = torch.where(shown < 0, logits.argmax(1), shown)
        else:
            shown = logits.argmax(1)
        maps = relevance(explained(logits, shown, score), False).detach()
    scores = logits.detach().softmax(1)
    return maps.float().cpu().numpy(), shown.cpu().numpy(), scores.float().cpu().numpy()


def _chosen(classes: str | int, names: tuple[str, ...]) -> str | int:
    """``"label"``, ``"prediction"`` or the number of a class."""
    if isinstance(classes, str):
        if classes in ("label", "prediction"):
            return classes
        if classes in names:
            return names.index(classes)
    elif isinstance(classes, int | np.integer) and not isinstance(classes, bool) and 0 <= classes < len(names):
        return int(classes)
    raise InputError(f"label, prediction, or one of the classes {names}", checks.came(classes), "Name one of these.")


def _indices(images: Sequence[int] | np.ndarray, n_images: int) -> Int[np.ndarray, " n"]:
    given = np.asarray(images)
    if given.size and (given.ndim > 1 or given.dtype.kind not in "iu"):
        raise InputError("images as a list of numbers of images", checks.came(images), "Give indices such as [0, 1].")
    given = given.astype(np.int64).reshape(-1)
    outside = given[(given < 0) | (given >= n_images)]
    if len(outside):
        raise InputError(f"images from 0 to {n_images - 1}", f"{int(outside[0])}", "Pick one of these.")
    return given


def _boxes(boxes: np.ndarray | None, n: int) -> Float[np.ndarray, "n 4"] | None:
    if boxes is None:
        return None
    boxes = np.asarray(boxes)
    if boxes.shape != (n, 4) or boxes.dtype.kind not in "fiu":
        raise InputError(f"boxes of shape ({n}, 4)", checks.came(boxes), "Give one box an image.")
    return boxes.astype(np.float32)


def _crop(pixels: np.ndarray, box: np.ndarray) -> np.ndarray:
    size = np.array([pixels.shape[1], pixels.shape[0]])
    if not ((box[:2] < box[2:]).all() and (box[:2] < size).all() and (box[2:] > 0).all()):
        raise InputError(
            "a box x1, y1, x2, y2 within its image",
            f"{box.tolist()} in an image of {size.tolist()} pixels",
            "Give corners in pixels of the stored image.",
        )
    x1, y1, x2, y2 = covered_pixels(box, *size.tolist())
    return np.ascontiguousarray(pixels[y1:y2, x1:x2])
