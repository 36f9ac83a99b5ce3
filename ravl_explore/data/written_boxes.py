"""boxes_of(): boxes as the cells of a table have them, row by row."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ravl_explore.data.cells import plain
from ravl_explore.errors import DataError


def boxes_of(values: Sequence[object], rows: list[int], repeats: dict[int, list[int]]) -> list[list[tuple[float, ...]]]:
    """Boxes of each kept row and of its repeats, none twice.

    Parameters
    ----------
    values : sequence of object
        The cells of all rows: lists, or JSON of lists.
    rows : list of int
        Those that are kept.
    repeats : dict, int -> list of int
        Of a kept row, later ones of the same image.

    Returns
    -------
    list of list of tuple of float
        Of each kept row: x1, y1, x2, y2, as they are written.

    Raises
    ------
    DataError
        For what is no box; it names the row.

    Examples
    --------
    >>> boxes_of(["[[0, 0, 2, 3]]", None, [0, 0, 2, 3], "[[1, 1, 4, 4]]"], [0, 1], {0: [2, 3], 1: []})
    [[(0.0, 0.0, 2.0, 3.0), (1.0, 1.0, 4.0, 4.0)], []]
    """
    found = ([box for each in (row, *repeats[row]) for box in _parse_boxes(plain(values[each]), each)] for row in rows)
    return [list(dict.fromkeys(boxes)) for boxes in found]


def _parse_boxes(value: object, row: int) -> list[tuple[float, ...]]:
    try:
        boxes = json.loads(value) if isinstance(value, str) else value
        if not boxes:
            return []
        if not isinstance(boxes, list):
            raise TypeError(f"a {type(boxes).__name__}, not a list")
        if not isinstance(boxes[0], list):
            boxes = [boxes]
        found = [tuple(float(corner) for corner in box) for box in boxes]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        came = f"{str(value)[:80]!r} in row {row + 1} ({str(error)[:80]})"
        raise DataError("boxes as [[x1, y1, x2, y2], ...]", came, "Write them as JSON.") from error
    for box in found:
        if len(box) != 4 or box[0] > box[2] or box[1] > box[3]:  # one without area is left out, and told
            raise DataError(
                "boxes of four numbers with x1 < x2 and y1 < y2",
                f"{list(box)} in row {row + 1}",
                "Give two corners in pixels (COCO's are x, y, width, height).",
            )
    return found
