"""Object-CXR: three shapes told apart as text, only rectangles by default, labels from where they are."""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ravl_explore.data import ObjectCxr, label_with_torchxrayvision
from ravl_explore.data.cxr_labels import WEIGHTS_FILE
from ravl_explore.data.object_cxr import parse_annotation
from ravl_explore.errors import DataError, InputError, MissingDependencyError, ModelError

ROWS = {
    "a.jpg": "0 10 20 30 40;1 1 2 3 4",
    "b.jpg": "",
    "c.jpg": "2 5 9 15 1 7 30",
    "d.jpg": "0 50 30 40 25;0 90 70 110 90",
    "e.jpg": "1 11 12 13 14",
}
LABELS = {"a.jpg": "normal", "b.jpg": "normal", "c.jpg": "cardiomegaly", "d.jpg": "cardiomegaly", "e.jpg": "normal"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five grey images of 100 x 80, each with its own value."""
    (tmp_path / "dev").mkdir()
    for i, name in enumerate(ROWS):
        Image.new("L", (100, 80), 50 * i).save(tmp_path / "dev" / name, "PNG")
    lines = "".join(f"{name},{text}\n" for name, text in ROWS.items())
    (tmp_path / "dev.csv").write_text("image_name,annotation\n" + lines)
    write_labels(tmp_path)
    return tmp_path


def write_labels(root: Path, labels: dict[str, str] = LABELS) -> None:
    lines = "".join(f"{name},{label}\n" for name, label in labels.items())
    (root / "dev_labels.csv").write_text("image_name,label\n" + lines)


def values(data: ObjectCxr) -> list[int]:
    return [int(data.image(i)[0, 0, 0]) for i in range(len(data))]


def test_only_rectangles_and_images_with_one(root: Path) -> None:
    data = ObjectCxr(root)
    assert values(data) == [0, 150] and data.labels.tolist() == [1, 0]
    assert data.class_names == ("cardiomegaly", "normal") and data.templates == ("{}",)
    assert data.regions is not None
    assert data.regions.boxes.tolist() == [[10, 20, 30, 40], [40, 25, 50, 30], [90, 70, 100, 80]], (
        "corners in order and cut at the edges"
    )
    assert data.regions.image_index.tolist() == [0, 1, 1]
    assert data.feature_present is not None and data.feature_present.all()
    assert data.region_feature is not None and len(data.region_feature) == 3


def test_other_shapes_count_as_the_box_around_them(root: Path) -> None:
    data = ObjectCxr(root, shapes=["ellipse"])
    assert values(data) == [0, 200] and data.regions is not None
    assert data.regions.boxes.tolist() == [[1, 2, 3, 4], [11, 12, 13, 14]]
    data = ObjectCxr(root, shapes=["polygon", "rectangle"])
    assert values(data) == [0, 100, 150] and data.regions is not None
    assert data.regions.boxes[1].tolist() == [5, 1, 15, 30]


def test_images_without_a_box_can_stay(root: Path) -> None:
    data = ObjectCxr(root, unannotated=True)
    assert len(data) == 5 and data.feature_present is not None
    assert data.feature_present.tolist() == [True, False, True, True, True]
    assert data.regions is not None and data.regions.image_index.tolist() == [0, 3, 3]


def test_shapes_are_told_apart_as_text() -> None:
    assert parse_annotation("0 1 2 3 4") == [("rectangle", (1, 2, 3, 4))]
    assert parse_annotation("1 1 2 3 4; 2 0 0 8 0 4 9 ;") == [("ellipse", (1, 2, 3, 4)), ("polygon", (0, 0, 8, 9))]
    assert parse_annotation("") == []


@pytest.mark.parametrize("text", ["3 1 2 3 4", "0 1 2 3", "0 1 2 3 4 5 6", "1 a b c d", "2 1 2 3", "rectangle 1 2 3 4"])
def test_what_is_no_shape(root: Path, text: str) -> None:
    with pytest.raises(DataError, match="in row 3"):
        parse_annotation(text, 2)
    (root / "dev.csv").write_text(f"image_name,annotation\na.jpg,{text}\n")
    with pytest.raises(DataError, match="in row 1"):
        ObjectCxr(root)


def test_labels_come_from_the_argument_the_file_beside_or_the_column(root: Path, tmp_path: Path) -> None:
    flipped = {name: "normal" if label != "normal" else "cardiomegaly" for name, label in LABELS.items()}
    assert ObjectCxr(root, labels=flipped).labels.tolist() == [0, 1]
    other = tmp_path / "mine.csv"
    other.write_text("label,image_name\r\nNormal,d.jpg\r\ncardiomegaly,a.jpg\r\n")
    assert ObjectCxr(root, labels=other).labels.tolist() == [0, 1]
    (root / "dev_labels.csv").unlink()
    lines = "".join(f"{name},{text},{LABELS[name]}\n" for name, text in ROWS.items())
    (root / "dev.csv").write_text("image_name,annotation,label\n" + lines)
    assert ObjectCxr(root).labels.tolist() == [1, 0]


def test_what_is_missing_is_named(root: Path) -> None:
    with pytest.raises(DataError, match=r"train\.csv"):
        ObjectCxr(root, "train")
    with pytest.raises(DataError, match="splits"):
        ObjectCxr(root, "val")
    with pytest.raises(DataError, match=r"none for 1, the first 'd\.jpg'"):
        ObjectCxr(root, labels={"a.jpg": "normal"})
    with pytest.raises(DataError, match=r"also.*sick"):
        ObjectCxr(root, labels={"a.jpg": "normal", "d.jpg": "sick"})
    for shapes in ("rectangle", ["square"], []):
        with pytest.raises(InputError, match="shapes among"):
            ObjectCxr(root, shapes=shapes)
    (root / "dev_labels.csv").unlink()
    with pytest.raises(DataError, match="label_with_torchxrayvision"):
        ObjectCxr(root)
    (root / "dev.csv").write_text("image_path,annotation\na.jpg,\n")
    with pytest.raises(DataError, match=r"'image_name' .* 'image_path', 'annotation'"):
        ObjectCxr(root)


def test_damaged_labels_are_told_as_they_are(root: Path) -> None:
    (root / "dev_labels.csv").write_text("image_name,label\na.jpg,normal,extra\n")
    with pytest.raises(DataError, match=r"2 cells in each line of .*dev_labels\.csv', got 3"):
        ObjectCxr(root)
    (root / "dev_labels.csv").write_text("image_name,diagnosis\na.jpg,normal\n")
    with pytest.raises(DataError, match=r"'label' in .*dev_labels\.csv', got the columns 'image_name', 'diagnosis'"):
        ObjectCxr(root)
    (root / "dev_labels.csv").write_bytes(b"image_name,label\n\x81,normal\n")
    with pytest.raises(DataError, match=r"UTF-8 or cp1252, got .*dev_labels\.csv"):
        ObjectCxr(root)
    (root / "dev_labels.csv").rename(root / "dev-labels.csv")
    with pytest.raises(DataError, match=r"neither dev_labels\.csv nor .* but the tables 'dev-labels\.csv'") as raised:
        ObjectCxr(root)
    assert isinstance(raised.value.__cause__, DataError)


def test_images_with_an_empty_label_are_left_out_and_counted(root: Path) -> None:
    write_labels(root, LABELS | {"d.jpg": ""})
    data = ObjectCxr(root)
    assert values(data) == [0] and data.notes[0] == "1 images without a label were left out."
    assert data.regions is not None and data.regions.image_index.tolist() == [0]
    write_labels(root, dict.fromkeys(LABELS, ""))
    with pytest.raises(DataError, match="2 whose label is empty"):
        ObjectCxr(root)


def test_missing_images_are_unreadable(root: Path) -> None:
    (root / "dev" / "d.jpg").unlink()
    data = ObjectCxr(root)
    assert data.unreadable() == {1: "no such file"}
    assert data.regions is not None and data.regions.boxes[2].tolist() == [90, 70, 110, 90]


# --- labels -----------------------------------------------------------------------------------------------------------


class Fake:
    """Knows two pathologies; cardiomegaly is the mean brightness, 0..1."""

    pathologies = ("Edema", "Cardiomegaly")

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        self.seen.append(batch)
        bright = (batch.mean((1, 2, 3)) / 1024 + 1) / 2
        return torch.stack([1 - bright, bright], 1)


def test_labels_of_a_model_are_written_where_they_are_looked_for(root: Path) -> None:
    (root / "dev_labels.csv").unlink()
    model, told = Fake(), []
    path = label_with_torchxrayvision(root, model=model, batch_size=2, progress=lambda *step: told.append(step))
    lines = path.read_text().splitlines()
    assert path == root / "dev_labels.csv" and lines[0] == "image_name,label,score"
    assert [line.split(",")[1] for line in lines[1:]] == ["normal"] * 4 + ["cardiomegaly"], "200 / 255 is over 0.6"
    scores = np.array([float(line.split(",")[2]) for line in lines[1:]])
    assert np.allclose(scores, np.array([0, 50, 100, 150, 200]) / 255, atol=1e-4)
    assert [tuple(batch.shape) for batch in model.seen] == [(2, 1, 224, 224)] * 2 + [(1, 1, 224, 224)]
    assert told[-1][:2] == (5, 5)
    assert ObjectCxr(root).labels.tolist() == [1, 1]
    strict = label_with_torchxrayvision(root, model=Fake(), threshold=0.5).read_text().splitlines()
    assert [line.split(",")[1] for line in strict[1:]] == ["normal"] * 3 + ["cardiomegaly"] * 2


def test_unreadable_images_are_skipped_and_listed_up_to_a_limit(root: Path) -> None:
    (root / "dev_labels.csv").unlink()
    content = (root / "dev" / "a.jpg").read_bytes()
    (root / "dev" / "a.jpg").write_bytes(content[:60])  # a whole header
    (root / "dev" / "b.jpg").write_text("no image")
    model = Fake()
    with pytest.raises(DataError, match=r"at most 0 images .* 1 so far: .*b\.jpg"):
        label_with_torchxrayvision(root, model=model)
    assert model.seen == [], "headers are read before the model runs"
    with pytest.raises(DataError, match=r"at most 1 images .* 2 so far: .*a\.jpg.*; .*b\.jpg"):
        label_with_torchxrayvision(root, model=model, max_unreadable=1)
    assert not (root / "dev_labels.csv").exists()
    rows = label_with_torchxrayvision(root, model=model, batch_size=2, max_unreadable=2).read_text().splitlines()
    assert rows[0] == "image_name,label,score,unreadable" and len(rows) == 6
    assert rows[1].startswith("a.jpg,,,") and rows[2].startswith("b.jpg,,,") and len(rows[2]) > len("b.jpg,,,")
    assert [row.split(",")[1] for row in rows[3:]] == ["normal", "normal", "cardiomegaly"]
    scores = np.array([float(row.split(",")[2]) for row in rows[3:]])
    assert np.allclose(scores, np.array([100, 150, 200]) / 255, atol=1e-4), "each with its own image"
    data = ObjectCxr(root)
    assert values(data) == [150] and data.notes[0] == "1 images without a label were left out."
    with pytest.raises(InputError, match="max_unreadable of at least 0"):
        label_with_torchxrayvision(root, model=model, max_unreadable=-1)
    for name in ROWS:
        (root / "dev" / name).write_text("no image")
    with pytest.raises(DataError, match=r"an image that can be read, got 5 so far"):
        label_with_torchxrayvision(root, model=model, max_unreadable=9)


def test_a_detectors_depth_is_that_of_all_images_to_label(root: Path) -> None:
    for name, largest in (("a.jpg", 4000), ("b.jpg", 60000)):
        pixels = np.full((80, 100), 2000, np.uint16)
        pixels[0, 0] = largest
        Image.fromarray(pixels).save(root / "dev" / name, "PNG")
    model = Fake()
    label_with_torchxrayvision(root, model=model)
    assert (model.seen[0][0] == model.seen[0][1]).all(), "the same grey in the square that is seen"


def test_names_of_two_tables_agree_in_any_form_of_unicode(root: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "\u00fc.jpg") for form in ("NFC", "NFD"))
    (root / "dev" / "a.jpg").rename(root / "dev" / apart)
    text = (root / "dev.csv").read_text(encoding="utf-8")
    (root / "dev.csv").write_text(text.replace("a.jpg", apart), encoding="utf-8")
    write_labels(root, {composed if name == "a.jpg" else name: label for name, label in LABELS.items()})
    assert ObjectCxr(root).unreadable() == {}


def test_pixels_span_xrvs_range_and_the_middle_square_is_seen(root: Path) -> None:
    picture = np.zeros((80, 100, 3), np.uint8)
    picture[:, 10:90] = 255
    Image.fromarray(picture).save(root / "dev" / "a.jpg", "PNG")
    model = Fake()
    label_with_torchxrayvision(root, model=model)
    assert (model.seen[0][0] == 1024).all() and (model.seen[0][1] < 0).all(), "the black sides are cut off"


def test_what_the_labels_need_is_named(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Cardiomegaly"):
        label_with_torchxrayvision(root, model=SimpleNamespace(pathologies=["Edema"]))
    monkeypatch.setitem(sys.modules, "torchxrayvision", None)
    with pytest.raises(MissingDependencyError, match=r"ravl-explore\[medical\]"):
        label_with_torchxrayvision(root)
    built: list[Any] = []
    package = SimpleNamespace(
        utils=SimpleNamespace(get_cache_dir=lambda: str(tmp_path / "weights")),
        models=SimpleNamespace(DenseNet=lambda weights: built.append(weights) or SimpleNamespace(eval=Fake)),
    )
    monkeypatch.setitem(sys.modules, "torchxrayvision", package)
    with pytest.raises(ModelError, match=WEIGHTS_FILE):
        label_with_torchxrayvision(root)
    assert built == [], "nothing is downloaded"
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / WEIGHTS_FILE).write_bytes(b"")
    label_with_torchxrayvision(root)
    assert built == ["densenet121-res224-all"]
