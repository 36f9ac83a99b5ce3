"""When compiled kernels share their work over cores: by blocks of columns, one call at a time, and only if it pays."""

from __future__ import annotations

import threading

KERNEL_LOCK = threading.Lock()
"""Held while a parallel kernel runs: Numba's fallback threading layer ("workqueue", used where neither OpenMP nor TBB
is found) ends the whole process when two Python threads enter it at once, as two widgets well might."""

WIDTH = 256
"""Columns one thread works on at a time: their sums stay in its cache, and there are enough blocks for all cores. Each
column is summed in row order by one thread, so results are the same for any number of threads."""

PARALLEL_WORK = 4_000_000
"""Elements below which one core is quicker (about 2 ms): waking the others takes up to 16 ms when they are busy."""
