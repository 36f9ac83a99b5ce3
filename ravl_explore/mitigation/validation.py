"""Validation images: which they are, which of them hold the feature, and how accurate a model is on them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool

from ravl_explore.assignment.assignment import Assignment, assign
from ravl_explore.data.base import ImageTextDataset, check_dataset
from ravl_explore.data.checked_images import checked_image
from ravl_explore.embedding.embeddings import embed
from ravl_explore.errors import InputError
from ravl_explore.metrics import group_accuracy
from ravl_explore.models.base import VisionLanguageModel, class_embeddings, resize
from ravl_explore.support import checks
from ravl_explore.support.progress import Progress
from ravl_explore.training import TrainingSettings

Groups = Bool[np.ndarray, " n_images"]
Validation = ImageTextDataset | tuple[ImageTextDataset, Assignment]
ASSIGN = "Make one with rx.assign(rx.embed(model, data), feature)."


def images_and_assignment(validation: Validation | None) -> tuple[ImageTextDataset | None, Assignment | None]:
    """The validation images and, where it was given, their assignment; InputError for what is neither.

    Parameters
    ----------
    validation : ImageTextDataset, or tuple of it and its Assignment, or None
        As :func:`ravl_explore.mitigate` takes it.
    """
    if not isinstance(validation, tuple):
        if validation is not None:
            check_dataset(validation, "validation")
        return validation, None
    if len(validation) != 2:
        raise InputError("validation=images, or (images, assignment)", f"a tuple of {len(validation)}", ASSIGN)
    images, assignment = validation
    check_dataset(images, "validation")
    checks.instance("the assignment of validation", assignment, Assignment, ASSIGN).check_of(images)
    return images, assignment


def feature_groups(
    model: VisionLanguageModel,
    validation: ImageTextDataset,
    assignment: Assignment,
    own: Assignment | None,
    progress: Progress | None,
) -> Groups:
    """In which validation images the feature is: as annotated, or else as the searched model finds it.

    Parameters
    ----------
    model : VisionLanguageModel
        The one that was searched.
    validation : ImageTextDataset
        The images.
    assignment : Assignment
        Of the fine-tuning images, whose feature is looked for.
    own : Assignment or None
        Of the validation images, where it is known.
    progress : Progress or None
        Told images, where they must be embedded.

    Raises
    ------
    InputError
        When nothing tells.
    """
    if validation.feature_present is not None:
        return validation.feature_present
    if own is not None:
        return own.present
    if assignment.feature is None:
        raise InputError(
            "validation images with an annotated feature, or their assignment",
            "neither",
            "Give validation=(images, assignment).",
        )
    return assign(embed(model, validation, progress=progress), assignment.feature).present


def check_monitor(settings: TrainingSettings, data: ImageTextDataset, groups: Groups) -> None:
    """Raise now what the trainer would raise at its first validation.

    Parameters
    ----------
    settings : TrainingSettings
        ``patience`` and ``monitor``.
    data : ImageTextDataset
        The validation images.
    groups : Bool[np.ndarray, " n_images"]
        Which of them hold the feature.
    """
    if settings.patience is None or settings.monitor != "worst_group":
        return
    if math.isnan(group_accuracy(np.zeros(len(data), bool), data.labels, groups, data.class_names).worst):
        raise settings.nothing_to_go_by()


def validator(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    present: Bool[np.ndarray, " n_images"] | None,
    batch_size: int = 256,
) -> Callable[[], dict[str, float]]:
    """A function that measures accuracy of whole images, for use between training steps.

    Parameters
    ----------
    model : VisionLanguageModel
        Measured as it is whenever the function is called; the class prompts are embedded once, now.
    data : ImageTextDataset
        The validation images.
    present : bool array (n_images,) or None
        Which images hold the feature; None groups them by class alone.
    batch_size : int
        Images that are encoded at once.

    Returns
    -------
    function of nothing
        It gives ``{"accuracy": ..., "worst_group": ...}``, 0 to 1.
    """
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
