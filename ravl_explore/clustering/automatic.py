"""automatic(): the clusterer and the numbers of clusters that suit a dataset."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ravl_explore.clustering.base import Clusterer
from ravl_explore.clustering.clara import Clara
from ravl_explore.clustering.kmedoids import KMedoids, default_sweep
from ravl_explore.support import checks

MOST_EXACT = 10_000
"""Regions up to which all distances are kept: 400 MB, and half a minute for 30 numbers of clusters on two cores."""

MOST_NUMBERS = 30
"""Numbers of clusters tried: as many as the paper's rule gives for its 10 classes. For SUN397's 397 classes it gives
1,191, which differ little from their neighbours (TRoVe, by RaVL's authors, tries four)."""


def automatic(
    n_classes: int, n_regions: int, seed: int = 0, n_clusters: int | Iterable[int] | None = None
) -> Clusterer:
    """Return :class:`KMedoids` up to 10,000 regions, :class:`Clara` above, with :func:`automatic_sweep`.

    ``n_clusters`` are numbers of clusters to try instead.

    Parameters
    ----------
    n_classes : int
        How many classes the dataset has.
    n_regions : int
        How many regions are clustered.
    seed : int
        Of the clusterer.
    n_clusters : int | Iterable[int], optional
        Numbers of clusters to try, in place of RaVL's.

    Examples
    --------
    >>> automatic(10, 4_000).name, automatic(10, 400_000).name
    ('k-medoids', 'CLARA')
    """
    checks.whole("n_regions", n_regions, 0)
    numbers = automatic_sweep(n_classes, n_regions) if n_clusters is None else n_clusters
    return KMedoids(numbers, seed) if n_regions <= MOST_EXACT else Clara(numbers, seed)


def automatic_sweep(n_classes: int, n_regions: int) -> tuple[int, ...]:
    """RaVL's numbers of clusters, cut where there are fewer regions, and thinned out to 30 for over 10 classes.

    Where there are not even twice as many regions as classes, the numbers begin at half as many clusters as regions.

    Parameters
    ----------
    n_classes : int
        How many classes the dataset has.
    n_regions : int
        How many regions are clustered.

    Raises
    ------
    InputError
        If there is no class.

    Examples
    --------
    >>> automatic_sweep(10, 4_000) == tuple(range(20, 50))
    True
    >>> automatic_sweep(2, 7), automatic_sweep(10, 8)
    ((4, 5, 6), (4, 5, 6, 7))
    >>> len(automatic_sweep(397, 80_000)), automatic_sweep(397, 80_000)[:3], automatic_sweep(397, 80_000)[-1]
    (30, (794, 835, 876), 1984)
    """
    paper = default_sweep(n_classes)
    checks.whole("n_regions", n_regions, 0)
    start = paper.start if paper.start < n_regions else max(2, n_regions // 2)
    stop = max(start + 1, min(paper.stop, n_regions))
    numbers = np.linspace(start, stop - 1, min(MOST_NUMBERS, stop - start)).round().astype(int)
    return tuple(numbers.tolist())
