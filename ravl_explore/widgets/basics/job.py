"""Long work off the kernel's thread: one worker at a time, progress, honest time left, Cancel, and waiting for it."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import ipywidgets as widgets

from ravl_explore.errors import Cancelled, RavlError
from ravl_explore.support.progress import Progress

logger = logging.getLogger(__name__)

REDRAWS_PER_SECOND = 5
ESTIMATE_AFTER_SECONDS = 1.5  # earlier estimates jump about

Result = TypeVar("Result")

_running: set[Job] = set()
_hooked = False


class Job(Generic[Result]):
    """One piece of work in a thread of its own.

    Parameters
    ----------
    work : callable
        ``work(progress)`` gives the result; its ``progress`` raises Cancelled once :meth:`cancel` was called.
    on_progress : callable, optional
        Called with (done, total, stage) from the worker, at most 5 times a second and at each stage's ends.
    on_end : callable, optional
        Called with this job from the worker when it has ended, however it ended.

    Attributes
    ----------
    result : Result or None
        What the work gave; None before, and when it gave nothing.
    error : BaseException or None
        What the work raised.
    cancelled : bool
        Whether it was stopped.
    """

    def __init__(
        self,
        work: Callable[[Progress], Result],
        on_progress: Progress | None = None,
        on_end: Callable[[Job[Result]], object] | None = None,
    ) -> None:
        self._work: Callable[[Progress], Result] | None = work
        self._on_progress, self._on_end = on_progress, on_end
        self._stop, self._abandoned = threading.Event(), False
        self._done = threading.Event()
        self._last_report, self._last_stage = 0.0, ""
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.cancelled = False
        # the cell's context goes along, so that output and errors land in the cell that started the work
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="ravl_explore job", daemon=True)

    def start(self) -> Job[Result]:
        """Begin; returns itself."""
        _running.add(self)
        _wait_after_cells_without_front_end()
        self._thread.start()
        return self

    def cancel(self) -> None:
        """Ask the work to stop at its next step."""
        self._stop.set()

    def abandon(self) -> None:
        """Cancel, keep no result and tell nobody any more: who asked is gone."""
        self._abandoned = True
        self._on_progress = self._on_end = self.result = None
        self.cancel()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._done.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it has ended, or ``timeout`` seconds have passed; whether it has ended."""
        return self._done.wait(timeout)

    def _run(self) -> None:
        work, self._work = self._work, None  # what has ended holds no model
        assert work is not None
        try:
            result = work(self._progress)
            if not self._abandoned:
                self.result = result
        except Cancelled:
            self.cancelled = True
        except RavlError as error:
            self.error = error
        except Exception as error:
            logger.exception("A job failed")
            self.error = error
        del work
        try:
            on_end = self._on_end
            if on_end is not None:
                on_end(self)
        except Exception as error:
            logger.exception("Showing the result failed")
            self.error = self.error or error
        finally:
            _running.discard(self)
            self._done.set()

    def _progress(self, done: int, total: int, stage: str) -> None:
        if self._stop.is_set():
            raise Cancelled
        now = time.monotonic()
        told = self._on_progress
        edge = stage != self._last_stage or 0 < done == total  # of a total of 0, nobody knows the end
        if told is not None and (edge or now - self._last_report >= 1 / REDRAWS_PER_SECOND):
            self._last_report, self._last_stage = now, stage
            told(done, total, stage)


class ProgressLine(widgets.HBox):
    """A bar, a sentence with the time left, and Cancel; hidden while nothing runs.

    Parameters
    ----------
    cancel : str
        What Cancel does, where that is not plain.
    """

    def __init__(self, cancel: str = "") -> None:
        self._bar = widgets.IntProgress(min=0, max=1, layout=widgets.Layout(width="180px", margin="0 8px 0 0"))
        self._text = widgets.Label("", layout=widgets.Layout(min_width="320px"))
        self._cancel = widgets.Button(
            description="Cancel", icon="times", tooltip=cancel, layout=widgets.Layout(width="90px")
        )
        self._cancel.on_click(lambda _: self._on_cancel())
        self._job: Job | None = None
        self._stage, self._stage_started, self._stage_first = "", 0.0, 0
        super().__init__(
            [self._bar, self._text, self._cancel], layout=widgets.Layout(visibility="hidden", height="36px")
        )

    def run(
        self, work: Callable[[Progress], Result], on_end: Callable[[Job[Result]], object], title: str
    ) -> Job[Result]:
        """Start ``work`` as a job and show it here until it ends.

        Parameters
        ----------
        work : callable
            ``work(progress)`` gives the result.
        on_end : callable
            Called with the job from the worker when it has ended, however it ended.
        title : str
            What is said until the work tells its first stage.
        """
        self._stage = ""
        self._bar.value, self._text.value = 0, f"{title} …"
        self._cancel.disabled, self._cancel.description = False, "Cancel"
        self.layout.visibility = "visible"

        def end(job: Job[Result]) -> None:
            if job is self._job:  # else the line shows a later one
                self.layout.visibility = "hidden"
            on_end(job)

        self._job = job = Job(work, self._show, end)
        return job.start()

    def _on_cancel(self) -> None:
        if self._job is not None and self._job.running:
            self._cancel.disabled, self._cancel.description = True, "Stopping"
            self._job.cancel()

    def _show(self, done: int, total: int, stage: str) -> None:
        if stage != self._stage:
            self._stage, self._stage_started, self._stage_first = stage, time.monotonic(), done
        if self._bar.max != max(total, 1):
            self._bar.max = max(total, 1)
        self._bar.value = done
        seconds = time.monotonic() - self._stage_started
        self._text.value = describe_progress(done, total, stage, seconds, self._stage_first)


def describe_progress(done: int, total: int, stage: str, seconds: float, first: int = 0) -> str:
    """One line: the stage, how far it is, and the time left at the pace of the ``seconds`` since ``first`` were done.

    Parameters
    ----------
    done, total : int
        How much of how much; a total of 0 is not known.
    stage : str
        What is being done.
    seconds : float
        Since the stage began.
    first : int
        How much was done when it began.

    Examples
    --------
    >>> describe_progress(250, 1000, "Embedding images", 5.0)
    'Embedding images: 250 of 1,000, about 15 s left'
    >>> describe_progress(0, 0, "Arranging the map", 0.0)
    'Arranging the map …'
    """
    if total <= 0:
        return f"{stage} …"
    line = f"{stage}: {done:,} of {total:,}"
    if first < done < total and seconds >= ESTIMATE_AFTER_SECONDS:
        line += f", about {describe_seconds(seconds / (done - first) * (total - done))} left"
    return line


def describe_seconds(seconds: float) -> str:
    """Seconds as a person would say them.

    >>> describe_seconds(15), describe_seconds(130)
    ('15 s', '2 min')
    """
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"


def wait_for_jobs() -> None:
    """Block until no job runs: for the last cell of a notebook that is run by a machine."""
    while _running:
        for job in tuple(_running):
            job.wait()


def _wait_after_cells_without_front_end() -> None:
    """Under nbclient or papermill the kernel dies with the last cell, so there each cell waits for its jobs.

    They run cells with ``allow_stdin=False``, which nobody who sits at a notebook does.
    """
    global _hooked
    if _hooked:
        return
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return
    shell = get_ipython()
    kernel = getattr(shell, "kernel", None)
    if shell is None or kernel is None:
        return

    def after_cell(*_: object) -> None:
        if getattr(kernel, "_allow_stdin", True) is False:
            wait_for_jobs()

    shell.events.register("post_run_cell", after_cell)
    _hooked = True
