"""The harness itself: a real JupyterLab shows widgets, evaluates in their kernel, reloads, re-themes and resizes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

SLIDER = """\
import ipywidgets as widgets
slider = widgets.IntSlider(value=3, max=10, description="Clusters")
slider"""
FIGURE = """\
import plotly.graph_objects as go
figure = go.FigureWidget(go.Scatter(x=[1, 2, 3], y=[2, 1, 3], mode="markers"))
figure.update_layout(height=300, title="Three points")
figure"""

BACKGROUND = "() => getComputedStyle(document.body).getPropertyValue('--jp-layout-color0').trim()"


def test_widgets_survive_themes_widths_and_a_reload(notebook: Callable[..., Any]) -> None:
    opened = notebook(SLIDER, FIGURE)
    opened.run_all()
    page = opened.page
    page.locator(".widget-slider").wait_for()
    page.locator(".js-plotly-plot .scatterlayer .point").nth(2).wait_for()
    assert page.locator(".js-plotly-plot .scatterlayer .point").count() == 3

    page.locator(".widget-slider .noUi-handle").focus()
    page.keyboard.press("ArrowRight")
    opened.wait_for_value("slider.value", "4")

    backgrounds = set()
    for theme in ("dark", "light"):
        opened.set_theme(theme)
        backgrounds.add(page.evaluate(BACKGROUND))
        for width, height in ((1600, 1000), (900, 700)):
            opened.resize(width, height)
            saved = opened.screenshot(f"harness-{theme}-{width}")
            assert saved.stat().st_size > 10_000

    assert len(backgrounds) == 2

    opened.reload()
    assert page.locator(".widget-slider .widget-readout").inner_text() == "4"
    page.locator(".js-plotly-plot .scatterlayer .point").nth(2).wait_for()
    assert opened.kernel_eval("slider.value") == "4"
    opened.kernel_exec("slider.value = 7")
    page.wait_for_function("() => document.querySelector('.widget-slider .widget-readout').textContent === '7'")
    opened.screenshot("harness-reloaded")
    opened.screenshot("harness-slider", ".widget-slider")
    assert opened.errors == []


def test_kernel_is_this_interpreter_and_errors_are_seen(notebook: Callable[..., Any]) -> None:
    opened = notebook("1 / 0", "answer = 6 * 7")
    assert opened.kernel_eval("__import__('sys').prefix") == repr(sys.prefix)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        opened.run_cell(0)
    opened.run_cell(0, expect_error=True)
    with pytest.raises(AssertionError, match="NameError"):
        opened.kernel_eval("answer")
    opened.run_cell(1, expect_error=True)
    assert opened.kernel_eval("answer") == "42"
    opened.page.evaluate("() => { setTimeout(() => { throw new Error('on purpose'); }); console.error('logged'); }")
    opened.settle()
    assert any("on purpose" in error for error in opened.errors)
    assert any("logged" in error for error in opened.errors)
