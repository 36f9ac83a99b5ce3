"""Discovery and SpuriousFeature: every cluster of regions, scored, as nouns that know no model."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from ravl_explore.assignment.features import ClusterFeature
from ravl_explore.clustering.base import Clustering
from ravl_explore.errors import InputError
from ravl_explore.scores import Scores
from ravl_explore.support import checks

LIKELY_REAL = 0.05  # of q: at most one in twenty findings like these is chance
RULES = ("paper", "released")
NUMBERS = "Write discovery.choose(1, 7), with the numbers in discovery.frame()."

Rule = Literal["paper", "released"]


@dataclass(frozen=True, eq=False)
class SpuriousFeature:
    """One cluster of regions, scored; the model may have tied it to a class.

    Attributes
    ----------
    cluster : int
        Its number in the clustering.
    kept : bool
        Whether it survived.
    reason : str
        Why it did not; empty for those that did.
    influence : float
        H, 0 to 1; -inf when no error image qualifies.
    performance_gap : float
        G, the sum over classes of absolute weighted gaps; not comparable across label sets.
    gap_per_class : float
        G divided by the number of classes, 0 to 1.
    p_value : float
        How often a cluster shuffled over the images of each class has a gap this large (permutation test).
    q_value : float
        The same after a false-discovery correction over all clusters (Benjamini-Hochberg).
    attribute : str | None
        The class that gains most accuracy from the feature: the one it pulls towards; None when no class has images
        both with and without it.
    region_index : Int[np.ndarray, "n"]
        Its regions, most similar to the medoid first.
    n_images : int
        In how many images it occurs.
    table : pd.DataFrame
        One row a class: class_name, n_in, n_out, accuracy_in, accuracy_out, gap, and 95% bootstrap intervals of the
        accuracies (accuracy_in_low, accuracy_in_high, accuracy_out_low, accuracy_out_high).
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

    def __post_init__(self) -> None:
        checks.whole("cluster", self.cluster, 0)
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
    clusters : tuple[SpuriousFeature, ...]
        All of them, ranked.
    scores, clustering : Scores, Clustering
        What they were made from.
    min_influence, rule : float, Rule
        The settings.
    """

    clusters: tuple[SpuriousFeature, ...]
    scores: Scores
    clustering: Clustering
    min_influence: float
    rule: Rule

    def __post_init__(self) -> None:
        check_settings(self.scores, self.clustering, self.min_influence, self.rule)
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
        """The entry of one cluster, kept or not.

        Parameters
        ----------
        cluster : int
            Its number in the clustering.
        """
        checks.whole("cluster", cluster, 0, remedy="See frame() for the clusters.")
        for each in self.clusters:
            if each.cluster == cluster:
                return each
        raise InputError(f"a cluster from 0 to {len(self.clusters) - 1}", f"{cluster}", "See frame() for the clusters.")

    def choose(self, *clusters: int | SpuriousFeature) -> ClusterFeature:
        """The clusters to suppress, as one feature; look at their crops first, a wrong one hurts.

        Parameters
        ----------
        clusters : int | SpuriousFeature
            The number of each, or its entry, such as ``discovery.best``; pruned ones too.

        Raises
        ------
        InputError
            For none, one that comes twice, one that is not in this discovery, or a list instead of its members.

        Examples
        --------
        >>> feature = discovery.choose(1, 7)  # doctest: +SKIP
        >>> marked = rx.assign(rx.embed(model, train), feature)  # doctest: +SKIP
        """
        if not clusters:
            raise InputError("at least one cluster to choose", "none", NUMBERS)
        chosen = [self._entry(cluster) for cluster in clusters]
        searched = self.scores.embeddings.identity
        return ClusterFeature(tuple(entry.cluster for entry in chosen), self.medoids, chosen[0].attribute, searched)

    def _entry(self, cluster: int | SpuriousFeature) -> SpuriousFeature:
        if not isinstance(cluster, SpuriousFeature):
            if isinstance(cluster, Discovery) or checks.is_list(cluster):
                raise InputError("each cluster by itself", checks.came(cluster), NUMBERS)
            return self.feature(cluster)
        own = self.feature(cluster.cluster)
        if not np.array_equal(own.region_index, cluster.region_index):
            raise InputError("a cluster of this discovery", f"cluster {cluster.cluster} of another one", NUMBERS)
        return own

    @cached_property
    def medoids(self) -> Float[np.ndarray, "n_clusters dim"]:
        """Embedding of each cluster's medoid."""
        return np.asarray(self.scores.embeddings.region[self.clustering.medoids])

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


def check_choices(min_influence: float, rule: str) -> None:
    """Raise InputError for settings of :func:`discover` out of range.

    Parameters
    ----------
    min_influence : float
        Clusters below this influence are pruned, 0 to 1.
    rule : str
        ``"paper"`` or ``"released"``, see :func:`~ravl_explore.discovery.ranking.discover`.
    """
    checks.number("min_influence", min_influence, 0, 1, remedy="The paper uses 0.25.")
    if not isinstance(rule, str) or rule not in RULES:
        raise InputError(
            f"a rule in {RULES}", checks.came(rule), "Use 'paper' unless you compare with the released code."
        )


def check_settings(scores: Scores, clustering: Clustering, min_influence: float, rule: str) -> None:
    """Raise InputError for arguments of :func:`discover` that do not fit together, or are out of range.

    Parameters
    ----------
    scores : Scores
        Of images and regions.
    clustering : Clustering
        Of the same regions.
    min_influence : float
        Clusters below this influence are pruned, 0 to 1.
    rule : str
        ``"paper"`` or ``"released"``, see :func:`~ravl_explore.discovery.ranking.discover`.
    """
    checks.instance("scores", scores, Scores, "Make them with zero_shot(embeddings).")
    checks.instance("clustering", clustering, Clustering, "Make one with KMedoids(...)(embeddings.region).")
    n_regions = len(scores.embeddings.region)
    if len(clustering.labels) != n_regions:
        raise InputError(
            f"a clustering of these {n_regions} regions", f"one of {len(clustering.labels)}", "Cluster again."
        )
    check_choices(min_influence, rule)
