"""evaluate(): how accurate a model is overall, by class, by group and in its worst group, for images and regions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int

from ravl_explore.assignment.assignment import Assignment
from ravl_explore.data.base import ImageTextDataset, check_dataset, checked_image
from ravl_explore.data.known_images import UNKNOWN, Identity
from ravl_explore.embedding.embeddings import embed
from ravl_explore.errors import InputError
from ravl_explore.metrics import (
    GroupAccuracy,
    Presence,
    chance_doubt,
    group_accuracy,
    performance_gap,
    shortcut_strength,
)
from ravl_explore.models.base import VisionLanguageModel, check_model, class_embeddings, resize
from ravl_explore.regions.base import Proposer, Regions
from ravl_explore.scores import Scores, zero_shot
from ravl_explore.support import checks
from ravl_explore.support.progress import Progress

MIN_GROUP_SIZE = 10


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Accuracy of one model on one dataset.

    Groups are class x feature present; the feature is the dataset's annotated one, else the discovered one, else
    groups are just classes.

    Attributes
    ----------
    image : accuracy of whole images
    region : accuracy of the regions that show a class (needs ``data.region_labels``), grouped by the region's class and
        whether its image holds the feature; None when the dataset does not say what its regions show
    predictions : (n_images,) int64
    labels : (n_images,) int64
    class_names, model_name, data_name : what they say
    feature_name : what the groups are split by; None for classes alone
    attribute : the class the discovered feature pulls towards, or None
    gap : performance gap G of the discovered feature on this dataset, or None
    found : (n_images,) bool, which images hold the discovered feature; None where it is not known
    identity : what tells the images from others; empty where it is not known

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
        checks.instance("identity", self.identity, Identity, "Give data.identity.Identity.of(data).")
        levels = {"image": self.image} | ({} if self.region is None else {"region": self.region})
        for name, groups in levels.items():
            checks.instance(name, groups, GroupAccuracy, "Make it with metrics.group_accuracy.")
            if len(groups.table) != 2 * n_classes:
                came = f"{len(groups.table)} in {name}"
                raise InputError(f"{2 * n_classes} groups, two a class", came, "Count all classes.")
        n = self.image.table["n"].to_numpy().reshape(-1, 2).sum(1)
        if (n != np.bincount(self.labels, minlength=n_classes)).any():
            raise InputError("groups of the labelled images", "other numbers of them", "Count the same images.")

    @property
    def chance(self) -> float:
        """What guessing would give for the accuracy of whole images, 0 to 1: always the commonest class."""
        return self.image.chance

    @property
    def doubt(self) -> str:
        """What must be said where the model is no better than guessing on whole images; else nothing."""
        return chance_doubt(self.predictions, self.labels, self.class_names)

    def shortcut(self, class_name: str | None = None) -> tuple[float, float]:
        """(epsilon_1, epsilon_2) of the shortcut to ``class_name`` or ``attribute``; 0 to 1.

        NaN for empty groups, and where these images have no such class as ``attribute``, which may be a class of the
        searched images alone.

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
    model: VisionLanguageModel,
    data: ImageTextDataset,
    proposer: Proposer | None = None,
    *,
    assignment: Assignment | None = None,
    min_group_size: int = MIN_GROUP_SIZE,
    progress: Progress | None = None,
) -> Evaluation:
    """Classify images and regions zero-shot and group the results.

    Parameters
    ----------
    assignment : which regions of ``data`` show the discovered features, from :func:`ravl_explore.assign` with the model
        that was searched (not the new one); adds the gap, and the groups where the dataset annotates no feature
    min_group_size : smaller groups do not count as the worst

    Raises
    ------
    InputError
        When the assignment is of another dataset.
    """
    check_model(model)
    check_dataset(data)
    _check_choices(assignment, data, min_group_size)
    scores = zero_shot(embed(model, data, proposer, progress=progress))
    return evaluate_scores(scores, data, assignment=assignment, min_group_size=min_group_size)


def evaluate_scores(
    scores: Scores,
    data: ImageTextDataset,
    *,
    assignment: Assignment | None = None,
    min_group_size: int = MIN_GROUP_SIZE,
) -> Evaluation:
    """The same as :func:`evaluate` for a dataset that is scored already."""
    checks.instance("scores", scores, Scores, "Make them with zero_shot(embeddings).")
    data = scores.embeddings.of(data)
    _check_choices(assignment, data, min_group_size)
    regions = scores.embeddings.regions
    present = data.feature_present
    if present is None:
        present = assignment.present if assignment is not None else np.zeros(len(data), bool)
    return Evaluation(
        image=group_accuracy(scores.correct, data.labels, present, data.class_names, min_group_size),
        region=_region_accuracy(scores.region, regions, data, present, min_group_size),
        predictions=scores.predictions,
        labels=data.labels,
        class_names=data.class_names,
        model_name=scores.embeddings.model_name,
        data_name=data.name,
        feature_name=data.feature_name or ("discovered feature" if assignment is not None else None),
        attribute=assignment.attribute if assignment is not None else None,
        gap=None
        if assignment is None
        else feature_gap(assignment.present, data.labels, scores.correct, data.class_names),
        found=None if assignment is None else assignment.present,
        identity=scores.embeddings.identity,
    )


def _check_choices(assignment: Assignment | None, data: ImageTextDataset, min_group_size: int) -> None:
    checks.whole("min_group_size", min_group_size, 0)
    if assignment is not None:
        checks.instance("assignment", assignment, Assignment, "Make one with rx.assign(model, data, features).")
        assignment.check_of(data)


def feature_gap(present: np.ndarray, labels: np.ndarray, correct: np.ndarray, class_names: tuple[str, ...]) -> float:
    """Performance gap G of one feature, given in which images it is."""
    images = np.flatnonzero(present)
    presence = Presence(np.zeros(len(images), np.int64), images, 1)
    return float(performance_gap(presence, labels, correct, len(class_names)).total[0])


def validator(
    model: VisionLanguageModel, data: ImageTextDataset, present: np.ndarray | None, batch_size: int = 256
) -> Callable[[], dict[str, float]]:
    """A function that measures overall and worst-group accuracy of whole images, for use between training steps."""
    classes = class_embeddings(model, data.class_names, data.templates)
    groups = np.zeros(len(data), bool) if present is None else present

    @torch.inference_mode()
    def measure() -> dict[str, float]:
        hits = []
        for start in range(0, len(data), batch_size):
            stop = min(start + batch_size, len(data))
            pixels = resize([checked_image(data, i) for i in range(start, stop)], model.image_size)
            image, _ = model.encode(pixels, None)
            hits.append((image @ classes.T).argmax(1).cpu().numpy() == data.labels[start:stop])
        result = group_accuracy(np.concatenate(hits), data.labels, groups, data.class_names)
        return {"accuracy": result.overall, "worst_group": result.worst}

    return measure


def _region_accuracy(
    region_scores: np.ndarray, regions: Regions, data: ImageTextDataset, present: np.ndarray, min_group_size: int
) -> GroupAccuracy | None:
    own = data.regions
    if (
        data.region_labels is None
        or own is None
        or len(own) != len(regions)
        or not np.allclose(own.boxes, regions.boxes)
    ):
        return None
    shows = data.region_labels >= 0
    label = data.region_labels[shows]
    right = region_scores[shows].argmax(1) == label
    image = regions.image_index[shows]
    return group_accuracy(right, label, present[image], data.class_names, min_group_size, image)
