"""ClusterTable: one row a cluster in the order of the frame, plain JSON, and every text as it was written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import traitlets

from ravl_explore.plots.palette import SYMBOLS, cluster_colors, cluster_symbols
from ravl_explore.widgets.basics.static import style
from ravl_explore.widgets.findings.cluster_table import COLUMNS, ClusterTable


@pytest.fixture
def mixed(make_discovery: Callable[..., Any]) -> Any:
    """A discovery with kept clusters, one pruned for low influence and one that no error image qualifies for."""
    found = make_discovery(0, n_clusters=8, min_influence=0.0)
    kept = found.clusters[:-2]
    assert all(each.kept for each in kept)
    low = replace(found.clusters[-2], kept=False, influence=0.1, reason="influence 0.10 below 0.25")
    none = replace(
        found.clusters[-1], kept=False, influence=float("-inf"), reason="no error image qualifies", attribute=None
    )
    return replace(found, clusters=(*kept, low, none))


def test_empty_until_something_is_shown() -> None:
    table = ClusterTable()
    assert (table.rows, table.note, table.selected) == ([], "", None)


def test_rows_are_those_of_the_frame(mixed: Any) -> None:
    rows, frame = ClusterTable(mixed).rows, mixed.frame()
    assert len(rows) == len(frame) == 8
    for key in ("rank", "cluster", "kept", "performance_gap", "q_value", "n_regions", "n_images"):
        assert [row[key] for row in rows] == frame[key].tolist(), key
    assert [row["attribute"] for row in rows[:-1]] == frame["attribute"].tolist()[:-1]
    assert [row["influence"] for row in rows[:-1]] == frame["influence"].tolist()[:-1]


def test_every_column_is_in_every_row(mixed: Any) -> None:
    assert all({column["key"] for column in COLUMNS} <= row.keys() for row in ClusterTable(mixed).rows)


def test_verdicts(mixed: Any) -> None:
    q_values = (0.0, 0.001, 0.05, 0.051, 0.312, 1.0, 0.5, 0.5)
    clusters = tuple(replace(each, q_value=q) for each, q in zip(mixed.clusters, q_values, strict=True))
    rows = ClusterTable(replace(mixed, clusters=clusters)).rows
    assert [row["doubtful"] for row in rows] == [False] * 3 + [True] * 3 + [False] * 2
    assert [row["verdict"] for row in rows] == [
        "suspect", "suspect", "suspect",
        "may be chance", "may be chance", "may be chance",
        "pruned: influence 0.10 below 0.25", "pruned: no error image qualifies",
    ]  # fmt: skip


def test_a_gap_per_class_is_a_column_and_a_q_tells_its_p(mixed: Any) -> None:
    first = replace(mixed.clusters[0], performance_gap=0.6, gap_per_class=0.2, p_value=0.0123)
    row = ClusterTable(replace(mixed, clusters=(first, *mixed.clusters[1:]))).rows[0]
    assert row["gap_per_class"] == 0.2 and row["help"] == {"q_value": "p = 0.012 before the correction"}
    keys = [column["key"] for column in COLUMNS]
    assert keys.index("gap_per_class") == keys.index("performance_gap") + 1
    chance = next(column["help"] for column in COLUMNS if column["key"] == "q_value")
    assert chance.startswith("Expected share of chance findings among the clusters with a q this small or smaller")


@pytest.mark.parametrize("nothing", [float("-inf"), float("nan")])
def test_no_influence_and_no_class_are_null(mixed: Any, nothing: float) -> None:
    last = replace(mixed.clusters[-1], influence=nothing)
    rows = ClusterTable(replace(mixed, clusters=(*mixed.clusters[:-1], last))).rows
    assert rows[-1]["influence"] is None and rows[-1]["attribute"] is None
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_numbers_are_pythons_own(mixed: Any) -> None:
    numpy = [
        replace(each, cluster=np.int64(each.cluster), influence=np.float32(0.5), performance_gap=np.float64(0.25))  # type: ignore[arg-type]
        for each in mixed.clusters[:6]
    ]
    rows = ClusterTable(replace(mixed, clusters=(*numpy, *mixed.clusters[6:]))).rows
    assert {type(value) for row in rows for value in row.values()} <= {int, float, bool, str, dict, type(None)}


def test_a_note_says_why_no_cluster_was_kept(mixed: Any) -> None:
    pruned = tuple(replace(each, kept=False, reason="gaps of one sign only") for each in mixed.clusters)
    none = replace(mixed, clusters=pruned)
    table = ClusterTable(none)
    assert table.note == f"No cluster is suspect: {none.why_none()}." and "one sign" in table.note
    assert all(row["verdict"].startswith("pruned") for row in table.rows) and len(table.rows) == 8
    table.show(mixed)
    assert table.note == ""


def test_text_is_sent_as_it_was_written(mixed: Any) -> None:
    """The browser sets it with textContent."""
    name = "<b>bold</b> & <script>alert(1)</script>"
    first = replace(mixed.clusters[0], attribute=name)
    assert ClusterTable(replace(mixed, clusters=(first, *mixed.clusters[1:]))).rows[0]["attribute"] == name


def test_marks_are_those_of_the_map(mixed: Any) -> None:
    colors = cluster_colors(mixed)
    assert [row["color"] for row in ClusterTable(mixed, colors).rows] == [
        colors[each.cluster] for each in mixed.clusters
    ]
    assert {row["color"] for row in ClusterTable(mixed).rows} == {""}
    many = replace(mixed, clusters=tuple(replace(each, kept=True) for each in mixed.clusters))
    rows = ClusterTable(many, cluster_colors(many), cluster_symbols(many)).rows
    assert [row["symbol"] for row in rows] == ["circle"] * 6 + ["diamond"] * 2
    assert len({(row["color"], row["symbol"]) for row in rows}) == 8 and len({row["color"] for row in rows}) == 6


def test_a_selection_is_told_once_and_showing_another_discovery_forgets_it(mixed: Any) -> None:
    table, heard = ClusterTable(mixed), []
    table.observe(lambda change: heard.append(change["new"]), "selected")
    table.selected = 3
    table.selected = 3
    table.show(mixed)
    assert heard == [3, None] and table.selected is None


def test_the_browser_selects_a_row(mixed: Any) -> None:
    table, heard = ClusterTable(mixed), []
    table.observe(lambda change: heard.append(change["new"]), "selected")
    for _ in range(2):  # the second on the row that is selected: map and crops may show something else meanwhile
        table._handle_custom_msg({"kind": "select", "row": 5}, [])
    assert heard == [5, 5] and table.selected == 5
    table._handle_custom_msg({"kind": "select", "row": 99}, [])  # a row that has gone since it was clicked
    assert heard == [5, 5] and table.selected == 5
    with pytest.raises(traitlets.TraitError):
        table.selected = "5"  # type: ignore[assignment]


def test_every_marker_of_the_map_has_a_shape() -> None:
    css = style("table.css")
    assert all(f".dot.{symbol} {{" in css for symbol in SYMBOLS)
