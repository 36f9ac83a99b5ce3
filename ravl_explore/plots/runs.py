"""runs_figure(): objectives in rows, measures in panels; each run a dot, their mean a diamond with its spread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ravl_explore.errors import InputError
from ravl_explore.experiments.runs import SPREAD
from ravl_explore.measures import BY_KEY, Measure
from ravl_explore.plots import palette

if TYPE_CHECKING:
    import pandas as pd

    from ravl_explore.evaluation import Evaluation
    from ravl_explore.experiments.runs import Runs

COLUMNS = 4  # panels side by side
ROW_HEIGHT = 30
DOT_SHIFT = 0.22  # rows; the runs lie a little below their mean
BEFORE = "before"
STYLES = ("dash", "dot", "dashdot", "longdash")


def runs_figure(
    runs: Runs,
    references: Mapping[str, Evaluation] | None = None,
    measures: Sequence[str] | None = None,
    theme: palette.Theme = "light",
) -> go.Figure:
    """One panel a measure, one row an objective; a bar is a standard deviation over seeds to either side.

    Parameters
    ----------
    runs : Runs
        What to show.
    references : mapping of str to Evaluation, optional
        By name, drawn as vertical lines beside the one before any mitigation, such as the clean model's; each along the
        rows of its own dataset.
    measures : sequence of str, optional
        Which of ``runs.measures``, by their keys; all unless given.
    theme : "light" or "dark"
        Of the page that shows it.

    Raises
    ------
    InputError
        For a measure that the runs do not have.
    """
    chosen = tuple(runs.measures if measures is None else measures)
    unknown = [name for name in chosen if name not in runs.measures]
    if unknown or not chosen:
        raise InputError(f"measures among {runs.measures}", f"{unknown or 'none'}", "See runs.measures.")
    frame, summary = runs.frame(), runs.summary()
    rows = [tuple(key) for key in summary[["objective", "data"]].itertuples(index=False)]
    n_rows, n_columns = math.ceil(len(chosen) / COLUMNS), min(COLUMNS, len(chosen))
    titles = [palette.plain(BY_KEY[key].with_unit(key)) for key in chosen]
    figure = make_subplots(
        rows=n_rows, cols=n_columns, shared_yaxes=True, horizontal_spacing=0.03,
        vertical_spacing=min(0.25, 0.9 / n_rows), subplot_titles=titles,
    )  # fmt: skip
    lines = {BEFORE: runs.before, **(references or {})}
    for at, measure in enumerate(chosen):
        row, column = at // COLUMNS + 1, at % COLUMNS + 1
        traces = [
            *_lines(lines, measure, [data for _, data in rows], legend=at == 0),
            _dots(frame, rows, measure, legend=at == 0),
            _means(summary, measure, legend=at == 0),
        ]
        for trace in traces:
            figure.add_trace(trace, row=row, col=column)
        figure.update_xaxes(_axis(BY_KEY[measure], traces), row=row, col=column)
    several = len({data for _, data in rows}) > 1
    names = [palette.plain(f"{name}, {data}" if several else name, 44) for name, data in rows]
    figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=names, range=[len(rows) - 0.4, -0.6], showgrid=False)
    figure.update_layout(
        template=palette.template(theme),
        height=90 + n_rows * (70 + ROW_HEIGHT * max(1, len(rows))),
        margin={"l": 8, "r": 12, "t": 70, "b": 30},
        legend={"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"},
        hovermode="closest",
    )
    figure.update_annotations(font_size=12)  # the panels' titles
    return figure


def _axis(measure: Measure, drawn: Sequence[Any]) -> dict[str, object]:
    """0 to 100 for accuracies, else what was drawn and 0, with a margin so that no mark is cut."""
    if measure.unit == "%":
        return {"range": [-3, 103], "tickvals": [0, 25, 50, 75, 100]}
    values = [0.0]
    for trace in drawn:
        reach = trace.error_x.array if trace.error_x.array is not None else [0.0] * len(trace.x)
        values += [
            float(x + sign * bar) for x, bar in zip(trace.x, reach, strict=True) if x is not None for sign in (-1, 1)
        ]
    values = [value for value in values if math.isfinite(value)]
    low, high = min(values), max(values)
    margin = 0.08 * (high - low or 1.0)
    return {"range": [low - margin, high + margin], "nticks": 6}


def _lines(
    references: Mapping[str, Evaluation], measure: str, datasets: Sequence[str], legend: bool
) -> list[go.Scatter]:
    """Each beside the rows of its own dataset: numbers of different images are not compared."""
    found = []
    for rank, (name, evaluation) in enumerate(references.items()):
        value = BY_KEY[measure].value(evaluation)
        if math.isfinite(value):
            color = palette.BEFORE if rank == 0 else palette.STRONG[(rank + 1) % len(palette.STRONG)]
            y = _beside(datasets, evaluation.data_name)
            line = go.Scatter(
                x=[None if each is None else value for each in y], y=y, name=palette.plain(name),
                legendgroup=f"reference {rank}", showlegend=legend, mode="lines",
                line={"color": color, "width": 2, "dash": STYLES[rank % len(STYLES)]},
                hovertemplate=f"{palette.plain(name)}<br>%{{x:.1f}}<extra></extra>",
            )  # fmt: skip
            found.append(line)
    return found


def _beside(datasets: Sequence[str], own: str) -> list[float | None]:
    """Heights of a line beside the rows of one dataset, None where it is broken; beside all if none is of it.

    >>> _beside(["d", "d", "e", "d"], "d")
    [-0.6, 1.5, None, 2.5, 3.6]
    """
    last = max(len(datasets), 1) - 1
    rows = [at for at, each in enumerate(datasets) if each == own] or list(range(last + 1))
    heights: list[float | None] = []
    for at in rows:
        if at - 1 not in rows:
            heights += [*([None] if heights else []), at - 0.5 if at else -0.6]
        if at + 1 not in rows:
            heights.append(at + (0.6 if at == last else 0.5))
    return heights


def _dots(frame: pd.DataFrame, rows: Sequence[tuple[str, str]], measure: str, legend: bool) -> go.Scatter:
    place = {key: at for at, key in enumerate(rows)}
    seeds = [
        "no training step" if unseeded else f"seed {seed}"
        for seed, unseeded in zip(frame["seed"], frame["seed"].isna(), strict=True)
    ]
    return go.Scatter(
        x=frame[measure].tolist(),
        y=[place[key] + DOT_SHIFT for key in zip(frame["objective"], frame["data"], strict=True)],
        name="one run",
        legendgroup="runs",
        showlegend=legend,
        mode="markers",
        marker={"size": 6, "color": palette.RIGHT, "symbol": "circle"},
        customdata=seeds,
        hovertemplate="%{x:.2f}, %{customdata}<extra></extra>",
    )


def _means(summary: pd.DataFrame, measure: str, legend: bool) -> go.Scatter:
    spread = summary[measure + SPREAD].fillna(0.0)
    return go.Scatter(
        x=summary[measure].tolist(),
        y=list(range(len(summary))),
        name="mean ± standard deviation",
        legendgroup="means",
        showlegend=legend,
        mode="markers",
        marker={"size": 10, "color": palette.AFTER, "symbol": "diamond"},
        error_x={"array": spread.tolist(), "color": palette.AFTER, "thickness": 2, "width": 5},
        customdata=list(zip(spread, summary["n"], strict=True)),
        hovertemplate="%{x:.2f} ± %{customdata[0]:.2f} (%{customdata[1]} runs)<extra></extra>",
    )
