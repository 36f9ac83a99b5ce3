"""guess(), choose(): which column of a table holds images, labels, captions or boxes, by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Choices = Callable[[Mapping[str, object]], Sequence[str]]  # of a form: the answers so far -> what can be picked
NONE = "(none)"  # the column that is not read
USUAL_NAMES = {
    "image": (
        "image", "imagepath", "path", "file", "filename", "filepath", "imagefile", "imagename", "img", "imgpath",
        "imgname", "imagefilename",
    ),
    "label": ("label", "class", "classname", "labelname", "target", "category", "y", "diagnosis", "finding", "species"),
    "caption": ("caption", "text", "report", "description", "sentence"),
    "boxes": ("boxes", "bboxes", "bbox", "box", "regions"),
}  # fmt: skip


def guess(names: Sequence[str], role: str) -> str | None:
    """The column that by its name holds the image, label, caption or boxes.

    Parameters
    ----------
    names : sequence of str
        The columns that there are.
    role : {"image", "label", "caption", "boxes"}

    Examples
    --------
    >>> guess(["ID", "Image Path", "Class_Name"], "image"), guess(["ID"], "label")
    ('Image Path', None)
    """
    plain_names = {"".join(c for c in name.casefold() if c.isalnum()): name for name in reversed(names)}
    return next((plain_names[usual] for usual in USUAL_NAMES[role] if usual in plain_names), None)


def choose(role: str, names_of: Choices, *, optional: bool = False) -> Choices:
    """Choices of a form: the columns, the likely one first; where ``optional``, NONE too, so that it can be picked.

    Parameters
    ----------
    role : str
        What the column is for; of those in :data:`USUAL_NAMES`, the likely column is known.
    names_of : callable, mapping -> sequence of str
        The columns that there are, by the answers so far.
    optional : bool
        Whether no column at all is a choice.
    """

    def choices(answers: Mapping[str, object]) -> list[str]:
        names = list(dict.fromkeys(names_of(answers)))
        likely = guess(names, role) if role in USUAL_NAMES else None
        first = [NONE] if optional and likely is None else [] if likely is None else [likely]
        last = [NONE] if optional and likely is not None else []
        return [*first, *(name for name in names if name != likely), *last] if names else []

    return choices
