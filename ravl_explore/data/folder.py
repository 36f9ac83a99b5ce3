"""A folder with one subfolder of images per class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ravl_explore.data.base import CLIP_TEMPLATES
from ravl_explore.data.columns import listed
from ravl_explore.data.files import ImageFiles
from ravl_explore.data.reading import SUFFIXES, is_image
from ravl_explore.errors import DataError
from ravl_explore.files import user_path
from ravl_explore.forms import Field


class Folder(ImageFiles):
    """Images in ``path/<class name>/**``; the subfolders' names, sorted, are the classes.

    Files with an image's ending count, and of those without any ending (as DICOM often has) the ones that are images.
    Hidden files and folders do not. Links to folders are not followed, so that none is read twice or for ever.
    Subfolders without an image, such as the ``__MACOSX`` of unpacked archives, are no classes; ``notes`` names them.

    Parameters
    ----------
    path : folder
    templates : prompts, each with one ``{}``

    Raises
    ------
    DataError
        When the folder is not there, or fewer than two subfolders hold an image; or, on reading, a file is no image.
    """

    form_label = "Folder of images"
    form = (Field("path", "Folder", "path", help="a folder with one subfolder per class"),)

    def __init__(self, path: str | Path, templates: Sequence[str] = CLIP_TEMPLATES) -> None:
        root = user_path(path)
        if not root.is_dir():
            raise DataError("a folder with one subfolder per class", f"{str(root)!r}, not a folder", "Check the path.")
        folders = sorted(each for each in root.iterdir() if each.is_dir() and not each.name.startswith("."))
        images = {folder.name: _images(folder) for folder in folders}
        classes = [name for name, found in images.items() if found]
        empty = [name for name, found in images.items() if not found]
        if len(classes) == 1 and empty:
            raise DataError(
                "at least two subfolders with images",
                f"{classes[0]!r} alone; without any: {listed(empty)}",
                "Put each class's images into its own subfolder.",
            )
        super().__init__(
            [file for name in classes for file in images[name]],
            [label for label, name in enumerate(classes) for _ in images[name]],
            classes,
            name=root.resolve().name,
            templates=templates,
            root=root,
            notes=[f"Subfolders without an image are no classes: {listed(empty)}."] if empty else [],
        )


def _images(folder: Path) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if name.startswith(".") or (path.suffix and path.suffix.lower() not in SUFFIXES):
                continue
            if path.suffix or is_image(path):
                found.append(path)
    return sorted(found)
