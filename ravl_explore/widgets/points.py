"""PointsEvent: one gesture on a plotly figure in the browser, and which points lie in an outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

_KINDS = {
    "plotly_selected": "selected",
    "plotly_deselect": "deselected",
    "plotly_hover": "hover",
    "plotly_unhover": "unhover",
}


@dataclass(frozen=True, eq=False)
class PointsEvent:
    """One gesture in the browser.

    Attributes
    ----------
    kind : "selected" (lasso, box or click), "deselected" (double click), "hover" or "unhover"
    traces, points : (n,) int64, the trace and the place in it of each point
    polygon : (m, 2) corners in data coordinates for a lasso or a box, else None
    tool : "lasso", "box" or "click"
    """

    kind: str
    traces: np.ndarray
    points: np.ndarray
    polygon: np.ndarray | None = None
    tool: str = "click"


def points_event(message: dict) -> PointsEvent | None:
    kind = _KINDS.get(message["event_type"])
    if kind is None:
        return None
    points = message.get("points") or {}
    traces = np.asarray(points.get("trace_indexes") or (), dtype=np.int64)
    inside = np.asarray(points.get("point_indexes") or (), dtype=np.int64)
    selector = message.get("selector") or {}
    state = selector.get("selector_state") or {}
    if selector.get("type") == "lasso":
        return PointsEvent(kind, traces, inside, np.column_stack([state["xs"], state["ys"]]).astype(float), "lasso")
    if selector.get("type") == "box":
        (x0, x1), (y0, y1) = state["xrange"], state["yrange"]
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=float)
        return PointsEvent(kind, traces, inside, corners, "box")
    if kind == "selected" and not len(inside):
        return None  # plotly's own echo when an outline is taken away; a click that unselects is "deselected"
    return PointsEvent(kind, traces, inside)


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
