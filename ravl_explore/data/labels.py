"""From the cells of a column of labels to one class for each image: what is missing, a number, or several labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ravl_explore.data.cells import EMPTY, LONGEST, MISSING, as_texts, in_order, is_number, plain
from ravl_explore.data.columns import listed, names_from
from ravl_explore.errors import DataError, InputError

Multiple = Literal["refuse", "drop"]
MULTIPLE: tuple[Multiple, ...] = get_args(Multiple)
QUOTED = re.compile("'([^']*)'|\"([^\"]*)\"")
BAR = "|"  # separates labels wherever it stands: NIH's "Effusion|Mass"
SEPARATORS = (";", ",")  # do so only between labels that are known as such


def _row(place: int) -> str:
    return f"in row {place + 1}"


@dataclass(frozen=True)
class Cells:
    """The labels that cells hold.

    Attributes
    ----------
    labels : of each row, in the order of the cell; () for none
    missing : words that were taken for no label, as they are written -> rows
    """

    labels: list[tuple[str, ...]]
    missing: Counter[str]

    @property
    def notes(self) -> list[str]:
        """Which words counted as missing, and how to keep them."""
        if not self.missing:
            return []
        said = ", ".join(f"{word!r} ({count:,})" for word, count in self.missing.most_common(5))
        return [f"Labels written {said} counted as missing; name one in class_names to keep it as a class."]


@dataclass(frozen=True)
class Classes:
    """The one class of each image that has one.

    Attributes
    ----------
    names : the classes
    labels : index into ``names`` of each image in ``kept``
    kept : places of the images that have a class, rising
    notes : what was left out, and what was decided, as sentences
    """

    names: tuple[str, ...]
    labels: list[int]
    kept: list[int]
    notes: list[str]


def read_cells(values: Sequence[Any], known: Collection[str] = ()) -> Cells:
    """The labels in each cell of a column.

    Several labels stand in a list, also in one that was written as text, or in a text between bars. Semicolons and
    commas separate them where all parts are labels by themselves in other cells, or stand in another order there.
    A cell that is in ``known`` is one label, whatever it holds.

    Parameters
    ----------
    values : cells, whose words for what is missing, such as "NA", are still there
    known : classes that are known beforehand

    Raises
    ------
    DataError
        For cells that are neither text, nor numbers, nor lists of these.

    Examples
    --------
    >>> read_cells(["Mass", "Mass|Effusion", ["Mass"], "['Mass', 'Effusion']", "NA", "0.5"]).labels
    [('Mass',), ('Mass', 'Effusion'), ('Mass',), ('Mass', 'Effusion'), (), ('0.5',)]
    """
    names = frozenset(known)
    missing: Counter[str] = Counter()
    parts: list[list[Any]] = []
    for row, value in enumerate(values):
        if isinstance(value, str) and value.casefold() in MISSING - EMPTY and value not in names:
            missing[value] += 1
            value = None
        parts.append(_parts(value, names, row))
    texts = iter(as_texts([part for row in parts for part in row]))
    labels = [tuple(str(next(texts)) for _ in row) for row in parts]
    return Cells([_distinct(row) for row in _between_separators(labels, names)], missing)


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
    labels : of each image, at least one
    class_names : see above
    multiple : whether images with several labels are an error or left out; with ``positive``, they stay unless left out
    positive : a label; the classes are then this one, and all images without it, called so or by two ``class_names``
    where : place of an image -> what to call it in messages

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
    """Raise DataError, with what was left out, when one class alone is left."""
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


def _parts(value: Any, names: Collection[str], row: int) -> list[Any]:
    """The labels of one cell as they stand there, without what is empty."""
    if isinstance(value, str) and value not in names:
        if value.startswith("[") and value.endswith("]"):
            value = _written_list(value[1:-1])
        elif BAR in value:
            value = value.split(BAR)
    parts = [plain(each, EMPTY) for each in (value if isinstance(value, (list, tuple)) else [value])]
    for part in parts:
        if isinstance(part, (dict, list, tuple)):
            kind = "a record" if isinstance(part, dict) else "a list in a list"
            raise DataError(
                "labels that are texts, numbers, or lists of them",
                f"{kind} in row {row + 1}: {str(part)[:80]}",
                "Write the class of each image into a column of its own.",
            )
    return [part for part in parts if part is not None]


def _written_list(inside: str) -> list[str]:
    """What stood in a list that was written as text, by pandas or NumPy.

    >>> _written_list("'Mass' 'no finding'"), _written_list("0 1"), _written_list("pleural effusion")
    (['Mass', 'no finding'], ['0', '1'], ['pleural effusion'])
    """
    quoted = ["".join(found) for found in QUOTED.findall(inside)]
    if quoted:
        return quoted
    numbers = inside.split()
    return numbers if all(map(is_number, numbers)) else inside.split(",")


def _distinct(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Each label once; numbers as they are, since [0, 0, 1] may say yes or no of three classes."""
    return labels if all(map(is_number, labels)) else tuple(dict.fromkeys(labels))


def _between_separators(labels: list[tuple[str, ...]], names: Collection[str]) -> list[tuple[str, ...]]:
    """Take cells with semicolons or commas apart whose parts are labels by themselves elsewhere."""
    whole = {row[0] for row in labels if len(row) == 1} - set(names)
    for separator in SEPARATORS:
        split = {text: _split(text, separator) for text in whole if separator in text}
        orders = Counter(frozenset(parts) for parts in split.values())
        alone = {part for row in labels for part in row if part not in split}
        alone |= {part for parts in split.values() if orders[frozenset(parts)] > 1 for part in parts}
        several = {text: parts for text, parts in split.items() if len(parts) > 1 and alone.issuperset(parts)}
        labels = [several.get(row[0], row) if len(row) == 1 else row for row in labels]
    return labels


def _split(text: str, separator: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(separator) if part.strip()))


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
    texts : one label each
    class_names : as of :func:`one_class_each`
    where : place of a text -> what to call it in messages

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
