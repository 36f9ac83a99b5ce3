"""LazyImages and ImageFiles: what all datasets of stored images share; one is read at a time, none is kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, UInt8

from ravl_explore.data.base import CLIP_TEMPLATES, check_dataset, flags, integers, names
from ravl_explore.data.reading import Source, read_image, size_or_reason
from ravl_explore.errors import DataError
from ravl_explore.fingerprints import digest
from ravl_explore.progress import Progress, report
from ravl_explore.regions.base import Regions

SCAN_THREADS = 8  # headers are short and discs are slow: threads wait together
SCAN_STEP = 1000  # files between two reports of progress


class LazyImages:
    """Labelled images, each a file or a file's content, that are read when asked for.

    Parameters
    ----------
    images : paths or bytes, one per image; may itself be lazy
    labels, class_names, name, templates, captions, regions, feature_name, feature_present, region_labels,
    region_feature : as of :class:`~ravl_explore.data.base.ImageTextDataset`
    notes : what was left out while reading, as sentences

    Raises
    ------
    DataError
        When the dataset cannot be used.
    """

    notes: tuple[str, ...] = ()

    def __init__(
        self,
        images: Sequence[Source],
        labels: Sequence[int] | np.ndarray,
        class_names: Sequence[str],
        *,
        name: str = "files",
        templates: Sequence[str] = CLIP_TEMPLATES,
        captions: Sequence[str] | None = None,
        regions: Regions | None = None,
        feature_name: str | None = None,
        feature_present: np.ndarray | None = None,
        region_labels: np.ndarray | None = None,
        region_feature: np.ndarray | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        class_names = names("class_names", class_names, numbers=True)
        self._sources = images
        self.name = name
        self.class_names: tuple[str, ...] = tuple(str(each) for each in class_names)
        self.labels: Int[np.ndarray, " n_images"] = integers("labels", labels)
        self.templates: tuple[str, ...] = templates if isinstance(templates, str) else tuple(templates)  # type: ignore
        self.captions: tuple[str, ...] | None = None if captions is None else tuple(captions)
        self.regions: Regions | None = regions
        self.feature_name: str | None = feature_name
        self.feature_present: Bool[np.ndarray, " n_images"] | None = (
            None if feature_present is None else flags("feature_present", feature_present)
        )
        self.region_labels: Int[np.ndarray, " n_regions"] | None = (
            None if region_labels is None else integers("region_labels", region_labels)
        )
        self.region_feature: Bool[np.ndarray, " n_regions"] | None = (
            None if region_feature is None else flags("region_feature", region_feature)
        )
        self.notes = tuple(notes)
        self._sizes: Int[np.ndarray, "n_images 2"] | None = None
        self._unreadable: dict[int, str] = {}
        check_dataset(self)

    def __len__(self) -> int:
        return len(self._sources)

    def image(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """Pixels of one image, read now; DataError names one that cannot be read."""
        return read_image(self._sources[index], repr(self.where(index)))

    def where(self, index: int) -> str:
        """What to call one image in messages."""
        return f"image {index}"

    @property
    def image_sizes(self) -> Int[np.ndarray, "n_images 2"]:
        """Width and height of every image, from the headers; DataError names the first that cannot be read."""
        return self.sizes_of(np.arange(len(self)))

    def sizes_of(self, index: Int[np.ndarray, " n"]) -> Int[np.ndarray, "n 2"]:
        """Width and height of some images, whatever the others are."""
        unreadable = self.unreadable()
        bad = [i for i in np.asarray(index).tolist() if i in unreadable] if unreadable else []
        if bad:
            more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
            raise DataError(
                "readable image files",
                f"{self.where(bad[0])!r} ({unreadable[bad[0]]}){more}",
                "Mend or remove what cannot be read, or allow some to be skipped with max_unreadable.",
            )
        assert self._sizes is not None
        return self._sizes[index]

    def unreadable(self, progress: Progress | None = None) -> dict[int, str]:
        """Index -> reason of files whose header cannot be read; all headers are read once, when first asked for.

        A file whose header is whole may still end too early, which shows only when its pixels are read.
        """
        if self._sizes is None:
            self._sizes, self._unreadable = self._scan(progress)
        return self._unreadable

    def fingerprint(self) -> str:
        """See :class:`~ravl_explore.data.base.ImageTextDataset`; what tells the images apart is known further down."""
        raise NotImplementedError

    def _scan(self, progress: Progress | None) -> tuple[np.ndarray, dict[int, str]]:
        sizes, unreadable = np.zeros((len(self), 2), np.int64), {}
        report(progress, 0, len(self), "Reading image sizes")
        with ThreadPoolExecutor(SCAN_THREADS) as pool:
            for start in range(0, len(self), SCAN_STEP):
                stop = min(start + SCAN_STEP, len(self))
                for row, found in enumerate(pool.map(self._size_or_reason, range(start, stop)), start):
                    if isinstance(found, str):
                        unreadable[row] = found
                    else:
                        sizes[row] = found
                report(progress, stop, len(self), "Reading image sizes")
        return sizes, unreadable

    def _size_or_reason(self, index: int) -> tuple[int, int] | str:
        return size_or_reason(self._sources[index])


class ImageFiles(LazyImages):
    """Labelled image files.

    Parameters
    ----------
    files : paths, one per image
    labels, class_names, options : as of :class:`LazyImages`
    root : folder that all lie in; fingerprints name files from there, so that a moved folder is the same data

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
        **options: Any,
    ) -> None:
        self.files = [Path(file) for file in files]
        self.root = None if root is None else Path(root)
        super().__init__(self.files, labels, class_names, **options)
        if not any(file.exists() for file in self.files):  # a wrong root: told now, not after a scan
            came = f"{str(self.files[0])!r}, which is not there, nor is any other"
            raise DataError("image files", came, "Check the folder of the images.")

    def where(self, index: int) -> str:
        """The path of one image, for messages."""
        return str(self.files[index])

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
