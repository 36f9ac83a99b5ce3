"""What differs between two plotly figures, as dotted keys that Plotly.update takes."""

from __future__ import annotations

from typing import Any

import numpy as np


def flatten(properties: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts to dotted keys, as restyle and relayout take them; the template stays whole."""
    flat: dict[str, Any] = {}
    for key, value in properties.items():
        if isinstance(value, dict) and value and key not in ("template", "meta"):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        at = nested
        for part in path:
            at = at.setdefault(part, {})
        at[last] = value
    return nested


def changes(old: dict[str, Any], new: dict[str, Any]) -> set[str]:
    return {key for key in old.keys() | new.keys() if not _same(old.get(key), new.get(key))}


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.shape == b.shape and a.dtype == b.dtype):
            return False
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
    return bool(a == b)


def empty_trace(like: dict[str, Any]) -> dict[str, Any]:
    """A trace slot that shows nothing, for figures with fewer traces than an earlier one."""
    nothing = np.zeros(0, np.float32)
    return {
        "type": like["type"],
        "mode": like.get("mode"),
        "x": nothing,
        "y": nothing,
        "visible": False,
        "showlegend": False,
    }


def copied(value: Any) -> Any:
    """A copy of the structure; arrays are shared, as nobody writes into them."""
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [copied(each) for each in value]
    return value
