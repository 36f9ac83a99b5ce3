"""A user's own images and checkpoint, typed into the explorer by keyboard, lead to the headless search's ranking."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from playwright.sync_api import Locator, Page, expect

SECOND = 1000
EXPLORER = """
import os
os.environ["RAVL_CACHE"] = {cache!r}
from ravl_explore import widgets
explorer = widgets.Explorer()
explorer
"""
N_IMAGES = 200
BROKEN = "broken.png"
PROMPTS = ("the {}", "a picture of a {}")


@dataclass(frozen=True)
class Own:
    """What the user has."""

    folder: Path
    table: Path
    checkpoint: Path


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Own:
    """The demo's model in a plain PyTorch file, and some of its images as PNG files, a folder per class and a table."""
    from ravl_explore import data, models

    root = tmp_path_factory.mktemp("own")
    torch.save(models.Demo("spurious").state_dict, root / "mine.pt")
    demo = data.Demo("val")
    rows = []
    for index in np.random.default_rng(0).permutation(len(demo))[:N_IMAGES].tolist():
        kind = demo.class_names[demo.labels[index]]
        file = root / "images" / kind / f"{index:04}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(demo.image(index)).save(file)
        square = "yes" if demo.feature_present[index] else "no"
        rows.append({"shown": kind, "picture": str(file.relative_to(root)), "red square": square, "note": "x"})
    (root / "images" / "bag" / BROKEN).write_bytes(b"no <b>picture</b>")
    pd.DataFrame(rows).to_csv(root / "mine.csv", index=False)
    return Own(root / "images", root / "mine.csv", root / "mine.pt")


@pytest.fixture
def opened(notebook: Any, tmp_path: Path) -> Any:
    """A notebook with the explorer on screen, and a cache of its own."""
    result = notebook(EXPLORER.format(cache=str(tmp_path / "cache")), name="own", size=(1280, 1000))
    result.run_cell(0)
    result.page.get_by_role("button", name="Find shortcuts").wait_for()
    return result


def pick(page: Page, menu: Locator, beginning: str) -> None:
    """Go to a list and type how an entry begins, as one does without a mouse."""
    menu.focus()
    page.keyboard.type(beginning)


def explorer_menu(page: Page, label: str) -> Locator:
    return page.locator(f"select[title='{label}']").first


def fill(page: Page, label: str, text: str) -> None:
    """Type into a field and leave it with Tab."""
    field = page.get_by_label(label, exact=True).first
    field.focus()
    page.keyboard.type(text)
    page.keyboard.press("Tab")


def search(page: Page) -> None:
    page.get_by_role("button", name="Find shortcuts").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".ravl-table tbody tr").first).to_be_visible(timeout=400 * SECOND)
    expect(page.locator(".rx-crop img").first).to_be_visible(timeout=60 * SECOND)


def found_in(opened: Any) -> pd.DataFrame:
    return pd.DataFrame(json.loads(ast.literal_eval(opened.kernel_eval("explorer.discovery.frame().to_json()"))))


def headless(own: Own, data: Any, **more: Any) -> Any:
    from ravl_explore import models, regions
    from ravl_explore.discovery.search import search as run

    return run(models.Checkpoint(own.checkpoint), data, regions.Grid(2, 2), **more).discovery


def assert_same_ranking(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    for column in ("cluster", "kept", "n_regions", "n_images", "attribute"):
        assert found[column].tolist() == expected[column].tolist(), column
    for column in ("performance_gap", "influence", "p_value", "q_value"):
        np.testing.assert_allclose(finite(found[column]), finite(expected[column]), atol=1e-6, err_msg=column)


def finite(values: Any) -> np.ndarray:
    """JSON has no infinity: it comes back as NaN."""
    array = np.asarray(values, dtype=float)
    return np.where(np.isfinite(array), array, -1.0)


def open_details(page: Page, tab: str) -> Locator:
    page.get_by_text("More: preview regions").scroll_into_view_if_needed()
    if not page.get_by_role("tab", name=tab).is_visible():
        page.get_by_text("More: preview regions").click()
    page.get_by_role("tab", name=tab).click()
    return page.locator(".ravl-explorer .widget-tab")


def shots(opened: Any, name: str) -> None:
    """Screenshots in both widths and themes; leaves the page as it was."""
    for width, height in ((1280, 1000), (1920, 1100)):
        opened.resize(width, height)
        for theme in ("light", "dark"):
            opened.set_theme(theme)
            opened.settle(1200)
            opened.screenshot(f"{name}-{width}-{theme}")
    opened.set_theme("light")
    opened.resize(1280, 1000)


def test_a_folder_and_a_checkpoint_go_through_to_crops(opened: Any, own: Own, tmp_path: Path) -> None:
    page: Page = opened.page
    pick(page, explorer_menu(page, "Model"), "Checkpoint")
    fill(page, "File or folder", str(own.checkpoint))
    pick(page, explorer_menu(page, "Images"), "Folder")
    fill(page, "Folder", str(own.folder))
    pick(page, explorer_menu(page, "Clustering"), "dd")  # for JupyterLab, "d d" deletes the cell
    opened.settle()
    expect(page.get_by_role("button", name="Find shortcuts")).to_be_visible()
    opened.screenshot("own-forms")

    # the regions and the prompts can be looked at before anything is searched
    open_details(page, "Preview regions")
    expect(page.locator(".ravl-preview svg").first).to_be_visible(timeout=60 * SECOND)
    assert page.locator(".ravl-preview svg").first.locator("rect.box").count() == 4
    shots(opened, "own-preview")
    open_details(page, "Prompts")
    said = page.get_by_text(re.compile(r"right on 200 of 201 images"))
    expect(said).to_be_visible(timeout=120 * SECOND)
    prompts = page.get_by_placeholder("a photo of a {}")
    prompts.fill("a photo")
    expect(page.get_by_text("Expected a template with one {}")).to_be_visible()
    opened.screenshot("own-prompts-invalid")
    prompts.fill("\n".join(PROMPTS))
    opened.wait_for_value("explorer.details.templates", repr(PROMPTS))
    expect(said).to_be_visible(timeout=60 * SECOND)
    shots(opened, "own-prompts")

    search(page)
    page.get_by_text("1 image was skipped").scroll_into_view_if_needed()
    page.get_by_text("1 image was skipped").click()
    expect(page.get_by_text(BROKEN)).to_be_visible()
    opened.screenshot("own-skipped")

    # the same ranking without widgets, and from the command line
    from ravl_explore import data

    found = found_in(opened)
    discovery = headless(own, data.Folder(own.folder), templates=PROMPTS, max_unreadable=1)
    assert_same_ranking(found, discovery.frame())
    assert float(opened.kernel_eval("explorer.details.prompts.accuracy")) == discovery.scores.accuracy
    assert discovery.best.attribute == "shirt", "the demo's shortcut is found in its files too"
    command = [
        sys.executable, "-c", "from ravl_explore.cli import app; app()", "discover", "--model", str(own.checkpoint),
        "--data", str(own.folder), "--regions", "grid:2x2", "--max-unreadable", "1", "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    for prompt in PROMPTS:
        command += ["--templates", prompt]
    environment = {**os.environ, "RAVL_CACHE": str(tmp_path / "other cache")}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert ran.returncode == 0, ran.stderr
    assert_same_ranking(found, pd.read_parquet(tmp_path / "out" / "clusters.parquet"))

    # the crops are the file's own pixels
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    page.locator(".ravl-table tbody tr").first.click()
    page.locator(".rx-crop img").first.click()
    opened.wait_for_value("explorer.crops.opened", "True")
    expect(page.locator(".ravl-explorer").get_by_text(re.compile(r"\w+/\d{4}\.png")).first).to_be_visible()
    shots(opened, "own-found")

    # the mitigation starts at the searched images
    page.get_by_text("I looked at the crops").scroll_into_view_if_needed()
    expect(page.get_by_text("Too optimistic")).to_be_visible()
    opened.screenshot("own-mitigation")

    # what was embedded is kept, is listed, and makes the second search quick
    open_details(page, "Files and cache")
    expect(page.locator(".ravl-cache option")).to_have_count(1, timeout=30 * SECOND)
    expect(page.locator(".ravl-cache option")).to_contain_text("200 images, 800 regions")
    shots(opened, "own-cache")
    search(page)
    opened.wait_for_value("explorer.run_button.disabled", "False", timeout=200)
    assert_same_ranking(found_in(opened), found)
    assert opened.errors == []


def test_a_table_is_read_by_the_columns_that_were_picked(opened: Any, own: Own) -> None:
    page: Page = opened.page
    pick(page, explorer_menu(page, "Model"), "Checkpoint")
    fill(page, "File or folder", str(own.checkpoint))
    pick(page, explorer_menu(page, "Images"), "Table")
    fill(page, "Table", str(own.table.with_name("missing.csv")))
    expect(page.get_by_text("missing.csv'").first).to_be_visible(timeout=30 * SECOND)
    opened.screenshot("own-table-missing")
    page.get_by_label("Table", exact=True).first.fill("")
    fill(page, "Table", str(own.table))
    columns = page.get_by_label("Labels", exact=True).first
    expect(columns.locator("option", has_text="red square")).to_have_count(1, timeout=30 * SECOND)
    for label, column in (("Images", "picture"), ("Labels", "shown"), ("Feature", "red square")):
        pick(page, page.get_by_label(label, exact=True).first, column)
    shots(opened, "own-table")
    search(page)

    from ravl_explore import data

    table = data.Table(own.table, image="picture", label="shown", group="red square")
    assert_same_ranking(found_in(opened), headless(own, table).frame())
    assert opened.kernel_eval("explorer.findings.crops.source._data.feature_name") == "'red square'"
    opened.screenshot("own-table-found")
    assert opened.errors == []
