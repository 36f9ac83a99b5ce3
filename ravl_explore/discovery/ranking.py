"""discover(): score every cluster of regions and rank those that look like learned shortcuts (RaVL, Stage 1)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from ravl_explore.clustering.base import Clustering
from ravl_explore.discovery.discovery import Discovery, Rule, SpuriousFeature, check_settings
from ravl_explore.metrics import (
    Gaps,
    Presence,
    accuracy_interval,
    false_discovery_rate,
    influence,
    performance_gap,
    permutation_p_values,
    top_region,
)
from ravl_explore.scores import Scores

MIN_INFLUENCE = 0.25  # paper, Section 3.1: tau_l in all experiments
PERMUTATION_SEED = 0
ROWS = 65_536  # regions worked on at a time, so that a million of them need no copy of their embeddings


def discover(
    scores: Scores, clustering: Clustering, *, min_influence: float = MIN_INFLUENCE, rule: Rule = "paper"
) -> Discovery:
    """Score and rank clusters as in RaVL, Section 3.1.

    Parameters
    ----------
    scores : Scores
        Of the images and regions that were clustered.
    clustering : Clustering
        Of ``scores.embeddings.region``.
    min_influence : float
        Clusters below this influence are pruned (0 to 1).
    rule : Rule
        ``"paper"`` ranks by gap, ties by influence, then by cluster number. ``"released"`` does what the released code
        does: it also drops clusters whose gaps all have one sign, and breaks ties as its reversed sort does.

    Raises
    ------
    InputError
        For a clustering of other regions, or settings out of range. An empty result is no error.
    """
    check_settings(scores, clustering, min_influence, rule)
    embeddings = scores.embeddings
    presence, gaps, influences = score_clusters(scores, clustering.labels, len(clustering.medoids))
    reasons = [
        _reason(float(influences[c]), gaps.per_class[c], min_influence, rule) for c in range(len(clustering.medoids))
    ]
    order = _order(gaps.total, influences, rule)
    ranked = [c for c in order if not reasons[c]] + [c for c in order if reasons[c]]
    medoids = np.asarray(embeddings.region[clustering.medoids])
    members = _members_by_similarity(embeddings.region, clustering, medoids)
    p_values = permutation_p_values(gaps, embeddings.labels, scores.correct, seed=PERMUTATION_SEED)
    q_values = false_discovery_rate(p_values)
    intervals = (*accuracy_interval(gaps.right_in, gaps.n_in), *accuracy_interval(gaps.right_out, gaps.n_out))
    clusters = tuple(
        SpuriousFeature(
            cluster=c,
            kept=not reasons[c],
            reason=reasons[c],
            influence=float(influences[c]),
            performance_gap=float(gaps.total[c]),
            gap_per_class=float(gaps.total[c]) / len(embeddings.class_names),
            p_value=float(p_values[c]),
            q_value=float(q_values[c]),
            attribute=_attribute(gaps, c, embeddings.class_names),
            region_index=members[c],
            n_images=len(presence.images(c)),
            table=_table(gaps, intervals, c, embeddings.class_names),
        )
        for c in ranked
    )
    return Discovery(clusters, scores, clustering, min_influence, rule)


def score_clusters(
    scores: Scores, clusters: Int[np.ndarray, " n_regions"], n_clusters: int
) -> tuple[Presence, Gaps, Float[np.ndarray, " n_clusters"]]:
    """Presence, performance gaps and influences (n_clusters,) of any assignment of regions to clusters.

    Parameters
    ----------
    scores : Scores
        Of images and regions.
    clusters : Int[np.ndarray, "n_regions"]
        Cluster of each region.
    n_clusters : int
        How many clusters there are.
    """
    embeddings = scores.embeddings
    image_index = embeddings.regions.image_index
    presence = Presence.from_regions(clusters, image_index, n_clusters)
    gaps = performance_gap(presence, embeddings.labels, scores.correct, len(embeddings.class_names))
    top = top_region(scores.region, scores.predictions, image_index)
    top_cluster = np.where(top >= 0, clusters[top], -1)
    counts = embeddings.regions.count(len(embeddings.labels))
    return presence, gaps, influence(presence, gaps, embeddings.labels, scores.correct, top_cluster, counts)


def _reason(influence_: float, per_class: np.ndarray, min_influence: float, rule: Rule) -> str:
    if np.isneginf(influence_):
        return "no error image qualifies"
    if influence_ < min_influence:
        return f"influence {influence_:.2f} below {min_influence:g}"
    if rule == "released" and not ((per_class > 0).any() and (per_class < 0).any()):
        return "gaps of one sign only"
    return ""


def _order(total: np.ndarray, influences: np.ndarray, rule: Rule) -> list[int]:
    if rule == "released":
        return [int(c) for c in np.argsort(total)[::-1]]
    return [int(c) for c in np.lexsort((np.arange(len(total)), -influences, -total))]


def _members_by_similarity(region: np.ndarray, clustering: Clustering, medoids: np.ndarray) -> list[np.ndarray]:
    """Each cluster's regions, most similar to its medoid first."""
    similarity = np.empty(len(region), np.float32)
    for start in range(0, len(region), ROWS):
        rows = slice(start, start + ROWS)
        similarity[rows] = np.einsum("nd,nd->n", region[rows], medoids[clustering.labels[rows]])
    order = np.lexsort((np.arange(len(similarity)), -similarity, clustering.labels))
    stops = np.cumsum(np.bincount(clustering.labels, minlength=len(medoids)))
    return np.split(order, stops[:-1])


def _attribute(gaps: Gaps, cluster: int, class_names: tuple[str, ...]) -> str | None:
    difference = gaps.accuracy_in[cluster] - gaps.accuracy_out[cluster]
    return None if np.isnan(difference).all() else class_names[int(np.nanargmax(difference))]


def _table(gaps: Gaps, intervals: tuple[np.ndarray, ...], cluster: int, class_names: tuple[str, ...]) -> pd.DataFrame:
    in_low, in_high, out_low, out_high = intervals
    return pd.DataFrame(
        {
            "class_name": list(class_names),
            "n_in": gaps.n_in[cluster],
            "n_out": gaps.n_out[cluster],
            "accuracy_in": gaps.accuracy_in[cluster],
            "accuracy_in_low": in_low[cluster],
            "accuracy_in_high": in_high[cluster],
            "accuracy_out": gaps.accuracy_out[cluster],
            "accuracy_out_low": out_low[cluster],
            "accuracy_out_high": out_high[cluster],
            "gap": gaps.per_class[cluster],
        }
    )
