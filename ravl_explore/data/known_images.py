"""Identity: whether a dataset's images are those that something was made from, or others."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ravl_explore.data.base import where
from ravl_explore.data.subset import Subset
from ravl_explore.errors import InputError
from ravl_explore.support.fingerprints import digest

PIECE = 4096  # bytes from a file's middle: its head may be the same in every file of a camera
READERS = 8


class Identity(NamedTuple):
    """What is kept of a dataset, to know its images again. Empty where it is not known: of what was made by hand.

    Attributes
    ----------
    fingerprint : the dataset's own; that of files has their times of change in it
    outline : of files, what a copy of them keeps: the name of each, its length, and a piece of its middle
    """

    fingerprint: str = ""
    outline: str = ""

    @classmethod
    def of(cls, data: Any) -> Identity:
        """Of a dataset as it is now; of one without a ``fingerprint()`` nothing is known."""
        fingerprint = _fingerprint(data)
        return cls(fingerprint, outline(data)) if fingerprint else cls()

    def differs(self, data: Any) -> bool:
        """Whether ``data`` are known to be other images; copied files are the same ones."""
        if not self.fingerprint or _fingerprint(data) in ("", self.fingerprint):
            return False
        return not self.outline or self.outline != outline(data)

    def unlike(self, other: Identity) -> bool:
        """Whether two things are known to be of other images."""
        if not self.fingerprint or not other.fingerprint or self.fingerprint == other.fingerprint:
            return False
        return not self.outline or self.outline != other.outline


UNKNOWN = Identity()


def _fingerprint(data: Any) -> str:
    """The dataset's own; empty where it has none, or is a part of one that has none."""
    whole = data
    while isinstance(whole, Subset):
        whole = whole.data
    return str(data.fingerprint()) if hasattr(whole, "fingerprint") else ""


def outline(data: Any) -> str:
    """One name for the files of the images, in order, wherever they lie; empty where images are no files."""
    if not len(data) or not Path(where(data, 0)).is_file():
        return ""
    with ThreadPoolExecutor(READERS) as pool:
        return digest(["outline", *pool.map(lambda i: _piece(where(data, i)), range(len(data)))])


def _piece(path: str) -> bytes:
    file, length, piece = Path(path), -1, b""
    try:
        if file.is_file():  # no pipe, which would be waited for
            length = file.stat().st_size
            with file.open("rb") as opened:
                opened.seek(max(0, length - PIECE) // 2)
                piece = opened.read(PIECE)
    except OSError:
        pass  # told by its length, as one that is not there
    return os.fsencode(f"{file.name} {length} ") + piece


def check_belongs(
    what: str, data: Any, n_images: int, identity: Identity, *, class_names: Sequence[str] = (), labels: Any = None
) -> None:
    """Raise InputError unless ``data`` are the images that ``what`` (an assignment, an embedding) was made from.

    Told by number, classes and labels, where these are known, and by identity: that they are as many says little.
    """
    remedy = "Give the data it was made from, with the files as they were."
    if len(data) != n_images:
        raise InputError(f"an {what} of these {len(data):,} images", f"one of {n_images:,}", remedy)
    if class_names and tuple(data.class_names) != tuple(class_names):
        raise InputError(f"the {what}'s classes {tuple(class_names)}", f"other images, of {data.class_names}", remedy)
    if labels is not None and not np.array_equal(data.labels, labels):
        raise InputError(f"the {what}'s labels", f"others, from {data.name!r}", remedy)
    if identity.differs(data):
        raise InputError(f"the {what}'s images", f"other images, in {data.name!r}", remedy)
