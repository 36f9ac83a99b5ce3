"""region_map(): every region drawn once, in its category, with the right counts and hover text."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from ravl_explore.errors import InputError
from ravl_explore.plots import palette
from ravl_explore.plots.categories import COLOR_BY, categories
from ravl_explore.plots.region_map import drawn_regions, hover_texts, region_map


@pytest.fixture
def discovery(make_discovery: Callable) -> Any:
    found = make_discovery(0, min_influence=0.0)
    assert 0 < len(found.features) < len(found.clusters)
    return found


@pytest.fixture
def xy(discovery: Any) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(discovery.clustering.labels), 2)).astype(np.float32)


def points(figure: go.Figure) -> dict[int, tuple[float, float]]:
    return {
        int(region): (float(x), float(y))
        for trace in figure.data
        for region, x, y in zip(trace.customdata, trace.x, trace.y, strict=True)
    }


@pytest.mark.parametrize("color_by", COLOR_BY)
def test_every_region_is_drawn_once_at_its_place(discovery: Any, xy: np.ndarray, color_by: str) -> None:
    figure = region_map(discovery, xy, color_by)
    assert all(isinstance(trace, go.Scattergl) for trace in figure.data)
    assert sum(len(trace.x) for trace in figure.data) == len(xy)
    assert points(figure) == {i: (float(x), float(y)) for i, (x, y) in enumerate(xy)}
    assert all(trace.customdata.dtype == np.int32 and trace.x.dtype == np.float32 for trace in figure.data)


@pytest.mark.parametrize("color_by", ["true label", "predicted label", "error", "cluster"])
def test_legend_counts_agree_with_the_arrays(discovery: Any, xy: np.ndarray, color_by: str) -> None:
    scores, images = discovery.scores, discovery.scores.embeddings.regions.image_index
    figure = region_map(discovery, xy, color_by)
    said = {trace.name.rsplit(" (", 1)[0]: int(trace.name.rsplit("(", 1)[1][:-1]) for trace in figure.data[:-1]}
    if color_by == "cluster":
        pruned = [each for each in discovery.clusters if not each.kept]
        expected = {
            f"cluster {each.cluster}" + (f" · {each.attribute}" if each.attribute else ""): each.n_regions
            for each in discovery.features
        }
        expected[f"{len(pruned)} pruned cluster{'s' * (len(pruned) > 1)}"] = sum(each.n_regions for each in pruned)
    elif color_by == "error":
        wrong = int((~scores.correct[images]).sum())
        expected = {"wrong prediction": wrong, "right prediction": len(images) - wrong}
    else:
        values = (scores.embeddings.labels if color_by == "true label" else scores.predictions)[images]
        expected = {f"class {y}": int((values == y).sum()) for y in range(3)}
    assert said == expected


def test_a_selection_is_counted_and_highlighted(discovery: Any, xy: np.ndarray) -> None:
    selection = np.array([0, 5, 9])
    figure = region_map(discovery, xy, "true label", selection)
    chosen = np.concatenate([trace.customdata[trace.selectedpoints] for trace in figure.data[:-1]])
    assert sorted(chosen.tolist()) == [0, 5, 9]
    labels = discovery.scores.embeddings.labels[discovery.scores.embeddings.regions.image_index]
    counts = [f"({int((labels[selection] == y).sum())} / {int((labels == y).sum())})" for y in range(3)]
    assert [trace.name.rsplit(" ", 3)[1:] for trace in figure.data[:-1]] == [each.split(" ") for each in counts]


@pytest.mark.parametrize("empty", [None, (), np.zeros(0, int)])
def test_no_selection_dims_nothing(discovery: Any, xy: np.ndarray, empty: Any) -> None:
    figure = region_map(discovery, xy, selection=empty)
    assert all(trace.selectedpoints is None for trace in figure.data)
    assert figure.data[0].unselected.marker.opacity is None


@pytest.mark.parametrize(("color_by", "field"), [("influence", "influence"), ("performance gap", "performance_gap")])
def test_values_colour_each_region_by_its_cluster(discovery: Any, xy: np.ndarray, color_by: str, field: str) -> None:
    figure = region_map(discovery, xy, color_by)
    valued = next(trace for trace in figure.data if trace.meta["entry"] == 0)
    of_cluster = {each.cluster: getattr(each, field) for each in discovery.clusters}
    expected = [of_cluster[int(c)] for c in discovery.clustering.labels[valued.customdata]]
    np.testing.assert_allclose(valued.marker.color, expected, rtol=1e-6)
    assert valued.marker.showscale and valued.marker.cmin == 0
    assert np.isfinite(valued.marker.color).all()


def test_clusters_without_influence_are_grey_not_lowest(make_discovery: Callable, xy: np.ndarray) -> None:
    discovery = make_discovery(0)
    clusters = tuple(
        replace(each, influence=-np.inf) if each.cluster == 2 else replace(each, influence=0.5)
        for each in discovery.clusters
    )
    groups = categories(replace(discovery, clusters=clusters), "influence")
    assert groups.names == ("scored", "no error image qualifies")
    np.testing.assert_array_equal(groups.codes == 1, discovery.clustering.labels == 2)


def test_hover_tells_image_cluster_label_and_prediction(discovery: Any) -> None:
    scores = discovery.scores
    right = int(np.flatnonzero(scores.correct)[0])
    wrong = int(np.flatnonzero(~scores.correct)[0])
    texts = hover_texts(discovery, np.array([4 * right, 4 * wrong]))
    names, labels = scores.embeddings.class_names, scores.embeddings.labels
    assert texts[0].startswith(f"image {right} · cluster {discovery.clustering.labels[4 * right]}")
    assert texts[0].endswith(f"<br>{names[labels[right]]}, predicted right")
    assert texts[1].endswith(f"<br>{names[labels[wrong]]}, predicted {names[scores.predictions[wrong]]}")


def test_class_names_are_shown_as_text(discovery: Any, xy: np.ndarray) -> None:
    embeddings = replace(discovery.scores.embeddings, class_names=("<b>x</b>", "%{x}", "$y$"))
    nasty = replace(discovery, scores=replace(discovery.scores, embeddings=embeddings))
    figure = region_map(nasty, xy, "true label")
    shown = "".join([*(trace.name for trace in figure.data[:-1]), *figure.data[0].text])
    assert "<b>" not in shown and "%{" not in shown and "$" not in shown and "&lt;b&gt;x&lt;/b&gt;" in shown


def test_above_the_limit_a_sample_is_drawn_and_it_says_so(
    discovery: Any, xy: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert region_map(discovery, xy).layout.annotations[0].text == ""
    monkeypatch.setattr(sys.modules["ravl_explore.plots.region_map"], "MOST_DRAWN", 100)
    figure = region_map(discovery, xy, "true label")
    assert figure.layout.annotations[0].text.startswith("showing 100 of 240 regions")
    assert sum(len(trace.x) for trace in figure.data) == 100
    assert sum(int(trace.name.rsplit("(", 1)[1][:-1]) for trace in figure.data[:-1]) == 240


def test_the_sample_is_stratified_seeded_and_sorted(make_discovery: Callable, make_embeddings: Callable) -> None:
    discovery = make_discovery(0)
    labels = np.repeat(np.arange(5), [3, 37, 50, 70, 80])
    uneven = replace(
        discovery, clustering=replace(discovery.clustering, labels=labels, medoids=np.array([0, 3, 40, 90, 160]))
    )
    drawn = drawn_regions(uneven, 120)
    assert (np.diff(drawn) > 0).all() and len(drawn) <= 120
    np.testing.assert_array_equal(drawn, drawn_regions(uneven, 120))
    counts = np.bincount(labels[drawn], minlength=5)
    assert counts[0] == 3 and counts.min() >= 3 and counts[1] >= 20
    assert np.diff(counts[1:]).min() > 0 and len(drawn) >= 115
    assert len(drawn_regions(uneven, 240)) == 240


def test_many_classes_share_a_grey_entry(discovery: Any) -> None:
    n = len(discovery.scores.embeddings.labels)
    embeddings = discovery.scores.embeddings
    many = replace(
        embeddings,
        labels=np.arange(n) % 30,
        class_names=tuple(f"c{i}" for i in range(30)),
        text=np.repeat(embeddings.text, 10, axis=0),
    )
    spread = {name: np.repeat(getattr(discovery.scores, name), 10, axis=1) / 10 for name in ("image", "region")}
    scores = replace(discovery.scores, embeddings=many, **spread)
    groups = categories(replace(discovery, scores=scores), "true label")
    assert len(groups.names) == 21 and groups.names[-1] == "10 other classes" and groups.colors[-1] == palette.MUTED


def test_a_ring_marks_one_region(discovery: Any, xy: np.ndarray) -> None:
    ring = region_map(discovery, xy, marked=7).data[-1]
    assert ring.meta["entry"] == -1 and ring.customdata.tolist() == [7]
    assert (ring.x[0], ring.y[0]) == tuple(xy[7])


def test_the_axes_hold_all_points_whichever_entries_are_switched_off(discovery: Any, xy: np.ndarray) -> None:
    """plotly looks at those that are visible unless it is told."""
    for places in (xy, xy * 1000 - 5, np.zeros_like(xy)):
        layout = region_map(discovery, places, "error").layout
        for axis, values in ((layout.xaxis, places[:, 0]), (layout.yaxis, places[:, 1])):
            limits = axis.autorangeoptions
            assert limits.minallowed < values.min() and limits.maxallowed > values.max()
            assert limits.maxallowed - limits.minallowed < 1.2 * (values.max() - values.min()) + 3
    hole = np.where(np.arange(len(xy))[:, None] == 3, np.nan, xy)
    assert region_map(discovery, hole).layout.xaxis.autorangeoptions.maxallowed < 10


def test_the_plot_keeps_its_width_when_something_is_selected(discovery: Any, xy: np.ndarray) -> None:
    margins = [region_map(discovery, xy, selection=each).layout.margin for each in (None, np.arange(100))]
    assert margins[0].r == margins[1].r and margins[0].autoexpand is False


def test_wrong_arguments_are_told(discovery: Any, xy: np.ndarray) -> None:
    with pytest.raises(InputError, match="color_by in"):
        region_map(discovery, xy, "colour")
    with pytest.raises(InputError, match="one point for each of 240"):
        region_map(discovery, xy[:5])


def test_themes_have_transparent_paper_and_their_own_ink(discovery: Any, xy: np.ndarray) -> None:
    for theme in ("light", "dark"):
        layout = region_map(discovery, xy, theme=theme).layout.template.layout
        assert layout.paper_bgcolor == "rgba(0,0,0,0)" and layout.font.color == palette.INK[theme]
