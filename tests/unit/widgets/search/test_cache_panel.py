"""CachePanel: it lists what embed() has cached, and deletes what is picked, or all when asked twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravl_explore as rx
from ravl_explore.embedding.kept_boxes import write_boxes
from ravl_explore.regions import Grid
from ravl_explore.widgets.search.cache_panel import CachePanel


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAVL_CACHE", str(tmp_path))
    return tmp_path / "embeddings"


@pytest.fixture
def filled(folder: Path, model: Any, make_data: Callable[..., Any]) -> CachePanel:
    """Two sets of embeddings."""
    for n in (12, 24):
        rx.embed(model, make_data(n, name=f"set of {n}"), Grid(2, 2), cache=True)
    return CachePanel()


def test_nothing_cached(folder: Path) -> None:
    panel = CachePanel()
    assert panel.entries == [] and "Nothing is cached" in panel.message.text
    assert panel._delete.disabled and panel._all.disabled and panel._list.layout.display == "none"


def test_what_is_cached_is_listed(filled: CachePanel) -> None:
    lines = [label for label, _ in filled._list.options]
    assert len(lines) == 2 and filled.message.text.startswith("2 sets of embeddings, ")
    by_name = {n: next(line for line in lines if f"set of {n}" in line) for n in (12, 24)}
    assert (
        by_name[24].startswith("random 0 on set of 24: 24 images, 96 regions · ") and "not finished" not in by_name[24]
    )
    assert filled._delete.disabled and not filled._all.disabled


def test_one_is_deleted(filled: CachePanel, folder: Path) -> None:
    keep, drop = (each.folder for each in filled.entries)
    filled._list.value = (str(drop),)
    assert not filled._delete.disabled
    filled._delete.click()
    assert keep.exists() and not drop.exists()
    assert [each.folder for each in filled.entries] == [keep] and " freed. 1 set of" in filled.message.text


def test_all_are_deleted_only_when_asked_twice(filled: CachePanel, folder: Path) -> None:
    write_boxes("0123", np.zeros((2, 4), np.float32), np.zeros(2, np.int64))
    boxes = next((folder.parent / "boxes").iterdir())
    filled._all.click()
    assert boxes.exists() and len(list(folder.iterdir())) == 2 and filled._all.description == "Really?"
    filled.refresh()
    assert filled._all.description == "Delete all"
    filled._all.click()
    filled._all.click()
    assert list(folder.iterdir()) == [] and not boxes.exists() and filled._all.description == "Delete all"
    assert filled.entries == [] and "freed. Nothing is cached" in filled.message.text


def test_a_damaged_entry_is_listed_and_can_be_deleted(filled: CachePanel) -> None:
    damaged = filled.entries[0].folder
    (damaged / "state.json").write_text("{")
    filled.refresh()
    line = next(label for label, value in filled._list.options if value == str(damaged))
    assert line.startswith("of another version, or damaged · ")
    filled._list.value = (str(damaged),)
    filled._delete.click()
    assert not damaged.exists()


def test_an_entry_that_is_gone_meanwhile_is_told(filled: CachePanel) -> None:
    import shutil

    gone = filled.entries[0].folder
    filled._list.value = (str(gone),)
    shutil.rmtree(gone)
    filled._delete.click()
    assert "Expected an entry of the cache" in filled.message.text and len(filled.entries) == 1
