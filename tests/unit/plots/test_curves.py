"""curves(): the records' numbers on the right panel, at most a thousand points a line."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from ravl_explore.plots.curves import curves, legend_entry
from ravl_explore.training import History, StepRecord


def run(n: int, n_steps: int | None = None, measured_every: int = 2) -> History:
    return History(
        tuple(
            StepRecord(
                i,
                n_steps or n,
                0,
                {"pull_apart": 0.5 / i, "loss": 1 / i},
                0.1 * i,
                {"accuracy": 0.5, "worst_group": 0.25} if i % measured_every == 0 else {},
            )
            for i in range(1, n + 1)
        )
    )


def named(figure: go.Figure) -> dict[str, go.Scatter]:
    return {trace.name: trace for trace in figure.data if trace.name}


def test_terms_are_above_and_accuracies_in_percent_below() -> None:
    lines = named(curves(run(4)))
    assert list(lines) == ["total loss", "pull apart", "accuracy", "worst group"]
    assert lines["total loss"].x.tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(lines["total loss"].y, [1, 1 / 2, 1 / 3, 1 / 4], rtol=1e-6)
    assert lines["accuracy"].x.tolist() == [2, 4] and lines["accuracy"].y.tolist() == [50, 50]
    assert lines["worst group"].y.tolist() == [25, 25]
    assert {lines[name].yaxis for name in ("total loss", "pull apart")} == {"y"}
    assert {lines[name].yaxis for name in ("accuracy", "worst group")} == {"y2"}
    assert all(line.x.dtype == line.y.dtype == np.float32 for line in lines.values())


def test_the_step_axis_spans_the_planned_run_from_the_start() -> None:
    figure = curves(run(3, n_steps=120))
    assert figure.layout.xaxis.range[0] == 0 and 120 <= figure.layout.xaxis.range[1] < 125
    assert tuple(figure.layout.yaxis2.range)[1] >= 100
    assert curves(History(), n_steps=50).layout.xaxis.range[1] >= 50


def test_an_empty_run_has_both_panels() -> None:
    figure = curves(History())
    assert {trace.yaxis for trace in figure.data} == {"y", "y2"}
    assert not named(figure)


def test_the_loss_axis_is_above_all_lines_whichever_are_switched_off() -> None:
    """plotly looks at those that are visible unless it is told."""

    def limits(*values: float, previous: tuple[History, ...] = ()) -> tuple[float, float]:
        records = tuple(StepRecord(i, 9, 0, {"loss": value, "part": value / 2}, 0.1) for i, value in enumerate(values))
        options = curves(History(records), previous).layout.yaxis.autorangeoptions
        return options.minallowed, options.maxallowed

    assert limits(4.0, 2.0) == (0.0, 4.2)
    assert limits(0.5, previous=(run(4),)) == (0.0, 1.05)
    assert limits(float("nan"), 2.0, float("inf")) == (0.0, 2.1)
    assert limits(-1.0, 1.0) == (-1.1, 1.1)
    assert limits(0.0) == (0.0, 1.0)
    assert curves(History()).layout.yaxis.autorangeoptions.maxallowed is None


def test_earlier_runs_are_faint_and_one_legend_entry_each() -> None:
    figure = curves(run(4), [("<b>ERM</b>", run(6)), run(8)])
    faint = [trace for trace in figure.data if trace.opacity == 0.6]
    assert [trace.name for trace in faint if trace.showlegend] == ["&lt;b&gt;ERM&lt;/b&gt;", "run 2"]
    assert len({trace.legendgroup for trace in faint}) == 2
    assert len({trace.line.dash for trace in faint}) == len({trace.line.color for trace in faint}) == 2
    assert {trace.legend for trace in faint} == {"legend3"}
    assert figure.layout.xaxis.range[1] >= 8


def test_long_names_keep_their_seed() -> None:
    assert (
        legend_entry("Spurious-Aware, image losses, seed 12 (3)") == "Spurious-Aware,<br>image losses,<br>seed 12 (3)"
    )
    long = legend_entry("My objective with a very long name indeed that says a lot, seed 12 (3)")
    assert long == "My objective with<br>a very long name…<br>seed 12 (3)"
    one, other = (legend_entry(f"Counterfactual regions{more}, seed 0") for more in ("", " + RaVL"))
    assert one == "Counterfactual<br>regions, seed 0" and other == "Counterfactual<br>regions + RaVL,<br>seed 0"
    assert legend_entry("<b>, seed 1") == "&lt;b&gt;, seed 1"
    assert legend_entry("ERM") == "ERM" and legend_entry("") == ""


def test_long_runs_are_thinned_with_both_ends_kept() -> None:
    line = named(curves(run(5000)))["total loss"]
    assert len(line.x) == 1000 and line.x[0] == 1 and line.x[-1] == 5000
