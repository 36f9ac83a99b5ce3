"""Hugging Face datasets: saved and Parquet folders, class labels by name, columns found by type or name."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ravl_explore.data import HuggingFaceDataset, Subset
from ravl_explore.errors import DataError, MissingDependencyError

datasets = pytest.importorskip("datasets")
COLORS = ((250, 0, 0), (0, 250, 0), (0, 0, 250))


@pytest.fixture(autouse=True)
def quiet_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing outside of the test's folder is written."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def content(index: int, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4 + index, 3), COLORS[index]).save(out, "PNG", **options)
    return out.getvalue()


def table(labels: Any = (1, 0, 1), names: tuple[str, ...] | None = ("cat", "dog"), **more: Any) -> Any:
    """Three pictures in a column of type Image, the labels as ClassLabel unless ``names`` is None."""
    columns = {"id": [7, 8, 9], "picture": [{"bytes": content(i), "path": f"{i}.png"} for i in range(3)]}
    made = datasets.Dataset.from_dict(columns | {"kind": list(labels)} | more)
    made = made.cast_column("picture", datasets.Image())
    return made if names is None else made.cast_column("kind", datasets.ClassLabel(names=list(names)))


def check(data: HuggingFaceDataset) -> None:
    assert data.class_names == ("cat", "dog") and data.labels.tolist() == [1, 0, 1]
    assert [data.image(i)[0, 0].tolist() for i in range(3)] == [list(color) for color in COLORS]
    assert data.image_sizes.tolist() == [[4, 3], [5, 3], [6, 3]] and data.unreadable() == {}


def test_saved_to_disk_with_and_without_splits(tmp_path: Path) -> None:
    table().save_to_disk(tmp_path / "one")
    check(HuggingFaceDataset(tmp_path / "one"))
    datasets.DatasetDict({"train": table((0, 0, 1)), "test": table()}).save_to_disk(tmp_path / "both")
    check(HuggingFaceDataset(tmp_path / "both"))
    assert HuggingFaceDataset(tmp_path / "both", "train").labels.tolist() == [0, 0, 1]
    with pytest.raises(DataError, match=r"split 'val' .*the splits \['test', 'train'\]"):
        HuggingFaceDataset(tmp_path / "both", "val")


def test_a_folder_of_parquet_takes_the_files_of_the_split(tmp_path: Path) -> None:
    (tmp_path / "set" / "data").mkdir(parents=True)
    table().to_parquet(tmp_path / "set" / "data" / "test-00000-of-00001.parquet")
    table((0, 0, 1)).to_parquet(tmp_path / "set" / "data" / "train-00000-of-00001.parquet")
    check(HuggingFaceDataset(tmp_path / "set"))
    assert HuggingFaceDataset(tmp_path / "set", "train").labels.tolist() == [0, 0, 1]


def test_columns_are_found_by_type_and_can_be_named() -> None:
    made = table(caption=["one", None, "three"], other=["x", "y", "x"])
    data = HuggingFaceDataset(made)
    check(data)
    assert data.captions == ("one", "", "three") and HuggingFaceDataset(made, caption="(none)").captions is None
    data = HuggingFaceDataset(made, label="other", caption="id")
    assert data.class_names == ("x", "y") and data.captions == ("7", "8", "9")
    lists = HuggingFaceDataset(table(caption=[["first", "second"], [], ["third"]]))
    assert lists.captions == ("first", "", "third")
    with pytest.raises(DataError, match=r"the column 'kind2' in .* 'id', 'picture', 'kind'"):
        HuggingFaceDataset(table(), label="kind2")
    with pytest.raises(DataError, match=r"a column with each label .* label=\.\.\."):
        HuggingFaceDataset(table(names=None).rename_column("kind", "k"))


def test_plain_labels_are_names_or_numbers() -> None:
    data = HuggingFaceDataset(table(("dog", "cat", "dog"), None), label="kind")
    assert data.class_names == ("cat", "dog") and data.labels.tolist() == [1, 0, 1]
    data = HuggingFaceDataset(table((1, 0, 1), None), label="kind", class_names=["hen", "cow"])
    assert data.class_names == ("hen", "cow") and data.labels.tolist() == [1, 0, 1]
    with pytest.raises(DataError, match="labels among the class names 'hen'"):
        HuggingFaceDataset(table(("dog", "cat", "dog"), None), label="kind", class_names=["hen", "dog"])


def test_hidden_and_missing_labels_are_dropped_and_counted() -> None:
    data = HuggingFaceDataset(table((1, -1, 0)))
    assert data.labels.tolist() == [1, 0] and data.notes == ("1 rows without a label were dropped.",)
    assert data.image(1)[0, 0].tolist() == list(COLORS[2]) and data.where(1) == "row 2 of dataset"
    with pytest.raises(DataError, match="rows with a label, got none among 3"):
        HuggingFaceDataset(table((-1, -1, -1)))


def test_pictures_are_read_as_files_are_and_bad_ones_named(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    made = datasets.Dataset.from_dict(
        {
            "image": [
                {"bytes": content(0, exif=exif), "path": None},
                {"bytes": b"broken", "path": "b.png"},
                {"bytes": None, "path": str(tmp_path / "c.png")},
                None,
            ],
            "label": ["cat", "dog", "cat", "dog"],
        }
    ).cast_column("image", datasets.Image())
    (tmp_path / "c.png").write_bytes(content(2))
    data = HuggingFaceDataset(made)
    assert data.image(0).shape == (4, 3, 3), "turned"
    assert data.image(2)[0, 0].tolist() == list(COLORS[2])
    assert data.unreadable() == {
        1: "not an image: it starts like none of the formats that are read",
        3: "an empty file, 0 bytes",
    }
    with pytest.raises(DataError, match=r"'row 1 of dataset' .not an image"):
        data.image(1)
    assert Subset(data, [2, 0]).image_sizes.tolist() == [[6, 3], [3, 4]]


def test_fingerprints(tmp_path: Path) -> None:
    table().save_to_disk(tmp_path / "one")
    first = HuggingFaceDataset(tmp_path / "one").fingerprint()
    assert HuggingFaceDataset(tmp_path / "one", caption="id").fingerprint() == first
    table((1, -1, 1)).save_to_disk(tmp_path / "two")
    assert HuggingFaceDataset(tmp_path / "two").fingerprint() != first


def test_the_form_knows_the_columns_of_folders(tmp_path: Path) -> None:
    choices = {field.name: field.choices for field in HuggingFaceDataset.form}["label"]
    assert choices is not None
    table().save_to_disk(tmp_path / "one")
    assert choices({"name": str(tmp_path / "one")}) == ["id", "picture", "kind"]
    datasets.DatasetDict({"test": table()}).save_to_disk(tmp_path / "both")
    assert choices({"name": str(tmp_path / "both"), "split": "test"}) == ["id", "picture", "kind"]
    (tmp_path / "set").mkdir()
    table().to_parquet(tmp_path / "set" / "test.parquet")
    assert choices({"name": str(tmp_path / "set")}) == ["id", "picture", "kind"]
    assert choices({}) == choices({"name": "org/name"}) == choices({"name": str(tmp_path / "none")}) == []


@pytest.mark.parametrize(
    "content", ["{", "", "[]", "5", '{"features": 5}', '{"features": ["a"]}', "\udcff", "[" * 100_000]
)
def test_a_damaged_description_is_told(tmp_path: Path, content: str) -> None:
    choices = {field.name: field.choices for field in HuggingFaceDataset.form}["label"]
    assert choices is not None
    table().save_to_disk(tmp_path / "one")
    described = tmp_path / "one" / "dataset_info.json"
    described.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=r"description.*dataset_info\.json"):
        choices({"name": str(tmp_path / "one")})
    with pytest.raises(DataError, match=r"one"):
        HuggingFaceDataset(tmp_path / "one")


def test_numbers_as_class_names_are_told_and_can_be_named_in_one_text() -> None:
    data = HuggingFaceDataset(table([1, 0, 1], names=("0", "1")))
    assert data.notes == ("Class names are numbers; give class_names for prompts that say something.",)
    data = HuggingFaceDataset(table([1, 0, 1], names=None), label="kind", class_names="cat, dog")
    assert data.class_names == ("cat", "dog") and data.labels.tolist() == [1, 0, 1] and data.notes == ()


def test_what_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"'test' of the dataset 'nobody/nothing'.*save_to_disk"):
        HuggingFaceDataset("nobody/nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty"):
        HuggingFaceDataset(tmp_path / "empty")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "state.json").write_text("{")
    with pytest.raises(DataError, match="broken"):
        HuggingFaceDataset(tmp_path / "broken")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r"ravl-explore\[hf\]"):
        HuggingFaceDataset("any/thing")


def test_rows_are_read_by_many_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    made = datasets.concatenate_datasets([table()] * 40)
    data = HuggingFaceDataset(made)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: data.image(i)[0, 0].tolist(), range(120)))
    assert np.array_equal(found, np.tile(COLORS, (40, 1)))
