"""Tables of text: CSV, TSV and Parquet -> columns as lists of cells; and class names as people give them."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from ravl_explore.data.cells import MISSING, as_text, is_number, plain
from ravl_explore.data.given_files import cannot_read, existing_file
from ravl_explore.errors import DataError, InputError, MissingDependencyError

if TYPE_CHECKING:
    import pyarrow

TEXT_TABLES = frozenset({".csv", ".tsv", ".txt"})
PARQUET = frozenset({".parquet", ".pq"})
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # Excel's "Unicode text"
CP1252 = "cp1252 where not UTF-8"  # how a byte that is no UTF-8 is read
UNKNOWN = "\ufffd"  # a byte that is no letter in cp1252 either
CHUNK = 2**20
SHOWN = 10  # names in a message
ID = re.compile(r"(?i)(?:n|c|class|label|category|cluster|id)?[ _-]?\d+")  # n01443537 is WordNet's, as in ImageNet


def is_table(path: str | Path) -> bool:
    """Whether the ending is that of a table.

    Parameters
    ----------
    path : str or Path
    """
    return Path(path).suffix.lower() in TEXT_TABLES | PARQUET


def column_names(path: str | Path) -> list[str]:
    """Names of a table's columns that have one, in order. Raises DataError when it is not there or no table.

    Parameters
    ----------
    path : str or Path
        As the user wrote it.
    """
    file = _existing(path)
    if file.suffix.lower() in PARQUET:
        names = _parquet(file, None).schema.names
    else:
        with _explaining(file), _open(file) as lines:
            names = [name for name in _header(file, lines)[0] if name]  # Excel writes empty columns, too
    return names


def read_columns(path: str | Path, wanted: Sequence[str], missing: frozenset[str] = MISSING) -> dict[str, list[object]]:
    """Columns by name: texts from CSV and TSV, from Parquet whatever they hold; None for what is missing.

    Parameters
    ----------
    path : str or Path
        Of the table.
    wanted : sequence of str
        Names of columns.
    missing : frozenset of str
        Texts, in lower case, that say that there is nothing; ``EMPTY`` keeps words such as "NA".

    Raises
    ------
    DataError
        For columns that are not there (those there are, are listed) or come twice, lines with too few or too many
        cells, letters in the wanted columns that are neither UTF-8 nor cp1252, and files that are no table.
    """
    file = _existing(path)
    if file.suffix.lower() in PARQUET:
        names = _parquet(file, None).schema.names
        check_columns(file, names, wanted)
        table = _parquet(file, list(dict.fromkeys(wanted)))
        return {
            name: [plain(value, missing) for value in table.column(name).to_pylist()] for name in table.column_names
        }
    with _explaining(file), _open(file) as lines:
        names, separator = _header(file, lines)
        check_columns(file, names, wanted)
        places = {name: names.index(name) for name in wanted}
        columns: dict[str, list[object]] = {name: [] for name in places}
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
                if UNKNOWN in cells[place]:
                    came = f"{cells[place][:80]!r} in column {name!r}, line {reader.line_num + 1} of {str(file)!r}"
                    raise DataError("letters in UTF-8 or cp1252", came, "Save the table as UTF-8.")
                columns[name].append(plain(cells[place], missing))
    return columns


def encoding_notes(path: str | Path) -> list[str]:
    """What to say of a table that is not in UTF-8, whose letters were taken for those of Windows in the West.

    Parameters
    ----------
    path : str or Path
        Of the table.
    """
    file = _existing(path)
    if file.suffix.lower() in PARQUET or _is_unicode(file):
        return []
    return [f"{file.name} is not in UTF-8 and was read as cp1252; if letters are wrong, save it as UTF-8."]


def check_columns(path: str | Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise DataError when one is missing, with the columns that there are, or comes twice.

    Parameters
    ----------
    path : str or Path
        Of the table, for the message.
    names : sequence of str
        The columns that there are.
    wanted : sequence of str
        Those that are to be read.
    """
    missing = [name for name in wanted if name not in names]
    if missing:
        raise DataError(
            f"the column {missing[0]!r} in {str(path)!r}",
            f"the columns {', '.join(map(repr, names)) or 'none'}",
            "Name one of those.",
        )
    twice = sorted({name for name in wanted if names.count(name) > 1})
    if twice:
        raise DataError(f"columns with different names in {str(path)!r}", f"{twice} twice", "Rename one of them.")


def names_from(given: Sequence[str] | str | None) -> tuple[str, ...] | None:
    """Class names from a list or a text with commas; None when none is given.

    Parameters
    ----------
    given : sequence of str, or str, or None

    Raises
    ------
    InputError
        For what has no order of its own, such as a mapping or a set.

    Examples
    --------
    >>> names_from("cat, dog"), names_from(["cat", "dog"]), names_from(" ")
    (('cat', 'dog'), ('cat', 'dog'), None)
    """
    if given is not None and not isinstance(given, (str, Sequence, np.ndarray)):
        raise InputError("a list of class names", type(given).__name__, 'Write ["cat", "dog"], in order.')
    names = given.split(",") if isinstance(given, str) else () if given is None else given
    return (
        tuple(name for name in (as_text(each).strip() for each in names) if name or not isinstance(given, str)) or None
    )


def number_notes(names: Sequence[str], class_names: Sequence[str] | str | None) -> list[str]:
    """What to say of prompts such as "a photo of a 0"; nothing where numbers were asked for by ``class_names``.

    Parameters
    ----------
    names : sequence of str
        The classes.
    class_names : sequence of str, or str, or None
        What the user asked for.

    Examples
    --------
    >>> number_notes(["n01443537", "class_2"], None), number_notes(["n1", "cat"], None)
    (["Class names are ids such as 'n01443537'; give class_names for prompts that say something."], [])
    """
    if names_from(class_names) is not None or not all(ID.fullmatch(name) or is_number(name) for name in names):
        return []
    ids = [name for name in names if not is_number(name)]
    called = f"ids such as {ids[0]!r}" if ids else "numbers"
    return [f"Class names are {called}; give class_names for prompts that say something."]


def listed(names: Sequence[str]) -> str:
    """The first names for a message, and how many there are.

    Parameters
    ----------
    names : sequence of str
    """
    more = f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
    return f"{', '.join(map(repr, names[:SHOWN]))}{more}"


def _existing(path: str | Path) -> Path:
    file = existing_file(path, "a table")
    if not is_table(file):
        raise DataError("a .csv, .tsv or .parquet file", repr(str(file)), "Save the table as one of these.")
    return file


def _is_unicode(file: Path) -> bool:
    """Whether all of a file is UTF-8, or UTF-16 by its first two bytes."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with _explaining(file), file.open("rb") as content:
        if content.read(2) in UTF16:
            return True
        content.seek(0)
        try:
            for chunk in iter(lambda: content.read(CHUNK), b""):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    """Read the bytes that are no UTF-8, one by one, as tables of the Windows of the West have them."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(CP1252, _as_cp1252)


def _open(file: Path) -> TextIO:
    with file.open("rb") as content:
        wide = content.read(2) in UTF16
    if wide:
        return file.open(encoding="utf-16", newline="")
    return file.open(encoding="utf-8-sig", errors=CP1252, newline="")  # Excel starts UTF-8 files with a byte order mark


def _header(file: Path, lines: TextIO) -> tuple[list[str], str]:
    """Column names, and the separator: what stands most often in the first line, which has no free text."""
    first = lines.readline()
    if first.lower().startswith("sep="):  # what Excel takes the separator from
        first = lines.readline()
    separator = "\t" if file.suffix.lower() == ".tsv" else max(",;\t", key=first.count)
    names = [name.strip() for name in next(csv.reader([first], delimiter=separator, skipinitialspace=True), [])]
    if not any(names):
        raise DataError("a table with column names in its first line", f"{str(file)!r}", "Add a line of names.")
    return names, separator


@contextmanager
def _explaining(file: Path) -> Iterator[None]:
    """Turn what reading raises into a DataError that names the file."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError("a table in UTF-8", f"{str(file)!r} ({error})", "Save it as UTF-8.") from error
    except OSError as error:
        raise cannot_read(file, "a readable table", error) from error
    except csv.Error as error:
        raise DataError("a readable table", f"{str(file)!r} ({error})", "Check its quotes.") from error


def _parquet(file: Path, columns: list[str] | None) -> pyarrow.Table:
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
    except PermissionError as error:
        raise cannot_read(file, "a Parquet file", error) from error
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError("a Parquet file", f"{str(file)!r} ({reason})", "Check how it was written.") from error
