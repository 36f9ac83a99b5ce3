"""What does not fit in memory is refused before it is made."""

from __future__ import annotations

import pytest

from ravl_explore.errors import InputError
from ravl_explore.support.memory import fits_memory, free_bytes


def test_memory_is_also_what_the_process_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    free = free_bytes()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1, 1))
    assert free_bytes() == 0 and free
    with pytest.raises(InputError, match=r"what fits in memory \(0 GB free\), got 2 boxes, which need 1e-08 GB"):
        fits_memory("2 boxes", 10, "Take one.")
