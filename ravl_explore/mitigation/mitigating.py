"""mitigate(): from features to a new model, or to a run that makes it step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from jaxtyping import Bool, Int

from ravl_explore.assignment.assignment import Assignment, assign, check_labels
from ravl_explore.captions import CaptionLabeller, label
from ravl_explore.concepts.base import ConceptMasks, ConceptSource, read_all
from ravl_explore.concepts.discovered import Discovered
from ravl_explore.data.base import ImageTextDataset, check_dataset
from ravl_explore.data.relabelled import Relabelled
from ravl_explore.discovery import SpuriousFeature, check_features
from ravl_explore.embedding.embeddings import embed
from ravl_explore.errors import InputError
from ravl_explore.evaluation import validator
from ravl_explore.metrics import group_accuracy
from ravl_explore.mitigation.result import Mitigation, MitigationRun
from ravl_explore.mitigation.run_identity import IN_WORDS, contents, depends, made_with, names
from ravl_explore.mitigation.training_set import prepare
from ravl_explore.models.base import VisionLanguageModel, check_model
from ravl_explore.objectives.base import Objective, check_objective
from ravl_explore.objectives.groups import empty_groups as groups_without_images
from ravl_explore.objectives.region_aware import RegionAware
from ravl_explore.objectives.training_free import Steered, TrainingFree
from ravl_explore.regions.base import Proposer
from ravl_explore.regions.proposing import check_proposer
from ravl_explore.support import checks
from ravl_explore.support.progress import Progress
from ravl_explore.training import RunFolder, TrainingSettings, steer, train

EmptyGroups = Literal["go on", "stop"]


@overload
def mitigate(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    features: Sequence[SpuriousFeature],
    proposer: Proposer | None = None,
    *,
    objective: Objective | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    settings: TrainingSettings | None = None,
    validation: ImageTextDataset | None = None,
    assignment: Assignment | None = None,
    validation_assignment: Assignment | None = None,
    concepts: ConceptSource | None = None,
    labels: CaptionLabeller | np.ndarray | None = None,
    empty_groups: EmptyGroups = "go on",
    folder: str | Path | None = None,
    stream: Literal[False] = False,
    progress: Progress | None = None,
) -> Mitigation: ...


@overload
def mitigate(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    features: Sequence[SpuriousFeature],
    proposer: Proposer | None = None,
    *,
    objective: Objective | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    settings: TrainingSettings | None = None,
    validation: ImageTextDataset | None = None,
    assignment: Assignment | None = None,
    validation_assignment: Assignment | None = None,
    concepts: ConceptSource | None = None,
    labels: CaptionLabeller | np.ndarray | None = None,
    empty_groups: EmptyGroups = "go on",
    folder: str | Path | None = None,
    stream: Literal[True],
    progress: Progress | None = None,
) -> MitigationRun: ...


def mitigate(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    features: Sequence[SpuriousFeature],
    proposer: Proposer | None = None,
    *,
    objective: Objective | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    settings: TrainingSettings | None = None,
    validation: ImageTextDataset | None = None,
    assignment: Assignment | None = None,
    validation_assignment: Assignment | None = None,
    concepts: ConceptSource | None = None,
    labels: CaptionLabeller | np.ndarray | None = None,
    empty_groups: EmptyGroups = "go on",
    folder: str | Path | None = None,
    stream: bool = False,
    progress: Progress | None = None,
) -> Mitigation | MitigationRun:
    """Fine-tune a copy of ``model`` on ``data``; its text tower stays frozen, its BatchNorm statistics too.

    Which training regions are spurious is decided once, by the searched model and the discovered medoids, then kept.

    Parameters
    ----------
    model : the model that was searched; it is not changed
    data : images with captions, for fine-tuning
    features : what to suppress, from ``discovery.features``; look at their crops first, a wrong one hurts
    proposer : regions of the training images; ``Grid(2, 2)`` unless given; use the one of discovery
    objective : :class:`~ravl_explore.objectives.RegionAware` unless given
    epochs, learning_rate, batch_size, seed : those of ``settings`` unless given; without either, the learning rate is
        the objective's usual one
    settings : all that can be set of the trainer (schedule, precision, accumulation, early stopping ...)
    validation : measured while training; its groups are classes with and without the annotated feature or, where none
        is annotated, the discovered ones
    assignment, validation_assignment : of ``data`` and of ``validation``, when they were made before
    concepts : where masks of where to look are from, for an objective that uses relevance;
        :class:`~ravl_explore.concepts.Discovered` unless given
    labels : classes to use instead of ``data.labels``: a labeller, which takes them from the captions, or (n_images,)
        integers. Images of class -1, as of a caption that names none, stay in for what needs no class
    empty_groups : whether to ``"go on"``, with a note, or ``"stop"`` with an InputError when a class has no image with
        the features or none without
    folder : of this run, made if it is not there. The settings, checkpoints and in the end the model are kept in it;
        the same call again goes on where it was, also after a kill, and where the images were copied or renamed. For
        that all images are read once when the run begins
    stream : True gives a :class:`MitigationRun` to iterate over
    progress : told images (while assigning), then steps

    Raises
    ------
    InputError, ModelError
        For no feature, settings out of range, an assignment of other images, or ``patience`` when no group of the
        validation images is large enough to go by.
    TrainingError
        For a loss that is not finite; its ``result`` holds what was trained before.
    StorageError
        When ``folder`` holds another run, is in use or cannot be written. A disk that fills up later does not end the
        training; ``notes`` of the result say so.

    Examples
    --------
    Everything beside the four common settings goes through ``settings``::

        mitigate(model, data, features, epochs=5, settings=TrainingSettings(precision="bfloat16", patience=4),
                 validation=val, folder="runs/ravl-0")
    """
    objective = RegionAware() if objective is None else objective
    check_objective(objective)
    if settings is not None:
        checks.instance("settings", settings, TrainingSettings, "Write TrainingSettings(...).")
    if settings is None and learning_rate is None:
        learning_rate = objective.usual_learning_rate
    settings = _settings(settings, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size, seed=seed)
    features = check_features(features)
    _check(objective, concepts, empty_groups, stream, folder)
    check_model(model)
    check_dataset(data)
    if proposer is not None:
        check_proposer(proposer)
    if validation is None and validation_assignment is not None:
        raise InputError("validation images with a validation_assignment", "none", "Give mitigate(validation=...) too.")
    remedy = "Make one with rx.assign(model, data, features)."
    for name, given, of in (
        ("assignment", assignment, data),
        ("validation_assignment", validation_assignment, validation),
    ):
        if given is not None and of is not None:
            checks.instance(name, given, Assignment, remedy).check_of(of)
    if validation is not None:
        check_dataset(validation, "validation")
    classes = data.labels if labels is None else _classes(model, data, labels, proposer, progress)
    if assignment is None:
        own = None if labels is None else classes
        assignment = assign(model, data, features, proposer, labels=own, progress=progress)
    groups = None
    if validation is not None:
        groups = _groups(model, validation, features, proposer, validation_assignment, progress)
        _check_monitor(settings, validation, groups)
    notes = _notes(classes, assignment, data.class_names, empty_groups)
    masks = None
    if objective.uses_relevance:
        labelled: Any = data if labels is None else Relabelled(data, classes)
        masks = _masks(concepts, labelled, assignment, progress)
    training_set = prepare(model, data, assignment, class_text=objective.class_text, labels=classes, concepts=masks)
    kept = None
    if folder is not None:
        identity = depends(model, training_set, features, objective, settings, validation, groups)
        kept = RunFolder(
            folder,
            identity,
            made_with(model),
            names=names(model, training_set, validation),
            contents=contents(data, validation, groups, progress),
            in_words=IN_WORDS,
        )
    try:
        run = _run(model, training_set, tuple(features), objective, settings, validation, groups, notes, kept)
    except BaseException:
        if kept is not None:
            kept.close()
        raise
    if stream:
        return run
    try:
        for record in run:
            if progress is not None:
                progress(record.step, record.n_steps, "Fine-tuning")
    finally:
        run.close()  # when cancelled or interrupted: what was trained goes to the folder
    return run.result()


def _run(
    model: VisionLanguageModel,
    training_set: Any,
    features: tuple[SpuriousFeature, ...],
    objective: Objective,
    settings: TrainingSettings,
    validation: ImageTextDataset | None,
    groups: Bool[np.ndarray, " n_images"] | None,
    notes: tuple[str, ...],
    folder: RunFolder | None,
) -> MitigationRun:
    new = Steered(model.copy()) if isinstance(objective, TrainingFree) else model.copy()
    new.name = f"{model.name}, {objective.name}"
    validate = None if validation is None else validator(new, validation, groups)
    if isinstance(objective, TrainingFree) and isinstance(new, Steered):
        steps = steer(new, training_set, objective, settings, validate, folder)
    else:
        steps = train(new, training_set, objective, settings, validate, folder=folder)
    return MitigationRun(new, steps, objective, settings, features, notes, folder, training_set.concepts)


def _settings(settings: TrainingSettings | None, **given: Any) -> TrainingSettings:
    return replace(settings or TrainingSettings(), **{name: each for name, each in given.items() if each is not None})


def _check(objective: Objective, concepts: ConceptSource | None, empty_groups: str, stream: bool, folder: Any) -> None:
    """Raise at once what would else be raised after the images were embedded."""
    checks.one_of("empty_groups", empty_groups, ("go on", "stop"))
    checks.flag("stream", stream)
    if folder is not None:
        checks.path("folder", folder)
    if concepts is not None:
        remedy = "Give an object such as concepts.Discovered()."
        checks.offers("concepts", concepts, "a source of concept masks", ("open",), remedy)
    if concepts is not None and not objective.uses_relevance:
        raise InputError(
            "concepts with an objective that uses relevance",
            f"{concepts!r} with {objective.name!r}",
            "Leave concepts out, or choose a concept-guided objective.",
        )


def _groups(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    features: Sequence[SpuriousFeature],
    proposer: Proposer | None,
    assignment: Assignment | None,
    progress: Progress | None,
) -> Bool[np.ndarray, " n_images"]:
    """In which validation images the feature is: as annotated, or else as the searched model finds it."""
    if data.feature_present is not None:
        return data.feature_present
    return (assignment or assign(model, data, features, proposer, progress=progress)).present


def _check_monitor(settings: TrainingSettings, data: ImageTextDataset, groups: Bool[np.ndarray, " n_images"]) -> None:
    """Raise now what the trainer would raise at its first validation."""
    if settings.patience is None or settings.monitor != "worst_group":
        return
    if math.isnan(group_accuracy(np.zeros(len(data), bool), data.labels, groups, data.class_names).worst):
        raise settings.nothing_to_go_by()


def _classes(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    labeller: CaptionLabeller | np.ndarray,
    proposer: Proposer | None,
    progress: Progress | None,
) -> Int[np.ndarray, " n_images"]:
    """Labels as given, or the classes that captions name; images are embedded for that only if the labeller asks."""
    if not isinstance(labeller, CaptionLabeller):
        return check_labels(labeller, len(data), len(data.class_names))
    similarity = None
    if labeller.ambiguity == "similar":
        embeddings = embed(model, data, proposer, progress=progress)
        similarity = embeddings.image @ embeddings.text.T
    return label(data, labeller, similarity=similarity).labels


def _notes(
    labels: np.ndarray, assignment: Assignment, class_names: Sequence[str], empty_groups: str
) -> tuple[str, ...]:
    """What is to be said of groups that no image is in."""
    empty = groups_without_images(labels, assignment.present, class_names)
    if not empty:
        return ()
    named = ", ".join(f"{name!r}" for name in empty[:5]) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
    if empty_groups == "stop":
        raise InputError(
            "images of every class with the features and without",
            f"none of {named}",
            "Add such images, choose other clusters, or pass empty_groups='go on'.",
        )
    return (f"No image is in these groups, so nothing can be learned from them: {named}.",)


def _masks(
    source: ConceptSource | None, data: ImageTextDataset, assignment: Assignment, progress: Progress | None
) -> ConceptMasks:
    """Opened and each read once, so that a broken one is told before training."""
    return read_all((source or Discovered()).open(data, assignment), progress)
