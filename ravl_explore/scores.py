"""zero_shot(): class scores of images and regions from their similarity to the class prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ravl_explore.embedding.embeddings import Embeddings
from ravl_explore.errors import InputError
from ravl_explore.metrics import chance_doubt, chance_level
from ravl_explore.support import checks

ROWS = 65_536  # scored, or checked, at a time
SUM_TOLERANCE = 1e-3  # of float32 sums of many classes, and of scores kept as float16


@dataclass(frozen=True, eq=False)
class Scores:
    """Zero-shot scores: softmax over classes of cosine similarity divided by the temperature.

    Attributes
    ----------
    image : Float[np.ndarray, "n_images n_classes"]
        Each row from 0 to 1, with a sum of 1; float32 where :func:`zero_shot` made them.
    region : Float[np.ndarray, "n_regions n_classes"]
        The same of each region.
    embeddings : Embeddings
        What was scored.

    Raises
    ------
    InputError
        For scores of another shape, or rows that are no softmax: finite, from 0 to 1, with a sum of 1.
    """

    image: Float[np.ndarray, "n_images n_classes"]
    region: Float[np.ndarray, "n_regions n_classes"]
    embeddings: Embeddings

    def __post_init__(self) -> None:
        remedy = "Make scores with zero_shot(embeddings)."
        embeddings = checks.instance("embeddings", self.embeddings, Embeddings, remedy)
        n_classes = len(embeddings.text)
        for name, n_rows in (("image", len(embeddings.image)), ("region", len(embeddings.region))):
            scores = checks.array(f"{name} scores", getattr(self, name), "f", (n_rows, n_classes), read=False)
            for start in range(0, n_rows, ROWS):
                _check_softmax(name, scores[start : start + ROWS], start)

    @property
    def predictions(self) -> Int[np.ndarray, " n_images"]:
        """The class with the highest score of each image; the first one of a tie."""
        return self.image.argmax(1)

    @property
    def correct(self) -> Bool[np.ndarray, " n_images"]:
        """Whether the prediction of each image is its label."""
        return self.predictions == self.embeddings.labels

    @property
    def accuracy(self) -> float:
        """Share of images predicted right, 0 to 1."""
        return float(self.correct.mean())

    @property
    def chance(self) -> float:
        """What guessing would give for ``accuracy``, 0 to 1: always the commonest class."""
        return chance_level(self._class_sizes)

    @property
    def doubt(self) -> str:
        """What must be said where the model is no better than guessing; else nothing."""
        return chance_doubt(self.predictions, self.embeddings.labels, self.embeddings.class_names)

    @property
    def _class_sizes(self) -> Int[np.ndarray, " n_classes"]:
        return np.bincount(self.embeddings.labels, minlength=self.image.shape[1])


def zero_shot(embeddings: Embeddings) -> Scores:
    """Score every image and region against every class (released code: softmax at temperature 0.07).

    Parameters
    ----------
    embeddings : Embeddings
        Of images, regions and class prompts, with the temperature.

    Returns
    -------
    Scores
        Softmax over classes, float32.

    Raises
    ------
    InputError
        For anything but embeddings.
    """
    checks.instance("embeddings", embeddings, Embeddings, "Make them with embed(model, data).")
    prompts = embeddings.text.T / embeddings.temperature
    return Scores(_scores(embeddings.image, prompts), _scores(embeddings.region, prompts), embeddings)


def softmax(logits: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Softmax over the last axis, without overflow.

    Parameters
    ----------
    logits : Float[np.ndarray, "n k"]
        Finite.

    Examples
    --------
    >>> softmax(np.array([[1000.0, 1000.0]])).tolist()
    [[0.5, 0.5]]
    """
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def _scores(rows: Float[np.ndarray, "n dim"], prompts: Float[np.ndarray, "dim k"]) -> Float[np.ndarray, "n k"]:
    """Softmax of ``rows @ prompts``, some rows at a time: of a million regions only the result is held."""
    scores = np.empty((len(rows), prompts.shape[1]), np.float32)
    for start in range(0, len(rows), ROWS):
        part = slice(start, start + ROWS)
        scores[part] = softmax(rows[part] @ prompts)
    return scores


def _check_softmax(name: str, scores: Float[np.ndarray, "n k"], start: int) -> None:
    """Raise InputError unless each row is one; the first row is called ``start``."""
    sums = scores @ np.ones(scores.shape[1], scores.dtype)
    fits = np.abs(sums - 1) <= SUM_TOLERANCE  # NaN does not
    if fits.all() and (not scores.size or scores.min() >= 0):
        return
    if not np.isfinite(sums).all():
        remedy = "Check the embeddings and the temperature."
        raise InputError(
            f"finite {name} scores", f"NaN or infinity in row {start + int(np.isfinite(sums).argmin())}", remedy
        )
    row = int((fits & (scores >= 0).all(1)).argmin())
    raise InputError(
        f"{name} scores from 0 to 1 whose rows add up to 1",
        f"row {start + row} with a lowest of {scores[row].min():g} and a sum of {sums[row]:g}",
        "Give the softmax over classes, as zero_shot does.",
    )
