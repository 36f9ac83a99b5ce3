"""Readers at once take no more memory than one may, and none waits for ever."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ravl_explore.data.room import MAX_BYTES, _Room, check_size, strips


def test_readers_wait_for_room() -> None:
    room, lock, taken, most = _Room(100), threading.Lock(), 0, 0

    def read(n_bytes: int) -> None:
        nonlocal taken, most
        with room.take(n_bytes):
            with lock:
                taken += n_bytes
                most = max(most, taken)
            threading.Event().wait(0.002)
            with lock:
                taken -= n_bytes

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, [60, 30, 60, 60, 10, 40] * 10))
    assert 60 < most <= 100


def test_one_that_needs_more_than_all_is_let_in_alone() -> None:
    room = _Room(100)
    with room.take(500):
        pass
    with pytest.raises(KeyError), room.take(500):
        raise KeyError
    with room.take(1):
        pass


def test_sizes_go_by_the_memory_they_take() -> None:
    check_size(10_000, 10_000, 8, 2**28)
    with pytest.raises(ValueError, match=r"10000 x 10000 pixels, more than the [\d,]+ that are read of this kind"):
        check_size(10_000, 10_000, MAX_BYTES // 10**8 + 1, 2**28)
    with pytest.raises(ValueError, match=r"3 x 3 pixels, more than the 8 that are read: shrink it"):
        check_size(3, 3, 4, 8)


def test_strips_hold_every_row_once() -> None:
    for height, width in ((0, 5), (1, 10**7), (5000, 3000), (7, 1)):
        rows = [row for part in strips(height, width) for row in range(height)[part]]
        assert rows == list(range(height))
