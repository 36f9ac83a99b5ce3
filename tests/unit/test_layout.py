"""Layouts of the region map: deterministic, and cached so that a damaged or foreign file never hurts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ravl_explore import layout
from ravl_explore.errors import Cancelled, InputError, StorageError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and nothing shipped with the package."""
    monkeypatch.setenv("RAVL_CACHE", str(tmp_path))
    monkeypatch.setattr(layout, "SHIPPED", tmp_path / "shipped")
    return tmp_path / "layouts"


@pytest.fixture
def xy() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(80, 2)).astype(np.float32)


def test_pca_equals_svd() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 7)) * np.arange(1, 8)
    u, s, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    got = layout.pca_layout(rows)
    assert got.dtype == np.float32
    np.testing.assert_allclose(np.abs(got), np.abs(u[:, :2] * s[:2]), rtol=1e-4, atol=1e-4)


def test_pca_sign_does_not_depend_on_the_order_of_rows() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 5)) * np.arange(1, 6)
    order = np.random.default_rng(1).permutation(40)
    np.testing.assert_allclose(layout.pca_layout(rows)[order], layout.pca_layout(rows[order]), atol=1e-4)


def test_pca_of_one_dimension_and_of_one_row() -> None:
    assert layout.pca_layout(np.array([[1.0], [3.0]])).tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    assert layout.pca_layout(np.ones((1, 4))).tolist() == [[0.0, 0.0]]


def test_layouts_reject_what_is_not_finite() -> None:
    with pytest.raises(InputError, match="finite embeddings"):
        layout.pca_layout(np.array([[np.nan, 1.0]]))
    with pytest.raises(InputError, match="finite embeddings"):
        layout.umap_layout(np.zeros(3))


def test_umap_is_seeded_separates_and_warns_of_nothing() -> None:
    rng = np.random.default_rng(0)
    which = np.arange(60) % 2
    rows = np.eye(8)[which] + 0.05 * rng.normal(size=(60, 8))
    heard: list[tuple[int, int]] = []
    first = layout.umap_layout(rows, seed=3, progress=lambda done, total, stage: heard.append((done, total)))
    assert first.dtype == np.float32 and first.shape == (60, 2)
    np.testing.assert_array_equal(first, layout.umap_layout(rows, seed=3))
    centres = np.stack([first[which == c].mean(0) for c in (0, 1)])
    nearest = np.linalg.norm(first[:, None] - centres, axis=2).argmin(1)
    assert (nearest == which).all()
    assert heard == [(0, 1), (1, 1)]


def test_umap_of_few_rows_is_pca() -> None:
    rows = np.random.default_rng(0).normal(size=(9, 4))
    np.testing.assert_array_equal(layout.umap_layout(rows), layout.pca_layout(rows))


def test_umap_can_be_cancelled_before_it_starts() -> None:
    def stop(*_: object) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        layout.umap_layout(np.eye(12), progress=stop)


def test_stored_layout_is_found_in_spite_of_rounding(cache: Path, xy: np.ndarray, make_embeddings: Callable) -> None:
    embeddings = make_embeddings(0)
    assert layout.cached_layout(embeddings) is None
    path = layout.store_layout(embeddings, xy)
    assert path is not None and path.parent == cache
    assert [each.name for each in cache.iterdir()] == [path.name]
    found = layout.cached_layout(_nudged(embeddings, 5e-4))
    assert found is not None
    np.testing.assert_array_equal(found, xy)


def test_other_embeddings_are_not_matched(cache: Path, xy: np.ndarray, make_embeddings: Callable) -> None:
    layout.store_layout(make_embeddings(0), xy)
    assert layout.cached_layout(make_embeddings(1)) is None
    assert layout.cached_layout(_nudged(make_embeddings(0), 5e-3)) is None
    assert layout.cached_layout(make_embeddings(0, counts=(4,) * 21)) is None


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a zip", None])
def test_a_damaged_file_is_ignored_and_replaced(
    cache: Path, xy: np.ndarray, make_embeddings: Callable, damage: bytes | None
) -> None:
    embeddings = make_embeddings(0)
    path = layout.store_layout(embeddings, xy)
    assert path is not None
    path.write_bytes(path.read_bytes()[:200] if damage is None else damage)
    assert layout.cached_layout(embeddings) is None
    assert layout.store_layout(embeddings, xy) == path
    assert layout.cached_layout(embeddings) is not None


def test_pickles_are_not_loaded(cache: Path, xy: np.ndarray, make_embeddings: Callable) -> None:
    cache.mkdir(parents=True)
    np.savez(cache / "80x6-evil.npz", xy=xy, probe=np.array([object()], dtype=object))
    assert layout.cached_layout(make_embeddings(0)) is None


def test_a_shipped_layout_wins(cache: Path, xy: np.ndarray, make_embeddings: Callable) -> None:
    embeddings = make_embeddings(0)
    layout.store_layout(embeddings, xy)
    layout.write_layout(layout.SHIPPED / "80x6-demo.npz", embeddings, xy + 1)
    np.testing.assert_array_equal(layout.cached_layout(embeddings), xy + 1)


def test_writing_fails_whole(cache: Path, xy: np.ndarray, make_embeddings: Callable, monkeypatch: Any) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match="No space left"):
        layout.write_layout(cache / "80x6-x.npz", make_embeddings(0), xy)
    assert list(cache.iterdir()) == []
    assert layout.store_layout(make_embeddings(0), xy) is None


def test_a_layout_of_something_else_is_not_written(cache: Path, make_embeddings: Callable) -> None:
    with pytest.raises(InputError, match=r"shape \(80, 2\)"):
        layout.write_layout(cache / "80x6-x.npz", make_embeddings(0), np.zeros((79, 2)))


def _nudged(embeddings: Any, by: float) -> Any:
    """The same embeddings, every entry moved by about ``by``, as another CPU's rounding would."""
    region = embeddings.region + by * np.random.default_rng(5).choice([-1, 1], embeddings.region.shape)
    return replace(embeddings, region=(region / np.linalg.norm(region, axis=1, keepdims=True)).astype(np.float32))
