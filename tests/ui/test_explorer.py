"""The explorer in a real JupyterLab on the real demo: everything a person does with the mouse, in order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_explore.ipynb"
CELL = 2  # the one with the explorer
SECOND = 1000


@pytest.fixture
def opened(notebook):
    """The demo notebook, with the explorer on screen."""
    result = notebook(NOTEBOOK, name="explore", size=(1280, 1000))
    result.run_cell(CELL)
    result.page.get_by_role("button", name="Find shortcuts").wait_for()
    return result


def find_shortcuts(page: Page) -> None:
    page.get_by_role("button", name="Find shortcuts").click()
    expect(page.locator(".ravl-table tbody tr").first).to_be_visible(timeout=300 * SECOND)
    expect(page.locator(".rx-crop img").first).to_be_visible(timeout=30 * SECOND)


def drag(page: Page, area: Locator, corners: list[tuple[float, float]]) -> None:
    """Press the mouse at the first corner, given as fractions of the area, and draw through the others."""
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box is not None
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*points[0])
    page.mouse.down()
    for x, y in points[1:]:
        page.mouse.move(x, y, steps=8)
    page.mouse.up()


def test_from_model_to_before_and_after(opened) -> None:
    page: Page = opened.page
    opened.screenshot("explorer-start")
    find_shortcuts(page)

    # the first row is the red square, which pulls towards shirts; its crops are on screen
    first = page.locator(".ravl-table tbody tr").first
    expect(first).to_contain_text("shirt")
    assert opened.kernel_eval("explorer.discovery.best.attribute") == "'shirt'"
    expect(page.locator(".js-plotly-plot").first).to_contain_text("UMAP")
    opened.settle(1500)
    opened.screenshot("explorer-discovery-1280-light")

    # a lasso fills the gallery
    plot = page.locator(".js-plotly-plot .nsewdrag").first
    drag(page, plot, [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.05)])
    opened.wait_for_value("len(explorer.map.selection) > 100", "True")
    opened.wait_for_value("explorer.crops.total == len(explorer.map.selection)", "True")

    # a row picks the cluster in the map and the gallery
    first.click()
    opened.wait_for_value("len(explorer.map.selection) == explorer.discovery.best.n_regions", "True")

    # a crop opens in its whole image
    page.locator(".rx-crop img").first.click()
    opened.wait_for_value("explorer.crops.opened", "True")
    opened.settle(800)
    opened.screenshot("explorer-crop-open")

    # mitigation: confirm, start, see the curves move, stop; what was trained is compared
    opened.kernel_exec("explorer.panel.test_data.menu.value = 'Demo: garments, val'")  # five times quicker than test
    confirm = page.get_by_text("I looked at the crops")
    confirm.scroll_into_view_if_needed()
    start = page.get_by_role("button", name=re.compile("Start$"))
    expect(start).to_be_disabled()
    confirm.click()
    start.click()
    opened.wait_for_value("len(explorer.panel.curves.history.records) >= 3", "True", timeout=300)
    opened.settle(800)
    opened.screenshot("explorer-training")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name=re.compile("Stop$")).click()
    expect(page.locator(".ravl-comparison tbody tr").first).to_be_visible(timeout=400 * SECOND)
    n_steps = int(opened.kernel_eval("len(explorer.mitigation.history.records)"))
    assert 3 <= n_steps < 117
    assert opened.kernel_eval("explorer.mitigation.complete") == "False"
    opened.settle(800)
    opened.screenshot("explorer-after-1280-light")
    opened.resize(1920, 1100)
    opened.settle(1500)
    opened.screenshot("explorer-after-1920-light")
    opened.set_theme("dark")
    opened.settle(1500)
    opened.screenshot("explorer-after-1920-dark")
    opened.resize(1280, 1000)
    opened.settle(1500)
    opened.screenshot("explorer-after-1280-dark")

    # a reload shows the same map and the same curves
    before = curve_points(page)
    assert before > 0
    opened.reload()
    expect(page.locator(".ravl-table tbody tr").first).to_be_visible(timeout=60 * SECOND)
    expect(page.locator(".js-plotly-plot .nsewdrag").first).to_be_visible(timeout=60 * SECOND)
    page.wait_for_function("n => window.document.querySelectorAll('.js-plotly-plot').length >= 2", arg=2)
    assert curve_points(page) == before
    opened.screenshot("explorer-reloaded")

    # a second run works
    find_shortcuts(page)
    assert opened.kernel_eval("explorer.discovery.best.attribute") == "'shirt'"
    assert opened.errors == []


def curve_points(page: Page) -> int:
    """How many points all lines of the second figure have in the browser."""
    return page.evaluate(
        "() => [...document.querySelectorAll('.js-plotly-plot')].slice(1)"
        ".flatMap(p => p.data).reduce((n, trace) => n + (trace.y ? trace.y.length : 0), 0)"
    )
