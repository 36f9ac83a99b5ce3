"""Inline SVG: the bars of a class's accuracies with their intervals, and the map of the regions; no script needed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from ravl_explore.discovery import Discovery, SpuriousFeature
from ravl_explore.plots.palette import MUTED, STRONG
from ravl_explore.report.markup import escape, plural

BAR_WIDTH, BAR_HEIGHT = 180, 26
MAP_WIDTH, MAP_HEIGHT, MARGIN = 760, 430, 18
N_COLORS = len(STRONG)
LIGHT = STRONG[3:]  # black is read better on these than white
TAG = 11  # radius of a rank's tag on the map
TAG_DISTANCES = (22, 36, 52, 70)
DIRECTIONS = np.array([(0.7, -0.7), (-0.7, -0.7), (0.7, 0.7), (-0.7, 0.7), (0, -1), (1, 0), (0, 1), (-1, 0)])


def accuracy_bars(row: Mapping[str, float]) -> str:
    """With the feature above, without below: a dot at the accuracy, a line over its 95% interval, from 0 to 100%."""
    lines = []
    for y, kind in ((8, "in"), (18, "out")):
        value, low, high = (row[f"accuracy_{kind}{end}"] for end in ("", "_low", "_high"))
        if not all(map(math.isfinite, (value, low, high))):
            continue
        lines.append(
            f'<g class="{kind}"><path d="M{_x(low)} {y}H{_x(high)}"/><circle cx="{_x(value)}" cy="{y}" r="4"/></g>'
        )
    grid = "".join(f'<path class="grid" d="M{_x(share)} 1V25"/>' for share in (0, 0.5, 1))
    return (
        f'<svg class="bars" viewBox="0 0 {BAR_WIDTH} {BAR_HEIGHT}" width="{BAR_WIDTH}" height="{BAR_HEIGHT}" '
        f'aria-hidden="true">{grid}{"".join(lines)}</svg>'
    )


def region_map_svg(
    discovery: Discovery, xy: Float[np.ndarray, "n 2"], drawn: Int[np.ndarray, " n"], layout_name: str
) -> str:
    """The regions ``drawn`` at ``xy``: the first six suspects in colour with their rank as a number, the rest grey."""
    places = _scaled(xy)
    labels = discovery.clustering.labels[drawn]
    shown = discovery.features[:N_COLORS]
    colored = {each.cluster: rank for rank, each in enumerate(shown)}
    kept = [each.cluster for each in discovery.features[N_COLORS:]]
    others = ~np.isin(labels, [*colored, *kept])
    size = 6 if len(drawn) <= 1000 else 4.5
    layers = [
        f'<path class="pruned" d="{_dots(places[others])}"/>',
        f'<path class="other" d="{_dots(places[np.isin(labels, kept)])}"/>',
    ]
    points: dict[int, np.ndarray] = {}
    for each in reversed(shown):
        rank, here = colored[each.cluster], places[labels == each.cluster]
        layers.append(f'<path stroke="{STRONG[rank]}" d="{_dots(here)}"/>')
        if len(here):
            points[rank] = _middle(here)
    tags = [_tag(rank, points[rank], place) for rank, place in _tag_places(points).items()]
    n_regions = len(discovery.clustering.labels)
    told = plural(n_regions, "region") if len(drawn) == n_regions else f"{len(drawn):,} of {n_regions:,} regions"
    return (
        f'<figure class="map"><svg viewBox="0 0 {MAP_WIDTH} {MAP_HEIGHT}" role="img" '
        f'aria-label="Map of the regions: alike ones lie close together">'
        f'<g fill="none" stroke-width="{size}" stroke-linecap="round">{"".join(layers)}</g>'
        f'<g class="tags">{"".join(tags)}</g></svg>'
        f'<ul class="legend">{_legend(discovery, shown, len(kept))}</ul>'
        f"<figcaption>Each dot is a region; regions that the model embeds alike lie close together "
        f"({escape(layout_name)} of their embeddings, {told}).</figcaption></figure>"
    )


def swatch(rank: int) -> str:
    """The dot of a suspect's colour on the map; grey beyond the sixth."""
    return f'<span class="dot" style="background:{STRONG[rank] if rank < N_COLORS else MUTED}"></span>'


def _legend(discovery: Discovery, shown: tuple[SpuriousFeature, ...], n_other: int) -> str:
    entries = [
        f"<li>{swatch(rank)}{rank + 1}: cluster {each.cluster}"
        + (f", towards {escape(each.attribute, 28)}" if each.attribute else "")
        + "</li>"
        for rank, each in enumerate(shown)
    ]
    if n_other:
        entries.append(f'<li><span class="dot other"></span>{plural(n_other, "other suspect")}</li>')
    n_pruned = len(discovery.clusters) - len(discovery.features)
    if n_pruned:
        entries.append(f'<li><span class="dot pruned"></span>{plural(n_pruned, "other cluster")}</li>')
    return "".join(entries)


def _scaled(xy: np.ndarray) -> np.ndarray:
    """Points within the map's frame; a few far away ones are drawn at its edge, so that the rest is not a dot."""
    low, high = np.percentile(xy, [0.5, 99.5], axis=0) if len(xy) > 200 else (xy.min(0), xy.max(0))
    room = np.array([MAP_WIDTH - 2 * MARGIN, MAP_HEIGHT - 2 * MARGIN])
    share = np.clip((xy - low) / np.maximum(high - low, 1e-12), -0.02, 1.02)
    return MARGIN + np.stack([share[:, 0], 1 - share[:, 1]], axis=1) * room


def _dots(places: np.ndarray) -> str:
    """Lines of no length with round ends: the shortest way to write a dot."""
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places)


def _middle(places: np.ndarray) -> np.ndarray:
    """The cluster's own point nearest to its median: a ring's middle is empty."""
    return places[np.abs(places - np.median(places, axis=0)).sum(1).argmin()]


def _tag_places(points: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Beside each point, the nearest place in the frame that no tag of a better rank has."""
    placed: dict[int, np.ndarray] = {}
    for rank in sorted(points):
        tried = [points[rank] + distance * direction for distance in TAG_DISTANCES for direction in DIRECTIONS]
        inside = [p for p in tried if TAG < p[0] < MAP_WIDTH - TAG and TAG < p[1] < MAP_HEIGHT - TAG]
        free = (p for p in inside if all(np.hypot(*(p - other)) > 2.2 * TAG for other in placed.values()))
        placed[rank] = next(free, inside[0])
    return placed


def _tag(rank: int, point: np.ndarray, place: np.ndarray) -> str:
    (x0, y0), (x, y), color = point, place, STRONG[rank]
    ink = "#000" if color in LIGHT else "#fff"
    return (
        f'<path d="M{x0:.1f} {y0:.1f}L{x:.1f} {y:.1f}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="{TAG}" fill="{color}"/>'
        f'<text x="{x:.1f}" y="{y + 4.5:.1f}" fill="{ink}">{rank + 1}</text>'
    )


def _x(share: float) -> str:
    return f"{6 + share * (BAR_WIDTH - 12):.1f}"
