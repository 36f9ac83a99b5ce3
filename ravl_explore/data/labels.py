"""one_class_each(): from the labels of each image to one class, where they are indices or several, too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ravl_explore.data.cells import LONGEST, as_texts, in_order, is_number
from ravl_explore.data.columns import listed, names_from
from ravl_explore.data.label_cells import Cells
from ravl_explore.errors import DataError, InputError

Multiple = Literal["refuse", "drop"]
MULTIPLE: tuple[Multiple, ...] = get_args(Multiple)


def _row(place: int) -> str:
    return f"in row {place + 1}"


@dataclass(frozen=True)
class Classes:
    """The one class of each image that has one.

    Attributes
    ----------
    names : tuple of str
        The classes.
    labels : list of int
        Index into ``names`` of each image in ``kept``.
    kept : list of int
        Places of the images that have a class, rising.
    notes : list of str
        What was left out, and what was decided, as sentences.
    """

    names: tuple[str, ...]
    labels: list[int]
    kept: list[int]
    notes: list[str]


def one_class_each(
    labels: Sequence[Sequence[str]],
    class_names: Sequence[str] | str | None,
    multiple: Multiple,
    positive: str | None,
    where: Callable[[int], str],
) -> Classes:
    """The class of each image, of which each has one label or several.

    Without ``class_names`` (a list, or a text with commas), the labels that occur, sorted, numbers as numbers; with
    them, labels are names among them, or indices into them, where -1 says that there is none.

    Parameters
    ----------
    labels : sequence of sequence of str
        Of each image, at least one.
    class_names : sequence of str, or str, or None
        See above.
    multiple : {"refuse", "drop"}
        Whether images with several labels are an error or left out; with ``positive``, they stay unless left out.
    positive : str or None
        A label; the classes are then this one, and all images without it, called so or by two ``class_names``.
    where : callable, int -> str
        What to call an image in messages, by its place.

    Raises
    ------
    DataError
        For several labels, those that are not among the names (it lists both), and a ``positive`` that no image has.
    InputError
        For ``positive`` with other than two ``class_names``, and another ``multiple``.
    """
    if not isinstance(multiple, str) or multiple not in MULTIPLE:
        raise InputError(f"multiple among {MULTIPLE}", repr(multiple), "'drop' leaves out images with several labels.")
    names = names_from(class_names)
    if positive and names is not None and len(names) != 2:
        came = f"{len(names)}: {listed(names)}"
        raise InputError("two class_names beside positive", came, "Name that label's class, then that of all others.")
    _check_no_vectors(labels)
    several = [place for place, row in enumerate(labels) if len(row) > 1]
    if several and multiple == "refuse" and not positive:
        raise _refused(labels, several, where)
    dropped = set(several) if multiple == "drop" else set()
    kept = [place for place in range(len(labels)) if place not in dropped]
    notes = [f"{len(dropped):,} images with several labels were left out."] if dropped else []
    if not kept:
        raise DataError(
            "images with one label", f"several for each of {len(labels):,}", "Ask for one of them with positive=..."
        )
    if positive:
        return _one_against_all(labels, kept, positive.strip(), names, notes)
    names, places, usable = places_of([labels[place][0] for place in kept], class_names, lambda row: where(kept[row]))
    if len(usable) < len(kept):
        notes.append(f"{len(kept) - len(usable):,} images with the label -1, which is no index, were left out.")
    used = set(places)
    unused = [name for place, name in enumerate(names) if place not in used]
    if unused:
        notes.append(f"No image is of the classes {listed(unused)}; predictions may be.")
    return Classes(names, places, [kept[row] for row in usable], notes)


def require_two(names: Sequence[str], cells: Cells, notes: Sequence[str]) -> None:
    """Raise DataError, with what was left out, when one class alone is left.

    Parameters
    ----------
    names : sequence of str
        The classes.
    cells : Cells
        What they were read from.
    notes : sequence of str
        What was left out since, as sentences.
    """
    if len(names) != 1:
        return
    told = [
        *(f"{count:,} cells with {word!r} counted as missing" for word, count in cells.missing.most_common(3)),
        *(note.rstrip(".") for note in notes),
    ]
    remedy = "Check which column is read; classes without an image can be given with class_names."
    if cells.missing:
        word = cells.missing.most_common(1)[0][0]
        remedy = f"To keep {word!r} as a class, give class_names={[word, *names]}; else check which column is read."
    raise DataError("at least two classes", "; ".join([f"{names[0]!r} alone", *told]), remedy)


def _check_no_vectors(labels: Sequence[Sequence[str]]) -> None:
    """Lists of zeros and ones, as long in every cell, say of each class whether it holds, and are no labels."""
    lengths = {len(row) for row in labels}
    if len(lengths) == 1 and lengths != {1} and {label for row in labels for label in row} <= {"0", "1"}:
        raise DataError(
            "labels by name",
            f"a list of {lengths.pop()} zeros and ones in each cell, one for each class",
            "Write the names of the classes that hold into the cells, as in Effusion|Mass, or pick another column.",
        )


def _refused(labels: Sequence[Sequence[str]], several: list[int], where: Callable[[int], str]) -> DataError:
    first = labels[several[0]]
    common = Counter(label for place in several for label in labels[place]).most_common(1)[0][0]
    return DataError(
        "one label for each image",
        f"several for {len(several):,} of {len(labels):,}, such as {listed(first)} {where(several[0])}",
        f"Leave these images out with multiple='drop', or ask for one label against all others, as with "
        f"positive={common!r}; or name the whole cell in class_names where it is one class.",
    )


def _one_against_all(
    labels: Sequence[Sequence[str]], kept: list[int], positive: str, names: tuple[str, ...] | None, notes: list[str]
) -> Classes:
    occurring = in_order([label for place in kept for label in labels[place]])
    if all(map(is_number, occurring)):
        positive = str(as_texts([positive])[0])
    places = [0 if positive in labels[place] else 1 for place in kept]
    if 0 not in places:
        came = f"the labels {listed(occurring)}"
        raise DataError(f"images with the label {positive!r}", came, "Write it as the column does.")
    beside = sum(positive in labels[place] and len(labels[place]) > 1 for place in kept)
    told = [f"{beside:,} images count as {positive!r} that have other labels, too."] if beside else []
    if is_number(positive) and names is None:
        told.append(f"The label {positive!r} is a number; give two class_names, for it and for all others.")
    return Classes(names or (positive, f"no {positive}"), places, kept, [*notes, *told])


def places_of(
    texts: Sequence[str], class_names: Sequence[str] | str | None, where: Callable[[int], str] = _row
) -> tuple[tuple[str, ...], list[int], list[int]]:
    """Class names, the place among them of each text that has one, and which texts these are.

    Parameters
    ----------
    texts : sequence of str
        One label each.
    class_names : sequence of str, or str, or None
        As of :func:`one_class_each`.
    where : callable, int -> str
        What to call a text in messages, by its place.

    Raises
    ------
    DataError
        For labels that are not among the names; it lists both.
    """
    occurring = in_order(texts)
    names = names_from(class_names) or tuple(occurring)
    by_value = all(map(is_number, occurring)) and not set(names).issuperset(occurring)
    spelled = as_texts(names) if by_value else names
    place = {str(name): label for label, name in enumerate(spelled)}
    if place.keys().isdisjoint(occurring) and (indices := _indices(occurring, len(names))):
        place = indices
    elif unknown := [text for text in occurring if text not in place]:
        row = next(row for row, text in enumerate(texts) if text not in place)
        raise DataError(
            f"labels among the class names {listed(names)}",
            f"also {listed(unknown)}, the first {where(row)}, of the labels {listed(occurring)}",
            "Add the missing names, mend the labels, or leave class_names out.",
        )
    usable = [row for row, text in enumerate(texts) if text in place]
    return names, [place[texts[row]] for row in usable], usable


def _indices(occurring: list[str], n_names: int) -> dict[str, int]:
    """Text -> index, where all are indices, or false and true; -1, for what is uncertain, is none if all others are.

    >>> _indices(["00", "02"], 3), _indices(["1", "01"], 3), _indices(["-1", "0", "1"], 2)
    ({'00': 0, '02': 2}, {}, {'0': 0, '1': 1})
    """
    if n_names == 2 and {text.casefold() for text in occurring} <= {"false", "true"}:
        return {text: int(text.casefold() == "true") for text in occurring}
    counted = {text: int(text) for text in occurring if text.isascii() and text.isdecimal() and len(text) < LONGEST}
    if len(set(counted.values())) < len(counted):  # 1 and 01
        return {}
    place = {text: index for text, index in counted.items() if index < n_names}
    rest = set(occurring) - place.keys()
    return place if not rest or (rest == {"-1"} and len(place) == n_names) else {}
