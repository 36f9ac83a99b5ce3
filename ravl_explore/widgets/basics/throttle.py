"""Throttle: work at most so many times a second, on a timer thread, the last request never forgotten."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

RATE = 4.0  # redraws a second; over 5 the browser is the bottleneck on a machine without a GPU

_logger = logging.getLogger(__name__)


class Throttle:
    """Runs ``work`` on a timer thread; several requests are one, none is forgotten.

    Parameters
    ----------
    work : callable
        Called without arguments.
    rate : float
        Most runs a second.
    delay : float
        Seconds that a first request waits for others; 0 starts at once.
    """

    def __init__(self, work: Callable[[], None], rate: float = RATE, delay: float = 0.0) -> None:
        self._work, self._interval, self._delay = work, 1 / rate, delay
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._last = -float("inf")

    def __call__(self) -> None:
        """Ask for a run soon."""
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(
                    max(self._delay, self._last + self._interval - time.monotonic()), self._run
                )
                self._timer.daemon = True
                self._timer.start()

    def _run(self) -> None:
        with self._lock:
            self._timer, self._last = None, time.monotonic()
        try:
            self._work()
        except Exception:
            _logger.exception("A figure could not be redrawn")

    def cancel(self) -> None:
        """Forget a pending request."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._last = None, time.monotonic()
