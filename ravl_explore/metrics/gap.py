"""Performance gap: how much accuracy differs between images with and without a feature (RaVL, Definition 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class Presence:
    """Which clusters occur in which images, as the unique (cluster, image) pairs, sorted by cluster then image.

    Attributes
    ----------
    cluster : Int[np.ndarray, "n_pairs"]
        Cluster of each pair.
    image : Int[np.ndarray, "n_pairs"]
        Image of each pair.
    n_clusters : int
        How many clusters there are, also those in no image.
    """

    cluster: Int[np.ndarray, " n_pairs"]
    image: Int[np.ndarray, " n_pairs"]
    n_clusters: int

    @classmethod
    def from_regions(
        cls, clusters: Int[np.ndarray, " n_regions"], image_index: np.ndarray, n_clusters: int
    ) -> Presence:
        """From each region's cluster and image; a region of cluster -1 belongs to none.

        Parameters
        ----------
        clusters : Int[np.ndarray, "n_regions"]
            Cluster of each region.
        image_index : np.ndarray
            The image of each region.
        n_clusters : int
            How many clusters there are.
        """
        here = clusters >= 0
        n_images = int(image_index.max(initial=0)) + 1
        pairs = np.unique(
            clusters[here].astype(np.int64) * n_images + image_index[here]
        )  # one number a pair is quicker
        return cls(pairs // n_images, pairs % n_images, n_clusters)

    def images(self, cluster: int) -> Int[np.ndarray, " n"]:
        """The images in which a cluster occurs.

        Parameters
        ----------
        cluster : int
            The cluster's number.
        """
        start, stop = np.searchsorted(self.cluster, [cluster, cluster + 1])
        return self.image[start:stop]


@dataclass(frozen=True, eq=False)
class Gaps:
    """Per cluster and class; accuracies and gaps are NaN where a class has no image inside or none outside.

    Attributes
    ----------
    n_in, n_out : Int[np.ndarray, "n_clusters n_classes"]
        Images with and without the cluster.
    right_in, right_out : Int[np.ndarray, "n_clusters n_classes"]
        How many of them are predicted right.
    accuracy_in, accuracy_out : Float[np.ndarray, "n_clusters n_classes"]
        Shares from 0 to 1.
    per_class : Float[np.ndarray, "n_clusters n_classes"]
        Weighted gaps, -1 to 1.
    total : Float[np.ndarray, "n_clusters"]
        Sum of absolute weighted gaps; 0 where no class is comparable.
    """

    n_in: Int[np.ndarray, "n_clusters n_classes"]
    n_out: Int[np.ndarray, "n_clusters n_classes"]
    right_in: Int[np.ndarray, "n_clusters n_classes"]
    right_out: Int[np.ndarray, "n_clusters n_classes"]
    accuracy_in: Float[np.ndarray, "n_clusters n_classes"]
    accuracy_out: Float[np.ndarray, "n_clusters n_classes"]
    per_class: Float[np.ndarray, "n_clusters n_classes"]
    total: Float[np.ndarray, " n_clusters"]


def performance_gap(
    presence: Presence, labels: Int[np.ndarray, " n_images"], correct: Bool[np.ndarray, " n_images"], n_classes: int
) -> Gaps:
    """G_c^y = w_y (p_in - p_out) with w_y = 2 min(n_in, n_out) / (n_in + n_out), and G_c = sum over y of its size.

    Classes without images inside or outside the cluster are left out, as in the released code.

    Parameters
    ----------
    presence : Presence
        In which images each cluster is.
    labels : Int[np.ndarray, "n_images"]
        Class of each image.
    correct : Bool[np.ndarray, "n_images"]
        Whether each image's prediction is right.
    n_classes : int
        How many classes the dataset has.

    Examples
    --------
    Two of four images hold the cluster; those two are right, the others wrong:

    >>> presence = Presence(np.array([0, 0]), np.array([0, 1]), n_clusters=1)
    >>> gaps = performance_gap(presence, np.zeros(4, int), np.array([True, True, False, False]), n_classes=2)
    >>> float(gaps.total[0])
    1.0
    """
    cell = presence.cluster * n_classes + labels[presence.image]
    shape = (presence.n_clusters, n_classes)
    n_in = np.bincount(cell, minlength=shape[0] * n_classes).reshape(shape)
    right_in = np.bincount(cell[correct[presence.image]], minlength=shape[0] * n_classes).reshape(shape)
    n_out = np.bincount(labels, minlength=n_classes)[None] - n_in
    right_out = np.bincount(labels[correct], minlength=n_classes)[None] - right_in
    return Gaps(n_in, n_out, right_in, right_out, *weighted_gaps(n_in, n_out, right_in, right_out))


def weighted_gaps(
    n_in: np.ndarray, n_out: np.ndarray, right_in: np.ndarray, right_out: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(accuracy_in, accuracy_out, per_class, total) of :class:`Gaps`, from counts of shape (n, n_classes).

    Parameters
    ----------
    n_in : np.ndarray
        Images of each class with the cluster.
    n_out : np.ndarray
        Images of each class without it.
    right_in : np.ndarray
        How many of ``n_in`` are right.
    right_out : np.ndarray
        How many of ``n_out`` are right.
    """
    both = (n_in > 0) & (n_out > 0)
    accuracy_in = np.where(both, right_in / np.maximum(n_in, 1), np.nan)
    accuracy_out = np.where(both, right_out / np.maximum(n_out, 1), np.nan)
    weight = 2 * np.minimum(n_in, n_out) / np.maximum(n_in + n_out, 1)
    per_class = weight * (accuracy_in - accuracy_out)
    return accuracy_in, accuracy_out, per_class, np.nansum(np.abs(per_class), axis=1)
