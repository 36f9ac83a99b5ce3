"""Masks from one COCO JSON file: polygons and run lengths, compressed or not, decoded when asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import ModuleType

import numpy as np

from ravl_explore.concepts.base import Mask
from ravl_explore.data.coco_file import Entry, Id, by_id, plain_id, size_said
from ravl_explore.data.given_files import read_json
from ravl_explore.errors import DataError, MissingDependencyError

MOST_BITS = 60  # of a number in packed runs
UNKNOWN = (0, 0)  # the size of an image of which the file does not say one


@dataclass(frozen=True, eq=False)
class CocoSegments:
    """What a file says of each image that it names.

    Attributes
    ----------
    keys : tuple of str
        The path of each image, without the ending.
    sizes : tuple of (int, int)
        Height and width of each image, in pixels; ``UNKNOWN`` where the file says none.
    segments : tuple of tuple of mapping
        The annotations of each image.
    categories : mapping, Id -> str
        Their names.
    path : Path
        Of the file, for messages.
    """

    keys: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    segments: tuple[tuple[Entry, ...], ...]
    categories: Mapping[Id, str]
    path: Path

    def with_sizes(self, sizes: Mapping[int, tuple[int, int]]) -> CocoSegments:
        """The same, with the sizes of images where the file does not say them.

        Parameters
        ----------
        sizes : mapping, int -> (int, int)
            By the image's place in ``keys``: height and width in pixels.
        """
        known = (sizes.get(row, size) if size == UNKNOWN else size for row, size in enumerate(self.sizes))
        return replace(self, sizes=tuple(known))

    def mask(self, row: int, wanted: str | None = None) -> Mask:
        """The union of an image's segments; of one category's alone where it is named.

        Parameters
        ----------
        row : int
            The image's place in ``keys``.
        wanted : str or None
            The category's name in lower case.

        Raises
        ------
        DataError
            For a segment that is no polygon and no run lengths of the image's size.
        """
        height, width = self.sizes[row]
        whole = np.zeros((height, width), bool)
        for segment in self.segments[row]:
            if wanted is None or self.categories.get(plain_id(segment.get("category_id", -1)), "").casefold() == wanted:
                whole |= self._decode(segment, height, width)
        return whole

    def _decode(self, segment: Entry, height: int, width: int) -> Mask:
        found = segment.get("segmentation")
        try:
            if isinstance(found, Mapping):
                if list(found["size"]) != [height, width]:
                    raise ValueError(f"size {found['size']}")
                return from_runs(found["counts"], height, width)
            drawn = import_pycocotools().frPyObjects(_checked_polygons(found, height, width), height, width)
            return np.any([from_runs(each["counts"], height, width) for each in drawn], axis=0)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise DataError(
                f"polygons, or run lengths of {height} x {width} pixels",
                f"annotation {segment.get('id', '')!r} of {str(self.path)!r} ({error})",
                "Mend the annotation, or leave it out.",
            ) from error


def from_runs(counts: Sequence[int] | str | bytes, height: int, width: int) -> Mask:
    """Runs of 0 and of 1 in turn, column after column, 0 first; as numbers, or as COCO packs them into text.

    Parameters
    ----------
    counts : sequence of int, or str, or bytes
        The runs.
    height : int
        Of the mask, in pixels.
    width : int
        Of the mask, in pixels.

    Examples
    --------
    >>> from_runs([1, 2, 1], 2, 2).tolist()
    [[False, True], [True, False]]
    """
    runs = np.asarray(unpack(counts) if isinstance(counts, str | bytes) else counts, np.int64)
    if runs.ndim != 1 or (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(f"runs over {runs.sum()} pixels")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def unpack(text: str | bytes) -> list[int]:
    """The runs in a text: five bits a letter from "0" on, lowest first, the sixth says that more follow, and the fifth
    of the last is the sign; from the fourth run on each is told as the difference to the last but one.

    Parameters
    ----------
    text : str or bytes

    Examples
    --------
    >>> unpack("05f0")
    [0, 5, 22]
    """
    letters = text.encode("ascii", "replace") if isinstance(text, str) else text
    runs: list[int] = []
    value = shift = 0
    for letter in letters:
        bits = letter - 48
        if not 0 <= bits < 64:
            raise ValueError(f"the letter {chr(letter)!r} in packed runs")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            if shift > MOST_BITS:
                raise ValueError("packed runs with a number beyond all measure")
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("packed runs that end too early")
    return runs


def read_coco(path: Path) -> CocoSegments:
    """Read the file, and decode nothing yet.

    Parameters
    ----------
    path : Path
        Of the JSON file.

    Raises
    ------
    DataError
        For a file that cannot be read or is no COCO annotation, and for an id that stands for two.
    MissingDependencyError
        For polygons without pycocotools.
    """
    kind = "a COCO file with images (id, file_name, height, width) and annotations (image_id, segmentation)"
    content = read_json(path, kind)
    try:
        images = by_id(content["images"], "images")
        by_image: dict[Id, list[Entry]] = defaultdict(list)
        for each in content["annotations"]:
            if each.get("segmentation"):
                by_image[plain_id(each["image_id"])].append(each)
        categories = {
            key: str(each["name"]) for key, each in by_id(content.get("categories", []), "categories").items()
        }
        keys = tuple(_key(str(each["file_name"])) for each in images.values())
        sizes = tuple(_size(each) for each in images.values())
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        said = f"no {error}" if isinstance(error, KeyError) else str(error)[:200]
        remedy = "Check the file, or give a folder of PNG or NPZ files."
        raise DataError(kind, f"{str(path)!r} ({said})", remedy) from error
    if any(side > 2**16 for size in sizes for side in size):
        raise DataError(f"images of at most {2**16:,} pixels a side", f"others in {str(path)!r}", "Mend their sizes.")
    if any(isinstance(each["segmentation"], list) for some in by_image.values() for each in some):
        import_pycocotools()  # told now, not at the first polygon
    return CocoSegments(keys, sizes, tuple(tuple(by_image[image]) for image in images), categories, path)


def _size(image: Entry) -> tuple[int, int]:
    width, height = size_said(image)
    return UNKNOWN if width != width else (int(height), int(width))


def import_pycocotools() -> ModuleType:
    """``pycocotools.mask``."""
    try:
        from pycocotools import mask
    except ImportError as error:
        raise MissingDependencyError(
            "pycocotools, for COCO polygons", "an environment without", 'Run: pip install "ravl-explore[concepts]".'
        ) from error
    return mask


def _key(file_name: str) -> str:
    return PurePosixPath(file_name.replace("\\", "/")).with_suffix("").as_posix()


def _checked_polygons(found: object, height: int, width: int) -> list[list[float]]:
    """Polygons that lie in the picture or not far beside it: drawing takes memory by the length of their edges."""
    if not isinstance(found, list) or not found:
        raise ValueError(f"{type(found).__name__} as segmentation")
    for polygon in found:
        points = np.asarray(polygon, np.float64)
        if points.ndim != 1 or len(points) < 6 or len(points) % 2 or not np.isfinite(points).all():
            raise ValueError("a polygon that is not x, y, x, y, x, y ...")
        if (np.abs(points.reshape(-1, 2)) > 2 * np.array([width, height])).any():
            raise ValueError("a polygon with corners far outside of the picture")
    return found
