"""What a COCO file says: each id and category once, sizes that are known, and boxes by image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ravl_explore.data.columns import listed
from ravl_explore.data.given_files import read_json
from ravl_explore.errors import DataError, RavlError

Id = int | str
Entry = Mapping[str, Any]  # of a list in the file; each key is looked at where it is read
Box = tuple[Id, float, float, float, float]  # id of the category, x1, y1, x2, y2
Value = TypeVar("Value")


def read_coco_json(file: Path, keys: Sequence[str]) -> dict[str, list[Entry]]:
    """What the file says; DataError unless it is JSON with a list under each key that is needed.

    Parameters
    ----------
    file : Path
    keys : sequence of str
        Those that are needed.
    """
    content = read_json(file, "a COCO JSON file")
    found = listed(sorted(content)) or "nothing" if isinstance(content, dict) else type(content).__name__
    for key in keys:
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DataError(f"a COCO file with {key!r}", f"{str(file)!r} with {found}", "Give an instances_*.json.")
    return content


def by_id(entries: Sequence[Entry], kind: str) -> dict[Id, Entry]:
    """Id -> entry of a COCO list.

    Parameters
    ----------
    entries : sequence of mapping
        The list.
    kind : str
        What its entries are, for the message: "images", "categories".

    Raises
    ------
    DataError
        When an id stands for two entries, as in files that were merged: one of them would be lost.
    """
    found: dict[Id, Entry] = {}
    for each in entries:
        key = plain_id(each["id"])
        if found.setdefault(key, each) != each:
            raise DataError(
                f"one of the {kind} for each id",
                f"two of the id {key!r}: {_some(found[key])} and {_some(each)}",
                "Give them different ids, and mend the annotations that refer to them.",
            )
    return found


def plain_id(value: Id) -> Id:
    """An id, as a number also where it is written as text: annotations write ids otherwise than images do.

    Parameters
    ----------
    value : int or str
        As the file has it.
    """
    return int(value) if isinstance(value, str) and value.isdecimal() and str(int(value[:18])) == value else value


def sorted_by_id(entries: Mapping[Id, Value]) -> list[tuple[Id, Value]]:
    """Ids and what they stand for, by id, numbers first.

    Parameters
    ----------
    entries : mapping, Id -> Value
    """
    return sorted(entries.items(), key=lambda item: (isinstance(item[0], str), item[0]))


def _some(entry: Entry) -> str:
    return str(entry.get("file_name", entry.get("name", entry)))[:80]


def category_name(category: Entry) -> str:
    """A category's name; numbers are names, too.

    Parameters
    ----------
    category : mapping
        Of the file's categories.
    """
    if isinstance(category["name"], (str, int, float)):
        return str(category["name"])
    raise ValueError(f"the category {category['id']!r} has no text as name")


def file_name(image: Entry) -> str:
    """Where an image lies, as the file has it.

    Parameters
    ----------
    image : mapping
        Of the file's images.
    """
    if isinstance(image["file_name"], str):
        return image["file_name"]
    raise ValueError(f"the image {image['id']!r} has no text as file_name")


def size_said(image: Entry) -> tuple[float, float]:
    """Width and height that the file says of an image; NaN for both where one is left out, empty or not above 0.

    Parameters
    ----------
    image : mapping
        Of the file's images.
    """
    found = []
    for side in ("width", "height"):
        try:
            value = float(image.get(side) or math.nan)
        except (TypeError, ValueError):
            value = math.nan
        found.append(value if 0 < value < math.inf else math.nan)
    return (math.nan, math.nan) if any(map(math.isnan, found)) else (found[0], found[1])


class Drawn(NamedTuple):
    """What the annotations of a file draw, by the ids of its images.

    Attributes
    ----------
    boxes : dict, Id -> list of Box
        Each box once, cut at the size that the file says.
    crowds : dict, Id -> set of int
        Classes that are seen as a crowd or without a box.
    n_crowds : int
        How many crowds were left out.
    n_flat : int
        How many boxes without area were left out.
    n_bare : int
        How many annotations without a box were left out.
    """

    boxes: dict[Id, list[Box]]
    crowds: dict[Id, set[int]]
    n_crowds: int
    n_flat: int
    n_bare: int


def boxes_by_image(
    annotations: Sequence[Entry],
    facts: Mapping[Id, Entry],
    categories: Mapping[Id, str],
    label_of: Mapping[Id, int],
) -> Drawn:
    """What the annotations draw in each image.

    Parameters
    ----------
    annotations : sequence of mapping
        Those of the file.
    facts : mapping, Id -> mapping
        The file's images.
    categories : mapping, Id -> str
        The file's categories by name.
    label_of : mapping, Id -> int
        The class of each category that is one.

    Raises
    ------
    DataError
        For an annotation of an image or a category that is not listed.
    """
    n_crowds = n_flat = n_bare = 0
    crowds: dict[Id, set[int]] = {}
    boxes: dict[Id, dict[Box, None]] = {}
    sizes: dict[Id, list[float]] = {}
    for each in annotations:
        key, category = plain_id(each["image_id"]), plain_id(each["category_id"])
        if key not in facts:
            raise DataError("annotations of the images listed", f"one of image {key!r}", "Use files of one release.")
        if category not in categories:
            came = f"category_id {category!r} in image {key!r}, of the categories {listed(list(map(str, categories)))}"
            raise DataError("annotations of the categories listed", came, "Add it to 'categories', or mend the id.")
        label = label_of.get(category)
        is_crowd = bool(each.get("iscrowd", 0))
        if is_crowd or each.get("bbox") in (None, []):
            n_crowds += is_crowd
            n_bare += not is_crowd
            if label is not None:
                crowds.setdefault(key, set()).add(label)
            continue
        if key not in sizes:
            sizes[key] = [math.inf if math.isnan(side) else side for side in size_said(facts[key])]
        x, y, width, height = (float(value) for value in each["bbox"])
        x1, x2 = (min(max(value, 0.0), sizes[key][0]) for value in (x, x + width))
        y1, y2 = (min(max(value, 0.0), sizes[key][1]) for value in (y, y + height))
        with np.errstate(over="ignore"):
            corners = np.array([x1, y1, x2, y2], np.float32)  # as they are stored: a sliver may vanish there
        if not (np.isfinite(corners).all() and (corners[:2] < corners[2:]).all()):
            n_flat += 1
            continue
        boxes.setdefault(key, {})[category, x1, y1, x2, y2] = None
    return Drawn({key: list(row) for key, row in boxes.items()}, crowds, n_crowds, n_flat, n_bare)


def covered_area(boxes: Sequence[Box], label_of: Mapping[Id, int]) -> dict[int, float]:
    """Pixels that the boxes of each class cover, together.

    Parameters
    ----------
    boxes : sequence of Box
        Of one image.
    label_of : mapping, Id -> int
        The class of each category that is one; boxes of others do not count.
    """
    covered: dict[int, float] = {}
    for category, x1, y1, x2, y2 in boxes:
        if (label := label_of.get(category)) is not None:
            covered[label] = covered.get(label, 0.0) + (x2 - x1) * (y2 - y1)
    return covered


@contextmanager
def explaining(file: Path) -> Iterator[None]:
    """Turn what entries of the wrong shape raise into a DataError that names the file.

    Parameters
    ----------
    file : Path
    """
    try:
        yield
    except RavlError:
        raise
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as error:
        came = f"{str(file)!r} ({type(error).__name__}: {str(error)[:200].rstrip('.')})"
        remedy = "Check for an entry that lacks a key or holds another kind of value."
        raise DataError("COCO annotations", came, remedy) from error
