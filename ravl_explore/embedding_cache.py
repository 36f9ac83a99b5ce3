"""Embeddings on disk while they are made: memory-mapped, resumable after a kill, listed and cleared by hand.

One folder a fingerprint, in ``$RAVL_CACHE/embeddings``: two ``.npy`` arrays, filled from the front, and ``state.json``,
rewritten whole after each flush, which says how far they are filled. What lies behind that point is written again.
Boxes that took long to find lie beside them, in ``$RAVL_CACHE/boxes``.
"""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from jaxtyping import Float32

from ravl_explore.errors import InputError, StorageError
from ravl_explore.files import cache_root, write_whole

FORMAT = "embeddings 1"
ARRAYS = ("image", "region")
FLUSH_SECONDS = 5.0  # what a kill may cost

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CachedEmbeddings:
    """One entry of the cache.

    Attributes
    ----------
    folder : where it lies
    model_name, data_name : what was embedded with what
    n_images, n_regions : how many are done
    bytes : disk space
    complete : whether all are done
    modified : when it was last written
    """

    folder: Path
    model_name: str
    data_name: str
    n_images: int
    n_regions: int
    bytes: int
    complete: bool
    modified: datetime


@dataclass
class State:
    """How far the arrays of a folder are filled."""

    model_name: str
    data_name: str
    seen: int = 0  # images of the dataset that were read or skipped
    n_images: int = 0
    n_regions: int = 0
    skipped: list[list[Any]] = field(default_factory=list)  # [place in the dataset, where, reason]
    complete: bool = False
    format: str = FORMAT


class DiskArrays:
    """Two arrays that are filled from the front, on disk.

    Parameters
    ----------
    folder : of this very work; made when it is not there
    n_images, n_regions, dim : the most that can come
    model_name, data_name : for the list of what is cached

    Raises
    ------
    StorageError
        When the folder cannot be written, the disk is full, or another process fills the same folder.
    """

    def __init__(self, folder: Path, n_images: int, n_regions: int, dim: int, model_name: str, data_name: str) -> None:
        self.folder = folder
        self._shapes = {"image": (n_images, dim), "region": (n_regions, dim)}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(str(folder / ".lock"))
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise StorageError(
                "embeddings that nobody else is making", f"another process at work in {str(folder)!r}", "Wait for it."
            ) from error
        except OSError as error:
            raise _cannot_write(folder, error) from error
        try:
            found = _read_state(folder)
            self.state = found if found is not None and self._arrays_fit() else State(model_name, data_name)
            if not self.state.complete:
                self._open(resume=self.state.seen > 0)
        except BaseException:
            self._lock.release()
            raise
        self._flushed = time.monotonic()

    def append(self, seen: int, image: np.ndarray, region: np.ndarray, skipped: list[list[Any]]) -> None:
        """Write the next rows; ``seen`` counts the images of the dataset that are behind us now."""
        state = self.state
        try:
            for name, rows, start in (("image", image, state.n_images), ("region", region, state.n_regions)):
                self._open_arrays[name][start : start + len(rows)] = rows
        except OSError as error:
            raise _cannot_write(self.folder, error) from error
        state.seen, state.n_images, state.n_regions = seen, state.n_images + len(image), state.n_regions + len(region)
        state.skipped += skipped
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self, complete: bool = False) -> None:
        """Bring all to disk, the arrays before the state that tells of them."""
        for array in self._open_arrays.values():
            array.flush()
        self.state.complete = complete
        write_whole(self.folder / "state.json", json.dumps(asdict(self.state)).encode())
        self._flushed = time.monotonic()

    def finish(self) -> None:
        """All is there."""
        if not self.state.complete:
            self.flush(complete=True)

    def close(self) -> None:
        """Keep what is done and let others in; safe to call twice."""
        if self._lock.is_locked:
            if not self.state.complete:
                self.flush()
            self._lock.release()

    def read(self) -> tuple[Float32[np.ndarray, "n_images dim"], Float32[np.ndarray, "n_regions dim"]]:
        """The filled part of both arrays, memory-mapped and read-only."""
        image, region = (np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS)
        return image[: self.state.n_images], region[: self.state.n_regions]

    def _open(self, resume: bool) -> None:
        mode = "r+" if resume else "w+"
        need = sum(4 * rows * dim for rows, dim in self._shapes.values())
        free = shutil.disk_usage(self.folder).free
        if not resume and need > free:
            raise StorageError(
                f"{need / 1e9:.1f} GB of free disk for the embeddings",
                f"{free / 1e9:.1f} GB at {str(self.folder)!r}",
                "Clear the cache (ravl-explore cache clear), or set RAVL_CACHE to another disk.",
            )
        try:
            self._open_arrays = {
                name: np.lib.format.open_memmap(
                    self.folder / f"{name}.npy", mode, dtype=None if resume else np.float32, shape=shape
                )
                for name, shape in self._shapes.items()
            }
            if not resume:
                self._reserve()
        except OSError as error:
            raise _cannot_write(self.folder, error) from error

    def _reserve(self) -> None:
        """Take the disk space now: writing to a mapped file on a full disk would end the process, not raise."""
        if not hasattr(os, "posix_fallocate"):
            return
        for name in self._shapes:
            path = self.folder / f"{name}.npy"
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)

    def _arrays_fit(self) -> bool:
        """Whether both files are whole and of the right shape; one that was cut short counts as not there."""
        for name, shape in self._shapes.items():
            try:
                array = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError):
                array = None
            if array is None or array.shape != shape or array.dtype != np.float32:
                logger.warning("The cached embeddings in %s are damaged; they are made anew", self.folder)
                return False
        return True


def embeddings_folder(root: Path | None = None) -> Path:
    """Where cached embeddings lie: ``$RAVL_CACHE/embeddings`` unless another root is given."""
    return (root or cache_root()) / "embeddings"


def read_boxes(name: str, root: Path | None = None) -> tuple[np.ndarray, np.ndarray] | None:
    """Boxes and image indices kept under a fingerprint; None where there are none, or they cannot be read."""
    try:
        content = io.BytesIO((_boxes_folder(root) / f"{name}.npz").read_bytes())
        with np.load(content, allow_pickle=False) as stored:
            return stored["boxes"], stored["image_index"]
    except Exception:  # a damaged zip can raise nearly anything; the boxes are then looked for anew
        return None


def write_boxes(name: str, boxes: np.ndarray, image_index: np.ndarray, root: Path | None = None) -> None:
    """Keep boxes for :func:`read_boxes`."""
    content = io.BytesIO()
    np.savez(content, boxes=boxes, image_index=image_index)
    folder = _boxes_folder(root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    write_whole(folder / f"{name}.npz", content.getvalue())


def list_cached(root: Path | None = None) -> list[CachedEmbeddings]:
    """What is cached, newest first; folders of another version or damaged ones have empty names."""
    entries = []
    for folder in embeddings_folder(root).glob("*/"):
        state = _read_state(folder)
        files = [each for each in folder.iterdir() if each.is_file()]
        entries.append(
            CachedEmbeddings(
                folder,
                state.model_name if state else "",
                state.data_name if state else "",
                state.n_images if state else 0,
                state.n_regions if state else 0,
                sum(each.stat().st_size for each in files),
                bool(state and state.complete),
                datetime.fromtimestamp(max((each.stat().st_mtime for each in files), default=folder.stat().st_mtime)),
            )
        )
    return sorted(entries, key=lambda each: each.modified, reverse=True)


def clear_cached(folder: Path | str | None = None, root: Path | None = None) -> int:
    """Delete one entry, or all with the boxes of detectors; returns the bytes freed.

    Embeddings that are open stay usable where the system allows.

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
        entries = [each for each in entries if each.folder == wanted]
        if not entries:
            raise InputError("an entry of the cache", repr(str(folder)), "See 'ravl-explore cache list'.")
    freed = 0
    for boxes in _boxes_folder(root).glob("*.npz") if folder is None else ():
        try:
            size = boxes.stat().st_size
            boxes.unlink()
        except OSError as error:
            raise StorageError("to delete kept boxes", f"{error}", "Delete the file by hand.") from error
        freed += size
    for entry in entries:
        try:
            with FileLock(str(entry.folder / ".lock"), timeout=0):
                for each in entry.folder.iterdir():
                    if each.name != ".lock":
                        each.unlink()
            shutil.rmtree(entry.folder)
        except Timeout as error:
            raise StorageError(
                "a cache entry at rest", f"{str(entry.folder)!r}, which is being written", "Stop that work first."
            ) from error
        except OSError as error:
            raise StorageError("to delete a cache entry", f"{error}", "Delete the folder by hand.") from error
        freed += entry.bytes
    return freed


def _boxes_folder(root: Path | None) -> Path:
    return (root or cache_root()) / "boxes"


def _read_state(folder: Path) -> State | None:
    try:
        stored = json.loads((folder / "state.json").read_text())
        state = State(**stored)
    except (OSError, ValueError, TypeError):
        return None
    return state if state.format == FORMAT else None


def _cannot_write(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        "room and permission to write embeddings",
        f"{error.strerror or error} at {str(folder)!r}",
        "Free space, or set RAVL_CACHE to another folder, and run again: what is done is kept.",
    )
