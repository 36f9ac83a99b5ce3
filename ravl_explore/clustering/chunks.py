"""Blocks: embeddings read a few thousand rows at a time, so that a memory-mapped file is never copied as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float32

ROWS = 16_384
"""Rows of a block: 32 MB at 512 dimensions. Smaller ones leave BLAS's threads waiting for each other; larger ones gain
nothing, and Cancel acts between blocks."""

Step = Callable[[int], None]
"""``step(rows)``: rows done so far in this pass; may raise Cancelled."""


def blocks(
    embeddings: np.ndarray, step: Step | None = None, rows: int | None = None
) -> Iterator[tuple[int, Float32[np.ndarray, "rows dim"]]]:
    """Yield (first row, block as float32) from top to bottom; ``step`` hears before each and at the end.

    A float32 block is a view. A float16 one is a buffer that the next block overwrites.

    Parameters
    ----------
    embeddings : np.ndarray
        Rows to go through.
    step : Step, optional
        Called after each block of rows, with the rows done.
    rows : int, optional
        How many rows at a time.

    Examples
    --------
    >>> [(start, len(block)) for start, block in blocks(np.eye(5, dtype=np.float32), rows=2)]
    [(0, 2), (2, 2), (4, 1)]
    """
    rows = ROWS if rows is None else rows
    buffer = np.empty((min(rows, len(embeddings)), embeddings.shape[1]), np.float32) if _is_half(embeddings) else None
    for start in range(0, len(embeddings), rows):
        if step is not None:
            step(start)
        yield start, as_single(embeddings[start : start + rows], buffer)
    if step is not None:
        step(len(embeddings))


def as_single(block: np.ndarray, out: np.ndarray | None = None) -> Float32[np.ndarray, "rows dim"]:
    """Return rows as contiguous float32, in ``out`` (of at least as many rows) where they are float16.

    Parameters
    ----------
    block : np.ndarray
        Rows of any real type.
    out : np.ndarray, optional
        Where they are written, as far as they reach.

    Examples
    --------
    >>> as_single(np.array([[0.5, -1.0]], dtype=np.float16)).tolist()
    [[0.5, -1.0]]
    """
    if out is None or not _is_half(block):
        return np.ascontiguousarray(block, dtype=np.float32)
    np.copyto(out[: len(block)], block)
    return out[: len(block)]


def _is_half(embeddings: np.ndarray) -> bool:
    return embeddings.dtype == np.float16  # byte order included: a foreign one takes NumPy's way
