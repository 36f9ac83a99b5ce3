"""Offers: what the fields of a form offer, looked up again only where something that it depends on has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from ravl_explore.support.fields import Field
from ravl_explore.support.files import user_path
from ravl_explore.widgets.basics.inputs import Answer

MOST_FOLDERS = 10_000  # looked at for changes; somebody may type "/"

Stamps = tuple[tuple[str, int], ...]
"""Paths, each with the time in nanoseconds at which it was last changed."""
_Answers = tuple[tuple[str, Answer | None], ...]


class Offers:
    """What fields offer, by the answers before them; that of last time while no answer and no file has changed.

    Parameters
    ----------
    fields : sequence of Field
        Of one form.
    typed : callable
        ``typed(name)`` is what stands in the input of a field.
    """

    def __init__(self, fields: Sequence[Field], typed: Callable[[str], str]) -> None:
        self._fields, self._typed = fields, typed
        self._last: dict[str, tuple[_Answers, Stamps, tuple[str, ...]]] = {}

    def of(self, field: Field, answers: Mapping[str, Answer]) -> tuple[str, ...]:
        """What a field offers once these answers are given.

        Raises
        ------
        Exception
            Whatever the part raises whose field it is.
        """
        assert field.choices is not None
        last = self._last.get(field.name)
        if last is not None:
            used, stamps, offered = last
            names = [name for name, _ in used]
            if (used, stamps) == (_given(answers, names), self.changed(names)):
                return offered
        watched = _Watched(answers)
        before = self.changed(list(answers))  # before it is read: what changes meanwhile is read again next time
        offered = tuple(field.choices(watched))
        names = [other.name for other in self._fields if other.name in watched.used]
        after = self.changed(names)
        stamps = tuple(stamp for stamp in before if stamp in after)
        self._last[field.name] = (_given(answers, names), stamps, offered)
        return offered

    def changed(self, names: Sequence[str]) -> Stamps:
        """When the files and folders that are named in these fields' inputs were last changed."""
        paths = [field for field in self._fields if field.name in names and field.kind in ("path", "search")]
        typed = [self._typed(field.name).strip() for field in paths]
        return tuple(stamp for text in typed if text for stamp in last_changed(text))


def _given(answers: Mapping[str, Answer], names: Sequence[str]) -> _Answers:
    return tuple((name, answers.get(name)) for name in names)


class _Watched(Mapping[str, Answer]):
    """Answers that remember which of them were looked at."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = dict(answers)
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> Answer:
        self.used.add(name)
        return self._answers[name]

    def __iter__(self) -> Iterator[str]:
        self.used.update(self._answers)
        return iter(self._answers)

    def __len__(self) -> int:
        self.used.update(self._answers)
        return len(self._answers)


def last_changed(path: str) -> Stamps:
    """When a file, or a folder and each folder in it, was last changed; nothing for what is not there."""
    try:
        root = user_path(path)
        folders = islice(root.rglob("*/"), MOST_FOLDERS)
        return tuple((str(place), place.stat().st_mtime_ns) for place in (root, *sorted(folders)))
    except (OSError, ValueError, RuntimeError):  # a name that is no path at all, such as one with a null
        return ()
