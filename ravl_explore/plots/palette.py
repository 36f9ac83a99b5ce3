"""Colours that colour-blind people can tell apart, on light and dark paper, and text that plotly shows as it is."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Literal

import plotly.graph_objects as go

from ravl_explore.support import checks

if TYPE_CHECKING:
    from ravl_explore.discovery import Discovery, SpuriousFeature

Theme = Literal["light", "dark"]

# Okabe and Ito (2008) without black, which is lost on dark paper, and yellow, which is lost on white.
STRONG = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "triangle-down", "star", "hourglass")
MUTED = "#6e6e6e"  # of the greys, the one farthest from the green and the purple in deuteranopia
BEFORE, AFTER, WRONG, RIGHT = "#8a8a8a", "#0072B2", "#D55E00", "#56B4E9"

# Cividis, cut at both ends: the darkest tenth is lost on dark paper, the brightest on white.
SEQUENTIAL = ((0.0, "#3b4a6b"), (0.25, "#5f636e"), (0.5, "#827d78"), (0.75, "#ab9e6f"), (1.0, "#dcc850"))

INK: dict[str, str] = {"light": "#3c3c3c", "dark": "#dcdcdc"}
GRID: dict[str, str] = {"light": "rgba(0,0,0,0.08)", "dark": "rgba(255,255,255,0.10)"}
OUTLINE = "#1f77d0"
LONGEST_NAME = 32
N_CATEGORIES = len(STRONG) * len(SYMBOLS)
COLOURED_WHEN_NONE_KEPT = 6


def category_style(rank: int) -> tuple[str, str]:
    """Colour and marker symbol of the ``rank``-th category: 6 colours as circles, then as diamonds; 54 in all.

    >>> category_style(0), category_style(7)
    (('#D55E00', 'circle'), ('#0072B2', 'diamond'))
    """
    return STRONG[rank % len(STRONG)], SYMBOLS[rank // len(STRONG) % len(SYMBOLS)]


def plain(text: object, longest: int = LONGEST_NAME) -> str:
    """Text that plotly shows literally: no markup, no formula, no template; one line, cut with an ellipsis.

    >>> plain("<b>50% $x$</b>")
    '&lt;b&gt;50&#37; &#36;x&#36;&lt;/b&gt;'
    """
    line = " ".join(str(text).split())
    line = line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
    return html.escape(line, quote=False).replace("$", "&#36;").replace("%", "&#37;")


def template(theme: Theme = "light") -> go.layout.Template:
    """Transparent paper, quiet grid, ink for the theme; small, as it travels with every figure."""
    checks.one_of("theme", theme, tuple(INK))
    axis = {"gridcolor": GRID[theme], "zeroline": False, "linecolor": GRID[theme], "ticks": "", "automargin": True}
    return go.layout.Template(
        layout={
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": INK[theme], "size": 12, "family": "system-ui, -apple-system, Segoe UI, sans-serif"},
            "xaxis": axis,
            "yaxis": axis,
            "legend": {"bgcolor": "rgba(0,0,0,0)"},
            "hoverlabel": {"font": {"size": 12}, "align": "left"},
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#8a8a8a", "activecolor": OUTLINE},
        }
    )


def cluster_colors(discovery: Discovery) -> dict[int, str]:
    """The colour of every cluster on the region map, by cluster number: the same in tables, galleries and plots."""
    return {cluster: color for cluster, (color, _) in _cluster_styles(discovery).items()}


def cluster_symbols(discovery: Discovery) -> dict[int, str]:
    """The marker symbol of every cluster on the region map, by cluster number: it tells those of one colour apart."""
    return {cluster: symbol for cluster, (_, symbol) in _cluster_styles(discovery).items()}


def _cluster_styles(discovery: Discovery) -> dict[int, tuple[str, str]]:
    styles = {each.cluster: (MUTED, "circle") for each in discovery.clusters}
    return styles | {each.cluster: category_style(rank) for rank, each in enumerate(coloured_clusters(discovery))}


def coloured_clusters(discovery: Discovery) -> tuple[SpuriousFeature, ...]:
    """The clusters that get a colour, best first: the kept ones, or the first 6 when none was kept."""
    return (discovery.features or discovery.clusters[:COLOURED_WHEN_NONE_KEPT])[:N_CATEGORIES]
