"""Writing files so that either all of a file is there or none of it, and the folder where caches go."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravl_explore.errors import StorageError

if TYPE_CHECKING:
    import numpy as np

FORMAT = "ravl_explore 1"


def cache_root() -> Path:
    """``$RAVL_CACHE``, or ``~/.cache/ravl_explore``; it need not exist yet."""
    return Path(os.environ.get("RAVL_CACHE") or Path.home() / ".cache" / "ravl_explore")


def write_whole(path: Path, content: bytes) -> Path:
    """Write ``content`` to a hidden neighbour first, then rename it; an older file stays until then.

    Raises
    ------
    StorageError
        When the folder is not there, or the disk is full or read-only; nothing half-written is left.
    """
    if not path.parent.is_dir():
        raise StorageError("an existing folder", f"{str(path.parent)!r}", "Create it, or check the path.")
    neighbour: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        neighbour = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        neighbour.chmod(0o644)
        neighbour.replace(path)
    except OSError as error:
        if neighbour is not None:
            neighbour.unlink(missing_ok=True)
        raise StorageError(
            f"room and permission to write {len(content) / 1e6:.1f} MB to {str(path)!r}",
            f"{error.strerror or error}",
            "Free space or choose another folder, then save again; nothing was changed.",
        ) from error
    except BaseException:  # the kernel was interrupted
        if neighbour is not None:
            neighbour.unlink(missing_ok=True)
        raise
    return path


def result_bytes(
    kind: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], model_says: Mapping[str, str] | None = None
) -> bytes:
    """A result as one safetensors file: arrays, and in the header one JSON text that says what they are.

    Parameters
    ----------
    kind : "discovery", "embeddings", "mitigation", ...
    model_says : what else stands in the header, so that the arrays open as a checkpoint
    """
    from safetensors.numpy import save

    header = {**(model_says or {}), "format": FORMAT, "kind": kind, "meta": json.dumps(meta)}
    return save(dict(arrays), header)
