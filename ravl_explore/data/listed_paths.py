"""resolve_inside(): image paths that stand in a file, none of which may leave the folder that the user named."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ravl_explore.errors import DataError
from ravl_explore.support.files import user_path
from ravl_explore.support.text import storable


def resolve_inside(
    root: str | Path, names: Sequence[str], *, beside: str | Path | None = None, argument: str | None = "root"
) -> list[Path]:
    """Paths of ``names`` under ``root``: relative ones from there, absolute ones if they lie in it.

    ``..`` and links are followed before the check, so that nothing outside is read and later shown or sent on.
    Backslashes separate as slashes do, since tables come from Windows too; a name that is not there is looked for in
    Unicode's other forms, since Macs write ``ü`` as two characters. A file need not be there.

    Parameters
    ----------
    root : str or Path
        Folder.
    names : sequence of str
        Paths as the file has them.
    beside : str or Path or None
        Folder of the file itself: where a relative name starts that does not lead to a file from ``root``.
    argument : str or None
        The caller's argument by which the user can name a wider folder, told in the error; None where there is none.

    Raises
    ------
    DataError
        For a path outside of ``root`` and for a web address.
    """
    resolver = _Resolver()
    top = os.path.realpath(user_path(root))
    starts = list(dict.fromkeys([top, top if beside is None else os.path.realpath(user_path(beside))]))
    found: list[Path] = []
    outside: list[tuple[str, str]] = []
    for name in names:
        _check_name(name)
        paths = [resolver.path(start, name) for start in starts]
        path = paths[0]
        if len(paths) > 1:  # the first that lies inside, rather where a file is
            path = min(paths, key=lambda each: (not _is_inside(each, top), not os.path.lexists(each)))
        if not _is_inside(path, top):
            outside.append((name, path))
        found.append(Path(path))
    if outside:
        raise DataError(
            f"image paths inside {storable(top)!r}",
            f"{len(outside)} outside, the first {storable(outside[0][0])!r}",
            _remedy(argument, top, [path for _, path in outside], list(map(str, found))),
        )
    return found


def _remedy(argument: str | None, top: str, outside: list[str], paths: list[str]) -> str:
    if all(path == top for path in outside):
        return "Mend these paths: they name the folder itself and no file in it."
    if argument is None:
        return "Mend these paths: nothing outside of this folder is read."
    common = os.path.commonpath([os.path.dirname(path) for path in paths if path != top])  # noqa: PTH120
    such = f", such as {storable(common)!r}" if common != os.path.dirname(common) else ""  # noqa: PTH120
    return f"Give the folder that holds all images as {argument}{such}, if you trust where these lead."


def _check_name(name: str) -> None:
    if "\0" in name:
        raise DataError("paths of image files", repr(name), "Mend this name: none holds a null character.")
    if name.casefold().startswith("file://"):
        raise DataError("paths of image files", repr(name), "Write it as a plain path, without file://.")
    if "://" in name:
        raise DataError("paths of image files", repr(name), "Download the images first; nothing is fetched.")


def _is_inside(path: str, top: str) -> bool:
    return path.startswith(top.rstrip(os.sep) + os.sep)


class _Resolver:
    """Follows names to real paths; what it asked the disc once, it keeps."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._listings: dict[str, dict[str, str]] = {}

    def path(self, start: str, name: str) -> str:
        """The real path of a name that starts in a folder."""
        path = os.path.join(start, name.replace("\\", "/"))  # noqa: PTH118  an absolute name replaces the start
        real = self._real(path)
        if name.isascii() or os.path.lexists(real):
            return real
        return self._real(self._in_another_form(path))

    def _real(self, path: str) -> str:
        parent, last = os.path.split(path)
        if last in ("", ".", ".."):
            parent, last = path, ""
        if parent not in self._parents:
            self._parents[parent] = os.path.realpath(parent)
        path = os.path.join(self._parents[parent], last) if last else self._parents[parent]  # noqa: PTH118
        return os.path.realpath(path) if os.path.islink(path) else path  # noqa: PTH114

    def _in_another_form(self, path: str) -> str:
        """The same path with those parts that are not there as the folder's listing has them."""
        found, *parts = path.split("/")
        found = found or "/"
        for part in parts:
            there = os.path.join(found, part)  # noqa: PTH118
            if part not in ("", ".", "..") and not part.isascii() and not os.path.lexists(there):
                there = os.path.join(found, self._listed(found).get(_form(part), part))  # noqa: PTH118
            found = there
        return found

    def _listed(self, folder: str) -> dict[str, str]:
        """Name in one form -> name as it is on the disc, of those that have no twin in another form."""
        if folder not in self._listings:
            try:
                names = [name for name in os.listdir(folder) if not name.isascii()]  # noqa: PTH208
            except OSError:  # it is not there, or closed: the name stays as it is, and reading it tells why
                names = []
            twins = Counter(map(_form, names))
            self._listings[folder] = {_form(name): name for name in names if twins[_form(name)] == 1}
        return self._listings[folder]


def _form(name: str) -> str:
    return unicodedata.normalize("NFC", name)
