"""Writing files so that either all of a file is there or none of it, and the folder where caches go.

What is not finished has a hidden name of its own and is locked by its writer, so that the next who writes into the same
folder can tell what a killed process left, and takes it away.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravl_explore.errors import InputError, StorageError
from ravl_explore.support import checks
from ravl_explore.support.sealing import sealed
from ravl_explore.support.text import storable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

if TYPE_CHECKING:
    import numpy as np

FORMAT = "ravl_explore 1"
UNFINISHED = ".ravl-unfinished-"  # how the names of files and folders begin that nobody should read
ABANDONED_SECONDS = 86_400.0  # where a disk or system has no such locks: what is so old was left by a killed process


def user_path(typed: str | os.PathLike[str]) -> Path:
    """A path as a person types it, with ``~`` for the home folder, where no shell has seen it before.

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

    Raises
    ------
    StorageError
        When the folder is not there, or the disk is full or read-only; nothing half-written is left.
    """
    try:
        if not path.parent.is_dir():
            raise StorageError("an existing folder", f"{str(path.parent)!r}", "Create it, or check the path.")
        remove_unfinished(path.parent)
        with _hidden_file(path.parent) as (neighbour, file):
            file.write(content)
            _finish(file, neighbour)
            if fcntl is None:
                file.close()  # Windows does not rename what is open
            neighbour.replace(path)
    except StorageError:
        raise
    except (OSError, ValueError) as error:  # the latter for a name with a null
        raise _no_room(len(content), path, error, "nothing was changed") from error
    return path


def write_together(folder: Path, contents: Mapping[str, bytes], outdated: tuple[str, ...] = ()) -> tuple[Path, ...]:
    """Write files of one result, by name, into a folder, which is made; ``outdated`` ones there are removed.

    All are written before the first is put in place. A folder that holds nothing else is then replaced in one step,
    where the system can do that (Linux): whatever happens, its files are all old or all new. Elsewhere one file is
    renamed after the other.

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
        with _hidden_folder(beside) as hidden:
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


def remove_unfinished(folder: Path) -> None:
    """Take away what killed processes left in a folder; what somebody is still writing stays."""
    try:
        found = [Path(each.path) for each in os.scandir(folder) if each.name.startswith(UNFINISHED)]
    except OSError:  # not there, or closed: who writes there is told
        return
    for path in found:
        with suppress(OSError):  # gone meanwhile, or another user's
            _remove_abandoned(path)


def result_bytes(
    kind: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], also: Mapping[str, str] | None = None
) -> bytes:
    """A result as one safetensors file: arrays, and in the header one JSON text that says what they are.

    Equal results give equal bytes; a checksum tells when they were changed.

    Parameters
    ----------
    kind : "discovery", "embeddings", "mitigation", ...
    also : what else stands in the header, such as what lets the arrays open as a checkpoint
    """
    from safetensors.numpy import save

    texts = {storable(name): storable(text) for name, text in (also or {}).items()}
    return sealed(save(dict(arrays), {**texts, "format": FORMAT, "kind": kind, "meta": json.dumps(meta)}))


def _finish(file: Any, path: Path) -> None:
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


@contextmanager
def _hidden_file(folder: Path) -> Iterator[tuple[Path, Any]]:
    """A new file of a hidden name, locked; gone at the end, unless it was renamed."""
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
def _hidden_folder(folder: Path) -> Iterator[Path]:
    """A new folder of a hidden name, locked; what has that name in the end is removed."""
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
