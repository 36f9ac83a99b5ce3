"""names(), integers(), flags(): what a dataset was given by class, image or region, once it is of the right kind."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Int

from ravl_explore.errors import DataError
from ravl_explore.support.checks import came


def names(name: str, values: object, *, numbers: bool = False) -> tuple[str, ...]:
    """Texts of a dataset, one a class or one an image; DataError for a single text, or for anything else among them.

    Parameters
    ----------
    name : str
        The argument's, for the message.
    values : object
        What was given; a list, an array or any other collection of texts will do.
    numbers : bool
        Whole numbers become texts, as classes may be called 0 to 9.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable) or not getattr(values, "ndim", 1):
        raise DataError(f"{name} as a list of texts", came(values), 'Write ["one", "another"], with brackets.')
    plain = (np.str_, int, np.integer) if numbers else np.str_
    texts: list[str] = []
    for place, value in enumerate(values):
        text = str(value) if isinstance(value, plain) and not isinstance(value, bool) else value
        if not isinstance(text, str):
            raise DataError(f"{name} as texts", f"{came(value)} at {place}", "Write each in quotes.")
        texts.append(text)
    return tuple(texts)


def integers(name: str, values: object) -> Int[np.ndarray, "..."]:
    """Numbers of a dataset as int64; DataError for texts and fractions, which NumPy would make numbers of.

    Parameters
    ----------
    name : str
        The argument's, for the message.
    values : object
        What was given, of any shape.
    """
    found = _as_array(name, values)
    if found.size and found.dtype.kind not in "iu":
        raise DataError(f"{name} as whole numbers", came(found), "Give indices: 0 for the first class, and so on.")
    return found.astype(np.int64, copy=False)


def flags(name: str, values: object) -> Bool[np.ndarray, "..."]:
    """Flags of a dataset, where 0 and 1 are some; DataError for all else, which NumPy would take for True.

    Parameters
    ----------
    name : str
        The argument's, for the message.
    values : object
        What was given, of any shape.
    """
    found = _as_array(name, values)
    if found.size and found.dtype.kind != "b" and not (found.dtype.kind in "iu" and np.isin(found, (0, 1)).all()):
        raise DataError(f"{name} as True or False", came(found), "Give one flag each, without quotes.")
    return found.astype(bool, copy=False)


def array_of(name: str, values: object, kind: str) -> np.ndarray:
    """An array of a dataset as it is; DataError for a list, or for another kind of numbers.

    Parameters
    ----------
    name : str
        The attribute's, for the message.
    values : object
        What the dataset has.
    kind : {"i", "b"}
        Signed integers of at least 32 bits, or booleans.
    """
    wanted = {"i": "int64", "b": "bool"}[kind]
    if (
        not isinstance(values, np.ndarray)
        or not values.ndim
        or values.dtype.kind != kind
        or (kind == "i" and values.dtype.itemsize < 4)
    ):
        raise DataError(f"{name} as an array of {wanted}", came(values), f"Write np.asarray({name}, np.{wanted}).")
    return values


def _as_array(name: str, values: object) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError as error:  # lists of different lengths in it
        raise DataError(f"{name} as a list of numbers", f"lists in {came(values)}", "Give one value each.") from error
