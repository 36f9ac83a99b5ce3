"""LiveFigure: what it sends, when, and what a reloaded page would get; no browser needed."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from ipywidgets.widgets.widget import _remove_buffers

from ravl_explore.widgets.basics.figure import LOOKING, LiveFigure
from ravl_explore.widgets.basics.gestures import PointsEvent, inside_polygon, points_event
from ravl_explore.widgets.basics.throttle import Throttle

Sent = list[tuple[dict[str, Any], int]]


def chart(*ys: list[float], name: str = "a", title: str = "") -> go.Figure:
    """One line per list."""
    figure = go.Figure([go.Scatter(y=np.array(y, np.float32), name=f"{name}{i}") for i, y in enumerate(ys)])
    return figure.update_layout(title_text=title)


@pytest.fixture
def live() -> Iterator[LiveFigure]:
    figure = LiveFigure(chart([1.0, 2.0]))
    yield figure
    figure.close()


@pytest.fixture
def sent(live: LiveFigure, monkeypatch: pytest.MonkeyPatch) -> Sent:
    """(state, bytes) of every update message from now on."""
    return record(live, monkeypatch)


def record(figure: LiveFigure, monkeypatch: pytest.MonkeyPatch) -> Sent:
    messages: Sent = []

    def send(data: dict | None = None, metadata: Any = None, buffers: Any = None) -> None:
        size = len(json.dumps(data)) + sum(memoryview(each).nbytes for each in buffers or ())
        content = (data or {}).get("content", {})
        edit = {content["name"]: content["message"]} if content.get("kind") == "edit" else {}
        messages.append(((data or {}).get("state", edit), size))

    monkeypatch.setattr(figure.comm, "send", send)
    return messages


def drawn_y(figure: LiveFigure) -> list[list[float]]:
    """The lines of the state that a reloaded page gets."""
    return [array(each["y"]).tolist() for each in figure.get_state()["_widget_data"]]


def array(held: dict[str, Any]) -> np.ndarray:
    """An array of the state, which holds its bytes as text."""
    return np.frombuffer(base64.b64decode(held["bdata"]), held["dtype"])


def tell(figure: LiveFigure, buffers: Any = None, **content: Any) -> None:
    """A message as the page sends it."""
    figure._handle_custom_msg(content, buffers or [])


def gesture(figure: LiveFigure, event: str = "selected", ids: tuple[int, ...] = (), **content: Any) -> None:
    told = {"tool": "click", "outline": None, "picture": None} | content
    tell(figure, [memoryview(np.array(ids, np.int32))], kind="points", event=event, **told)


def change(figure: LiveFigure, name: str, **message: Any) -> None:
    tell(figure, kind="change", name=f"_js2py_{name}", message=message | {"source_view_id": "v"})


def hide(figure: LiveFigure, trace: int) -> None:
    change(figure, "restyle", style_data={"visible": ["legendonly"]}, style_traces=[trace])


def zoom(figure: LiveFigure) -> None:
    change(figure, "relayout", relayout_data={"xaxis.range[0]": 1, "xaxis.range[1]": 2})


def test_a_reloaded_page_gets_what_is_drawn_now(live: LiveFigure) -> None:
    live.draw(chart([7.0, 8.0, 9.0], title="new"))
    live.flush()
    assert drawn_y(live) == [[7.0, 8.0, 9.0]]
    assert live.get_state()["_widget_layout"]["title"]["text"] == "new"
    assert live.get_state("_widget_data")["_widget_data"][0]["name"] == "a0"


def test_other_state_is_not_touched_by_asking_for_one_key(live: LiveFigure) -> None:
    assert list(live.get_state("_view_count")) == ["_view_count"]


def test_one_redraw_is_one_message_with_only_what_changed(live: LiveFigure, sent: Sent) -> None:
    live.draw(chart([1.0, 2.0], title="only the title"))
    live.flush()
    [(state, _)] = sent
    assert state["_py2js_update"]["style_data"] == {}
    assert state["_py2js_update"]["layout_data"] == {"title.text": "only the title"}
    assert "_widget_data" not in state


def test_drawing_the_same_again_sends_nothing(live: LiveFigure, sent: Sent) -> None:
    live.draw(chart([1.0, 2.0]))
    live.flush()
    assert sent == []


def test_more_and_fewer_traces(live: LiveFigure, sent: Sent) -> None:
    live.draw(chart([1.0], [2.0], [3.0]))
    live.flush()
    assert drawn_y(live) == [[1.0], [2.0], [3.0]]
    assert sum("_py2js_addTraces" in state for state, _ in sent) == 1
    live.draw(chart([4.0]))
    live.flush()
    assert drawn_y(live) == [[4.0]] and len(live.data) == 1
    assert sent[-1][0]["_py2js_deleteTraces"]["delete_inds"] == [1, 2]
    live.draw(chart([5.0], [6.0], [7.0]))
    live.flush()
    assert drawn_y(live) == [[5.0], [6.0], [7.0]]
    assert [trace.visible for trace in live.data] == [None, True, True]


def test_a_property_left_out_goes_back_to_its_default(live: LiveFigure, sent: Sent) -> None:
    live.draw(chart([1.0, 2.0]).update_traces(line_width=7))
    live.flush()
    live.draw(chart([1.0, 2.0]))
    live.flush()
    assert sent[-1][0]["_py2js_update"]["style_data"] == {"line": [None]}
    assert live.data[0].line.width is None and "line" not in live.get_state()["_widget_data"][0]


def test_a_container_left_out_goes_whole(live: LiveFigure, sent: Sent) -> None:
    """plotly draws a colour bar for an empty ``marker.colorbar``."""
    bar = {"color": [1.0, 2.0], "size": 9, "showscale": True, "colorbar": {"title": {"text": "G", "side": "right"}}}
    live.draw(chart([1.0, 2.0]).update_traces(marker=bar).update_layout(legend_title_text="L"))
    live.flush()
    live.draw(chart([1.0, 2.0]).update_traces(marker_size=9))
    live.flush()
    update = sent[-1][0]["_py2js_update"]
    gone = {"marker.color": [None], "marker.colorbar": [None], "marker.showscale": [None]}
    assert update["style_data"] == gone
    assert update["layout_data"] == {"legend": None}
    state = live.get_state()
    assert state["_widget_data"][0]["marker"] == {"size": 9}
    assert "legend" not in state["_widget_layout"]


def test_what_the_user_changed_stays_unless_reset(live: LiveFigure, sent: Sent) -> None:
    zoom(live)
    hide(live, 0)
    assert live.hidden_traces() == (0,)
    live.draw(chart([3.0, 4.0]))
    live.flush()
    assert live.hidden_traces() == (0,)
    assert list(live.layout.xaxis.range) == [1, 2]
    live.draw(chart([3.0, 4.0]), reset=("zoom", "legend", "outline"))
    live.flush()
    assert live.hidden_traces() == ()
    layout = sent[-1][0]["_py2js_update"]["layout_data"]
    assert layout == {"xaxis.autorange": True, "yaxis.autorange": True, "selections": []}
    assert sent[-1][0]["_py2js_update"]["style_data"] == {"visible": [True]}


def test_a_zoom_ends_autorange_so_that_it_survives_a_reload(live: LiveFigure) -> None:
    live.draw(chart([1.0, 2.0]), reset=("zoom",))
    live.flush()
    assert live.layout.xaxis.autorange is True
    zoom(live)
    assert live.get_state()["_widget_layout"]["xaxis"] == {"range": [1, 2]}


def test_every_change_of_the_user_is_taken_not_only_the_last_of_a_kind(live: LiveFigure) -> None:
    """They wait, one message each, while the kernel computes."""
    live.draw(chart([1.0], [2.0], [3.0]))
    live.flush()
    hide(live, 0)
    hide(live, 2)
    change(live, "update", style_data={"opacity": 0.5}, style_traces=[1], layout_data={"hovermode": "x"})
    zoom(live)
    change(live, "relayout", relayout_data={"dragmode": "pan"})
    assert live.hidden_traces() == (0, 2) and live.data[1].opacity == 0.5
    assert (live.layout.hovermode, live.layout.dragmode, list(live.layout.xaxis.range)) == ("x", "pan", [1, 2])


def test_what_the_page_says_otherwise_is_not_taken(live: LiveFigure, sent: Sent) -> None:
    for content in ({"kind": "change", "name": "_js2py_traceDeltas", "message": {}}, {"kind": "what"}, {}):
        tell(live, **content)
    assert drawn_y(live) == [[1.0, 2.0]] and sent == []


def test_fast_redraws_are_throttled_and_the_last_one_wins(live: LiveFigure, sent: Sent) -> None:
    started = time.monotonic()
    for i in range(200):
        live.draw(chart([float(i)]))
        time.sleep(0.005)
    lasted = time.monotonic() - started
    live.flush()
    assert drawn_y(live) == [[199.0]]
    assert 2 <= len(sent) <= 5 * lasted + 2


def test_a_single_draw_needs_no_flush(live: LiveFigure) -> None:
    live.draw(chart([42.0]))
    wait_for(lambda: drawn_y(live) == [[42.0]])


def test_what_to_draw_may_be_made_when_its_turn_comes(live: LiveFigure) -> None:
    made: list[int] = []

    def make() -> go.Figure:
        made.append(1)
        return chart([5.0])

    live._throttle.cancel()  # counts as a run just now, so that the next waits
    for _ in range(50):
        live.draw(make)
    live.flush()
    assert made == [1]


def test_what_makes_a_figure_may_wait_for_one_who_draws(live: LiveFigure) -> None:
    """As the map does: it is made under the map's lock, and whoever holds that asks for the next drawing."""
    lock, waits, done = threading.Lock(), threading.Event(), threading.Event()

    def make() -> go.Figure:
        waits.set()
        assert lock.acquire(timeout=5), "the one who holds it waits for the figure"
        lock.release()
        return chart([1.0])

    def select() -> None:
        with lock:
            holds.set()
            assert waits.wait(5)
            live.draw(chart([2.0]))
        done.set()

    holds = threading.Event()
    threading.Thread(target=select, daemon=True).start()
    assert holds.wait(5)
    live.draw(make)
    live.flush()
    assert done.wait(5)
    live.flush()
    assert drawn_y(live) == [[2.0]]


def test_no_update_is_lost_while_the_browser_talks(live: LiveFigure, sent: Sent) -> None:
    """plotly's own widget loses about a tenth here, and raises RuntimeError now and then."""
    stop, errors = threading.Event(), []

    def talk() -> None:
        try:
            while not stop.is_set():
                gesture(live, ids=(1,))
                live.set_state({"_view_count": 1})
        except Exception as error:
            errors.append(error)

    talker = threading.Thread(target=talk)
    talker.start()
    for i in range(300):
        live.data[0].y = np.array([i, i + 1], np.float32)
    stop.set()
    talker.join()
    updates = [state["_py2js_restyle"] for state, _ in sent if state.get("_py2js_restyle")]
    assert errors == []
    assert len(updates) == 300


def test_an_update_while_notifications_are_held_is_not_lost(live: LiveFigure, sent: Sent) -> None:
    """ipywidgets holds them within set_state; plotly's own set-and-clear of a trait then cancels itself out."""

    def edit() -> None:
        live.data[0].y = np.array([5.0], np.float32)
        live.add_scatter(y=[1])
        live.layout.hovermode = "x"
        live.plotly_update({"name": "b"}, {"showlegend": True}, [0])

    with live.hold_trait_notifications():
        worker = threading.Thread(target=edit)
        worker.start()
        worker.join()
    assert [next(iter(state)) for state, _ in sent] == [
        "_py2js_restyle",
        "_py2js_addTraces",
        "_py2js_relayout",
        "_py2js_update",
    ]


def test_edits_are_no_state_and_resync_sends_the_whole(live: LiveFigure, sent: Sent) -> None:
    live.draw(chart([3.0]))
    live.resync()
    assert [list(state) for state, _ in sent] == [["_py2js_update"], ["_widget_data", "_widget_layout"]]


def test_a_light_edit_is_followed_by_the_state_when_there_is_quiet(
    live: LiveFigure, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    live._sync_soon.cancel()
    live._sync_soon = Throttle(live._sync, rate=1000, delay=0.05)
    live.draw(chart([1.0, 2.0], title="x"))
    live.flush()
    wait_for(lambda: len(sent) == 2)
    assert sent[1][0]["_widget_layout"]["title"]["text"] == "x"


def test_a_gesture_over_many_traces_is_one_event(live: LiveFigure) -> None:
    live.draw(chart(*[[1.0, 2.0]] * 6))
    live.flush()
    events: list[PointsEvent] = []
    live.on_points(events.append)
    gesture(live, ids=(7, 0, 12), tool="lasso", outline={"xs": [0, 1, 1], "ys": [0, 0, 1]}, picture={"n": 3})
    [event] = events
    assert (event.kind, event.tool, event.ids.tolist()) == ("selected", "lasso", [7, 0, 12])
    assert event.picture == {"n": 3}
    assert event.polygon is not None and event.polygon.tolist() == [[0, 0], [1, 0], [1, 1]]


def test_listeners_run_without_the_lock(live: LiveFigure) -> None:
    """A listener may wait for a worker thread that draws."""
    done = threading.Event()

    def wait_for_worker(event: PointsEvent) -> None:
        def work() -> None:
            live.draw(chart([9.0]))
            live.flush()
            done.set()

        threading.Thread(target=work).start()
        assert done.wait(5)

    live.on_points(wait_for_worker)
    gesture(live, "deselected")
    assert drawn_y(live) == [[9.0]]


def test_the_same_gesture_twice_is_told_twice(live: LiveFigure, sent: Sent) -> None:
    events: list[PointsEvent] = []
    live.on_points(events.append)
    for _ in range(2):
        gesture(live, "deselected")
    assert [event.kind for event in events] == ["deselected", "deselected"]
    assert sent == []


def test_a_box_is_told_by_two_corners() -> None:
    told = {"event": "selected", "tool": "box", "outline": {"xs": [0, 2], "ys": [1, 3]}}
    event = points_event(told, np.zeros(0, np.int32))
    assert event.tool == "box" and event.polygon is not None
    assert event.polygon.tolist() == [[0, 1], [2, 1], [2, 3], [0, 3]]


def test_plotlys_bundle_is_in_no_state_and_a_page_that_lacks_it_gets_it(live: LiveFigure, sent: Sent) -> None:
    state = live.get_state()
    assert sum(len(json.dumps(value, default=str)) for value in state.values()) < 40_000
    live.draw(chart([1.0, 2.0, 3.0]))
    live.resync()
    assert max(size for _, size in sent) < 20_000
    tell(live, kind="bundle")
    assert sent[-1][1] > 1_000_000


def test_the_first_figure_sends_the_bundle_unasked_the_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that computes does not answer, and a notebook has several figures."""
    sizes: list[int] = []
    monkeypatch.setattr(LiveFigure, "_bundle_sent", False)
    monkeypatch.setattr(
        LiveFigure, "send", lambda _, content, buffers=None: sizes.append(sum(len(each) for each in buffers or ()))
    )
    for _ in range(3):
        LiveFigure(chart([1.0])).close()
    assert [size > 1_000_000 for size in sizes] == [True]


def test_the_state_holds_no_buffer_whose_place_may_go(live: LiveFigure) -> None:
    """nbclient would put it back into a saved notebook, over what is there now."""
    live.draw(chart([1.0], [2.0]).update_traces(marker_color=np.array([3.0], np.float32)))
    live.flush()
    state, paths, buffers = _remove_buffers(live.get_state())
    assert (paths, buffers) == ([], []) and json.dumps(state, default=str)
    assert array(live.get_state()["_widget_data"][1]["marker"]["color"]).tolist() == [3.0]


def test_an_edit_names_the_places_of_its_buffers(live: LiveFigure, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[dict[str, Any], list]] = []
    monkeypatch.setattr(live, "send", lambda content, buffers=None: sent.append((content, buffers or [])))
    live.draw(chart([5.0, 6.0]).update_traces(marker_color=np.array([7.0], np.float32)))
    live.flush()
    [(content, buffers)] = sent
    assert content["name"] == "_py2js_update" and len(buffers) == 2
    for path, buffer in zip(content["paths"], buffers, strict=True):
        at: Any = content
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = np.frombuffer(buffer, at["dtype"]).tolist()
    style = content["message"]["style_data"]
    assert style["y"][0]["buffer"] == [5, 6] and style["marker.color"][0]["buffer"] == [7]


def test_new_traces_never_travel_with_the_state(live: LiveFigure, sent: Sent) -> None:
    """The browser adds them to its copy of the state by itself, and would have them twice."""
    live.draw(chart([1.0], [2.0], [3.0]))
    live.resync()
    assert not any("_widget_data" in state and state.get("_py2js_addTraces") for state, _ in sent)


def test_tool_bar_never_uploads_and_height_is_explicit() -> None:
    figure = LiveFigure(height=300, tools=LOOKING)
    assert figure._config["modeBarButtons"] == [["zoom2d", "pan2d"], ["resetScale2d"], ["toImage"]]
    assert figure._config["responsive"] is True
    assert figure.layout.height == 300 and figure.layout.width is None
    assert figure._height == 300
    figure.draw(chart([1.0]).update_layout(height=999))
    figure.flush()
    assert figure.layout.height == 300
    figure.close()


def test_drawing_after_close_is_harmless() -> None:
    figure = LiveFigure()
    figure.close()
    figure.draw(chart([1.0]))
    figure.flush()
    assert figure.comm is None


def test_throttle_logs_what_fails_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    def work() -> None:
        calls.append(1)
        raise ValueError("broken")

    throttle = Throttle(work, rate=100)
    throttle()
    wait_for(lambda: len(calls) == 1)
    throttle()
    wait_for(lambda: len(calls) == 2)
    assert "broken" in caplog.text


def test_inside_polygon_agrees_with_a_naive_loop() -> None:
    rng = np.random.default_rng(0)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 30))
    polygon = np.column_stack([np.cos(angle), np.sin(angle)]) * rng.uniform(0.3, 1, (30, 1))
    points = rng.uniform(-1, 1, (400, 2)).astype(np.float32)

    def naive(x: float, y: float) -> bool:
        odd = False
        for i in range(len(polygon)):
            (x0, y0), (x1, y1) = polygon[i - 1], polygon[i]
            if (y0 > y) != (y1 > y) and x < x0 + (x1 - x0) * (y - y0) / (y1 - y0):
                odd = not odd
        return odd

    got = inside_polygon(points, polygon)
    assert got.tolist() == [naive(float(x), float(y)) for x, y in points]
    assert 20 < got.sum() < 380
    assert not inside_polygon(points, polygon[:2]).any()


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
