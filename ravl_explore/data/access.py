"""Paths of users: where ~ leads, and what the system refuses, such as a closed folder, as an error that helps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ravl_explore.errors import DataError, InputError
from ravl_explore.text import storable


def at_home(path: str | Path) -> Path:
    """The path, from the home folder where it starts with ``~``; a name such as ``~old`` may be a file's own.

    Raises
    ------
    InputError
        For what is no path.

    Examples
    --------
    >>> str(at_home("~nobody-of-this-name/a.png")), at_home("~/a.png").is_absolute()
    ('~nobody-of-this-name/a.png', True)
    """
    if not isinstance(path, (str, Path)):
        raise InputError("a path", type(path).__name__, "Give it as text or as a pathlib.Path.")
    return Path(os.path.expanduser(path))  # noqa: PTH111  pathlib's raises where there is no such user


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn an OSError into a DataError that names the file or folder, or ``path`` where it names none."""
    try:
        yield
    except OSError as error:
        came = f"{storable(error.filename or path)!r} ({error.strerror or type(error).__name__})"
        raise DataError(
            "a folder whose files can be read", came, "Give yourself the right to read it, or copy it elsewhere."
        ) from error
