"""comparison_figure(): accuracy of every group before and after, images beside regions, the worst group marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ravl_explore.comparison import Comparison
from ravl_explore.plots import palette
from ravl_explore.support import checks

if TYPE_CHECKING:
    from ravl_explore.metrics import GroupAccuracy

Group = tuple[str, bool]
Record = Mapping[Any, Any]  # a row of the table of groups, by column

MOST_GROUPS = 24
ROW_HEIGHT = 24
OVERALL = "<b>overall</b>"
TITLES = {"image": "whole images", "region": "regions"}


def comparison_figure(comparison: Comparison, theme: palette.Theme = "light") -> go.Figure:
    """A dumbbell per group, from before (grey) to after (blue); the group that was worst on top, below "overall".

    Groups are sorted by their accuracy before, over the levels; at most the 24 lowest are shown, and it says so.
    A ring marks the worst group of each model among those that are large enough to count.

    Parameters
    ----------
    comparison : Comparison
        What to show.
    theme : "light" or "dark"
        Of the page that shows it.
    """
    checks.instance("comparison", comparison, Comparison, "Pass what rx.compare(before, after) gives.")
    groups: Sequence[Record] = comparison.groups().to_dict("records")
    by_level: dict[str, dict[Group, Record]] = {
        level: {(each["class_name"], bool(each["present"])): each for each in groups if each["level"] == level}
        for level in comparison.before.levels
    }
    levels = [level for level, found in by_level.items() if found]
    order = _order(by_level)
    names = _names(order[:MOST_GROUPS], comparison.before.feature_name)
    left_out = len(order) - len(names)
    figure = make_subplots(
        rows=1,
        cols=max(1, len(levels)),
        shared_yaxes=True,
        horizontal_spacing=0.04,
        subplot_titles=[TITLES[x] for x in levels],
    )
    for column, level in enumerate(levels, start=1):
        before, after = comparison.before.levels[level], comparison.after.levels[level]
        rows = [(OVERALL, 100 * before.overall, 100 * after.overall, _size(before))]
        found = by_level[level]
        rows += [
            (name, found[key]["before"], found[key]["after"], found[key]["n"])
            for key, name in names.items()
            if key in found
        ]
        for trace in _dumbbells(rows, legend=column == 1):
            figure.add_trace(trace, row=1, col=column)
        rings = [(each.worst_group, each.worst) for each in (before, after) if each.worst_group in names]
        if rings:
            figure.add_trace(
                _rings([(names[key], 100 * value) for key, value in rings], legend=column == 1), row=1, col=column
            )
    rows_shown = len(names) + 1
    figure.update_layout(
        template=palette.template(theme),
        height=110 + ROW_HEIGHT * rows_shown,
        margin={"l": 8, "r": 12, "t": 64, "b": 56},
        legend={"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"},
        hovermode="closest",
    )
    figure.update_xaxes(range=[-3, 103], tickvals=[0, 25, 50, 75, 100], title={"text": "accuracy, %", "standoff": 6})
    figure.update_annotations(font_size=13)  # the panels' titles
    figure.update_yaxes(categoryorder="array", categoryarray=[*reversed(names.values()), OVERALL])
    if left_out:
        figure.add_annotation(
            text=f"and {left_out} more groups, all more accurate before",
            xref="paper",
            yref="paper",
            x=0,
            y=0,
            yshift=-38,
            xanchor="left",
            yanchor="top",
            showarrow=False,
            font={"size": 11},
        )
    return figure


def _order(by_level: dict[str, dict[Group, Record]]) -> list[Group]:
    """Groups by their accuracy before, lowest first: the images', or the regions' where a group has no image."""
    before = {key: each["before"] for found in reversed(by_level.values()) for key, each in found.items()}
    return sorted(before, key=lambda key: before[key])


def _names(groups: list[Group], feature: str | None) -> dict[Group, str]:
    """What the axis calls the groups; never twice the same, as plotly would put two on one line."""
    names: dict[Group, str] = {}
    for class_name, present in groups:
        name = palette.plain(class_name, 20)
        if feature is not None:
            name += f" {'with' if present else 'without'} {palette.plain(feature, 20)}"
        names[class_name, present] = name + "\u200b" * sum(each.rstrip("\u200b") == name for each in names.values())
    return names


def _size(groups: GroupAccuracy) -> int:
    return int(groups.table["n"].to_numpy().sum())


def _dumbbells(rows: list[tuple[str, float, float, int]], legend: bool) -> list[go.Scatter]:
    names, before, after, sizes = (list(column) for column in zip(*rows, strict=True))
    line_x = [value for b, a in zip(before, after, strict=True) for value in (b, a, None)]
    line_y = [value for name in names for value in (name, name, None)]
    change = np.subtract(after, before)
    hover = "%{y}<br>%{x:.1f} % (%{customdata[0]:,} samples, %{customdata[1]:+.1f} points)<extra></extra>"
    shared = {
        "y": names,
        "mode": "markers",
        "customdata": list(zip(sizes, change, strict=True)),
        "hovertemplate": hover,
    }
    return [
        go.Scatter(
            x=line_x, y=line_y, mode="lines", line={"color": palette.BEFORE, "width": 2}, hoverinfo="skip",
            showlegend=False,
        ),
        go.Scatter(
            x=before, name="before", legendgroup="before", showlegend=legend, **shared,
            marker={"size": 10, "color": palette.BEFORE, "symbol": "circle"},
        ),
        go.Scatter(
            x=after, name="after", legendgroup="after", showlegend=legend, **shared,
            marker={"size": 11, "color": palette.AFTER, "symbol": "diamond"},
        ),
    ]  # fmt: skip


def _rings(points: list[tuple[str, float]], legend: bool) -> go.Scatter:
    names, values = zip(*points, strict=True)
    return go.Scatter(
        x=values,
        y=names,
        name="worst group",
        legendgroup="worst",
        showlegend=legend,
        mode="markers",
        marker={"size": 18, "symbol": "circle-open", "color": palette.WRONG, "line": {"width": 2}},
        hoverinfo="skip",
    )
