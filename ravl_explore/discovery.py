"""discover(): score every cluster of regions and rank those that look like learned shortcuts (RaVL, Stage 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from ravl_explore.clustering.base import Clustering
from ravl_explore.errors import InputError
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
from ravl_explore.support import checks

MIN_INFLUENCE = 0.25  # paper, Section 3.1: tau_l in all experiments
LIKELY_REAL = 0.05  # of q: at most one in twenty findings like these is chance
PERMUTATION_SEED = 0
ROWS = 65_536  # regions worked on at a time, so that a million of them need no copy of their embeddings
RULES = ("paper", "released")

Rule = Literal["paper", "released"]


@dataclass(frozen=True, eq=False)
class SpuriousFeature:
    """One cluster of regions, scored; the model may have tied it to a class.

    Attributes
    ----------
    cluster : its number in the clustering
    kept : whether it survived; ``reason`` says why not
    influence : H, 0 to 1; -inf when no error image qualifies
    performance_gap : G, the sum over classes of absolute weighted gaps; not comparable across label sets
    gap_per_class : G divided by the number of classes, 0 to 1
    p_value : how often a cluster shuffled over the images of each class has a gap this large (permutation test)
    q_value : the same after a false-discovery correction over all clusters (Benjamini-Hochberg)
    attribute : the class that gains most accuracy from the feature: the one it pulls towards; None when no class has
        images both with and without it
    region_index : (n,) its regions, most similar to the medoid first
    n_images : in how many images it occurs
    table : one row a class: class_name, n_in, n_out, accuracy_in, accuracy_out, gap, and 95% bootstrap intervals of the
        accuracies (accuracy_in_low, accuracy_in_high, accuracy_out_low, accuracy_out_high)
    medoids : (n_clusters, dim) medoid embeddings of the whole clustering, for assigning new regions
    """

    cluster: int
    kept: bool
    reason: str
    influence: float
    performance_gap: float
    gap_per_class: float
    p_value: float
    q_value: float
    attribute: str | None
    region_index: Int[np.ndarray, " n"]
    n_images: int
    table: pd.DataFrame = field(repr=False)
    medoids: Float[np.ndarray, "n_clusters dim"] = field(repr=False)

    def __post_init__(self) -> None:
        checks.array("medoids", self.medoids, "f", (None, None))
        checks.whole("cluster", self.cluster, 0, len(self.medoids) - 1)
        checks.array("region_index", self.region_index, "iu", (None,), 0)
        checks.flag("kept", self.kept)
        checks.text("reason", self.reason, empty=True)
        if self.attribute is not None:
            checks.text("attribute", self.attribute)
        highest = {"influence": 1, "p_value": 1, "q_value": 1, "performance_gap": None, "gap_per_class": None}
        for name, high in highest.items():
            value = getattr(self, name)
            if not (isinstance(value, float) and (np.isnan(value) or np.isneginf(value))):  # so where it is not known
                checks.number(name, value, 0, high)
        checks.whole("n_images", self.n_images, 0)
        checks.instance("table", self.table, pd.DataFrame, "Make features with discover().")

    @property
    def may_be_chance(self) -> bool:
        """Whether chance could give a gap this large, by the q-value; what no test could tell is not doubted."""
        return self.q_value > LIKELY_REAL

    @property
    def n_regions(self) -> int:
        """How many regions the cluster has."""
        return len(self.region_index)


@dataclass(frozen=True, eq=False)
class Discovery:
    """Every cluster, scored: the kept ones first, best first, then the pruned ones.

    Attributes
    ----------
    clusters : all of them, ranked
    scores, clustering : what they were made from
    min_influence, rule : the settings
    """

    clusters: tuple[SpuriousFeature, ...]
    scores: Scores
    clustering: Clustering
    min_influence: float
    rule: Rule

    def __post_init__(self) -> None:
        _check_settings(self.scores, self.clustering, self.min_influence, self.rule)
        clusters = checks.listed("clusters", self.clusters, SpuriousFeature, "Make them with discover().")
        if sorted(each.cluster for each in clusters) != list(range(self.clustering.n_clusters)):
            came = f"{[each.cluster for each in clusters[:10]]}"
            raise InputError(f"each of {self.clustering.n_clusters} clusters once", came, "Make them with discover().")

    @property
    def features(self) -> tuple[SpuriousFeature, ...]:
        """The kept clusters, best first; may be empty."""
        return tuple(each for each in self.clusters if each.kept)

    @property
    def best(self) -> SpuriousFeature:
        """The top feature; InputError with the reasons when none survived."""
        if not self.features:
            raise InputError(
                "a cluster that survives discovery", f"none: {self.why_none()}", "Lower min_influence or add images."
            )
        return self.features[0]

    def feature(self, cluster: int) -> SpuriousFeature:
        """The entry of one cluster, kept or not."""
        checks.whole("cluster", cluster, 0, remedy="See frame() for the clusters.")
        for each in self.clusters:
            if each.cluster == cluster:
                return each
        raise InputError(f"a cluster from 0 to {len(self.clusters) - 1}", f"{cluster}", "See frame() for the clusters.")

    def frame(self) -> pd.DataFrame:
        """One row a cluster, best first."""
        rows = [
            {
                "rank": rank,
                "cluster": each.cluster,
                "kept": each.kept,
                "reason": each.reason,
                "n_regions": each.n_regions,
                "n_images": each.n_images,
                "influence": each.influence,
                "performance_gap": each.performance_gap,
                "gap_per_class": each.gap_per_class,
                "p_value": each.p_value,
                "q_value": each.q_value,
                "attribute": each.attribute,
            }
            for rank, each in enumerate(self.clusters, start=1)
        ]
        return pd.DataFrame(rows)

    def gaps(self) -> pd.DataFrame:
        """One row a cluster and class: the weighted gap and what it is made of."""
        return pd.concat([each.table.assign(cluster=each.cluster) for each in self.clusters], ignore_index=True)

    def why_none(self) -> str:
        """One sentence on why no cluster survived; empty when one did."""
        if self.features:
            return ""
        if bool(self.scores.correct.all()):
            return "the model made no error on these images, so nothing can have influenced one"
        reasons = pd.Series([each.reason for each in self.clusters]).str.replace(
            r"(?<=influence )[\d.]+ ", "", regex=True
        )
        most = reasons.value_counts().index[0]
        return f"all {len(self.clusters)} clusters were pruned, most because: {most}"


def discover(
    scores: Scores, clustering: Clustering, *, min_influence: float = MIN_INFLUENCE, rule: Rule = "paper"
) -> Discovery:
    """Score and rank clusters as in RaVL, Section 3.1.

    Parameters
    ----------
    scores : of the images and regions that were clustered
    clustering : of ``scores.embeddings.region``
    min_influence : clusters below this influence are pruned (0 to 1)
    rule : ``"paper"`` ranks by gap, ties by influence, then by cluster number. ``"released"`` does what the released
        code does: it also drops clusters whose gaps all have one sign, and breaks ties as its reversed sort does.

    Raises
    ------
    InputError
        For a clustering of other regions, or settings out of range. An empty result is no error.
    """
    _check_settings(scores, clustering, min_influence, rule)
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
            medoids=medoids,
        )
        for c in ranked
    )
    return Discovery(clusters, scores, clustering, min_influence, rule)


def check_choices(min_influence: float, rule: str) -> None:
    """Raise InputError for settings of :func:`discover` out of range."""
    checks.number("min_influence", min_influence, 0, 1, remedy="The paper uses 0.25.")
    if not isinstance(rule, str) or rule not in RULES:
        raise InputError(
            f"a rule in {RULES}", checks.came(rule), "Use 'paper' unless you compare with the released code."
        )


def _check_settings(scores: Scores, clustering: Clustering, min_influence: float, rule: str) -> None:
    checks.instance("scores", scores, Scores, "Make them with zero_shot(embeddings).")
    checks.instance("clustering", clustering, Clustering, "Make one with KMedoids(...)(embeddings.region).")
    n_regions = len(scores.embeddings.region)
    if len(clustering.labels) != n_regions:
        raise InputError(
            f"a clustering of these {n_regions} regions", f"one of {len(clustering.labels)}", "Cluster again."
        )
    check_choices(min_influence, rule)


def check_features(features: Sequence[SpuriousFeature], what: str = "suppress") -> tuple[SpuriousFeature, ...]:
    """The features as a tuple, once they are some, of one discovery, each once.

    Raises
    ------
    InputError
        For none, for one that is not in a list, a whole discovery, or features of several discoveries.
    """
    if isinstance(features, Discovery):
        raise InputError("features as a list", "a Discovery", "Pass those you looked at: discovery.features[:1].")
    remedy = "Pass discovery.features[:1], a list even of one."
    found: Any = checks.listed("features", features, object, remedy)
    for each in found:
        checks.offers("features of a list", each, "of discovered features", ("cluster", "medoids", "attribute"), remedy)
    if not found:
        raise InputError(
            f"at least one feature to {what}", "none", "Choose a cluster in the table, or pass discovery.features[:1]."
        )
    if any(each.medoids is not found[0].medoids for each in found):
        raise InputError("features of one discovery", "features of several", "Take them all from one Discovery.")
    if len({each.cluster for each in found}) < len(found):
        raise InputError("each feature once", f"clusters {[each.cluster for each in found]}", "Leave one of them out.")
    return found


def score_clusters(
    scores: Scores, clusters: Int[np.ndarray, " n_regions"], n_clusters: int
) -> tuple[Presence, Gaps, Float[np.ndarray, " n_clusters"]]:
    """Presence, performance gaps and influences (n_clusters,) of any assignment of regions to clusters."""
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
