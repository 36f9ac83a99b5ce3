"""What a dataset may offer beyond ImageTextDataset: a function for each such member, with what holds without it.

A member is asked for here and nowhere else, so that it is decided once what an image is called, or what a dataset
without a ``fingerprint()`` counts as.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.views import whole
from ravl_explore.support.fingerprints import digest
from ravl_explore.support.progress import Progress


def place_of(data: ImageTextDataset | None, index: int) -> str:
    """Where a dataset says that an image is, such as a path; empty where it does not say.

    Parameters
    ----------
    data : ImageTextDataset or None
        Its ``where(index)`` is asked; None says nothing.
    index : int
        The image's number in ``data``.
    """
    told = _method(data, "where")
    return "" if told is None else str(told(index))


def where(data: ImageTextDataset, index: int) -> str:
    """What to call one image in messages: its file, or its number.

    Parameters
    ----------
    data : ImageTextDataset
    index : int
        The image's number in ``data``.

    Examples
    --------
    >>> from ravl_explore.data import Demo
    >>> where(Demo("val"), 3)
    'image 3'
    """
    return place_of(data, index) or f"image {index}"


def root_of(data: ImageTextDataset | None) -> Path | None:
    """The folder that a dataset's files lie in, its ``root``; a view's is that of the whole.

    Parameters
    ----------
    data : ImageTextDataset or None
    """
    root = None if data is None else getattr(whole(data), "root", None)
    return Path(root) if isinstance(root, str | PathLike) else None


def notes_of(data: ImageTextDataset) -> tuple[str, ...]:
    """What was left out while a dataset was read, as sentences, its ``notes``; none where it keeps none.

    Parameters
    ----------
    data : ImageTextDataset
    """
    return tuple(getattr(data, "notes", ()))


def unreadable_headers(data: ImageTextDataset, progress: Progress | None = None) -> dict[int, str]:
    """Index -> reason of the images whose header cannot be read, by the dataset's ``unreadable()``.

    Parameters
    ----------
    data : ImageTextDataset
        One that cannot tell before an image is read gives an empty answer.
    progress : Progress or None
        Told the headers that were read.
    """
    scan = _method(data, "unreadable")
    return {} if scan is None else dict(scan(progress))


def sizes_of(data: ImageTextDataset, index: Int[np.ndarray, " n"]) -> Int[np.ndarray, "n 2"]:
    """Width and height in pixels of some images, by ``sizes_of()``; else taken from those of all.

    Parameters
    ----------
    data : ImageTextDataset
        One with ``sizes_of()`` tells some images' sizes though others cannot be read.
    index : Int[np.ndarray, " n"]
        Numbers of images in ``data``.
    """
    sizes = _method(data, "sizes_of")
    return data.image_sizes[index] if sizes is None else sizes(index)


def has_fingerprint(data: ImageTextDataset) -> bool:
    """Whether a dataset's images can be known again; a view of one without a ``fingerprint()`` has none that works.

    Parameters
    ----------
    data : ImageTextDataset
    """
    return hasattr(whole(data), "fingerprint")


def fingerprint_of(data: ImageTextDataset) -> str:
    """A dataset's ``fingerprint()``; empty where it has none, or is a view of one that has none.

    Parameters
    ----------
    data : ImageTextDataset
    """
    return str(data.fingerprint()) if has_fingerprint(data) else ""


def tells_contents(data: ImageTextDataset) -> bool:
    """Whether a dataset has a ``content_fingerprint()``, which says more than its ``fingerprint()`` and takes longer.

    Parameters
    ----------
    data : ImageTextDataset
    """
    return _method(data, "content_fingerprint") is not None


def content_fingerprint(
    data: ImageTextDataset, index: Int[np.ndarray, " n"] | None = None, progress: Progress | None = None
) -> str:
    """One name for the contents of a dataset's images, or of some, in order.

    ``fingerprint()`` may go by names and times, which are quick to see but change when files are copied. Where a
    dataset has no ``content_fingerprint()``, it is taken for that.

    Parameters
    ----------
    data : ImageTextDataset
    index : Int[np.ndarray, " n"] or None
        Numbers of images in ``data``; all unless given.
    progress : Progress or None
        Told the images that were read.
    """
    of_contents = _method(data, "content_fingerprint")
    if of_contents is not None:
        return str(of_contents(index, progress))
    return data.fingerprint() if index is None else digest(["subset", data.fingerprint(), index])


def _method(data: ImageTextDataset | None, name: str) -> Callable[..., Any] | None:
    found = getattr(data, name, None)
    return found if callable(found) else None
