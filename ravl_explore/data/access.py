"""readable(): what the system refuses, such as a closed folder, as an error that helps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ravl_explore.data.given_files import CLOSED
from ravl_explore.errors import DataError
from ravl_explore.support.text import storable


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn an OSError into a DataError that names the file or folder, or ``path`` where it names none.

    Parameters
    ----------
    path : Path
        The folder or file that is read within.
    """
    try:
        yield
    except OSError as error:
        came = f"{storable(error.filename or path)!r} ({error.strerror or type(error).__name__})"
        raise DataError("a folder whose files can be read", came, CLOSED) from error
