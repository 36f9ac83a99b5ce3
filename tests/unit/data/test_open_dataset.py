"""One line of text opens every kind of dataset; what it is not is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from ravl_explore import data
from ravl_explore.data import open_dataset
from ravl_explore.errors import DataError, InputError
from ravl_explore.support.fields import Field
from ravl_explore.synthetic.stand_ins import make_object_cxr, make_sun397


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / name / "a.png")
    frame = pd.DataFrame({"file": ["cat/a.png", "dog/a.png"], "label": ["cat", "dog"], "finding": ["x", "y"]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "t.parquet")
    coco = {
        "images": [{"id": i, "file_name": f"{name}/a.png"} for i, name in ((1, "cat"), (2, "dog"))],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "hen"}],
        "annotations": [{"image_id": i, "category_id": i, "bbox": [1, 1, 2, 2]} for i in (1, 2)],
    }
    (tmp_path / "val.json").write_text(json.dumps(coco))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "kind"),
    [("", "Folder"), ("t.csv", "Table"), ("t.tsv", "Table"), ("t.parquet", "Table"), ("val.json", "Coco")],
)
def test_files_and_folders_by_what_they_are(root: Path, text: str, kind: str) -> None:
    assert type(open_dataset(str(root / text))).__name__ == kind
    assert type(open_dataset(f" {root / text} ")).__name__ == kind


def test_demo() -> None:
    assert [open_dataset(text).name for text in ("demo:", "demo:test")] == [
        "Demo: garments, val",
        "Demo: garments, test",
    ]


def test_options_are_the_arguments_of_the_class(root: Path) -> None:
    assert open_dataset(f"{root / 't.csv'}?label=finding&image=file").class_names == ("x", "y")
    assert open_dataset(f"{root / 'val.json'}?classes=dog, cat").class_names == ("dog", "cat")
    with pytest.raises(InputError, match=r"options among path, image, label.*'lable'"):
        open_dataset(f"{root / 't.csv'}?lable=finding")
    (root / "odd?name").mkdir()
    for name in ("a", "b"):
        (root / "odd?name" / name).mkdir()
        Image.new("L", (8, 8)).save(root / "odd?name" / name / "a.png")
    assert open_dataset(str(root / "odd?name")).class_names == ("a", "b"), "a question mark in a name"


def test_an_option_may_not_repeat_what_stands_before_it(root: Path) -> None:
    for text, name in (
        ("demo:val?split=test", "split"),
        (f"{root / 't.csv'}?path={root / 't.tsv'}", "path"),
        (f"{root / 'val.json'}?annotations=x.json", "annotations"),
        (f"{root}?path=x", "path"),
        (f"mnist:{root}?root=x", "root"),
        (f"hf:{root}?name=x", "name"),
    ):
        with pytest.raises(InputError, match=rf"one {name} in .* before the question mark .* Leave one of them out"):
            open_dataset(text)
    with pytest.raises(DataError, match=r"none called .* in 'nowhere'"):
        open_dataset("mnist:?root=nowhere")


def test_an_option_may_not_come_twice(root: Path) -> None:
    with pytest.raises(InputError, match=r"option label once, got the values \['label', 'finding'\]"):
        open_dataset(f"{root / 't.csv'}?label=label&label=finding")
    with pytest.raises(InputError, match=r"Write classes=a,b"):
        open_dataset(f"{root / 'val.json'}?classes=cat&classes=dog")


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("unannotated=maybe", "yes or no for unannotated, got 'maybe'"),
        ("unannotated", "yes or no for unannotated, got ''"),
        ("=x", "options among root, split"),
    ],
)
def test_options_that_are_wrong(tmp_path: Path, option: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        open_dataset(f"object-cxr:{tmp_path}?{option}")


def test_options_of_several_labels_and_templates(root: Path) -> None:
    (root / "n.csv").write_text("file,label\ncat/a.png,Mass|Effusion\ndog/a.png,Mass\n")
    data = open_dataset(f"{root / 'n.csv'}?positive=Effusion&templates=an X-ray of {{}}&class_names=")
    assert data.class_names == ("Effusion", "no Effusion") and data.templates == ("an X-ray of {}",)
    with pytest.raises(DataError, match="at least two classes, got 'Mass' alone; 1 images with several labels"):
        open_dataset(f"{root / 'n.csv'}?multiple=drop")
    with pytest.raises(InputError, match="multiple among"):
        open_dataset(f"{root / 'n.csv'}?multiple=yes")


def test_paths_are_lines_too_and_datasets_are_none(root: Path) -> None:
    assert open_dataset(root / "t.csv").class_names == ("cat", "dog")
    with pytest.raises(InputError, match="a line of text, got Demo"):
        open_dataset(data.Demo("val"))  # type: ignore[arg-type]


def test_named_sets(tmp_path: Path) -> None:
    cxr, sun = make_object_cxr(tmp_path / "cxr", 12), make_sun397(tmp_path / "sun", 3, 2)
    assert open_dataset(f"object-cxr:{cxr}").name == "Object-CXR, dev"
    more = open_dataset(f"object-cxr:{cxr}?shapes=rectangle,ellipse,polygon&unannotated=true")
    assert len(more) == 12 > len(open_dataset(f"object-cxr:{cxr}"))
    assert open_dataset(f"sun397:{sun}?part=train&partition=1").name == "SUN397, partition 1, train"
    with pytest.raises(InputError, match="a whole number for partition"):
        open_dataset(f"sun397:{sun}?partition=one")
    for text in ("mnist:", "fashion-mnist:"):
        with pytest.raises(DataError, match="MNIST's files"):
            open_dataset(f"{text}{tmp_path}")


def test_hugging_face(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    picture = Image.new("L", (8, 8))
    made = datasets.Dataset.from_dict({"image": [picture, picture], "label": ["cat", "dog"]})
    made.save_to_disk(tmp_path / "saved")
    for text in (f"hf:{tmp_path / 'saved'}", str(tmp_path / "saved")):
        assert type(open_dataset(text)).__name__ == "HuggingFaceDataset"


@pytest.mark.parametrize("text", ["", "nowhere", "nowhere/", "a.png", "other:thing", "nowhere?split=test"])
def test_anything_else_says_what_there_is(text: str) -> None:
    if not text:
        text = "  "
    with pytest.raises(DataError, match=r"demo:val, a folder, .* sun397:FOLDER"):
        open_dataset(text)


def parts() -> list[tuple[str, Any]]:
    return [(name, part) for name in data.__all__ if hasattr(part := getattr(data, name), "form")]


@pytest.mark.parametrize(("name", "part"), parts(), ids=[name for name, _ in parts()])
def test_forms_ask_for_arguments_that_there_are(name: str, part: Any) -> None:
    import inspect

    known = inspect.signature(part).parameters
    assert part.form_label and all(isinstance(field, Field) for field in part.form)
    for field in part.form:
        assert field.name in known
        needed = known[field.name].default is inspect.Parameter.empty
        assert field.required or not needed, f"{field.name} has no default"
        if field.choices is not None:
            assert list(field.choices({})) == list(field.choices({})) and len(field.label) <= 10


def test_every_source_has_a_form_or_a_menu() -> None:
    nouns = {"ArrayDataset", "ImageFiles", "Subset", "ImageTextDataset", "open_dataset", "label_with_torchxrayvision"}
    assert {name for name in data.__all__ if not hasattr(getattr(data, name), "form")} == nouns | {"Demo"}
