"""Influence: how often a cluster holds the region that drew the model to a wrong class (RaVL, Definition 1)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from ravl_explore.metrics.gap import Gaps, Presence


def influence(
    presence: Presence,
    gaps: Gaps,
    labels: Int[np.ndarray, " n_images"],
    correct: Bool[np.ndarray, " n_images"],
    top_cluster: Int[np.ndarray, " n_images"],
    regions_per_image: Int[np.ndarray, " n_images"],
) -> Float[np.ndarray, " n_clusters"]:
    """H_c = the highest share, over classes y, of error images of (c, y) whose top region is in c; -inf without any.

    An error image of (c, y) is a mispredicted image of class y in which c occurs, where class y is less accurate
    with c than without. Images with one region are left out, as in the released code: their top region is given.

    Parameters
    ----------
    presence : Presence
        In which images each cluster is.
    gaps : Gaps
        The clusters' performance gaps.
    labels : Int[np.ndarray, "n_images"]
        Class of each image.
    correct : Bool[np.ndarray, "n_images"]
        Whether each image's prediction is right.
    top_cluster : Int[np.ndarray, "n_images"]
        Cluster of each image's region with the highest score for the image's prediction.
    regions_per_image : Int[np.ndarray, "n_images"]
        How many regions each image has.

    Returns
    -------
    (n_clusters,) float64, 0 to 1, or -inf where no image qualifies
    """
    n_classes = gaps.n_in.shape[1]
    hurts = np.nan_to_num(gaps.accuracy_in - gaps.accuracy_out, nan=0.0) < 0
    label = labels[presence.image]
    error = ~correct[presence.image] & (regions_per_image[presence.image] > 1) & hurts[presence.cluster, label]
    cell = (presence.cluster * n_classes + label)[error]
    drawn = (top_cluster[presence.image] == presence.cluster)[error]
    size = presence.n_clusters * n_classes
    n_errors = np.bincount(cell, minlength=size).reshape(-1, n_classes)
    n_drawn = np.bincount(cell, weights=drawn, minlength=size).reshape(-1, n_classes)
    return np.where(n_errors > 0, n_drawn / np.maximum(n_errors, 1), -np.inf).max(axis=1)


def top_region(
    region_scores: Float[np.ndarray, "n_regions n_classes"],
    predictions: Int[np.ndarray, " n_images"],
    image_index: Int[np.ndarray, " n_regions"],
) -> Int[np.ndarray, " n_images"]:
    """For each image the region with the highest score for the image's prediction, the first of a tie; -1 for none.

    Parameters
    ----------
    region_scores : Float[np.ndarray, "n_regions n_classes"]
        Softmax of each region, by class.
    predictions : Int[np.ndarray, "n_images"]
        Predicted class of each image.
    image_index : Int[np.ndarray, "n_regions"]
        The image of each region.

    Examples
    --------
    >>> top_region(np.array([[0.2, 0.8], [0.9, 0.1]]), np.array([0]), np.array([0, 0])).tolist()
    [1]
    """
    own = region_scores[np.arange(len(region_scores)), predictions[image_index]]
    order = np.lexsort((np.arange(len(own)), -own, image_index))
    images, first = np.unique(image_index[order], return_index=True)
    top = np.full(len(predictions), -1, dtype=np.int64)
    top[images] = order[first]
    return top
