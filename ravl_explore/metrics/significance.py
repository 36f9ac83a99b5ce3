"""Is a performance gap more than chance? Permutation p-values, a false-discovery correction, bootstrap intervals."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from ravl_explore.errors import InputError
from ravl_explore.metrics.gap import Gaps

N_PERMUTATIONS = 1000
LEVEL = 0.95
ROUNDING = 1e-9  # a shuffled gap this close to the observed one equals it: their sums differ in the last bits
CELLS_AT_ONCE = 4_000  # of (cluster, class): 1,000 shuffles of these are 32 MB


def permutation_p_values(
    gaps: Gaps,
    labels: Int[np.ndarray, " n_images"],
    correct: Bool[np.ndarray, " n_images"],
    *,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> Float[np.ndarray, " n_clusters"]:
    """How often a cluster shuffled over the images of each class has a gap G as large as the observed one.

    Shuffling which images of a class hold the cluster, right and wrong ones alike, makes the number of right images
    among the holders hypergeometric; that number is drawn, which is the same test without moving any image. RaVL has
    no test; see Phipson & Smyth, "Permutation p-values should never be zero" (2010), for the added 1.

    Parameters
    ----------
    n_permutations : at least 1,000, for the smallest p-value is 1 / (n_permutations + 1)

    Returns
    -------
    (n_clusters,) in (0, 1]; 1 where no class can be compared

    Examples
    --------
    Ten images of one class: the five with the cluster are all right, the five without all wrong.

    >>> from ravl_explore.metrics.gap import Presence, performance_gap
    >>> labels, correct = np.zeros(10, int), np.arange(10) < 5
    >>> gaps = performance_gap(Presence(np.zeros(5, int), np.arange(5), 1), labels, correct, 2)
    >>> bool(permutation_p_values(gaps, labels, correct)[0] < 0.02)
    True
    """
    if n_permutations < 1000:
        raise InputError("at least 1,000 permutations", f"{n_permutations}", "Leave n_permutations out to use 1,000.")
    n_clusters, n_classes = gaps.n_in.shape
    size = np.bincount(labels, minlength=n_classes)
    right = np.bincount(labels[correct], minlength=n_classes)
    varies = (gaps.n_in > 0) & (gaps.n_out > 0) & ((right > 0) & (right < size))[None]
    rng = np.random.default_rng(seed)
    reached = np.ones(n_clusters, dtype=np.int64)  # the observed arrangement is one of the shuffles
    cells = varies.sum(1)
    cluster = 0
    while cluster < n_clusters:
        stop = cluster + 1
        while stop < n_clusters and cells[cluster : stop + 1].sum() <= CELLS_AT_ONCE:
            stop += 1
        rows, classes = np.nonzero(varies[cluster:stop])
        shuffled = np.zeros((n_permutations, stop - cluster))
        if len(rows):
            n_in, n_out = gaps.n_in[cluster + rows, classes], gaps.n_out[cluster + rows, classes]
            good = right[classes]
            hits = rng.hypergeometric(good, size[classes] - good, n_in, size=(n_permutations, len(rows)))
            weight = 2 * np.minimum(n_in, n_out) / (n_in + n_out)
            values = weight * np.abs(hits / n_in - (good - hits) / n_out)
            starts = np.flatnonzero(np.diff(rows, prepend=-1))
            shuffled[:, rows[starts]] = np.add.reduceat(values, starts, axis=1)
        reached[cluster:stop] += (shuffled >= gaps.total[cluster:stop] - ROUNDING).sum(0)
        cluster = stop
    return reached / (n_permutations + 1)


def false_discovery_rate(p_values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """q-values of Benjamini & Hochberg (1995): the share of chance findings among all with a q this small or smaller.

    Examples
    --------
    >>> false_discovery_rate(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.04, 0.04]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty_like(p)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q


def accuracy_interval(
    hits: Int[np.ndarray, "..."], n: Int[np.ndarray, "..."], level: float = LEVEL
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Bootstrap percentile interval of ``hits / n``, (low, high); NaN where ``n`` is 0.

    Resampling n images of which a share p is right gives a binomial number of right ones, so that the percentiles are
    known without drawing. Where all or none are right the bootstrap knows no doubt; there the exact one-sided bound of
    Clopper & Pearson (1934) takes the open end.

    Examples
    --------
    >>> low, high = accuracy_interval(np.array([50]), np.array([100]))
    >>> round(float(low[0]), 2), round(float(high[0]), 2)
    (0.4, 0.6)
    """
    from scipy.stats import binom  # here, for it is slow to import

    hits, n = np.broadcast_arrays(np.asarray(hits), np.asarray(n))
    some = np.maximum(n, 1)
    share, tail = hits / some, (1 - level) / 2
    low, high = (binom.ppf(quantile, some, share) / some for quantile in (tail, 1 - tail))
    bound = tail ** (1 / some)
    low = np.where((hits == n) & (n > 0), bound, np.maximum(low, 0.0))
    high = np.where(hits == 0, 1 - bound, high)
    return np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan)
