"""curves(): how the loss terms and the validation accuracies went, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ravl_explore.plots import palette

if TYPE_CHECKING:
    from ravl_explore.training import History, StepRecord

MOST_POINTS = 1000  # a line of 700 pixels shows no more
TOTAL = "loss"
PREVIOUS_DASH = ("dash", "dot")
ACCURACY_NAMES = {"accuracy": "accuracy", "worst_group": "worst group"}
ACCURACY_COLORS = {"accuracy": palette.STRONG[1], "worst_group": palette.STRONG[0]}
TERM_COLORS = (palette.STRONG[2], palette.STRONG[3], palette.STRONG[4], palette.STRONG[5], palette.STRONG[0])


def curves(
    history: History,
    previous: Sequence[History | tuple[str, History]] = (),
    theme: palette.Theme = "light",
    *,
    n_steps: int | None = None,
) -> go.Figure:
    """Two panels over the same steps: the loss and its terms above, validation accuracies in percent below.

    Parameters
    ----------
    history : the run to show; may be empty
    previous : earlier runs, with or without a name, as faint lines of their total loss and accuracies
    n_steps : where the step axis ends; the run's own planned length unless given
    """
    records = history.records
    named = [each if isinstance(each, tuple) else (f"run {i + 1}", each) for i, each in enumerate(previous)]
    n_steps = n_steps or (records[-1].n_steps if records else 1)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.5, 0.5])
    terms = list(dict.fromkeys(name for record in records for name in record.terms))
    measures = list(dict.fromkeys(name for record in records for name in record.validation))
    for rank, name in enumerate(sorted(terms, key=lambda term: term != TOTAL)):
        figure.add_trace(_term_line(records, name, rank), row=1, col=1)
    for rank, name in enumerate(measures):
        figure.add_trace(_accuracy_line(records, name, rank), row=2, col=1)
    for age, (name, run) in enumerate(named):
        for row, line in _faint_lines(run.records, palette.plain(name), PREVIOUS_DASH[age % 2], f"previous {age}"):
            figure.add_trace(line, row=row, col=1)
    longest = max([n_steps, *(run.records[-1].step for _, run in named if run.records)])
    figure.update_layout(
        template=palette.template(theme),
        margin={"l": 56, "r": 8, "t": 8, "b": 40},
        hovermode="x unified",
        legend={"x": 1.01, "y": 1, "yanchor": "top", "groupclick": "togglegroup"},
        uirevision="curves",
    )
    figure.update_xaxes(range=[0, longest * 1.01])
    figure.update_xaxes(title={"text": "step", "standoff": 6}, row=2, col=1)
    figure.update_yaxes(title={"text": "loss", "standoff": 6}, rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title={"text": "validation accuracy", "standoff": 6}, range=[0, 102], ticksuffix=" %", row=2, col=1)
    return figure


def _term_line(records: Sequence[StepRecord], name: str, rank: int) -> go.Scatter:
    here = [record for record in records if name in record.terms]
    x, y = _thinned([record.step for record in here], [record.terms[name] for record in here])
    total = name == TOTAL
    return go.Scatter(
        x=x,
        y=y,
        name="total loss" if total else palette.plain(name.replace("_", " ")),
        mode="lines",
        line={"color": palette.STRONG[1] if total else TERM_COLORS[(rank - 1) % len(TERM_COLORS)], "width": 2.5 if total else 1.5},
        hovertemplate="%{y:.3f}",
        legendgroup=f"term {name}",
    )


def _accuracy_line(records: Sequence[StepRecord], name: str, rank: int) -> go.Scatter:
    here = [record for record in records if name in record.validation]
    x, y = _thinned([record.step for record in here], [100 * record.validation[name] for record in here])
    color = ACCURACY_COLORS.get(name, TERM_COLORS[rank % len(TERM_COLORS)])
    return go.Scatter(
        x=x,
        y=y,
        name=palette.plain(ACCURACY_NAMES.get(name, name.replace("_", " "))),
        mode="lines+markers",
        line={"color": color, "width": 2},
        marker={"size": 6, "color": color},
        hovertemplate="%{y:.1f} %",
        legendgroup=f"measure {name}",
    )


def _faint_lines(records: Sequence[StepRecord], title: str, dash: str, group: str) -> list[tuple[int, go.Scatter]]:
    """The earlier run's total loss (panel 1) and accuracies (panel 2), under one legend entry."""
    lines = []
    for row, line in [
        (1, _term_line(records, TOTAL, 0)),
        *((2, _accuracy_line(records, name, 0)) for name in ACCURACY_NAMES if any(name in r.validation for r in records)),
    ]:
        color = line.line.color
        what = line.name
        line.update(
            name=f"{title}, {what}" if row == 2 else title,
            mode="lines",
            line={"color": color, "width": 1.2, "dash": dash},
            opacity=0.45,
            legendgroup=group,
            showlegend=row == 1,
            hoverinfo="skip",
            hovertemplate=None,
        )
        lines.append((row, line))
    return lines


def _thinned(x: list[int], y: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """At most 1000 points as float32, the last always among them."""
    keep = np.arange(len(x)) if len(x) <= MOST_POINTS else np.linspace(0, len(x) - 1, MOST_POINTS).round().astype(int)
    return np.asarray(x, dtype=np.float32)[keep], np.asarray(y, dtype=np.float32)[keep]
