"""What guessing gets right, and whether a model is any better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from ravl_explore.support.text import one_line

SURE = 0.05  # one-sided: a model that guesses is taken for a better one in one of twenty sets at most


def chance_level(counts: Int[np.ndarray, " n_classes"]) -> float:
    """Accuracy of always naming the commonest class, 0 to 1, the most that guessing gives; NaN without a sample.

    Parameters
    ----------
    counts : Int[np.ndarray, "n_classes"]
        Samples of each class.

    Examples
    --------
    >>> chance_level(np.array([10, 10])), chance_level(np.array([90, 10]))
    (0.5, 0.9)
    """
    n = int(counts.sum())
    return float(counts.max() / n) if n else float("nan")


def better_than_chance(
    predictions: Int[np.ndarray, " n"], labels: Int[np.ndarray, " n"], n_classes: int
) -> bool | None:
    """Whether more predictions are right than when they had nothing to do with the labels; None where none can tell.

    A one-sided binomial test at 5 %, against what a model gets right that names each class as often as this one does
    and knows nothing of the images. (Held against always naming the commonest class, a good model of two classes of
    which one is rare would be taken for a guess.) Of samples of one class alone nobody can tell.

    Parameters
    ----------
    predictions : Int[np.ndarray, "n"]
        Predicted class of each image.
    labels : Int[np.ndarray, "n"]
        Class of each image.
    n_classes : int
        How many classes the dataset has.

    Examples
    --------
    >>> labels = np.repeat([0, 1], [95, 5])
    >>> better_than_chance(labels, labels, 2), better_than_chance(np.zeros(100, int), labels, 2)
    (True, False)
    """
    from scipy.stats import binom  # here, for it is slow to import

    counts = np.bincount(labels, minlength=n_classes)
    if (counts > 0).sum() < 2:
        return None
    n = len(labels)
    share = float(counts @ np.bincount(predictions, minlength=n_classes)) / n**2
    return float(binom.sf(int((predictions == labels).sum()) - 1, n, share)) <= SURE


def chance_doubt(predictions: Int[np.ndarray, " n"], labels: Int[np.ndarray, " n"], class_names: Sequence[str]) -> str:
    """What must be said of a model that is no better than guessing, in two sentences; nothing of any other.

    Parameters
    ----------
    predictions : Int[np.ndarray, "n"]
        Predicted class of each image.
    labels : Int[np.ndarray, "n"]
        Class of each image.
    class_names : Sequence[str]
        In the order of their numbers.

    Examples
    --------
    >>> labels = np.arange(1000) % 10
    >>> print(chance_doubt(np.roll(labels, 1), labels, list("abcdefghij")))
    The model may as well guess: it gets 0.0% of 1,000 images right, guessing 10.0%. Check the prompts, the class \
names and the labels before you trust anything found here.
    """
    if better_than_chance(predictions, labels, len(class_names)) is not False:
        return ""
    counts = np.bincount(labels, minlength=len(class_names))
    top = np.flatnonzero(counts == counts.max())
    guess = f"guessing {100 * chance_level(counts):.1f}%" + (
        f" (always “{one_line(class_names[int(top[0])])}”)" if len(top) == 1 else ""
    )
    images = f"{len(labels):,} image{'s' * (len(labels) != 1)}"
    return (
        f"The model may as well guess: it gets {100 * (predictions == labels).mean():.1f}% of {images} right, {guess}. "
        "Check the prompts, the class names and the labels before you trust anything found here."
    )
