"""Feature: what was chosen to be suppressed, as a rule that says which regions show it; ClusterFeature: by clusters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ravl_explore.data.known_images import UNKNOWN, Identity
from ravl_explore.errors import InputError
from ravl_explore.support import checks
from ravl_explore.support.fingerprints import digest

DIGITS = 8  # of a fingerprint beside a name
LEAST = np.finfo(np.float32).tiny  # the score of a region as near to a chosen medoid as to one that was not chosen
LOOKS_ALIKE = 2.0  # times their spread: on the demos the square's parts are 1.0 to 1.4 apart, other clusters over 2.7
CHOOSE = "Choose one in the table, or write discovery.choose(discovery.best)."
SEE = "See discovery.frame()."

Regions = Float[np.ndarray, "n_regions dim"]


class Looks(NamedTuple):
    """What regions look like to a feature, beside how much they show it.

    Attributes
    ----------
    part : Int[np.ndarray, " n_regions"]
        Which part of the feature a region is nearest to, from 0; of a region that does not show the feature any.
    similarity : Float[np.ndarray, " n_regions"]
        Cosine to what the region is most like, -1 to 1.
    kind : Int[np.ndarray, " n_regions"]
        Regions of one number look alike, from 0.
    """

    part: Int[np.ndarray, " n_regions"]
    similarity: Float[np.ndarray, " n_regions"]
    kind: Int[np.ndarray, " n_regions"]


class Feature(ABC):
    """Which regions of any dataset show what was chosen, told by their embeddings under the searched model.

    To add a rule, write a class with :meth:`score`, :meth:`fingerprint` and the attributes; the other methods have a
    default that is right for a rule without clusters.

    Attributes
    ----------
    name : str
        What the feature is called in sentences, such as ``cluster 7``.
    attribute : str or None
        The class that the feature pulls towards.
    dim : int
        Of the embeddings that it reads.
    threshold : float
        A region shows the feature when its score is above.
    searched : Identity
        What tells the images that it was found in from others; empty where it is not known.
    """

    name: str
    attribute: str | None
    dim: int
    threshold: float = 0.0
    searched: Identity = UNKNOWN

    @abstractmethod
    def score(self, region: Regions) -> Float[np.ndarray, " n_regions"]:
        """How much each region shows the feature.

        Parameters
        ----------
        region : Float[np.ndarray, "n_regions dim"]
            Unit-norm embeddings by the searched model, as for the other methods.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """One short name for the rule, the same wherever the same was chosen."""

    @property
    def settings(self) -> dict[str, str]:
        """What was chosen, and of which search: runs that differ in these are no repetitions of each other."""
        return {"feature": self.name, "discovery": self.fingerprint()[:DIGITS]}

    def looks(self, region: Regions) -> Looks:
        """What the regions look like; without clusters all of one kind, as similar as they score.

        Parameters
        ----------
        region : Float[np.ndarray, "n_regions dim"]
            As for :meth:`score`.
        """
        same = np.zeros(len(region), np.int64)
        return Looks(same, self.score(region).astype(np.float32), same)

    @property
    def short_name(self) -> str:
        """The name where it is short enough to stand many times, else ``the feature``."""
        return self.name

    def look_alikes(self, region: Regions) -> tuple[int, ...]:
        """Clusters that were not chosen and look much like it among these regions, nearest first; none by default.

        Parameters
        ----------
        region : Float[np.ndarray, "n_regions dim"]
            As for :meth:`score`.
        """
        return ()

    def check(self, region: Regions) -> None:
        """Raise InputError unless the feature can read these embeddings.

        Parameters
        ----------
        region : Float[np.ndarray, "n_regions dim"]
            Of any model.
        """
        if region.shape[1] != self.dim:
            raise InputError(
                f"embeddings of {self.dim} dimensions, as the feature has",
                f"{region.shape[1]}",
                "Embed with the searched model.",
            )


@dataclass(frozen=True, eq=False)
class ClusterFeature(Feature):
    """One or several clusters: a region shows them when its nearest medoid is one of theirs (RaVL, Section 4.1).

    Parameters
    ----------
    clusters : tuple of int
        The chosen ones, each once, in the order of choice.
    medoids : Float[np.ndarray, "n_clusters dim"]
        Embeddings of the medoids of the whole clustering.
    attribute : str or None
        The class that the first of them pulls towards.
    searched : Identity
        Of the images that were clustered.

    Raises
    ------
    InputError
        For no cluster, one that comes twice, or one that the clustering does not have.
    """

    clusters: tuple[int, ...]
    medoids: Float[np.ndarray, "n_clusters dim"] = field(repr=False)
    attribute: str | None = None
    searched: Identity = UNKNOWN

    def __post_init__(self) -> None:
        checks.array("medoids", self.medoids, "f", (None, None))
        given, highest = checks.listed("clusters", self.clusters, object, CHOOSE), len(self.medoids) - 1
        clusters = tuple(checks.whole("each of clusters", cluster, 0, highest, SEE) for cluster in given)
        if not clusters:
            raise InputError("at least one cluster", "none", CHOOSE)
        if len(set(clusters)) < len(clusters):
            raise InputError("each cluster once", f"clusters {list(clusters)}", "Leave one of them out.")
        object.__setattr__(self, "clusters", clusters)
        if self.attribute is not None:
            checks.text("attribute", self.attribute)

    @property
    def name(self) -> str:  # type: ignore[override]  # a property where others have a plain attribute
        """``cluster 7``, or ``clusters 1, 7``."""
        return f"cluster{'s' * (len(self.clusters) > 1)} {', '.join(map(str, self.clusters))}"

    @property
    def short_name(self) -> str:
        return self.name if len(self.clusters) == 1 else "the feature"

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Of the medoids."""
        return self.medoids.shape[1]

    def fingerprint(self) -> str:
        return digest(["clusters", list(self.clusters), self.medoids, self.attribute])

    @property
    def settings(self) -> dict[str, str]:
        return {"feature": self.name, "discovery": digest([self.medoids])[:DIGITS]}

    def score(self, region: Regions) -> Float[np.ndarray, " n_regions"]:
        """How much nearer a region is to the nearest chosen medoid than to the nearest other one, as cosines.

        Where both are as near, the lower number decides, as in a clustering; where all clusters are chosen, how near.

        Examples
        --------
        >>> feature = ClusterFeature((1,), np.array([[1.0, 0.0], [0.0, 1.0]]))
        >>> feature.score(np.array([[1.0, 0.0], [0.0, 1.0]])).tolist()
        [-1.0, 1.0]
        """
        similarity = region @ self.medoids.T
        chosen = self._place >= 0
        other = similarity[:, ~chosen].max(1) if not chosen.all() else np.float32(-1)
        margin = similarity[:, chosen].max(1) - other
        return np.where(chosen[similarity.argmax(1)], np.maximum(margin, LEAST), np.minimum(margin, 0))

    def looks(self, region: Regions) -> Looks:
        """By the nearest medoid of all."""
        similarity = region @ self.medoids.T
        cluster = similarity.argmax(1)
        return Looks(self._place[cluster], similarity.max(1).astype(np.float32), cluster)

    def look_alikes(self, region: Regions) -> tuple[int, ...]:
        """Clusters that were not chosen, hardly farther from a chosen one than their own regions from their medoids.

        Distances between medoids are compared with the sum of the two clusters' mean distances to the medoid: a
        shortcut may be cut into several clusters.
        """
        similarity = region @ self.medoids.T
        chosen, nearest = np.array(self.clusters), similarity.argmax(1)
        n = np.bincount(nearest, minlength=len(self.medoids))
        spread = np.bincount(nearest, weights=1 - similarity.max(1), minlength=len(self.medoids)) / np.maximum(n, 1)
        apart = 1 - self.medoids @ self.medoids[chosen].T
        alike = (apart <= LOOKS_ALIKE * (spread[:, None] + spread[chosen])) & (n > 0)[:, None] & (n[chosen] > 0)
        alike[chosen] = False
        order = np.argsort(apart.min(1), kind="stable").tolist()
        return tuple(cluster for cluster in order if alike[cluster].any())

    @property
    def _place(self) -> Int[np.ndarray, " n_clusters"]:
        """Place of each cluster among the chosen ones, -1 of others."""
        place = np.full(len(self.medoids), -1)
        place[list(self.clusters)] = np.arange(len(self.clusters))
        return place
