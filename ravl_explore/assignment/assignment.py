"""assign(): which regions and images of a dataset show a chosen feature, and which regions show the class itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ravl_explore.assignment.core_regions import core_regions
from ravl_explore.assignment.features import Feature
from ravl_explore.data.base import ImageTextDataset, check_dataset
from ravl_explore.data.known_images import UNKNOWN, Identity, check_belongs, difference
from ravl_explore.embedding.embeddings import Embeddings
from ravl_explore.errors import InputError
from ravl_explore.regions.base import Regions
from ravl_explore.support import checks

Labels = Int[np.ndarray, " n_images"]
SAME = "Assign and score the same images: rx.assign(scores.embeddings, feature)."
CHOOSE = "Choose clusters with discovery.choose(...)."


@dataclass(frozen=True, eq=False)
class Assignment:
    """Which regions of a dataset show the chosen feature, decided once, by the model that was searched.

    Attributes
    ----------
    regions : Regions
        Of the dataset.
    spurious : Bool[np.ndarray, " n_regions"]
        The region shows the feature.
    core : Bool[np.ndarray, " n_regions"]
        Per image the non-spurious region that shows its class (see
        :func:`~ravl_explore.assignment.core_regions.core_regions`); an image whose regions are all spurious, or of
        which no class is known, has none.
    present : Bool[np.ndarray, " n_images"]
        The image holds a spurious region.
    attribute : str or None
        The class that the feature pulls towards.
    part : Int[np.ndarray, " n_regions"] or None
        Which part of the feature (of the chosen clusters) a spurious region shows, -1 for other regions; None: not
        told.
    similarity : Float[np.ndarray, " n_regions"] or None
        Cosine to what the region is most like, such as the nearest medoid; None: not told.
    identity : Identity
        What tells the images from others; empty where it was made by hand.
    feature : Feature or None
        The rule; None where it was made by hand.
    labels : Int[np.ndarray, " n_images"] or None
        The classes that core regions were chosen by, -1 where none is known; None: those of the dataset.

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
    part: Int[np.ndarray, " n_regions"] | None = None
    similarity: Float[np.ndarray, " n_regions"] | None = None
    identity: Identity = UNKNOWN
    feature: Feature | None = None
    labels: Labels | None = None

    def __post_init__(self) -> None:
        checks.instance("regions", self.regions, Regions, "Give the regions that are marked.")
        n_regions = len(self.regions)
        checks.array("spurious", self.spurious, "b", (n_regions,))
        checks.array("core", self.core, "b", (n_regions,))
        checks.array("present", self.present, "b", (None,))
        self.regions.check_images(len(self.present))
        if self.attribute is not None:
            checks.text("attribute", self.attribute)
        if self.part is not None:
            checks.array("part", self.part, "i", (n_regions,), -1)
        if self.similarity is not None:
            checks.array("similarity", self.similarity, "f", (n_regions,))
        checks.instance("identity", self.identity, Identity, "Give data.known_images.Identity.of(data).")
        if self.feature is not None:
            require_feature(self.feature)
        if self.labels is not None:
            checks.array("labels", self.labels, "i", (len(self.present),), -1)
        shows = np.zeros(len(self.present), bool)
        shows[self.regions.image_index[self.spurious]] = True
        if (self.spurious & self.core).any():
            raise InputError("core regions that are not spurious", f"{int((self.spurious & self.core).sum())} that are",
                             "Take one mark away.")  # fmt: skip
        if (shows != self.present).any() or (self.part is not None and ((self.part >= 0) != self.spurious).any()):
            raise InputError(
                "the same images and regions marked by spurious, present and part", "other ones", "Use rx.assign."
            )

    def check_of(self, data: ImageTextDataset) -> None:
        """Raise InputError unless it is of these images: as many, of such classes, and not known to be others.

        Parameters
        ----------
        data : ImageTextDataset
            The images.
        """
        check_dataset(data)
        check_belongs("assignment", data, len(self.present), self.identity)
        if self.labels is not None:
            check_labels(self.labels, len(data), len(data.class_names))

    def check_with(self, embeddings: Embeddings) -> None:
        """Raise InputError unless it is of the images that were embedded: as many, and not known to be others.

        Parameters
        ----------
        embeddings : Embeddings
            By any model.
        """
        told = difference(embeddings, len(self.present), self.identity)
        if told == "number":
            came = f"one of {len(self.present):,}"
            raise InputError(f"an assignment of these {len(embeddings.labels):,} images", came, SAME)
        if told is not None:
            raise InputError("the assignment's images", f"other images, of {embeddings.data_name!r}", SAME)


def assign(embeddings: Embeddings, feature: Feature, *, labels: Labels | None = None) -> Assignment:
    """Mark the regions that show a feature, and those that show the class of their image.

    Parameters
    ----------
    embeddings : Embeddings
        Of any dataset, by the searched model.
    feature : Feature
        Such as ``discovery.choose(7)``.
    labels : Int[np.ndarray, " n_images"] or None
        Stand in for those of the dataset, -1 where no class is known, as captions give them.

    Raises
    ------
    InputError
        When no feature is given, it was chosen in another model's embeddings, or the labels are not of these images.

    Examples
    --------
    >>> marked = assign(rx.embed(model, train), discovery.choose(7))  # doctest: +SKIP
    """
    checks.instance("embeddings", embeddings, Embeddings, "Make them with rx.embed(model, data).")
    require_feature(feature).check(embeddings.region)
    own = embeddings.labels if labels is None else labels
    own = check_labels(own, len(embeddings.labels), len(embeddings.text))
    spurious = _scores(feature, embeddings.region) > feature.threshold
    looks = feature.looks(embeddings.region)
    image_index = embeddings.regions.image_index
    label = own[image_index]
    fits = np.einsum("nd,nd->n", embeddings.region, embeddings.text[label])  # of label -1 any, which is not used
    core = core_regions(fits, ~spurious & (label >= 0), image_index, looks.kind, label)
    present = np.zeros(len(own), bool)
    present[image_index[spurious]] = True
    return Assignment(
        regions=embeddings.regions,
        spurious=spurious,
        core=core,
        present=present,
        attribute=feature.attribute,
        part=np.where(spurious, looks.part, -1),
        similarity=looks.similarity,
        identity=embeddings.identity,
        feature=feature,
        labels=None if labels is None else own,
    )


def _scores(feature: Feature, region: Float[np.ndarray, "n_regions dim"]) -> Float[np.ndarray, " n_regions"]:
    """One number a region; InputError where a rule of somebody's own gives anything else."""
    return checks.array(f"scores of {feature.name}", feature.score(region), "f", (len(region),))


def require_feature(feature: object) -> Feature:
    """The feature; InputError unless it is one, and no list of clusters, or a whole discovery."""
    return checks.instance("feature", feature, Feature, CHOOSE)


def check_labels(labels: object, n_images: int, n_classes: int) -> Int[np.ndarray, " n_images"]:
    """The labels as int64; InputError unless there is one class, or -1, for each image.

    Parameters
    ----------
    labels : object
        What was given.
    n_images, n_classes : int
        Of the dataset.
    """
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
