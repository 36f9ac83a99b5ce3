"""The embedded demo data: FashionMNIST garments in quadrants, beside a red square or not (the paper's setting).

56 x 56 pixels, four 28 x 28 quadrants: one garment, a pure red square in another quadrant of some images, the rest
black. In ``train`` the square is strongly correlated with one class; in ``val`` and ``test`` every class has it in
half of the images. Garments are FashionMNIST's (MIT licence, Copyright (c) 2017 Zalando SE).
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
from jaxtyping import Int, UInt8

from ravl_explore.data.arrays import ArrayDataset
from ravl_explore.errors import DataError
from ravl_explore.regions.base import Regions
from ravl_explore.regions.grid import Grid
from ravl_explore.support.fingerprints import digest

CLASS_NAMES = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
TEMPLATES = ("a photo of a {}", "the {}", "an image of a {}", "{}")  # paper, Appendix B
CAPTIONS = (
    "the image shows a {}",
    "the garment appears to be a {}",
    "there is an image showing a {}",
    "the item is a {}",
)
SPLITS = ("train", "val", "test")
SIDE = 28
RED = (255, 0, 0)


def compose(
    garments: UInt8[np.ndarray, "n 28 28"], quadrant: Int[np.ndarray, " n"], square: Int[np.ndarray, " n"]
) -> UInt8[np.ndarray, "n 56 56 3"]:
    """Lay each garment, and the square where ``square`` >= 0, into quadrants 0..3: top left, top right, bottom ...

    Parameters
    ----------
    garments : UInt8[np.ndarray, "n 28 28"]
        In grey.
    quadrant : Int[np.ndarray, " n"]
        Where the garment lies.
    square : Int[np.ndarray, " n"]
        Where the red square lies, -1 for none.
    """
    images = np.zeros((len(garments), 2 * SIDE, 2 * SIDE, 3), np.uint8)
    for corner in range(4):
        y, x = SIDE * (corner // 2), SIDE * (corner % 2)
        here = quadrant == corner
        images[here, y : y + SIDE, x : x + SIDE] = garments[here, :, :, None]
        images[square == corner, y : y + SIDE, x : x + SIDE] = RED
    return images


class Demo(ArrayDataset):
    """One split of the demo: ``train`` (fine-tuning), ``val`` (discovery) or ``test`` (evaluation).

    Examples
    --------
    >>> data = Demo("val")
    >>> data.class_names[6], data.image(0).shape
    ('shirt', (56, 56, 3))
    """

    def __init__(self, split: str = "val") -> None:
        if not isinstance(split, str) or split not in SPLITS:
            raise DataError(f"one of the demo's splits {SPLITS}", repr(split), "Try Demo('val').")
        with files("ravl_explore").joinpath("assets", "demo", f"{split}.npz").open("rb") as file:
            stored = np.load(file, allow_pickle=False)
            garments, labels = stored["garments"], stored["labels"].astype(np.int64)
            quadrant, square = stored["quadrant"].astype(np.int64), stored["square"].astype(np.int64)
            caption = stored["caption"].astype(np.int64)
        corners = np.arange(4)[None]
        super().__init__(
            compose(garments, quadrant, square),
            labels,
            CLASS_NAMES,
            name=f"Demo: garments, {split}",
            templates=TEMPLATES,
            captions=[CAPTIONS[c].format(CLASS_NAMES[y]) for c, y in zip(caption, labels, strict=True)],
            feature_name="red square",
            feature_present=square >= 0,
            region_labels=np.where(corners == quadrant[:, None], labels[:, None], -1).ravel(),
            region_feature=(corners == square[:, None]).ravel(),
        )
        self.split = split
        self.regions: Regions | None = Grid(2, 2)(self)

    def fingerprint(self) -> str:
        """Of the file that ships, which is quicker than of the pixels that it lays out."""
        if self._fingerprint is None:
            stored = files("ravl_explore").joinpath("assets", "demo", f"{self.split}.npz").read_bytes()
            self._fingerprint = digest(["demo", self.split, stored])
        return self._fingerprint

    @classmethod
    def menu(cls) -> dict[str, tuple[str]]:
        """Menu label -> constructor arguments."""
        return {f"Demo: garments, {split}": (split,) for split in ("val", "test", "train")}
