"""TrainingLoop: steps go on until their end, a pause or Stop, and whatever ends them, what was trained is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from ravl_explore.errors import Cancelled
from ravl_explore.mitigation import mitigate
from ravl_explore.mitigation.mitigating import begin
from ravl_explore.objectives import Standard
from ravl_explore.training import History, StepRecord, TrainingSettings
from ravl_explore.widgets.mitigation.curves import Curves
from ravl_explore.widgets.mitigation.training_loop import TrainingLoop

SECONDS = 60.0


def step(number: int, n_steps: int = 100) -> StepRecord:
    return StepRecord(number, n_steps, 0, {"loss": 1 / number}, 0.1 * number)


class Steps:
    """A training whose steps are made by hand; ``kept`` ones are from its run folder."""

    def __init__(self, n: int, kept: int = 0, error: Exception | None = None) -> None:
        self.records = [step(number) for number in range(1, kept + 1)]
        self.n, self.error, self.closed = n, error, False

    def __iter__(self) -> Iterator[StepRecord]:
        for _ in range(self.n):
            self.records.append(step(len(self.records) + 1))
            yield self.records[-1]
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed = True

    def result(self) -> Any:
        history = History(tuple(self.records))
        return SimpleNamespace(history=history, objective=Standard(), settings=TrainingSettings(seed=7))


@dataclass
class Heard:
    """A loop, and what it told, in order."""

    curves: Curves = field(default_factory=Curves)
    told: list[Any] = field(default_factory=list)
    stages: list[tuple[int, int, str]] = field(default_factory=list)
    on_report: Callable[[int, str], object] = lambda done, stage: None

    def __post_init__(self) -> None:
        self.loop = TrainingLoop(self.curves, lambda: self.told.append(("steps", self.loop.steerable)))

    def run(self, steps: Any) -> None:
        def progress(done: int, total: int, stage: str) -> None:
            self.stages.append((done, total, stage))
            self.on_report(done, stage)

        self.loop.run(steps, progress, lambda: self.told.append("kept"))

    @property
    def drawn(self) -> list[int]:
        return [record.step for record in self.curves.history.records]


@pytest.fixture
def heard() -> Heard:
    return Heard()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def test_to_the_end(heard: Heard) -> None:
    steps = Steps(4)
    heard.run(steps)
    assert heard.drawn == [1, 2, 3, 4] and steps.closed
    assert heard.stages == [(number, 100, "Fine-tuning") for number in (1, 2, 3, 4)]
    assert heard.told == [("steps", True), ("steps", False), "kept"]
    assert not heard.loop.steerable and not heard.loop.paused
    assert heard.curves.history == steps.result().history


def test_a_pause_holds_before_the_next_step_and_resume_goes_on(heard: Heard) -> None:
    heard.on_report = lambda done, stage: heard.loop.pause() if (done, stage) == (2, "Fine-tuning") else None
    thread = threading.Thread(target=heard.run, args=(Steps(5),))
    thread.start()
    until(lambda: (2, 100, "Paused") in heard.stages)
    assert heard.loop.paused and heard.loop.steerable and heard.drawn == [1, 2]
    time.sleep(0.5)
    assert heard.drawn == [1, 2] and "kept" not in heard.told, "no step while it is paused"
    heard.on_report = lambda done, stage: None
    heard.loop.resume()
    thread.join(SECONDS)
    assert not thread.is_alive() and heard.drawn == [1, 2, 3, 4, 5] and not heard.loop.paused
    assert {done for done, _, stage in heard.stages if stage == "Paused"} == {2}
    assert heard.told[-1] == "kept"


def test_stop_ends_after_the_step_that_is_taken(heard: Heard) -> None:
    seen: list[bool] = []

    def at(done: int, stage: str) -> None:
        if done == 3:
            heard.loop.stop()
            seen.append(heard.loop.steerable)

    heard.on_report = at
    steps = Steps(1000)
    heard.run(steps)
    assert heard.drawn == [1, 2, 3] and steps.closed and seen == [False], "what was stopped cannot be stopped again"
    assert heard.told == [("steps", True), ("steps", False), "kept"]


def test_stop_ends_a_pause_and_the_next_training_runs(heard: Heard) -> None:
    heard.on_report = lambda done, stage: heard.loop.pause() if stage == "Fine-tuning" else heard.loop.stop()
    heard.run(Steps(1000))
    assert heard.drawn == [1] and not heard.loop.paused

    heard.on_report = lambda done, stage: None
    heard.loop.ready()
    heard.run(Steps(3))
    assert heard.drawn == [1, 2, 3] and heard.told[-1] == "kept"


def test_a_pause_that_was_asked_for_before_is_forgotten_by_the_next(heard: Heard) -> None:
    heard.loop.pause()
    assert heard.loop.paused and not heard.loop.steerable, "no step is taken yet"
    heard.loop.ready()
    assert not heard.loop.paused
    heard.run(Steps(2))
    assert heard.drawn == [1, 2]


@pytest.mark.parametrize("error", [RuntimeError("no gradient"), Cancelled()], ids=["error", "cancelled"])
def test_an_error_midway_is_raised_and_what_was_trained_is_told(heard: Heard, error: Exception) -> None:
    steps = Steps(2, error=error)
    with pytest.raises(type(error)):
        heard.run(steps)
    assert heard.drawn == [1, 2] and steps.closed
    assert heard.told == [("steps", True), ("steps", False), "kept"]


def test_who_cancels_during_a_pause_ends_it(heard: Heard) -> None:
    def cancel(done: int, stage: str) -> None:
        heard.loop.pause()
        if stage == "Paused":
            raise Cancelled

    heard.on_report = cancel
    steps = Steps(5)
    with pytest.raises(Cancelled):
        heard.run(steps)
    assert heard.drawn == [1] and steps.closed and heard.told[-1] == "kept" and not heard.loop.steerable


def test_an_error_before_the_first_step_leaves_nothing_to_tell(heard: Heard) -> None:
    with pytest.raises(RuntimeError, match="at once"):
        heard.run(Steps(0, error=RuntimeError("at once")))
    assert heard.drawn == [] and heard.told == [("steps", True), ("steps", False)]


def test_a_folder_that_is_gone_on_with_shows_its_earlier_steps(heard: Heard) -> None:
    heard.run(Steps(2, kept=3))
    assert heard.drawn == [1, 2, 3, 4, 5]
    assert [done for done, _, _ in heard.stages] == [4, 5], "only new ones are steps"


def test_a_folder_whose_run_had_ended_shows_its_curves(heard: Heard) -> None:
    heard.run(Steps(0, kept=3))
    assert heard.drawn == [1, 2, 3] and heard.stages == []
    assert heard.told == [("steps", True), ("steps", False), "kept"]


def test_a_real_training_and_its_folder(
    heard: Heard, model: Any, make_data: Callable[..., Any], find_feature: Callable[..., Any], mark: Any, tmp_path: Any
) -> None:
    train, settings = make_data(24), TrainingSettings(epochs=1, batch_size=8)
    marked = mark(train, find_feature(train, 3))
    first = begin(model, train, marked, Standard(), settings, folder=tmp_path / "run")
    heard.on_report = lambda done, stage: heard.loop.stop() if done == 2 else None
    heard.run(first)
    assert heard.drawn == [1, 2] and not first.result().complete

    heard.on_report = lambda done, stage: None
    for _ in range(2):  # it goes on, and then had ended
        heard.loop.ready()
        run = begin(model, train, marked, Standard(), settings, folder=tmp_path / "run")
        heard.run(run)
        assert heard.drawn == [1, 2, 3] and run.result().complete
    whole = mitigate(model, train, marked, Standard(), settings=settings)
    assert [record.terms for record in heard.curves.history.records] == [r.terms for r in whole.history.records]
