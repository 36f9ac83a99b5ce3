"""steer(): objectives without steps, as training of one record."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

from ravl_explore.mitigation.steered import Steered
from ravl_explore.objectives.training_free import Fits
from ravl_explore.training.batches import TrainingSet
from ravl_explore.training.folder import RunFolder
from ravl_explore.training.history import StepRecord, Steps
from ravl_explore.training.settings import TrainingSettings
from ravl_explore.training.start import start


def steer(
    model: Steered,
    training_set: TrainingSet,
    objective: Fits,
    settings: TrainingSettings,
    validate: Callable[[], dict[str, float]] | None = None,
    folder: RunFolder | None = None,
) -> Steps:
    """Fit the steering of a model in place, as one record.

    Parameters
    ----------
    model : Steered
        Around the searched model.
    training_set : TrainingSet
        The fine-tuning data.
    objective : Fits
        What is fitted.
    settings : TrainingSettings
        Of which only the batch size matters.
    validate : function of nothing, or None
        Gives accuracies by name, measured afterwards.
    folder : RunFolder or None
        There is nothing to go on with in it: what was fitted there is fitted again.
    """
    return _Fit(model, training_set, objective, settings, validate, folder)


class _Fit(Steps):
    def __init__(
        self,
        model: Steered,
        training_set: TrainingSet,
        objective: Fits,
        settings: TrainingSettings,
        validate: Callable[[], dict[str, float]] | None,
        folder: RunFolder | None,
    ) -> None:
        super().__init__()
        self._model, self._set, self._objective = model, training_set, objective
        self._settings, self._validate, self._folder = settings, validate, folder

    def close(self) -> None:
        super().close()
        self._let_go()

    def _go(self) -> Generator[StepRecord, None, None]:
        started, model = time.monotonic(), self._model
        model.steering = None
        try:
            model.steering = self._objective.fit(start(model, self._set, self._settings.batch_size))
            measured = {} if self._validate is None else self._validate()
            self._end(started, measured)
        finally:
            model.visual.eval()
            self._let_go()
        yield self.records[-1]

    def _end(self, started: float, measured: dict[str, float]) -> None:
        steering = self._model.steering
        shifts = None if steering is None else steering.shifts
        details = {} if shifts is None else {"shift without": shifts[0], "shift with": shifts[1]}
        self.records.append(StepRecord(1, 1, 0, {}, time.monotonic() - started, measured, details))
        self.complete = True
        self.on_end()

    def _let_go(self) -> None:
        if self._folder is not None:
            self._folder.close()
