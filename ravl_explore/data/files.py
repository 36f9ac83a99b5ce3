"""ImageFiles: labelled image files, of which one is read at a time and none is kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import numpy as np

from ravl_explore.data.lazy_images import LazyImages, Options
from ravl_explore.errors import DataError
from ravl_explore.support import checks
from ravl_explore.support.files import user_path
from ravl_explore.support.fingerprints import digest
from ravl_explore.support.text import storable


class ImageFiles(LazyImages):
    """Labelled image files.

    Parameters
    ----------
    files : sequence of str or Path
        One for each image.
    labels : Int[np.ndarray, " n_images"] or sequence of int
        Indices into ``class_names``.
    class_names : sequence of str
    root : str or Path or None
        Folder that all files lie in; fingerprints name files from there, so that a moved folder is the same data.
    **options : Options

    Raises
    ------
    DataError
        When the dataset cannot be used, or not one file is there.

    Examples
    --------
    >>> data = ImageFiles(["missing/a.png"], [0], ["cat", "dog"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ravl_explore.errors.DataError: Expected image files, got ...missing/a.png'... Check the folder of the images.
    """

    def __init__(
        self,
        files: Sequence[str | Path],
        labels: Sequence[int] | np.ndarray,
        class_names: Sequence[str],
        *,
        root: str | Path | None = None,
        **options: Unpack[Options],
    ) -> None:
        if not checks.is_list(files):
            raise DataError("files as a list of paths", checks.came(files), "Write [path, path], a list even of one.")
        self.files = [user_path(file) for file in files]
        self.root = None if root is None else user_path(root)
        super().__init__(self.files, labels, class_names, **options)
        if not any(os.path.exists(file) for file in self.files):  # noqa: PTH110  pathlib's raises for closed folders
            came = f"{self.where(0)!r}, which {_why_missing(self.files[0])}, nor is any other"
            raise DataError("image files", came, "Check the folder of the images.")

    def where(self, index: int) -> str:
        """The path of one image, for messages.

        Parameters
        ----------
        index : int
            The image's number, from 0 up.
        """
        return storable(self.files[index])

    def fingerprint(self) -> str:
        """Of every file's path under ``root``, size and time of change; a file that is not there counts as such."""
        facts = np.full((len(self), 2), -1, np.int64)
        for row, file in enumerate(self.files):
            try:
                stat = file.stat()
            except OSError:
                continue
            facts[row] = stat.st_size, stat.st_mtime_ns
        start = "" if self.root is None else f"{self.root}{os.sep}"
        return digest(["files", [str(file).removeprefix(start) for file in self.files], facts])


def _why_missing(file: Path) -> str:
    try:
        file.stat()
    except PermissionError:
        return "may not be opened"
    except (OSError, ValueError):
        pass
    return "is not there"
