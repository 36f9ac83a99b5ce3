"""Whether rows of numbers can be embeddings: finite, and of length 1."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ravl_explore.errors import InputError, ModelError

UNIT_NORM_TOLERANCE = 1e-3
ROWS = 65_536  # checked at a time


def check_unit_rows(name: str, rows: Float[np.ndarray, "n dim"]) -> None:
    """Raise InputError unless each row's length is 1, ModelError where one is not finite.

    Parameters
    ----------
    name : str
        What they are embeddings of: ``"region"``.
    rows : Float[np.ndarray, "n dim"]
        In memory or mapped; read in blocks.
    """
    off = 0
    for start in range(0, len(rows), ROWS):
        part = np.asarray(rows[start : start + ROWS])
        check_finite(name, part, start)
        norms = np.sqrt(np.einsum("nd,nd->n", part, part, dtype=np.float64))
        off += int((np.abs(norms - 1) > UNIT_NORM_TOLERANCE).sum())
    if off:
        raise InputError(f"unit-norm {name} embeddings", f"{off} of another length", "Divide each row by its norm.")


def check_finite(name: str, rows: Float[np.ndarray, "n dim"], start: int = 0) -> None:
    """Raise ModelError where a row has NaN or infinity.

    Parameters
    ----------
    name : str
        What they are embeddings of.
    rows : Float[np.ndarray, "n dim"]
        All, or a part of them.
    start : int
        What the first row is called.
    """
    bad = ~np.isfinite(rows).all(1)
    if bad.any():
        raise ModelError(
            f"finite {name} embeddings",
            f"NaN or infinity in {int(bad.sum())} of {len(rows)}, the first at {start + int(np.flatnonzero(bad)[0])}",
            "Check the checkpoint's weights and the images' values; half precision on a CPU may overflow.",
        )
