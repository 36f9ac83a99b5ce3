"""read_cells(): the labels that the cells of a column hold: none, one or several, however they were written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ravl_explore.data.cells import EMPTY, MISSING, as_texts, is_number, plain
from ravl_explore.errors import DataError

QUOTED = re.compile("'([^']*)'|\"([^\"]*)\"")
BAR = "|"  # separates labels wherever it stands: NIH's "Effusion|Mass"
SEPARATORS = (";", ",")  # do so only between labels that are known as such


@dataclass(frozen=True)
class Cells:
    """The labels that cells hold.

    Attributes
    ----------
    labels : list of tuple of str
        Of each row, in the order of the cell; () for none.
    missing : Counter of str
        Words that were taken for no label, as they are written -> rows.
    """

    labels: list[tuple[str, ...]]
    missing: Counter[str]

    @property
    def said_missing(self) -> str:
        """For a message on rows of which none has a label: which words counted as missing; mostly empty."""
        return "".join(f"; {word!r} in {n:,} counts as missing" for word, n in self.missing.most_common(3))

    @property
    def notes(self) -> list[str]:
        """Which words counted as missing, and how to keep them."""
        if not self.missing:
            return []
        said = ", ".join(f"{word!r} ({count:,})" for word, count in self.missing.most_common(5))
        return [f"Labels written {said} counted as missing; name one in class_names to keep it as a class."]


def read_cells(values: Sequence[object], known: Collection[str] = ()) -> Cells:
    """The labels in each cell of a column.

    Several labels stand in a list, also in one that was written as text, or in a text between bars. Semicolons and
    commas separate them where all parts are labels by themselves in other cells, or stand in another order there.
    A cell that is in ``known`` is one label, whatever it holds.

    Parameters
    ----------
    values : sequence of object
        Cells, whose words for what is missing, such as "NA", are still there.
    known : collection of str
        Classes that are known beforehand.

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
    parts: list[list[object]] = []
    for row, value in enumerate(values):
        if isinstance(value, str) and value.casefold() in MISSING - EMPTY and value not in names:
            missing[value] += 1
            value = None
        parts.append(_parts(value, names, row))
    texts = iter(as_texts([part for row in parts for part in row]))
    labels = [tuple(str(next(texts)) for _ in row) for row in parts]
    return Cells([_distinct(row) for row in _between_separators(labels, names)], missing)


def _parts(value: object, names: Collection[str], row: int) -> list[object]:
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
