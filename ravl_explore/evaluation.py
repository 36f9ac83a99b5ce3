"""evaluate(): how accurate a model is overall, by class, by group and in its worst group, for images and regions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from ravl_explore.assignment.assignment import Assignment
from ravl_explore.data.known_images import UNKNOWN, Identity
from ravl_explore.errors import InputError
from ravl_explore.metrics import (
    GroupAccuracy,
    Presence,
    chance_doubt,
    group_accuracy,
    performance_gap,
    shortcut_strength,
)
from ravl_explore.scores import Scores
from ravl_explore.support import checks

MIN_GROUP_SIZE = 10


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Accuracy of one model on one dataset.

    Groups are class x feature present; the feature is the dataset's annotated one, else the discovered one, else
    groups are just classes.

    Attributes
    ----------
    image : GroupAccuracy
        Of whole images.
    region : GroupAccuracy or None
        Of the regions that show a class (needs ``data.region_labels``), grouped by the region's class and whether its
        image holds the feature; None when the dataset does not say what its regions show.
    predictions, labels : int64 array (n_images,)
        Indices of ``class_names``.
    class_names : tuple of str
        The dataset's.
    model_name, data_name : str
        What was evaluated, and on which images.
    feature_name : str or None
        What the groups are split by; None for classes alone.
    attribute : str or None
        The class that the discovered feature pulls towards; it may be a class of the searched images alone.
    gap : float of 0 or more, or None
        Performance gap G of the discovered feature on this dataset; NaN where it is not known.
    found : bool array (n_images,) or None
        Which images hold the discovered feature; None where it is not known.
    identity : Identity
        What tells the images from others; empty where it is not known.

    Raises
    ------
    InputError
        For labels and predictions that do not fit the classes or each other.
    """

    image: GroupAccuracy
    region: GroupAccuracy | None
    predictions: Int[np.ndarray, " n_images"]
    labels: Int[np.ndarray, " n_images"]
    class_names: tuple[str, ...]
    model_name: str
    data_name: str
    feature_name: str | None
    attribute: str | None
    gap: float | None
    found: Bool[np.ndarray, " n_images"] | None = None
    identity: Identity = UNKNOWN

    def __post_init__(self) -> None:
        n_classes = len(checks.texts("class_names", self.class_names))
        checks.array("labels", self.labels, "i", (None,), 0, n_classes - 1)
        n_images = len(self.labels)
        checks.array("predictions", self.predictions, "i", (n_images,), 0, n_classes - 1)
        if self.found is not None:
            checks.array("found", self.found, "b", (n_images,))
        for name in ("model_name", "data_name"):
            checks.text(name, getattr(self, name), empty=True)
        for name in ("feature_name", "attribute"):
            if getattr(self, name) is not None:
                checks.text(name, getattr(self, name))
        if self.gap is not None and not (isinstance(self.gap, float) and np.isnan(self.gap)):
            checks.number("gap", self.gap, 0)
        checks.instance("identity", self.identity, Identity, "Give data.known_images.Identity.of(data).")
        for name, groups in self.levels.items():
            checks.instance(name, groups, GroupAccuracy, "Make it with metrics.group_accuracy.")
            if len(groups.table) != 2 * n_classes:
                came = f"{len(groups.table)} in {name}"
                raise InputError(f"{2 * n_classes} groups, two a class", came, "Count all classes.")
        n = self.image.table["n"].to_numpy().reshape(-1, 2).sum(1)
        if (n != np.bincount(self.labels, minlength=n_classes)).any():
            raise InputError("groups of the labelled images", "other numbers of them", "Count the same images.")

    @property
    def levels(self) -> dict[str, GroupAccuracy]:
        """What is known, by level: ``"image"``, and maybe ``"region"``."""
        return {"image": self.image} | ({} if self.region is None else {"region": self.region})

    @property
    def right(self) -> Bool[np.ndarray, " n_images"]:
        """Whether the prediction is the label."""
        return self.predictions == self.labels

    @property
    def chance(self) -> float:
        """What guessing would give for the accuracy of whole images, 0 to 1: always the commonest class."""
        return self.image.chance

    @property
    def doubt(self) -> str:
        """What must be said where the model is no better than guessing on whole images; else nothing."""
        return chance_doubt(self.predictions, self.labels, self.class_names)

    def shortcut(self, class_name: str | None = None) -> tuple[float, float]:
        """(epsilon_1, epsilon_2) of a shortcut from the feature to a class (see :func:`shortcut_strength`).

        Parameters
        ----------
        class_name : str, optional
            One of ``class_names``; ``attribute`` unless given.

        Returns
        -------
        tuple of two floats, -1 to 1
            NaN for empty groups, and where these images have no such class as ``attribute``.

        Raises
        ------
        InputError
            For a ``class_name`` that is no class, or none where there is no ``attribute``.
        """
        if class_name is None and self.attribute is not None and self.attribute not in self.class_names:
            return float("nan"), float("nan")
        name = self.attribute if class_name is None else class_name
        if not isinstance(name, str) or name not in self.class_names:
            raise InputError(
                f"one of the classes {self.class_names}", checks.came(name), "Name the class the feature pulls to."
            )
        return shortcut_strength(self.image, name)


def evaluate(
    scores: Scores, assignment: Assignment | None = None, *, min_group_size: int = MIN_GROUP_SIZE
) -> Evaluation:
    """Group what a model got right.

    Parameters
    ----------
    scores : Scores
        Of the model that is measured.
    assignment : Assignment or None
        Which regions of the same images show the discovered feature, by the model that was searched (not by a new one);
        adds the gap, and the groups where the dataset annotates no feature.
    min_group_size : int of 0 or more
        Smaller groups do not count as the worst.

    Raises
    ------
    InputError
        When the assignment is of other images.

    Examples
    --------
    >>> evaluation = evaluate(rx.zero_shot(rx.embed(model, test)), found)  # doctest: +SKIP
    """
    checks.instance("scores", scores, Scores, "Make them with rx.zero_shot(rx.embed(model, data)).")
    checks.whole("min_group_size", min_group_size, 0)
    embeddings = scores.embeddings
    labels, class_names, known = embeddings.labels, embeddings.class_names, embeddings.annotations
    if assignment is not None:
        checks.instance("assignment", assignment, Assignment, "Make one with rx.assign(embeddings, feature).")
        assignment.check_with(embeddings)
    found = None if assignment is None else assignment.present
    present = known.feature_present
    if present is None:
        present = found if found is not None else np.zeros(len(labels), bool)
    return Evaluation(
        image=group_accuracy(scores.correct, labels, present, class_names, min_group_size),
        region=_region_accuracy(scores, present, min_group_size),
        predictions=scores.predictions,
        labels=labels,
        class_names=class_names,
        model_name=embeddings.model_name,
        data_name=embeddings.data_name,
        feature_name=known.feature_name or ("discovered feature" if assignment is not None else None),
        attribute=assignment.attribute if assignment is not None else None,
        gap=None if found is None else feature_gap(found, labels, scores.correct, class_names),
        found=found,
        identity=embeddings.identity,
    )


def feature_gap(
    present: Bool[np.ndarray, " n_images"],
    labels: Int[np.ndarray, " n_images"],
    correct: Bool[np.ndarray, " n_images"],
    class_names: tuple[str, ...],
) -> float:
    """Performance gap G of one feature; 0 where it is in no image or in all.

    Parameters
    ----------
    present : Bool[np.ndarray, " n_images"]
        Which images hold the feature.
    labels : Int[np.ndarray, " n_images"]
        Indices of ``class_names``.
    correct : Bool[np.ndarray, " n_images"]
        Whether the image was classified rightly.
    class_names : tuple of str
        All classes.
    """
    images = np.flatnonzero(present)
    presence = Presence(np.zeros(len(images), np.int64), images, 1)
    return float(performance_gap(presence, labels, correct, len(class_names)).total[0])


def _region_accuracy(scores: Scores, present: np.ndarray, min_group_size: int) -> GroupAccuracy | None:
    """Of the regions that show a class, as far as the dataset says what its regions show."""
    shown = scores.embeddings.annotations.region_labels
    if shown is None:
        return None
    rows = np.flatnonzero(shown >= 0)
    image = scores.embeddings.regions.image_index[rows]
    right = scores.region[rows].argmax(1) == shown[rows]
    return group_accuracy(right, shown[rows], present[image], scores.embeddings.class_names, min_group_size, image)
