"""classes_of(), labelled(): which categories of a COCO file are classes, and which of its images are of one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ravl_explore.data.coco_file import Drawn, Id, covered_area
from ravl_explore.data.columns import listed, names_from
from ravl_explore.errors import DataError


def classes_of(
    classes: Sequence[str] | None, feature: str | None, categories: Mapping[Id, str], annotated: set[Id]
) -> tuple[tuple[str, ...], list[str]]:
    """The classes, those asked for or all that are annotated; and categories that are no classes for want of these.

    Parameters
    ----------
    classes : sequence of str or None
        Those asked for, in order.
    feature : str or None
        A category that may be spurious, which must be there, too.
    categories : mapping, Id -> str
        All of the file, by name.
    annotated : set of Id
        Categories with an annotation.

    Raises
    ------
    DataError
        For a name of no category or of two, and when fewer than two categories are annotated.
    """
    given = names_from(classes)
    unseen = [] if given else [name for key, name in categories.items() if key not in annotated]
    names = given or tuple(name for key, name in categories.items() if key in annotated)
    _check_known([*names, *([feature] if feature else [])], categories, annotated)
    if len(names) < 2 and unseen:
        came = f"{listed(names) or 'none'}; without any annotation: {listed(unseen)}"
        raise DataError("at least two annotated categories", came, "Name those to compare with classes=[...].")
    return names, unseen


class Labelled(NamedTuple):
    """The images that are of one class.

    Attributes
    ----------
    images : list of Id
    labels : list of int
        The class of each image.
    n_none : int
        Images without a box of any class, which were left out.
    n_several : int
        Images with several of the classes, which were left out.
    n_largest : int
        Images with several of the classes, of which the one that covers most counts.
    """

    images: list[Id]
    labels: list[int]
    n_none: int
    n_several: int
    n_largest: int

    @property
    def notes(self) -> list[str]:
        """What was left out, and what was decided, as sentences."""
        return [
            *([f"{self.n_none} images with none of the classes were left out."] if self.n_none else []),
            *([f"{self.n_several} images with several of the classes were left out."] if self.n_several else []),
            *([f"{self.n_largest} images with several of the classes took the largest."] if self.n_largest else []),
        ]


def labelled(images: list[Id], drawn: Drawn, label_of: Mapping[Id, int], multiple: str) -> Labelled:
    """The images with a box of one of the classes; of several, with ``multiple="largest"``, what covers most counts.

    Parameters
    ----------
    images : list of Id
        All of the file, in order.
    drawn : Drawn
        What is annotated in them.
    label_of : mapping, Id -> int
        The class of each category that is one.
    multiple : {"drop", "largest"}
    """
    kept: list[Id] = []
    labels: list[int] = []
    n_none = n_several = n_largest = 0
    for key in images:
        covered = covered_area(drawn.boxes.get(key, []), label_of)
        found = covered.keys() | drawn.crowds.get(key, set())
        if not covered:
            n_none += 1
        elif len(found) > 1 and multiple == "drop":
            n_several += 1
        else:
            n_largest += len(found) > 1
            kept.append(key)
            labels.append(max(sorted(covered), key=lambda label: covered[label]))
    return Labelled(kept, labels, n_none, n_several, n_largest)


def _check_known(names: Sequence[str], categories: Mapping[Id, str], annotated: set[Id]) -> None:
    """Each name must be that of one category; of two with one name, one may be without annotations."""
    unknown = [name for name in names if name not in categories.values()]
    if unknown:
        there = ", ".join(map(repr, categories.values()))
        raise DataError(f"categories among {there}", f"also {listed(unknown)}", "Write them as the file does.")
    for name in names:
        ids = [key for key, each in categories.items() if each == name and key in annotated]
        if len(ids) > 1:
            raise DataError(
                "one category of each name",
                f"{name!r} with the ids {', '.join(map(repr, ids))}",
                "Rename one of them in the file, or give their annotations one id.",
            )
