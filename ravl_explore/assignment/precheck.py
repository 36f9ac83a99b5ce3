"""check_features(): what speaks against suppressing what was chosen, asked of the fine-tuning data beforehand."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from ravl_explore.assignment.assignment import Labels, assign
from ravl_explore.assignment.core_regions import core_regions
from ravl_explore.assignment.features import Feature
from ravl_explore.embedding.embeddings import Embeddings

MIN_IMAGES = 5  # with the feature, for a class to be spoken of
IS_THE_CLASS = 0.4  # of images: on the demos garments reach this, but for one cluster; squares reach 0.3
NEARLY_ALL = 0.95
WHOLE_IMAGES = 0.1  # of those with the feature; on the demos no shortcut covers any
NO_CLASS = "(no class)"


@dataclass(frozen=True, eq=False)
class Precheck:
    """What was found; nothing here stops anybody.

    Attributes
    ----------
    warnings : tuple of str
        Sentences, the most serious first; none where nothing looks wrong.
    groups : pd.DataFrame
        One row a class and presence of the feature: class_name, present, n; empty groups too, and images without a
        class where there are any.
    classes : pd.DataFrame
        One row a class: class_name, n_with (images with the feature), core (share of those, 0 to 1, in which the region
        that shows the class, of all regions, shows the feature; NaN without such images).
    """

    warnings: tuple[str, ...]
    groups: pd.DataFrame = field(repr=False)
    classes: pd.DataFrame = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether there is nothing to warn of."""
        return not self.warnings

    @property
    def empty(self) -> tuple[str, ...]:
        """Groups without an image, such as ``shirt, without``."""
        rows = self.groups[self.groups["n"] == 0]
        return tuple(
            f"{name}, {'with' if present else 'without'}"
            for name, present in zip(rows["class_name"], rows["present"], strict=True)
        )


def check_features(embeddings: Embeddings, feature: Feature, *, labels: Labels | None = None) -> Precheck:
    """Look for signs that the feature is no shortcut, but what the classes look like, or cannot be told from it.

    Parameters
    ----------
    embeddings : Embeddings
        Of the fine-tuning data, by the searched model.
    feature : Feature
        What shall be suppressed.
    labels : Int[np.ndarray, " n_images"] or None
        Stand in for those of the data, -1 where no class is known.

    Raises
    ------
    InputError
        When no feature is given, or the labels are not of these images.
    """
    assignment = assign(embeddings, feature, labels=labels)
    labels = embeddings.labels if assignment.labels is None else assignment.labels
    spurious, present = assignment.spurious, assignment.present
    names, known = embeddings.class_names, labels >= 0
    image_index = embeddings.regions.image_index
    has_region = np.bincount(image_index, minlength=len(labels)) > 0
    bare = np.bincount(image_index[~spurious], minlength=len(labels)) == 0
    core = _shows_the_class(embeddings, labels, spurious, feature.looks(embeddings.region).kind)

    groups = _groups(labels, present, names)
    n_with = np.bincount(labels[known & present], minlength=len(names))
    share = np.bincount(labels[known & present & core], minlength=len(names)) / np.where(n_with > 0, n_with, np.nan)
    classes = pd.DataFrame({"class_name": names, "n_with": n_with, "core": share})
    what = feature.short_name
    warnings = [
        *_takes_the_class(names, n_with, share, assignment.attribute, what),
        *_one_class_only(names, n_with, what),
        *_everywhere(present, bare & has_region, what),
        *_looks_alike(feature.look_alikes(embeddings.region)),
        *_empty_groups(Precheck((), groups, classes).empty, what),
    ]
    return Precheck(tuple(warnings), groups, classes)


def _shows_the_class(
    embeddings: Embeddings,
    labels: Int[np.ndarray, " n_images"],
    spurious: Bool[np.ndarray, " n_regions"],
    cluster: Int[np.ndarray, " n_regions"],
) -> Bool[np.ndarray, " n_images"]:
    """Whether the region that shows an image's class, chosen among all, is a spurious one."""
    image_index = embeddings.regions.image_index
    label = labels[image_index]
    own = np.einsum("nd,nd->n", embeddings.region, embeddings.text[label])  # of label -1 any, which is not used
    shows = np.zeros(len(labels), bool)
    shows[image_index[core_regions(own, label >= 0, image_index, cluster, label) & spurious]] = True
    return shows


def _groups(
    labels: Int[np.ndarray, " n_images"], present: Bool[np.ndarray, " n_images"], names: tuple[str, ...]
) -> pd.DataFrame:
    counts = np.bincount((labels + 1) * 2 + present, minlength=2 * len(names) + 2)
    rows = [(name, bool(there), int(counts[2 * y + there + 2])) for y, name in enumerate(names) for there in (0, 1)]
    if counts[:2].any():
        rows += [(NO_CLASS, bool(there), int(counts[there])) for there in (0, 1)]
    return pd.DataFrame(rows, columns=["class_name", "present", "n"])


def _takes_the_class(
    names: tuple[str, ...],
    n_with: Int[np.ndarray, " n_classes"],
    share: Float[np.ndarray, " n_classes"],
    attribute: str | None,
    what: str,
) -> list[str]:
    """A shortcut may look most like the class it pulls towards; for other classes it should be beside the point."""
    others = (np.array(names) != attribute) & (n_with > 0)
    n = int(n_with[others].sum())
    if n < MIN_IMAGES:
        return []
    overall = float((share * n_with)[others].sum()) / n
    if overall < IS_THE_CLASS:
        return []
    large = others & (n_with >= MIN_IMAGES)
    worst = int(np.where(large if large.any() else others, share, -1).argmax())
    of = f"classes other than {attribute}" if attribute is not None else "all classes"
    return [
        f"In {overall:.0%} of the {n} images of {of} with {what}, the region that shows the image's own "
        f"class is in it ({names[worst]}: {share[worst]:.0%}). It may be what those classes look like: suppressing it "
        "takes them away."
    ]


def _one_class_only(names: tuple[str, ...], n_with: Int[np.ndarray, " n_classes"], what: str) -> list[str]:
    n, most = int(n_with.sum()), int(n_with.argmax())
    if n == 0 or n_with[most] < NEARLY_ALL * n:
        return []
    return [
        f"{n_with[most] / n:.0%} of the {n} images with {what} are of the class {names[most]}: the data cannot tell a "
        "shortcut from what the class looks like. Look at the crops."
    ]


def _everywhere(present: Bool[np.ndarray, " n_images"], bare: Bool[np.ndarray, " n_images"], what: str) -> list[str]:
    said = []
    if present.all() or not present.any():
        said.append(f"{'Every' if present.any() else 'No'} image has {what}: there is nothing to compare with.")
    elif present.mean() >= NEARLY_ALL:
        said.append(f"{present.mean():.0%} of the images have {what}: it is more likely background than a shortcut.")
    if bare.sum() >= WHOLE_IMAGES * max(present.sum(), 1):
        said.append(
            f"In {bare.sum()} of {present.sum()} images with {what} every region shows it: nothing of them is left to "
            "learn from."
        )
    return said


def _looks_alike(alike: tuple[int, ...]) -> list[str]:
    """Clusters that were not chosen and look much like what was."""
    if not alike:
        return []
    numbers = ", ".join(map(str, alike))
    one = len(alike) == 1
    return [
        f"Cluster{'' if one else 's'} {numbers} look{'s' if one else ''} much like what you chose and "
        f"{'is' if one else 'are'} left as {'it is' if one else 'they are'}. If {'it shows' if one else 'they show'} "
        f"the same feature, choose {'it' if one else 'them'} too."
    ]


def _empty_groups(empty: tuple[str, ...], what: str) -> list[str]:
    if not empty:
        return []
    return [
        f"No image is in {len(empty)} of the groups (class; with or without {what}): {'; '.join(empty)}. "
        "Objectives that balance groups cannot draw from them."
    ]
