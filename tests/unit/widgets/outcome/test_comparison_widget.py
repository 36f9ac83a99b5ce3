"""ComparisonWidget: the numbers of the comparison and no others, null where a group has none, the worst one flagged."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest

import ravl_explore as rx
from ravl_explore.embedding.embeddings import embed
from ravl_explore.evaluation import evaluate
from ravl_explore.measures import Verdict
from ravl_explore.regions import Grid
from ravl_explore.scores import zero_shot
from ravl_explore.widgets.basics.static import STATIC
from ravl_explore.widgets.outcome.comparison import ComparisonWidget

Make = Callable[..., Any]


@pytest.fixture
def comparison(model: Any, make_model: Make, make_data: Make, find_discovery: Make, mark: Make) -> Any:
    """Images and regions, groups by the annotated feature, with the shortcut's measures; some groups are too small."""
    data = make_data(42)
    data.regions = Grid(2, 2)(data)
    data.region_labels = np.where(np.arange(4)[None] == 0, data.labels[:, None], -1).ravel()
    discovery = find_discovery(data)
    found = mark(data, discovery.choose(next(each for each in discovery.clusters if each.attribute is not None)))
    return rx.compare(
        *(evaluate(zero_shot(embed(each, data)), found, min_group_size=7) for each in (model, make_model(1)))
    )


@pytest.fixture
def plain(model: Any, make_model: Make, make_data: Make) -> Any:
    """Images only, groups by class alone, all of them too small to be the worst."""
    data = make_data(12, feature_name=None, feature_present=None)
    return rx.compare(*(evaluate(zero_shot(embed(each, data))) for each in (model, make_model(1))))


def rows(widget: ComparisonWidget, title: str) -> list[dict[str, Any]]:
    return next(block["rows"] for block in widget.blocks if block["title"].startswith(title))


def same(shown: Any, true: float) -> bool:
    return shown is None if np.isnan(true) else shown == true


def test_measures_are_those_of_the_frame(comparison: Any) -> None:
    shown, frame = rows(ComparisonWidget(comparison), "In short"), comparison.frame()
    assert len(shown) == len(frame) == 7
    for row, (_, true) in zip(shown, frame.iterrows(), strict=True):
        assert same(row["before"], true["before"]) and same(row["after"], true["after"]), row["name"]
    assert [row["name"] for row in shown] == [
        "Image accuracy, %", "Image worst group, %", "Region accuracy, %", "Region worst group, %",
        "Shortcut, ε1, points (0 is best)", "Shortcut, ε2, points (0 is best)",
            "Shortcut, performance gap G (0 is best)",
    ]  # fmt: skip
    assert [row["verdict"] for row in shown] == frame["verdict"].tolist()
    assert [row["digits"] for row in shown] == [1] * 6 + [2]


@pytest.mark.parametrize(("level", "title"), [("image", "Whole images"), ("region", "Regions")])
def test_groups_are_those_of_the_table(comparison: Any, level: str, title: str) -> None:
    groups = comparison.groups()
    groups = groups[groups["level"] == level]
    shown = rows(ComparisonWidget(comparison), title)
    assert len(shown) == len(groups) == 6
    for row, (_, true) in zip(shown, groups.iterrows(), strict=True):
        assert row["name"] == f"{true['class_name']}, {'with' if true['present'] else 'without'} red"
        assert row["n"] == true["n"] and same(row["before"], true["before"]) and same(row["after"], true["after"])
        assert row["verdict"] == true["verdict"] and row["digits"] == 1


def test_both_worst_groups_are_flagged_and_named(comparison: Any) -> None:
    widget = ComparisonWidget(comparison)
    flagged = {row["mark"]: row["name"] for row in rows(widget, "Whole images") if row["mark"]}
    old, new = (
        f"{each.image.worst_group[0]}, {'with' if each.image.worst_group[1] else 'without'} red"
        for each in (comparison.before, comparison.after)
    )
    assert flagged == ({"worst": old} if old == new else {"worst before": old, "worst after": new})
    short = next(row for row in rows(widget, "In short") if row["name"].startswith("Image worst"))
    assert short["detail"] == (old if old == new else f"{old} → {new}")
    assert not any(row["mark"] for row in rows(widget, "In short"))


def test_intervals_are_those_of_the_frame(comparison: Any) -> None:
    shown, frame = rows(ComparisonWidget(comparison), "In short"), comparison.frame()
    assert frame[["low", "high"]].notna().to_numpy().all()
    assert [(row["low"], row["high"]) for row in shown] == list(zip(frame["low"], frame["high"], strict=True))


def test_the_browser_has_a_line_for_each_verdict_and_decides_none() -> None:
    script, style = (STATIC / "comparison.js").read_text(), (STATIC / "comparison.css").read_text()
    kinds = dict(re.findall(r'"?([a-z][a-z ]+)"?: "(\w+)"', script.split("const KINDS = {")[1].split("}")[0]))
    assert kinds == {"better": "better", "worse": "worse", "may be chance": "chance"}
    assert set(get_args(Verdict)) - set(kinds) == {"no change", "not known"}, "these are drawn as a plain line"
    assert all(f".{kind}" in style for kind in (*kinds.values(), "same"))
    assert "higher" not in script


def test_a_caution_is_shown_until_the_next_comparison(comparison: Any, plain: Any) -> None:
    widget = ComparisonWidget()
    widget.show(comparison, caution="Too <optimistic>")
    assert widget.caution == "Too <optimistic>"
    widget.show(plain)
    assert widget.caution == ""


def test_values_lie_on_their_scales(comparison: Any) -> None:
    for block in ComparisonWidget(comparison).blocks:
        for row in block["rows"]:
            low, high = row["range"]
            assert low < high and all(value is None or value <= high for value in (row["before"], row["after"]))


def test_groups_too_small_to_count_have_no_worst(plain: Any) -> None:
    widget = ComparisonWidget(plain)
    worst = next(row for row in rows(widget, "In short") if "worst group" in row["name"])
    assert worst["before"] is None and worst["after"] is None
    assert worst["detail"] == "" and not any(row["mark"] for row in rows(widget, "Whole images"))


def test_without_a_feature_groups_are_classes(plain: Any) -> None:
    widget = ComparisonWidget(plain)
    assert [block["title"] for block in widget.blocks] == ["In short", "Whole images, by group"]
    assert [row["name"] for row in rows(widget, "Whole images")] == ["cat", "dog", "hen"]
    assert "no feature is annotated" in widget.note and "pictures, 12 images" in widget.note


def test_what_is_sent_is_plain_json(comparison: Any, plain: Any) -> None:
    for each in (comparison, plain):
        blocks = ComparisonWidget(each).blocks
        assert json.loads(json.dumps(blocks, allow_nan=False)) == blocks


def test_names_are_sent_as_they_were_written(model: Any, make_data: Make) -> None:
    """The browser sets them with textContent."""
    names = ("<b>cat</b>", "dog & co", "<script>hen</script>")
    data = make_data(12, class_names=names, name="<i>pictures</i>", feature_name="<u>red</u>")
    result = evaluate(zero_shot(embed(model, data)))
    widget = ComparisonWidget(rx.compare(result, result))
    assert rows(widget, "Whole images")[1]["name"] == "<b>cat</b>, with <u>red</u>"
    assert widget.note.startswith("<i>pictures</i>, 12 images") and "the <u>red</u>" in widget.note


def test_showing_another_comparison_replaces_all(comparison: Any, plain: Any) -> None:
    widget = ComparisonWidget(comparison)
    widget.show(plain)
    assert widget.blocks == ComparisonWidget(plain).blocks and widget.note == ComparisonWidget(plain).note
