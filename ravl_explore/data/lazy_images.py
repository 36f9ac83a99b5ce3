"""LazyImages: what all datasets of stored images share; one is read at a time, none is kept."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypedDict

import numpy as np
from jaxtyping import Bool, Int, UInt8

from ravl_explore.data.base import CLIP_TEMPLATES, check_dataset
from ravl_explore.data.formats import Sources
from ravl_explore.data.given_values import flags, integers, names
from ravl_explore.data.ranges import SharedRange, ranges_of, shared_ranges
from ravl_explore.data.reading import Header, Range, header_or_reason, read_image
from ravl_explore.errors import DataError
from ravl_explore.regions.base import Regions
from ravl_explore.support import checks
from ravl_explore.support.fingerprints import digest, file_digest
from ravl_explore.support.progress import Progress, report
from ravl_explore.support.text import storable

SCAN_THREADS = 8  # headers are short and discs are slow: threads wait together
SCAN_STEP = 1000  # files between two reports of progress
_scan_lock = threading.RLock()  # the scan that finds a range is done once, though many readers ask for it


class Options(TypedDict, total=False):
    """What a dataset of files may be told beside its images, labels and classes.

    Attributes
    ----------
    name : str
        What the dataset is called.
    templates : sequence of str
        Prompts for zero-shot classification, each with one ``{}`` for the class name.
    captions : sequence of str or None
        One for each image.
    regions : Regions or None
        Boxes in the images.
    feature_name : str or None
        What the annotated spurious feature is called.
    feature_present : Bool[np.ndarray, " n_images"] or None
        Whether an image holds that feature.
    region_labels : Int[np.ndarray, " n_regions"] or None
        For ``regions``: the class that a region shows, -1 for none.
    region_feature : Bool[np.ndarray, " n_regions"] or None
        For ``regions``: whether a region holds that feature.
    notes : sequence of str
        What was left out while reading, as sentences.
    """

    name: str
    templates: Sequence[str]
    captions: Sequence[str] | None
    regions: Regions | None
    feature_name: str | None
    feature_present: np.ndarray | None
    region_labels: np.ndarray | None
    region_feature: np.ndarray | None
    notes: Sequence[str]


class LazyImages:
    """Labelled images, each a file or a file's content, that are read when asked for.

    Parameters
    ----------
    images : Sources
        Paths or contents of files, one for each image; may itself be lazy.
    labels : Int[np.ndarray, " n_images"] or sequence of int
        Indices into ``class_names``.
    class_names : sequence of str
        Texts that UTF-8 cannot hold, as of file names of another encoding, get escapes, and all take Unicode's composed
        form.
    name : str
        What the dataset is called.
    templates : sequence of str
        Prompts for zero-shot classification, each with one ``{}`` for the class name.
    captions : sequence of str or None
        One for each image.
    regions : Regions or None
        Boxes in the images.
    feature_name : str or None
        What the annotated spurious feature is called.
    feature_present : Bool[np.ndarray, " n_images"] or None
        Whether an image holds that feature.
    region_labels : Int[np.ndarray, " n_regions"] or None
        For ``regions``: the class that a region shows, -1 for none.
    region_feature : Bool[np.ndarray, " n_regions"] or None
        For ``regions``: whether a region holds that feature.
    notes : sequence of str
        What was left out while reading, as sentences. A scan of the headers adds what the images share that their
        files do not tell, such as the depth of greys of 16 bits.

    Raises
    ------
    DataError
        When the dataset cannot be used.
    """

    notes: tuple[str, ...] = ()

    def __init__(
        self,
        images: Sources,
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
        self.name = storable(name)
        self.class_names: tuple[str, ...] = tuple(plain_name(each) for each in class_names)
        self.labels: Int[np.ndarray, " n_images"] = integers("labels", labels)
        many = checks.is_list(templates)
        self.templates: tuple[str, ...] = tuple(templates) if many else templates  # type: ignore[assignment]
        self.captions: tuple[str, ...] | None = None if captions is None else tuple(map(storable, captions))
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
        self.notes = tuple(map(storable, notes))
        self._sizes: Int[np.ndarray, "n_images 2"] | None = None
        self._unreadable: dict[int, str] = {}
        self._ranges: dict[str, SharedRange] = {}
        check_dataset(self)

    def __len__(self) -> int:
        return len(self._sources)

    def image(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """Pixels of one image, read now; DataError names one that cannot be read.

        Parameters
        ----------
        index : int
            The image's number, from 0 up.
        """
        return read_image(self._sources[index], repr(self.where(index)), self._range_of)

    def where(self, index: int) -> str:
        """What to call one image in messages; text that UTF-8 can hold.

        Parameters
        ----------
        index : int
            The image's number, from 0 up.
        """
        return f"image {index}"

    @property
    def image_sizes(self) -> Int[np.ndarray, "n_images 2"]:
        """Width and height of every image, from the headers; DataError names the first that cannot be read."""
        return self.sizes_of(np.arange(len(self)))

    def sizes_of(self, index: Int[np.ndarray, " n"]) -> Int[np.ndarray, "n 2"]:
        """Width and height of some images, whatever the others are.

        Parameters
        ----------
        index : Int[np.ndarray, " n"]
            Their numbers.
        """
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

        Parameters
        ----------
        progress : Progress or None
            Told the headers that were read.
        """
        if self._sizes is None:
            sizes, unreadable, kinds = self._scan(progress)
            self._ranges = shared_ranges(self._sources, kinds, progress)
            notes = [each.note(self.where(each.largest)) for each in self._ranges.values()]
            self.notes = (*self.notes, *(note for note in map(storable, notes) if note not in self.notes))
            self._sizes, self._unreadable = sizes, unreadable
        return self._unreadable

    def fingerprint(self) -> str:
        """See :class:`~ravl_explore.data.base.ImageTextDataset`; what tells the images apart is known further down."""
        raise NotImplementedError

    def content_fingerprint(self, index: Int[np.ndarray, " n"] | None = None, progress: Progress | None = None) -> str:
        """Of the content of each image, or of some, wherever it is stored and whenever it was; all are read for it.

        Parameters
        ----------
        index : Int[np.ndarray, " n"] or None
            Numbers of images; all unless given.
        progress : Progress or None
            Told the images that were read.
        """
        rows = list(range(len(self))) if index is None else np.asarray(index).tolist()
        found: list[str | None] = []
        report(progress, 0, len(rows), "Comparing images")
        with ThreadPoolExecutor(SCAN_THREADS) as pool:
            for start in range(0, len(rows), SCAN_STEP):
                found += pool.map(self._content, rows[start : start + SCAN_STEP])
                report(progress, len(found), len(rows), "Comparing images")
        return digest(["contents", found])

    def _content(self, index: int) -> str | None:
        source = self._sources[index]
        return digest([source]) if isinstance(source, bytes) else file_digest(Path(source))

    def _range_of(self, kind: str) -> Range | None:
        """The range of values of a kind of images, of all of the set, which is scanned when it was not yet."""
        with _scan_lock:
            self.unreadable()
        return ranges_of(self._ranges)(kind)

    def _scan(self, progress: Progress | None) -> tuple[np.ndarray, dict[int, str], dict[int, str]]:
        """Sizes; place -> reason of files that cannot be read; and place -> kind of those that share their range."""
        sizes, unreadable, kinds = np.zeros((len(self), 2), np.int64), {}, {}
        report(progress, 0, len(self), "Reading image sizes")
        with ThreadPoolExecutor(SCAN_THREADS) as pool:
            for start in range(0, len(self), SCAN_STEP):
                stop = min(start + SCAN_STEP, len(self))
                for row, found in enumerate(pool.map(self._header_or_reason, range(start, stop)), start):
                    if isinstance(found, str):
                        unreadable[row] = found
                        continue
                    sizes[row] = found.width, found.height
                    if found.kind:
                        kinds[row] = found.kind
                report(progress, stop, len(self), "Reading image sizes")
        return sizes, unreadable, kinds

    def _header_or_reason(self, index: int) -> Header | str:
        return header_or_reason(self._sources[index])


def plain_name(name: object) -> str:
    """A class name that can be stored, in Unicode's composed form: Macs name folders in the other one.

    Parameters
    ----------
    name : object
        A text, or a number.
    """
    return unicodedata.normalize("NFC", storable(name))
