"""Blocks of rows: views where they can be, exact where they cannot."""

from __future__ import annotations

import numpy as np
import pytest

from ravl_explore.clustering.chunks import as_single, blocks


def test_every_half_precision_number_is_exact():
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).reshape(256, 256)
    np.testing.assert_array_equal(as_single(every).view(np.uint32), every.astype(np.float32).view(np.uint32))
    np.testing.assert_array_equal(as_single(every[:, ::3]), every[:, ::3].astype(np.float32))
    np.testing.assert_array_equal(as_single(every.astype(">f2")), every.astype(np.float32))
    out = np.zeros((300, 256), np.float32)
    assert np.shares_memory(as_single(every, out), out)


def test_single_precision_is_not_copied(tmp_path, blobs):
    np.save(tmp_path / "z.npy", blobs)
    mapped = np.load(tmp_path / "z.npy", mmap_mode="r")
    for start, block in blocks(mapped, rows=25):
        assert np.shares_memory(block, mapped)
        np.testing.assert_array_equal(block, blobs[start : start + 25])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_all_rows_come_once_and_steps_in_between(dtype):
    z = np.arange(22).reshape(11, 2).astype(dtype)
    heard: list[int] = []
    got = [(start, block.copy()) for start, block in blocks(z, heard.append, rows=4)]
    np.testing.assert_array_equal(np.concatenate([block for _, block in got]), z.astype(np.float32))
    assert [start for start, _ in got] == [0, 4, 8] and heard == [0, 4, 8, 11]
    assert all(block.dtype == np.float32 for _, block in got)
