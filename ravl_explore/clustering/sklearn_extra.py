"""An adapter that clusters as RaVL's released code does, with scikit-learn-extra."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

import numpy as np
import pandas as pd

from ravl_explore.clustering.base import Clustering
from ravl_explore.clustering.distances import check_embeddings, cosine_distance, summed_distance
from ravl_explore.clustering.kmedoids import STAGE, check_enough_regions, check_n_clusters
from ravl_explore.errors import MissingDependencyError
from ravl_explore.support import checks
from ravl_explore.support.progress import Progress, report

HIGHEST_SEED = 2**32 - 1  # scikit-learn's


class SklearnExtraKMedoids:
    """K-medoids with the released code's library and settings, for comparison with its results.

    Distances are clipped to ``[0, 1]``, as there; initialisation k-medoids++, method "alternate", 300 iterations at
    most. Where no silhouette is above 0 the best is taken all the same, while the released code fails. Losses are
    sums of unclipped cosine distances, so that they compare with those of other clusterers. Where fewer regions differ
    than clusters are asked for, it ends as :class:`KMedoids` does.

    Parameters
    ----------
    n_clusters : int or iterable of int
        The numbers of clusters to try, each at least 2.
    seed : int
        The ``random_state`` of each fit; 0 in the released code.

    Raises
    ------
    InputError
        If no number is given or one is below 2.

    Examples
    --------
    >>> SklearnExtraKMedoids(range(20, 50)).n_clusters[-1]
    49
    """

    name = "k-medoids (scikit-learn-extra)"

    def __init__(self, n_clusters: int | Iterable[int], seed: int = 0) -> None:
        self.n_clusters = check_n_clusters(n_clusters)
        self.seed = checks.seed("seed", seed, HIGHEST_SEED)

    def __repr__(self) -> str:
        return f"SklearnExtraKMedoids(n_clusters={list(self.n_clusters)}, seed={self.seed})"

    def __call__(self, embeddings: np.ndarray, progress: Progress | None = None) -> Clustering:
        """Return the clustering with the best silhouette; the fewest clusters win ties.

        Parameters
        ----------
        embeddings : np.ndarray, shape (n_regions, dim)
            Unit-norm region embeddings.
        progress : callable, optional
            Told how many numbers of clusters are done; may raise ``Cancelled``.

        Raises
        ------
        InputError
            If the embeddings are not 2-D, finite and of unit norm, are fewer than a number of clusters asked for, or
            need more memory than there is.
        MissingDependencyError
            If scikit-learn-extra is not there or does not import.
        """
        embeddings = check_embeddings(embeddings)
        check_enough_regions(len(embeddings), self.n_clusters)
        sklearn_extra_kmedoids = _import_kmedoids()
        from sklearn.metrics import silhouette_score

        from ravl_explore.clustering.distinct import merge_alike, warn_of_fewer  # here, for it imports Numba

        def fit(n_clusters: int):
            return sklearn_extra_kmedoids(
                n_clusters=n_clusters,
                metric="precomputed",
                method="alternate",
                init="k-medoids++",
                max_iter=300,
                random_state=self.seed,
            ).fit(distance)

        distance = cosine_distance(embeddings, max_distance=1.0)
        rows = []
        for done, n_clusters in enumerate(self.n_clusters):
            report(progress, done, len(self.n_clusters), STAGE)
            model = fit(n_clusters)
            labels, medoids = merge_alike(embeddings, model.labels_, model.medoid_indices_)
            made = len(medoids)
            if made == n_clusters or all(row["n_clusters"] != made for row in rows):
                rows.append(
                    {
                        "n_clusters": made,
                        "loss": summed_distance(embeddings, labels, medoids),
                        "silhouette": float(silhouette_score(distance, labels, metric="precomputed"))
                        if 1 < len(np.unique(labels)) < len(distance)
                        else 0.0,  # undefined in scikit-learn, which raises
                        "asked": n_clusters,
                    }
                )
            if made < n_clusters:  # and so for all larger numbers
                warn_of_fewer(self.n_clusters[-1], made)
                break
        sweep = pd.DataFrame(rows)
        best = int(sweep["silhouette"].to_numpy().argmax())  # the first, so the fewest clusters, wins ties
        model = fit(rows[best]["asked"])
        labels, medoids = merge_alike(embeddings, model.labels_, model.medoid_indices_)
        report(progress, len(self.n_clusters), len(self.n_clusters), STAGE)
        return Clustering(
            labels.astype(np.int64),
            medoids.astype(np.int64),
            float(rows[best]["loss"]),
            sweep.drop(columns="asked"),
        )


def _import_kmedoids():
    """Return scikit-learn-extra's KMedoids, or say why that cannot be."""
    try:
        return import_module("sklearn_extra.cluster").KMedoids
    except (ImportError, ValueError) as error:  # ValueError: "numpy.dtype size changed", its wheels under NumPy 2
        raise MissingDependencyError(
            "scikit-learn-extra, importable",
            f"{type(error).__name__}: {error} (NumPy {np.__version__})",
            "Its wheels need NumPy < 2: install it from conda-forge, which builds it for NumPy 2, or use an "
            'environment with "numpy<2"; or use KMedoids, which needs neither.',
        ) from error
