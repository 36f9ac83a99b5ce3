"""Every bad input to a dataset is told in three parts that read well: what was expected, what came, what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from ravl_explore.data import (
    Coco,
    Folder,
    HuggingFaceDataset,
    Mnist,
    ObjectCxr,
    Subset,
    Sun397,
    Table,
    label_with_torchxrayvision,
    open_dataset,
)
from ravl_explore.data.reading import read_image
from ravl_explore.errors import MissingDependencyError, RavlError

CSV = "image,label,boxes,g\n"
BAD: dict[str, Callable[[Path], Any]] = {
    "no file": lambda root: read_image(root / "no.png"),
    "empty file": lambda root: read_image(_write(root, "a.png", "")),
    "text": lambda root: read_image(_write(root, "a.png", "text.")),
    "no table": lambda root: Table(root / "no.csv"),
    "no columns": lambda root: Table(_write(root, "t.csv", "a,b\n1,2\n")),
    "unknown column": lambda root: Table(_write(root, "t.csv", CSV), label="x"),
    "no rows": lambda root: Table(_write(root, "t.csv", CSV)),
    "ragged": lambda root: Table(_write(root, "t.csv", CSV + "a,b\n")),
    "outside": lambda root: Table(_write(root, "t.csv", CSV + "../a.png,cat,,\n")),
    "web": lambda root: Table(_write(root, "t.csv", CSV + "https://a/b.png,cat,,\n")),
    "conflict": lambda root: Table(_write(root, "t.csv", CSV + "a.png,cat,,\na.png,dog,,\n")),
    "boxes": lambda root: Table(_write(root, "t.csv", CSV + "a.png,cat,7,\n")),
    "labels": lambda root: Table(_write(root, "t.csv", CSV + "a.png,cat,,\n"), class_names=["x", "y"]),
    "groups": lambda root: Table(_write(root, "t.csv", CSV + "a.png,cat,,q\n"), group="g"),
    "no images": lambda root: Table(_write(root, "t.csv", CSV + "q.png,cat,,\nr.png,dog,,\n")),
    "no json": lambda root: Coco(root / "no.json"),
    "bad json": lambda root: Coco(_write(root, "x.json", "{")),
    "no coco": lambda root: Coco(_write(root, "x.json", "{}")),
    "no mnist": lambda root: Mnist(root),
    "no sun": lambda root: Sun397(root),
    "no cxr": lambda root: ObjectCxr(root),
    "no labels": lambda root: ObjectCxr(_cxr(root)),
    "no hub": lambda root: HuggingFaceDataset(str(root / "no")),
    "no dataset": lambda root: open_dataset(str(root / "no")),
    "twice": lambda root: open_dataset("demo:val?split=test"),
    "categories": lambda root: Coco(_write(root, "x.json", '{"images": [], "annotations": [], "categories": ["cat"]}')),
    "one subfolder": lambda root: Folder(_folders(root)),
    "damaged labels": lambda root: ObjectCxr(_write(_cxr(root), "dev_labels.csv", "name,label\na.jpg,x\n").parent),
    "no readable x-ray": lambda root: label_with_torchxrayvision(
        _cxr(root), model=SimpleNamespace(pathologies=["Cardiomegaly"]), max_unreadable=9
    ),
    "no such option": lambda root: open_dataset("demo:val?x=1"),
    "no subset": lambda root: Subset(open_dataset("demo:val"), [-1]),
}


def _write(root: Path, name: str, content: str) -> Path:
    (root / name).write_text(content)
    return root / name


def _cxr(root: Path) -> Path:
    _write(root, "dev.csv", "image_name,annotation\na.jpg,0 1 1 2 2\n")
    return root


def _folders(root: Path) -> Path:
    for name in ("cat", "dog"):
        (root / name).mkdir()
    Image.new("L", (2, 2)).save(root / "cat" / "a.png")
    return root


@pytest.mark.parametrize("name", BAD)
def test_messages_have_three_parts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "no hub":
        monkeypatch.setattr(pytest.importorskip("datasets").config, "HF_HUB_OFFLINE", True)
    Image.new("L", (2, 2)).save(tmp_path / "b.png")
    with pytest.raises(RavlError) as raised:
        BAD[name](tmp_path)
    error = raised.value
    assert not isinstance(error, MissingDependencyError)
    for part in (error.expected, error.came, error.remedy):
        assert part.strip() == part != "" and "None" not in part and "object at 0x" not in part
    assert not error.expected.endswith(".") and not error.came.endswith(".")
    assert error.remedy[0].isupper() and error.remedy.endswith(".")
    assert len(error.remedy.split()) >= 2 and len(str(error)) < 1000 and "Traceback" not in str(error)
