"""The region map in a real browser, drawn on as a hand does: each lasso, box and click is told once, exactly."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, expect

N_REGIONS = 2000
# a discovery of random regions; on its map a point is under the mouse nearly everywhere
MAKE = f"""\
import time
import numpy as np, pandas as pd
from ravl_explore import discover, zero_shot
from ravl_explore.clustering.base import Clustering
from ravl_explore.embedding.embeddings import Embeddings
from ravl_explore.regions.base import Regions
from ravl_explore.widgets.basics.gestures import inside_polygon
from ravl_explore.widgets.findings.region_map import RegionMap
rng = np.random.default_rng(0)
unit = lambda rows: (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
image_index = np.repeat(np.arange({N_REGIONS} // 4), 4)
region, labels = unit(rng.normal(size=({N_REGIONS}, 8))), rng.integers(3, size={N_REGIONS} // 4)
embeddings = Embeddings(
    image=unit(rng.normal(size=({N_REGIONS} // 4, 8))), region=region, text=unit(rng.normal(size=(3, 8))),
    regions=Regions(np.tile([0.0, 0, 1, 1], ({N_REGIONS}, 1)), image_index),
    labels=labels, class_names=("cat", "dog", "owl"))
medoids = np.arange(8) * 7
similarity = region @ region[medoids].T
similarity[medoids, np.arange(8)] = 2
clustering = Clustering(similarity.argmax(1), medoids, 1.5,
                        pd.DataFrame({{"n_clusters": [8], "loss": [1.5], "silhouette": [0.25]}}))
discovery = discover(zero_shot(embeddings), clustering, min_influence=0.0)
xy = rng.uniform(size=({N_REGIONS}, 2)).astype(np.float32)
"""
MAP = """\
view = RegionMap(discovery, xy, "UMAP", height=380)
told, polygons, slow = [], [], 0.0
view.figure.on_points(lambda event: polygons.append(None if event.polygon is None else event.polygon.tolist()))
def hear(change):
    time.sleep(slow)
    told.append((view.selection_source, change["new"]))
view.observe(hear, "selection")
view"""
LINKED = """\
from ravl_explore.widgets.findings import discovery as module
module.cached_layout = lambda embeddings: xy
view = module.DiscoveryWidget(discovery)
view"""
# of the last cluster no influence is known: an entry more in that colouring alone
UNSCORED = """\
from dataclasses import replace
*kept, last = discovery.clusters
last = replace(last, kept=False, reason="no error image qualifies", influence=float("-inf"))
view.show(replace(discovery, clusters=(*kept, last)), xy, "UMAP")"""
CROPS = """\
from ravl_explore.data.arrays import ArrayDataset
images = rng.integers(0, 255, (len(labels), 8, 8, 3), dtype=np.uint8)
view.show(discovery, ArrayDataset(images, labels, ("cat", "dog", "owl"), name="noise"))"""
BUSY = "time.sleep(4)"
PLOT = """() => {
  const plot = document.querySelector('.js-plotly-plot'), box = plot.querySelector('.nsewdrag').getBoundingClientRect();
  return {left: box.left, top: box.top, width: box.width, height: box.height};
}"""
AXES = """() => {
  const {xaxis, yaxis} = document.querySelector('.js-plotly-plot')._fullLayout;
  return [...xaxis.range, ...yaxis.range];
}"""
# as a hand does it: press, move on every few milliseconds, and let go at once, with no rest before; all in the page, as
# it takes a driver from outside some 0.3 s a move when the plot is drawn in software
DRAW = """async (corners) => {
  const fire = (type, [x, y], buttons) => document.elementFromPoint(x, y).dispatchEvent(new MouseEvent(type,
    {bubbles: true, cancelable: true, composed: true, view: window, clientX: x, clientY: y, button: 0, buttons}));
  fire('mousemove', corners[0], 0);
  fire('mousedown', corners[0], 1);
  for (const corner of corners.slice(1)) {
    await new Promise((done) => setTimeout(done, 2));
    fire('mousemove', corner, 1);
  }
  fire('mouseup', corners[corners.length - 1], 0);
  fire('mousemove', corners[corners.length - 1], 0);
  await new Promise((done) => setTimeout(done, 150)); // until the hand is at the next place
}"""
BARS = "() => document.querySelectorAll('.js-plotly-plot .cbbg').length"
DRAWN = "document.querySelector('.js-plotly-plot').data.map(({name, meta}) => [name ?? null, meta.entry])"
Corners = list[tuple[float, float]]


@pytest.fixture
def opened(notebook: Callable[..., Any]) -> Any:
    """The map on screen."""
    made = notebook(MAKE, MAP, BUSY, name="map", size=(900, 760))
    made.run_cell(0)
    made.run_cell(1)
    show_plot(made)
    return made


def show_plot(opened: Any) -> None:
    plot = opened.page.locator(".js-plotly-plot").first
    expect(plot.locator(".nsewdrag").first).to_be_visible(timeout=60_000)
    opened.settle(1000)
    plot.evaluate("element => element.scrollIntoView({block: 'center'})")
    opened.settle()


def circle(plot: dict[str, float], x: float, y: float, radius: float) -> Corners:
    """Forty places on a circle, from its middle as fractions of the plot and its radius in pixels."""
    middle = plot["left"] + x * plot["width"], plot["top"] + y * plot["height"]
    turns = [2 * math.pi * i / 40 for i in range(40)]
    return [(middle[0] + radius * math.cos(turn), middle[1] + radius * math.sin(turn)) for turn in turns]


def box(plot: dict[str, float], x: float, y: float, side: float) -> Corners:
    left, top = plot["left"] + x * plot["width"], plot["top"] + y * plot["height"]
    return [(left + side * i / 12, top + side * i / 12) for i in range(13)]


def drag(page: Page, corners: Corners) -> None:
    """With the browser's own mouse: press at the first corner, move through the others, and release at once."""
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner)
    page.mouse.up()


def use_tool(page: Page, title: str) -> None:
    page.locator(f'.modebar-btn[data-title="{title}"]').click()


def colour_by(opened: Any, name: str) -> None:
    opened.page.locator(".jp-OutputArea select").first.select_option(label=name)
    opened.wait_for_value(f"view.color_by == {name.lower()!r} and not view.figure.flush()", "True")


def test_no_lasso_or_box_is_lost(opened: Any) -> None:
    """Fifty, on and off points, the kernel idle or busy: all are told, once, in order, with the regions inside."""
    page: Page = opened.page
    plot = page.evaluate(PLOT)
    places = [(0.12 + 0.17 * (i % 5), 0.16 + 0.16 * (i // 5)) for i in range(25)]
    for number, (shape, tool) in enumerate(((circle, "Lasso Select"), (box, "Box Select"))):
        use_tool(page, tool)
        for i, (x, y) in enumerate(places):
            if i == 18:
                opened.kernel_exec("slow = 0.7")  # from now on, messages wait for a busy kernel
            corners = shape(plot, x, y, 22 + i)
            if i in (0, 24):
                drag(page, corners)
                opened.settle(300)
            else:
                page.evaluate(DRAW, corners)
        opened.wait_for_value("len(told)", str(25 * (number + 1)), timeout=90)
        opened.kernel_exec("slow = 0.0")
    opened.settle(1500)
    assert opened.kernel_eval("[source for source, _ in told]") == repr(["lasso"] * 25 + ["box"] * 25)
    inside = "np.flatnonzero(inside_polygon(xy, np.array(polygon))).tolist()"
    assert opened.kernel_eval(f"sum(list(rows) == {inside} for (_, rows), polygon in zip(told, polygons))") == "50"
    assert opened.kernel_eval("min(len(rows) for _, rows in told) > 0") == "True"

    # a click on nothing clears only as a double click; after a reload all is as before
    opened.reload()
    show_plot(opened)
    plot = page.evaluate(PLOT)
    assert opened.kernel_eval("len(told)") == "50"
    page.evaluate(DRAW, circle(plot, 0.5, 0.5, 40))
    opened.wait_for_value("len(told), told[-1][1] == view.selection", "(51, True)")
    page.mouse.dblclick(plot["left"] + 4, plot["top"] + 4)
    opened.wait_for_value("len(told), view.selection, view.selection_source", "(52, (), 'clear')")
    opened.settle(1000)
    assert opened.kernel_eval("len(told)") == "52"
    assert opened.errors == []


def test_hovering_stays_in_the_page(opened: Any) -> None:
    page: Page = opened.page
    opened.kernel_exec(
        "heard = []\nhandle = view.figure.comm.handle_msg\n"
        "view.figure.comm.handle_msg = lambda message: (heard.append(message), handle(message))[1]"
    )
    plot = page.evaluate(PLOT)
    for i in range(20):
        page.mouse.move(plot["left"] + 20 + 15 * i, plot["top"] + 50 + 9 * i)
    expect(page.locator(".js-plotly-plot .hoverlayer .hovertext").first).to_be_visible()
    opened.settle(500)
    assert opened.kernel_eval("len(heard)") == "0"
    assert opened.errors == []


def every_pair(names: list[str]) -> list[str]:
    """A way through the names, from the first back to it, in which each is followed once by each other one."""
    steps = {name: [other for other in names if other != name] for name in names}
    way, found = [names[0]], []
    while way:
        if steps[way[-1]]:
            way.append(steps[way[-1]].pop())
        else:
            found.append(way.pop())
    return found[::-1]


def test_colour_bars_and_axes_are_those_of_the_present_colouring(opened: Any) -> None:
    page: Page = opened.page
    opened.kernel_exec(UNSCORED)
    page.wait_for_function(f"n => {DRAWN}.length === n", arg=9)  # seven kept clusters, the pruned one, and the ring
    axes = page.evaluate(AXES)
    way = every_pair(["Cluster", "Influence", "Performance gap", "True label", "Predicted label", "Error"])
    assert len(way) == 31 and len(set(pairwise(way))) == 30
    for name in way[1:]:
        colour_by(opened, name)
        page.wait_for_function(f"n => ({BARS})() === n", arg=int(name in ("Influence", "Performance gap")))
        kept = opened.kernel_eval("[[trace.name, trace.meta['entry']] for trace in view.figure.data]")
        page.wait_for_function(f"kept => JSON.stringify({DRAWN}) === JSON.stringify(kept)", arg=ast.literal_eval(kept))
    opened.settle(1000)

    # two entries are switched off while a cell runs: both are known afterwards, and nothing is rescaled
    opened.run_cell(2, wait=False)
    for entry in (0, 2):
        page.locator(".js-plotly-plot .legendtoggle").nth(entry).click()
        opened.settle(600)  # two clicks at once are a double click
    opened.wait_for_value("len(view.figure.hidden_traces())", "2")
    assert page.evaluate(AXES) == axes
    assert page.locator(".plotly-notifier").count() == 0, "it would cover the page's tool bar"
    opened.reload()
    show_plot(opened)
    assert page.evaluate(BARS) == 0 and page.evaluate(AXES) == pytest.approx(axes)
    assert opened.kernel_eval("len(view.figure.hidden_traces())") == "2"
    colour_by(opened, "True label")
    opened.settle(1500)
    assert page.evaluate(AXES) == pytest.approx(axes)
    assert opened.kernel_eval("len(view.figure.hidden_traces())") == "0"
    assert opened.errors == []


def place_of_point(opened: Any, cluster: int) -> list[float]:
    """Where a point of a cluster is on screen, after the plot was scrolled there."""
    show_plot(opened)
    return opened.page.evaluate(
        """(cluster) => {
          const plot = document.querySelector('.js-plotly-plot'), {xaxis, yaxis} = plot._fullLayout;
          const trace = plot.data.find((each) => each.name?.startsWith(`cluster ${cluster} `));
          const {left, top} = plot.getBoundingClientRect();
          return [left + xaxis._offset + xaxis.d2p(trace.x[9]), top + yaxis._offset + yaxis.d2p(trace.y[9])];
        }""",
        cluster,
    )


def test_a_click_on_the_selected_row_does_what_it_says(notebook: Callable[..., Any]) -> None:
    opened = notebook(MAKE, LINKED, name="linked", size=(1100, 1000))
    opened.run_all()
    show_plot(opened)
    page: Page = opened.page
    cluster = int(opened.kernel_eval("discovery.clusters[1].cluster"))
    row = page.locator(".ravl-table tbody tr").nth(1)
    whole = repr((cluster, int(opened.kernel_eval("discovery.clusters[1].n_regions"))))
    for _ in range(2):
        page.mouse.click(*place_of_point(opened, cluster))
        opened.wait_for_value("view.table.selected, len(view.map.selection)", repr((cluster, 1)))
        expect(row).to_have_attribute("aria-selected", "true")
        row.click()
        opened.wait_for_value("view.table.selected, len(view.map.selection)", whole)
        expect(row).to_have_attribute("aria-selected", "true")
        opened.settle(1000)
    page.keyboard.press("ArrowDown")
    third = int(opened.kernel_eval("discovery.clusters[2].cluster"))
    opened.wait_for_value("view.table.selected", str(third))
    assert opened.errors == []


def test_lassos_go_on_after_a_crop_was_opened(notebook: Callable[..., Any]) -> None:
    """An opened crop is ringed in the map; the lasso takes the ring away, and selects, while the map is drawn."""
    opened = notebook(MAKE, LINKED, CROPS, name="crops", size=(1100, 1000))
    opened.run_all()
    page: Page = opened.page
    for i in range(4):
        page.locator(".rx-crop img").nth(i).click()
        opened.wait_for_value("view.crops.opened, len(view.map.figure.data[-1].x)", "(True, 1)")
        page.keyboard.press("Escape")
        opened.wait_for_value("view.crops.opened", "False")
        show_plot(opened)
        page.evaluate(DRAW, circle(page.evaluate(PLOT), 0.3 + 0.1 * i, 0.5, 40))
        opened.wait_for_value("view.map.selection_source, len(view.map.selection) > 1", "('lasso', True)")
        opened.wait_for_value("view.crops.total == len(view.map.selection)", "True")
    page.locator(".ravl-table tbody tr").nth(1).click()
    opened.wait_for_value("view.table.selected", opened.kernel_eval("discovery.clusters[1].cluster"))
    assert opened.errors == []
