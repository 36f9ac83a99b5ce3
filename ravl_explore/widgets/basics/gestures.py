"""PointsEvent: one gesture on a plotly figure in the browser, and which points lie in an outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ravl_explore.widgets.basics.acts import Content


@dataclass(frozen=True, eq=False)
class PointsEvent:
    """One gesture in the browser.

    Attributes
    ----------
    kind : str
        "selected" (lasso, box or click) or "deselected" (double click).
    ids : Int[np.ndarray, "n"]
        The ``customdata`` of each point, as it was when the gesture was made.
    polygon : Float[np.ndarray, "m 2"] or None
        Corners in data coordinates for a lasso or a box.
    tool : str
        "lasso", "box" or "click".
    picture : Content or None
        The ``layout.meta`` of the figure on which it was made, if it has one.
    """

    kind: str
    ids: Int[np.ndarray, " n"]
    polygon: Float[np.ndarray, "m 2"] | None = None
    tool: str = "click"
    picture: Content | None = None


def points_event(content: Content, ids: Int[np.ndarray, " n"]) -> PointsEvent:
    """The gesture that ``static/figure.js`` tells of."""
    outline = content.get("outline")
    polygon = None if outline is None else np.column_stack([outline["xs"], outline["ys"]]).astype(float)
    if polygon is not None and content["tool"] == "box":  # two opposite corners
        (x0, y0), (x1, y1) = polygon
        polygon = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    return PointsEvent(content["event"], ids.astype(np.int64), polygon, content["tool"], content.get("picture"))


def inside_polygon(xy: Float[np.ndarray, "n 2"], polygon: Float[np.ndarray, "m 2"]) -> Bool[np.ndarray, " n"]:
    """Which points lie inside a closed polygon, by the even-odd rule.

    The points are sorted by y once; an edge then only meets those of its own height, so that a lasso of hundreds of
    edges costs a few passes.

    >>> inside_polygon(np.array([[0.5, 0.5], [2.0, 0.5]]), np.array([[0, 0], [1, 0], [1, 1], [0, 1]])).tolist()
    [True, False]
    """
    corners = np.asarray(polygon, dtype=np.float64)
    result = np.zeros(len(xy), bool)
    if len(corners) < 3:
        return result
    (left, low), (right, high) = corners.min(0), corners.max(0)
    xs, ys = xy[:, 0], xy[:, 1]
    near = np.flatnonzero((xs >= left) & (xs <= right) & (ys >= low) & (ys <= high))
    near = near[np.argsort(ys[near])]
    x, y = xs[near].astype(np.float64), ys[near].astype(np.float64)
    odd = np.zeros(len(near), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            beside = slice(*np.searchsorted(y, (min(y0, y1), max(y0, y1))))
            odd[beside] ^= x[beside] < (x1 - x0) * (y[beside] - y0) / (y1 - y0) + x0
    result[near[odd]] = True
    return result
