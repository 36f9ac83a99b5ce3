"""ProgressBar: shows progress on standard error, as a bar in a terminal and as few plain lines in a log."""

from __future__ import annotations

import os
import sys
import time
from typing import TextIO

from tqdm import tqdm

from ravl_explore.support.text import one_line

LOG_SECONDS = 30.0  # between two lines of one stage


class ProgressBar:
    """A progress callback (see :mod:`ravl_explore.support.progress`), for a ``with`` that finishes the last bar.

    Parameters
    ----------
    file : TextIO, optional
        Where it is drawn; standard error unless given.

    Examples
    --------
    >>> import io
    >>> log = io.StringIO()
    >>> with ProgressBar(log) as progress:
    ...     progress(0, 0, "Loading")
    ...     progress(0, 2, "Embedding images")
    ...     progress(2, 2, "Embedding images")
    >>> print(log.getvalue(), end="")
    Loading
    Embedding images: 0 of 2
    Embedding images: 2 of 2
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = sys.stderr if file is None else file
        self._is_terminal = _has_width(self._file)
        self._stage, self._bar, self._said, self._last = "", None, 0.0, ""

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def __call__(self, done: int, total: int, stage: str) -> None:
        new = stage != self._stage
        if new:
            self._close()
            self._stage = stage
        if self._is_terminal:
            self._draw(done, total, new)
        else:
            self._log(done, total, new)

    def _draw(self, done: int, total: int, new: bool) -> None:
        if new:
            self._bar = tqdm(
                total=total or None,
                desc=one_line(self._stage),
                initial=done,
                file=self._file,
                dynamic_ncols=True,
                bar_format=None if total else "{desc}",
            )
        elif self._bar is not None:
            self._bar.update(done - self._bar.n)

    def _log(self, done: int, total: int, new: bool) -> None:
        now = time.monotonic()
        if new or (total and done >= total) or now - self._said > LOG_SECONDS:
            line = one_line(self._stage) + (f": {done:,} of {total:,}" if total else "")
            if line != self._last:
                print(line, file=self._file, flush=True)
            self._said, self._last = now, line

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None


def _has_width(file: TextIO) -> bool:
    """Whether a bar can be drawn: CI systems may offer a terminal of no width, on which it would be invisible."""
    try:
        return file.isatty() and os.get_terminal_size(file.fileno()).columns > 0
    except (OSError, ValueError):
        return False
