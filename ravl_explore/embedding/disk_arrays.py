"""DiskArrays: embeddings on disk while they are made, memory-mapped, and gone on with after a kill.

One folder a fingerprint: two ``.npy`` arrays, filled from the front, and ``state.json``, rewritten whole after each
flush, which says how far they are filled and what the checksums of that are. What lies behind that point is written
again; what does not fit its checksum is made anew, all of it. The checksums (CRC-32) cost one reading of the arrays
when they are opened, at 1 to 2 GB/s: 5 to 10 s for 10 GB, a third of what the check of their lengths takes that
follows.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
import zlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from jaxtyping import Float32

from ravl_explore.embedding.arrays import ARRAYS, FORMAT, Gap, State
from ravl_explore.embedding.folders import cannot_write
from ravl_explore.errors import StorageError
from ravl_explore.support.files import write_whole
from ravl_explore.support.fingerprints import digest
from ravl_explore.support.unfinished import remove_unfinished

FLUSH_SECONDS = 5.0  # what a kill may cost
BLOCK_ROWS = 8192  # read at a time for a checksum

logger = logging.getLogger(__name__)


class DiskArrays:
    """:class:`~ravl_explore.embedding.arrays.Arrays` on disk, which go on where they were.

    Parameters
    ----------
    folder : Path
        Of this very work; made when it is not there.
    n_images, n_regions, dim : int
        The most rows that can come, and their length.
    model_name, data_name : str
        For the list of what is cached.

    Raises
    ------
    StorageError
        When the folder cannot be written, the disk is full, or another process fills the same folder. What is complete
        is only read, so it may lie on a disk that cannot be written.
    """

    def __init__(self, folder: Path, n_images: int, n_regions: int, dim: int, model_name: str, data_name: str) -> None:
        self.folder = folder
        self._shapes = {"image": (n_images, dim), "region": (n_regions, dim)}
        self._lock: FileLock | None = None
        found = self._found()
        if found is not None and found.complete:
            self.state = found
            return
        self._lock = self._hold()
        try:
            remove_unfinished(folder)
            found = self._found()  # by now another process may have finished it
            if found is None and (folder / "state.json").exists():
                logger.warning("The cached embeddings in %s are damaged; they are made anew", folder)
            self.state = found or State(model_name, data_name)
            if not self.state.complete:
                self._open(resume=self.state.seen > 0)
        except BaseException:
            self._lock.release()
            raise
        self._flushed = time.monotonic()

    def append(
        self,
        seen: int,
        image: Float32[np.ndarray, "n dim"],
        region: Float32[np.ndarray, "m dim"],
        skipped: list[Gap],
    ) -> None:
        """Write the next rows; ``seen`` counts the images that are behind us now."""
        state = self.state
        try:
            for name, rows, start in (("image", image, state.n_images), ("region", region, state.n_regions)):
                self._open_arrays[name][start : start + len(rows)] = rows
                state.checksums[name] = _checksum(rows, state.checksums[name])
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        state.seen, state.n_images, state.n_regions = seen, state.n_images + len(image), state.n_regions + len(region)
        state.skipped += skipped
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self, complete: bool = False) -> None:
        """Bring all to disk, the arrays before the state that tells of them."""
        for array in self._open_arrays.values():
            array.flush()
        self.state.complete = complete
        stored = asdict(self.state)
        write_whole(self.folder / "state.json", json.dumps(stored | {"digest": digest([stored])}).encode())
        self._flushed = time.monotonic()

    def finish(self) -> None:
        """All is there."""
        if not self.state.complete:
            self.flush(complete=True)

    def close(self) -> None:
        """Keep what is done and let others in; safe to call twice."""
        if self._lock is not None and self._lock.is_locked:
            if not self.state.complete:
                self.flush()
            self._lock.release()

    def read(self) -> tuple[Float32[np.ndarray, "n_images dim"], Float32[np.ndarray, "n_regions dim"]]:
        """The filled part of both arrays, memory-mapped and read-only."""
        image, region = (_mapped(self.folder, name) for name in ARRAYS)
        return image[: self.state.n_images], region[: self.state.n_regions]

    def _hold(self) -> FileLock:
        """Keep other processes out."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(str(self.folder / ".lock"))
            lock.acquire(timeout=0)
        except Timeout as error:
            raise StorageError(
                "embeddings that nobody else is making",
                f"another process at work in {str(self.folder)!r}",
                "Wait for it.",
            ) from error
        except (OSError, ValueError, NotImplementedError) as error:  # the last where a disk knows no locks
            raise cannot_write(self.folder, error) from error
        return lock

    def _found(self) -> State | None:
        """What the folder holds, if it is whole: state and arrays of this very work, as they were written."""
        state = read_state(self.folder)
        if state is None or (state.complete and state.seen != self._shapes["image"][0]):
            return None
        for name, filled in (("image", state.n_images), ("region", state.n_regions)):
            try:
                array = _mapped(self.folder, name)
                if array.shape != self._shapes[name] or array.dtype != np.float32 or filled > len(array):
                    return None
                if _checksum(array[:filled]) != state.checksums[name]:
                    return None
            except Exception:  # a damaged array can raise nearly anything; it is then made anew
                return None
        return state

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
            for name in () if resume else ARRAYS:  # who has an older array open keeps it
                (self.folder / f"{name}.npy").unlink(missing_ok=True)
            self._open_arrays = {
                name: np.lib.format.open_memmap(
                    self.folder / f"{name}.npy", mode, dtype=None if resume else np.float32, shape=shape
                )
                for name, shape in self._shapes.items()
            }
            if not resume:
                self._reserve()
        except OSError as error:
            raise cannot_write(self.folder, error) from error

    def _reserve(self) -> None:
        """Take the disk space now: writing to a mapped file on a full disk would end the process, not raise."""
        if not hasattr(os, "posix_fallocate"):
            return
        for name in self._shapes:
            path = self.folder / f"{name}.npy"
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def read_state(folder: Path) -> State | None:
    """What ``state.json`` says, if every word of it is as it was written."""
    try:
        stored = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        told = stored.pop("digest")
        state = State(**stored | {"skipped": [tuple(gap) for gap in stored["skipped"]]})
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return state if state.format == FORMAT and told == digest([stored]) else None


def _mapped(folder: Path, name: str) -> np.ndarray:
    return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)


def _checksum(rows: np.ndarray, before: int = 0) -> int:
    """CRC-32 of float32 rows, after that of those before them."""
    for start in range(0, len(rows), BLOCK_ROWS):
        before = zlib.crc32(np.ascontiguousarray(rows[start : start + BLOCK_ROWS], np.float32).data, before)
    return before
