"""Categories: how the regions of a discovery fall into legend entries, for each way of colouring the map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ravl_explore.discovery import Discovery
from ravl_explore.errors import InputError
from ravl_explore.plots import palette

COLOR_BY = ("cluster", "influence", "performance gap", "true label", "predicted label", "error")
MOST_CLASSES = 20  # a longer legend is not read; the rarer classes share one grey entry


@dataclass(frozen=True, eq=False)
class Categories:
    """How the regions fall into legend entries.

    Attributes
    ----------
    codes : Int[np.ndarray, "n_regions"]
        The legend entry of each region.
    names : tuple of str
        What the legend says, without the counts.
    colors, symbols : tuple of str
        CSS colour and plotly's marker symbol of each entry.
    values : Float[np.ndarray, "n_regions"] or None
        float32 for the colour bar of entry 0, where there is one.
    below : tuple of int
        Entries that are drawn first, under the others.
    """

    codes: Int[np.ndarray, " n_regions"]
    names: tuple[str, ...]
    colors: tuple[str, ...]
    symbols: tuple[str, ...]
    values: Float[np.ndarray, " n_regions"] | None = None
    below: tuple[int, ...] = ()


def categories(discovery: Discovery, color_by: str) -> Categories:
    """The legend entries for one way of colouring."""
    if not isinstance(color_by, str) or color_by not in COLOR_BY:
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
        return Categories(
            np.where(wrong, 0, 1), names, (palette.WRONG, palette.RIGHT), ("circle", "circle"), None, (1,)
        )
    labels = embeddings.labels if color_by == "true label" else discovery.scores.predictions
    return _by_class(labels[image_index], embeddings.class_names)


def _by_cluster(discovery: Discovery) -> Categories:
    """Kept clusters in rank order, each in a strong colour; the pruned ones share one grey entry."""
    shown = palette.coloured_clusters(discovery)
    code = np.full(discovery.clustering.n_clusters, len(shown))
    code[[each.cluster for each in shown]] = np.arange(len(shown))
    names = [
        f"cluster {each.cluster}" + ("" if each.attribute is None else f" · {palette.plain(each.attribute, 20)}")
        for each in shown
    ]
    styles = [palette.category_style(rank) for rank in range(len(shown))]
    others = len(discovery.clusters) - len(shown)
    if others:
        what = "pruned" if len(discovery.features) == len(shown) else "other"
        names.append(f"{others} {what} cluster{'s' if others > 1 else ''}")
        styles.append((palette.MUTED, "circle"))
    colors, symbols = zip(*styles, strict=True)
    return Categories(
        code[discovery.clustering.labels], tuple(names), colors, symbols, None, (len(shown),) if others else ()
    )


def _by_value(discovery: Discovery, field: str) -> Categories:
    per_cluster = np.full(discovery.clustering.n_clusters, np.nan, np.float32)
    for each in discovery.clusters:
        per_cluster[each.cluster] = getattr(each, field)
    defined = np.isfinite(per_cluster)
    values = np.where(defined, per_cluster, 0)[discovery.clustering.labels].astype(np.float32)
    codes = np.where(defined, 0, 1)[discovery.clustering.labels]
    names = ("scored", "no error image qualifies") if (codes == 1).any() else ("scored",)
    colors, symbols = (palette.STRONG[0], palette.MUTED), ("circle", "circle")
    return Categories(codes, names, colors[: len(names)], symbols[: len(names)], values, (1,) if len(names) > 1 else ())


def _by_class(labels: Int[np.ndarray, " n_regions"], class_names: tuple[str, ...]) -> Categories:
    counts = np.bincount(labels, minlength=len(class_names))
    shown = (
        np.sort(np.argsort(-counts, kind="stable")[:MOST_CLASSES])
        if len(class_names) > MOST_CLASSES
        else np.arange(len(class_names))
    )
    code = np.full(len(class_names), len(shown))
    code[shown] = np.arange(len(shown))
    names = [palette.plain(class_names[c]) for c in shown]
    styles = [palette.category_style(rank) for rank in range(len(shown))]
    others = len(class_names) - len(shown)
    if others:
        names.append(f"{others} other classes")
        styles.append((palette.MUTED, "circle"))
    colors, symbols = zip(*styles, strict=True)
    return Categories(code[labels], tuple(names), colors, symbols, None, (len(shown),) if others else ())
