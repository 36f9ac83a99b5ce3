"""StepRecord and History: training as plain data; Steps: training as an iterator that can pause, stop and be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from ravl_explore.support import checks


@dataclass(frozen=True)
class StepRecord:
    """One step as plain data.

    Attributes
    ----------
    terms : of the loss, which curves show
    validation : values, where they were measured
    details : what else the objective says of the step, such as group weights
    """

    step: int
    n_steps: int
    epoch: int
    terms: dict[str, float]
    seconds: float
    validation: dict[str, float] = field(default_factory=dict)
    details: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values; what is not finite becomes its name."""
        return {
            name: {key: _to_plain(each) for key, each in value.items()} if isinstance(value, dict) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> StepRecord:
        """What :meth:`to_json` gave."""
        values: dict[str, Any] = {
            name: {key: float(each) for key, each in value.items()} if isinstance(value, dict) else value
            for name, value in stored.items()
        }
        return cls(**values)


@dataclass(frozen=True)
class History:
    """All steps so far.

    Attributes
    ----------
    best_step : the step whose weights the model has been given back, the best validated one; None when it has its last
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
    records : all so far, with those of an earlier process that a run folder held
    notes : what the user should know, as sentences
    best_step : see :class:`History`
    complete : whether it came to its planned end; stopping early by ``patience`` is one
    on_end : called once when training has ended, however it ended
    """

    def __init__(self) -> None:
        self.records: list[StepRecord] = []
        self.notes: list[str] = []
        self.best_step: int | None = None
        self.complete = False
        self.on_end: Callable[[], None] = lambda: None
        self._iterator = self._go()

    def _go(self) -> Iterator[StepRecord]:
        raise NotImplementedError

    def __iter__(self) -> Steps:
        return self

    def __next__(self) -> StepRecord:
        return next(self._iterator)

    def close(self) -> None:
        """End here; the model keeps what it has learned."""
        self._iterator.close()  # type: ignore[attr-defined]  # a generator

    @property
    def history(self) -> History:
        """All records so far."""
        return History(tuple(self.records), self.best_step)


def _to_plain(value: float) -> float | str:
    return value if abs(value) < float("inf") else str(value)
