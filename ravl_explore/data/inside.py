"""resolve_inside(): image paths that stand in a file, none of which may leave the folder that the user named."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ravl_explore.errors import DataError
from ravl_explore.files import user_path


def resolve_inside(root: str | Path, names: Sequence[str]) -> list[Path]:
    """Paths of ``names`` under ``root``: relative ones from there, absolute ones if they lie in it.

    ``..`` and links are followed before the check, so that nothing outside is read and later shown or sent on.
    Backslashes separate as slashes do, since tables come from Windows too. A file need not be there.

    Raises
    ------
    DataError
        For a path outside of ``root`` and for a web address.
    """
    top = os.path.realpath(user_path(root))
    inside = top.rstrip(os.sep) + os.sep
    parents: dict[str, str] = {}  # resolving asks the disc for every folder on the way: once a folder is enough
    found: list[Path] = []
    outside: list[str] = []
    for name in names:
        if "://" in name or "\0" in name:
            raise DataError("paths of image files", repr(name), "Download the images first; nothing is fetched.")
        path = os.path.join(top, name.replace("\\", "/"))  # noqa: PTH118  an absolute name replaces top
        parent, last = os.path.split(path)
        if last in ("", ".", ".."):
            parent, last = path, ""
        if parent not in parents:
            parents[parent] = os.path.realpath(parent)
        path = os.path.join(parents[parent], last) if last else parents[parent]  # noqa: PTH118
        if os.path.islink(path):  # noqa: PTH114
            path = os.path.realpath(path)
        if not path.startswith(inside):
            outside.append(name)
        found.append(Path(path))
    if outside:
        raise DataError(
            f"image paths inside {top!r}",
            f"{len(outside)} outside, the first {outside[0]!r}",
            "Give the folder that holds all images as root, if you trust where these lead.",
        )
    return found
