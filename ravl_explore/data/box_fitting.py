"""fit_boxes(): boxes of a file, brought to the pictures as they are read: scaled, turned, cut at the edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ravl_explore.data.files import ImageFiles
from ravl_explore.data.orientation import SIDEWAYS
from ravl_explore.data.reading import read_orientation
from ravl_explore.errors import DataError

ROUNDED = 1.0  # pixels that a side may be off after resizing, and a box may reach beyond its picture


@dataclass(frozen=True)
class FittedBoxes:
    """Boxes in pixels of the upright pictures.

    Attributes
    ----------
    boxes : Float[np.ndarray, "n_boxes 4"]
        x1, y1, x2, y2, cut at the edges; float32.
    inside : Bool[np.ndarray, " n_boxes"]
        Whether a box has an area inside its picture; the others are to be left out.
    n_cut : int
        Boxes that reached beyond their picture by over a pixel.
    notes : list of str
        On boxes that were scaled or turned, as sentences.
    """

    boxes: Float[np.ndarray, "n_boxes 4"]
    inside: Bool[np.ndarray, " n_boxes"]
    n_cut: int
    notes: list[str]


def fit_boxes(
    data: ImageFiles,
    boxes: Float[np.ndarray, "n_boxes 4"],
    image_index: Int[np.ndarray, " n_boxes"],
    said: Float[np.ndarray, "n_images 2"] | None = None,
) -> FittedBoxes:
    """Hold boxes against the sizes of the pictures that they are drawn on; the headers of all are read.

    A picture of another size than ``said``, in the same proportions, was resized: its boxes are scaled. One whose sides
    are exchanged, and which EXIF turns, was annotated as it is stored: its boxes are turned along. Of a picture that
    cannot be read, boxes stay as they are.

    Parameters
    ----------
    data : ImageFiles
        The pictures.
    boxes : Float[np.ndarray, "n_boxes 4"]
        Corners, in pixels of pictures of the size ``said``.
    image_index : Int[np.ndarray, " n_boxes"]
        The picture of each box.
    said : Float[np.ndarray, "n_images 2"] or None
        Width and height of each picture that the boxes are for, NaN where nothing is said.

    Raises
    ------
    DataError
        For a picture of other proportions than ``said``, which it names.
    """
    unreadable = data.unreadable()
    readable = np.array([row for row in range(len(data)) if row not in unreadable], np.int64)
    sizes = np.full((len(data), 2), np.inf)
    sizes[readable] = data.sizes_of(readable)
    boxes, notes = np.array(boxes, np.float64).reshape(-1, 4), []
    if said is not None:
        boxes, notes = _brought(data, boxes, image_index, said, sizes)
    edges = np.tile(sizes[image_index], 2)
    n_cut = int(((boxes < -ROUNDED) | (boxes > edges + ROUNDED)).any(1).sum())
    fitted = np.clip(boxes, 0, edges).astype(np.float32)
    inside = (fitted[:, 0] < fitted[:, 2]) & (fitted[:, 1] < fitted[:, 3])
    return FittedBoxes(fitted, inside, n_cut, notes)


def _brought(
    data: ImageFiles, boxes: np.ndarray, image_index: np.ndarray, said: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Boxes of pictures of another size than said, scaled and turned to it; and notes."""
    known = np.isfinite(said).all(1) & np.isfinite(sizes).all(1) & (np.bincount(image_index, minlength=len(data)) > 0)
    other = np.flatnonzero(known & (said != sizes).any(1)).tolist()
    turns = {image: _turn(data, image, said[image], sizes[image]) for image in other}
    wrong = [image for image in other if not turns[image]]
    if wrong:
        (width, height), (there, high) = said[wrong[0]].tolist(), sizes[wrong[0]].tolist()
        raise DataError(
            "pictures of the size that their annotations are for",
            f"{there:g} x {high:g} pixels instead of {width:g} x {height:g} for {data.where(wrong[0])!r}, "
            f"{len(wrong):,} of other proportions in all",
            "Use the pictures that were annotated, or mend width and height; without them boxes are taken as they are.",
        )
    for image in other:
        rows = slice(*np.searchsorted(image_index, [image, image + 1]).tolist())
        stored = sizes[image][::-1] if turns[image] > 1 else sizes[image]
        boxes[rows] = turned(boxes[rows] * np.tile(stored / said[image], 2), stored, turns[image])
    n_turned = sum(turn > 1 for turn in turns.values())
    n_scaled = len(other) - sum(turns[i] > 1 and (said[i] == sizes[i][::-1]).all() for i in other)
    scaled = f"{n_scaled:,} images are of another size than their annotations say; their boxes were scaled."
    along = f"{n_turned:,} images are turned by EXIF, but not their annotations; their boxes were turned along."
    return boxes, [*([scaled] if n_scaled else []), *([along] if n_turned else [])]


def _turn(data: ImageFiles, image: int, said: np.ndarray, size: np.ndarray) -> int:
    """EXIF orientation of the boxes' picture, 1 where they are for the upright one, 0 where they fit neither way."""
    if resized(said, size):
        return 1
    orientation = read_orientation(data.files[image]) if resized(said, size[::-1]) else 1
    return orientation if orientation in SIDEWAYS else 0


def resized(said: Float[np.ndarray, " 2"], size: Float[np.ndarray, " 2"]) -> bool:
    """Whether a picture of one size could be one of the other, resized, with sides rounded up or down.

    Parameters
    ----------
    said : Float[np.ndarray, "2"]
        Width and height before.
    size : Float[np.ndarray, "2"]
        Width and height after.

    Examples
    --------
    >>> resized(np.array([640, 427]), np.array([64, 43])), resized(np.array([640, 427]), np.array([64, 64]))
    (True, False)
    """
    least, most = (size - ROUNDED) / said, (size + ROUNDED) / said
    return bool(least.max() < most.min())


def turned(
    boxes: Float[np.ndarray, "n 4"], size: Float[np.ndarray, " 2"], orientation: int
) -> Float[np.ndarray, "n 4"]:
    """Boxes on a stored picture of this width and height -> on the picture that EXIF's orientation makes of it.

    Parameters
    ----------
    boxes : Float[np.ndarray, "n 4"]
        x1, y1, x2, y2 in pixels of the stored picture.
    size : Float[np.ndarray, "2"]
        Width and height of the stored picture.
    orientation : int
        1 (upright) to 8.

    Examples
    --------
    >>> turned(np.array([[30, 5, 45, 15]]), np.array([64, 48]), 6).tolist()
    [[33, 30, 43, 45]]
    """
    x1, y1, x2, y2 = boxes.T
    width, height = size
    right_left, down_up = (width - x2, width - x1), (height - y2, height - y1)
    (x1, x2), (y1, y2) = {
        1: ((x1, x2), (y1, y2)),
        2: (right_left, (y1, y2)),
        3: (right_left, down_up),
        4: ((x1, x2), down_up),
        5: ((y1, y2), (x1, x2)),
        6: (down_up, (x1, x2)),
        7: (down_up, right_left),
        8: ((y1, y2), right_left),
    }[orientation]
    return np.stack([x1, y1, x2, y2], axis=1)
