"""search(): what lies in the subfolder of a class: images, files of other kinds, and links."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ravl_explore.data.formats import SUFFIXES, is_image

NO_IMAGES = frozenset({  # what lies beside images and is no picture that anybody would miss
    ".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".md", ".rst", ".html", ".htm", ".log",
    ".ini", ".db", ".lnk", ".url", ".py", ".ipynb", ".sh", ".m", ".xls", ".xlsx", ".doc", ".docx", ".rtf", ".parquet",
    ".md5", ".sha1", ".sha256", ".lock", ".tmp", ".bak", ".cache", ".info", ".lst",
})  # fmt: skip
NO_IMAGE_NAMES = frozenset({"readme", "license", "licence", "copying", "makefile", "dicomdir", "md5sums", "sha256sums"})
MOST_ENDINGS, MOST_CLASSES = 5, 10  # each ending in a note of its own, each class with its count
OTHERS = "Files with other endings"


@dataclass
class Content:
    """What lies in the subfolder of a class.

    Attributes
    ----------
    images : list of Path
        Wherever they lie in it, sorted.
    others : Counter of str
        Ending -> how many files of it are no image and might be missed.
    links : list of str
        Links to folders, which are not followed.
    inner : set of str
        Its own subfolders that hold images.
    direct : int
        How many images lie right in it.
    """

    images: list[Path] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    links: list[str] = field(default_factory=list)
    inner: set[str] = field(default_factory=set)
    direct: int = 0


def search(folder: Path) -> Content:
    """All that lies in a subfolder, and in its own; OSError where one of them cannot be read.

    Parameters
    ----------
    folder : Path
    """
    content = Content()
    for parent, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        content.links += [
            str(Path(parent, name).relative_to(folder.parent)) for name in folders if _is_link(parent, name)
        ]
        inner = Path(parent).relative_to(folder).parts
        for name in names:
            path = Path(parent, name)
            if counts(path):
                content.images.append(path)
                content.inner.update(inner[:1])
                content.direct += not inner
            elif _is_missed(path):
                content.others[path.suffix.lower()] += 1
    content.images.sort()
    return content


def _is_link(parent: str, name: str) -> bool:
    return Path(parent, name).is_symlink()


def _raise(error: OSError) -> None:
    raise error


def counts(path: Path) -> bool:
    """Whether a file counts as an image: by its ending, so that a damaged one is told, or else by its first bytes.

    Parameters
    ----------
    path : Path
    """
    if path.name.startswith("."):
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    if path.stem.casefold() in NO_IMAGE_NAMES:
        return False
    try:
        return is_image(path, may_be_text=path.suffix.lower() in NO_IMAGES)
    except OSError:  # reading it tells why
        return path.suffix.lower() not in NO_IMAGES


def _is_missed(path: Path) -> bool:
    """Whether a file that is no image may be one of a kind that is not read."""
    if path.name.startswith("."):
        return path.suffix == ".icloud"  # stands for a picture that a Mac did not download
    return path.suffix.lower() not in NO_IMAGES and path.stem.casefold() not in NO_IMAGE_NAMES


def told_left_out(found: dict[str, Content]) -> list[str]:
    """What was left out of the classes, as sentences: files by ending and class.

    Parameters
    ----------
    found : dict, str -> Content
        By subfolder.
    """
    by_ending: dict[str, Counter[str]] = {}
    for name, content in found.items():
        for ending, count in content.others.items():
            by_ending.setdefault(ending, Counter())[name] = count
    told = sorted(by_ending, key=lambda ending: (-by_ending[ending].total(), ending))[:MOST_ENDINGS]
    if rest := [by_ending[ending] for ending in by_ending if ending not in told]:
        by_ending[OTHERS] = sum(rest, Counter())
        told.append(OTHERS)
    return [
        f"{_files(ending)} were left out, of no kind of image that is read: {_by_class(by_ending[ending])}."
        for ending in told
    ]


def _by_class(counts: Counter[str]) -> str:
    most = [f"{count} of {name!r}" for name, count in counts.most_common(MOST_CLASSES)]
    more = [f"... ({counts.total()} in all)"] if len(counts) > MOST_CLASSES else []
    return ", ".join([*most, *more])


def _files(ending: str) -> str:
    return "Files without an ending" if not ending else ending if ending == OTHERS else f"{ending} files"
