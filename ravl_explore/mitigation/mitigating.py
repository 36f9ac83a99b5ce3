"""mitigate(): from what was marked to a new model; begin(): to a run that makes it step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ravl_explore.assignment.assignment import Assignment, assign
from ravl_explore.assignment.features import Feature
from ravl_explore.concepts.base import ConceptMasks, ConceptSource, read_all
from ravl_explore.concepts.discovered import Discovered
from ravl_explore.data.base import ImageTextDataset, check_dataset
from ravl_explore.data.relabelled import Relabelled
from ravl_explore.embedding.embeddings import embed
from ravl_explore.errors import InputError, ModelError
from ravl_explore.mitigation.result import Mitigation, MitigationRun
from ravl_explore.mitigation.run_identity import IN_WORDS, contents, depends, made_with, names
from ravl_explore.mitigation.steered import Steered
from ravl_explore.mitigation.steering import steer
from ravl_explore.mitigation.training_set import prepare
from ravl_explore.mitigation.validation import (
    ASSIGN,
    Groups,
    Validation,
    check_monitor,
    feature_groups,
    images_and_assignment,
    validator,
)
from ravl_explore.models.base import VisionLanguageModel, check_model
from ravl_explore.objectives.base import Objective, check_objective
from ravl_explore.objectives.groups import empty_groups
from ravl_explore.objectives.training_free import Fits
from ravl_explore.support import checks
from ravl_explore.support.contents import content
from ravl_explore.support.progress import Progress
from ravl_explore.training import RunFolder, TrainingSet, TrainingSettings, train


def mitigate(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    assignment: Assignment | Feature,
    objective: Objective,
    *,
    epochs: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    settings: TrainingSettings | None = None,
    validation: Validation | None = None,
    concepts: ConceptSource | None = None,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> Mitigation:
    """Fine-tune a copy of ``model`` on ``data``; its text tower stays frozen, its BatchNorm statistics too.

    Which regions are spurious was decided once, by the searched model, and is kept.

    Parameters
    ----------
    model : VisionLanguageModel
        The one that was searched; it is not changed.
    data : ImageTextDataset
        Images with captions, for fine-tuning.
    assignment : Assignment or Feature
        What the regions of ``data`` show, from :func:`ravl_explore.assign`, and the classes to learn; or the feature to
        suppress, which is then assigned to the images' regions in a 2 x 2 grid.
    objective : Objective
        What is minimised, out of :mod:`ravl_explore.objectives`.
    epochs, learning_rate, seed : int, float and int, or None
        Those of ``settings`` unless given; without either, the learning rate is the objective's usual one.
    settings : TrainingSettings or None
        All that can be set of the trainer: batch size, schedule, precision, patience ...
    validation : ImageTextDataset, or tuple of it and its Assignment, or None
        Measured while training; its groups are classes with and without the annotated feature or, where none is
        annotated, the discovered one. With its assignment it is not embedded for that.
    concepts : ConceptSource or None
        Where masks of where to look are from, for an objective that uses relevance;
        :class:`~ravl_explore.concepts.Discovered` unless given.
    folder : str or Path or None
        Of this run, made if it is not there. Settings, checkpoints and in the end the model are kept in it; the same
        call again goes on where it was, also after a kill, and where the images were copied or renamed. For that all
        images are read once when the run begins.
    progress : Progress or None
        Told images (while assigning), then steps.

    Raises
    ------
    InputError, ModelError
        For settings out of range, an assignment of other images, or ``patience`` when no group of the validation
        images is large enough to go by.
    TrainingError
        For a loss that is not finite; its ``result`` holds what was trained before.
    StorageError
        When ``folder`` holds another run, is in use or cannot be written. A disk that fills up later does not end the
        training; ``notes`` of the result say so.

    Examples
    --------
    Everything beside the common settings goes through ``settings``::

        mitigate(model, data, assignment, objectives.CounterfactualRegions(), epochs=5, validation=val,
                 settings=TrainingSettings(batch_size=64, precision="bfloat16", patience=4), folder="runs/cf-0")
    """
    check_objective(objective)
    chosen = chosen_settings(objective, settings, epochs=epochs, learning_rate=learning_rate, seed=seed)
    run = begin(
        model, data, assignment, objective, chosen,
        validation=validation, concepts=concepts, folder=folder, progress=progress,
    )  # fmt: skip
    try:
        for record in run:
            if progress is not None:
                progress(record.step, record.n_steps, "Fine-tuning")
    finally:
        run.close()  # when cancelled or interrupted: what was trained goes to the folder
    return run.result()


def begin(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    assignment: Assignment | Feature,
    objective: Objective,
    settings: TrainingSettings | None = None,
    *,
    validation: Validation | None = None,
    concepts: ConceptSource | None = None,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> MitigationRun:
    """The same as a run to iterate over, step by step; :func:`mitigate` goes to its end.

    Parameters
    ----------
    model, data, assignment, objective, validation, concepts, folder, progress
        As of :func:`mitigate`, with the same errors.
    settings : TrainingSettings or None
        Without any, the objective's usual learning rate and the defaults.
    """
    check_objective(objective)
    settings = chosen_settings(objective, settings)
    check_model(model)
    check_dataset(data)
    if folder is not None:
        checks.path("folder", folder)
        content(objective)  # what cannot be told in the next session is refused before all images are embedded
    _check_concepts(concepts, objective)
    if not isinstance(assignment, Feature):
        checks.instance("assignment", assignment, Assignment, ASSIGN).check_of(data)
    watched, watched_assignment = images_and_assignment(validation)
    if isinstance(assignment, Feature):
        _check_size(model, assignment)
        assignment = assign(embed(model, data, progress=progress), assignment)
    groups = None
    if watched is not None:
        groups = feature_groups(model, watched, assignment, watched_assignment, progress)
        check_monitor(settings, watched, groups)
    masks = None
    if objective.uses_relevance:
        masks = _masks(concepts, data, assignment, progress)
    training_set = prepare(model, data, assignment, class_text=objective.class_text, concepts=masks)
    notes = _notes(training_set.labels, assignment, data.class_names)
    kept = None
    if folder is not None:
        kept = RunFolder(
            folder,
            depends(model, training_set, objective, settings, watched, groups),
            made_with(model),
            names=names(model, training_set, watched),
            contents=contents(data, watched, groups, progress),
            in_words=IN_WORDS,
        )
    try:
        return _run(model, training_set, objective, settings, watched, groups, notes, kept)
    except BaseException:
        if kept is not None:
            kept.close()
        raise


def _run(
    model: VisionLanguageModel,
    training_set: TrainingSet,
    objective: Objective,
    settings: TrainingSettings,
    validation: ImageTextDataset | None,
    groups: Groups | None,
    notes: tuple[str, ...],
    folder: RunFolder | None,
) -> MitigationRun:
    name = f"{model.name}, {objective.name}"
    if isinstance(objective, Fits) and not objective.takes_steps:
        new = Steered(model.copy())
        new.name = name
        validate = None if validation is None else validator(new, validation, groups)
        steps = steer(new, training_set, objective, settings, validate, folder)
    else:
        new = model.copy()
        new.name = name
        validate = None if validation is None else validator(new, validation, groups)
        steps = train(new, training_set, objective, settings, validate, folder=folder)
    return MitigationRun(new, steps, objective, settings, training_set, notes, folder)


def chosen_settings(objective: Objective, settings: TrainingSettings | None, **given: float | None) -> TrainingSettings:
    """Those given, with what is given beside them; without any learning rate, the objective's usual one.

    Parameters
    ----------
    objective : Objective
        What is minimised.
    settings : TrainingSettings or None
        None is all defaults.
    **given : int or float or None
        By names of settings; None leaves one as it is.

    Raises
    ------
    InputError
        For settings out of range.
    """
    if settings is None:
        settings = TrainingSettings(learning_rate=objective.usual_learning_rate)
    checks.instance("settings", settings, TrainingSettings, "Write TrainingSettings(...).")
    return replace(settings, **{name: value for name, value in given.items() if value is not None})


def _check_size(model: VisionLanguageModel, feature: Feature) -> None:
    """Raise now what would else be raised after the images were embedded."""
    if model.dim != feature.dim:
        raise ModelError(
            f"a model with {feature.dim} embedding dimensions", f"one with {model.dim}", "Use the searched model."
        )


def _check_concepts(concepts: ConceptSource | None, objective: Objective) -> None:
    if concepts is None:
        return
    remedy = "Give an object such as concepts.Discovered()."
    checks.offers("concepts", concepts, "a source of concept masks", ("open",), remedy)
    if not objective.uses_relevance:
        raise InputError(
            "concepts with an objective that uses relevance",
            f"{concepts!r} with {objective.name!r}",
            "Leave concepts out, or choose a concept-guided objective.",
        )


def _notes(labels: np.ndarray, assignment: Assignment, class_names: Sequence[str]) -> tuple[str, ...]:
    """What is to be said of groups that no image is in."""
    empty = empty_groups(labels, assignment.present, class_names)
    if not empty:
        return ()
    named = ", ".join(f"{name!r}" for name in empty[:5]) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
    return (f"No image is in these groups, so nothing can be learned from them: {named}.",)


def _masks(
    source: ConceptSource | None, data: ImageTextDataset, assignment: Assignment, progress: Progress | None
) -> ConceptMasks:
    """Opened and each read once, so that a broken one is told before training."""
    labelled: Any = data if assignment.labels is None else Relabelled(data, assignment.labels)
    return read_all((source or Discovered()).open(labelled, assignment), progress)
