"""Identity: whether a dataset's images are those that something was made from, or others."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, cast

import numpy as np
from jaxtyping import Int

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.optional_members import fingerprint_of, where
from ravl_explore.errors import InputError
from ravl_explore.support.fingerprints import digest

PIECE = 4096  # bytes from a file's middle: its head may be the same in every file of a camera
READERS = 8
Difference = Literal["number", "classes", "labels", "images"]


class Identity(NamedTuple):
    """What is kept of a dataset, to know its images again. Empty where it is not known: of what was made by hand.

    Attributes
    ----------
    fingerprint : str
        The dataset's own; that of files has their times of change in it.
    outline : str
        Of files, what a copy of them keeps: the name of each, its length, and a piece of its middle.
    """

    fingerprint: str = ""
    outline: str = ""

    @classmethod
    def of(cls, data: ImageTextDataset) -> Identity:
        """Of a dataset as it is now; of one without a ``fingerprint()`` nothing is known.

        Parameters
        ----------
        data : ImageTextDataset
        """
        fingerprint = fingerprint_of(data)
        return cls(fingerprint, outline(data)) if fingerprint else cls()

    def differs(self, other: ImageTextDataset | Identity) -> bool:
        """Whether a dataset, or another identity, is known to be of other images; copied files are the same ones.

        Parameters
        ----------
        other : ImageTextDataset or Identity
        """
        fingerprint = other.fingerprint if isinstance(other, Identity) else fingerprint_of(other)
        if not self.fingerprint or fingerprint in ("", self.fingerprint):
            return False
        return not self.outline or self.outline != (other.outline if isinstance(other, Identity) else outline(other))


UNKNOWN = Identity()


class MadeOfImages(Protocol):
    """What was made from a dataset, such as embeddings, and knows which images these were.

    Attributes
    ----------
    labels : Int[np.ndarray, " n_images"]
        Indices into ``class_names``.
    class_names : tuple of str
        The dataset's.
    identity : Identity
        The images'.
    """

    @property
    def labels(self) -> Int[np.ndarray, " n_images"]:
        """Of the dataset's images."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """The dataset's."""
        ...

    @property
    def identity(self) -> Identity:
        """The images'."""
        ...


def outline(data: ImageTextDataset) -> str:
    """One name for the files of the images, in order, wherever they lie; empty where images are no files.

    Parameters
    ----------
    data : ImageTextDataset
    """
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
    other: ImageTextDataset | MadeOfImages,
    n_images: int,
    identity: Identity,
    *,
    class_names: Sequence[str] = (),
    labels: Int[np.ndarray, " n_images"] | None = None,
) -> Difference | None:
    """What tells images from those that something was made from; None where nothing does.

    That they are as many says little, so classes and labels count, too, where these are known, and the identity.

    Parameters
    ----------
    other : ImageTextDataset or MadeOfImages
        Whose images are in question.
    n_images : int
        How many the images are.
    identity : Identity
        What is known of the images; an empty one says nothing.
    class_names : sequence of str
        Theirs; none say nothing.
    labels : Int[np.ndarray, " n_images"] or None
        Theirs; None says nothing.

    Returns
    -------
    {"number", "classes", "labels", "images"} or None
        The first that differs.
    """
    own = getattr(other, "identity", None)
    if isinstance(own, Identity):  # a dataset of one's own may mean something else by it
        n_others, images = len(other.labels), own
    else:
        images = cast(ImageTextDataset, other)
        n_others = len(images)
    if n_others != n_images:
        return "number"
    if class_names and tuple(other.class_names) != tuple(class_names):
        return "classes"
    if labels is not None and not np.array_equal(other.labels, labels):
        return "labels"
    return "images" if identity.differs(images) else None


def check_belongs(
    what: str,
    data: ImageTextDataset,
    n_images: int,
    identity: Identity,
    *,
    class_names: Sequence[str] = (),
    labels: Int[np.ndarray, " n_images"] | None = None,
) -> None:
    """Raise InputError unless ``data`` are the images that something was made from, as :func:`difference` tells.

    Parameters
    ----------
    what : str
        What was made, for the message: an assignment, an embedding.
    data : ImageTextDataset
        Whose images are in question.
    n_images : int
        How many the images are.
    identity : Identity
        What is known of the images; an empty one says nothing.
    class_names : sequence of str
        Theirs; none say nothing.
    labels : Int[np.ndarray, " n_images"] or None
        Theirs; None says nothing.
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
