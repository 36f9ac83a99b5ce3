"""RegionMap: one notification a gesture, no echo, and a selection that survives recolouring and another layout."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from ravl_explore.errors import InputError
from ravl_explore.plots.categories import COLOR_BY
from ravl_explore.widgets.basics.gestures import inside_polygon
from ravl_explore.widgets.findings.region_map import EMPTY_TIP, TIP, RegionMap

Heard = list[tuple[int, ...]]


@pytest.fixture
def discovery(make_discovery: Callable) -> Any:
    return make_discovery(0, min_influence=0.0)


@pytest.fixture
def xy(discovery: Any) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(discovery.clustering.labels), 2)).astype(np.float32)


@pytest.fixture
def view(discovery: Any, xy: np.ndarray) -> Iterator[RegionMap]:
    made = RegionMap(discovery, xy)
    yield made
    made.close()


@pytest.fixture
def heard(view: RegionMap) -> Heard:
    """Every selection that observers were told of."""
    told: Heard = []
    view.observe(lambda change: told.append(change["new"]), "selection")
    return told


def lasso(view: RegionMap, polygon: np.ndarray, regions: np.ndarray | None = None, tool: str = "lasso") -> None:
    """What the browser sends: the visible drawn points inside, trace by trace, and the outline."""
    inside: list[int] = []
    for trace in view.figure.data:
        if trace.customdata is None or trace.visible == "legendonly":
            continue
        hit = inside_polygon(np.column_stack([trace.x, trace.y]), polygon)
        if regions is not None:
            hit = np.isin(trace.customdata, regions)
        inside += np.asarray(trace.customdata)[hit].tolist()
    outline = {"xs": polygon[:, 0].tolist(), "ys": polygon[:, 1].tolist()} if tool == "lasso" else None
    send(view, "selected", inside, tool, outline)


def send(
    view: RegionMap,
    event: str,
    regions: Sequence[int] = (),
    tool: str = "click",
    outline: Any = None,
    picture: Any = None,
) -> None:
    content = {"kind": "points", "event": event, "tool": tool, "outline": outline}
    content["picture"] = view.figure.layout.meta if picture is None else picture
    view.figure._handle_custom_msg(content, [memoryview(np.array(regions, np.int32))])


def hide(view: RegionMap, trace: int) -> None:
    message = {"style_data": {"visible": "legendonly"}, "style_traces": [trace], "source_view_id": "v"}
    view.figure._handle_custom_msg({"kind": "change", "name": "_js2py_restyle", "message": message}, [])


def highlighted(view: RegionMap) -> set[int]:
    view.figure.flush()
    found: set[int] = set()
    for trace in view.figure.data:
        if trace.customdata is not None and trace.selectedpoints is not None and trace.meta["entry"] >= 0:
            found |= set(np.asarray(trace.customdata)[np.asarray(trace.selectedpoints, dtype=int)].tolist())
    return found


SQUARE = np.array([[-0.5, -0.5], [0.8, -0.5], [0.8, 0.7], [-0.5, 0.7]])


def test_an_empty_map_says_what_will_come_and_takes_no_selection() -> None:
    view = RegionMap()
    assert EMPTY_TIP in view._status.value and view._clear.disabled and view._menu.disabled
    view.color_by = "error"
    view.select(())
    view.figure.flush()
    with pytest.raises(InputError, match="region indices"):
        view.select([0])
    with pytest.raises(InputError, match="shows a discovery"):
        view.set_layout(np.zeros((1, 2)), "UMAP")
    view.close()


def test_a_lasso_over_many_traces_is_one_notification(
    view: RegionMap, heard: Heard, xy: np.ndarray, discovery: Any
) -> None:
    sources: list[str] = []
    view.observe(lambda change: sources.append(view.selection_source), "selection")
    lasso(view, SQUARE)
    expected = np.flatnonzero(inside_polygon(xy, SQUARE))
    assert heard == [tuple(expected.tolist())] and sources == ["lasso"]
    assert highlighted(view) == set(expected.tolist())
    images = np.unique(discovery.scores.embeddings.regions.image_index[expected])
    np.testing.assert_array_equal(view.selected_images, images)
    assert f"<b>{len(expected)}</b> regions selected · <b>{len(images)}</b> images" in view._status.value
    assert not view._clear.disabled


def test_a_click_selects_one_region(view: RegionMap, heard: Heard) -> None:
    region = int(view.figure.data[1].customdata[0])
    send(view, "selected", [region])
    assert heard == [(region,)] and view.selection_source == "click"
    assert "<b>1</b> region selected · <b>1</b> image<" in view._status.value


def test_a_double_click_and_the_button_clear(view: RegionMap, heard: Heard) -> None:
    for clear in (lambda: send(view, "deselected"), view._clear.click):
        view.select([3])
        clear()
        assert view.selection == () and view.selection_source == "clear"
        assert highlighted(view) == set() and TIP in view._status.value
    assert heard == [(3,), (), (3,), ()]


def test_a_gesture_is_told_also_when_it_selects_the_same(view: RegionMap, heard: Heard) -> None:
    """Table and crops may show something else meanwhile."""
    for _ in range(2):
        send(view, "selected", [3])
    for _ in range(2):
        lasso(view, SQUARE)
    inside = view.selection
    for clear in (lambda: send(view, "deselected"), view._clear.click):
        clear()
    assert heard == [(3,), (3,), inside, inside, (), ()] and len(inside) > 10


def test_a_lasso_on_a_discovery_that_is_gone_selects_nothing(
    view: RegionMap, heard: Heard, xy: np.ndarray, make_discovery: Callable
) -> None:
    """The kernel was busy with the next search when it was drawn."""
    before = view.figure.layout.meta
    view.show(make_discovery(3), xy)
    send(view, "selected", [1, 2], picture=before)
    assert view.selection == () and heard == []


def test_select_tells_once_and_only_of_a_change(view: RegionMap, heard: Heard) -> None:
    view.select(np.array([9, 2, 2]), source="table")
    view.select([2, 9])
    assert heard == [(2, 9)]
    assert highlighted(view) == {2, 9}


def test_linked_both_ways_there_is_no_endless_loop(view: RegionMap, heard: Heard) -> None:
    view.observe(lambda change: view.select(change["new"], source="echo"), "selection")
    view.select([4])
    lasso(view, SQUARE)
    assert len(heard) == 2


def test_select_in_the_program_takes_the_outline_away_but_a_lasso_keeps_it(
    view: RegionMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    resets: list[tuple[str, ...]] = []
    monkeypatch.setattr(view.figure, "draw", lambda figure, reset=(): resets.append(tuple(reset)))
    lasso(view, SQUARE)
    view.select([1])
    view.clear()
    assert resets == [(), ("outline",), ("outline",)]


@pytest.mark.parametrize("wrong", [[-1], [240], [0.5]])
def test_regions_that_are_not_there(view: RegionMap, wrong: list) -> None:
    with pytest.raises(InputError, match="from 0 to 239"):
        view.select(wrong)
    assert view.selection == ()


@pytest.mark.parametrize("color_by", COLOR_BY)
def test_recolouring_keeps_the_selection(view: RegionMap, heard: Heard, color_by: str) -> None:
    view.select([1, 2, 77])
    view.color_by = color_by
    assert highlighted(view) == {1, 2, 77} and heard == [(1, 2, 77)]
    assert view._menu.value == color_by


def test_the_menu_recolours(view: RegionMap) -> None:
    view._menu.value = "error"
    view.figure.flush()
    assert view.color_by == "error"
    assert any((trace.name or "").startswith("wrong prediction") for trace in view.figure.data)


def test_another_layout_keeps_colours_selection_and_hidden_entries(
    view: RegionMap, xy: np.ndarray, heard: Heard
) -> None:
    view.select([1, 2, 77])
    view.figure.flush()
    hide(view, 0)
    colors = [trace.marker.color for trace in view.figure.data]
    thread = threading.Thread(target=view.set_layout, args=(10 - xy, "UMAP"))
    thread.start()
    thread.join()
    assert highlighted(view) == {1, 2, 77} and heard == [(1, 2, 77)]
    assert [trace.marker.color for trace in view.figure.data] == colors
    assert view.figure.hidden_traces() == (0,)
    assert view.figure.layout.xaxis.title.text == "UMAP 1"
    trace = view.figure.data[1]
    np.testing.assert_allclose(np.column_stack([trace.x, trace.y]), 10 - xy[trace.customdata])


def test_showing_another_discovery_forgets_the_selection(
    view: RegionMap, heard: Heard, xy: np.ndarray, make_discovery: Callable
) -> None:
    view.select([1])
    view.mark(1)
    view.color_by = "true label"
    other = make_discovery(3)
    view.show(other, xy, "UMAP")
    assert view.selection == () and heard == [(1,), ()] and TIP in view._status.value
    assert view.figure.data[0].name.startswith("class 0") and highlighted(view) == set()
    assert len(next(trace for trace in view.figure.data if trace.meta and trace.meta["entry"] == -1).x) == 0


def test_a_ring_marks_one_region(view: RegionMap, xy: np.ndarray, heard: Heard) -> None:
    view.mark(17)
    view.figure.flush()
    ring = view.figure.data[-1]
    assert (ring.x.tolist(), ring.y.tolist()) == ([xy[17, 0]], [xy[17, 1]]) and heard == []
    with pytest.raises(InputError, match="a region from 0 to 239"):
        view.mark(240)


class TestMorePointsThanAreDrawn:
    """100 of 240 regions are drawn, the rest only exists in Python."""

    @pytest.fixture
    def view(self, discovery: Any, xy: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Iterator[RegionMap]:
        monkeypatch.setattr(sys.modules["ravl_explore.plots.region_map"], "MOST_DRAWN", 100)
        made = RegionMap(discovery, xy)
        assert len(made._drawn) == 100
        yield made
        made.close()

    def test_a_lasso_takes_all_regions_inside(self, view: RegionMap, xy: np.ndarray) -> None:
        lasso(view, SQUARE)
        assert view.selection == tuple(np.flatnonzero(inside_polygon(xy, SQUARE)).tolist())

    def test_but_not_those_of_hidden_entries(self, view: RegionMap, xy: np.ndarray, discovery: Any) -> None:
        view.color_by = "true label"
        view.figure.flush()
        hide(view, 1)
        lasso(view, SQUARE)
        embeddings = discovery.scores.embeddings
        labels = embeddings.labels[embeddings.regions.image_index]
        assert view.selection == tuple(np.flatnonzero(inside_polygon(xy, SQUARE) & (labels != 1)).tolist())

    def test_shift_adds(self, view: RegionMap, xy: np.ndarray) -> None:
        other = SQUARE + np.array([1.2, 1.0])
        both = np.flatnonzero(inside_polygon(xy, SQUARE) | inside_polygon(xy, other))
        lasso(view, SQUARE)
        lasso(view, other, regions=both)
        assert view.selection == tuple(both.tolist())

    def test_the_outline_is_of_the_layout_it_was_drawn_on(self, view: RegionMap, xy: np.ndarray) -> None:
        """The layout may change before the kernel hears of it."""
        before = view.figure.layout.meta
        drawn = view._drawn[inside_polygon(xy[view._drawn], SQUARE)]
        view.set_layout(10 - xy, "UMAP")
        view.figure.flush()
        outline = {"xs": SQUARE[:, 0].tolist(), "ys": SQUARE[:, 1].tolist()}
        send(view, "selected", drawn.tolist(), "lasso", outline, before)
        assert view.selection == tuple(np.flatnonzero(inside_polygon(xy, SQUARE)).tolist())

    def test_a_second_lasso_replaces(self, view: RegionMap, xy: np.ndarray) -> None:
        other = SQUARE + np.array([1.2, 1.0])
        lasso(view, SQUARE)
        lasso(view, other)
        assert view.selection == tuple(np.flatnonzero(inside_polygon(xy, other)).tolist())


@pytest.fixture(scope="module")
def large(make_embeddings: Callable, cluster: Callable) -> tuple[Any, np.ndarray]:
    """(discovery, xy) of 60,000 regions."""
    from ravl_explore.discovery import discover
    from ravl_explore.scores import zero_shot

    embeddings = make_embeddings(0, counts=(6,) * 10_000)
    found = discover(zero_shot(embeddings), cluster(embeddings.region, np.arange(12) * 7), min_influence=0.0)
    return found, np.random.default_rng(0).normal(size=(60_000, 2)).astype(np.float32)


class TestSixtyThousandRegions:
    """More than the 20,000 that are drawn, with nothing patched."""

    @pytest.fixture
    def view(self, large: tuple[Any, np.ndarray]) -> Iterator[RegionMap]:
        made = RegionMap(*large)
        yield made
        made.close()

    def test_a_lasso_takes_exactly_the_regions_inside_drawn_or_not(
        self, view: RegionMap, heard: Heard, large: tuple[Any, np.ndarray]
    ) -> None:
        discovery, xy = large
        assert 19_900 < sum(len(trace.x) for trace in view.figure.data) <= 20_000
        assert "of 60,000 regions" in view.figure.get_state()["_widget_layout"]["annotations"][0]["text"]
        disk = np.column_stack([np.cos(np.arange(0, 6.28, 0.05)), np.sin(np.arange(0, 6.28, 0.05))])
        lasso(view, disk)
        inside = np.flatnonzero(even_odd(xy, disk))
        assert 20_000 < len(inside) < 30_000
        assert len(heard) == 1
        np.testing.assert_array_equal(view.selection, inside)
        images = np.unique(discovery.scores.embeddings.regions.image_index[inside])
        np.testing.assert_array_equal(view.selected_images, images)
        shown = highlighted(view)
        assert len(shown) > 6000 and shown == set(inside.tolist()) & set(view._drawn.tolist())

    def test_the_browser_decides_for_drawn_points_and_the_outline_for_the_others(
        self, view: RegionMap, large: tuple[Any, np.ndarray]
    ) -> None:
        _, xy = large
        inside = np.flatnonzero(even_odd(xy, SQUARE))
        said = np.setdiff1d(inside, np.intersect1d(inside, view._drawn)[::100])  # a few at the edge, which it left out
        lasso(view, SQUARE, regions=said)
        np.testing.assert_array_equal(view.selection, said)

    def test_selecting_all_regions_in_the_program(self, view: RegionMap, heard: Heard) -> None:
        view.select(np.arange(60_000)[::-1])
        assert heard == [tuple(range(60_000))]
        assert len(view.selected_images) == 10_000


def even_odd(xy: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Which points a ray to the right leaves the polygon from, by one test of all points an edge."""
    x, y, odd = xy[:, 0].astype(float), xy[:, 1].astype(float), np.zeros(len(xy), bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crosses = (y0 > y) != (y1 > y)
        if y0 != y1:
            odd ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return odd


@pytest.mark.parametrize("seed", range(4))
def test_inside_equals_an_edge_by_edge_test(seed: int) -> None:
    """Outlines that cross themselves, with level and doubled edges, and points on corners and edges."""
    rng = np.random.default_rng(seed)
    polygon = rng.normal(size=(40, 2)).round(1)
    polygon[10:12, 1] = polygon[9, 1]
    polygon[20] = polygon[19]
    xy = np.concatenate([rng.normal(size=(3000, 2)).round(1), polygon, rng.normal(size=(500, 2))]).astype(np.float32)
    expected = even_odd(xy, polygon)
    assert 100 < expected.sum() < 3000
    np.testing.assert_array_equal(inside_polygon(xy, polygon), expected)
    assert not inside_polygon(xy, polygon[:2]).any()


def test_state_after_a_selection_is_what_a_reload_shows(view: RegionMap) -> None:
    view.select([1, 2, 77])
    view.figure.flush()
    traces = view.figure.get_state()["_widget_data"]
    assert sum(trace["selectedpoints"]["shape"][0] for trace in traces if "selectedpoints" in trace) == 3


def test_selecting_is_a_small_message(view: RegionMap, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    sizes: list[int] = []

    def send(data: Any = None, metadata: Any = None, buffers: Any = None) -> None:
        sizes.append(len(json.dumps(data)) + sum(memoryview(each).nbytes for each in buffers or ()))

    monkeypatch.setattr(view.figure.comm, "send", send)
    view.select([1, 2, 77])
    view.figure.flush()
    assert len(sizes) == 1 and sizes[0] < 4000


@pytest.mark.parametrize("unknown", [False, True], ids=["all scored", "one not scored"])
def test_no_update_names_a_container_and_what_is_in_it(
    unknown: bool, discovery: Any, xy: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plotly in the browser refuses such an update as a whole, and the map would stay as it was."""
    if unknown:
        *others, last = discovery.clusters
        last = replace(last, kept=False, reason="no error image qualifies", influence=float("-inf"))
        discovery = replace(discovery, clusters=(*others, last))
    view, named = RegionMap(discovery, xy), list[set[str]]()
    monkeypatch.setattr(
        view.figure, "_post_edit", lambda name, message, source: named.append(set(message.get("style_data", ())))
    )
    for before, after in permutations(COLOR_BY, 2):
        for color_by in (before, after):
            view.color_by = color_by
            view.figure.flush()
    assert any(keys for keys in named)
    for keys in named:
        assert not [key for key in keys for other in keys if key.startswith(f"{other}.")]


def test_an_observer_may_wait_until_the_map_is_drawn(view: RegionMap) -> None:
    """Whoever hears of a selection holds no lock that drawing needs, nor does drawing hold one that he needs."""
    drawn = threading.Event()

    def wait(change: Any) -> None:
        view.mark(int(change["new"][0]))
        threading.Thread(target=lambda: (view.figure.flush(), drawn.set()), daemon=True).start()
        assert drawn.wait(20)

    view.observe(wait, "selection")
    lasso(view, np.array([[-9.0, -9], [-9, 9], [9, 9], [9, -9]]))
    assert drawn.is_set() and len(view.selection) == len(view.figure.data[0].x) + sum(
        len(trace.x) for trace in view.figure.data[1:-1]
    )


@pytest.mark.parametrize("color_by", COLOR_BY)
def test_every_colouring_is_as_on_a_fresh_map_whatever_was_before(
    color_by: str, discovery: Any, xy: np.ndarray, view: RegionMap
) -> None:
    """Data and layout, as a reload or a saved notebook has them, after each other way, an entry hidden there."""
    fresh = RegionMap()
    fresh.color_by = color_by
    fresh.show(discovery, xy)
    expected = shown(fresh)
    bars = sum("colorbar" in trace.marker.to_plotly_json() for trace in fresh.figure.data)
    assert bars == (color_by in ("influence", "performance gap"))
    for before in COLOR_BY:
        if before != color_by:
            view.color_by = before
            view.figure.flush()
            hide(view, 0)
            view.color_by = color_by
            assert shown(view) == expected, before


def shown(view: RegionMap) -> list[Any]:
    """What a reloaded page or a saved notebook gets."""
    view.figure.flush()
    state = view.figure.get_state(["_widget_data", "_widget_layout"])
    return [*(plain(each) | {"uid": None} for each in state["_widget_data"]), plain(state["_widget_layout"])]


def plain(value: Any) -> Any:
    """The same without arrays, which == does not compare."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value.tolist() if isinstance(value, np.ndarray) else value
