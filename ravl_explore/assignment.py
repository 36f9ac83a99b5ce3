"""assign(): give the regions of another dataset to discovered clusters, by the nearest medoid (RaVL, Section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.discovery import SpuriousFeature
from ravl_explore.embedding import Embeddings, embed
from ravl_explore.errors import InputError, ModelError
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.progress import Progress
from ravl_explore.regions.base import Proposer, Regions


@dataclass(frozen=True, eq=False)
class Assignment:
    """Which regions of a dataset show the chosen features, decided once, by the model that was searched.

    Attributes
    ----------
    regions : the dataset's regions
    spurious : (n_regions,) bool, the region's nearest medoid is that of a chosen feature
    core : (n_regions,) bool, per image the non-spurious region most similar to the image's own class; an image whose
        regions are all spurious has none
    present : (n_images,) bool, the image holds a spurious region
    attribute : the class that the first feature pulls towards, or None
    """

    regions: Regions
    spurious: Bool[np.ndarray, " n_regions"]
    core: Bool[np.ndarray, " n_regions"]
    present: Bool[np.ndarray, " n_images"]
    attribute: str | None


def assign(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    features: Sequence[SpuriousFeature],
    proposer: Proposer | None = None,
    *,
    progress: Progress | None = None,
) -> Assignment:
    """Embed ``data`` with the searched ``model`` and mark the regions that belong to ``features``.

    Raises
    ------
    InputError
        When no feature is given, or they come from different clusterings.
    ModelError
        When the model's embedding size differs from that of the features.
    """
    if not features:
        raise InputError(
            "at least one feature to suppress", "none", "Choose a cluster in the table, or pass discovery.features[:1]."
        )
    if any(each.medoids is not features[0].medoids for each in features):
        raise InputError("features of one discovery", "features of several", "Take them all from one Discovery.")
    medoids = features[0].medoids
    if model.dim != medoids.shape[1]:
        raise ModelError(
            f"a model with {medoids.shape[1]} embedding dimensions", f"one with {model.dim}", "Use the searched model."
        )
    return assign_embeddings(embed(model, data, proposer, progress=progress), features)


def assign_embeddings(embeddings: Embeddings, features: Sequence[SpuriousFeature]) -> Assignment:
    """The same for regions that are embedded already."""
    medoids = features[0].medoids
    nearest = (embeddings.region @ medoids.T).argmax(1)
    spurious = np.isin(nearest, [each.cluster for each in features])
    image_index, labels = embeddings.regions.image_index, embeddings.labels
    own = np.einsum("nd,nd->n", embeddings.region, embeddings.text[labels[image_index]])
    core = _first_best(np.where(spurious, -np.inf, own), image_index) & ~spurious
    present = np.zeros(len(labels), bool)
    present[image_index[spurious]] = True
    return Assignment(embeddings.regions, spurious, core, present, features[0].attribute)


def _first_best(values: np.ndarray, image_index: Int[np.ndarray, " n_regions"]) -> np.ndarray:
    """(n_regions,) True for the highest value of each image, the first of a tie."""
    order = np.lexsort((np.arange(len(values)), -values, image_index))
    best = np.zeros(len(values), bool)
    best[order[np.unique(image_index[order], return_index=True)[1]]] = True
    return best
