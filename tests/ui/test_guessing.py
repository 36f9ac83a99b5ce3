"""A model that may as well guess, in a real JupyterLab: told plainly, and asked for once more before training."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect

MAKE = """\
import numpy as np
from ravl_explore import data, models, widgets
demo = data.Demo("val")
index = np.arange(0, len(demo), len(demo) // 120)
images = np.stack([demo.image(int(i)) for i in index])
labels = np.random.default_rng(1).permutation(demo.labels[index])
explorer = widgets.Explorer(models.Demo("spurious"), data.ArrayDataset(images, labels.tolist(), demo.class_names))
explorer"""
SECOND = 1000


def test_it_is_said_and_training_takes_two_ticks(notebook: Any) -> None:
    opened = notebook(MAKE, name="guessing", size=(1280, 1000))
    opened.run_cell(0)
    page = opened.page
    page.get_by_role("button", name="Find shortcuts").click()
    expect(page.locator(".ravl-table tbody tr").first).to_be_visible(timeout=300 * SECOND)
    expect(page.get_by_role("status").filter(has_text="The model may as well guess")).to_be_visible()
    for width in (1280, 833):
        for theme in ("light", "dark"):
            opened.resize(width, 1000)
            opened.set_theme(theme)
            page.get_by_role("status").filter(has_text="The model may as well guess").scroll_into_view_if_needed()
            opened.screenshot(f"explorer-guessing-{width}-{theme}")
    start = page.get_by_role("button", name=re.compile("Start$"))
    page.get_by_text("I looked at the crops").click()
    once_more = page.get_by_text("Train, though the model may as well guess")
    expect(once_more).to_be_visible()
    expect(start).to_be_disabled()
    opened.screenshot("explorer-guessing-asked")
    once_more.click()
    expect(start).to_be_enabled()
    assert opened.errors == []
