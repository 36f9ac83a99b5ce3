"""A folder with one subfolder of images per class, read one image at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image, ImageOps

from ravl_explore.data.base import CLIP_TEMPLATES, check_dataset
from ravl_explore.errors import DataError
from ravl_explore.regions.base import Regions

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
EXIF_ORIENTATION = 0x0112


class Folder:
    """Images in ``path/<class name>/*``; the subfolders' names, sorted, are the classes.

    Parameters
    ----------
    path : folder
    templates : prompts, each with one ``{}``

    Raises
    ------
    DataError
        When the folder is not there, holds fewer than two classes or no image; or, on reading, a file is no image.
    """

    path_label = "Folder of images"
    path_hint = "a folder with one subfolder per class"

    captions: tuple[str, ...] | None = None  # a folder says nothing of these
    regions: Regions | None = None
    feature_name: str | None = None
    feature_present: np.ndarray | None = None
    region_labels: np.ndarray | None = None
    region_feature: np.ndarray | None = None

    def __init__(self, path: str | Path, templates: Sequence[str] = CLIP_TEMPLATES) -> None:
        root = Path(path).expanduser()
        if not root.is_dir():
            raise DataError("a folder with one subfolder per class", f"{str(root)!r}, not a folder", "Check the path.")
        folders = sorted(each for each in root.iterdir() if each.is_dir() and not each.name.startswith("."))
        self.name = root.name
        self.class_names = tuple(folder.name for folder in folders)
        self.files: list[Path] = []
        labels: list[int] = []
        for label, folder in enumerate(folders):
            files = sorted(each for each in folder.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
            self.files += files
            labels += [label] * len(files)
        self.labels = np.array(labels, dtype=np.int64)
        self.templates = tuple(templates)
        check_dataset(self)
        self._sizes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.files)

    @property
    def image_sizes(self) -> Int[np.ndarray, "n_images 2"]:
        if self._sizes is None:  # headers only; read once, when first asked for
            self._sizes = np.array([self._size(i) for i in range(len(self))], dtype=np.int64).reshape(-1, 2)
        return self._sizes

    def image(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        with self._naming(index), Image.open(self.files[index]) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):  # Pillow's own conversion would turn all above 255 white
                return np.repeat((np.asarray(upright) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
            if upright.mode in ("I", "F"):
                raise ValueError(f"mode {upright.mode}: 32 bits a pixel, of unknown range")
            return np.asarray(upright.convert("RGB"))

    def _size(self, index: int) -> tuple[int, int]:
        with self._naming(index), Image.open(self.files[index]) as image:
            turned = image.getexif().get(EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
            return (image.height, image.width) if turned else (image.width, image.height)

    @contextmanager
    def _naming(self, index: int) -> Iterator[None]:
        """Turn whatever Pillow raises into a DataError that names the file."""
        try:
            yield
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(
                "a readable image file", f"{str(self.files[index])!r} ({error})", "Mend or remove it, then run again."
            ) from error
