"""Jobs: told often enough and no oftener, stopped at the next step, and always ended, whatever is raised."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ravl_explore.errors import Cancelled, DataError
from ravl_explore.support.progress import Progress
from ravl_explore.widgets.basics import job as job_module
from ravl_explore.widgets.basics.job import Job, ProgressLine, describe_progress, describe_seconds, wait_for_jobs

SECONDS = 10.0  # a job that has not ended by then hangs


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(job_module, "time", made)
    return made


def finish(job: Job) -> Job:
    assert job.wait(SECONDS), "the job hangs"
    assert not job.running and job not in job_module._running
    return job


Told = list[tuple[int, int, str]]


def listener(told: Told) -> Progress:
    return lambda done, total, stage: told.append((done, total, stage))


class TestProgress:
    def test_at_most_five_a_second_and_both_ends_of_every_stage(self, clock: Clock) -> None:
        told: Told = []

        def work(progress: Progress) -> None:
            for stage in ("one", "two"):
                for i in range(501):
                    progress(i, 500, stage)
                    clock.now += 0.01

        finish(Job(work, listener(told)).start())
        assert {(0, 500, "one"), (500, 500, "one"), (0, 500, "two"), (500, 500, "two")} <= set(told)
        assert 40 <= len(told) <= 5 * 10 + 4

    def test_short_stages_are_told_though_no_time_has_passed(self, clock: Clock) -> None:
        told: Told = []

        def work(progress: Progress) -> None:
            for stage in "abc":
                progress(0, 3, stage)
                progress(1, 3, stage)
                progress(3, 3, stage)

        finish(Job(work, listener(told)).start())
        assert told == [(done, 3, stage) for stage in "abc" for done in (0, 3)]

    def test_work_of_unknown_length_is_throttled_too(self, clock: Clock) -> None:
        told: Told = []
        finish(Job(lambda progress: [progress(0, 0, "Reading") for _ in range(100)], listener(told)).start())
        assert told == [(0, 0, "Reading")]

    def test_nobody_has_to_listen(self) -> None:
        assert finish(Job(lambda progress: progress(1, 2, "x") or 7).start()).result == 7

    def test_a_listener_that_fails_ends_the_job_with_its_error(self) -> None:
        def broken(*_: Any) -> None:
            raise RuntimeError("no front end")

        job = finish(Job(lambda progress: progress(1, 2, "x"), broken).start())
        assert isinstance(job.error, RuntimeError)


class TestEnds:
    def test_a_result(self) -> None:
        ended: list[Job] = []
        job = finish(Job(lambda progress: 42, on_end=ended.append).start())
        assert (job.result, job.error, job.cancelled, ended) == (42, None, False, [job])

    def test_cancel_stops_at_the_next_step(self) -> None:
        started, go_on, steps, ended = threading.Event(), threading.Event(), [], []

        def work(progress: Progress) -> str:
            for step in range(10):
                progress(step, 10, "x")
                steps.append(step)
                started.set()
                assert go_on.wait(SECONDS)
            return "done"

        job = Job(work, on_end=ended.append).start()
        assert started.wait(SECONDS)
        job.cancel()
        assert job.running
        go_on.set()
        finish(job)
        assert job.cancelled and job.result is None and job.error is None
        assert steps == [0] and ended == [job]

    def test_work_that_is_over_before_it_hears_of_cancel_keeps_its_result(self) -> None:
        gate = threading.Event()
        job = Job(lambda progress: gate.wait(SECONDS) and "done").start()
        job.cancel()
        gate.set()
        finish(job)
        assert (job.result, job.cancelled) == ("done", False)

    def test_work_may_cancel_itself(self) -> None:
        def work(progress: Progress) -> None:
            raise Cancelled

        assert finish(Job(work).start()).cancelled

    @pytest.mark.parametrize(
        ("error", "logged"),
        [(DataError("an image", "none", "Add one."), False), (ZeroDivisionError("1 / 0"), True)],
        ids=["expected", "unexpected"],
    )
    def test_errors_are_kept_and_only_unexpected_ones_are_logged(
        self, error: Exception, logged: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        def work(progress: Progress) -> None:
            raise error

        ended: list[BaseException | None] = []
        job = finish(Job(work, on_end=lambda job: ended.append(job.error)).start())
        assert job.error is error and ended == [error] and not job.cancelled
        assert ("ZeroDivisionError" in caplog.text) == logged

    def test_on_end_that_fails_does_not_hang_and_is_told(self, caplog: pytest.LogCaptureFixture) -> None:
        def end(job: Job) -> None:
            raise KeyError("missing")

        job = finish(Job(lambda progress: 1, on_end=end).start())
        assert isinstance(job.error, KeyError) and job.result == 1 and "missing" in caplog.text

    def test_on_end_that_fails_does_not_hide_the_first_error(self) -> None:
        first = DataError("a", "b", "c")

        def work(progress: Progress) -> None:
            raise first

        def end(job: Job) -> None:
            raise KeyError("missing")

        assert finish(Job(work, on_end=end).start()).error is first

    def test_wait_gives_up_after_the_timeout(self) -> None:
        gate = threading.Event()
        job = Job(lambda progress: gate.wait(SECONDS)).start()
        assert job.wait(0.01) is False and job.running
        gate.set()
        assert job.wait(SECONDS) is True

    def test_the_thread_does_not_keep_python_alive_and_has_the_callers_context(self) -> None:
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("cell", default="none")
        variable.set("cell 7")
        job = finish(Job(lambda progress: (variable.get(), threading.current_thread().daemon)).start())
        assert job.result == ("cell 7", True)


class TestWaitingForAll:
    def test_also_for_a_job_that_another_starts_when_it_ends(self) -> None:
        ends: list[str] = []

        def second(job: Job) -> None:
            Job(lambda progress: time.sleep(0.05), on_end=lambda _: ends.append("second")).start()
            ends.append("first")

        Job(lambda progress: time.sleep(0.05), on_end=second).start()
        wait_for_jobs()
        assert ends == ["first", "second"] and not job_module._running

    @pytest.mark.parametrize(("allow_stdin", "waits"), [(True, False), (False, True)])
    def test_a_kernel_waits_after_each_cell_only_where_nobody_sits(
        self, allow_stdin: bool, waits: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hooks: list[Callable[..., None]] = []
        shell = SimpleNamespace(
            kernel=SimpleNamespace(_allow_stdin=allow_stdin),
            events=SimpleNamespace(register=lambda name, hook: hooks.append(hook) if name == "post_run_cell" else None),
        )
        monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: shell)
        monkeypatch.setattr(job_module, "_hooked", False)
        gate = threading.Event()
        jobs = [Job(lambda progress: gate.wait(SECONDS)).start() for _ in range(2)]
        assert len(hooks) == 1, "one hook for all jobs"
        threading.Timer(0.2, gate.set).start()
        hooks[0](None)
        assert all(job.running is not waits for job in jobs)
        gate.set()
        wait_for_jobs()

    def test_without_a_kernel_there_is_no_hook(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(job_module, "_hooked", False)
        finish(Job(lambda progress: 1).start())
        assert not job_module._hooked


class TestProgressLine:
    def test_is_there_while_work_runs_and_hidden_before_and_after(self) -> None:
        line, gate, seen = ProgressLine(), threading.Event(), []
        assert line.layout.visibility == "hidden"
        job = line.run(lambda progress: gate.wait(SECONDS), lambda job: seen.append(line.layout.visibility), "Loading")
        assert line.layout.visibility == "visible" and line._text.value == "Loading …"
        gate.set()
        finish(job)
        assert line.layout.visibility == "hidden" and seen == ["hidden"]

    def test_is_hidden_after_an_error_too(self) -> None:
        line, ended = ProgressLine(), []

        def work(progress: Progress) -> None:
            raise DataError("a", "b", "c")

        finish(line.run(work, ended.append, "Loading"))
        assert line.layout.visibility == "hidden" and isinstance(ended[0].error, DataError)

    def test_cancel_says_that_it_stops_and_is_there_again_for_the_next_job(self) -> None:
        line, gate = ProgressLine(), threading.Event()

        def work(progress: Progress) -> None:
            gate.wait(SECONDS)
            progress(1, 2, "x")

        job = line.run(work, lambda job: None, "Loading")
        assert not line._cancel.disabled
        line._cancel.click()
        assert line._cancel.disabled and line._cancel.description == "Stopping"
        gate.set()
        assert finish(job).cancelled
        line._cancel.click()  # of a job that has ended: nothing happens
        second = finish(line.run(lambda progress: progress(2, 2, "y"), lambda job: None, "Loading"))
        assert not second.cancelled
        assert not line._cancel.disabled and line._cancel.description == "Cancel"

    def test_bar_and_text_show_how_far_it_is(self) -> None:
        line, seen = ProgressLine(), []

        def work(progress: Progress) -> None:
            progress(3, 12, "Embedding images")
            seen.append((line._bar.value, line._bar.max, line._text.value))
            progress(0, 0, "Loading")
            seen.append((line._bar.value, line._bar.max, line._text.value))

        finish(line.run(work, lambda job: None, "Loading"))
        assert seen == [(3, 12, "Embedding images: 3 of 12"), (0, 1, "Loading …")]

    def test_the_time_left_counts_from_the_first_step_told(self, clock: Clock) -> None:
        """The first step of training is told when it is over: five told steps are four seconds of one step each."""
        line, texts = ProgressLine(), []

        def work(progress: Progress) -> None:
            clock.now += 30  # loading is no part of the stage
            for step in range(1, 11):
                progress(step, 100, "Fine-tuning")
                texts.append(line._text.value)
                clock.now += 1
            clock.now += 600
            progress(10, 100, "Paused")
            texts.append(line._text.value)
            for step in range(11, 14):
                progress(step, 100, "Fine-tuning")
                texts.append(line._text.value)
                clock.now += 1

        finish(line.run(work, lambda job: None, "Loading"))
        assert texts[:3] == [
            "Fine-tuning: 1 of 100",
            "Fine-tuning: 2 of 100",
            "Fine-tuning: 3 of 100, about 2 min left",
        ]
        assert texts[9] == "Fine-tuning: 10 of 100, about 2 min left"
        assert texts[10] == "Paused: 10 of 100"
        assert texts[-1] == "Fine-tuning: 13 of 100, about 87 s left", "a pause is no work"


@pytest.mark.parametrize(
    ("done", "total", "seconds", "first", "text"),
    [
        (0, 0, 60.0, 0, "Reading …"),
        (0, 10, 60.0, 0, "Reading: 0 of 10"),
        (5, 10, 1.0, 0, "Reading: 5 of 10"),
        (5, 10, 10.0, 0, "Reading: 5 of 10, about 10 s left"),
        (5, 10, 10.0, 5, "Reading: 5 of 10"),
        (6, 10, 10.0, 5, "Reading: 6 of 10, about 40 s left"),
        (10, 10, 10.0, 0, "Reading: 10 of 10"),
        (12_345, 1_000_000, 100.0, 0, "Reading: 12,345 of 1,000,000, about 133 min left"),
        (999, 1000, 9.99, 0, "Reading: 999 of 1,000, about 1 s left"),
    ],
)
def test_describe_progress(done: int, total: int, seconds: float, first: int, text: str) -> None:
    assert describe_progress(done, total, "Reading", seconds, first) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "1 s"), (1.4, "1 s"), (89.4, "89 s"), (90.0, "2 min"), (130.0, "2 min"), (3600, "60 min")],
)
def test_describe_seconds(seconds: float, text: str) -> None:
    assert describe_seconds(seconds) == text
