"""The cache of embeddings, listed and cleared by hand: ``$RAVL_CACHE/embeddings``, with the boxes beside it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ravl_explore.embedding.arrays import State
from ravl_explore.embedding.disk_arrays import read_state
from ravl_explore.embedding.folders import boxes_folder, embeddings_folder
from ravl_explore.errors import InputError, StorageError
from ravl_explore.support.unfinished import remove_unfinished


@dataclass(frozen=True)
class CachedEmbeddings:
    """One entry of the cache.

    Attributes
    ----------
    folder : Path
        Where it lies.
    model_name, data_name : str
        What was embedded with what; empty for a damaged one, or one of another version.
    n_images, n_regions : int
        How many are done.
    bytes : int
        Disk space.
    complete : bool
        Whether all are done.
    modified : datetime
        When it was last written.
    """

    folder: Path
    model_name: str
    data_name: str
    n_images: int
    n_regions: int
    bytes: int
    complete: bool
    modified: datetime


def list_cached(root: Path | None = None) -> list[CachedEmbeddings]:
    """What is cached, newest first; folders of another version or damaged ones have empty names.

    Parameters
    ----------
    root : Path or None
        ``$RAVL_CACHE`` unless given.

    Raises
    ------
    StorageError
        When the folder of the cache, or one in it, is closed.
    """
    top = embeddings_folder(root)
    try:
        entries = [_entry(folder) for folder in top.iterdir() if folder.is_dir()] if top.exists() else []
    except OSError as error:
        came = f"{error.strerror or error} at {error.filename or str(top)!r}"
        raise StorageError("a cache that can be read", came, "Open it, or set RAVL_CACHE to another folder.") from error
    return sorted(entries, key=lambda entry: entry.modified, reverse=True)


def clear_cached(folder: Path | str | None = None, root: Path | None = None) -> int:
    """Delete one entry, or all with the boxes of detectors; returns the bytes freed.

    Embeddings that are open stay usable where the system allows.

    Parameters
    ----------
    folder : Path or str or None
        The entry's folder, or its name; None clears all.
    root : Path or None
        ``$RAVL_CACHE`` unless given.

    Raises
    ------
    InputError
        When ``folder`` is no entry of the cache.
    StorageError
        When an entry is being written by another process, or cannot be deleted.
    """
    entries = list_cached(root)
    if folder is not None:
        wanted = embeddings_folder(root) / Path(folder).name
        entries = [entry for entry in entries if entry.folder == wanted]
        if not entries:
            raise InputError("an entry of the cache", repr(str(folder)), "See 'ravl-explore cache list'.")
    freed = _clear_boxes(boxes_folder(root)) if folder is None else 0
    for entry in entries:
        _clear(entry.folder)
        freed += entry.bytes
    return freed


def _entry(folder: Path) -> CachedEmbeddings:
    n_bytes, modified = 0, folder.stat().st_mtime
    for file in folder.iterdir():
        try:
            stat = file.stat()
        except FileNotFoundError:  # an unfinished one that has got its name meanwhile
            continue
        n_bytes += stat.st_size
        modified = max(modified, stat.st_mtime)
    state = read_state(folder) or State()
    return CachedEmbeddings(
        folder,
        state.model_name,
        state.data_name,
        state.n_images,
        state.n_regions,
        n_bytes,
        state.complete,
        datetime.fromtimestamp(modified),
    )


def _clear_boxes(folder: Path) -> int:
    remove_unfinished(folder)
    freed = 0
    for file in folder.glob("*.npz"):
        try:
            size = file.stat().st_size
            file.unlink()
        except OSError as error:
            raise StorageError("to delete kept boxes", f"{error}", "Delete the file by hand.") from error
        freed += size
    return freed


def _clear(folder: Path) -> None:
    try:
        with FileLock(str(folder / ".lock"), timeout=0):
            for file in folder.iterdir():
                if file.name != ".lock":
                    file.unlink()
        shutil.rmtree(folder)
    except Timeout as error:
        raise StorageError(
            "a cache entry at rest", f"{str(folder)!r}, which is being written", "Stop that work first."
        ) from error
    except OSError as error:
        raise StorageError("to delete a cache entry", f"{error}", "Delete the folder by hand.") from error
