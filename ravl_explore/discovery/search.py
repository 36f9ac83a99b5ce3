"""search(): from a model and images to ranked clusters in one call, as the explorer and the command line do it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ravl_explore.clustering import Clusterer, automatic
from ravl_explore.clustering.kmedoids import check_n_clusters
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.discovery import MIN_INFLUENCE, Discovery, Rule, check_choices, discover
from ravl_explore.embedding.embeddings import embed
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.regions.base import Proposer
from ravl_explore.scores import zero_shot
from ravl_explore.support import checks
from ravl_explore.support.progress import Progress, report


@dataclass(frozen=True, eq=False)
class Search:
    """What a search found.

    Attributes
    ----------
    discovery : Discovery
        The ranked clusters.
    data : ImageTextDataset
        The images that the discovery is about: the dataset, without those that could not be read (they are listed in
        ``discovery.scores.embeddings.unreadable``).
    """

    discovery: Discovery
    data: ImageTextDataset


def search(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    proposer: Proposer | None = None,
    *,
    clusterer: Clusterer | None = None,
    n_clusters: int | Iterable[int] | None = None,
    templates: tuple[str, ...] | None = None,
    min_influence: float = MIN_INFLUENCE,
    rule: Rule = "paper",
    batch_size: int = 128,
    seed: int = 0,
    cache: bool | str | Path = False,
    max_unreadable: int = 0,
    progress: Progress | None = None,
) -> Search:
    """Embed, classify zero-shot, cluster and rank: :func:`embed`, :func:`zero_shot`, a clusterer, :func:`discover`.

    Parameters
    ----------
    model : VisionLanguageModel
        The model to look into.
    data : ImageTextDataset
        The images, with their labels.
    proposer : Proposer, optional
        Finds the regions; ``Grid(2, 2)`` unless given.
    clusterer : Clusterer, optional
        Unless given, k-medoids over the paper's numbers of clusters, CLARA above 10,000 regions.
    n_clusters : int | Iterable[int], optional
        Where no clusterer is given: numbers of clusters to try instead of the paper's.
    seed : int
        Where no clusterer is given: its seed.
    templates : tuple[str, ...], optional
        As :func:`~ravl_explore.embedding.embeddings.embed` takes them.
    min_influence, rule : float, Rule
        As :func:`~ravl_explore.discovery.ranking.discover` takes them.
    batch_size, cache, max_unreadable : int, bool | str | Path, int
        As :func:`~ravl_explore.embedding.embeddings.embed` takes them.
    progress : Progress, optional
        Told how much is done; may raise Cancelled.

    Raises
    ------
    RavlError
        Whatever these functions raise; finding nothing is no error.
    """
    if clusterer is not None:
        remedy = "Give an object such as clustering.KMedoids(20)."
        checks.offers("clusterer", clusterer, "a clusterer", ("__call__",), remedy)
    numbers = None if n_clusters is None else check_n_clusters(n_clusters)
    checks.seed("seed", seed)
    check_choices(min_influence, rule)  # all of these now, not after all images are embedded
    embeddings = embed(
        model,
        data,
        proposer,
        templates=templates,
        batch_size=batch_size,
        cache=cache,
        max_unreadable=max_unreadable,
        progress=progress,
    )
    if clusterer is None:
        clusterer = automatic(len(embeddings.class_names), len(embeddings.region), seed, numbers)
    clustering = clusterer(embeddings.region, progress)
    report(progress, 0, 0, "Scoring clusters")
    discovery = discover(zero_shot(embeddings), clustering, min_influence=min_influence, rule=rule)
    return Search(discovery, embeddings.of(data))
