"""The table of clusters, best first: kept ones, then pruned ones with the reason; one row can be selected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import traitlets

from ravl_explore.discovery import LIKELY_REAL, Discovery
from ravl_explore.widgets.basics.acts import RowPicker
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.static import script, style

Record = Mapping[Any, Any]  # a row of a discovery's table, by column
COLUMNS = [
    {"key": "rank", "title": "#", "format": "integer", "help": "Rank: kept clusters first, largest gap first"},
    {"key": "cluster", "title": "Cluster", "format": "integer", "help": "Number of the cluster"},
    {
        "key": "attribute",
        "title": "Pulls towards",
        "format": "text",
        "help": "The class that gains most accuracy where the cluster occurs",
    },
    {
        "key": "performance_gap",
        "title": "Gap G",
        "format": "two",
        "help": "Performance gap: how much class accuracies differ with and without it, summed over classes",
    },
    {
        "key": "gap_per_class",
        "title": "Gap / class",
        "format": "three",
        "help": "The gap divided by the number of classes: comparable with datasets of more or fewer classes",
    },
    {
        "key": "influence",
        "title": "Influence",
        "format": "two",
        "help": "Share of errors, in the worst class, whose decisive region is in this cluster",
    },
    {
        "key": "q_value",
        "title": "Chance (q)",
        "format": "chance",
        "help": "Expected share of chance findings among the clusters with a q this small or smaller "
        "(permutation test, Benjamini-Hochberg)",
    },
    {"key": "n_regions", "title": "Regions", "format": "integer", "help": "Regions in the cluster"},
    {"key": "n_images", "title": "Images", "format": "integer", "help": "Images with such a region"},
    {"key": "verdict", "title": "Verdict", "format": "text", "help": "A possible shortcut, or why not"},
]


class ClusterTable(Closing, RowPicker):
    """Clusters of a discovery as a table.

    Parameters
    ----------
    discovery : Discovery, optional
        What to show; can be changed with :meth:`show`.
    colors, symbols : dict of int to str, optional
        CSS colour and plotly's marker symbol by cluster, for the mark beside its number.

    Attributes
    ----------
    selected : int or None
        The cluster of the selected row; set it, or observe it: observers hear of every click.
    """

    _esm = script("table.js")
    _css = style("table.css")
    _number = "cluster"
    columns = traitlets.List(traitlets.Dict(), default_value=COLUMNS).tag(sync=True)
    """Of each column the key of its cells, its title, how a number in it is written, and what it means."""

    note = traitlets.Unicode("").tag(sync=True)
    """Why no cluster is suspect; empty where one is."""

    def __init__(
        self,
        discovery: Discovery | None = None,
        colors: dict[int, str] | None = None,
        symbols: dict[int, str] | None = None,
    ) -> None:
        super().__init__()
        if discovery is not None:
            self.show(discovery, colors, symbols)

    def show(
        self, discovery: Discovery, colors: dict[int, str] | None = None, symbols: dict[int, str] | None = None
    ) -> None:
        """Fill the table; nothing is selected afterwards.

        Parameters
        ----------
        discovery : Discovery
            What to show.
        colors, symbols : dict of int to str, optional
            CSS colour and plotly's marker symbol by cluster.
        """
        self.selected = None
        self.note = f"No cluster is suspect: {discovery.why_none()}." if not discovery.features else ""
        self.rows = [_row(row, colors or {}, symbols or {}) for row in discovery.frame().to_dict("records")]


def _row(row: Record, colors: dict[int, str], symbols: dict[int, str]) -> dict[str, object]:
    influence, q, p = (float(row[key]) for key in ("influence", "q_value", "p_value"))
    kept = bool(row["kept"])
    return {
        "rank": int(row["rank"]),
        "cluster": int(row["cluster"]),
        "kept": kept,
        "doubtful": kept and q > LIKELY_REAL,
        "attribute": row["attribute"] if isinstance(row["attribute"], str) else None,
        "performance_gap": float(row["performance_gap"]),
        "gap_per_class": float(row["gap_per_class"]),
        "influence": influence if math.isfinite(influence) else None,
        "q_value": q if math.isfinite(q) else None,
        "n_regions": int(row["n_regions"]),
        "n_images": int(row["n_images"]),
        "verdict": _verdict(kept, str(row["reason"]), q),
        "color": colors.get(int(row["cluster"]), ""),
        "symbol": symbols.get(int(row["cluster"]), "circle"),
        "help": {"q_value": f"p = {p:.2g} before the correction"} if math.isfinite(p) else {},
    }


def _verdict(kept: bool, reason: str, q: float) -> str:
    if not kept:
        return f"pruned: {reason}"
    return "may be chance" if q > LIKELY_REAL else "suspect"
