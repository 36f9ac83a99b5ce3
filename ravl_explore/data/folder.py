"""A folder with one subfolder of images per class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ravl_explore.data.base import CLIP_TEMPLATES
from ravl_explore.data.files import ImageFiles
from ravl_explore.data.reading import SUFFIXES, is_image
from ravl_explore.errors import DataError
from ravl_explore.forms import Field


class Folder(ImageFiles):
    """Images in ``path/<class name>/**``; the subfolders' names, sorted, are the classes.

    Files with an image's ending count, and of those without any ending (as DICOM often has) the ones that are images.
    Hidden files and folders do not. Links to folders are not followed, so that none is read twice or for ever.

    Parameters
    ----------
    path : folder
    templates : prompts, each with one ``{}``

    Raises
    ------
    DataError
        When the folder is not there, holds fewer than two classes or no image; or, on reading, a file is no image.
    """

    form_label = "Folder of images"
    form = (Field("path", "Folder", "path", help="a folder with one subfolder per class"),)

    def __init__(self, path: str | Path, templates: Sequence[str] = CLIP_TEMPLATES) -> None:
        root = Path(path).expanduser()
        if not root.is_dir():
            raise DataError("a folder with one subfolder per class", f"{str(root)!r}, not a folder", "Check the path.")
        folders = sorted(each for each in root.iterdir() if each.is_dir() and not each.name.startswith("."))
        files: list[Path] = []
        labels: list[int] = []
        for label, folder in enumerate(folders):
            found = _images(folder)
            files += found
            labels += [label] * len(found)
        super().__init__(
            files, labels, [folder.name for folder in folders], name=root.resolve().name, templates=templates, root=root
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
