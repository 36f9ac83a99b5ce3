"""StepRecord and History: training as plain data; Steps: training as an iterator that can pause, stop and be asked."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

import pandas as pd

from ravl_explore.support import checks
from ravl_explore.support.json_values import plain_number


class StoredStep(TypedDict):
    """A :class:`StepRecord` as JSON; numbers that are not finite are texts."""

    step: int
    n_steps: int
    epoch: int
    terms: dict[str, float | str]
    seconds: float
    validation: NotRequired[dict[str, float | str]]
    details: NotRequired[dict[str, float | str]]


@dataclass(frozen=True)
class StepRecord:
    """One step as plain data.

    Attributes
    ----------
    step : int
        Its number, from 1.
    n_steps : int
        Of the whole training.
    epoch : int
        The pass over the images that it is of, from 0.
    terms : dict of str to float
        Of the loss, which curves show.
    seconds : float
        Since training began, without pauses between processes.
    validation : dict of str to float
        Values of the validation images, where they were measured.
    details : dict of str to float
        What else the objective says of the step, such as group weights.
    """

    step: int
    n_steps: int
    epoch: int
    terms: dict[str, float]
    seconds: float
    validation: dict[str, float] = field(default_factory=dict)
    details: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> StoredStep:
        """As plain JSON values, see :func:`~ravl_explore.support.json_values.plain_number`."""
        return {
            "step": self.step,
            "n_steps": self.n_steps,
            "epoch": self.epoch,
            "terms": _stored(self.terms),
            "seconds": self.seconds,
            "validation": _stored(self.validation),
            "details": _stored(self.details),
        }

    @classmethod
    def from_json(cls, stored: StoredStep) -> StepRecord:
        """Make again what :meth:`to_json` gave.

        Parameters
        ----------
        stored : StoredStep
            As it is read from a file. What a newer version may have added is left out.

        Raises
        ------
        LookupError, TypeError, ValueError, AttributeError
            For what is no such record.
        """
        return cls(
            step=stored["step"],
            n_steps=stored["n_steps"],
            epoch=stored["epoch"],
            terms=_numbers(stored["terms"]),
            seconds=stored["seconds"],
            validation=_numbers(stored.get("validation", {})),
            details=_numbers(stored.get("details", {})),
        )


def _stored(numbers: Mapping[str, float]) -> dict[str, float | str]:
    return {name: plain_number(number) for name, number in numbers.items()}


def _numbers(stored: Mapping[str, float | str]) -> dict[str, float]:
    return {name: float(number) for name, number in stored.items()}


@dataclass(frozen=True)
class History:
    """All steps so far.

    Attributes
    ----------
    records : tuple of StepRecord
        One a step.
    best_step : int or None
        The step whose weights the model has been given back, the best validated one; None when it has its last.
    """

    records: tuple[StepRecord, ...] = ()
    best_step: int | None = None

    def __post_init__(self) -> None:
        checks.listed("records", self.records, StepRecord, "Give the StepRecords of training.")
        if self.best_step is not None:
            checks.whole("best_step", self.best_step, 0)

    def frame(self) -> pd.DataFrame:
        """One row a step: step, epoch, seconds, terms, details, and validation values (NaN where not measured)."""
        rows = [
            {"step": r.step, "epoch": r.epoch, "seconds": r.seconds, **r.terms, **r.details, **r.validation}
            for r in self.records
        ]
        return pd.DataFrame(rows)


class Steps:
    """Fine-tuning as an iterator of StepRecords: what has been asked for is done, no more. Subclasses write ``_go``.

    Attributes
    ----------
    records : list of StepRecord
        All so far, with those of an earlier process that a run folder held.
    best_step : int or None
        See :class:`History`.
    complete : bool
        Whether it came to its planned end; stopping early by ``patience`` is one.
    on_end : function of nothing
        Called once when training has ended, however it ended.
    """

    def __init__(self) -> None:
        self.records: list[StepRecord] = []
        self.best_step: int | None = None
        self.complete = False
        self.on_end: Callable[[], None] = lambda: None
        self._iterator = self._go()

    def _go(self) -> Generator[StepRecord, None, None]:
        raise NotImplementedError

    def __iter__(self) -> Steps:
        return self

    def __next__(self) -> StepRecord:
        return next(self._iterator)

    def close(self) -> None:
        """End here; the model keeps what it has learned."""
        self._iterator.close()

    @property
    def history(self) -> History:
        """All records so far."""
        return History(tuple(self.records), self.best_step)
