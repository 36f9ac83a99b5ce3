"""sealed(): a safetensors file whose header is in one order and tells the checksum of all of it.

The library writes the texts of a header in another order in every process, and no checksum: equal results would give
other bytes, and a flipped bit other numbers.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

NAME, UNKNOWN = "crc32", "00000000"
BLOCK = 1 << 23  # bytes read at a time


def sealed(content: bytes) -> bytes:
    """The same file with its header in order and its checksum in it.

    Parameters
    ----------
    content : bytes
        A safetensors file as the library writes it.

    Examples
    --------
    >>> from safetensors.numpy import save
    >>> texts = {"one": "1", "two": "2"}
    >>> sealed(save({}, texts)) == sealed(save({}, dict(reversed(texts.items()))))
    True
    """
    start = 8 + int.from_bytes(content[:8], "little")
    entries = json.loads(content[8:start])
    texts = entries.pop("__metadata__", {}) | {NAME: UNKNOWN}
    ordered = {"__metadata__": dict(sorted(texts.items()))}
    ordered |= sorted(entries.items(), key=lambda entry: (entry[1]["data_offsets"], entry[0]))
    header = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    header = len(header).to_bytes(8, "little") + header
    body = memoryview(content)[start:]
    checksum = zlib.crc32(body, zlib.crc32(header))
    return b"".join([header.replace(_field(UNKNOWN), _field(f"{checksum:08x}")), body])


def check_seal(path: Path) -> None:
    """Read a safetensors file once; one without a checksum, of an earlier version, is let pass.

    Parameters
    ----------
    path : Path
        Of the file.

    Raises
    ------
    ValueError
        When it is not what was written.
    """
    with path.open("rb") as file:
        size = file.read(8)
        header = file.read(int.from_bytes(size, "little"))
        told = json.loads(header).get("__metadata__", {}).get(NAME)
        if told is None:
            return
        checksum = zlib.crc32(size + header.replace(_field(told), _field(UNKNOWN)))
        while block := file.read(BLOCK):
            checksum = zlib.crc32(block, checksum)
    if f"{checksum:08x}" != told:
        raise ValueError(f"its checksum is {checksum:08x} and not {told}: it was changed after it was written")


def _field(value: str) -> bytes:
    """As it stands in a header; within a text the quotation marks would be escaped."""
    return f'"{NAME}":"{value}"'.encode()
