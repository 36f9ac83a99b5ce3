"""The concepts of each class, in words: from a JSON file, a mapping, one list for all, or whatever proposes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ravl_explore.data.given_files import read_json
from ravl_explore.errors import DataError, InputError

Proposal = Callable[[str], Sequence[str]]
Concepts = str | Path | Mapping[str, Sequence[str]] | Sequence[str] | Proposal
EXAMPLE = 'Write {"cat": ["whiskers", "paw"], "dog": ["snout"]}, or ["animal"] for all classes.'


def concepts_by_class(given: Concepts, class_names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """One tuple of phrases a class, in lower case, each once; an empty one where a class is to have none.

    Parameters
    ----------
    given : str, Path, mapping, sequence or callable
        As of :class:`~ravl_explore.concepts.grounded.Grounded`.
    class_names : sequence of str
        The dataset's.

    Raises
    ------
    InputError
        For a file that cannot be read, a class that is not spoken of, what is no list of phrases, or no concept at all.

    Examples
    --------
    >>> concepts_by_class({"dog": ["Snout ", "paw"], "cat": ["paw"]}, ["cat", "dog"])
    (('paw',), ('snout', 'paw'))
    """
    if isinstance(given, str | Path):
        given = read_concepts(given)
    if isinstance(given, Mapping):
        missing = [name for name in class_names if name not in given]
        if missing:
            raise InputError(
                "concepts for every class",
                f"none for {', '.join(map(repr, missing[:5]))}, {len(missing)} classes in all",
                "Add them; [] says that a class has none.",
            )
        lists: list[Sequence[str]] = [given[name] for name in class_names]
    elif callable(given):
        lists = [given(name) for name in class_names]
    else:
        lists = [given] * len(class_names)
    found = tuple(_phrases(phrases, name) for phrases, name in zip(lists, class_names, strict=True))
    if not any(found):
        raise InputError("at least one concept", "none", EXAMPLE)
    return found


def read_concepts(path: str | Path) -> Mapping[str, Sequence[str]] | Sequence[str]:
    """What a JSON file says; its phrases are checked once the classes are known.

    Parameters
    ----------
    path : str or Path
        Of the JSON file.

    Raises
    ------
    InputError
        For a file that is not there, is no JSON, names a class twice, or holds neither a list nor lists by class.
    """
    try:
        content = read_json(path, "a JSON file of concepts")
    except DataError as error:
        raise InputError(error.expected, error.came, f"{error.remedy} {EXAMPLE}") from error
    if not isinstance(content, dict | list):
        raise InputError("concepts by class, or a list", f"{type(content).__name__} in {str(path)!r}", EXAMPLE)
    return content


def _phrases(given: Sequence[str], name: str) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence) or not all(isinstance(each, str) for each in given):
        raise InputError(f"a list of phrases for {name!r}", f"{given!r}"[:80], EXAMPLE)
    phrases = [" ".join(phrase.split()).strip(" .").lower() for phrase in given]
    if not all(phrases):
        raise InputError(f"phrases for {name!r}", "an empty one", "Leave it out.")
    return tuple(dict.fromkeys(phrases))
