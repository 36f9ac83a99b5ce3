"""What a clustering is, and what anything that makes one must offer.

To add a clusterer: write one file in this folder with a class that has a class attribute ``name`` (what menus show)
and a ``__call__(embeddings, progress=None)`` that returns a :class:`Clustering`, then import it in ``__init__.py``
and add its name to ``__all__`` there. No base class is needed; the contract test runs over ``__all__`` by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

from ravl_explore.errors import InputError
from ravl_explore.support import checks
from ravl_explore.support.progress import Progress

LOSS_ROUNDING = 1e-6  # a region, of distances that are summed in float32


@dataclass(frozen=True, eq=False)
class Clustering:
    """Regions sorted into clusters, each stood for by one of its own regions, the medoid.

    Attributes
    ----------
    labels : Int64[np.ndarray, "n_regions"]
        The cluster of each region, in ``[0, n_clusters)``; no cluster is empty.
    medoids : Int64[np.ndarray, "n_clusters"]
        The region index of each cluster's medoid; ``labels[medoids] == arange(n_clusters)``.
    loss : float
        Cosine distance (1 - similarity) of each region to its medoid, summed over regions; in ``[0, 2 * n_regions]``.
    sweep : pandas.DataFrame
        One row for each number of clusters tried: ``n_clusters``, ``loss``, ``silhouette`` (in ``[-1, 1]``);
        clusterers may add columns, such as ``silhouette_error``.

    Raises
    ------
    InputError
        For labels or medoids out of range, an empty cluster, or a medoid that is not in its own cluster.

    Examples
    --------
    >>> table = pd.DataFrame({"n_clusters": [2], "loss": [0.1], "silhouette": [0.8]})
    >>> clustering = Clustering(np.array([0, 0, 1]), np.array([0, 2]), 0.1, table)
    >>> clustering.n_clusters, clustering.silhouette
    (2, 0.8)
    """

    labels: Int64[np.ndarray, " n_regions"]
    medoids: Int64[np.ndarray, " n_clusters"]
    loss: float
    sweep: pd.DataFrame

    def __post_init__(self) -> None:
        n_regions = checks.array("cluster labels", self.labels, "i", (None,), 0).size
        medoids = checks.array("medoids", self.medoids, "i", (None,), 0, n_regions - 1)
        if not len(medoids):
            raise InputError("at least one cluster", "none", "Give a medoid for each cluster.")
        sizes = np.bincount(self.labels, minlength=len(medoids))
        if len(sizes) > len(medoids):
            raise InputError(
                f"labels of {len(medoids)} clusters, as many as medoids", f"label {len(sizes) - 1}", "Count from 0."
            )
        own = self.labels[medoids] == np.arange(len(medoids))
        if not own.all() or not sizes.all():  # a cluster that holds its medoid is not empty; told apart for the reader
            wrong = int(np.flatnonzero(~own)[0]) if sizes.all() else int(np.flatnonzero(sizes == 0)[0])
            came = f"cluster {wrong} with its medoid elsewhere" if sizes.all() else f"cluster {wrong} empty"
            raise InputError("clusters that hold their medoids", came, "Give each cluster one of its own regions.")
        rounded = isinstance(self.loss, float) and -LOSS_ROUNDING * len(self.labels) <= self.loss < 0
        checks.number("loss", 0.0 if rounded else self.loss, 0)
        if self.sweep is not None:  # of a clustering that was made by hand
            checks.instance("sweep", self.sweep, pd.DataFrame, "Give one row for each number of clusters.")

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return len(self.medoids)

    @property
    def silhouette(self) -> float:
        """Mean silhouette of this clustering, from its row of ``sweep``; in ``[-1, 1]``, higher is better."""
        row = self.sweep["n_clusters"].to_numpy() == self.n_clusters
        return float(self.sweep["silhouette"].to_numpy()[row][0])


@runtime_checkable
class Clusterer(Protocol):
    """Anything that turns region embeddings into a :class:`Clustering`."""

    @property
    def name(self) -> str:
        """What menus show."""
        ...

    def __call__(self, embeddings: Float[np.ndarray, "n_regions dim"], progress: Progress | None = None) -> Clustering:
        """Cluster unit-norm ``embeddings``.

        Raises
        ------
        InputError
            If the embeddings are not 2-D, finite and of unit norm, or are fewer than the clusters asked for.
        """
        ...
