"""SUN397: 397 kinds of scenes, in the official partitions, with CLIP's class names and prompts."""

from __future__ import annotations

from pathlib import Path

from ravl_explore.data.access import readable
from ravl_explore.data.files import ImageFiles
from ravl_explore.data.listed_paths import resolve_inside
from ravl_explore.errors import DataError, InputError
from ravl_explore.support.fields import Field
from ravl_explore.support.files import user_path

TEMPLATES = ("a photo of a {}.", "a photo of the {}.")  # openai/CLIP, data/prompts.md
PARTS = {"train": "Training", "test": "Testing"}
N_PARTITIONS = 10


class Sun397(ImageFiles):
    """One part of one official partition; RaVL uses the test part of the first, 50 images of each class.

    ``root`` holds torchvision's download (``SUN397/a/abbey/sun_*.jpg``, ``SUN397/ClassName.txt``) and the lists of
    ``Partitions.zip`` (``Testing_01.txt`` ...), beside it, in ``Partitions/`` or in ``SUN397/``. Some of the files end
    in .jpg and are something else, which does not matter here.

    Parameters
    ----------
    root : str or Path
        The folder.
    partition : int
        1 to 10.
    part : {"test", "train"}
        RaVL uses the first.

    Raises
    ------
    DataError
        When a list is not there (it says which and where to get it), or names a class that ClassName.txt does not.
    """

    form_label = "SUN397 scenes"
    form = (
        Field("root", "Folder", "path", help="with SUN397/ and the lists of Partitions.zip"),
        Field("partition", "Partition", "integer", default=1, help="1 to 10"),
        Field("part", "Part", "choice", default="test", choices=lambda answers: ("test", "train")),
    )

    def __init__(self, root: str | Path, partition: int = 1, part: str = "test") -> None:
        if not isinstance(part, str) or part not in PARTS:
            raise InputError("part 'train' or 'test' of SUN397", repr(part), "Use one of these.")
        if not 1 <= partition <= N_PARTITIONS:
            raise InputError(f"a partition from 1 to {N_PARTITIONS}", f"{partition}", "RaVL uses 1.")
        folder = user_path(root)
        with readable(folder):
            places = [_entry(line) for line in _lines(folder, "ClassName.txt")]
            images = [_entry(line) for line in _lines(folder, f"{PARTS[part]}_{partition:02}.txt")]
            pictures = folder / "SUN397" if (folder / "SUN397").is_dir() else folder
        label_of = {place: label for label, place in enumerate(places)}
        unknown = [image for image in images if image.rpartition("/")[0] not in label_of]
        if unknown:
            raise DataError(
                f"images of the {len(places)} classes in ClassName.txt",
                f"{len(unknown)} of others, the first {unknown[0]!r}",
                "Take both lists from one release.",
            )
        super().__init__(
            resolve_inside(pictures, images, argument=None),
            [label_of[image.rpartition("/")[0]] for image in images],
            [class_name(place) for place in places],
            name=f"SUN397, partition {partition}, {part}",
            templates=TEMPLATES,
            root=pictures.resolve(),
        )


def class_name(place: str) -> str:
    """CLIP's name of a class: its path after the letter, in words.

    Parameters
    ----------
    place : str
        As ClassName.txt has it.

    Examples
    --------
    >>> class_name("p/podium/indoor"), class_name("/a/airplane_cabin")
    ('podium indoor', 'airplane cabin')
    """
    return " ".join(place.strip("/").split("/")[1:]).replace("_", " ")


def _entry(line: str) -> str:
    return line.strip().lstrip("/").replace("\\", "/")


def _lines(root: Path, name: str) -> list[str]:
    for folder in (root, root / "Partitions", root / "SUN397", root / "SUN397" / "Partitions"):
        if (folder / name).is_file():
            try:
                text = (folder / name).read_text(encoding="utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                raise DataError(f"the list {name}", f"{str(folder / name)!r} ({error})", "Unpack it again.") from error
            return [line for line in text.splitlines() if line.strip()]
    raise DataError(
        f"the list {name}",
        f"none in {str(root)!r}",
        "Unpack Partitions.zip of SUN397 there; torchvision.datasets.SUN397(root, download=True) gets the images.",
    )
