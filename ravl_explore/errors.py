"""Every error of the package: what was expected, what came, and what to do about it."""

from __future__ import annotations

from typing import Any


class RavlError(Exception):
    """Base of all errors raised on purpose by ravl_explore.

    Parameters
    ----------
    expected : str
        What would have been right, as a noun phrase ("one label per image").
    came : str
        What was given instead ("3 labels for 4 images").
    remedy : str
        One sentence that tells the user what to do.

    Examples
    --------
    >>> print(RavlError("at least one image", "none", "Check the folder's path."))
    Expected at least one image, got none. Check the folder's path.
    """

    def __init__(self, expected: str, came: str, remedy: str) -> None:
        self.expected, self.came, self.remedy = expected, came, remedy
        super().__init__(f"Expected {expected}, got {came}. {remedy}")

    def __reduce__(self) -> tuple[type[RavlError], tuple[str, str, str]]:
        return type(self), (self.expected, self.came, self.remedy)  # so that it crosses processes


class InputError(RavlError, ValueError):
    """An argument, array or table has the wrong shape, range or content."""


class DataError(RavlError):
    """A dataset or one of its files cannot be used."""


class ModelError(RavlError):
    """A model or checkpoint cannot be used, or does not fit the data."""


class TrainingError(ModelError):
    """Training could not go on; the model has the last good weights.

    Attributes
    ----------
    result : Mitigation or None
        What was trained so far (see :class:`~ravl_explore.mitigation.Mitigation`); it does not cross processes.
    """

    result: Any = None


class StorageError(RavlError, OSError):
    """A file cannot be read or written; nothing half-written is left behind."""


class MissingDependencyError(RavlError, ImportError):
    """An optional package is not there, or does not import in this environment."""


class Cancelled(Exception):
    """Raised by a progress callback to stop long work between two steps. Not an error."""
