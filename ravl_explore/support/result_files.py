"""result_bytes(): a result as one safetensors file, sealed, with one JSON text that says what its arrays are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ravl_explore.support.json_values import as_json
from ravl_explore.support.sealing import sealed
from ravl_explore.support.text import storable

FORMAT = "ravl_explore 1"


def result_bytes(
    kind: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, object], also: Mapping[str, str] | None = None
) -> bytes:
    """Equal results give equal bytes; a checksum tells when they were changed.

    Parameters
    ----------
    kind : str
        What it is: ``"discovery"``, ``"embeddings"``, ``"mitigation"`` or ``"steering"``.
    arrays : mapping of str to array
        By the names that they are to have in the file.
    meta : mapping of str to object
        Plain values that say what the arrays are; see :func:`~ravl_explore.support.json_values.plain`.
    also : mapping of str to str, or None
        What else stands in the header, such as what lets the arrays open as a checkpoint.

    Returns
    -------
    bytes
        The whole file.

    Examples
    --------
    >>> result_bytes("embeddings", {}, {"loss": float("nan")}) == result_bytes("embeddings", {}, {"loss": "nan"})
    True
    """
    from safetensors.numpy import save

    texts = {storable(name): storable(text) for name, text in (also or {}).items()}
    return sealed(save(dict(arrays), {**texts, "format": FORMAT, "kind": kind, "meta": as_json(meta)}))
