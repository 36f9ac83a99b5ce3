"""Tables of text: CSV, TSV and Parquet -> columns as lists of text, with the names that columns usually have."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ravl_explore.errors import DataError, MissingDependencyError
from ravl_explore.files import user_path

TEXT_TABLES = frozenset({".csv", ".tsv", ".txt"})
PARQUET = frozenset({".parquet", ".pq"})
MISSING = frozenset({"", "nan", "na", "n/a", "<na>"})  # "none" is not among them: "no finding" is a class
SHOWN = 10  # names in a message
NONE = "(none)"  # the column that is not read
USUAL_NAMES = {
    "image": (
        "image", "imagepath", "path", "file", "filename", "filepath", "imagefile", "imagename", "img", "imgpath",
        "imgname", "imagefilename",
    ),
    "label": ("label", "class", "classname", "labelname", "target", "category", "y", "diagnosis", "finding", "species"),
    "caption": ("caption", "text", "report", "description", "sentence"),
    "boxes": ("boxes", "bboxes", "bbox", "box", "regions"),
}  # fmt: skip


def is_table(path: str | Path) -> bool:
    """Whether the ending is that of a table."""
    return Path(path).suffix.lower() in TEXT_TABLES | PARQUET


def column_names(path: str | Path) -> list[str]:
    """Names of a table's columns, in order. Raises DataError when it is not there or no table."""
    file = _existing(path)
    if file.suffix.lower() in PARQUET:
        return _parquet(file, None).schema.names
    with _explaining(file), _open(file) as lines:
        return _header(file, lines)[0]


def read_columns(path: str | Path, wanted: Sequence[str]) -> dict[str, list[Any]]:
    """Columns by name: texts from CSV and TSV, from Parquet whatever they hold; None for what is missing.

    Raises
    ------
    DataError
        For columns that are not there (those there are, are listed), lines with too few or too many cells, and files
        that are no table.
    """
    file = _existing(path)
    if file.suffix.lower() in PARQUET:
        check_columns(file, column_names(file), wanted)
        table = _parquet(file, list(dict.fromkeys(wanted)))
        return {name: [plain(value) for value in table.column(name).to_pylist()] for name in table.column_names}
    with _explaining(file), _open(file) as lines:
        names, separator = _header(file, lines)
        check_columns(file, names, wanted)
        places = {name: names.index(name) for name in wanted}
        columns: dict[str, list[Any]] = {name: [] for name in places}
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
        for cells in reader:
            if not cells:  # an empty line
                continue
            if len(cells) != len(names):
                raise DataError(
                    f"{len(names)} cells in each line of {str(file)!r}",
                    f"{len(cells)} in line {reader.line_num + 1}",
                    'Put cells that hold a separator in quotes: "a, b".',
                )
            for name, place in places.items():
                columns[name].append(plain(cells[place]))
    return columns


def check_columns(path: str | Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise DataError, with the columns that there are, when one is missing."""
    missing = [name for name in wanted if name not in names]
    if missing:
        raise DataError(
            f"the column {missing[0]!r} in {str(path)!r}",
            f"the columns {', '.join(map(repr, names)) or 'none'}",
            "Name one of those.",
        )


def guess(names: Sequence[str], role: str) -> str | None:
    """The column that by its name holds the image, label, caption or boxes.

    Examples
    --------
    >>> guess(["ID", "Image Path", "Class_Name"], "image"), guess(["ID"], "label")
    ('Image Path', None)
    """
    plain_names = {"".join(c for c in name.casefold() if c.isalnum()): name for name in reversed(names)}
    return next((plain_names[usual] for usual in USUAL_NAMES[role] if usual in plain_names), None)


def choose(role: str, names_of: Callable[[Mapping[str, Any]], Sequence[str]], *, optional: bool = False) -> Any:
    """Choices of a form: the columns, the likely one first; where ``optional``, NONE too, so that it can be picked."""

    def choices(answers: Mapping[str, Any]) -> list[str]:
        names = list(names_of(answers))
        likely = guess(names, role) if role in USUAL_NAMES else None
        first = [NONE] if optional and likely is None else [] if likely is None else [likely]
        last = [NONE] if optional and likely is not None else []
        return [*first, *(name for name in names if name != likely), *last] if names else []

    return choices


def plain(value: Any) -> Any:
    """None for what is missing; texts without spaces around them; all else as it is.

    Examples
    --------
    >>> plain(" cat "), plain("NaN"), plain(float("nan")), plain("None"), plain(0)
    ('cat', None, None, 'None', 0)
    """
    if isinstance(value, str):
        value = value.strip()
        return None if value.casefold() in MISSING else value
    return None if value is None or (isinstance(value, float) and value != value) else value


def as_text(value: Any) -> str:
    """A label as text; whole floats, which pandas makes of integers beside a gap, lose their ``.0``."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def names_from(given: Sequence[str] | str | None) -> tuple[str, ...] | None:
    """Class names from a list or a text with commas; None when none is given.

    Examples
    --------
    >>> names_from("cat, dog"), names_from(["cat", "dog"]), names_from(" ")
    (('cat', 'dog'), ('cat', 'dog'), None)
    """
    names = given.split(",") if isinstance(given, str) else given or ()
    return tuple(name for name in (str(each).strip() for each in names) if name or not isinstance(given, str)) or None


def number_notes(names: Sequence[str], class_names: Any) -> list[str]:
    """What to say of prompts such as "a photo of a 0"; nothing where numbers were asked for by ``class_names``."""
    if names_from(class_names) is not None or not all(name.isdecimal() for name in names):
        return []
    return ["Class names are numbers; give class_names for prompts that say something."]


def classes_of(
    values: list[Any], rows: list[int], class_names: Sequence[str] | str | None
) -> tuple[tuple[str, ...], list[int]]:
    """Class names, and the place among them of each of ``rows``.

    Without ``class_names`` (a list, or a text with commas), the labels that occur, sorted, numbers as numbers; with
    them, labels are names among them, or indices into them.

    Raises
    ------
    DataError
        For labels that are not among the names; it lists both.
    """
    texts = [as_text(values[row]) for row in rows]
    occurring = sorted(set(texts), key=lambda text: (0, int(text), text) if text.isdecimal() else (1, 0, text))
    names = names_from(class_names) or tuple(occurring)
    place = {name: label for label, name in enumerate(names)}
    if place.keys().isdisjoint(occurring) and all(text.isdecimal() and int(text) < len(names) for text in occurring):
        place = {text: int(text) for text in occurring}
    unknown = [text for text in occurring if text not in place]
    if unknown:
        row = next(row for row, text in zip(rows, texts, strict=True) if text in unknown)
        raise DataError(
            f"labels among the class names {listed(names)}",
            f"also {listed(unknown)}, the first in row {row + 1}, of the labels {listed(occurring)}",
            "Add the missing names, mend the labels, or leave class_names out.",
        )
    return names, [place[text] for text in texts]


def listed(names: Sequence[str]) -> str:
    """The first names for a message, and how many there are."""
    more = f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
    return f"{', '.join(map(repr, names[:SHOWN]))}{more}"


def _existing(path: str | Path) -> Path:
    file = user_path(path)
    if not file.is_file():
        raise DataError("a table", f"{str(file)!r}, which is not there", "Check the path.")
    if not is_table(file):
        raise DataError("a .csv, .tsv or .parquet file", repr(str(file)), "Save the table as one of these.")
    return file


def _open(file: Path) -> Any:
    return file.open(encoding="utf-8-sig", newline="")  # Excel starts UTF-8 files with a byte order mark


def _header(file: Path, lines: Any) -> tuple[list[str], str]:
    """Column names, and the separator: what stands most often in the first line, which has no free text."""
    first = lines.readline()
    separator = "\t" if file.suffix.lower() == ".tsv" else max(",;\t", key=first.count)
    names = [name.strip() for name in next(csv.reader([first], delimiter=separator, skipinitialspace=True), [])]
    if not any(names):
        raise DataError("a table with column names in its first line", f"{str(file)!r}", "Add a line of names.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"columns with different names in {str(file)!r}", f"{twice} twice", "Rename one of them.")
    return names, separator


@contextmanager
def _explaining(file: Path) -> Iterator[None]:
    """Turn what reading raises into a DataError that names the file."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError("a table in UTF-8", f"{str(file)!r} ({error})", "Save it as UTF-8.") from error
    except (csv.Error, OSError) as error:
        raise DataError("a readable table", f"{str(file)!r} ({error})", "Check its quotes.") from error


def _parquet(file: Path, columns: list[str] | None) -> Any:
    """The table; without ``columns``, its empty head."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingDependencyError(
            "pyarrow, which reads Parquet", "no such package", "pip install pyarrow"
        ) from error
    try:
        if columns is None:
            return parquet.read_schema(file).empty_table()
        return parquet.read_table(file, columns=columns)
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError("a Parquet file", f"{str(file)!r} ({reason})", "Check how it was written.") from error
