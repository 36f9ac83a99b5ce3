"""The distance matrix, its memory, and what embeddings must be."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from ravl_explore.clustering import chunks, distances
from ravl_explore.clustering.distances import (
    check_embeddings,
    check_unit_rows,
    cosine_distance,
    grown_distance,
    summed_distance,
)
from ravl_explore.errors import InputError


def test_equals_a_loop(blobs):
    distance = cosine_distance(blobs)
    for i in range(len(blobs)):
        for j in range(len(blobs)):
            assert distance[i, j] == pytest.approx(1 - float(np.dot(blobs[i], blobs[j])), abs=1e-6)
    assert distance.dtype == np.float32
    assert (np.diag(distance) == 0).all()
    np.testing.assert_array_equal(distance, distance.T)


def test_is_clipped():
    z = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]) * 1.0005  # norms within tolerance
    assert cosine_distance(z).min() == 0.0
    assert cosine_distance(z).max() == 2.0
    assert cosine_distance(z, max_distance=1.0).max() == 1.0


def test_only_one_matrix_is_ever_alive(many):
    size = 4 * len(many) ** 2
    tracemalloc.start()
    try:
        distance = cosine_distance(many)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert distance.nbytes == size
    assert size <= peak < 1.1 * size


def test_sums_of_distances_are_exact(many):
    """What the kernels rely on to take terms out of sums again: all distances are multiples of 2⁻²⁴."""
    scaled = cosine_distance(many).astype(np.float64) * 2**24
    np.testing.assert_array_equal(scaled, np.round(scaled))


def test_too_large_for_memory(blobs, monkeypatch):
    with pytest.raises(InputError, match=r"1e-06 GB free\), got 60 regions.*fewer regions"):
        cosine_distance(blobs, max_bytes=1000)
    monkeypatch.setattr(distances, "free_bytes", lambda: 4 * 60 * 60 - 1)
    with pytest.raises(InputError, match="fewer regions"):
        cosine_distance(blobs)
    monkeypatch.setattr(distances, "free_bytes", lambda: None)
    assert cosine_distance(blobs).shape == (60, 60)


def test_memory_error_is_explained(blobs, monkeypatch):
    def empty(*_args, **_kwargs):
        raise MemoryError

    monkeypatch.setattr(distances.np, "empty", empty)
    with pytest.raises(InputError, match="fewer regions"):
        cosine_distance(blobs)


def test_summed_distance_equals_a_loop(blobs):
    medoids = np.array([3, 40, 7])
    labels = np.arange(60) % 3
    labels[medoids] = [0, 1, 2]
    z = blobs.astype(np.float64)
    expected = sum(1 - z[o] @ z[medoids[labels[o]]] for o in range(60) if o not in medoids)
    assert summed_distance(blobs, labels, medoids) == pytest.approx(expected, abs=1e-9)


def test_a_grown_matrix_is_that_of_all_and_symmetric(blobs):
    z = blobs * np.float32(1.0005)
    first = cosine_distance(z[:50])
    grown = grown_distance(first, z[:50], z[50:])
    np.testing.assert_allclose(grown, cosine_distance(z), atol=1e-6)
    np.testing.assert_array_equal(grown, grown.T)
    np.testing.assert_array_equal(grown[:50, :50], first)
    assert (np.diag(grown) == 0).all() and grown.min() == 0 and grown.flags.c_contiguous
    assert grown_distance(first, z[:50], z[:0]) is first


def test_half_precision_is_accepted(blobs):
    assert check_embeddings(blobs.astype(np.float16)).dtype == np.float32


def with_rows(z: np.ndarray, rows: list[int], value: float) -> np.ndarray:
    z = z.copy()
    z[rows] *= value
    return z


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z: z[0], r"\(n_regions, dim\), got shape \(6,\)"),
        (lambda z: z.astype(str), "real array"),
        (lambda z: z + 1j, "real array"),
        (lambda z: z[:0], "at least one region"),
        (lambda z: with_rows(z, [4, 7], np.nan), "got 2 of 60 rows with NaN or infinity, first row 4"),
        (lambda z: with_rows(z, [5], np.inf), "got 1 of 60 rows with NaN or infinity, first row 5"),
        (lambda z: with_rows(z, [2, 9, 11], 1.01), "3 of 60 rows with another norm, first row 2 with norm 1.01"),
        (lambda z: with_rows(z, [8], 0.0), "first row 8 with norm 0"),
    ],
)
def test_wrong_embeddings(blobs, change, message):
    with pytest.raises(InputError, match=message):
        check_embeddings(change(blobs))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_memory_mapped_embeddings_are_checked_in_blocks_without_a_copy(tmp_path, monkeypatch, dtype):
    z = np.zeros((200_000, 16), dtype=dtype)
    z[:, 3] = 1
    np.save(tmp_path / "z.npy", z)
    mapped = np.load(tmp_path / "z.npy", mmap_mode="r")
    monkeypatch.setattr(chunks, "ROWS", 1000)
    check_unit_rows(mapped[:10])
    tracemalloc.start()
    try:
        checked = check_unit_rows(mapped)
        single = check_embeddings(mapped) if dtype == np.float32 else None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert np.shares_memory(checked, mapped) and checked.dtype == dtype
    assert single is None or np.shares_memory(single, mapped)
    assert peak < 500_000


def test_what_is_wrong_is_counted_over_all_blocks(blobs, monkeypatch):
    monkeypatch.setattr(chunks, "ROWS", 7)
    with pytest.raises(InputError, match=r"3 of 60 rows with another norm, first row 9 with norm 1\.01"):
        check_embeddings(with_rows(blobs, [9, 30, 59], 1.01))
    broken = with_rows(with_rows(blobs, [2], 3.0), [16, 44], np.nan)
    with pytest.raises(InputError, match="2 of 60 rows with NaN or infinity, first row 16"):
        check_embeddings(broken)


def test_the_tolerance_is_exact_and_huge_numbers_are_no_warning():
    for norm, good in ((1.00099, True), (1.00101, False), (0.99901, True), (0.99899, False)):
        z = np.array([[norm, 0.0]])
        if good:
            check_embeddings(z)
        else:
            with pytest.raises(InputError, match="unit norm"):
                check_embeddings(z)
    with pytest.raises(InputError, match=r"unit norm, got 1 of 1 rows with another norm, first row 0 with norm 1e\+30"):
        check_embeddings(np.array([[1e30, 0.0]]))
    with pytest.raises(InputError, match="NaN or infinity"):
        check_embeddings(np.array([[1e300, 0.0]]))
