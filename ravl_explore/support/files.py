"""Writing files so that either all of a file is there or none of it, and the folder where caches go."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from ravl_explore.errors import InputError, StorageError
from ravl_explore.support import checks
from ravl_explore.support.unfinished import UNFINISHED, hidden_file, hidden_folder, remove_unfinished


def user_path(typed: str | os.PathLike[str]) -> Path:
    """A path as a person types it, with ``~`` for the home folder, where no shell has seen it before.

    Parameters
    ----------
    typed : str or path-like
        What was typed.

    Raises
    ------
    InputError
        For what is no path at all.

    Examples
    --------
    >>> user_path("~/cache") == Path.home() / "cache"
    True
    """
    if not isinstance(typed, (str, os.PathLike)):
        raise InputError("a path", checks.came(typed), "Give the name of a file or folder, as text.")
    try:
        return Path(typed).expanduser()
    except RuntimeError:  # of a user who is not here: then, as in a shell, the name is meant as it is
        return Path(typed)


def cache_root() -> Path:
    """``$RAVL_CACHE``, or ``~/.cache/ravl_explore``; it need not exist yet."""
    return user_path(os.environ.get("RAVL_CACHE") or "~/.cache/ravl_explore")


def write_whole(path: Path, content: bytes) -> Path:
    """Write ``content`` to a hidden neighbour first, then rename it; an older file stays until then.

    Parameters
    ----------
    path : Path
        Of the file, in a folder that is there.
    content : bytes
        All of it.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    StorageError
        When the folder is not there, or the disk is full or read-only; nothing half-written is left.
    """
    try:
        if not path.parent.is_dir():
            raise StorageError("an existing folder", f"{str(path.parent)!r}", "Create it, or check the path.")
        remove_unfinished(path.parent)
        with hidden_file(path.parent) as (neighbour, file):
            file.write(content)
            _finish(file, neighbour)
            if os.name == "nt":
                file.close()  # Windows does not rename what is open
            neighbour.replace(path)
    except StorageError:
        raise
    except (OSError, ValueError) as error:  # the latter for a name with a null
        raise _no_room(len(content), path, error, "nothing was changed") from error
    return path


def write_together(folder: Path, contents: Mapping[str, bytes], outdated: tuple[str, ...] = ()) -> tuple[Path, ...]:
    """Write the files of one result into a folder, which is made.

    All are written before the first is put in place. A folder that holds nothing else is then replaced in one step,
    where the system can do that (Linux): whatever happens, its files are all old or all new. Elsewhere one file is
    renamed after the other.

    Parameters
    ----------
    folder : Path
        Of the result.
    contents : mapping of str to bytes
        Each file's content by its name.
    outdated : tuple of str
        Names of files of an earlier result, which are removed where they are there.

    Returns
    -------
    tuple of Path
        The files, in the order of ``contents``.

    Raises
    ------
    StorageError
        When the folder cannot be written or the disk is full; it says what was changed, which is nothing as long as
        not all was written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise StorageError(
            f"a folder that can be written to at {str(folder)!r}", why, "Name another folder."
        ) from error
    n_bytes, changed = sum(map(len, contents.values())), list[str]()
    try:
        in_one_step = _holds_only(folder, {*contents, *outdated}) and not _is_held(folder)
        beside = folder.parent if in_one_step else folder
        for place in {folder, beside}:
            remove_unfinished(place)
        for name in contents:
            if (folder / name).is_dir():
                raise IsADirectoryError(None, f"{name} is a folder there")
        with hidden_folder(beside) as hidden:
            if in_one_step:
                shutil.copystat(folder, hidden)
                in_one_step = _same_group(folder, hidden)
            for name, content in contents.items():
                with (hidden / name).open("wb") as file:
                    file.write(content)
                    _finish(file, hidden / name)
            if in_one_step and _exchange(hidden, folder):
                for each in list(hidden.iterdir()):  # what somebody else put there meanwhile
                    if each.name not in {*contents, *outdated} and not each.name.startswith(UNFINISHED):
                        each.rename(folder / each.name)
            else:
                _move(hidden, folder, contents, outdated, changed)
    except OSError as error:
        done = f"changed already: {', '.join(changed)}" if changed else "nothing was changed"
        raise _no_room(n_bytes, folder, error, done) from error
    return tuple(folder / name for name in contents)


def _finish(file: BinaryIO, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    path.chmod(0o644)


def _no_room(n_bytes: int, path: Path, error: Exception, done: str) -> StorageError:
    return StorageError(
        f"room and permission to write {n_bytes / 1e6:.1f} MB to {str(path)!r}",
        f"{getattr(error, 'strerror', None) or error}",
        f"Free space or choose another folder, then save again; {done}.",
    )


def _move(
    hidden: Path, folder: Path, contents: Mapping[str, bytes], outdated: tuple[str, ...], changed: list[str]
) -> None:
    """Put files in place one by one; ``changed`` gets each one's name. What is outdated goes before what is new."""
    for name in outdated:
        if os.path.lexists(folder / name):
            (folder / name).unlink()
            changed.append(name)
    for name in contents:
        (hidden / name).replace(folder / name)
        changed.append(name)


def _holds_only(folder: Path, names: set[str]) -> bool:
    """Whether a folder has no other entries than files of these names, and unfinished ones."""
    entries = [each for each in os.scandir(folder) if not each.name.startswith(UNFINISHED)]
    return all(each.name in names and each.is_file(follow_symlinks=False) for each in entries)


def _is_held(folder: Path) -> bool:
    """Whether something hangs on this very folder, not on its name, or it cannot be put in another's place."""
    try:
        here, stat = Path.cwd().resolve(), folder.stat()
    except OSError:
        return True
    mine = not hasattr(os, "geteuid") or stat.st_uid == os.geteuid()
    return (
        folder.is_symlink()
        or folder.is_mount()
        or folder.resolve() in (here, *here.parents)
        or not mine
        or not os.access(folder.parent, os.W_OK | os.X_OK)
    )


def _same_group(folder: Path, other: Path) -> bool:
    """Give another folder the group of one, as a team that shares it needs; whether that is allowed."""
    try:
        group, mode = folder.stat().st_gid, folder.stat().st_mode
        if hasattr(os, "chown") and other.stat().st_gid != group:
            os.chown(other, -1, group)
            other.chmod(mode & 0o7777)  # a change of group takes some rights away
    except OSError:
        return False
    return True


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders take each other's place in one step; False where the system or the disk cannot."""
    import ctypes

    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE
    return renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0
