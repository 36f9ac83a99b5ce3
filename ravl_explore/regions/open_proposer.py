"""open_proposer(): a proposer by its short name, as the command line takes it."""

from __future__ import annotations

from collections.abc import Callable

from ravl_explore.errors import InputError
from ravl_explore.regions.base import Proposer
from ravl_explore.regions.detector import Detector
from ravl_explore.regions.given import Given
from ravl_explore.regions.grid import Grid
from ravl_explore.regions.random import Random
from ravl_explore.regions.sliding import Sliding
from ravl_explore.support import checks

FORMS = "grid:2x2, sliding:SIZE[,STEP], random:N[,SEED], given, detector[:WEIGHTS] or whole"


def open_proposer(text: str) -> Proposer:
    """The proposer that a text names.

    Parameters
    ----------
    text : str
        ``grid:ROWSxCOLS``, ``sliding:SIZE[,STEP]`` (fractions of the image's sides), ``random:N[,SEED]``, ``given``
        (the dataset's own boxes), ``detector[:WEIGHTS]`` or ``whole`` (the whole image).

    Raises
    ------
    InputError
        For any other text.

    Examples
    --------
    >>> open_proposer("grid:3x2"), open_proposer("sliding:0.5").name
    (Grid(rows=3, cols=2), 'Sliding windows 0.5, step 0.25')
    """
    kind, colon, rest = checks.instance("regions", text, str, f"Write one such as {FORMS}.").strip().partition(":")
    rest = rest.strip()
    if kind.lower() in MAKERS and bool(colon) == bool(rest):
        try:
            return MAKERS[kind.lower()](rest)
        except _Misread:
            pass
    raise InputError(f"regions such as {FORMS}", repr(text), "Write them like one of these.")


class _Misread(Exception):
    """The part after the colon has another form."""


def _numbers(text: str, *kinds: Callable[[str], float], separator: str = ",") -> list[float]:
    """Up to ``len(kinds)`` numbers."""
    parts = text.split(separator)
    if len(parts) > len(kinds):
        raise _Misread
    try:
        return [kind(part) for kind, part in zip(kinds, parts, strict=False)]
    except ValueError as error:
        raise _Misread from error


def _grid(text: str) -> Proposer:
    if not text:
        return Grid()
    cells = _numbers(text.lower(), int, int, separator="x")
    if len(cells) != 2:
        raise _Misread
    return Grid(int(cells[0]), int(cells[1]))


def _sliding(text: str) -> Proposer:
    if not text:
        return Sliding()
    size, *step = _numbers(text, float, float)
    return Sliding(size, step[0] if step else size / 2)


def _random(text: str) -> Proposer:
    return Random(*map(int, _numbers(text, int, int))) if text else Random()


def _given(text: str) -> Proposer:
    if text:
        raise _Misread
    return Given()


def _whole(text: str) -> Proposer:
    if text:
        raise _Misread
    return Grid(1, 1)


MAKERS: dict[str, Callable[[str], Proposer]] = {
    "grid": _grid,
    "sliding": _sliding,
    "random": _random,
    "given": _given,
    "detector": lambda text: Detector(text or None),
    "whole": _whole,
}
