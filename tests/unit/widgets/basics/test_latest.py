"""Latest: the newest job wins, whichever ends last, and errors go to one place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ravl_explore import widgets
from ravl_explore.errors import DataError
from ravl_explore.support.progress import Progress
from ravl_explore.widgets.basics import job as job_module
from ravl_explore.widgets.basics.closing import parts_of
from ravl_explore.widgets.basics.job import Job, ProgressLine
from ravl_explore.widgets.basics.latest import Latest

SECONDS = 10.0  # a job that has not ended by then hangs


class Told:
    """What was shown, and the errors."""

    def __init__(self) -> None:
        self.shown: list[Any] = []
        self.errors: list[BaseException] = []
        self.cancelled = 0

    def cancel(self) -> None:
        self.cancelled += 1


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def latest() -> Latest:
    return Latest()


def held(go: threading.Event, result: Any) -> Callable[[Progress], Any]:
    """Work that ends, or raises, once it may."""

    def work(_: Progress) -> Any:
        assert go.wait(SECONDS)
        if isinstance(result, BaseException):
            raise result
        return result

    return work


def finish(job: Job) -> Job:
    assert job.wait(SECONDS), "the job hangs"
    return job


@pytest.mark.parametrize("late", ["old", DataError("a", "b", "c")], ids=["result", "error"])
def test_the_newest_wins_though_it_ends_first(latest: Latest, told: Told, late: Any) -> None:
    go = threading.Event()
    first = latest.start(held(go, late), told.shown.append, told.errors.append, told.cancel)
    second = finish(latest.start(lambda _: "new", told.shown.append, told.errors.append))
    assert latest.job is second and told.shown == ["new"]
    go.set()
    finish(first)
    assert told.shown == ["new"] and told.errors == [] and told.cancelled == 0


def test_one_that_is_overtaken_stops_at_its_next_step(latest: Latest, told: Told) -> None:
    entered, go, steps = threading.Event(), threading.Event(), []

    def work(progress: Progress) -> None:
        entered.set()
        assert go.wait(SECONDS)
        progress(1, 2, "Reading")
        steps.append(1)

    first = latest.start(work, told.shown.append, told.errors.append, told.cancel)
    assert entered.wait(SECONDS)
    finish(latest.start(lambda _: "new", told.shown.append, told.errors.append))
    go.set()
    assert finish(first).cancelled and steps == [] and told.cancelled == 0, "nobody cancelled it by hand"


def test_each_one_that_is_not_overtaken_is_shown(latest: Latest, told: Told) -> None:
    for number in range(3):
        finish(latest.start(lambda _, number=number: number, told.shown.append, told.errors.append))
    assert told.shown == [0, 1, 2]


def test_errors_of_the_work_and_of_showing_go_to_one_place(
    latest: Latest, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    expected, defect = DataError("an image", "none", "Add one."), KeyError("missing")

    def fail(_: Any) -> None:
        raise defect

    go = threading.Event()
    go.set()
    job = finish(latest.start(held(go, expected), told.shown.append, told.errors.append))
    assert told.errors == [expected] and job.error is expected and caplog.text == ""
    finish(latest.start(lambda _: 1, fail, told.errors.append))
    assert told.errors == [expected, defect] and told.shown == [] and "missing" in caplog.text


def test_working_lasts_until_the_end_is_shown(latest: Latest, told: Told) -> None:
    go, seen = threading.Event(), []
    assert not latest.working and latest.wait(0)
    job = latest.start(held(go, 1), lambda _: seen.append(latest.working), told.errors.append)
    assert latest.working and not latest.wait(0.01)
    go.set()
    assert latest.wait(SECONDS) and job.wait(SECONDS)
    assert seen == [False] and not latest.working


def test_a_button_that_cancels_is_told_and_the_next_one_can_start(latest: Latest, told: Told) -> None:
    line, entered, go = ProgressLine(), threading.Event(), threading.Event()

    def work(progress: Progress) -> None:
        entered.set()
        assert go.wait(SECONDS)
        progress(1, 2, "Reading")

    begin = partial(line.run, title="Loading")
    job = latest.start(work, told.shown.append, told.errors.append, told.cancel, begin)
    assert entered.wait(SECONDS) and line._text.value == "Loading …"
    line._cancel.click()
    go.set()
    assert finish(job).cancelled and told.cancelled == 1 and not latest.working
    finish(latest.start(lambda _: 2, told.shown.append, told.errors.append, told.cancel, begin))
    assert told.shown == [2] and told.cancelled == 1 and line.layout.visibility == "hidden"


def test_cancel_drops_what_runs(latest: Latest, told: Told) -> None:
    go = threading.Event()
    job = latest.start(held(go, 1), told.shown.append, told.errors.append, told.cancel)
    latest.cancel()
    assert latest.job is None and not latest.working
    go.set()
    finish(job)
    assert (told.shown, told.errors, told.cancelled) == ([], [], 0)
    latest.cancel()  # twice is once


def test_what_changes_under_the_lock_is_not_overwritten_by_an_older_one(latest: Latest, told: Told) -> None:
    go, shown = threading.Event(), ["before"]
    job = latest.start(held(go, "old"), shown.append, told.errors.append)
    with latest.lock:
        go.set()
        assert not job.wait(0.1), "its end waits for the lock"
        latest.cancel()
        shown.append("by hand")
    finish(job)
    assert shown == ["before", "by hand"]


def test_a_job_may_start_the_next_one_while_it_is_shown(latest: Latest, told: Told) -> None:
    jobs: list[Job] = []

    def show(_: Any) -> None:
        jobs.append(latest.start(lambda _: "second", told.shown.append, told.errors.append))

    finish(latest.start(lambda _: "first", show, told.errors.append))
    finish(jobs[0])
    assert told.shown == ["second"] and latest.job is jobs[0]


def test_abandoned_it_keeps_and_shows_nothing_also_of_what_starts_later(latest: Latest, told: Told) -> None:
    go = threading.Event()
    jobs = [latest.start(held(go, "a model"), told.shown.append, told.errors.append)]
    latest.abandon()
    jobs.append(latest.start(held(go, "another"), told.shown.append, told.errors.append))
    go.set()
    for job in jobs:
        assert finish(job).result is None
    assert told.shown == [] and told.errors == [] and latest.job is None and not latest.working


def test_a_widget_that_is_closed_abandons_it(told: Told) -> None:
    go, box = threading.Event(), widgets.CachePanel()
    box._in_a_test = latest = Latest()  # type: ignore[attr-defined]
    assert latest in parts_of(box)[1]
    job = latest.start(held(go, "a model"), told.shown.append, told.errors.append)
    box.close()
    go.set()
    assert finish(job).result is None and told.shown == [] and job not in job_module._running
