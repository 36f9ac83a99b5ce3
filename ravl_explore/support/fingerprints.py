"""digest(): one short name for the content of texts, numbers, arrays and files, so that equal work is recognised."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

LENGTH = 32  # hexadecimal digits: 128 bits


def digest(parts: Iterable[object]) -> str:
    """A fingerprint of ``parts`` in order: arrays by type, shape and bytes, bytes as they are, all else as JSON.

    Parameters
    ----------
    parts : iterable of array, bytes, or plain values
        Values that JSON does not know count by their text.

    Examples
    --------
    >>> digest(["a", 1]) == digest(["a", 1]), digest(["a", 1]) == digest(["a1"])
    (True, False)
    """
    whole = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            head, content = f"array {part.dtype.str} {part.shape}", np.ascontiguousarray(part).data
        elif isinstance(part, bytes):
            head, content = f"bytes {len(part)}", part
        else:
            text = json.dumps(part, sort_keys=True, default=str).encode()
            head, content = f"json {len(text)}", text
        whole.update(head.encode() + b"\n")
        whole.update(content)
    return whole.hexdigest()[:LENGTH]


def file_digest(path: Path) -> str | None:
    """A fingerprint of a file's content, whatever its name and times; None for one that cannot be read.

    Parameters
    ----------
    path : Path
        Of a regular file; of a folder or a pipe nothing is read.
    """
    try:
        if not path.is_file():  # a named pipe would be waited for
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:LENGTH]
    except OSError:
        return None
