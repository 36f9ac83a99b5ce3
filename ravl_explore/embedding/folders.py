"""Where embeddings and boxes are kept: in the cache's folder, or in one that the user names."""

from __future__ import annotations

from pathlib import Path

from ravl_explore.errors import StorageError
from ravl_explore.support.files import cache_root, user_path


def embeddings_folder(root: Path | None = None) -> Path:
    """Where cached embeddings lie: ``$RAVL_CACHE/embeddings`` unless another root is given."""
    return (root or cache_root()) / "embeddings"


def boxes_folder(root: Path | None = None) -> Path:
    """Where boxes lie that took long to find: ``$RAVL_CACHE/boxes`` unless another root is given."""
    return (root or cache_root()) / "boxes"


def chosen_root(cache: bool | str | Path) -> Path | None:
    """The root that ``embed(cache=...)`` asks for; None for the usual one."""
    return None if isinstance(cache, bool) else user_path(cache)


def cannot_write(folder: Path, error: Exception) -> StorageError:
    """What to raise when a folder cannot be written, or is full.

    Parameters
    ----------
    folder : Path
        Of the cache.
    error : Exception
        What happened.
    """
    return StorageError(
        "room and permission to write embeddings",
        f"{getattr(error, 'strerror', None) or error} at {str(folder)!r}",
        "Free space, or set RAVL_CACHE to another folder, and run again: what is done is kept.",
    )
