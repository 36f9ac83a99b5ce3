"""content(): two values have one name only if nothing in them differs, however they print."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ravl_explore.errors import InputError
from ravl_explore.support.contents import content


@dataclass
class Quiet:
    shown: int
    hidden: object = field(default=None, repr=False, compare=False)


class Plain:
    def __init__(self, **values: Any) -> None:
        vars(self).update(values)


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value


class Printed:
    """Two of them print alike, as long arrays do."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Printed()"


class Extended(Quiet):
    """No dataclass of its own, so that its attribute is no field."""

    def __init__(self, shown: int, more: object) -> None:
        super().__init__(shown)
        self.more = more


class Lazy:
    def __init__(self, value: int) -> None:
        self.value = value

    @functools.cached_property
    def square(self) -> int:
        return self.value**2


@dataclass(frozen=True)
class LazyFields:
    value: int

    @functools.cached_property
    def square(self) -> int:
        return self.value**2


LONG = np.arange(5000)
PAIRS: dict[str, tuple[Any, Any]] = {
    "numbers": (1, 2),
    "types of numbers": (1, 1.0),
    "true and one": (True, 1),
    "text and number": ("1", 1),
    "text and bytes": ("a", b"a"),
    "none and empty": (None, ()),
    "last bits": (0.1, float(np.nextafter(0.1, 1))),
    "lists and tuples": ([1], (1,)),
    "nesting": ((1, (2,)), ((1,), 2)),
    "a field that is not shown": (Quiet(1, "a"), Quiet(1, "b")),
    "the middle of a long array": (LONG, np.where(LONG == 2500, 0, LONG)),
    "in a field": (Quiet(1, LONG), Quiet(1, np.where(LONG == 2500, 0, LONG))),
    "types of arrays": (LONG, LONG.astype(np.int32)),
    "tensors": (torch.zeros(3), torch.ones(3)),
    "mappings": ({"a": 1}, {"a": 2}),
    "sets": ({1, 2}, {1, 3}),
    "attributes beside fields": (Extended(1, "a"), Extended(1, "b")),
    "attributes": (Plain(a=1), Plain(a=2)),
    "slots": (Slotted(1), Slotted(2)),
    "what prints alike": (Printed(1), Printed(2)),
    "classes of the same fields": (Plain(value=1), Printed(1)),
    "functions": (len, max),
    "functions with arguments": (functools.partial(int, base=2), functools.partial(int, base=3)),
    "patterns": (re.compile("a"), re.compile("a", re.IGNORECASE)),
    "paths": (Path("a"), Path("b")),
    "ranges": (range(3), range(4)),
    "objects in arrays": (np.array([1, "a"], object), np.array([1, "b"], object)),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=list(PAIRS))
def test_what_differs_has_two_names(pair: tuple[Any, Any]) -> None:
    first, second = map(content, pair)
    assert first != second
    assert first == content(pair[0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Plain(a=[1, {"b": LONG}]),
        lambda: Slotted(1),
        lambda: {"a": 1, "b": {3, 2, 1}},
        lambda: Quiet(1, Printed(2)),
    ],
)
def test_what_is_made_again_has_the_same_name(make: Callable[[], Any]) -> None:
    assert content(make()) == content(make())


@pytest.mark.parametrize("kind", [Lazy, LazyFields])
def test_what_was_computed_meanwhile_says_nothing(kind: Any) -> None:
    used, fresh = kind(3), kind(3)
    assert used.square == 9
    assert content(used) == content(fresh) != content(kind(4))


def test_the_order_of_a_mapping_says_nothing() -> None:
    assert content({"a": 1, "b": 2}) == content({"b": 2, "a": 1})


def endless() -> Any:
    holder = Plain()
    holder.inner = [holder]
    return holder


@pytest.mark.parametrize("make", [lambda: lambda: 1, endless, lambda: (i for i in "a")])
def test_what_cannot_be_told_apart_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(InputError, match="told apart in the next session"):
        content(make())
