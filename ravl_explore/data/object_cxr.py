"""Object-CXR: chest X-rays with foreign objects drawn in three shapes; RaVL looks for cardiomegaly in them.

Non-commercial licence (CC BY-NC 4.0), so none of it ships. The set itself has no diagnoses: see
:mod:`ravl_explore.data.cxr_labels` for how RaVL made them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ravl_explore.data.access import readable
from ravl_explore.data.columns import listed, read_columns
from ravl_explore.data.files import ImageFiles
from ravl_explore.data.listed_paths import resolve_inside
from ravl_explore.errors import DataError, InputError
from ravl_explore.regions.base import Regions
from ravl_explore.support.fields import Field
from ravl_explore.support.files import user_path

CLASS_NAMES = ("cardiomegaly", "normal")
TEMPLATES = ("{}",)  # the class names alone, RaVL, Appendix D
SHAPES = {"0": "rectangle", "1": "ellipse", "2": "polygon"}  # RaVL's code compares with the number 0 and so takes
SPLITS = ("dev", "train", "test")  # every shape for a polygon; the file holds text


class ObjectCxr(ImageFiles):
    """X-rays of one split with the boxes of their foreign objects.

    RaVL keeps the rectangles, and the images that have one: 974 boxes on 489 images of ``dev``. Ellipses and polygons,
    when asked for, count as the box around them. Boxes are cut at the edges of the image.

    Parameters
    ----------
    root : str or Path
        Folder with ``dev.csv`` (``image_name,annotation``) and the images, in ``dev/`` or beside it.
    split : {"dev", "train", "test"}
        The part of the set.
    shapes : sequence of str
        Of ``rectangle``, ``ellipse`` and ``polygon``.
    labels : mapping, str -> str, or str, or Path, or None
        Image name -> class, or a CSV with ``image_name`` and ``label``; unless given, ``dev_labels.csv`` or the column
        ``label`` of ``dev.csv``. Classes are ``cardiomegaly`` and ``normal``; images whose label is left empty, as that
        of an unreadable image is, are left out, and ``notes`` tells how many.
    unannotated : bool
        Keep the images without a box too; ``feature_present`` then tells which have one.

    Raises
    ------
    DataError
        For files, columns or labels that are not there, and annotations that are none of the three shapes.
    """

    form_label = "Object-CXR chest X-rays"
    form = (
        Field("root", "Folder", "path", help="with dev.csv, dev_labels.csv and the images"),
        Field("split", "Split", "choice", default="dev", choices=lambda answers: SPLITS),
        Field("labels", "Labels", "path", help="CSV with image_name and label; dev_labels.csv", required=False),
    )

    def __init__(
        self,
        root: str | Path,
        split: str = "dev",
        shapes: Sequence[str] = ("rectangle",),
        labels: Mapping[str, str] | str | Path | None = None,
        unannotated: bool = False,
    ) -> None:
        wrong = [shape for shape in shapes if shape not in SHAPES.values()] if not isinstance(shapes, str) else [shapes]
        if wrong or not shapes:
            raise InputError(
                f"a list of shapes among {tuple(SHAPES.values())}", repr(shapes), "Use ['rectangle'] as RaVL does."
            )
        folder, names, drawn = read_annotations(root, split)
        chosen = [[box for shape, box in row if shape in shapes] for row in drawn]
        known = _labels(user_path(root), split, labels)
        wanted = [i for i, boxes in enumerate(chosen) if boxes or unannotated]
        if not wanted:
            raise DataError(f"images with a {' or '.join(shapes)}", "none", "Allow other shapes.")
        keys = [unicodedata.normalize("NFC", name) for name in names]  # the two tables may come from two systems
        kept = [i for i in wanted if known.get(keys[i]) != ""]
        n_empty = len(wanted) - len(kept)
        if not kept:
            raise DataError("images with a label", f"{n_empty} whose label is empty", "Fill in the labels.")
        missing = [names[i] for i in kept if keys[i] not in known]
        if missing:
            raise DataError(
                "a label for every image",
                f"none for {len(missing)}, the first {missing[0]!r}",
                "Add them to the labels.",
            )
        other = sorted({known[keys[i]] for i in kept} - set(CLASS_NAMES))
        if other:
            raise DataError(f"labels among {CLASS_NAMES}", f"also {other[:5]}", "Rename them.")
        super().__init__(
            resolve_inside(folder, [names[i] for i in kept], argument=None),
            [CLASS_NAMES.index(known[keys[i]]) for i in kept],
            CLASS_NAMES,
            name=f"Object-CXR, {split}",
            templates=TEMPLATES,
            feature_name="foreign object",
            feature_present=np.array([bool(drawn[i]) for i in kept]),
            root=folder.resolve(),
            notes=[f"{n_empty} images without a label were left out."] if n_empty else [],
        )
        self._cut([chosen[i] for i in kept])

    def _cut(self, boxes: list[list[tuple[float, ...]]]) -> None:
        """Cut the boxes at the images' edges; of images that cannot be read, they stay."""
        unreadable = self.unreadable()
        sizes = np.full((len(self), 2), np.inf)
        sized = np.array([i for i in range(len(self)) if i not in unreadable], np.int64)
        sizes[sized] = self.sizes_of(sized)
        image_index = np.repeat(np.arange(len(boxes)), [len(row) for row in boxes])
        corners = np.array([box for row in boxes for box in row], np.float64).reshape(-1, 4)
        corners = np.clip(corners, 0, np.tile(sizes[image_index], 2)).astype(np.float32)
        whole = (corners[:, :2] < corners[:, 2:]).all(1)
        self.regions: Regions | None = Regions(corners[whole], image_index[whole])
        self.region_feature: np.ndarray | None = np.ones(int(whole.sum()), bool)
        if not whole.all():
            self.notes = (*self.notes, f"{int((~whole).sum())} boxes without area inside their image were dropped.")


def read_annotations(root: str | Path, split: str) -> tuple[Path, list[str], list[list[tuple[str, tuple[float, ...]]]]]:
    """The images' folder, every image's name, and its drawn shapes as (shape, box).

    Parameters
    ----------
    root : str or Path
        As of :class:`ObjectCxr`.
    split : str
        As of :class:`ObjectCxr`.
    """
    if not isinstance(split, str) or split not in SPLITS:
        raise DataError(f"one of Object-CXR's splits {SPLITS}", repr(split), "RaVL uses dev.")
    root = user_path(root)
    file = root / f"{split}.csv"
    with readable(root):
        there = file.is_file()
    if not there:
        raise DataError(f"{split}.csv of Object-CXR", f"none in {str(root)!r}", "Put it and the unpacked images there.")
    columns = read_columns(file, ["image_name", "annotation"])
    names = [str(name or "") for name in columns["image_name"]]
    drawn = [parse_annotation(str(text or ""), row) for row, text in enumerate(columns["annotation"])]
    tried = (root / split, root / "images", root)
    with readable(root):
        folder = next((each for each in tried if names and (each / names[0]).is_file()), None)
        return folder or next(each for each in tried if each.is_dir()), names, drawn


def parse_annotation(text: str, row: int = 0) -> list[tuple[str, tuple[float, ...]]]:
    """Shapes of one image as (shape, (x1, y1, x2, y2)), each by the box around it.

    Parameters
    ----------
    text : str
        As the column has it.
    row : int
        From 0 up, for messages.

    Examples
    --------
    >>> parse_annotation("0 10 20 30 40;2 5 5 9 1 7 8")
    [('rectangle', (10.0, 20.0, 30.0, 40.0)), ('polygon', (5.0, 1.0, 9.0, 8.0))]
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        kind, *numbers = part.split()
        try:
            shape, values = SHAPES[kind], [float(number) for number in numbers]
            if len(values) % 2 or len(values) < 4 or (shape != "polygon" and len(values) != 4):
                raise ValueError(f"{len(values)} numbers")
        except (KeyError, ValueError) as error:
            raise DataError(
                "shapes such as '0 x1 y1 x2 y2', '1 x1 y1 x2 y2' or '2 x1 y1 ... xn yn'",
                f"{part[:60]!r} in row {row + 1}",
                "Check the file.",
            ) from error
        x, y = values[0::2], values[1::2]
        found.append((shape, (min(x), min(y), max(x), max(y))))
    return found


def _labels(root: Path, split: str, given: Mapping[str, str] | str | Path | None) -> Mapping[str, str]:
    """Image name in Unicode's composed form -> class, "" where it is left empty."""
    if isinstance(given, Mapping):
        return {unicodedata.normalize("NFC", name): str(label).strip().casefold() for name, label in given.items()}
    beside = root / f"{split}_labels.csv"
    file = beside if given is None else user_path(given)
    fallback = given is None and not beside.exists()
    if fallback:
        file = root / f"{split}.csv"
    try:
        columns = read_columns(file, ["image_name", "label"])
    except DataError as error:
        if not fallback:  # the labels are there and damaged: that is what to mend
            raise
        others = sorted(each.name for each in root.glob("*.csv") if each != file)
        raise DataError(
            "labels, which Object-CXR does not have",
            f"neither {split}_labels.csv nor a column 'label' in {split}.csv"
            + (f", but the tables {listed(others)}" if others else ""),
            "Give labels=, or make them with ravl_explore.data.label_with_torchxrayvision.",
        ) from error
    pairs = zip(columns["image_name"], columns["label"], strict=True)
    return {
        unicodedata.normalize("NFC", str(name)): str(label or "").casefold()
        for name, label in pairs
        if name is not None
    }
