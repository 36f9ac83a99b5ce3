"""What a run depends on, told by content, and what that is called: how a run folder or a grid knows a run again."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable

import numpy as np
import torch

from ravl_explore.about import __version__
from ravl_explore.assignment.assignment import Assignment
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.optional_members import content_fingerprint
from ravl_explore.mitigation.validation import Groups
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.objectives.base import Objective
from ravl_explore.support.contents import content
from ravl_explore.support.fingerprints import digest
from ravl_explore.support.json_values import Json
from ravl_explore.support.progress import Progress
from ravl_explore.training import TrainingSet, TrainingSettings

DIGITS = 12  # of a fingerprint beside a text

# What a person is told where two fingerprints differ.
IN_WORDS = {
    "model fingerprint": "the model has other weights",
    "data fingerprint": "the images are others",
    "labels": "the labels or class names are others",
    "texts": "the captions, prompts or temperature are others",
    "feature fingerprint": "another feature is suppressed",
    "assignment": "other regions or images are marked",
    "concepts fingerprint": "the concept masks are others",
    "validation fingerprint": "the validation images, or their labels or groups, are others",
}


def depends(
    model: VisionLanguageModel,
    training_set: TrainingSet,
    objective: Objective,
    settings: TrainingSettings,
    validation: ImageTextDataset | None,
    groups: Groups | None,
) -> dict[str, Json]:
    """All that decides what a run's steps are, by names that an error can show.

    Parameters
    ----------
    model : VisionLanguageModel
        The searched one.
    training_set : TrainingSet
        What it is trained on.
    objective : Objective
    settings : TrainingSettings
        What is minimised, and how.
    validation : ImageTextDataset or None
        Measured while training.
    groups : Bool[np.ndarray, " n_images"] or None
        Which of the validation images hold the feature.
    """
    data, concepts, marked = training_set.data, training_set.concepts, training_set.assignment
    return {
        "objective": f"{spelled(objective)} ({content(objective)[:DIGITS]})",
        **{f"settings {name}": value for name, value in vars(settings).items()},
        "architecture": f"{type(model.visual).__name__}, {sum(p.numel() for p in model.visual.parameters())} weights",
        "model fingerprint": model.fingerprint(),
        "data fingerprint": data.fingerprint(),
        "labels": digest([training_set.labels, list(data.class_names)]),
        "texts": digest(  # not their embeddings, whose last bits differ between machines
            [list(data.captions or ()), list(data.templates), objective.class_text, training_set.temperature]
        ),
        "feature": None if marked.feature is None else marked.feature.name,
        "feature fingerprint": None if marked.feature is None else marked.feature.fingerprint(),
        "assignment": marks(marked),
        "concepts fingerprint": None if concepts is None else concepts.fingerprint(),
        "validation fingerprint": None
        if validation is None
        else _labelled(validation.fingerprint(), validation, groups),
    }


def spelled(value: object) -> str:
    """A value as Python writes it, without addresses, which differ in every process; for people, not to compare by.

    Parameters
    ----------
    value : object
        Such as an objective.

    Examples
    --------
    >>> spelled([object(), 1])
    '[<object object>, 1]'
    """
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def marks(assignment: Assignment) -> str:
    """One name for what an assignment says of its regions and images.

    Parameters
    ----------
    assignment : Assignment
        With or without a feature.
    """
    regions = assignment.regions
    arrays = (assignment.spurious, assignment.core, assignment.present, assignment.part, assignment.similarity)
    return digest([regions.boxes, regions.image_index, *arrays])


def told(data: ImageTextDataset, images: str) -> str:
    """One name for all that a dataset says of its images.

    Parameters
    ----------
    data : ImageTextDataset
        Labels, captions, boxes and so on are read of it.
    images : str
        One name for their pixels, as a fingerprint is.
    """
    boxes = None if data.regions is None else (data.regions.boxes, data.regions.image_index)
    said = (data.labels, data.class_names, data.templates, data.captions, data.feature_present, data.region_labels)
    return content((images, *said, boxes))


def names(
    model: VisionLanguageModel, training_set: TrainingSet, validation: ImageTextDataset | None
) -> dict[str, str | None]:
    """What people call the parts of a run, which may change: files are renamed and copied.

    Parameters
    ----------
    model, training_set, validation
        As of :func:`depends`.
    """
    concepts = training_set.concepts
    return {
        "model": model.name,
        "data": training_set.data.name,
        "concepts": None if concepts is None else concepts.name,
        "validation": None if validation is None else validation.name,
    }


def contents(
    data: ImageTextDataset, validation: ImageTextDataset | None, groups: Groups | None, progress: Progress | None
) -> dict[str, Callable[[], str]]:
    """For what :func:`depends` tells by names and times: how to tell it by contents, which takes a while.

    Parameters
    ----------
    data : ImageTextDataset
        The fine-tuning images.
    validation, groups
        As of :func:`depends`.
    progress : Progress or None
        Told images while they are read.
    """
    found: dict[str, Callable[[], str]] = {"data fingerprint": lambda: content_fingerprint(data, progress=progress)}
    if validation is not None:
        found["validation fingerprint"] = lambda: _labelled(
            content_fingerprint(validation, progress=progress), validation, groups
        )
    return found


def made_with(model: VisionLanguageModel) -> dict[str, Json]:
    """Versions and machine, and the device of ``model``."""
    return {
        "ravl_explore": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "device": str(model.device),
        "threads": torch.get_num_threads(),
    }


def _labelled(images: str, data: ImageTextDataset, groups: Groups | None) -> str:
    return digest([images, data.labels, groups, list(data.class_names), list(data.templates)])
