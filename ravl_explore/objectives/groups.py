"""Groups of images, class x feature present: their numbers, their names, and chances that make them equally likely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int


def balanced(
    labels: Int[np.ndarray, " n_images"], present: Bool[np.ndarray, " n_images"]
) -> Float[np.ndarray, " n_images"]:
    """Chances of being drawn by which every group is equally likely: one over the size of the image's group.

    Images without a class (label -1) count as one more class. RaVL, Appendix D.2: "a weighted sampler to upsample
    minority subgroups", whose classes and subgroups come from Stage 1.

    Parameters
    ----------
    labels : Int[np.ndarray, " n_images"]
    present : Bool[np.ndarray, " n_images"]
        Whether the feature is there.

    Examples
    --------
    >>> balanced(np.array([0, 0, 0]), np.array([True, True, False])).tolist()
    [0.25, 0.25, 0.5]
    """
    _, where, sizes = np.unique(labels * 2 + present, return_inverse=True, return_counts=True)
    weights = 1.0 / sizes[where]
    return weights / weights.sum()


def group_name(group: int, class_names: Sequence[str]) -> str:
    """What a group is called.

    Parameters
    ----------
    group : int
        ``2 * label + present``.
    class_names : sequence of str
        What the classes are called.

    Examples
    --------
    >>> group_name(3, ["cat", "dog"]), group_name(2, ["cat", "dog"])
    ('dog, with', 'dog, without')
    """
    return f"{class_names[group // 2]}, {'with' if group % 2 else 'without'}"


def empty_groups(
    labels: Int[np.ndarray, " n_images"], present: Bool[np.ndarray, " n_images"], class_names: Sequence[str]
) -> tuple[str, ...]:
    """Names of the groups that no image is in; images without a class (label -1) are in none.

    Parameters
    ----------
    labels : Int[np.ndarray, " n_images"]
    present : Bool[np.ndarray, " n_images"]
        Whether the feature is there.
    class_names : sequence of str
        What the classes are called.

    Examples
    --------
    >>> empty_groups(np.array([0, 0, 1, -1]), np.array([True, False, True, False]), ["cat", "dog"])
    ('dog, without',)
    """
    there = set((labels * 2 + present)[labels >= 0].tolist())
    return tuple(group_name(group, class_names) for group in range(2 * len(class_names)) if group not in there)
