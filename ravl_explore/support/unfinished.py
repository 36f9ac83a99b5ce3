"""Files and folders that are being written: hidden, and locked by their writer until they get their own name.

So the next who writes into the same folder can tell what a killed process left, and takes it away.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

UNFINISHED = ".ravl-unfinished-"  # how the names of files and folders begin that nobody should read
ABANDONED_SECONDS = 86_400.0  # where a disk or system has no such locks: what is so old was left by a killed process


def remove_unfinished(folder: Path) -> None:
    """Take away what killed processes left in a folder; what somebody is still writing stays.

    Parameters
    ----------
    folder : Path
        One that is not there, or closed, is left alone.
    """
    try:
        found = [Path(entry.path) for entry in os.scandir(folder) if entry.name.startswith(UNFINISHED)]
    except OSError:  # not there, or closed: who writes there is told
        return
    for path in found:
        with suppress(OSError):  # gone meanwhile, or another user's
            _remove_abandoned(path)


@contextmanager
def hidden_file(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file of a hidden name, locked; gone at the end, unless it was renamed.

    Parameters
    ----------
    folder : Path
        Where it is made.

    Yields
    ------
    tuple of Path and binary file
        Its path, and the file, open for writing.
    """
    while True:
        handle, name = tempfile.mkstemp(dir=folder, prefix=UNFINISHED)
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                if _lock(handle) is False or not path.exists():  # one who cleans up came between these lines
                    continue
                yield path, file
            return
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def hidden_folder(folder: Path) -> Iterator[Path]:
    """A new folder of a hidden name, locked; what has that name in the end is removed.

    Parameters
    ----------
    folder : Path
        Where it is made.

    Yields
    ------
    Path
        The new folder.
    """
    while True:
        path = Path(tempfile.mkdtemp(dir=folder, prefix=UNFINISHED))
        try:
            with _opened(path) as handle:
                if _lock(handle) is False or not path.exists():
                    continue
                yield path
            return
        finally:
            shutil.rmtree(path, ignore_errors=True)


def _remove_abandoned(path: Path) -> None:
    with _opened(path) as handle:
        locked = _lock(handle)
        if locked or (locked is None and time.time() - path.stat().st_mtime > ABANDONED_SECONDS):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """A file or folder, opened only to be locked; None where there are no such locks."""
    if fcntl is None:
        yield None
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # network disks lock only what can be written
    try:
        yield handle
    finally:
        os.close(handle)


def _lock(handle: int | None) -> bool | None:
    """Lock what is open until it is closed, or the process ends; False when another has, None where one cannot."""
    if fcntl is None or handle is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network disks
        return None
    return True
