"""A folder with one subfolder of images per class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ravl_explore.data.access import readable
from ravl_explore.data.base import CLIP_TEMPLATES
from ravl_explore.data.columns import listed, names_from, number_notes
from ravl_explore.data.files import ImageFiles
from ravl_explore.data.folder_content import Content, counts, search, told_left_out
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


class Folder(ImageFiles):
    """Images in ``path/<class name>/**``; the subfolders' names are the classes, sorted, numbers as numbers.

    Files with an image's ending count, and of those with another ending or none (as DICOM often has) the ones that
    start like an image. Hidden files and folders do not. Links to folders are not followed, so that none is read twice
    or for ever. Subfolders without an image, such as the ``__MACOSX`` of unpacked archives, are no classes. ``notes``
    tells what was left out: those subfolders, links, images beside the subfolders, and files of other kinds by their
    ending and class, but for texts, tables and the like.

    Parameters
    ----------
    path : str or Path
        The folder.
    templates : sequence of str
        Prompts, each with one ``{}``.
    class_names : sequence of str, or str, or None
        Classes in order, as a list or a text with commas, where the subfolders are called otherwise: by numbers, which
        are indices into these, or in some other way (``n01443537``), when there is one name for each subfolder, in the
        order of the subfolders; the subfolders' names unless given.

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
            found = {each.name: search(each) for each in top if each.is_dir()}
            beside = [each for each in top if each.name not in found and counts(each)]
            left_out, links = told_left_out(found), [link for content in found.values() for link in content.links]
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


def _check_layout(
    root: Path,
    found: dict[str, Content],
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


def _split_notes(found: dict[str, Content], subfolders: list[str]) -> list[str]:
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
