"""Boxes that took long to find are found once, and looked for anew where what was kept is damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ravl_explore.embedding.cache import clear_cached
from ravl_explore.embedding.embeddings import embed
from ravl_explore.embedding.kept_boxes import read_boxes, write_boxes
from ravl_explore.regions.grid import Grid


@pytest.mark.parametrize("damage", ["cut", "flipped", "another", "of an earlier version"])
def test_damaged_boxes_are_looked_for_anew(tmp_path: Path, damage: str) -> None:
    boxes, image_index = np.array([[0, 0, 5, 5], [1, 1, 4, 4]], np.float32), np.array([0, 2])
    write_boxes("name", boxes, image_index, tmp_path)
    kept = read_boxes("name", tmp_path)
    assert kept is not None and np.array_equal(kept[0], boxes) and np.array_equal(kept[1], image_index)
    file = tmp_path / "boxes" / "name.npz"
    content = bytearray(file.read_bytes())
    if damage == "cut":
        file.write_bytes(content[:-30])
    elif damage == "flipped":
        content[content.index(boxes.tobytes()) + 2] ^= 1
        file.write_bytes(content)
    elif damage == "another":
        with np.load(file) as stored:
            np.savez(file, boxes=boxes + 1, image_index=image_index, digest=stored["digest"])
    else:
        np.savez(file, boxes=boxes, image_index=image_index)
    assert read_boxes("name", tmp_path) is None


class Slow:
    """A proposer that looks at every image, and says what its boxes depend on."""

    name, reads_pixels = "slow", True

    def __init__(self, version: int = 0) -> None:
        self.version, self.calls = version, 0

    def fingerprint(self) -> str:
        return f"slow {self.version}"

    def __call__(self, data: Any, progress: Any = None) -> Any:
        self.calls += 1
        if progress is not None:
            progress(1, 1, "Looking")
        return Grid(1, 2)(data)


def test_boxes_that_took_long_are_kept(tmp_path: Path, model: Any, make_data: Callable[..., Any]) -> None:
    slow, told = Slow(), []
    first = embed(model, make_data(), slow, cache=tmp_path, progress=lambda *state: told.append(state[2]))
    assert "Looking" in told
    again = embed(model, make_data(), slow, cache=tmp_path)
    assert slow.calls == 1 and np.array_equal(first.regions.boxes, again.regions.boxes)
    embed(model, make_data(seed=1), slow, cache=tmp_path)
    assert slow.calls == 2  # other images
    other = Slow(version=1)
    embed(model, make_data(), other, cache=tmp_path)
    assert other.calls == 1  # another proposer
    for file in (tmp_path / "boxes").iterdir():
        file.write_bytes(file.read_bytes()[:50])
    embed(model, make_data(), slow, cache=tmp_path)
    assert slow.calls == 3  # damaged
    clear_cached(root=tmp_path)
    assert not list((tmp_path / "boxes").iterdir())
