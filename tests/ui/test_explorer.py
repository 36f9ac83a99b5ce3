"""The explorer in a real JupyterLab on the real demo: everything a person does with the mouse, in order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_explore.ipynb"
CELL = 2  # the one with the explorer
SECOND = 1000
# the loss of the run before, whose name ends in its seed, and that of the present one
BOTH_CURVES = """() => {
  const all = [...document.querySelectorAll('.js-plotly-plot')].flatMap(p => p.data)
  const drawn = all.filter(t => t.y && t.y.length)
  return drawn.some(t => /seed 0$/.test(t.name)) && drawn.some(t => t.name === 'total loss')
}"""


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
    opened.kernel_exec(
        "explorer.panel.form.test_data.menu.value = 'Demo: garments, val'"
    )  # five times quicker than test
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

    # a second objective: both are in the table, and both curves are kept
    opened.kernel_exec("explorer.panel.form.objective.menu.value = 'CFT, concept-guided'")
    expect(page.get_by_role("button", name="Show masks")).to_be_visible()
    start.click()
    opened.wait_for_value("explorer.panel.running", "True")
    opened.wait_for_value("explorer.panel.curves._title.startswith('CFT')", "True", timeout=300)
    opened.wait_for_value("len(explorer.panel.curves.history.records) >= 2", "True", timeout=300)
    page.get_by_role("button", name=re.compile("Stop$")).click()
    opened.wait_for_value("len(explorer.runs or ())", "2", timeout=400)
    rows = page.locator(".ravl-runs tbody.runs tr")
    picked = page.locator(".ravl-runs .picked").inner_text()
    assert picked.startswith("Picked: CFT") and "learning_rate=" in picked, "its options can be read without a mouse"
    expect(rows).to_have_count(2)
    kept = "[name for name, _ in explorer.panel.curves._previous]"
    assert opened.kernel_eval(kept) == "['Counterfactual regions, seed 0']"
    page.wait_for_function(BOTH_CURVES, timeout=30 * SECOND)
    page.get_by_role("tab", name="What changed").click()
    expect(page.get_by_text("the new model gets")).to_be_visible(timeout=30 * SECOND)
    opened.settle(800)
    opened.screenshot("explorer-changed")
    page.get_by_role("tab", name="Where they look").click()
    page.get_by_role("button", name=re.compile("Show$")).click()
    expect(page.locator(".ravl-relevance figure").first).to_be_visible(timeout=60 * SECOND)
    opened.settle(800)
    opened.screenshot("explorer-relevance")
    page.get_by_role("tab", name="Before and after").click()
    rows.first.click()  # the first run again
    expect(page.locator(".ravl-comparison")).to_contain_text("Counterfactual regions")
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
