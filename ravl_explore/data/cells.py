"""Cells of a table one by one: what is missing, a number or a text; a number is the same whether it came as text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal

from ravl_explore.errors import DataError

MISSING = frozenset({"", "nan", "na", "n/a", "<na>"})  # "none" is not among them: "no finding" is a class
EMPTY = frozenset({""})  # what alone is missing where a word such as "NA" may be a class
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
LONGEST = 20  # digits of a number that is written out


def plain(value: object, missing: frozenset[str] = MISSING) -> object:
    """None for what is missing; texts without spaces around them; all else as it is.

    Parameters
    ----------
    value : object
        As the table holds it.
    missing : frozenset of str
        Texts, in lower case, that say that there is nothing.

    Examples
    --------
    >>> plain(" cat "), plain("NaN"), plain(float("nan")), plain("None"), plain(0)
    ('cat', None, None, 'None', 0)
    """
    if isinstance(value, str):
        value = value.strip()
        return None if value.casefold() in missing else value
    return None if value is None or (isinstance(value, float) and value != value) else value


def as_text(value: object) -> str:
    """A cell as text; whole floats, which pandas makes of integers beside a gap, lose their ``.0``.

    Parameters
    ----------
    value : object
        As the table holds it.

    Raises
    ------
    DataError
        For a list or a record, which is no one text.
    """
    if isinstance(value, (list, tuple, dict)):
        kind = "a record" if isinstance(value, dict) else "a list"
        raise DataError("one text or number in a cell", f"{kind}: {str(value)[:80]}", "Name another column.")
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)  # Macs write some letters as two characters
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace").strip()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def is_number(text: str) -> bool:
    """Whether a text is a number as tables write it.

    Parameters
    ----------
    text : str

    Examples
    --------
    >>> [is_number(text) for text in ("0", "-1.0", "2e3", "n0144", "1,5", "")]
    [True, True, True, False, False, False]
    """
    return NUMBER.fullmatch(text) is not None


def as_texts(values: Sequence[object]) -> list[str | None]:
    """Cells of one column as texts, None where nothing is; of a column of numbers alone, whole ones lose their ``.0``.

    A number is so the same text whether it came as one, as from Parquet, or as text, as from CSV.

    Parameters
    ----------
    values : sequence of object
        The column; None where a cell is missing.

    Examples
    --------
    >>> as_texts(["0.0", "-1.0", None, "2.5", "007"]), as_texts([0.0, -1]), as_texts(["1.0", "two"])
    (['0', '-1', None, '2.5', '007'], ['0', '-1'], ['1.0', 'two'])
    """
    texts = [None if value is None else as_text(value) for value in values]
    if all(text is None or is_number(text) for text in texts):
        return [None if text is None else _whole(text) for text in texts]
    return texts


def _whole(number: str) -> str:
    if number.isdecimal():
        return number
    value = Decimal(number)
    return str(int(value)) if value.adjusted() < LONGEST and value == value.to_integral_value() else number


def in_order(texts: Sequence[str]) -> list[str]:
    """Each text once, sorted, numbers first and by what they count.

    Parameters
    ----------
    texts : sequence of str

    Examples
    --------
    >>> in_order(["10", "cat", "-1", "2", "10"])
    ['-1', '2', '10', 'cat']
    """
    return sorted(set(texts), key=lambda text: (0, float(text), text) if is_number(text) else (1, 0.0, text))


def caption_of(value: object) -> str:
    """A caption from its cell: of a list of them the first, "" where there is none.

    Parameters
    ----------
    value : object
        As the table holds it.

    Raises
    ------
    DataError
        As :func:`as_text`.
    """
    first = plain((value or [None])[0] if isinstance(value, (list, tuple)) else value)
    return "" if first is None else as_text(first)
