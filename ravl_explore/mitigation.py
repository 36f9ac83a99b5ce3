"""mitigate(): fine-tune a copy of the model so that it stops relying on the chosen features (RaVL, Stage 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
import torch

from ravl_explore.assignment import Assignment, assign
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.discovery import SpuriousFeature
from ravl_explore.errors import InputError
from ravl_explore.evaluation import validator
from ravl_explore.models.base import TEMPERATURE, VisionLanguageModel, class_embeddings
from ravl_explore.objectives.base import ClassText, Objective
from ravl_explore.objectives.region_aware import RegionAware
from ravl_explore.objectives.training_free import Steered, TrainingFree
from ravl_explore.progress import Progress
from ravl_explore.regions.base import Proposer
from ravl_explore.training import History, StepRecord, TrainingSet, TrainingSettings, steer, train


@dataclass(frozen=True, eq=False)
class Mitigation:
    """A model that was fine-tuned, and all that says how.

    Attributes
    ----------
    model : the new model; the old one is unchanged
    history : one record per step
    objective, settings : what was minimised, and how
    features : what was to be suppressed
    complete : False when it was stopped before the last step
    """

    model: VisionLanguageModel
    history: History
    objective: Objective
    settings: TrainingSettings
    features: tuple[SpuriousFeature, ...]
    complete: bool


class MitigationRun:
    """Training as an iterator of StepRecords; stop iterating to pause, call :meth:`close` to stop for good."""

    def __init__(
        self,
        model: VisionLanguageModel,
        steps: Iterator[StepRecord],
        objective: Objective,
        settings: TrainingSettings,
        features: tuple[SpuriousFeature, ...],
    ) -> None:
        self._model, self._steps = model, steps
        self._objective, self._settings, self._features = objective, settings, features
        self._records: list[StepRecord] = []

    def __iter__(self) -> Iterator[StepRecord]:
        for record in self._steps:
            self._records.append(record)
            yield record

    def close(self) -> None:
        """End training here."""
        close = getattr(self._steps, "close", None)
        if close is not None:
            close()

    def result(self) -> Mitigation:
        """What has been trained so far; the model is this run's own and changes if you iterate on."""
        complete = bool(self._records) and self._records[-1].step == self._records[-1].n_steps
        return Mitigation(
            self._model, History(tuple(self._records)), self._objective, self._settings, self._features, complete
        )


@overload
def mitigate(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    features: Sequence[SpuriousFeature],
    proposer: Proposer | None = None,
    *,
    objective: Objective | None = None,
    epochs: int = 3,
    learning_rate: float = 5e-4,
    batch_size: int = 128,
    seed: int = 0,
    validation: ImageTextDataset | None = None,
    assignment: Assignment | None = None,
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
    epochs: int = 3,
    learning_rate: float = 5e-4,
    batch_size: int = 128,
    seed: int = 0,
    validation: ImageTextDataset | None = None,
    assignment: Assignment | None = None,
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
    epochs: int = 3,
    learning_rate: float = 5e-4,
    batch_size: int = 128,
    seed: int = 0,
    validation: ImageTextDataset | None = None,
    assignment: Assignment | None = None,
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
    validation : measured while training; its groups are the annotated feature's
    assignment : of ``data``, when it was made before
    stream : True gives a :class:`MitigationRun` to iterate over
    progress : told images (while assigning), then steps

    Raises
    ------
    InputError, ModelError
        For no feature, settings out of range, or a loss that is not finite.
    """
    settings = TrainingSettings(epochs, learning_rate, batch_size, seed)
    objective = objective or RegionAware()
    if assignment is None:
        assignment = assign(model, data, features, proposer, progress=progress)
    elif not features:
        raise InputError("at least one feature to suppress", "none", "Choose a cluster in the table.")
    elif len(assignment.present) != len(data):
        raise InputError(
            f"an assignment of these {len(data)} images", f"one of {len(assignment.present)}", "Assign this dataset."
        )
    new = Steered(model.copy()) if isinstance(objective, TrainingFree) else model.copy()
    new.name = f"{model.name}, {objective.name}"
    training_set = prepare(model, data, assignment, class_text=objective.class_text)
    validate = None
    if validation is not None:
        validate = validator(new, validation, validation.feature_present)
    if isinstance(objective, TrainingFree) and isinstance(new, Steered):
        steps = steer(new, training_set, objective, settings, validate)
    else:
        steps = train(new, training_set, objective, settings, validate)
    run = MitigationRun(new, steps, objective, settings, tuple(features))
    if stream:
        return run
    for record in run:
        if progress is not None:
            progress(record.step, record.n_steps, "Fine-tuning")
    return run.result()


def prepare(
    model: VisionLanguageModel,
    data: ImageTextDataset,
    assignment: Assignment,
    temperature: float = TEMPERATURE,
    class_text: ClassText = "prompts",
) -> TrainingSet:
    """Captions and classes embedded by the frozen text tower, beside what the regions show.

    Images of a dataset without captions get one of its prompts each, in turn, filled with their class.
    ``class_text`` says whether class names are filled into the dataset's prompts or embedded as bare names.
    """
    data_captions = _captions(data)
    unique = list(dict.fromkeys(data_captions))
    where = {caption: row for row, caption in enumerate(unique)}
    with torch.no_grad():
        captions = model.embed_text(unique)
    return TrainingSet(
        data=data,
        regions=assignment.regions,
        spurious=assignment.spurious,
        core=assignment.core,
        present=assignment.present,
        labels=data.labels,
        captions=captions,
        caption_index=np.array([where[caption] for caption in data_captions]),
        classes=class_embeddings(model, data.class_names, data.templates if class_text == "prompts" else ("{}",)),
        temperature=temperature,
    )


def _captions(data: ImageTextDataset) -> tuple[str, ...]:
    """The dataset's captions; without any, each image's class in one of the dataset's prompts, in turn."""
    if data.captions is not None:
        return tuple(data.captions)
    prompts = data.templates
    return tuple(prompts[i % len(prompts)].format(data.class_names[y]) for i, y in enumerate(data.labels.tolist()))
