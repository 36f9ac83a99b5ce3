"""find_files(): the image files that names in a table stand for, also where a name lacks its ending."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ravl_explore.data.columns import listed
from ravl_explore.data.formats import SUFFIXES
from ravl_explore.data.listed_paths import resolve_inside
from ravl_explore.errors import DataError


def find_files(
    root: str | Path, names: Sequence[str], *, beside: str | Path | None = None, argument: str | None = "root"
) -> tuple[list[Path], list[str]]:
    """The file of each name under ``root``, there or not, and notes on what was looked up.

    A name without an image's ending, of which there is no file, as ids in tables are, stands for the one image in its
    folder that is called so but for the ending.

    Parameters
    ----------
    root : str or Path
        The folder.
    names : sequence of str
        Paths as the table has them.
    beside : str or Path or None
        As of :func:`~ravl_explore.data.listed_paths.resolve_inside`.
    argument : str or None
        As of :func:`~ravl_explore.data.listed_paths.resolve_inside`.

    Raises
    ------
    DataError
        As :func:`~ravl_explore.data.listed_paths.resolve_inside`; and when several files fit one name.
    """
    files = resolve_inside(root, names, beside=beside, argument=argument)
    bare = [row for row, file in enumerate(files) if file.suffix.lower() not in SUFFIXES and not os.path.isfile(file)]  # noqa: PTH113
    folders: dict[Path, dict[str, list[str]]] = {}
    found: dict[int, str] = {}
    for row in bare:
        folder, stem = files[row].parent, files[row].name
        if folder not in folders:
            folders[folder] = _by_stem(folder)
        endings = folders[folder].get(stem, [])
        if len(endings) > 1:
            raise DataError(
                f"one image file for the name {names[row]!r}",
                f"{listed([stem + ending for ending in endings])}",
                "Write the ending of each file into the table.",
            )
        if endings:
            found[row] = str(folder / (stem + endings[0]))
    for row, file in zip(
        found, resolve_inside(root, list(found.values()), argument=argument), strict=True
    ):  # it may be a link
        files[row] = file
    if not found:
        return files, []
    first = next(iter(found))
    return files, [
        f"{len(found):,} names without an ending were taken for the one file of that name, "
        f"as {names[first]!r} for {files[first].name!r}."
    ]


def _by_stem(folder: Path) -> dict[str, list[str]]:
    """Name without ending -> endings of the images in a folder; nothing of a folder that cannot be listed."""
    endings: dict[str, list[str]] = {}
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208
    except OSError:  # that its files are not there is told where they are read
        return endings
    for name in names:
        stem, dot, ending = name.rpartition(".")
        if dot and f".{ending.lower()}" in SUFFIXES:
            endings.setdefault(stem, []).append(dot + ending)
    return endings
