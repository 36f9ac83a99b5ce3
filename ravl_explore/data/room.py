"""How much memory reading may take: a limit for one picture, and one for all that are read at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

MAX_BYTES = 850 * 2**20  # of one picture while it is read, so that a process stays below 1 GB
STRIP = 2**20  # pixels that are converted at a time


def check_size(width: int, height: int, bytes_per_pixel: int, max_pixels: int) -> None:
    """Raise ValueError for a picture that would take more than ``MAX_BYTES``, or has more than ``max_pixels``.

    Parameters
    ----------
    width : int
        In pixels.
    height : int
        In pixels.
    bytes_per_pixel : int
        That reading takes at most.
    max_pixels : int
        Most pixels of any picture.
    """
    most = min(max_pixels, MAX_BYTES // bytes_per_pixel)
    if width * height > most:
        of_its_kind = "" if most == max_pixels else " of this kind"
        raise ValueError(f"{width} x {height} pixels, more than the {most:,} that are read{of_its_kind}: shrink it")


def strips(height: int, width: int) -> Iterator[slice]:
    """Rows of a picture, a strip at a time.

    Parameters
    ----------
    height : int
        In pixels.
    width : int
        In pixels.
    """
    step = max(1, STRIP // max(1, width))
    for start in range(0, height, step):
        yield slice(start, min(start + step, height))


class _Room:
    """Bytes that are shared out; who finds too few left waits, but one is always let in."""

    def __init__(self, n_bytes: int) -> None:
        self._n_bytes, self._taken, self._changed = n_bytes, 0, threading.Condition()

    @contextmanager
    def take(self, n_bytes: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + n_bytes <= self._n_bytes)
            self._taken += n_bytes
        try:
            yield
        finally:
            with self._changed:
                self._taken -= n_bytes
                self._changed.notify_all()


ROOM = _Room(MAX_BYTES)  # of the process: many readers at once take no more than one alone may
