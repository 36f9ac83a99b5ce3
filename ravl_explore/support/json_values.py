"""plain() and as_json(): nested values as JSON takes them, by one rule for numbers that are not finite.

JSON has no word for NaN and infinity, and Python's own ``NaN`` is refused by other programs. Here they become the texts
``"nan"``, ``"inf"`` and ``"-inf"``, which ``float()`` reads back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


def plain(value: object) -> Json:
    """Nested values as JSON takes them.

    Parameters
    ----------
    value : object
        Mappings, lists, tuples, ranges, arrays and numbers of NumPy, and what JSON itself knows; anything else becomes
        its text.

    Examples
    --------
    >>> plain({"loss": np.float32("inf"), 1: (True, None), "gaps": np.array([0.5, np.nan])})
    {'loss': 'inf', '1': [True, None], 'gaps': [0.5, 'nan']}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(part) for part in value]
    if isinstance(value, np.ndarray):
        return value.tolist() if value.dtype.kind in "biu" else [plain(part) for part in value.tolist()]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return plain_number(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def plain_number(value: float) -> float | str:
    """A number as JSON takes it: its name, as text, where it is not finite.

    Parameters
    ----------
    value : float
        Also a whole number.

    Examples
    --------
    >>> plain_number(0.5), plain_number(float("-inf")), float(plain_number(float("inf")))
    (0.5, '-inf', inf)
    """
    return value if math.isfinite(value) else str(value)


def as_json(value: object, indent: int | None = None) -> str:
    """Strict JSON of nested values, in ASCII; see :func:`plain`.

    Parameters
    ----------
    value : object
        What is written.
    indent : int or None
        Spaces for each level, on lines of their own; None writes it all on one.
    """
    return json.dumps(plain(value), indent=indent, allow_nan=False)
