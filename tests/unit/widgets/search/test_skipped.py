"""Skipped: counted, listed with reasons, and always as text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ravl_explore.data import Folder, Subset
from ravl_explore.embedding.skipping import Unreadable
from ravl_explore.widgets.search.skipped import MOST_LISTED, Skipped


def test_nothing_skipped_shows_nothing() -> None:
    skipped = Skipped()
    skipped.show((Unreadable(1, "a.png", "empty"),))
    skipped.show(())
    assert skipped.value == "" and skipped.layout.display == "none"


def test_files_and_reasons_are_listed_as_text() -> None:
    skipped = Skipped()
    skipped.show((Unreadable(1, "<b>a</b>.png", "cut & short"),))
    assert "1 image was skipped" in skipped.value and skipped.layout.display == ""
    assert (
        "&lt;b&gt;a&lt;/b&gt;.png" in skipped.value
        and "cut &amp; short" in skipped.value
        and "<b>" not in skipped.value
    )


def test_the_first_few_of_many() -> None:
    skipped = Skipped()
    skipped.show(tuple(Unreadable(i, f"{i}.png", "empty") for i in range(1234)))
    assert "1,234 images were skipped" in skipped.value
    assert skipped.value.count(".png") == MOST_LISTED and f"{1234 - MOST_LISTED:,} more" in skipped.value


def test_paths_are_told_from_the_folder_of_the_images_on(tmp_path: Path) -> None:
    for kind in ("cats", "dogs"):
        (tmp_path / kind).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / kind / "a.png")
    data = Subset(Folder(tmp_path), np.array([0]))
    skipped = Skipped()
    skipped.show((Unreadable(1, str(tmp_path / "cats" / "b.png"), "empty"), Unreadable(2, "/other/c.png", "x")), data)
    assert "<code>cats/b.png</code>" in skipped.value and "<code>/other/c.png</code>" in skipped.value
