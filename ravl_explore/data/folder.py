"""A folder with one subfolder of images per class."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ravl_explore.data.access import readable
from ravl_explore.data.base import CLIP_TEMPLATES
from ravl_explore.data.columns import listed, names_from, number_notes
from ravl_explore.data.files import ImageFiles
from ravl_explore.data.formats import SUFFIXES, is_image
from ravl_explore.data.labels import places_of
from ravl_explore.data.lazy_images import plain_name
from ravl_explore.errors import DataError
from ravl_explore.support.fields import Field
from ravl_explore.support.files import user_path

SPLITS = frozenset({  # and other parts that datasets come in
    "train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval", "holdout", "fold", "part",
    "batch", "mask", "masks", "annotations", "labels",
})  # fmt: skip
BESIDE_SPLITS = frozenset({"", "set", "split", "data", "dataset", "images", "imgs"})  # "test_images" is a split, too
NO_IMAGES = frozenset({  # what lies beside images and is no picture that anybody would miss
    ".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".md", ".rst", ".html", ".htm", ".log",
    ".ini", ".db", ".lnk", ".url", ".py", ".ipynb", ".sh", ".m", ".xls", ".xlsx", ".doc", ".docx", ".rtf", ".parquet",
    ".md5", ".sha1", ".sha256", ".lock", ".tmp", ".bak", ".cache", ".info", ".lst",
})  # fmt: skip
MOST_ENDINGS, MOST_CLASSES = 5, 10  # each ending in a note of its own, each class with its count
OTHERS = "Files with other endings"
NO_IMAGE_NAMES = frozenset({"readme", "license", "licence", "copying", "makefile", "dicomdir", "md5sums", "sha256sums"})


class Folder(ImageFiles):
    """Images in ``path/<class name>/**``; the subfolders' names are the classes, sorted, numbers as numbers.

    Files with an image's ending count, and of those with another ending or none (as DICOM often has) the ones that
    start like an image. Hidden files and folders do not. Links to folders are not followed, so that none is read twice
    or for ever. Subfolders without an image, such as the ``__MACOSX`` of unpacked archives, are no classes. ``notes``
    tells what was left out: those subfolders, links, images beside the subfolders, and files of other kinds by their
    ending and class, but for texts, tables and the like.

    Parameters
    ----------
    path : folder
    templates : prompts, each with one ``{}``
    class_names : classes in order, as a list or a text with commas, where the subfolders are called otherwise: by
        numbers, which are indices into these, or in some other way (``n01443537``), when there is one name for each
        subfolder, in the order of the subfolders; the subfolders' names unless given

    Raises
    ------
    DataError
        When the folder or one in it cannot be read, or fewer than two subfolders hold an image; when they are the
        splits of a dataset (``train``, ``test``); for subfolders that are not among ``class_names``.
    """

    form_label = "Folder of images"
    form = (
        Field("path", "Folder", "path", help="a folder with one subfolder per class"),
        Field("class_names", "Classes", "text", help="names in order, with commas: cat, dog", required=False),
    )

    def __init__(
        self,
        path: str | Path,
        templates: Sequence[str] = CLIP_TEMPLATES,
        class_names: Sequence[str] | str | None = None,
    ) -> None:
        root = user_path(path)
        with readable(root):
            if not root.is_dir():
                raise DataError(
                    "a folder with one subfolder per class", f"{str(root)!r}, not a folder", "Check the path."
                )
            top = sorted(each for each in root.iterdir() if not each.name.startswith("."))
            found = {each.name: _search(each) for each in top if each.is_dir()}
            beside = [each for each in top if each.name not in found and _counts(each)]
            left_out, links = _left_out(found), [link for content in found.values() for link in content.links]
        subfolders = [name for name, content in found.items() if content.images]
        empty = [name for name, content in found.items() if not content.images]
        _check_layout(root, found, subfolders, empty, beside, left_out, links)
        files = [(name, file) for name in subfolders for file in found[name].images]
        names, labels, told = _classes([name for name, _ in files], subfolders, class_names)
        order = sorted(range(len(files)), key=lambda i: labels[i])  # stable: class after class, and each one's sorted
        super().__init__(
            [files[i][1] for i in order],
            [labels[i] for i in order],
            names,
            name=root.resolve().name,
            templates=templates,
            root=root,
            notes=[
                *([f"Subfolders without an image are no classes: {listed(empty)}."] if empty else []),
                *_split_notes(found, subfolders),
                *told,
                *number_notes(names, class_names),
                *([f"{len(beside)} images right in the folder have no class and were left out."] if beside else []),
                *left_out,
                *([f"Links to folders were not followed: {listed(links)}."] if links else []),
            ],
        )


@dataclass
class _Content:
    """What lies in the subfolder of a class."""

    images: list[Path] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)  # ending -> files that are no image
    links: list[str] = field(default_factory=list)  # to folders
    inner: set[str] = field(default_factory=set)  # its own subfolders that hold images
    direct: int = 0  # images right in it


def _search(folder: Path) -> _Content:
    content = _Content()
    for parent, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        content.links += [
            str(Path(parent, name).relative_to(folder.parent)) for name in folders if _is_link(parent, name)
        ]
        inner = Path(parent).relative_to(folder).parts
        for name in names:
            path = Path(parent, name)
            if _counts(path):
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


def _counts(path: Path) -> bool:
    """Whether a file counts as an image: by its ending, so that a damaged one is told, or else by its first bytes."""
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


def _check_layout(
    root: Path,
    found: dict[str, _Content],
    subfolders: list[str],
    empty: list[str],
    beside: list[Path],
    left_out: list[str],
    links: list[str],
) -> None:
    """Raise DataError where the folder is none of classes, and say what to do."""
    if len(subfolders) < 2 and left_out:
        raise DataError(
            "at least two subfolders with images that can be read",
            f"{listed(subfolders) or 'none'}. {' '.join(left_out).rstrip('.')}",
            "Convert those files to PNG or JPEG.",
        )
    if len(subfolders) < 2 and links:
        raise DataError(
            "at least two subfolders with images",
            f"{listed(subfolders) or 'none'}, since links to folders are not followed: {listed(links)}",
            "Put the images themselves there, or make the class's own subfolder the link.",
        )
    if not subfolders and beside:
        raise DataError(
            "one subfolder of images for each class",
            f"{len(beside)} images right in {str(root)!r} and none in a subfolder",
            "Put each class's images into its own subfolder, or name images and classes in a table (a .csv file).",
        )
    with_classes = [name for name in subfolders if len(found[name].inner) > 1 and not found[name].direct]
    if with_classes and all(map(_like_a_split, subfolders)):
        raise DataError(
            "one subfolder for each class",
            f"{listed(subfolders)}, which are called like the splits of a dataset and hold the classes "
            f"{listed(sorted(found[with_classes[0]].inner))}",
            f"Open one of them, such as {str(root / with_classes[0])!r}.",
        )
    if len(subfolders) == 1 and with_classes:
        raise DataError(
            "at least two subfolders with images",
            f"{subfolders[0]!r} alone, which holds {listed(sorted(found[subfolders[0]].inner))}",
            f"Open {str(root / subfolders[0])!r}, if those are the classes.",
        )
    if len(subfolders) == 1 and empty:
        raise DataError(
            "at least two subfolders with images",
            f"{subfolders[0]!r} alone; without any: {listed(empty)}",
            "Put each class's images into its own subfolder.",
        )


def _like_a_split(name: str) -> bool:
    """Whether a folder is called like a part of a dataset.

    >>> [_like_a_split(name) for name in ("train", "Test_images", "val2017", "trainer", "images")]
    [True, True, True, False, False]
    """
    words = _words(name)
    return not words.isdisjoint(SPLITS) and words <= SPLITS | BESIDE_SPLITS


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z]+", name.casefold()))


def _split_notes(found: dict[str, _Content], subfolders: list[str]) -> list[str]:
    """What to say of subfolders that may be no classes."""
    splits = [name for name in subfolders if _like_a_split(name)]
    others = [name for name in subfolders if name not in splits and _words(name) - BESIDE_SPLITS]
    inner = {name: found[name].inner for name in subfolders}
    inner = {name: set[str]() if all(map(_like_a_split, each)) else each for name, each in inner.items()}
    if len(splits) > 1 or (splits and not others) or any(len(inner[name]) > 1 for name in splits):
        named = listed(splits)
        return [f"Subfolders are taken for classes, though they are called like the splits of a dataset: {named}."]
    held = list(inner.values())
    if len(held) > 1 and len(held[0]) > 1 and all(each == held[0] for each in held):
        return [f"Each class's subfolder holds {listed(sorted(held[0]))}; if those are the classes, open one of them."]
    return []


def _classes(
    of_files: list[str], subfolders: list[str], class_names: Sequence[str] | str | None
) -> tuple[tuple[str, ...], list[int], list[str]]:
    """Class names, each file's place among them, and what to say of it."""
    plain = {name: plain_name(name) for name in subfolders}
    twins = [name for name, count in Counter(plain.values()).items() if count > 1]
    told = [f"Subfolders whose names differ in Unicode's form alone are one class: {listed(twins)}."] if twins else []
    values = [plain[name] for name in of_files]
    given = names_from(class_names)
    names = None if given is None else tuple(map(plain_name, given))
    if names is None or not names:
        names, labels, _ = places_of(values, None)
        return names, labels, told
    called = set(plain.values())
    indices = all(name.isdecimal() and int(name) < len(names) for name in called)
    if called <= set(names) or (indices and called.isdisjoint(names)):
        names, labels, _ = places_of(values, names)
        return names, labels, told
    in_order, labels, _ = places_of(values, None)
    if len(in_order) != len(names) or not called.isdisjoint(names):
        raise DataError(
            "class names that are those of the subfolders, or one for each",
            f"the names {listed(names)} for the subfolders {listed(in_order)}",
            "Give one name for each subfolder, in this order, or leave class_names out.",
        )
    return names, labels, [*told, f"The subfolders {listed(in_order)} are called {listed(names)}, in this order."]


def _left_out(found: dict[str, _Content]) -> list[str]:
    """What was left out of the classes, as sentences: files by ending and class."""
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
