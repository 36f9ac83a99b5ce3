"""Accuracy over groups (class x feature present), the worst of them, and how strong a shortcut is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from ravl_explore.metrics.chance import chance_level
from ravl_explore.support import checks


@dataclass(frozen=True, eq=False)
class Samples:
    """What group accuracies were counted from, so that two models can be compared sample by sample.

    Attributes
    ----------
    cell : Int[np.ndarray, "n"]
        Two times the class, plus 1 where the feature is there.
    correct : Bool[np.ndarray, "n"]
        Whether the sample is predicted right.
    image : Int[np.ndarray, "n"]
        In which image the sample is: regions of one image are not independent.
    min_size : int
        Groups with fewer samples do not count as the worst.
    """

    cell: Int[np.ndarray, " n"]
    correct: Bool[np.ndarray, " n"]
    image: Int[np.ndarray, " n"]
    min_size: int


@dataclass(frozen=True, eq=False)
class GroupAccuracy:
    """Accuracy of every group; cells without a sample are NaN.

    Attributes
    ----------
    table : pd.DataFrame
        One row per class and presence: class_name, present, n, accuracy (0 to 1).
    overall : float
        Accuracy over all samples.
    worst : float
        The lowest accuracy of a group with at least ``min_size`` samples; NaN when there is none.
    worst_group : tuple[str, bool] | None
        Its (class_name, present), or None.
    samples : Samples | None
        What was counted; None where it is not known any more.
    """

    table: pd.DataFrame
    overall: float
    worst: float
    worst_group: tuple[str, bool] | None
    samples: Samples | None = None

    @property
    def class_sizes(self) -> Int[np.ndarray, " n_classes"]:
        """(n_classes,) samples of each class."""
        return self.table["n"].to_numpy(np.int64).reshape(-1, 2).sum(1)

    @property
    def chance(self) -> float:
        """What guessing would give for ``overall``, 0 to 1: always the commonest class."""
        return chance_level(self.class_sizes)


def group_accuracy(
    correct: Bool[np.ndarray, " n"],
    labels: Int[np.ndarray, " n"],
    present: Bool[np.ndarray, " n"],
    class_names: tuple[str, ...],
    min_size: int = 10,
    image: Int[np.ndarray, " n"] | None = None,
) -> GroupAccuracy:
    """Group samples by class and by whether the feature is there (paper: "worst-group", grouping as in [39, 56]).

    Parameters
    ----------
    correct : Bool[np.ndarray, "n"]
        Whether each sample is predicted right.
    labels : Int[np.ndarray, "n"]
        Class of each sample.
    present : Bool[np.ndarray, "n"]
        Whether each sample shows the feature.
    class_names : tuple[str, ...]
        In the order of their numbers.
    min_size : int
        Smaller groups do not count as the worst.
    image : Int[np.ndarray, "n"], optional
        In which image each sample is; each in its own unless given.

    Examples
    --------
    >>> right = np.array([True, True, False, True])
    >>> result = group_accuracy(right, np.array([0, 0, 1, 1]), np.array([True, False, True, False]), ("a", "b"), 1)
    >>> result.overall, result.worst, result.worst_group
    (0.75, 0.0, ('b', True))
    """
    n_classes = len(checks.texts("class_names", class_names))
    checks.array("labels", labels, "iu", (None,), 0, n_classes - 1)
    checks.array("correct", correct, "b", labels.shape)
    checks.array("present", present, "b", labels.shape)
    checks.whole("min_size", min_size, 0)
    cell = labels.astype(np.int64) * 2 + present  # small integers would overflow
    n = np.bincount(cell, minlength=2 * n_classes)
    hits = np.bincount(cell, weights=correct, minlength=2 * n_classes)
    accuracy = np.where(n > 0, hits / np.maximum(n, 1), np.nan)
    table = pd.DataFrame(
        {
            "class_name": np.repeat(np.array(class_names, dtype=object), 2),
            "present": np.tile([False, True], n_classes),
            "n": n,
            "accuracy": accuracy,
        }
    )
    large = np.where(n >= max(min_size, 1), accuracy, np.inf)
    at = int(large.argmin())
    found = np.isfinite(large[at])
    return GroupAccuracy(
        table,
        float(correct.mean()) if len(correct) else float("nan"),
        float(accuracy[at]) if found else float("nan"),
        (class_names[at // 2], bool(at % 2)) if found else None,
        Samples(cell, correct, np.arange(len(correct)) if image is None else image, min_size),
    )


def shortcut_strength(groups: GroupAccuracy, class_name: str) -> tuple[float, float]:
    """(epsilon_1, epsilon_2) of a shortcut from the feature to ``class_name``, 0 to 1; NaN where a cell is empty.

    epsilon_1 is how much more accurate the class itself is with the feature; epsilon_2 how much less accurate the
    worst hit other class is with it (paper, Section 3.2, evaluation settings).

    Parameters
    ----------
    groups : GroupAccuracy
        Accuracy with and without the feature.
    class_name : str
        The class that the shortcut leads to.
    """
    at = groups.table["class_name"].tolist().index(class_name) // 2
    first, second = epsilons(groups.table["accuracy"].to_numpy(float).reshape(-1, 2), at)
    return float(first), float(second)


def epsilons(accuracy: Float[np.ndarray, "*draws n_classes 2"], at: int) -> tuple[np.ndarray, np.ndarray]:
    """(epsilon_1, epsilon_2) of a shortcut to class ``at``, from the accuracies without and with the feature.

    Parameters
    ----------
    accuracy : Float[np.ndarray, "*draws n_classes 2"]
        Of each class, without and with the feature, 0 to 1.
    at : int
        Number of the class that the shortcut leads to.
    """
    gain = accuracy[..., 1] - accuracy[..., 0]
    return gain[..., at], np.delete(-gain, at, axis=-1).max(-1)
