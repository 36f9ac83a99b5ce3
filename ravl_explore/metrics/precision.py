"""Precision at K: how many of a cluster's first regions truly hold the annotated feature."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from ravl_explore.support import checks


def precision_at_k(
    region_index: Int[np.ndarray, " n_ranked"], region_feature: Bool[np.ndarray, " n_regions"], k: int = 10
) -> float:
    """Share of the first ``k`` ranked regions that hold the feature; fewer than ``k`` regions still divide by ``k``.

    Parameters
    ----------
    region_index : Int[np.ndarray, "n_ranked"]
        Regions of a cluster, ranked.
    region_feature : Bool[np.ndarray, "n_regions"]
        Whether each region of all holds the feature.
    k : int
        How many count, at least 1.

    Examples
    --------
    >>> precision_at_k(np.array([2, 0]), np.array([True, False, True]), k=4)
    0.5
    """
    checks.array("region_feature", region_feature, "b", (None,))
    checks.array("region_index", region_index, "iu", (None,), 0, len(region_feature) - 1)
    checks.whole("k", k, 1)
    return float(region_feature[region_index[:k]].sum() / k)
