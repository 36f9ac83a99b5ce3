"""Mitigation, a model that was fine-tuned with all that says how; MitigationRun, the training of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ravl_explore.assignment.assignment import Assignment
from ravl_explore.errors import TrainingError
from ravl_explore.mitigation.steered import Steered
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.models.optional import metadata, weights
from ravl_explore.objectives.base import Objective
from ravl_explore.support.result_files import result_bytes
from ravl_explore.training import History, RunFolder, StepRecord, Steps, TrainingSet, TrainingSettings

MODEL_FILE = "model.safetensors"


@dataclass(frozen=True, eq=False)
class Mitigation:
    """A model that was fine-tuned, and all that says how.

    Attributes
    ----------
    model : VisionLanguageModel
        The new one; the old one is unchanged.
    history : History
        One record a step.
    objective : Objective
        What was minimised.
    settings : TrainingSettings
        How.
    assignment : Assignment
        What the fine-tuning images showed; ``assignment.feature`` was to be suppressed.
    complete : bool
        False when it was stopped before its end; stopping early by ``settings.patience`` is an end.
    notes : tuple of str
        What the user should know, as sentences: groups without an image, checkpoints that could not be written.
    """

    model: VisionLanguageModel
    history: History
    objective: Objective
    settings: TrainingSettings
    assignment: Assignment
    complete: bool
    notes: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """As the file that :func:`ravl_explore.save` writes; of a steered model only the steering, it has no weights.

        Raises
        ------
        ModelError
            When the model was steered and training had not begun, or shows no weights.
        """
        feature = self.assignment.feature
        meta = {
            "objective": self.objective.name,
            "objective_options": repr(self.objective),
            "settings": vars(self.settings),
            "feature": None if feature is None else feature.name,
            "complete": self.complete,
            "best_step": self.history.best_step,
            "notes": list(self.notes),
            "history": self.history.frame().to_dict(orient="list"),
        }
        if isinstance(self.model, Steered):
            arrays, steering = self.model.steering_arrays()
            return result_bytes("steering", arrays, meta | {"model_name": self.model.name, **steering})
        state = weights(self.model).items()
        arrays = {name: np.asarray(tensor.detach().cpu().numpy(), order="C") for name, tensor in state}
        return result_bytes("mitigation", arrays, meta, metadata(self.model))


class MitigationRun:
    """Training as an iterator of StepRecords; stop iterating to pause, call :meth:`close` to stop for good.

    Parameters
    ----------
    model : VisionLanguageModel
        The one that the steps change.
    steps : Steps
        That are to be taken.
    objective : Objective
        What they minimise.
    settings : TrainingSettings
        How.
    training_set : TrainingSet
        What they see.
    notes : tuple of str
        What the user should know already, as sentences.
    folder : RunFolder or None
        The file ``model.safetensors`` is written there when training ends, however it ends.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        steps: Steps,
        objective: Objective,
        settings: TrainingSettings,
        training_set: TrainingSet,
        notes: tuple[str, ...] = (),
        folder: RunFolder | None = None,
    ) -> None:
        self._model, self._steps = model, steps
        self._objective, self._settings, self._set = objective, settings, training_set
        self._notes, self._folder = notes, folder
        steps.on_end = self._keep

    def __iter__(self) -> Iterator[StepRecord]:
        """The steps that are still to be taken; a TrainingError carries the result so far."""
        try:
            yield from iter(lambda: next(self._steps, None), None)
        except TrainingError as error:
            error.result = self.result()
            raise

    def close(self) -> None:
        """End training here."""
        self._steps.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know so far, as sentences."""
        masks = () if self._set.concepts is None else self._set.concepts.notes
        return (*self._notes, *masks, *(() if self._folder is None else self._folder.notes))

    def result(self) -> Mitigation:
        """What has been trained so far; the model is this run's own and changes if you iterate on."""
        steps = self._steps
        return Mitigation(
            self._model,
            steps.history,
            self._objective,
            self._settings,
            self._set.assignment,
            steps.complete,
            self.notes,
        )

    def _keep(self) -> None:
        if self._folder is not None:
            self._folder.keep(MODEL_FILE, self.result().to_bytes())
