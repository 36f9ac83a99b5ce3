"""match(): which mask belongs to which image, by file name; by number where images have no file."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.optional_members import root_of, where
from ravl_explore.errors import DataError

NUMBERED = re.compile(r"(?:image|row) (\d+)(?: of .*)?", re.DOTALL)  # how datasets call an image without a file


def image_keys(data: ImageTextDataset) -> list[str]:
    """For each image, the path of its file from the dataset's folder on, without the ending; else its number.

    Numbers have six digits and count the images of the whole dataset, also in a subset of it.

    Parameters
    ----------
    data : ImageTextDataset

    Examples
    --------
    >>> from ravl_explore.data import Demo, Subset
    >>> image_keys(Subset(Demo("val"), [3, 12]))
    ['000003', '000012']
    """
    root = root_of(data)
    return [_key(where(data, index), root) for index in range(len(data))]


def _key(place: str, root: Path | None) -> str:
    if number := NUMBERED.fullmatch(place):
        return f"{int(number[1]):06d}"
    path = Path(place)
    if root is not None and path.is_relative_to(root):
        path = path.relative_to(root)
    return path.with_suffix("").as_posix()


def match(images: Sequence[str], masks: Sequence[str]) -> list[int | None]:
    """For each image key the place of its mask, or None: the same path, or else the same last part of it.

    Parameters
    ----------
    images : sequence of str
        As of :func:`image_keys`.
    masks : sequence of str
        As these, of the masks.

    Raises
    ------
    DataError
        When two masks have one name, a last part fits several images or masks, or nothing fits at all.

    Examples
    --------
    >>> match(["cat/1", "dog/2", "dog/3"], ["2", "cat/1"])
    [1, 0, None]
    """
    place = {key: row for row, key in enumerate(masks)}
    if len(place) < len(masks):
        twice = next(key for row, key in enumerate(masks) if place[key] != row)
        raise DataError("one mask per image", f"several called {twice!r}", "Leave one of them.")
    exact = {key for key in images if key in place}
    waiting: dict[str, list[str]] = defaultdict(list)
    by_name: dict[str, list[int]] = defaultdict(list)
    for key in dict.fromkeys(images):  # a subset may hold an image twice
        if key not in exact:
            waiting[PurePosixPath(key).name].append(key)
    for row, key in enumerate(masks):
        if key not in exact:
            by_name[PurePosixPath(key).name].append(row)
    found = [place[key] if key in exact else _by_last_part(key, by_name, waiting, masks) for key in images]
    if masks and all(row is None for row in found):
        raise DataError(
            f"masks named as the images are, such as {images[0]!r}",
            f"{len(masks):,} with other names, such as {masks[0]!r}",
            "Name each mask as its image; images that are no files count from 000000 on.",
        )
    return found


def _by_last_part(
    key: str, by_name: dict[str, list[int]], waiting: dict[str, list[str]], masks: Sequence[str]
) -> int | None:
    name = PurePosixPath(key).name
    rows, images = by_name.get(name, []), waiting[name]
    if not rows:
        return None
    if len(rows) > 1 or len(images) > 1:
        raise DataError(
            "masks that tell images of one name apart",
            f"{len(images)} images called {name!r} ({images[0]!r}) and {len(rows)} such masks ({masks[rows[0]]!r})",
            "Put masks into the same folders as the images.",
        )
    return rows[0]
