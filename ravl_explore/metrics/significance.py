"""Is a performance gap more than chance? Permutation p-values, a false-discovery correction, bootstrap intervals."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from ravl_explore.errors import InputError
from ravl_explore.metrics.gap import Gaps
from ravl_explore.support import checks

N_PERMUTATIONS = 1000
LEVEL = 0.95
CLOSER = 0.01  # clusters with a p-value up to this are shuffled again, more often
PER_CLUSTER = 40  # that often a cluster, so that one clear finding among k has q <= k / (40 k + 1), below 0.05
ROUNDING = 1e-9  # a shuffled gap this close to the observed one equals it: their sums differ in the last bits
DRAWS_AT_ONCE = 4_000_000  # 32 MB


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

    No p-value can be below 1 / (n_permutations + 1), which a correction for many clusters multiplies. So those up to
    0.01 are replaced by those of a second, independent round of 40 shuffles a cluster, where that is more; this keeps
    the test valid, for what is at most t then was at most t before, or in the second round.

    Parameters
    ----------
    gaps : Gaps
        The clusters' performance gaps.
    labels : Int[np.ndarray, "n_images"]
        Class of each image.
    correct : Bool[np.ndarray, "n_images"]
        Whether each image's prediction is right.
    n_permutations : int
        Of the first round, at least 1,000.
    seed : int
        Same seed, same result.

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
    if n_permutations < N_PERMUTATIONS:
        raise InputError("at least 1,000 permutations", f"{n_permutations}", "Leave n_permutations out to use 1,000.")
    n_clusters, n_classes = gaps.n_in.shape
    size = np.bincount(labels, minlength=n_classes)
    right = np.bincount(labels[correct], minlength=n_classes)
    rng = np.random.default_rng(seed)
    p_values = _round(gaps, np.arange(n_clusters), size, right, n_permutations, rng)
    close = np.flatnonzero(p_values <= CLOSER)
    more = PER_CLUSTER * n_clusters
    if more > n_permutations and len(close):
        p_values[close] = _round(gaps, close, size, right, more, rng)
    return p_values


def _round(
    gaps: Gaps,
    clusters: Int[np.ndarray, " n"],
    size: Int[np.ndarray, " n_classes"],
    right: Int[np.ndarray, " n_classes"],
    n_permutations: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, " n"]:
    """p-values of some clusters from fresh shuffles; a class that is all right or all wrong has no gap to shuffle."""
    varies = (gaps.n_in[clusters] > 0) & (gaps.n_out[clusters] > 0) & ((right > 0) & (right < size))[None]
    reached = np.ones(len(clusters), dtype=np.int64)  # the observed arrangement is one of the shuffles
    # clusters are taken together while their cells fit, a single one whatever its size
    block = np.cumsum(varies.sum(1)) * n_permutations // DRAWS_AT_ONCE
    for here in np.split(np.arange(len(clusters)), np.flatnonzero(np.diff(block)) + 1):
        rows, classes = np.nonzero(varies[here])
        shuffled = np.zeros((n_permutations, len(here)))
        if len(rows):
            cells = clusters[here[rows]], classes
            n_in, n_out, good = gaps.n_in[cells], gaps.n_out[cells], right[classes]
            hits = rng.hypergeometric(good, size[classes] - good, n_in, size=(n_permutations, len(rows)))
            weight = 2 * np.minimum(n_in, n_out) / (n_in + n_out)
            values = weight * np.abs(hits / n_in - (good - hits) / n_out)
            starts = np.flatnonzero(np.diff(rows, prepend=-1))
            shuffled[:, rows[starts]] = np.add.reduceat(values, starts, axis=1)
        reached[here] += (shuffled >= gaps.total[clusters[here]] - ROUNDING).sum(0)
    return reached / (n_permutations + 1)


def false_discovery_rate(p_values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """q-values of Benjamini & Hochberg (1995): the share of chance findings among all with a q this small or smaller.

    Parameters
    ----------
    p_values : Float[np.ndarray, "n"]
        From 0 to 1, in any order.

    Returns
    -------
    Float[np.ndarray, "n"]
        From 0 to 1, in the order of ``p_values``; SciPy's.

    Raises
    ------
    InputError
        When they are no list of numbers from 0 to 1.

    Examples
    --------
    >>> false_discovery_rate(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.04, 0.04]
    """
    from scipy.stats import false_discovery_control  # here, for it is slow to import

    p = checks.array("p_values", np.asarray(p_values), "fiu", (None,), 0, 1)
    return false_discovery_control(p.astype(np.float64))


def accuracy_interval(
    hits: Int[np.ndarray, "..."], n: Int[np.ndarray, "..."], level: float = LEVEL
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Bootstrap percentile interval of ``hits / n``, (low, high); NaN where ``n`` is 0.

    Resampling n images of which a share p is right gives a binomial number of right ones, so that the percentiles are
    known without drawing. Where all or none are right the bootstrap knows no doubt; there the exact one-sided bound of
    Clopper & Pearson (1934) takes the open end.

    Parameters
    ----------
    hits : Int[np.ndarray, "..."]
        How many are right.
    n : Int[np.ndarray, "..."]
        Of how many.
    level : float
        Share of draws inside the interval, between 0 and 1.

    Examples
    --------
    >>> low, high = accuracy_interval(np.array([50]), np.array([100]))
    >>> round(float(low[0]), 2), round(float(high[0]), 2)
    (0.4, 0.6)
    """
    from scipy.stats import binom  # here, for it is slow to import

    hits, n = np.broadcast_arrays(np.asarray(hits), np.asarray(n))
    checks.array("hits", hits, "iu", hits.shape, 0)
    checks.array("n", n, "iu", n.shape, 0)
    checks.number("level", level, above=0, below=1)
    some = np.maximum(n, 1)
    share, tail = hits / some, (1 - level) / 2
    low, high = (binom.ppf(quantile, some, share) / some for quantile in (tail, 1 - tail))
    bound = tail ** (1 / some)
    low = np.where((hits == n) & (n > 0), bound, np.maximum(low, 0.0))
    high = np.where(hits == 0, 1 - bound, high)
    return np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan)
