"""train(): fine-tune the image tower step by step; whoever iterates decides when to pause and when to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ravl_explore.errors import InputError
from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.objectives.base import Objective, restore_state, state_of
from ravl_explore.training.batches import TrainingSet, evenly
from ravl_explore.training.best_weights import Best, Patience
from ravl_explore.training.checkpoint import (
    Checkpoint,
    StoredProgress,
    check_progress,
    check_shapes,
    optimizer_tensors,
    restore_optimizer,
    restore_weights,
    told_as_damage,
)
from ravl_explore.training.folder import RunFolder
from ravl_explore.training.history import StepRecord, Steps
from ravl_explore.training.optimiser import Optimiser
from ravl_explore.training.settings import TrainingSettings
from ravl_explore.training.start import start

Validate = Callable[[], dict[str, float]]


def train(
    model: VisionLanguageModel,
    training_set: TrainingSet,
    objective: Objective,
    settings: TrainingSettings,
    validate: Validate | None = None,
    validate_every: int | None = None,
    folder: RunFolder | None = None,
) -> Steps:
    """Change ``model.visual`` in place with AdamW, one optimiser step per record.

    Close the iterator to stop: the model keeps what it has learned so far.

    Parameters
    ----------
    model : VisionLanguageModel
        Whose image tower is trained.
    training_set : TrainingSet
        What it sees.
    objective : Objective
        What is minimised.
    settings : TrainingSettings
        How. With ``patience`` the model has its best validated weights once training has ended, however it ended.
    validate : function of nothing, or None
        Gives values by name, such as ``accuracy`` and ``worst_group``, 0 to 1.
    validate_every : int or None
        Steps between two calls of ``validate``, which is called at the end too; four an epoch unless given.
    folder : RunFolder or None
        Goes on from the checkpoint there, if there is one; the next steps are those of a run that was never
        interrupted: the same bits on a CPU.

    Raises
    ------
    InputError
        When the precision does not fit the model's device, or ``patience`` has nothing to go by.
    TrainingError
        While iterating, when the loss or its gradient is not finite; the weights are those before the bad step.
    """
    return Trainer(model, training_set, objective, settings, validate, validate_every, folder)


@dataclass(frozen=True, eq=False)
class Rest:
    """What changes from step to step beside weights, optimiser and records, as it was after a whole step."""

    step: int
    order: np.ndarray
    shuffling: Mapping[str, object]
    drawing: Tensor
    objective: dict[str, Tensor]
    scaler: dict[str, object]


class Trainer(Steps):
    """The steps of :func:`train`."""

    def __init__(
        self,
        model: VisionLanguageModel,
        training_set: TrainingSet,
        objective: Objective,
        settings: TrainingSettings,
        validate: Validate | None,
        validate_every: int | None,
        folder: RunFolder | None,
    ) -> None:
        super().__init__()
        if settings.precision == "float16" and model.device.type == "cpu":
            raise InputError("precision float32 or bfloat16 on a CPU", "float16", "Use a GPU for float16.")
        if settings.patience is not None and validate is None:
            raise InputError(
                "validation images with patience", "none", "Give mitigate(validation=...), or no patience."
            )
        self._model, self._set, self._settings, self._folder = model, training_set, settings, folder
        self._objective, self._validate = objective, validate
        self._pieces = list(evenly(len(training_set.data), settings.batch_size * settings.accumulate))
        self._n_steps = settings.epochs * len(self._pieces)
        self._every = validate_every or max(1, len(self._pieces) // 4)
        self._weights = objective.sample_weights(training_set.labels, training_set.assignment.present)
        self._shuffling = np.random.default_rng(settings.seed)
        self._order = np.zeros(0, np.int64)
        self._optimiser: Optimiser | None = None
        self._patience = Patience(settings)
        self._step, self._saved_step = 0, 0
        self._rest: Rest | None = None
        self._finished = False

    def close(self) -> None:
        super().close()
        self._finish()  # also when it was never begun

    def _go(self) -> Generator[StepRecord, None, None]:
        try:
            optimiser = self._begin()
            while not self.complete:
                yield self._advance(optimiser)
        finally:
            self._finish()

    def _begin(self) -> Optimiser:
        stored = None if self._folder is None else self._folder.read()
        # begun with the weights of the very start, whatever comes from the checkpoint then
        self._objective = self._objective.begin(start(self._model, self._set, self._settings.batch_size))
        self._optimiser = Optimiser(self._model, self._set, self._objective, self._settings)
        if stored is not None and self._folder is not None:
            with told_as_damage(self._folder.checkpoint):
                self._restore(self._optimiser, stored, str(self._folder.path))
        earlier = self.records[-1].seconds if self.records else 0.0
        self._started = time.monotonic() - earlier
        self._remember(self._optimiser)
        return self._optimiser

    def _advance(self, optimiser: Optimiser) -> StepRecord:
        """One optimiser step with what belongs to it; at the last one all ends are tied before it is given out."""
        settings, place = self._settings, self._step % len(self._pieces)
        if place == 0:
            n = len(self._set.data)
            self._order = (
                self._shuffling.permutation(n)
                if self._weights is None
                else self._shuffling.choice(n, n, p=self._weights)
            )
        rate = settings.learning_rate * settings.scale(self._step, self._n_steps)
        terms, details = optimiser.take(self._step + 1, self._order[self._pieces[place]], rate)
        self._step += 1
        measured: dict[str, float] = {}
        if self._validate is not None and (self._step % self._every == 0 or self._step == self._n_steps):
            self._model.visual.eval()
            measured = self._validate()
        stopping = self._patience.runs_out(self._step, measured, self._model.visual)
        seconds, epoch = time.monotonic() - self._started, (self._step - 1) // len(self._pieces)
        self.records.append(StepRecord(self._step, self._n_steps, epoch, terms, seconds, measured, details))
        self._remember(optimiser)
        optimiser.whole = True
        self.complete = stopping or self._step == self._n_steps
        if self.complete:
            self._finish()
        elif self._folder is not None and self._folder.due:
            self._save()
        return self.records[-1]

    def _remember(self, optimiser: Optimiser) -> None:
        """Note the small changing things after a whole step, so that a checkpoint can be of it later, too."""
        self._rest = Rest(
            step=self._step,
            order=self._order,
            shuffling=self._shuffling.bit_generator.state,
            drawing=optimiser.drawing.get_state(),
            objective={name: tensor.clone() for name, tensor in state_of(self._objective).items()},
            scaler=optimiser.scaler.state_dict(),
        )

    def _finish(self) -> None:
        """Tie all ends, once: evaluation mode, a last checkpoint, the best weights, the folder let go."""
        if self._finished:
            return
        self._finished = True
        visual = self._model.visual
        visual.eval()
        visual.zero_grad(set_to_none=True)
        try:
            try:
                self._save()  # of the last weights, so before the best ones are back
            finally:
                best = self._patience.best
                if best is not None:
                    visual.load_state_dict(best.weights)
                    self.best_step = best.step
                if self.records:
                    self.on_end()
        finally:
            if self._folder is not None:
                self._folder.close()

    def _save(self) -> None:
        """Write a checkpoint, unless it is written or a step was cut in the middle."""
        rest, optimiser, patience = self._rest, self._optimiser, self._patience
        if self._folder is None or rest is None or optimiser is None or not optimiser.whole:
            return
        if rest.step in (0, self._saved_step):
            return
        groups: dict[str, dict[str, Tensor]] = {
            "weights": self._model.visual.state_dict(),
            "optimizer": optimizer_tensors(optimiser.adam),
            "objective": rest.objective,
            "best": {} if patience.best is None else patience.best.weights,
            "random": {"drawing": rest.drawing},
            "order": {"images": torch.from_numpy(rest.order)},
        }
        meta: StoredProgress = {
            "step": rest.step,
            "complete": self.complete,
            "shuffling": dict(rest.shuffling),
            "scaler": rest.scaler,
            "waited": patience.waited,
            "best": None if patience.best is None else (patience.best.step, patience.best.value),
            "records": [record.to_json() for record in self.records],
        }
        tensors = {f"{group}/{name}": tensor for group, named in groups.items() for name, tensor in named.items()}
        if self._folder.write(Checkpoint(tensors, meta)):
            self._saved_step = rest.step

    def _restore(self, optimiser: Optimiser, stored: Checkpoint, origin: str) -> None:
        """Go on where a checkpoint was written."""
        meta, patience = stored.meta, self._settings.patience
        restore_weights(self._model.visual, stored.group("weights"), origin)
        records = check_progress(stored, self._n_steps, len(self._pieces), len(self._set.data), patience)
        restore_optimizer(optimiser.adam, stored.group("optimizer"))
        check_shapes(state_of(self._objective), stored.group("objective"), origin)
        if stored.group("objective"):
            restore_state(self._objective, stored.group("objective"))
        if meta["best"] is not None:
            step, value = meta["best"]
            check_shapes(self._model.visual.state_dict(), stored.group("best"), origin)
            self._patience.best = Best(step, value, stored.group("best"))
        self._patience.waited, self._order = meta["waited"], stored.group("order")["images"].numpy()
        self._shuffling.bit_generator.state = meta["shuffling"]
        optimiser.drawing.set_state(stored.group("random")["drawing"])
        optimiser.scaler.load_state_dict(meta["scaler"])
        self.records[:] = records
        self._step = self._saved_step = meta["step"]
        self.complete = meta["complete"]
