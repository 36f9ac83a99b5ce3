"""region_map(): every region of a discovery as a point, coloured by what you ask about."""

from __future__ import annotations

import html

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, Int

from ravl_explore.discovery import Discovery
from ravl_explore.errors import InputError
from ravl_explore.plots import palette
from ravl_explore.plots.categories import Categories, categories
from ravl_explore.plots.layout import stratified_sample
from ravl_explore.support import checks

MOST_DRAWN = 20_000  # plotly's lasso takes over a second above this, even on a quick machine
UNSELECTED_OPACITY = 0.10
FEW = 200  # selected points up to this many are drawn larger
MOST_LEGEND = 280  # pixels
MARGIN = 0.06  # of the points' extent, around them
PICK_RADIUS = 14  # pixels, as in FiftyOne's embeddings panel


def region_map(
    discovery: Discovery,
    xy: Float[np.ndarray, "n_regions 2"],
    color_by: str = "cluster",
    selection: Int[np.ndarray, " n"] | None = None,
    theme: palette.Theme = "light",
    *,
    layout_name: str = "",
    marked: int | None = None,
    drawn: Int[np.ndarray, " n_drawn"] | None = None,
) -> go.Figure:
    """A point per region, a legend entry per category, with counts; at most 20,000 points are drawn, and it says so.

    Parameters
    ----------
    discovery : Discovery
        Whose regions and clusters they are.
    xy : Float[np.ndarray, "n_regions 2"]
        One place per region, from :mod:`ravl_explore.plots.layout`.
    color_by : str
        One of ``COLOR_BY``.
    selection : Int[np.ndarray, "n"], optional
        Region indices to highlight; None or empty for none.
    theme : "light" or "dark"
        Of the page that shows it.
    layout_name : str
        What the axes are called ("PCA", "UMAP").
    marked : int, optional
        One region to put a ring around.
    drawn : Int[np.ndarray, "n_drawn"], optional
        The regions that are drawn, where the caller knows them: those of :func:`drawn_regions`.

    Returns
    -------
    plotly.graph_objects.Figure
        ``customdata`` of a trace holds the regions of its points, ``meta["entry"]`` its category; the last trace, with
        entry -1, is the ring.

    Raises
    ------
    InputError
        For an unknown ``color_by``, or not one point per region.
    """
    checks.instance("discovery", discovery, Discovery, "Pass what rx.discover() gives.")
    n_regions = len(discovery.clustering.labels)
    xy = np.asarray(xy, dtype=np.float32)
    if xy.shape != (n_regions, 2):
        raise InputError(f"one point for each of {n_regions} regions", f"shape {xy.shape}", "Lay out these embeddings.")
    groups = categories(discovery, color_by)
    drawn = drawn_regions(discovery) if drawn is None else drawn
    chosen = chosen_mask(n_regions, selection)
    texts = hover_texts(discovery, drawn)
    size = point_size(len(drawn))
    figure = go.Figure()
    for entry in (*groups.below, *(e for e in range(len(groups.names)) if e not in groups.below)):
        here = np.flatnonzero(groups.codes[drawn] == entry)
        rows = drawn[here]
        figure.add_trace(
            go.Scattergl(
                x=xy[rows, 0],
                y=xy[rows, 1],
                customdata=rows.astype(np.int32),
                text=texts[here],
                hovertemplate="%{text}<extra></extra>",
                mode="markers",
                name=_legend_text(groups, entry, chosen),
                legendrank=1000 + entry,
                meta={"entry": entry},
                marker=_marker(groups, entry, rows, size, discovery, color_by),
                selectedpoints=None if chosen is None else np.flatnonzero(chosen[rows]).astype(np.int32),
                **_emphasis(chosen, size),
            )
        )
    figure.add_trace(_ring(xy, marked))
    figure.update_layout(_layout(theme, layout_name, color_by, groups, xy[drawn], n_regions))
    return figure


def drawn_regions(discovery: Discovery, most: int | None = None) -> Int[np.ndarray, " n_drawn"]:
    """Which regions are drawn, in rising order: all, or a seeded sample that keeps every cluster visible."""
    most = MOST_DRAWN if most is None else most
    return stratified_sample(discovery.clustering.labels, most)


def hover_texts(discovery: Discovery, rows: Int[np.ndarray, " n"]) -> np.ndarray:
    """One line pair per region: image, cluster, true and predicted label."""
    embeddings = discovery.scores.embeddings
    names = [palette.plain(name) for name in embeddings.class_names]
    images = embeddings.regions.image_index[rows]
    kept = {each.cluster: each.kept for each in discovery.clusters}
    clusters = [f"cluster {c}" + ("" if kept[c] else " (pruned)") for c in range(discovery.clustering.n_clusters)]
    labels, predictions = embeddings.labels[images], discovery.scores.predictions[images]
    lines = zip(
        images.tolist(), discovery.clustering.labels[rows].tolist(), labels.tolist(), predictions.tolist(), strict=True
    )
    texts = [
        f"image {i} · {clusters[c]}<br>{names[t]}" + (", predicted right" if t == p else f", predicted {names[p]}")
        for i, c, t, p in lines
    ]
    return np.array(texts, dtype=object)


def chosen_mask(n_regions: int, selection: Int[np.ndarray, " n"] | None) -> np.ndarray | None:
    """(n_regions,) bool, or None when nothing is selected."""
    if selection is None:
        return None
    if not checks.is_list(selection):
        raise InputError("selection as a list of region numbers", checks.came(selection), "Give [number, number].")
    rows = np.asarray(selection)
    if rows.size == 0:
        return None
    checks.array("selection", rows, "iu", (None,), 0, n_regions - 1)
    mask = np.zeros(n_regions, bool)
    mask[rows] = True
    return mask


def point_size(n_drawn: int) -> int:
    """Marker diameter in pixels: smaller when crowded."""
    return 8 if n_drawn <= 1000 else 6 if n_drawn <= 6000 else 5 if n_drawn <= 12_000 else 4


def _ring(xy: np.ndarray, marked: int | None) -> go.Scattergl:
    rows = np.array([] if marked is None else [marked], dtype=np.int32)
    return go.Scattergl(
        x=xy[rows, 0],
        y=xy[rows, 1],
        customdata=rows,
        mode="markers",
        marker={"size": 18, "symbol": "circle-open", "color": palette.OUTLINE, "line": {"width": 3}},
        unselected={"marker": {"opacity": 1.0}},
        hoverinfo="skip",
        showlegend=False,
        meta={"entry": -1},
    )


def _emphasis(chosen: np.ndarray | None, size: int) -> dict[str, object]:
    """How selected points stand out; a few stand out by size, too. Nothing without a selection: scattergl keeps drawing
    in the selected style when a selection ends."""
    if chosen is None:
        return {}
    size = size + 3 if int(chosen.sum()) <= FEW else size
    return {
        "selected": {"marker": {"opacity": 1.0, "size": size}},
        "unselected": {"marker": {"opacity": UNSELECTED_OPACITY}},
    }


def _sizes(groups: Categories) -> list[int]:
    return np.bincount(groups.codes, minlength=len(groups.names)).tolist()


def _legend_text(groups: Categories, entry: int, chosen: np.ndarray | None) -> str:
    here = groups.codes == entry
    count = f"{int(here.sum()):,}" if chosen is None else f"{int((here & chosen).sum()):,} / {int(here.sum()):,}"
    return f"{groups.names[entry]} ({count})"


def _marker(
    groups: Categories, entry: int, rows: np.ndarray, size: int, discovery: Discovery, color_by: str
) -> dict[str, object]:
    marker: dict[str, object] = {"size": size, "symbol": groups.symbols[entry], "color": groups.colors[entry]}
    marker["opacity"] = 0.3 if entry in groups.below else 0.85
    if groups.values is not None and entry == 0:
        values = groups.values
        top = float(values.max()) or 1.0
        marker |= {
            "color": values[rows],
            "colorscale": [list(stop) for stop in palette.SEQUENTIAL],
            "cmin": 0.0,
            "cmax": top,
            "showscale": True,
            "colorbar": {
                "title": {"text": color_by, "side": "right"},
                "thickness": 12,
                "outlinewidth": 0,
                "y": 0.45,
                "len": 0.8,
            },
        }
    return marker


def _axis(values: np.ndarray, title: str) -> dict[str, object]:
    """An axis that shows all points, whichever legend entries are switched off; a zoom goes back to the same."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    room = MARGIN * (high - low) or 1.0
    limits = {"minallowed": low - room, "maxallowed": high + room}
    return {"showticklabels": False, "title": {"text": title, "standoff": 4}, "autorangeoptions": limits}


def _layout(
    theme: palette.Theme, layout_name: str, color_by: str, groups: Categories, xy: np.ndarray, n_regions: int
) -> dict[str, object]:
    n_drawn = len(xy)
    note = {
        "text": "" if n_drawn == n_regions else f"showing {n_drawn:,} of {n_regions:,} regions; a lasso takes all",
        "xref": "paper", "yref": "paper", "x": 0, "y": 0, "xanchor": "left", "yanchor": "bottom",
        "showarrow": False, "font": {"size": 11},
    }  # fmt: skip
    name = palette.plain(layout_name)
    valued = groups.values is not None
    # room for the longest entry with both counts: a plot that changes its width with the selection is hard to follow
    longest = max(
        len(html.unescape(each)) + 2 * len(f"{n:,}") + 6 for each, n in zip(groups.names, _sizes(groups), strict=True)
    )
    right = 96 if valued else min(MOST_LEGEND, 44 + round(6.2 * longest))
    return {
        "template": palette.template(theme),
        "dragmode": "lasso",
        "clickmode": "event+select",
        "hovermode": "closest",
        "hoverdistance": PICK_RADIUS,
        "margin": {"l": 28, "r": right, "t": 34, "b": 28, "autoexpand": False},  # the top is the tool bar's
        "xaxis": _axis(xy[:, 0], f"{name} 1" if name else ""),
        "yaxis": _axis(xy[:, 1], f"{name} 2" if name else ""),
        "showlegend": True,
        "legend": {
            "itemsizing": "constant",
            "font": {"size": 11},
            "orientation": "h" if valued else "v",
            "x": 0 if valued else 1.01,
            "y": 1.0,
            "xanchor": "left",
            "yanchor": "bottom" if valued else "top",
        },
        "newselection": {"line": {"color": palette.OUTLINE, "width": 1.5, "dash": "dot"}},
        "annotations": [note],
    }
