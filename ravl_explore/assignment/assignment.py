"""assign(): give the regions of another dataset to discovered clusters, by the nearest medoid (RaVL, Section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ravl_explore.assignment.core_regions import core_regions
from ravl_explore.data.base import ImageTextDataset, check_dataset
from ravl_explore.data.known_images import UNKNOWN, Identity, check_belongs
from ravl_explore.discovery import SpuriousFeature, check_features
from ravl_explore.embedding.embeddings import Embeddings, embed
from ravl_explore.errors import InputError, ModelError
from ravl_explore.models.base import VisionLanguageModel, check_model
from ravl_explore.regions.base import Proposer, Regions
from ravl_explore.support import checks
from ravl_explore.support.progress import Progress


@dataclass(frozen=True, eq=False)
class Assignment:
    """Which regions of a dataset show the chosen features, decided once, by the model that was searched.

    Attributes
    ----------
    regions : the dataset's regions
    spurious : (n_regions,) bool, the region's nearest medoid is that of a chosen feature
    core : (n_regions,) bool, per image the non-spurious region that shows its class (see
        :func:`~ravl_explore.assignment.core_regions.core_regions`); an image whose regions are all spurious, or
        of which no class is known, has none
    present : (n_images,) bool, the image holds a spurious region
    attribute : the class that the first feature pulls towards, or None
    feature : (n_regions,) int64, which of the features a spurious region shows, -1 for other regions; None: not told
    similarity : (n_regions,) float32, cosine to the nearest medoid; None: not told
    identity : what tells the images from others; empty where it was made by hand

    Raises
    ------
    InputError
        For flags that do not fit the regions, or contradict each other.
    """

    regions: Regions
    spurious: Bool[np.ndarray, " n_regions"]
    core: Bool[np.ndarray, " n_regions"]
    present: Bool[np.ndarray, " n_images"]
    attribute: str | None
    feature: Int[np.ndarray, " n_regions"] | None = None
    similarity: Float[np.ndarray, " n_regions"] | None = None
    identity: Identity = UNKNOWN

    def __post_init__(self) -> None:
        checks.instance("regions", self.regions, Regions, "Give the regions that are marked.")
        n_regions = len(self.regions)
        checks.array("spurious", self.spurious, "b", (n_regions,))
        checks.array("core", self.core, "b", (n_regions,))
        checks.array("present", self.present, "b", (None,))
        self.regions.check_images(len(self.present))
        if self.attribute is not None:
            checks.text("attribute", self.attribute)
        if self.feature is not None:
            checks.array("feature", self.feature, "i", (n_regions,), -1)
        if self.similarity is not None:
            checks.array("similarity", self.similarity, "f", (n_regions,))
        checks.instance("identity", self.identity, Identity, "Give data.identity.Identity.of(data).")
        shows = np.zeros(len(self.present), bool)
        shows[self.regions.image_index[self.spurious]] = True
        if (self.spurious & self.core).any():
            raise InputError("core regions that are not spurious", f"{int((self.spurious & self.core).sum())} that are",
                             "Take one mark away.")  # fmt: skip
        if (shows != self.present).any() or (self.feature is not None and ((self.feature >= 0) != self.spurious).any()):
            raise InputError(
                "the same images and regions marked by spurious, present and feature", "other ones", "Use rx.assign."
            )

    def check_of(self, data: ImageTextDataset) -> None:
        """Raise InputError unless it is of these images: as many, and not known to be others."""
        check_dataset(data)
        check_belongs("assignment", data, len(self.present), self.identity)


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
        When no feature is given, it is not in a list, they come from different clusterings, or the labels are not of
        these images.
    ModelError
        When the model's embedding size differs from that of the features.
    """
    check_model(model)
    features = check_features(features)
    check_dataset(data)
    medoids = features[0].medoids
    if model.dim != medoids.shape[1]:
        raise ModelError(
            f"a model with {medoids.shape[1]} embedding dimensions", f"one with {model.dim}", "Use the searched model."
        )
    if labels is not None:
        labels = check_labels(labels, len(data), len(data.class_names))  # now, not after all images are embedded
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
    labels = check_labels(labels, len(embeddings.labels), len(embeddings.text))
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
    return Assignment(
        embeddings.regions, spurious, core, present, features[0].attribute, feature, similarity, embeddings.identity
    )


def check_labels(labels: np.ndarray, n_images: int, n_classes: int) -> Int[np.ndarray, " n_images"]:
    """The labels as int64; InputError unless there is one class, or -1, for each image."""
    if not isinstance(labels, np.ndarray):
        raise InputError("labels as an array", checks.came(labels), "Write np.asarray(labels).")
    if labels.shape != (n_images,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"one integer label for each of {n_images} images", f"{labels.dtype} of {labels.shape}", "Give one each."
        )
    if n_images and not -1 <= labels.min() <= labels.max() < n_classes:
        raise InputError(
            f"labels from -1 (none) to {n_classes - 1}", f"{labels.min()} to {labels.max()}", "Index class_names."
        )
    return labels.astype(np.int64, copy=False)
