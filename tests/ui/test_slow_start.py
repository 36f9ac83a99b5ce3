"""Widgets that anywidget gives up, as on a machine that computes, hear what the kernel says all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

GIVEN_UP_AT_ONCE = "(() => { const of = AbortSignal.timeout.bind(AbortSignal); AbortSignal.timeout = () => of(0); })()"
"""What anywidget does after 2 s, it does before any module is loaded."""

DRAW = """\
import plotly.graph_objects as go
from ravl_explore.widgets.basics.figure import LiveFigure
figure = LiveFigure(go.Figure(go.Scatter(x=[1, 2, 3], y=[2, 1, 3], mode="markers", name="first")), height=300)
figure"""
EXPLORE = """\
import numpy as np
from ravl_explore import data, models, widgets
demo = data.Demo("val")
index = np.arange(0, len(demo), len(demo) // 120)
images = np.stack([demo.image(int(i)) for i in index])
labels = demo.labels[index].tolist()
explorer = widgets.Explorer(models.Demo("spurious"), data.ArrayDataset(images, labels, demo.class_names))
explorer"""
MENDED = "ravl: a widget started late"
SECOND = 1000


@pytest.fixture
def slow(notebook: Callable[..., Any]) -> Callable[..., Any]:
    def open_slow(code: str, name: str) -> Any:
        opened = notebook(code, name=name, size=(1280, 1000))
        opened.page.evaluate(GIVEN_UP_AT_ONCE)
        opened.run_cell(0)
        return opened

    return open_slow


def test_a_plot_that_started_late_shows_what_is_drawn_then_and_later(slow: Callable[..., Any]) -> None:
    opened = slow(DRAW, "late-plot")
    points = opened.page.locator(".ravl-figure .scatterlayer .point")
    expect(points).to_have_count(3, timeout=60 * SECOND)
    opened.kernel_exec("figure.draw(go.Figure(go.Scatter(x=[1, 2], y=[2, 1], mode='markers'))); figure.flush()")
    expect(points).to_have_count(2)
    assert any(MENDED in line for line in opened.console)
    assert opened.errors == []


def test_an_explorer_that_started_late_finds_and_shows(slow: Callable[..., Any]) -> None:
    opened = slow(EXPLORE, "late-explorer")
    page = opened.page
    page.get_by_role("button", name="Find shortcuts").click()
    rows = page.locator(".ravl-table tbody tr")
    expect(rows.first).to_be_visible(timeout=300 * SECOND)
    rows.nth(1).click()
    expect(rows.nth(1)).to_have_attribute("aria-selected", "true")
    expect(page.locator(".rx-crop img").first).to_be_visible(timeout=30 * SECOND)
    assert any(MENDED in line for line in opened.console)
    assert opened.errors == []
