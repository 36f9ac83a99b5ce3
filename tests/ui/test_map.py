"""The region map in a real browser, drawn on as a hand does: each lasso, box and click is told once, exactly."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from ravl_explore.plots.categories import COLOR_BY

N_REGIONS = 4000
# a discovery of random regions, and a map of it on which a point is under the mouse nearly everywhere
MAKE = f"""\
import time
import numpy as np, pandas as pd
from ravl_explore import discover, zero_shot
from ravl_explore.clustering.base import Clustering
from ravl_explore.embedding import Embeddings
from ravl_explore.regions.base import Regions
from ravl_explore.widgets.points import inside_polygon
from ravl_explore.widgets.region_map import RegionMap
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
view = RegionMap(discovery, xy, "UMAP")
told, polygons, slow = [], [], 0.0
view.figure.on_points(lambda event: polygons.append(None if event.polygon is None else event.polygon.tolist()))
def hear(change):
    time.sleep(slow)
    told.append((view.selection_source, change["new"]))
view.observe(hear, "selection")
view"""
PLOT = """() => {
  const plot = document.querySelector('.js-plotly-plot'), box = plot.querySelector('.nsewdrag').getBoundingClientRect();
  return {left: box.left, top: box.top, width: box.width, height: box.height,
          x: plot._fullLayout.xaxis.range, y: plot._fullLayout.yaxis.range};
}"""


@pytest.fixture
def opened(notebook: Callable[..., Any]) -> Any:
    """The map on screen."""
    made = notebook(MAKE, MAP, name="map", size=(1280, 900))
    made.run_all()
    expect(made.page.locator(".js-plotly-plot .nsewdrag").first).to_be_visible(timeout=60_000)
    made.settle(1000)
    made.page.locator(".js-plotly-plot").scroll_into_view_if_needed()
    return made


def drag(page: Page, corners: list[tuple[float, float]], steps: int = 1) -> None:
    """Press at the first corner, given in pixels, move through the others, and release at once."""
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=steps)
    page.mouse.up()


def circle(plot: dict[str, Any], x: float, y: float, radius: float) -> list[tuple[float, float]]:
    """Forty places on a circle, from its middle as fractions of the plot and its radius in pixels."""
    middle = plot["left"] + x * plot["width"], plot["top"] + y * plot["height"]
    turns = [2 * math.pi * i / 40 for i in range(40)]
    return [(middle[0] + radius * math.cos(turn), middle[1] + radius * math.sin(turn)) for turn in turns]


def use_tool(page: Page, title: str) -> None:
    page.locator(f'.modebar-btn[data-title="{title}"]').click()


def test_no_lasso_or_box_is_lost(opened: Any) -> None:
    page: Page = opened.page
    plot = page.evaluate(PLOT)
    places = [(0.2 + 0.12 * (i % 6), 0.25 + 0.1 * (i // 6)) for i in range(25)]
    for i, (x, y) in enumerate(places):
        if i == 12:
            opened.kernel_exec("slow = 0.4")  # from now on, messages wait in a busy kernel
        drag(page, circle(plot, x, y, 25 + i))
    use_tool(page, "Box Select")
    opened.wait_for_value("len(told)", "25")
    opened.kernel_exec("slow = 0.0")
    for i, (x, y) in enumerate(places):
        if i == 12:
            opened.kernel_exec("slow = 0.4")
        left, top = plot["left"] + x * plot["width"], plot["top"] + y * plot["height"]
        drag(page, [(left, top), (left + 20, top + 31), (left + 30 + i, top + 40 + i)])
    opened.wait_for_value("len(told)", "50")
    opened.settle(1500)
    assert opened.kernel_eval("[source for source, _ in told]") == repr(["lasso"] * 25 + ["box"] * 25)
    exactly = "[list(rows) == np.flatnonzero(inside_polygon(xy, np.array(p))).tolist() for (_, rows), p in zip(told, polygons)]"
    assert opened.kernel_eval(f"sum({exactly})") == "50"
    assert opened.errors == []
