"""MaskFiles: masks that the user has, as a folder of PNG or NPZ files, or in one COCO JSON file."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ravl_explore.concepts.base import Mask, Shown, count_of, nothing
from ravl_explore.concepts.coco_masks import CocoSegments, read_coco
from ravl_explore.concepts.mask_reading import read_npz, read_png, resize_nearest, turned
from ravl_explore.concepts.matching import image_keys, match
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.given_files import status_of
from ravl_explore.data.optional_members import place_of
from ravl_explore.data.reading import read_orientation
from ravl_explore.errors import DataError, InputError
from ravl_explore.support.fields import Field
from ravl_explore.support.files import user_path
from ravl_explore.support.fingerprints import digest, file_digest

SUPPRESS = ".suppress"  # ends the name of a second PNG file
Reader = Callable[[int], tuple[Mask, Mask | None]]


@dataclass(frozen=True)
class MaskFiles:
    """Where to look by masks from files; all other pixels are suppressed, unless a file says which.

    A mask belongs to the image whose path in its dataset's folder it has, its ending aside (``cat/007.png`` to
    ``cat/007.jpg``), or else to the only one of that file name. Images that are no files (MNIST, arrays) are called by
    their number in the dataset: ``000123.png``. Masks are read when asked for. One of another size than its image is
    resized, nearest pixel, and one of the stored image is turned as EXIF turns that, which the notes say; one with
    other values than 0 and 1, or 0 and 255, or with width and height exchanged, is an error.

    An image without a mask, or whose mask is all zero, has nothing to promote and nothing to suppress.

    Parameters
    ----------
    path : str or Path
        A folder (its folders are looked through) of ``NAME.png``, beside which ``NAME.suppress.png`` may lie, or of
        ``NAME.npz`` with an array ``promote`` and, if you like, ``suppress``; or a COCO ``.json`` file with polygons or
        run lengths. Where one of its categories has the name of a class, an image promotes the segments of its own
        class alone, else those of all categories, which then are concepts.

    Raises
    ------
    InputError
        When there is no such folder or file, or it may not be read.
    """

    path: str | Path

    uses_regions: ClassVar[bool] = False
    form_label = "Masks from files"
    form = (Field("path", "Masks", "path", help="a folder of PNG or NPZ masks, or a COCO .json file"),)

    def __post_init__(self) -> None:
        kind = "a folder of masks, or a .json file"
        try:
            path, mode = status_of(self.path, kind)
        except DataError as error:
            raise InputError(kind, error.came, error.remedy) from error
        object.__setattr__(self, "path", path)
        if not stat.S_ISDIR(mode) and not (stat.S_ISREG(mode) and path.suffix.lower() == ".json"):
            raise InputError(kind, f"{str(path)!r}, which is something else", "Check the path.")

    @property
    def name(self) -> str:
        """Short name for menus and run folders."""
        return f"masks of {Path(self.path).name}"

    def open(self, data: ImageTextDataset, shown: Shown | None = None) -> FileMasks:
        """The masks of ``data``; ``shown`` is not needed.

        Parameters
        ----------
        data : ImageTextDataset
            Whose images the masks are of.
        shown : Shown or None
            What its regions show; only sources that use regions need it.

        Raises
        ------
        DataError
            When there is no mask, none fits an image's name, two fit the same, or the COCO file cannot be read; or, on
            reading, for a mask whose width and height are exchanged.
        MissingDependencyError
            For a COCO file with polygons without pycocotools.
        """
        path = user_path(self.path)
        return _open_folder(self, path, data) if path.is_dir() else _open_coco(self, read_coco(path), data)


class FileMasks:
    """See :class:`MaskFiles`.

    Parameters
    ----------
    source : MaskFiles
        Where they are from.
    data : ImageTextDataset
        The images.
    rows : list of int or None
        For each image what ``read`` takes, or None.
    read : callable, int -> (Mask, Mask or None)
        Gives the masks of a row, (promote, suppress), as stored.
    facts : callable, () -> list
        Gives what tells a change of the files.
    notes : tuple of str
        What is known before a mask is read.
    """

    def __init__(
        self,
        source: MaskFiles,
        data: ImageTextDataset,
        rows: list[int | None],
        read: Reader,
        facts: Callable[[], list],
        notes: tuple[str, ...] = (),
    ) -> None:
        self.name, self._rows, self._read, self._facts = source.name, rows, read, facts
        self._sizes, self._data = np.asarray(data.image_sizes), data
        self._first_notes = notes
        self._seen: dict[str, set[int]] = {"turned": set(), "resized": set(), "empty": set(), "both": set()}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def __call__(self, index: int) -> tuple[Mask, Mask]:
        """(promote, suppress) of one image, in pixels of the stored image.

        Parameters
        ----------
        index : int
            The image's number, from 0 up.
        """
        width, height = self._sizes[index].tolist()
        row = self._rows[index]
        if row is None:
            return nothing(height, width)
        promote, suppress = self._read(row)
        told = [mask for mask in (promote, suppress) if mask is not None]
        if height != width and all(mask.shape == (width, height) for mask in told):
            promote, *told = (self._upright(mask, index) for mask in told)
            suppress = told[0] if told else None
            self._saw("turned", index)
        elif any(mask.shape != (height, width) for mask in told):
            self._saw("resized", index)
            promote = resize_nearest(promote, height, width)
            suppress = None if suppress is None else resize_nearest(suppress, height, width)
        if not promote.any():
            self._saw("empty", index)
        if suppress is None:
            suppress = ~promote if promote.any() else promote.copy()
        elif (promote & suppress).any():
            self._saw("both", index)
            promote = promote & ~suppress
        return promote, suppress

    @property
    def notes(self) -> tuple[str, ...]:
        """What was departed from so far."""
        missing = sum(row is None for row in self._rows)
        with self._lock:
            n = {kind: len(images) for kind, images in self._seen.items()}
        said = {
            f"{count_of(missing, 'image has', 'images have')} no mask": missing,
            f"{count_of(n['turned'], 'mask was', 'masks were')} turned as EXIF turns the image": n["turned"],
            f"{count_of(n['resized'], 'mask was', 'masks were')} of another size and resized, nearest pixel": (
                n["resized"]
            ),
            f"{count_of(n['empty'], 'mask promotes', 'masks promote')} nothing": n["empty"],
            f"{count_of(n['both'], 'image has', 'images have')} pixels in both masks, which count as suppressed": (
                n["both"]
            ),
        }
        return (*self._first_notes, *(f"{sentence}." for sentence, count in said.items() if count))

    def fingerprint(self) -> str:
        """Of the files' names and contents, and which image each belongs to."""
        return digest(["mask files", self._facts(), self._rows, self._sizes])

    def _upright(self, mask: Mask, index: int) -> Mask:
        """A mask of the stored image, turned as EXIF turns that; nothing else exchanges width and height."""
        where = place_of(self._data, index)
        orientation = read_orientation(where) if Path(where).is_file() else 1
        if orientation < 5:
            height, width = mask.shape
            raise DataError(
                f"a mask of {height} x {width} pixels, as the image is",
                f"{width} x {height} for {where or f'image {index}'!r}, width and height exchanged",
                "Turn the mask, or save its array transposed.",
            )
        return turned(mask, orientation)

    def _saw(self, kind: str, index: int) -> None:
        with self._lock:
            self._seen[kind].add(index)


def _open_folder(source: MaskFiles, folder: Path, data: ImageTextDataset) -> FileMasks:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".npz") and path.is_file())
    files = [path for path in found if not path.stem.endswith(SUPPRESS)]
    if not files:
        raise DataError("PNG or NPZ masks", f"none in {str(folder)!r}", "Check the folder.")
    suppressing = {_key(folder, path).removesuffix(SUPPRESS): path for path in found if path.stem.endswith(SUPPRESS)}
    keys = [_key(folder, path) for path in files]
    rows = match(image_keys(data), keys)

    def read(row: int) -> tuple[Mask, Mask | None]:
        path = files[row]
        if path.suffix.lower() == ".npz":
            return read_npz(path)
        other = suppressing.get(keys[row])
        return read_png(path), None if other is None else read_png(other)

    read_from = {files[row] for row in rows if row is not None} | set(suppressing.values())

    def facts() -> list:
        return [[_key(folder, path), file_digest(path)] for path in sorted(read_from)]

    return FileMasks(source, data, rows, read, facts)


def _open_coco(source: MaskFiles, found: CocoSegments, data: ImageTextDataset) -> FileMasks:
    if not found.keys:
        raise DataError("a COCO file with images", f"none in {str(found.path)!r}", "Check the file.")
    place = match(image_keys(data), found.keys)
    rows = [None if row is None or not found.segments[row] else row for row in place]
    sizes = np.asarray(data.image_sizes)[:, ::-1].tolist()
    found = found.with_sizes({row: tuple(size) for row, size in zip(rows, sizes, strict=True) if row is not None})
    classes = [" ".join(name.split()).casefold() for name in data.class_names]
    of_objects = bool(set(classes) & {name.casefold() for name in found.categories.values()})
    label_of = {row: int(label) for row, label in zip(rows, data.labels, strict=True) if row is not None}

    def read(row: int) -> tuple[Mask, None]:
        if of_objects and label_of[row] < 0:  # no caption says which of the objects counts
            return np.zeros_like(found.mask(row, None)), None
        return found.mask(row, classes[label_of[row]] if of_objects else None), None

    def facts() -> list:
        return [file_digest(found.path), data.labels.tolist() if of_objects else []]

    own = "The file's categories are classes: an image promotes the segments of its own class alone."
    return FileMasks(source, data, rows, read, facts, (own,) if of_objects else ())


def _key(folder: Path, path: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()
