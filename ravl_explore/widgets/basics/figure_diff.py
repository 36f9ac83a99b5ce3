"""What differs between two plotly figures, as dotted keys that Plotly.update takes."""

from __future__ import annotations

from typing import Any

import numpy as np

Properties = dict[str, Any]
"""What plotly knows of a trace or a layout, by key; plotly checks the values."""


def flatten(properties: Properties, prefix: str = "") -> Properties:
    """Nested dicts to dotted keys, as restyle and relayout take them; the template stays whole."""
    flat: Properties = {}
    for key, value in properties.items():
        if isinstance(value, dict) and value and key not in ("template", "meta"):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def nested(flat: Properties) -> Properties:
    nested: Properties = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        at = nested
        for part in path:
            at = at.setdefault(part, {})
        at[last] = value
    return nested


def changes(old: Properties, new: Properties) -> set[str]:
    return {key for key in old.keys() | new.keys() if not _same(old.get(key), new.get(key))}


def edits(old: Properties, new: Properties) -> Properties:
    """What makes the old one the new one: the new value of each key, None where it goes.

    A container that goes is named itself, not what was in it: plotly takes an empty one for one that is wanted, and
    would go on drawing the colour bar of an empty ``marker.colorbar``.

    >>> edits(flatten({"marker": {"size": 3, "colorbar": {"title": {"text": "G"}}}}), flatten({"marker": {"size": 4}}))
    {'marker.colorbar': None, 'marker.size': 4}
    """
    kept = {key[:at] for key in new for at in _ends(key)}
    found: Properties = {}
    for key in sorted(changes(old, new)):
        gone = next((key[:at] for at in _ends(key) if key[:at] not in kept), key)
        found[gone] = new.get(gone)
    return found


def restyled(differ: list[Properties], new: list[Properties]) -> list[Properties]:
    """The edits of several traces, so that one update may hold them all.

    Plotly refuses an update that names a container and something in it, and then shows none of it. So where one trace
    loses a container, the others, if theirs changes, are given it whole.

    Parameters
    ----------
    differ : list of dict
        The :func:`edits` of each trace.
    new : list of dict
        Each trace as it shall be, flat.

    Examples
    --------
    >>> restyled([{"colorbar": None}, {"colorbar.len": 1, "x": 2}], [{}, {"colorbar.len": 1, "x": 2}])
    [{'colorbar': None}, {'colorbar': {'len': 1}, 'x': 2}]
    """
    named = {key for each in differ for key in each}
    found = []
    for each, trace in zip(differ, new, strict=True):
        whole: Properties = {}
        for key, value in each.items():
            outer = next((key[:at] for at in _ends(key)[:-1] if key[:at] in named), None)
            whole[outer or key] = value if outer is None else container(trace, outer)
        found.append(whole)
    return found


def container(flat: Properties, key: str) -> Properties:
    """What is in one container of a flat figure, nested."""
    return nested({each[len(key) + 1 :]: value for each, value in flat.items() if each.startswith(f"{key}.")})


def _ends(key: str) -> list[int]:
    """Where the key of each container of a dotted key ends, the outermost first; last its own end."""
    return [at for at, letter in enumerate(key) if letter == "."] + [len(key)]


def _same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.shape == b.shape and a.dtype == b.dtype):
            return False
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
    return bool(a == b)


def copied(value: object) -> object:
    """A copy of the structure; arrays are shared, as nobody writes into them."""
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [copied(each) for each in value]
    return value
