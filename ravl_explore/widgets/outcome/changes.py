"""ChangesGallery: the images that a new model gets right and the old one did not, and the reverse, class by class."""

from __future__ import annotations

import threading

import ipywidgets as widgets
import numpy as np
from PIL import Image

from ravl_explore.comparison import Comparison
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.data.checked_images import checked_image
from ravl_explore.data.known_images import difference
from ravl_explore.errors import InputError
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.message import Message
from ravl_explore.widgets.basics.pictures import image_name, png
from ravl_explore.widgets.findings.crops import CropGallery

FIXED, BROKEN = "fixed", "broken"
ALL = -1  # of the classes
NOTHING = "Mitigate first: the images whose prediction changed sides are then shown here."
TITLES = {FIXED: "right now, wrong before", BROKEN: "wrong now, right before"}


class ChangeSource:
    """Whole images of a dataset with what two models said of them, for the crop gallery.

    Parameters
    ----------
    comparison : Comparison
        What two models said.
    data : ImageTextDataset
        The images that both were evaluated on.
    """

    def __init__(self, comparison: Comparison, data: ImageTextDataset) -> None:
        self._comparison, self._data = comparison, data

    def crop(self, region: int, size: int) -> bytes:
        """The whole image as PNG, at most ``size`` pixels wide and high."""
        return png(Image.fromarray(checked_image(self._data, region)), size)

    def image(self, region: int, size: int) -> tuple[bytes, tuple[float, float, float, float]]:
        """The same, with a box around all of it."""
        return self.crop(region, size), (0.0, 0.0, 1.0, 1.0)

    def describe(self, region: int) -> dict[str, object]:
        """Label, and the old and the new prediction."""
        before, after = self._comparison.before, self._comparison.after
        names, label = before.class_names, int(before.labels[region])
        old, new = (names[int(each.predictions[region])] for each in (before, after))
        return {
            "image": region,
            "name": image_name(self._data, region),
            "label": names[label],
            "prediction": f"{old} → {new}",
            "correct": int(after.predictions[region]) == label,
            "cluster": None,
            "scores": [],
            "caption": f"{names[label]}: {old} → {new}",
            "whole": True,
        }


class ChangesGallery(Closing, widgets.VBox):
    """What changed between two models, image by image: two lists, each by class with counts, on pages.

    The caption of an image says its true class, then the old and the new prediction.

    Parameters
    ----------
    comparison, data : Comparison and ImageTextDataset, optional
        What to show, and the images that both models were evaluated on; without them it is empty until :meth:`show`.

    Attributes
    ----------
    gallery : CropGallery
        The pages of thumbnails; its ``selected`` is the number of an image.
    """

    _lets_go = ("_shown",)

    def __init__(self, comparison: Comparison | None = None, data: ImageTextDataset | None = None) -> None:
        self._guard = threading.RLock()
        self._shown: tuple[Comparison, ImageTextDataset] | None = None
        self.summary = Message()
        self.which = widgets.ToggleButtons(
            options=[("Fixed", FIXED), ("Broken", BROKEN)],
            tooltips=["Images that only the new model gets right", "Images that only the old model got right"],
            style={"button_width": "auto"},
        )
        self.of_class = widgets.Dropdown(
            options=[("All classes", ALL)], description="Class", layout=widgets.Layout(width="280px")
        )
        self._head = widgets.HBox([self.which, self.of_class], layout=widgets.Layout(flex_flow="row wrap"))
        self.gallery = CropGallery(_Empty(), page_size=40, thumbnail=112)
        super().__init__([self.summary, self._head, self.gallery], layout=widgets.Layout(width="100%"))
        self.which.observe(self.summary.told(lambda _: self._list_classes()), "value")
        self.of_class.observe(self.summary.told(lambda _: self._list_images()), "value")
        self.clear()
        if comparison is not None and data is not None:
            self.show(comparison, data)

    def show(self, comparison: Comparison, data: ImageTextDataset) -> None:
        """Show the changes of one comparison; ``data`` are the images that both models were evaluated on.

        Raises
        ------
        InputError
            When the images are not those of the comparison.
        """
        before = comparison.before
        if difference(data, len(before.labels), before.identity, labels=before.labels) is not None:
            raise InputError(
                f"the {len(comparison.before.labels)} images of the comparison",
                f"{len(data)} of {data.name!r}, or other labels",
                "Give the dataset that was evaluated.",
            )
        n_fixed, n_broken = len(comparison.fixed), len(comparison.broken)
        self._hide(n_fixed + n_broken == 0)
        with self._guard:
            self._shown = (comparison, data)
            self.gallery.source = ChangeSource(comparison, data)
            self.summary.say(
                f"Of {len(data):,} images of {data.name}, the new model gets {n_fixed:,} right that the old one "
                f"got wrong, and {n_broken:,} wrong that the old one got right.",
                "fact",
            )
            picked = self.which.value
            self.which.options = [(f"Fixed ({n_fixed:,})", FIXED), (f"Broken ({n_broken:,})", BROKEN)]
            counts = {FIXED: n_fixed, BROKEN: n_broken}
            self.which.value = picked if counts.get(str(picked)) else max(counts, key=lambda each: counts[each])
            self._list_classes()

    def clear(self) -> None:
        """Show nothing."""
        with self._guard:
            self._shown = None
            self.gallery.source = _Empty()
        self.summary.say(NOTHING)
        self._hide(True)

    def _hide(self, hidden: bool) -> None:
        for each in (self._head, self.gallery):
            each.layout.display = "none" if hidden else None

    def _list_classes(self) -> None:
        with self._guard:
            if self._shown is None:
                return
            table, which = self._shown[0].changes(), str(self.which.value)
            counts = [
                (name, int(n), at) for at, (name, n) in enumerate(zip(table["class_name"], table[which], strict=True))
            ]
            total = sum(n for _, n, _ in counts)
            listed = sorted((each for each in counts if each[1]), key=lambda each: -each[1])
            picked = self.of_class.value
            options = [(f"All classes ({total:,})", ALL), *((f"{name} ({n:,})", at) for name, n, at in listed)]
            self.of_class.options = options
            self.of_class.value = picked if picked in [value for _, value in options] else ALL
            self._list_images()

    def _list_images(self) -> None:
        with self._guard:
            if self._shown is None:
                return
            comparison, which = self._shown[0], str(self.which.value)
            images: np.ndarray = getattr(comparison, which)
            labels = comparison.before.labels[images]
            if self.of_class.value in (ALL, None):
                images = images[np.argsort(labels, kind="stable")]
            else:
                images = images[labels == self.of_class.value]
            self.gallery.show(images, TITLES[which])
            self.gallery.layout.display = None if len(images) else "none"  # the counts say that there is nothing


class _Empty:
    """A source that nobody asks."""

    def crop(self, region: int, size: int) -> bytes:
        raise InputError("an image to show", "none", NOTHING)

    def image(self, region: int, size: int) -> tuple[bytes, tuple[float, float, float, float]]:
        raise InputError("an image to show", "none", NOTHING)

    def describe(self, region: int) -> dict[str, object]:
        raise InputError("an image to show", "none", NOTHING)
