"""What guessing gets right, and whether a model is any better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from ravl_explore.text import one_line

SURE = 0.05  # one-sided: a model that guesses is taken for a better one in one of twenty sets at most


def chance_level(counts: Int[np.ndarray, " n_classes"]) -> float:
    """Accuracy of always naming the commonest class, 0 to 1, the most that guessing gives; NaN without a sample.

    Parameters
    ----------
    counts : samples of each class

    Examples
    --------
    >>> chance_level(np.array([10, 10])), chance_level(np.array([90, 10]))
    (0.5, 0.9)
    """
    n = int(counts.sum())
    return float(counts.max() / n) if n else float("nan")


def better_than_chance(n_right: int, counts: Int[np.ndarray, " n_classes"]) -> bool:
    """Whether so many right ones are more than guessing explains, by a one-sided binomial test at 5 %.

    Examples
    --------
    >>> better_than_chance(130, np.array([100] * 10)), better_than_chance(108, np.array([100] * 10))
    (True, False)
    """
    from scipy.stats import binom  # here, for it is slow to import

    n = int(counts.sum())
    return n > 0 and float(binom.sf(n_right - 1, n, chance_level(counts))) <= SURE


def chance_doubt(n_right: int, counts: Int[np.ndarray, " n_classes"], class_names: Sequence[str]) -> str:
    """What must be said of a model that is no better than guessing, in two sentences; nothing of any other.

    Examples
    --------
    >>> print(chance_doubt(99, np.array([100] * 10), list("abcdefghij")))
    The model may as well guess: it gets 9.9% of 1,000 images right, guessing 10.0%. Check the prompts, the class \
names and the labels before you trust anything found here.
    """
    n = int(counts.sum())
    if n == 0 or better_than_chance(n_right, counts):
        return ""
    top = np.flatnonzero(counts == counts.max())
    guess = f"guessing {100 * chance_level(counts):.1f}%" + (
        f" (always “{one_line(class_names[int(top[0])])}”)" if len(top) == 1 else ""
    )
    images = f"{n:,} image{'s' * (n != 1)}"
    return (
        f"The model may as well guess: it gets {100 * n_right / n:.1f}% of {images} right, {guess}. "
        "Check the prompts, the class names and the labels before you trust anything found here."
    )
