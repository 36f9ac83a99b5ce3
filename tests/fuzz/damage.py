"""What can happen to a file: bits flip, ends are cut off, parts are lost, doubled or of another file, values change."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

Random = np.random.Generator
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 0.5, -0.0, 1e308, -1e308, 10**6, 10**12, 2**63, -(2**63) - 1, 10**30,
    float("nan"), float("inf"), "", "x", "0", "NaN", "../../x", "/etc/hostname", "a\0b", "\ud800", "hf-hub:a/b", "{}",
    [], {}, [[]], [None], ["x"], [1, 2], {"x": 1}, [[1, 2, 3, 4]], "x" * 10_000,
)  # fmt: skip
DEEP = 20_000  # brackets


def flip(content: bytes, rng: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.choice([1, 4, 64]))):
        if changed:
            changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def flip_head(content: bytes, rng: Random) -> bytes:
    """Where sizes and kinds stand."""
    return flip(content[:256], rng) + content[256:]


def cut(content: bytes, rng: Random) -> bytes:
    return content[: int(rng.integers(len(content) + 1))]


def lose(content: bytes, rng: Random) -> bytes:
    start, stop = sorted(int(each) for each in rng.integers(len(content) + 1, size=2))
    return content[:start] + content[stop:]


def blank(content: bytes, rng: Random) -> bytes:
    """A part full of one byte, as a disk leaves that failed."""
    start = int(rng.integers(len(content) + 1))
    n = int(rng.integers(1, 600))
    return (
        content[:start]
        + bytes([int(rng.choice([0, 255, 32]))]) * len(content[start : start + n])
        + content[start + n :]
    )


def repeat(content: bytes, rng: Random) -> bytes:
    start, stop = sorted(int(each) for each in rng.integers(len(content) + 1, size=2))
    return content[:stop] + content[start:]


def number(content: bytes, rng: Random) -> bytes:
    """Another number in binary, of either order."""
    width, value = int(rng.choice([2, 4, 8])), int(rng.choice([0, 1, 2**15, 2**16 - 1]))
    value = value if width == 2 else int(rng.choice([value, 2**31 - 1, 2**32 - 1]))
    start = int(rng.integers(max(1, min(len(content), 512))))
    return content[:start] + struct.pack({2: "H", 4: "I", 8: "Q"}[width], value) + content[start + width :]


def nothing(content: bytes, rng: Random) -> bytes:
    return bytes(
        rng.choice(
            [b"", b"\0", b"<!DOCTYPE html><html>Not Found</html>", b"version https://git-lfs.github.com/spec/v1\n"]
        )
    )


BYTES: tuple[Callable[[bytes, Random], bytes], ...] = (flip, flip_head, cut, lose, blank, repeat, number, nothing)


def change_json(content: Any, rng: Random) -> Any:
    """One to three values, anywhere in a JSON structure, taken out, doubled, or replaced by odd ones."""
    content = json.loads(json.dumps(content))
    for _ in range(int(rng.integers(1, 4))):
        places = list(_places(content))
        if not places:
            return odd(rng)
        holder, key = places[int(rng.integers(len(places)))]
        act = rng.random()
        if act < 0.15:
            del holder[key]
        elif act < 0.25 and isinstance(holder, list):
            holder.insert(int(rng.integers(len(holder) + 1)), holder[key])
        elif act < 0.4:
            other, name = places[int(rng.integers(len(places)))]
            holder[key] = json.loads(json.dumps(other[name]))
        elif act < 0.5 and isinstance(holder[key], (int, float)):
            holder[key] = holder[key] * [-1, 2, 0.5, 1000, 10**9][int(rng.integers(5))]
        else:
            holder[key] = odd(rng)
    return content


def odd(rng: Random) -> Any:
    return deepcopy(ODD_VALUES[int(rng.integers(len(ODD_VALUES)))])  # what is put in place is changed further


def damage_json(content: bytes, rng: Random) -> bytes:
    """Mostly still JSON, with other values; sometimes nested deeply, or none at all."""
    act = rng.random()
    if act < 0.04:
        return b"[" * DEEP + b"]" * DEEP
    if act < 0.2:
        return damage(content, rng)
    return json.dumps(change_json(json.loads(content), rng)).encode("utf-8", "surrogatepass")


def damage_safetensors(content: bytes, rng: Random) -> bytes:
    """Another header, of texts as of tensors, or damage anywhere."""
    if rng.random() < 0.3:
        return damage(content, rng)
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    texts = header.get("__metadata__", {})
    inside = [name for name, text in texts.items() if text[:1] in "{["]
    if inside and rng.random() < 0.6:
        name = inside[int(rng.integers(len(inside)))]
        texts[name] = json.dumps(change_json(json.loads(texts[name]), rng))
    else:
        header = change_json(header, rng)
    written = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(written)) + written + content[8 + length :]


def damage_text(content: bytes, rng: Random) -> bytes:
    """Cells of a table replaced, lost or doubled; or damage anywhere."""
    if rng.random() < 0.25:
        return damage(content, rng)
    lines = [line.split(b",") for line in content.split(b"\n")]
    for _ in range(int(rng.integers(1, 4))):
        line = lines[int(rng.integers(len(lines)))]
        cell = int(rng.integers(len(line))) if line else 0
        text = odd(rng)
        new = (text if isinstance(text, str) else json.dumps(text)).encode("utf-8", "surrogatepass")
        new = b'"' + new.replace(b'"', b'""') + b'"' if rng.random() < 0.3 else new
        act = rng.random()
        if act < 0.6 and line:
            line[cell] = new
        elif act < 0.8:
            line.insert(cell, new)
        elif line:
            del line[cell]
    return b"\n".join(b",".join(line) for line in lines)


def damage(content: bytes, rng: Random) -> bytes:
    for _ in range(int(rng.integers(1, 3))):
        content = BYTES[int(rng.integers(len(BYTES)))](content, rng)
    return content


def by_kind(name: str) -> Callable[[bytes, Random], bytes]:
    """The damage that suits a file by its ending; it keeps the form, so that what is behind the first check is met."""
    if name.endswith(".json"):
        return damage_json
    if name.endswith(".safetensors"):
        return damage_safetensors
    if name.endswith((".csv", ".txt", ".jsonl")):
        return damage_text
    return damage


def _places(content: Any) -> Any:
    """(holder, key) of every value."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in list(pairs):
        yield content, key
        yield from _places(value)
