"""Files that the user names: one that can be read, or an error that says what stands there; and JSON from one."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from ravl_explore.errors import DataError
from ravl_explore.support.files import user_path

CLOSED = "Give yourself the right to read it, or copy it elsewhere."


def existing_file(path: str | Path, kind: str) -> Path:
    """The path of a file that is there.

    Parameters
    ----------
    path : str or Path
        As the user wrote it.
    kind : str
        What is wanted, for the message, such as ``"a table"``.

    Raises
    ------
    DataError
        When nothing is there, a closed folder is on the way, or it is no file: a folder, or a pipe, on which reading
        would wait for ever.
    """
    file, mode = status_of(path, kind)
    if not stat.S_ISREG(mode):
        found = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
        raise DataError(kind, f"{str(file)!r}, which is {found}", "Give the path of a file.")
    return file


def existing_folder(path: str | Path, kind: str) -> Path:
    """The path of a folder that is there. Raises as :func:`existing_file`, for a file, too.

    Parameters
    ----------
    path : str or Path
        As the user wrote it.
    kind : str
        What is wanted, for the message.
    """
    folder, mode = status_of(path, kind)
    if not stat.S_ISDIR(mode):
        raise DataError(kind, f"{str(folder)!r}, which is no folder", "Give the path of a folder.")
    return folder


def status_of(path: str | Path, kind: str) -> tuple[Path, int]:
    """The path, and the mode by which ``stat`` tells what it is; DataError where nothing is, or a door is closed.

    Parameters
    ----------
    path : str or Path
        As the user wrote it.
    kind : str
        What is wanted, for the message.
    """
    place = user_path(path)
    try:
        return place, place.stat().st_mode
    except PermissionError as error:
        raise DataError(kind, f"{str(place)!r}, in a folder that may not be entered", CLOSED) from error
    except (OSError, ValueError) as error:  # ValueError: no path at all, such as one with a NUL
        raise DataError(kind, f"{str(place)!r}, which is not there", "Check the path.") from error


def cannot_read(file: Path, kind: str, error: OSError) -> DataError:
    """What to raise when a file that is there does not open or ends in an error of the disc.

    Parameters
    ----------
    file : Path
    kind : str
        What is wanted, for the message.
    error : OSError
        What opening or reading it raised.
    """
    remedy = CLOSED if isinstance(error, PermissionError) else "Copy it to another disc, or get it anew."
    return DataError(kind, f"{str(file)!r} ({error.strerror or error})", remedy)


def read_json(path: str | Path, kind: str) -> Any:
    """What a JSON file says.

    Parameters
    ----------
    path : str or Path
        As the user wrote it.
    kind : str
        What is wanted, for the message.

    Raises
    ------
    DataError
        As :func:`existing_file`; for a file that may not be read or is no JSON; and where an object holds a key twice,
        of which one would be lost.
    """
    file = existing_file(path, kind)
    try:
        return json.loads(file.read_bytes(), object_pairs_hook=_once)
    except OSError as error:
        raise cannot_read(file, kind, error) from error
    except (ValueError, RecursionError) as error:
        reason = str(error)[:200].rstrip(".")
        raise DataError(kind, f"{str(file)!r} ({reason})", "Check that it is whole, or write it anew.") from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)[:80]!r} twice in one object")
    return found
