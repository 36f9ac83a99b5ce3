"""assign(): give the regions of another dataset to discovered clusters, by the nearest medoid (RaVL, Section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ravl_explore.cores import core_regions
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
    core : (n_regions,) bool, per image the non-spurious region that shows its class (see
        :func:`ravl_explore.cores.core_regions`); an image whose regions are all spurious, or of which no class is
        known, has none
    present : (n_images,) bool, the image holds a spurious region
    attribute : the class that the first feature pulls towards, or None
    feature : (n_regions,) int64, which of the features a spurious region shows, -1 for other regions; None: not told
    similarity : (n_regions,) float32, cosine to the nearest medoid; None: not told
    """

    regions: Regions
    spurious: Bool[np.ndarray, " n_regions"]
    core: Bool[np.ndarray, " n_regions"]
    present: Bool[np.ndarray, " n_images"]
    attribute: str | None
    feature: Int[np.ndarray, " n_regions"] | None = None
    similarity: Float[np.ndarray, " n_regions"] | None = None


def assign(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    features: Sequence[SpuriousFeature],
    proposer: Proposer | None = None,
    *,
    labels: Int[np.ndarray, " n_images"] | None = None,
    progress: Progress | None = None,
) -> Assignment:
    """Embed ``data`` with the searched ``model`` and mark the regions that belong to ``features``.

    ``labels`` stand in for those of ``data``, -1 where no class is known, as captions give them.

    Raises
    ------
    InputError
        When no feature is given, they come from different clusterings, or the labels are not of these images.
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
    if labels is not None:
        check_labels(labels, len(data), len(data.class_names))  # now, not after all images are embedded
    return assign_embeddings(embed(model, data, proposer, progress=progress), features, labels)


def assign_embeddings(
    embeddings: Embeddings,
    features: Sequence[SpuriousFeature],
    labels: Int[np.ndarray, " n_images"] | None = None,
) -> Assignment:
    """The same for regions that are embedded already; ``labels`` are then of the images that were embedded.

    Raises
    ------
    InputError
        When the labels are not of these images and classes.
    """
    if labels is None:
        labels = embeddings.labels
    check_labels(labels, len(embeddings.labels), len(embeddings.text))
    medoids = features[0].medoids
    to_medoids = embeddings.region @ medoids.T
    number = np.full(len(medoids), -1)
    for each in range(len(features)):
        number[features[each].cluster] = each
    cluster = to_medoids.argmax(1)
    feature = number[cluster]
    spurious = feature >= 0
    image_index = embeddings.regions.image_index
    label = labels[image_index]
    own = np.einsum("nd,nd->n", embeddings.region, embeddings.text[label])  # of label -1 any, which is not used
    core = core_regions(own, ~spurious & (label >= 0), image_index, cluster, label)
    present = np.zeros(len(labels), bool)
    present[image_index[spurious]] = True
    similarity = to_medoids.max(1).astype(np.float32)
    return Assignment(embeddings.regions, spurious, core, present, features[0].attribute, feature, similarity)


def check_labels(labels: np.ndarray, n_images: int, n_classes: int) -> None:
    """Raise InputError unless there is one class, or -1, for each image."""
    if labels.shape != (n_images,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"one integer label for each of {n_images} images", f"{labels.dtype} of {labels.shape}", "Give one each."
        )
    if n_images and not -1 <= labels.min() <= labels.max() < n_classes:
        raise InputError(
            f"labels from -1 (none) to {n_classes - 1}", f"{labels.min()} to {labels.max()}", "Index class_names."
        )
