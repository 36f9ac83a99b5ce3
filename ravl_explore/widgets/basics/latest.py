"""Latest: of the work that a widget asked for in a thread, only what was asked for last is shown."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar, cast

from ravl_explore.errors import RavlError
from ravl_explore.support.progress import Progress
from ravl_explore.widgets.basics.job import Job

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Begin = Callable[[Callable[[Progress], object], Callable[[Job], object]], Job]
"""``begin(work, on_end)`` makes a job of them and starts it, such as a progress line's ``run``."""


def in_thread(work: Callable[[Progress], object], on_end: Callable[[Job], object]) -> Job:
    """Start the work as a job that shows nowhere how far it is."""
    return Job(work, on_end=on_end).start()


class Latest:
    """Jobs of one kind, the newest of which wins: it cancels the one before, whose result and errors are dropped.

    Attributes
    ----------
    lock : threading.RLock
        Held while a job's end is shown. Whoever changes what is on show holds it too: an older job's end then comes
        either before all of the change, or not at all. With it held, a widget may take the lock of a part of its own,
        such as the pane that it fills, and never that of a widget around it: then no two threads wait for each other.
    job : Job or None
        The newest one, also when it has ended; None before the first, and after :meth:`cancel`.
    working : bool
        Whether the end of the newest one is still to be shown.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.job: Job | None = None
        self.working = False
        self._abandoned = False

    def start(
        self,
        work: Callable[[Progress], Result],
        show: Callable[[Result], None],
        fail: Callable[[BaseException], None],
        cancelled: Callable[[], None] | None = None,
        begin: Begin = in_thread,
    ) -> Job:
        """Work in a thread in place of what runs; from there, one of the others is called, unless a newer one started.

        Parameters
        ----------
        work : callable
            ``work(progress)`` gives the result; its ``progress`` raises Cancelled once a newer one has started.
        show : callable
            ``show(result)``, with :attr:`lock` held.
        fail : callable
            ``fail(error)``, with :attr:`lock` held, for what ``work`` raises and for what ``show`` raises.
        cancelled : callable, optional
            Called with :attr:`lock` held when the job itself was cancelled, as by the button of a progress line.
        begin : callable
            What makes and starts the job.

        Returns
        -------
        Job
            That was started.
        """

        def end(job: Job[Result]) -> None:
            with self.lock:  # which is also held until the job is known here
                if job is not self.job:
                    return  # something else was asked for meanwhile
                self.working = False
                if job.error is not None:
                    fail(job.error)
                elif not job.cancelled:
                    _show(show, cast(Result, job.result), fail)  # it ended, so the work gave it
                elif cancelled is not None:
                    cancelled()

        with self.lock:
            self.cancel()
            job = begin(work, end)
            if self._abandoned:
                job.abandon()
            else:
                self.job, self.working = job, True
            return job

    def cancel(self) -> None:
        """Stop what runs at its next step, and show nothing of it."""
        with self.lock:
            if self.job is not None:
                self.job.cancel()
            self.job, self.working = None, False

    def abandon(self) -> None:
        """Stop for good: who asked is gone, and what is still started shows nothing."""
        with self.lock:
            if self.job is not None:
                self.job.abandon()
            self.job, self.working, self._abandoned = None, False, True

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the newest job has ended, or ``timeout`` seconds have passed; whether none runs."""
        job = self.job
        return job is None or job.wait(timeout)


def _show(show: Callable[[Result], None], result: Result, fail: Callable[[BaseException], None]) -> None:
    try:
        show(result)
    except Exception as error:
        if not isinstance(error, RavlError):
            logger.exception("Showing the result failed")
        fail(error)
