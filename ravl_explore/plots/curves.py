"""curves(): how the loss terms and the validation accuracies went, step by step."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ravl_explore.errors import InputError
from ravl_explore.plots import palette
from ravl_explore.support import checks
from ravl_explore.training.history import History, StepRecord

MOST_POINTS = 1000  # a line of 700 pixels shows no more
TOTAL = "loss"
ACCURACY = "validation accuracy"
LEGEND_WIDTH = 170  # pixels; fixed, so that the panels keep their width while entries come
LONGEST_ENTRY, LONGEST_TITLE = 17, 21  # letters that fit there on a line
MOST_LINES = 3
HELD = "\u00a0"  # a space at which no line is broken; palette.plain makes it an ordinary one again
PREVIOUS_DASH = ("dash", "dot", "dashdot", "longdash")  # 4 dashes and 6 colours: no two of 12 runs look alike
ACCURACY_NAMES = {"accuracy": "accuracy", "worst_group": "worst group"}
ACCURACY_COLORS = {"accuracy": palette.STRONG[1], "worst_group": palette.STRONG[0]}
TOTAL_COLOR = palette.STRONG[1]
TERM_COLORS = (palette.STRONG[2], palette.STRONG[3], palette.STRONG[4], palette.STRONG[5], palette.STRONG[0])


def curves(
    history: History,
    previous: Sequence[History | tuple[str, History]] = (),
    theme: palette.Theme = "light",
    *,
    n_steps: int | None = None,
    title: str = "",
    measured: str = ACCURACY,
) -> go.Figure:
    """Two panels over the same steps: the loss and its terms above, validation accuracies in percent below.

    Parameters
    ----------
    history : History
        The run to show; may be empty.
    previous : sequence of History or of (str, History)
        Earlier runs, with or without a name, as faint lines of their total loss and accuracies: each of one colour and
        dash, in a legend of their own where each can be switched off.
    theme : "light" or "dark"
        Of the page that shows it.
    n_steps : int, optional
        Where the step axis ends; the run's own planned length unless given.
    title : str
        What the run is called, above the legend.
    measured : str
        Title of the validation accuracies' axis.
    """
    checks.instance("history", history, History, "Pass mitigation.history.")
    named = _named(previous)
    checks.text("title", title, empty=True)
    checks.text("measured", measured, empty=True)
    if n_steps is not None:
        checks.whole("n_steps", n_steps, 0)
    records = history.records
    n_steps = n_steps or (records[-1].n_steps if records else 1)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.5, 0.5])
    terms = list(dict.fromkeys(name for record in records for name in record.terms))
    measures = list(dict.fromkeys(name for record in records for name in record.validation))
    for row in (1, 2):
        figure.add_trace(_anchor(), row=row, col=1)
    for rank, name in enumerate(sorted(terms, key=lambda term: term != TOTAL)):
        figure.add_trace(_term_line(records, name, rank), row=1, col=1)
    for rank, name in enumerate(measures):
        figure.add_trace(_accuracy_line(records, name, rank), row=2, col=1)
    for age, (name, run) in enumerate(named):
        for row, line in _faint_lines(run.records, legend_entry(name), age):
            figure.add_trace(line, row=row, col=1)
    longest = max([n_steps, *(run.records[-1].step for _, run in named if run.records)])
    figure.update_layout(
        template=palette.template(theme),
        margin={"l": 60, "r": LEGEND_WIDTH, "t": 34, "b": 40, "autoexpand": False},  # the top is the tool bar's
        hovermode="x unified",
        hoverlabel={
            "bgcolor": "rgba(250,250,250,0.95)",
            "bordercolor": palette.BEFORE,
            "font": {"color": palette.INK["light"]},
        },
        legend=_legend(1.0) | {"title": {"text": legend_entry(title, LONGEST_TITLE)}},
        legend2=_legend(0.47),
        legend3=_legend(0.35),
    )
    figure.update_xaxes(range=[0, longest * 1.01], unifiedhovertitle={"text": "step %{x:.0f}"})
    figure.update_xaxes(title={"text": "step", "standoff": 6}, row=2, col=1)
    losses: list[Any] = list(figure.select_traces(row=1))  # plotly says nothing of what is in them
    figure.update_yaxes(
        title={"text": "loss", "standoff": 6, "font": {"size": 12}},
        rangemode="tozero",
        autorangeoptions=_limits(np.concatenate([np.asarray(trace.y) for trace in losses])),
        row=1,
        col=1,
    )
    figure.update_yaxes(
        title={"text": measured, "standoff": 6, "font": {"size": 12}},
        range=[0, 102],
        ticksuffix=" %",
        row=2,
        col=1,
    )
    return figure


def _limits(values: np.ndarray) -> dict[str, float]:
    """Where the loss axis ends: at 0 and above all lines, also above those that are switched off in the legend."""
    values = values[np.isfinite(values)]
    if not len(values):
        return {}
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    room = 0.05 * (high - low) or 1.0
    return {"minallowed": low - (room if low else 0), "maxallowed": high + room}


def _anchor() -> go.Scatter:
    """A line without a point: plotly makes a panel's axes only when a trace is there, and cannot change them before."""
    nothing = np.array([np.nan], np.float32)
    return go.Scatter(x=nothing, y=nothing, mode="lines", showlegend=False, hoverinfo="skip")


def _legend(top: float) -> dict[str, object]:
    return {
        "x": 1.01,
        "y": top,
        "yanchor": "top",
        "groupclick": "togglegroup",
        "tracegroupgap": 0,
        "font": {"size": 11},
    }


def _term_line(records: Sequence[StepRecord], name: str, rank: int) -> go.Scatter:
    here = [record for record in records if name in record.terms]
    x, y = _thinned([record.step for record in here], [record.terms[name] for record in here])
    total = name == TOTAL
    return go.Scatter(
        x=x,
        y=y,
        name="total loss" if total else palette.plain(name.replace("_", " "), 18),
        mode="lines",
        line={
            "color": TOTAL_COLOR if total else TERM_COLORS[(rank - 1) % len(TERM_COLORS)],
            "width": 2.5 if total else 1.5,
        },
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
        legend="legend2",
    )


def _faint_lines(records: Sequence[StepRecord], title: str, age: int) -> list[tuple[int, go.Scatter]]:
    """The earlier run's total loss (panel 1) and accuracies (panel 2, the worst group thicker), as one legend entry."""
    color = palette.STRONG[age % len(palette.STRONG)]
    dash = PREVIOUS_DASH[age % len(PREVIOUS_DASH)]
    measures = [name for name in ACCURACY_NAMES if any(name in record.validation for record in records)]
    found = [(1, 1.4, _term_line(records, TOTAL, 0))]
    found += [(2, 0.8 if name == "accuracy" else 1.8, _accuracy_line(records, name, 0)) for name in measures]
    for row, width, line in found:
        line.update(
            name=title,
            mode="lines",
            line={"color": color, "width": width, "dash": dash},
            opacity=0.6,
            legendgroup=f"previous {age}",
            legend="legend3",
            showlegend=row == 1,
            hoverinfo="skip",
            hovertemplate=None,
        )
    return [(row, line) for row, _, line in found]


def legend_entry(name: str, longest: int = LONGEST_ENTRY) -> str:
    """A run's name on lines as short as the legend needs them; of a very long one a seed or a number at its end stays.

    >>> legend_entry("Counterfactual regions + RaVL, seed 12")
    'Counterfactual<br>regions + RaVL,<br>seed 12'
    """
    ending = re.search(r"(seed \d+)?( \(\d+\))?$", name)
    tail = ending.group() if ending else ""
    whole = name[: len(name) - len(tail)] + tail.replace(" ", HELD)
    lines = textwrap.wrap(whole, longest + 1, break_on_hyphens=False)
    if len(lines) > MOST_LINES:
        kept = [tail.strip()] if tail else []
        lines = lines[: MOST_LINES - len(kept)]
        lines[-1] = lines[-1][:longest].rstrip(", ") + "…"
        lines += kept
    return "<br>".join(palette.plain(line, longest + 1) for line in lines)


def _thinned(x: list[int], y: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """At most 1000 points as float32, the last always among them."""
    keep = np.arange(len(x)) if len(x) <= MOST_POINTS else np.linspace(0, len(x) - 1, MOST_POINTS).round().astype(int)
    return np.asarray(x, dtype=np.float32)[keep], np.asarray(y, dtype=np.float32)[keep]


def _named(previous: Sequence[object]) -> list[tuple[str, History]]:
    """Earlier runs by name; those without one are counted."""
    remedy = "Pass histories, or pairs of a name and a history."
    runs = checks.listed("previous", previous, object, remedy)
    named: list[tuple[str, History]] = []
    for number, run in enumerate(runs, start=1):
        pair = run if isinstance(run, tuple) else (f"run {number}", run)
        if len(pair) != 2:
            raise InputError("previous as pairs of a name and a history", f"{len(pair)} things in one", remedy)
        name, history = pair
        name = checks.text("a name in previous", name, empty=True)
        named.append((name, checks.instance("each of previous", history, History, remedy)))
    return named
