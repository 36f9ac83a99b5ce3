"""content(): one short name for all that a value holds, so that two values are the same only if nothing differs."""

from __future__ import annotations

import copyreg
from collections.abc import Iterator, Mapping, Set
from dataclasses import fields, is_dataclass
from functools import cached_property
from pathlib import PurePath
from types import FunctionType, ModuleType
from typing import Protocol, runtime_checkable

import numpy as np

from ravl_explore.errors import InputError
from ravl_explore.support.fingerprints import digest


@runtime_checkable
class _Tensor(Protocol):
    """A tensor of PyTorch, which is not loaded for this."""

    def detach(self) -> _Tensor: ...

    def cpu(self) -> _Tensor: ...

    def numpy(self) -> np.ndarray: ...


def content(value: object) -> str:
    """A fingerprint that is the same in the next session, of everything the value holds, whatever its text shows.

    Numbers, texts, paths, arrays and tensors by their content, lists and mappings by what is in them, an object with a
    ``fingerprint()`` by that, others by their class and all of their attributes, functions by where they are defined.

    Parameters
    ----------
    value : object
        Anything but what holds itself.

    Raises
    ------
    InputError
        For what cannot be told apart in the next session, such as a lambda.

    Examples
    --------
    >>> content((1, "a")) == content((1, "a")), content(1) == content(1.0), content(1) == content(True)
    (True, False, False)
    """
    return digest(["content", _parts(value, ())])


def _parts(value: object, holders: tuple[int, ...]) -> object:
    """The value as nested lists of plain JSON; ``holders`` are the ids of what it is in."""
    if id(value) in holders:
        raise _unknown(value, "it holds itself")
    if value is None or isinstance(value, bool | int | str):
        return [type(value).__name__, value]
    if isinstance(value, float):
        return ["float", value.hex()]
    if isinstance(value, bytes | PurePath):
        return [type(value).__name__, digest([value]) if isinstance(value, bytes) else str(value)]
    if isinstance(value, np.generic):
        return _parts(value.item(), holders)
    if isinstance(value, np.ndarray):
        return ["array", digest([value]) if value.dtype != object else _parts(value.tolist(), holders)]
    if isinstance(value, _Tensor):
        return _parts(value.detach().cpu().numpy(), holders)
    if isinstance(value, type | FunctionType) or isinstance(getattr(value, "__self__", None), ModuleType):
        return ["name", _named(value)]
    told = getattr(value, "fingerprint", None)
    if callable(told):
        return ["fingerprint", _named(type(value)), told()]
    return [_named(type(value)), _inside(value, (*holders, id(value)))]


def _inside(value: object, holders: tuple[int, ...]) -> object:
    if is_dataclass(value):  # what was left out of its text, or of comparing it, and a subclass's attributes, too
        own = {each.name: getattr(value, each.name) for each in fields(value)}
        own |= _without_computed(value, getattr(value, "__dict__", {}))
        return {name: _parts(part, holders) for name, part in own.items()}
    if isinstance(value, Mapping):
        return sorted(([_parts(key, holders), _parts(value[key], holders)] for key in value), key=str)
    if isinstance(value, Set):
        return sorted((_parts(member, holders) for member in value), key=str)
    if isinstance(value, list | tuple):
        return [_parts(member, holders) for member in value]
    try:  # as it would be copied
        reduce = copyreg.dispatch_table.get(type(value))
        made = value.__reduce_ex__(2) if reduce is None else reduce(value)
    except TypeError as error:
        raise _unknown(value, str(error)) from error
    if isinstance(made, str):
        return made
    made = [_without_computed(value, part) if isinstance(part, dict) else part for part in made]
    return [_parts(list(part) if isinstance(part, Iterator) else part, holders) for part in made]


def _without_computed(value: object, attributes: Mapping[str, object]) -> dict[str, object]:
    """Attributes of a value, but for those that it made of the others when it was first asked."""
    lazy = {
        name for kind in type(value).__mro__ for name, own in vars(kind).items() if isinstance(own, cached_property)
    }
    return {name: part for name, part in attributes.items() if name not in lazy}


def _named(value: object) -> str:
    """Where a class or function is defined; a lambda, or one made within a function, may be another each time."""
    module, name = (str(getattr(value, part, "")) for part in ("__module__", "__qualname__"))
    if not isinstance(value, type) and "<" in name:
        raise _unknown(value, "it has no name of its own")
    return f"{module}.{name}"


def _unknown(value: object, why: str) -> InputError:
    return InputError(
        "arguments that can be told apart in the next session",
        f"a {type(value).__name__}, {str(value)[:80]} ({why})",
        "Give it a fingerprint(), or leave folder out.",
    )
