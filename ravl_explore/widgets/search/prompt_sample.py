"""Sample: a few embedded images of a dataset, and how well a model classifies them with any prompts."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.checked_images import checked_image
from ravl_explore.errors import DataError
from ravl_explore.metrics import better_than_chance, chance_level
from ravl_explore.models.base import VisionLanguageModel, class_embeddings, resize
from ravl_explore.support.progress import Progress, report

MOST_IMAGES = 500  # its accuracy is within about 4 points of the whole dataset's, 19 times in 20
BATCH_SIZE = 32


class Sample:
    """Embeddings of at most 500 images of a dataset, drawn at random; those that cannot be read are left out.

    Parameters
    ----------
    model : VisionLanguageModel
        That embeds and classifies.
    data : ImageTextDataset
        Whose images and classes.
    progress : Progress, optional
        Told how many images were embedded; may raise Cancelled.

    Raises
    ------
    DataError
        When no image can be read.
    """

    def __init__(self, model: VisionLanguageModel, data: ImageTextDataset, progress: Progress | None = None) -> None:
        self._model, self._data = model, data
        drawn = np.random.default_rng(0).permutation(len(data))[:MOST_IMAGES]
        rows: list[int] = []
        parts: list[np.ndarray] = []
        for start in range(0, len(drawn), BATCH_SIZE):
            report(progress, start, len(drawn), "Embedding images")
            images = []
            for index in drawn[start : start + BATCH_SIZE].tolist():
                try:
                    images.append(checked_image(data, index))
                except DataError:
                    continue
                rows.append(index)
            if images:
                with torch.inference_mode():
                    image, _ = model.encode(resize(images, model.image_size), None)
                parts.append(image.float().cpu().numpy())
        if not rows:
            raise DataError("an image that can be read", f"none among {len(drawn)}", "Check the files.")
        self._image: Float[np.ndarray, "n dim"] = np.concatenate(parts)
        self._labels = np.asarray(data.labels)[rows]

    def accuracy(self, templates: tuple[str, ...]) -> tuple[float, str]:
        """How many of the images are right with these prompts, 0 to 1, and a sentence about it."""
        names = self._data.class_names
        text = class_embeddings(self._model, names, templates).cpu().numpy()
        predictions = (self._image @ text.T).argmax(1)
        right = predictions == self._labels
        counts = np.bincount(self._labels, minlength=len(names))
        per_class = np.bincount(self._labels, right, len(names)) / np.maximum(counts, 1)
        worst = int(np.where(counts > 0, per_class, np.inf).argmin())
        n, all_ = len(right), len(self._data)
        better = better_than_chance(predictions, self._labels, len(names))
        guessing = "No better than guessing, which gives" if better is False else "Guessing gives"
        of = f"all {n:,} images" if n == all_ else f"{n:,} of {all_:,} images"
        return float(right.mean()), (
            f"{100 * right.mean():.1f}% right on {of}. {guessing} {100 * chance_level(counts):.1f}%. "
            f"Worst class: {names[worst]}, {100 * per_class[worst]:.0f}% of its {_images(int(counts[worst]))}."
        )


def _images(n: int) -> str:
    return f"{n:,} image{'s' * (n != 1)}"
