"""Identity: whether a dataset's images are those that something was made from, or others."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from ravl_explore.data.base import where
from ravl_explore.data.subset import Subset
from ravl_explore.errors import InputError
from ravl_explore.support.fingerprints import digest

PIECE = 4096  # bytes from a file's middle: its head may be the same in every file of a camera
READERS = 8
Difference = Literal["number", "classes", "labels", "images"]


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

    def differs(self, other: Any) -> bool:
        """Whether a dataset, or another identity, is known to be of other images; copied files are the same ones."""
        known = isinstance(other, Identity)
        fingerprint = other.fingerprint if known else _fingerprint(other)
        if not self.fingerprint or fingerprint in ("", self.fingerprint):
            return False
        return not self.outline or self.outline != (other.outline if known else outline(other))


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


def difference(
    other: Any, n_images: int, identity: Identity, *, class_names: Sequence[str] = (), labels: Any = None
) -> Difference | None:
    """What tells images from those that something was made from; None where nothing does.

    That they are as many says little, so classes and labels count, too, where these are known, and the identity.

    Parameters
    ----------
    other : dataset, or what was made from one and knows its labels, class_names and identity
        Whose images are in question.
    n_images, identity, class_names, labels : int, Identity, sequence of str, int array (n_images,)
        What is known of the images; an empty identity, no classes and no labels say nothing.

    Returns
    -------
    {"number", "classes", "labels", "images"} or None
        The first that differs.
    """
    own = getattr(other, "identity", None)
    made = isinstance(own, Identity)  # a dataset of one's own may mean something else by it
    if len(other.labels if made else other) != n_images:
        return "number"
    if class_names and tuple(other.class_names) != tuple(class_names):
        return "classes"
    if labels is not None and not np.array_equal(other.labels, labels):
        return "labels"
    return "images" if identity.differs(own if made else other) else None


def check_belongs(
    what: str, data: Any, n_images: int, identity: Identity, *, class_names: Sequence[str] = (), labels: Any = None
) -> None:
    """Raise InputError unless ``data`` are the images that ``what`` (an assignment, an embedding) was made from.

    Told by :func:`difference`.
    """
    told = difference(data, n_images, identity, class_names=class_names, labels=labels)
    if told is None:
        return
    expected, came = {
        "number": (f"an {what} of these {len(data):,} images", f"one of {n_images:,}"),
        "classes": (f"the {what}'s classes {tuple(class_names)}", f"other images, of {data.class_names}"),
        "labels": (f"the {what}'s labels", f"others, from {data.name!r}"),
        "images": (f"the {what}'s images", f"other images, in {data.name!r}"),
    }[told]
    raise InputError(expected, came, "Give the data it was made from, with the files as they were.")
