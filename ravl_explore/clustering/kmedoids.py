"""K-medoids over a sweep of cluster numbers, the number chosen by silhouette."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from operator import index
from typing import SupportsIndex

import numpy as np
import pandas as pd

from ravl_explore.clustering.base import Clustering
from ravl_explore.clustering.distances import check_embeddings, cosine_distance
from ravl_explore.errors import InputError
from ravl_explore.support import checks
from ravl_explore.support.memory import fits_memory
from ravl_explore.support.progress import Progress, report

STAGE = "Clustering regions"
MOST_CLUSTERS = 100_000  # of so many regions, distances and the swaps' sums take 200 GB


class KMedoids:
    """Cluster regions around medoids by cosine distance (RaVL, section 3.1).

    The sweep goes from few clusters to many and starts each number from the medoids of the one before, plus the region
    that lowers the loss most, then swaps medoids until no single swap helps (FasterPAM). A number's result can
    therefore differ with the numbers tried before it. Where fewer regions differ than clusters are asked for, there are
    as many clusters as differ, with a warning, and no larger number is tried. Memory: 4 n_regions² bytes for the
    distances, and 16 n_regions bytes for each of the most clusters.

    Parameters
    ----------
    n_clusters : int or iterable of int
        The numbers of clusters to try, each at least 2. For RaVL's rule see :func:`default_sweep`.
    seed : int
        Decides the order in which swaps are tried. Same seed, same result, on any number of cores.
    max_passes : int
        The most rounds of swaps for one number of clusters; a handful is usual.

    Raises
    ------
    InputError
        If no number is given, one is below 2 or more than any memory has room for, or ``max_passes`` is below 1.

    Examples
    --------
    >>> angle = np.array([0.0, 0.1, 0.2, 1.5, 1.6, 1.7, 3.0, 3.1])
    >>> embeddings = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    >>> clustering = KMedoids(range(2, 5), seed=0)(embeddings)
    >>> clustering.n_clusters, sorted(np.bincount(clustering.labels).tolist())
    (3, [2, 3, 3])
    >>> clustering.sweep["n_clusters"].tolist()
    [2, 3, 4]
    """

    name = "k-medoids"

    def __init__(self, n_clusters: int | Iterable[int], seed: int = 0, max_passes: int = 100) -> None:
        self.n_clusters = check_n_clusters(n_clusters)
        self.seed = checks.seed("seed", seed)
        self.max_passes = checks.whole("max_passes", max_passes, 1, remedy="Leave it out to use 100.")

    def __repr__(self) -> str:
        return f"KMedoids(n_clusters={list(self.n_clusters)}, seed={self.seed}, max_passes={self.max_passes})"

    def __call__(self, embeddings: np.ndarray, progress: Progress | None = None) -> Clustering:
        """Return the clustering with the best silhouette; the fewest clusters win ties.

        Parameters
        ----------
        embeddings : np.ndarray, shape (n_regions, dim)
            Unit-norm region embeddings.
        progress : callable, optional
            Told how many numbers of clusters are done, between any two computing steps. If it raises ``Cancelled``,
            that ends the call; to keep what is done by then, iterate over :meth:`sweep` and use :func:`choose`.

        Raises
        ------
        InputError
            If the embeddings are not 2-D, finite and of unit norm, are fewer than a number of clusters asked for, or
            need more memory than there is.
        """
        return choose(self.sweep(embeddings, progress))

    def sweep(self, embeddings: np.ndarray, progress: Progress | None = None) -> Iterator[Clustering]:
        """Yield a clustering for each number of clusters, fewest first, its ``sweep`` table holding the rows so far.

        Parameters and errors are those of calling the clusterer.

        Parameters
        ----------
        embeddings : np.ndarray
            Region embeddings, of unit norm.
        progress : Progress, optional
            Told how much is done; may raise Cancelled.

        Examples
        --------
        >>> found = []
        >>> for clustering in KMedoids([2, 3]).sweep(np.eye(4)):
        ...     found.append(clustering)  # one may stop here at any time
        >>> choose(found).n_clusters
        2
        """
        from ravl_explore.clustering import fasterpam  # here, for Numba takes a while to import
        from ravl_explore.clustering.distinct import merge_alike, warn_of_fewer
        from ravl_explore.clustering.silhouette import Silhouettes

        embeddings = check_embeddings(embeddings)
        n_regions, total = len(embeddings), len(self.n_clusters)
        check_enough_regions(n_regions, self.n_clusters)
        need = 4 * n_regions**2 + 16 * n_regions * self.n_clusters[-1]
        what = f"{n_regions:,} regions in up to {self.n_clusters[-1]:,} clusters"
        fits_memory(what, need, "Cluster fewer regions, or use Clara, which takes any number of them.")
        report(progress, 0, total, STAGE)
        distance = cosine_distance(embeddings)
        medoids = fasterpam.Medoids.none(distance, self.n_clusters[-1])
        silhouette = Silhouettes(distance, self.n_clusters[-1])
        order = np.random.default_rng(self.seed).permutation(n_regions)
        rows: list[dict[str, float]] = []
        for done, n_clusters in enumerate(self.n_clusters):
            while len(medoids.index) < n_clusters:
                report(progress, done, total, STAGE)
                fasterpam.add_medoid(medoids)
            for _ in range(self.max_passes):
                report(progress, done, total, STAGE)
                if not fasterpam.swap_round(medoids, order):
                    break
            report(progress, done, total, STAGE)
            labels, index = merge_alike(embeddings, medoids.labels(), medoids.index.copy())
            loss, made = medoids.loss(), len(index)
            if made == n_clusters or all(row["n_clusters"] != made for row in rows):
                rows.append({"n_clusters": made, "loss": loss, "silhouette": silhouette(labels)})
                yield Clustering(labels, index, loss, pd.DataFrame(rows))
            if made < n_clusters:  # and so for all larger numbers
                warn_of_fewer(self.n_clusters[-1], made)
                report(progress, total, total, STAGE)
                return
            report(progress, done + 1, total, STAGE)


def choose(clusterings: Iterable[Clustering]) -> Clustering:
    """Return the clustering with the best silhouette, its table holding the rows of all; the fewest clusters win ties.

    The best is taken even where no silhouette is above 0 (RaVL's released code fails there).

    Parameters
    ----------
    clusterings : Iterable[Clustering]
        What a sweep yielded.

    Raises
    ------
    InputError
        If there is no clustering to choose from.
    """
    if not isinstance(clusterings, Iterable) or getattr(clusterings, "ndim", 1) == 0:
        raise InputError("clusterings as a list", checks.came(clusterings), "Give those that sweep() yielded.")
    best, rows = None, []
    for clustering in clusterings:
        checks.instance("each of clusterings", clustering, Clustering, "Give those that sweep() yielded.")
        rows.append(clustering.sweep[clustering.sweep["n_clusters"] == clustering.n_clusters])
        key = (-clustering.silhouette, clustering.n_clusters)
        if best is None or key < (-best.silhouette, best.n_clusters):
            best = clustering
    if best is None:
        raise InputError("at least one clustering to choose from", "none", "Let the sweep finish one number first.")
    return replace(best, sweep=pd.concat(rows, ignore_index=True))


def default_sweep(n_classes: int) -> range:
    """Return RaVL's numbers of clusters, from 2 to 5 times the classes; the end is excluded as in its released code.

    Parameters
    ----------
    n_classes : int
        How many classes the dataset has.

    Raises
    ------
    InputError
        If there is no class.

    Examples
    --------
    >>> default_sweep(10)
    range(20, 50)
    """
    checks.whole("n_classes", n_classes, 1, remedy="Check the dataset's class names.")
    return range(2 * n_classes, 5 * n_classes)


def check_n_clusters(n_clusters: int | Iterable[int]) -> tuple[int, ...]:
    """Return the numbers of clusters in rising order, each once.

    Parameters
    ----------
    n_clusters : int | Iterable[int]
        One number, or any kind of list of them.

    Raises
    ------
    InputError
        If there is none, or one is not a whole number from 2 to 100,000.
    """
    alone = isinstance(n_clusters, str | bytes) or getattr(n_clusters, "ndim", 1) == 0  # an array of a single number
    given: Iterable[object] = n_clusters if isinstance(n_clusters, Iterable) and not alone else [n_clusters]
    if isinstance(n_clusters, range) and len(n_clusters):  # not gone through: it may be of any length
        numbers = [n_clusters[0], n_clusters[-1]]
    else:
        numbers = [_whole(number) for number in given]
    if not numbers:
        raise InputError("at least one number of clusters", "none", "Pass an int, or a range that is not empty.")
    smallest, largest = min(numbers), max(numbers)
    if smallest < 2:
        raise InputError("at least 2 clusters", f"n_clusters={smallest}", "Start the sweep at 2 or above.")
    if largest > MOST_CLUSTERS:
        raise InputError(
            f"at most {MOST_CLUSTERS:,} clusters, which no memory has room for",
            f"n_clusters={checks.came(largest)}",
            "RaVL tries 2 to 5 times as many as classes.",
        )
    return tuple(sorted(set(n_clusters if isinstance(n_clusters, range) else numbers)))


def _whole(number: object) -> int:
    """The number as Python's own; InputError unless it is a whole one."""
    if isinstance(number, SupportsIndex) and not isinstance(number, bool | np.bool_):
        with suppress(TypeError):  # an array of several
            return index(number)
    raise InputError("whole numbers of clusters", checks.came(number), "Pass an int or a range.")


def check_enough_regions(n_regions: int, n_clusters: tuple[int, ...]) -> None:
    """Raise InputError if some number of clusters is larger than the number of regions.

    Parameters
    ----------
    n_regions : int
        How many regions are clustered.
    n_clusters : tuple[int, ...]
        In rising order.
    """
    if n_regions < n_clusters[-1]:
        raise InputError(
            f"at least as many regions as clusters (n_clusters={n_clusters[-1]})",
            f"{n_regions} regions",
            "Ask for fewer clusters, or propose more regions.",
        )
