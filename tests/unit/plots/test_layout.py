"""Layouts of the region map: deterministic, and cached so that a damaged or foreign file never hurts."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ravl_explore.errors import Cancelled, InputError, StorageError
from ravl_explore.plots import layout


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


def three_blobs(n: int) -> tuple[np.ndarray, np.ndarray]:
    """(unit rows, which of three directions each belongs to); the third has 25 rows."""
    rng = np.random.default_rng(0)
    which = rng.integers(2, size=n)
    which[rng.choice(n, 25, replace=False)] = 2
    rows = np.eye(8)[which] + 0.1 * rng.normal(size=(n, 8))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), which


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_of_many_rows_a_sample_is_laid_out_and_the_others_are_placed_among_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dtype: type
) -> None:
    rows, which = three_blobs(400)
    np.save(tmp_path / "region.npy", rows.astype(dtype))
    mapped = np.load(tmp_path / "region.npy", mmap_mode="r")
    monkeypatch.setattr(layout, "PLACED_AT_ONCE", 100)
    heard: list[tuple[int, int]] = []
    xy = layout.umap_layout(
        mapped, labels=which, most=150, progress=lambda done, total, stage: heard.append((done, total))
    )
    assert xy.dtype == np.float32 and xy.shape == (400, 2) and np.isfinite(xy).all()
    sample = layout.stratified_sample(which, 150)
    n = len(sample)
    assert heard == [(0, 400), (n, 400), (n + 100, 400), (n + 200, 400), (400, 400)]
    alone = layout.umap_layout(rows.astype(dtype).astype(np.float32)[sample])
    np.testing.assert_allclose(xy[sample], alone, atol=1e-5)  # the sample's own layout, untouched
    centres = np.stack([xy[sample][which[sample] == c].mean(0) for c in range(3)])
    nearest = np.linalg.norm(xy[:, None] - centres, axis=2).argmin(1)
    assert (nearest == which).mean() > 0.98, "each lies among its like"

    def stop(done: int, total: int, stage: str) -> None:
        if done > n:
            raise Cancelled

    with pytest.raises(Cancelled):
        layout.umap_layout(mapped, labels=which, most=150, progress=stop)


def test_the_sample_has_every_cluster_its_share_and_a_seed() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(6), [1, 15, 40, 1000, 3000, 6000]))
    drawn = layout.stratified_sample(labels, 500, seed=1)
    counts = np.bincount(labels[drawn], minlength=6)
    assert counts[:2].tolist() == [1, 15] and counts[2] >= 20 and 490 <= len(drawn) <= 500
    beyond = counts[3:] - 20  # above the least, by size
    np.testing.assert_allclose(beyond / beyond.sum(), np.array([980, 2980, 5980]) / 9940, atol=0.01)
    assert (np.diff(drawn) > 0).all()
    np.testing.assert_array_equal(drawn, layout.stratified_sample(labels, 500, seed=1))
    assert (drawn[:50] != layout.stratified_sample(labels, 500, seed=2)[:50]).any()
    np.testing.assert_array_equal(layout.stratified_sample(labels, len(labels)), np.arange(len(labels)))


def test_pca_of_more_rows_than_the_axes_are_found_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = (np.random.default_rng(0).normal(size=(3000, 7)) * np.arange(1, 8)).astype(np.float32)
    exact = layout.pca_layout(rows)
    monkeypatch.setattr(layout, "MOST_FOR_AXES", 1000)
    monkeypatch.setattr("ravl_explore.clustering.chunks.ROWS", 128)
    few = layout.pca_layout(rows)
    assert [abs(np.corrcoef(few[:, i], exact[:, i])[0, 1]) > 0.98 for i in (0, 1)] == [True, True]
    assert not np.allclose(few, exact, atol=1e-3)
    np.save(tmp_path / "region.npy", rows.astype(np.float16))
    half = layout.pca_layout(np.load(tmp_path / "region.npy", mmap_mode="r"))
    np.testing.assert_allclose(half, few, atol=0.1)


def test_pca_copies_no_rows_of_a_memory_mapped_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    np.save(tmp_path / "region.npy", np.random.default_rng(0).normal(size=(60_000, 32)).astype(np.float32))
    mapped = np.load(tmp_path / "region.npy", mmap_mode="r")
    monkeypatch.setattr(layout, "MOST_FOR_AXES", 1000)
    monkeypatch.setattr("ravl_explore.clustering.chunks.ROWS", 1000)
    tracemalloc.start()
    try:
        layout.pca_layout(mapped)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2e6, "the rows have 7.7 MB, the layout 0.5"


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
