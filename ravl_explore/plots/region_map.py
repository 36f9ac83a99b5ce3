"""region_map(): every region of a discovery as a point, coloured by what you ask about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, Int

from ravl_explore.discovery import Discovery
from ravl_explore.errors import InputError
from ravl_explore.plots import palette

COLOR_BY = ("cluster", "influence", "performance gap", "true label", "predicted label", "error")
MOST_DRAWN = 20_000  # plotly's lasso takes over a second above this, even on a quick machine
FEWEST_PER_CLUSTER = 20
MOST_CLASSES = 20  # a longer legend is not read; the rarer classes share one grey entry
COLOURED_WHEN_NONE_KEPT = 6
UNSELECTED_OPACITY = 0.10
PICK_RADIUS = 14  # pixels, as in FiftyOne's embeddings panel


@dataclass(frozen=True, eq=False)
class Categories:
    """How the regions fall into legend entries.

    Attributes
    ----------
    codes : (n_regions,) the legend entry of each region
    names : what the legend says, without the counts
    colors, symbols : of each entry
    values : (n_regions,) float32 for the colour bar of entry 0, or None
    below : entries that are drawn first, under the others
    """

    codes: Int[np.ndarray, " n_regions"]
    names: tuple[str, ...]
    colors: tuple[str, ...]
    symbols: tuple[str, ...]
    values: Float[np.ndarray, " n_regions"] | None = None
    below: tuple[int, ...] = ()


def region_map(
    discovery: Discovery,
    xy: Float[np.ndarray, "n_regions 2"],
    color_by: str = "cluster",
    selection: Int[np.ndarray, " n"] | None = None,
    theme: palette.Theme = "light",
    *,
    layout_name: str = "",
) -> go.Figure:
    """A point per region, a legend entry per category, with counts; at most 20,000 points are drawn, and it says so.

    Parameters
    ----------
    xy : one place per region, from :mod:`ravl_explore.layout`
    color_by : one of ``COLOR_BY``
    selection : region indices to highlight; None or empty for none
    layout_name : what the axes are called ("PCA", "UMAP")

    Returns
    -------
    plotly.graph_objects.Figure
        ``customdata`` of each trace holds the region indices of its points; trace ``i`` is legend entry ``meta["entry"]``.

    Raises
    ------
    InputError
        For an unknown ``color_by``, or not one point per region.
    """
    n_regions = len(discovery.clustering.labels)
    xy = np.asarray(xy, dtype=np.float32)
    if xy.shape != (n_regions, 2):
        raise InputError(f"one point for each of {n_regions} regions", f"shape {xy.shape}", "Lay out these embeddings.")
    groups = categories(discovery, color_by)
    drawn = drawn_regions(discovery)
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
                selected={"marker": {"opacity": 1.0, "size": size + 3 if _few(chosen) else size}},
                unselected={"marker": {"opacity": UNSELECTED_OPACITY}},
            )
        )
    figure.update_layout(_layout(theme, layout_name, color_by, groups, len(drawn), n_regions))
    return figure


def categories(discovery: Discovery, color_by: str) -> Categories:
    """The legend entries for one way of colouring."""
    if color_by not in COLOR_BY:
        raise InputError(f"color_by in {COLOR_BY}", repr(color_by), "Colour by one of these.")
    embeddings = discovery.scores.embeddings
    image_index = embeddings.regions.image_index
    if color_by == "cluster":
        return _by_cluster(discovery)
    if color_by in ("influence", "performance gap"):
        return _by_value(discovery, "influence" if color_by == "influence" else "performance_gap")
    if color_by == "error":
        wrong = ~discovery.scores.correct[image_index]
        names = ("wrong prediction", "right prediction")
        return Categories(np.where(wrong, 0, 1), names, (palette.WRONG, palette.RIGHT), ("circle", "circle"), None, (1,))
    labels = embeddings.labels if color_by == "true label" else discovery.scores.predictions
    return _by_class(labels[image_index], embeddings.class_names)


def drawn_regions(discovery: Discovery, most: int | None = None) -> Int[np.ndarray, " n_drawn"]:
    """Which regions are drawn, in rising order: all, or a seeded sample that keeps every cluster visible."""
    most = MOST_DRAWN if most is None else most
    labels = discovery.clustering.labels
    if len(labels) <= most:
        return np.arange(len(labels))
    counts = np.bincount(labels, minlength=discovery.clustering.n_clusters)
    floor = np.minimum(counts, min(FEWEST_PER_CLUSTER, most // len(counts)))
    rest = counts - floor
    quota = floor + (rest * ((most - floor.sum()) / max(rest.sum(), 1))).astype(np.int64)
    order = np.random.default_rng(0).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    place = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(order[place < quota[labels[order]]])


def hover_texts(discovery: Discovery, rows: Int[np.ndarray, " n"]) -> np.ndarray:
    """One line pair per region: image, cluster, true and predicted label."""
    embeddings = discovery.scores.embeddings
    names = [palette.plain(name) for name in embeddings.class_names]
    images = embeddings.regions.image_index[rows]
    kept = {each.cluster: each.kept for each in discovery.clusters}
    clusters = [f"cluster {c}" + ("" if kept[c] else " (pruned)") for c in range(discovery.clustering.n_clusters)]
    labels, predictions = embeddings.labels[images], discovery.scores.predictions[images]
    lines = zip(images.tolist(), discovery.clustering.labels[rows].tolist(), labels.tolist(), predictions.tolist(), strict=True)
    texts = [
        f"image {i} · {clusters[c]}<br>{names[t]}" + (", predicted right" if t == p else f", predicted {names[p]}")
        for i, c, t, p in lines
    ]
    return np.array(texts, dtype=object)


def chosen_mask(n_regions: int, selection: Int[np.ndarray, " n"] | None) -> np.ndarray | None:
    """(n_regions,) bool, or None when nothing is selected."""
    if selection is None or len(selection) == 0:
        return None
    mask = np.zeros(n_regions, bool)
    mask[np.asarray(selection, dtype=np.int64)] = True
    return mask


def point_size(n_drawn: int) -> int:
    """Marker diameter in pixels: smaller when crowded."""
    return 8 if n_drawn <= 1000 else 6 if n_drawn <= 6000 else 5 if n_drawn <= 12_000 else 4


def _few(chosen: np.ndarray | None) -> bool:
    return chosen is not None and int(chosen.sum()) <= 200


def _legend_text(groups: Categories, entry: int, chosen: np.ndarray | None) -> str:
    here = groups.codes == entry
    count = f"{int(here.sum()):,}" if chosen is None else f"{int((here & chosen).sum()):,} / {int(here.sum()):,}"
    return f"{groups.names[entry]} ({count})"


def _by_cluster(discovery: Discovery) -> Categories:
    """Kept clusters in rank order, each in a strong colour; the pruned ones share one grey entry."""
    kept = [each for each in discovery.clusters if each.kept]
    shown = (kept or list(discovery.clusters[:COLOURED_WHEN_NONE_KEPT]))[: palette.N_CATEGORIES]
    code = np.full(discovery.clustering.n_clusters, len(shown))
    code[[each.cluster for each in shown]] = np.arange(len(shown))
    names = [
        f"cluster {each.cluster}" + ("" if each.attribute is None else f" · {palette.plain(each.attribute, 20)}")
        for each in shown
    ]
    styles = [palette.category_style(rank) for rank in range(len(shown))]
    others = len(discovery.clusters) - len(shown)
    if others:
        what = "pruned" if len(kept) == len(shown) else "other"
        names.append(f"{others} {what} cluster{'s' if others > 1 else ''}")
        styles.append((palette.MUTED[0], "circle"))
    colors, symbols = zip(*styles, strict=True)
    return Categories(code[discovery.clustering.labels], tuple(names), colors, symbols, None, (len(shown),) if others else ())


def _by_value(discovery: Discovery, field: str) -> Categories:
    per_cluster = np.full(discovery.clustering.n_clusters, np.nan, np.float32)
    for each in discovery.clusters:
        per_cluster[each.cluster] = getattr(each, field)
    defined = np.isfinite(per_cluster)
    values = np.where(defined, per_cluster, 0)[discovery.clustering.labels].astype(np.float32)
    codes = np.where(defined, 0, 1)[discovery.clustering.labels]
    names = ("scored", "no error image qualifies") if (codes == 1).any() else ("scored",)
    colors, symbols = (palette.STRONG[0], palette.MUTED[0]), ("circle", "circle")
    return Categories(codes, names, colors[: len(names)], symbols[: len(names)], values, (1,) if len(names) > 1 else ())


def _by_class(labels: Int[np.ndarray, " n_regions"], class_names: tuple[str, ...]) -> Categories:
    counts = np.bincount(labels, minlength=len(class_names))
    shown = np.sort(np.argsort(-counts, kind="stable")[:MOST_CLASSES]) if len(class_names) > MOST_CLASSES else np.arange(len(class_names))
    code = np.full(len(class_names), len(shown))
    code[shown] = np.arange(len(shown))
    names = [palette.plain(class_names[c]) for c in shown]
    styles = [palette.category_style(rank) for rank in range(len(shown))]
    others = len(class_names) - len(shown)
    if others:
        names.append(f"{others} other classes")
        styles.append((palette.MUTED[0], "circle"))
    colors, symbols = zip(*styles, strict=True)
    return Categories(code[labels], tuple(names), colors, symbols, None, (len(shown),) if others else ())


def _marker(
    groups: Categories, entry: int, rows: np.ndarray, size: int, discovery: Discovery, color_by: str
) -> dict[str, object]:
    marker: dict[str, object] = {"size": size, "symbol": groups.symbols[entry], "color": groups.colors[entry]}
    marker["opacity"] = 0.45 if entry in groups.below else 0.85
    if groups.values is not None and entry == 0:
        values = groups.values
        top = float(values.max()) or 1.0
        marker |= {
            "color": values[rows],
            "colorscale": [list(stop) for stop in palette.SEQUENTIAL],
            "cmin": 0.0,
            "cmax": top,
            "showscale": True,
            "colorbar": {"title": {"text": color_by, "side": "right"}, "thickness": 12, "outlinewidth": 0, "y": 0.45, "len": 0.8},
        }
    return marker


def _layout(
    theme: palette.Theme, layout_name: str, color_by: str, groups: Categories, n_drawn: int, n_regions: int
) -> dict[str, object]:
    note = {
        "text": f"showing {n_drawn:,} of {n_regions:,} regions; a lasso takes all of them" if n_drawn < n_regions else "",
        "xref": "paper", "yref": "paper", "x": 0, "y": 0, "xanchor": "left", "yanchor": "bottom",
        "showarrow": False, "font": {"size": 11},
    }  # fmt: skip
    axis = {"showticklabels": False, "showgrid": True, "title": {"standoff": 4}}
    name = palette.plain(layout_name)
    valued = groups.values is not None
    return {
        "template": palette.template(theme),
        "dragmode": "lasso",
        "clickmode": "event+select",
        "hovermode": "closest",
        "hoverdistance": PICK_RADIUS,
        "margin": {"l": 28, "r": 8, "t": 8, "b": 28},
        "xaxis": axis | {"title": {"text": f"{name} 1" if name else "", "standoff": 4}},
        "yaxis": axis | {"title": {"text": f"{name} 2" if name else "", "standoff": 4}},
        "showlegend": True,
        "legend": {
            "title": {"text": "" if valued else color_by},
            "itemsizing": "constant",
            "orientation": "h" if valued else "v",
            "x": 0 if valued else 1.01,
            "y": 1.0,
            "xanchor": "left",
            "yanchor": "bottom" if valued else "top",
        },
        "newselection": {"line": {"color": palette.OUTLINE, "width": 1.5, "dash": "dot"}},
        "annotations": [note],
    }
