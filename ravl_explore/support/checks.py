"""Checks of what callers give: of the right kind, in range, of the right shape? An error names what is wrong.

Each check returns what it was given, numbers as Python's own, or raises InputError. They share three parameters:

name : str
    What an error calls it: the argument or the attribute.
value : object
    What was given.
remedy : str
    One sentence that says what to do, where there is more to say than that.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from operator import index
from typing import SupportsIndex, TypeVar

import numpy as np

from ravl_explore.errors import DataError, InputError

HIGHEST_SEED = 2**63 - 1  # what NumPy, PyTorch and a table's column of integers can all hold
ROWS = 65_536  # of an array checked at a time, so that none is copied as a whole
SHOWN = 80  # characters of a wrong value
DIGITS = 40  # of a wrong number; of longer ones only the length is told

KINDS = {"i": "signed integers", "iu": "integers", "f": "floats", "b": "booleans", "fiu": "numbers"}

Kind = TypeVar("Kind")


def whole(name: str, value: object, low: int, high: int | None = None, remedy: str = "") -> int:
    """A whole number from ``low`` to ``high``; True and False are none, nor is 2.5 or a text.

    Parameters
    ----------
    low, high : int
        Both are allowed; no ``high`` allows all above.

    Examples
    --------
    >>> whole("batch_size", np.int64(8), 1)
    8
    >>> whole("batch_size", 0.5, 1)
    Traceback (most recent call last):
    ravl_explore.errors.InputError: Expected batch_size a whole number from 1 up, got 0.5. Give such a number.
    """
    number = None
    with suppress(TypeError):  # of an array or a tensor
        if isinstance(value, SupportsIndex) and not isinstance(value, bool | np.bool_):
            number = index(value)
    if isinstance(value, float) and value.is_integer():
        number = int(value)
    if number is None or number < low:
        raise InputError(f"{name} a whole number from {low} up", came(value), remedy or "Give such a number.")
    if high is not None and number > high:
        raise InputError(f"{name} a whole number up to {high:,}", came(value), remedy or "Give a smaller one.")
    return number


def seed(name: str, value: object, highest: int = HIGHEST_SEED) -> int:
    """A seed of random numbers: a whole number from 0 to ``highest``, which all who draw can hold."""
    return whole(name, value, 0, highest, "Try 0.")


def number(
    name: str,
    value: object,
    low: float | None = None,
    high: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
    remedy: str = "",
) -> float:
    """A finite number from ``low`` to ``high``, or above ``above`` and below ``below``; a text is none.

    Parameters
    ----------
    low, high : float or None
        Both are allowed; None sets no bound.
    above, below : float or None
        The same, not allowed themselves.

    Examples
    --------
    >>> number("weight", 1, 0, 1)
    1
    >>> number("weight", "0.8", 0, 1)
    Traceback (most recent call last):
    ravl_explore.errors.InputError: Expected weight from 0 to 1, got '0.8'. Give such a number.
    """
    plain: object = value.item() if isinstance(value, np.generic) else value
    if (
        isinstance(plain, bool)
        or not isinstance(plain, int | float)
        or not -float("inf") < plain < float("inf")
        or (low is not None and plain < low)
        or (high is not None and plain > high)
        or (above is not None and plain <= above)
        or (below is not None and plain >= below)
    ):
        expected = f"{name} {_span(low, high, above, below)}".rstrip()
        raise InputError(expected, came(value), remedy or "Give such a number.")
    return plain


def _span(low: float | None, high: float | None, above: float | None, below: float | None) -> str:
    if above is not None:
        end = "" if high is None else f" and at most {high:g}"
        return f"between {above:g} and {below:g}" if below is not None else f"above {above:g}{end}"
    if low is None:
        return "a finite number"
    if below is not None:
        return f"from {low:g} to below {below:g}"
    return f"of {low:g} or more" if high is None else f"from {low:g} to {high:g}"


def flag(name: str, value: object) -> bool:
    """True or False, and nothing that only counts as one of them, as the text ``"no"`` does."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{name} True or False", came(value), "Give one of these, without quotes.")
    return bool(value)


def one_of(name: str, value: object, choices: Sequence[str]) -> str:
    """One of the words ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name} {' or '.join(choices)}", came(value), "Pick one of those.")
    return value


def text(name: str, value: object, *, empty: bool = False) -> str:
    """A text; one of nothing but spaces is none, unless it may be ``empty``."""
    if not isinstance(value, str) or not (empty or value.strip()):
        raise InputError(f"{name} a text", came(value), "Give one in quotes.")
    return value


def path(name: str, value: object) -> str:
    """The path of a file or folder, a text or ``pathlib.Path``; an empty one would mean the folder one is in."""
    if not isinstance(value, str | os.PathLike) or not str(value).strip() or "\0" in str(value):
        raise InputError(f"{name} a path", came(value), "Give the path of a file or folder.")
    return os.fspath(value)


def instance(name: str, value: object, kind: type[Kind], remedy: str) -> Kind:
    """An object of the class ``kind``: not the class itself, not its name, not a list of such objects."""
    if not isinstance(value, kind):
        raise InputError(f"{name} {_a(kind.__name__)}", came(value), remedy)
    return value


def offers(name: str, value: object, what: str, attributes: Sequence[str], remedy: str) -> None:
    """An object that has all these attributes, whatever its class; not a class, whose objects would have them.

    Parameters
    ----------
    what : str
        What such an object is called: ``"an objective"``.
    attributes : sequence of str
        Names of its properties and methods.
    """
    bare = isinstance(value, type | str | bytes | os.PathLike) or value is None
    missing = [attribute for attribute in attributes if bare or not _has(value, attribute)]
    if missing:
        lacks = "" if bare or len(missing) == len(attributes) else f", which has no {', '.join(missing)}"
        raise InputError(f"{name} {what}", f"{came(value)}{lacks}", remedy)


def _has(value: object, attribute: str) -> bool:
    """Asked of the class first, as an attribute may be long work; of ``__call__`` even classes of data have one."""
    if attribute == "__call__":
        return callable(value)
    return hasattr(type(value), attribute) or hasattr(value, attribute)


def is_list(value: object) -> bool:
    """Whether it is a list, tuple, array or the like; a text, which is a sequence of letters, is none."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def listed(name: str, value: object, kind: type[Kind], remedy: str) -> tuple[Kind, ...]:
    """A list, tuple or the like of objects of the class ``kind``; one object alone is none. It may be empty."""
    if not isinstance(value, Sequence | np.ndarray) or not is_list(value):
        raise InputError(f"{name} as a list", came(value), remedy)
    members = tuple(member for member in value if isinstance(member, kind))
    if len(members) < len(value):
        wrong = next(member for member in value if not isinstance(member, kind))
        raise InputError(f"{name} as a list of {kind.__name__}", f"{came(wrong)} in it", remedy)
    return members


def texts(name: str, value: object) -> tuple[str, ...]:
    """A list or tuple of texts; a single text, which is a sequence of letters, is none."""
    return listed(name, value, str, 'Write ["one", "another"], with brackets.')


def array(
    name: str,
    value: object,
    kinds: str,
    shape: tuple[int | None, ...],
    low: float | None = None,
    high: float | None = None,
    *,
    read: bool = True,
) -> np.ndarray:
    """A NumPy array of a kind and shape, finite, from ``low`` to ``high``.

    Parameters
    ----------
    kinds : str
        Letters of ``dtype.kind``, a key of ``KINDS``.
    shape : tuple of int and None
        None stands for any length.
    low, high : float or None
        Bounds that are allowed; None sets none.
    read : bool
        False leaves the values alone, where they are checked elsewhere; else they are read in blocks, memory-mapped or
        not.

    Examples
    --------
    >>> array("labels", np.array([0, 1]), "iu", (2,), 0, 1).tolist()
    [0, 1]
    >>> array("labels", np.array([0, 7]), "iu", (2,), 0, 1)
    Traceback (most recent call last):
    ravl_explore.errors.InputError: Expected labels from 0 to 1, got 0 to 7. Give such values.
    """
    sides = ", ".join("n" if each is None else str(each) for each in shape)
    expected = f"{name} as an array of {KINDS[kinds]} of shape ({sides}{',' * (len(shape) == 1)})"
    if not isinstance(value, np.ndarray) or value.dtype.kind not in kinds:
        raise InputError(expected, came(value), "Convert it, for example with numpy.asarray.")
    if len(value.shape) != len(shape) or any(b is not None and a != b for a, b in zip(value.shape, shape, strict=True)):
        raise InputError(expected, f"shape {value.shape}", "Give one value for each.")
    if read and value.size and value.dtype.kind in "iuf":
        least, most = bounds(value)
        if not (np.isfinite(least) and np.isfinite(most)):  # NaN goes through min and max
            raise InputError(f"finite {name}", "NaN or infinity", "Drop or mend these.")
        if (low is not None and least < low) or (high is not None and most > high):
            span = f"from {low:g} up" if high is None else f"from {low:g} to {high:g}"
            raise InputError(f"{name} {span}", f"{least:g} to {most:g}", "Give such values.")
    return value


def bounds(values: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest of at least one number, NaN where one is; read in blocks."""
    values = np.atleast_1d(values)
    blocks = [values[start : start + ROWS] for start in range(0, len(values), ROWS)]
    return float(np.min([each.min() for each in blocks])), float(np.max([each.max() for each in blocks]))


def pixels(value: object, what: str) -> np.ndarray:
    """An image of a dataset, (height, width, 3) uint8, of at least one pixel; else DataError.

    Parameters
    ----------
    what : str
        What the error calls the image.
    """
    told = f"as {came(value)}"
    if isinstance(value, np.ndarray):
        if value.ndim == 3 and value.shape[2] == 3 and value.dtype == np.uint8 and 0 not in value.shape:
            return value
        told = f"with shape {value.shape} in {value.dtype}"
    remedy = "Convert it to RGB with values from 0 to 255."
    raise DataError("images of shape (height, width, 3) in uint8", f"{what} {told}", remedy)


def came(value: object) -> str:
    """How an error tells of a wrong value: plain ones as Python writes them, all else by kind.

    Examples
    --------
    >>> came(0.5), came(int), came([1, 2]), came(np.zeros((2, 1))), came(10**50)
    ('0.5', 'the class int itself', 'a list', 'an array of float64 of shape (2, 1)', 'a number of 51 digits')
    """
    if isinstance(value, type):
        return f"the class {value.__name__} itself"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    if isinstance(value, int) and abs(value) >= 10**DIGITS:
        return f"a number of {len(str(value)) if value.bit_length() < 10_000 else 'thousands of'} digits"
    if value is None or isinstance(value, str | bytes | int | float | complex | np.generic | os.PathLike):
        shown = repr(value)
        return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"
    return _a(type(value).__name__)


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0].lower() in "aeiou" else f"a {noun}"
