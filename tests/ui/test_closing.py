"""A cell that is run again leaves nothing behind, and a page whose kernel is gone says so, in a real JupyterLab."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

MAKE = """\
from ipywidgets.widgets.widget import _instances
from ravl_explore import widgets
explorer = widgets.Explorer()
explorer"""
OTHER = "other = widgets.Explorer()\nother"
SECOND = 1000
RESTART = "() => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }"
# of every part of the explorer that ipywidgets marks as dead, what it draws before it
MARKS = """() => [...document.querySelectorAll('.ravl-explorer, .ravl-explorer *')]
    .map(part => getComputedStyle(part, '::before').content).filter(mark => mark.includes('\\uf127'))"""
GONE = re.compile("This view is frozen: its kernel was restarted, or has ended. Run the cell again to go on.")


@pytest.fixture
def opened(notebook: Callable[..., Any]) -> Any:
    result = notebook(MAKE, OTHER, name="closing", size=(833, 1000))
    result.run_cell(0)
    result.page.get_by_role("button", name="Find shortcuts").wait_for()
    return result


def test_running_the_cell_again_leaves_nothing_of_the_explorer_before(opened: Any) -> None:
    n_widgets = opened.kernel_eval("len(_instances)")
    opened.kernel_exec("first = explorer")
    opened.run_cell(0)
    expect(opened.page.locator(".ravl-explorer")).to_have_count(1)
    assert opened.kernel_eval("(first.closed, explorer.closed, len(_instances))") == f"(True, False, {n_widgets})"
    opened.run_cell(1)
    expect(opened.page.locator(".ravl-explorer")).to_have_count(2)
    assert opened.kernel_eval("(explorer.closed, other.closed)") == "(False, False)"


@pytest.mark.parametrize("end", ["restarted", "killed"])
def test_the_page_says_that_the_kernel_is_gone_and_what_was_kept(opened: Any, end: str) -> None:
    page = opened.page
    said = page.locator(".ravl-frozen-text").first
    expect(said).to_be_hidden()
    opened.kernel_exec("explorer.panel.frozen.training('runs/<b>a</b>')")
    if end == "restarted":
        page.evaluate(RESTART)
    else:
        page.evaluate(
            "() => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
            ".requestExecute({code: 'import os; os.kill(os.getpid(), 9)'}); }"
        )
    expect(said).to_be_visible(timeout=60 * SECOND)
    expect(said).to_have_text(GONE)
    expect(said).to_contain_text(
        "goes on from its last checkpoint when it is started again with the run folder runs/<b>a</b>."
    )
    if end == "killed":
        page.get_by_role("button", name=re.compile("Ok|Dismiss", re.IGNORECASE)).first.click(timeout=30 * SECOND)
    opened.settle(1000)
    assert page.evaluate(MARKS) == []
    opened.screenshot(f"explorer-frozen-{end}-833-light")
    opened.set_theme("dark")
    opened.screenshot(f"explorer-frozen-{end}-833-dark")
    opened.wait_until_idle()
    opened.run_cell(0)
    expect(page.locator(".ravl-explorer")).to_have_count(1)
    expect(page.locator(".ravl-frozen-text").first).to_be_hidden()
