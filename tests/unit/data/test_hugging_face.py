"""Hugging Face datasets: saved and Parquet folders, class labels by name, columns found by type or name."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ravl_explore.data import HuggingFaceDataset, Subset
from ravl_explore.errors import DataError, InputError, MissingDependencyError

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


# --- splits -----------------------------------------------------------------------------------------------------------


def shards(folder: Path, *names: str) -> Path:
    """Parquet files, the labels of the i-th of which are (i % 2, 1, 0)."""
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        table((i % 2, 1, 0)).to_parquet(folder / name)
    return folder


@pytest.mark.parametrize(
    ("names", "split", "there"),
    [
        (("train-00000-of-00001.parquet", "test-00000-of-00001.parquet"), "validation", "'test', 'train'"),
        (("val.parquet", "train.parquet"), "validation", "'train', 'val'"),
        (("testing.parquet",), None, "'testing'"),
        (("train.parquet",), None, "'train'"),
        (("train_extra.parquet", "test.parquet"), "train", "'test', 'train_extra'"),
        (("default/train/0000.parquet", "default/partial-test/0000.parquet"), "test", "'partial-test', 'train'"),
        (("cifar-train.parquet", "cifar-testing.parquet"), "test", "'cifar-testing', 'cifar-train'"),
        (("train-test.parquet", "a-train.parquet"), "test", "'a-train', 'train-test'"),
        (("test_a-b.parquet", "train.parquet"), "test", "'test_a-b', 'train'"),
        (("part-0.parquet",), "test", None),
    ],
)
def test_another_split_is_never_taken(tmp_path: Path, names: tuple[str, ...], split: Any, there: str | None) -> None:
    told = rf"the splits \[{there}\]" if there else "files that name no split. Leave the split out"
    with pytest.raises(DataError, match=told):
        HuggingFaceDataset(shards(tmp_path / "set", *names), split)


@pytest.mark.parametrize(
    ("names", "split", "first"),
    [
        (
            ("train-00000-of-00002.parquet", "train_extra.parquet", "train-00001-of-00002.parquet"),
            "train",
            [0, 1, 0] * 2,
        ),
        (("train_extra.parquet", "train.parquet"), "train_extra", [0, 1, 0]),
        (("en/train/0000.parquet", "en/test/0000.parquet"), None, [1, 1, 0]),
        (("test_0.parquet", "test_1.parquet"), None, [0, 1, 0, 1, 1, 0]),
        (("train.parquet", "test.parquet"), "train[:1]+test", [0, 1, 1, 0]),
        (("partial-test/0.parquet", "my-train.parquet"), "my-train", [1, 1, 0]),
    ],
)
def test_files_of_a_split(tmp_path: Path, names: tuple[str, ...], split: Any, first: list[int]) -> None:
    data = HuggingFaceDataset(shards(tmp_path / "set", *names), split)
    assert data.labels.tolist() == first and not any("plit" in note for note in data.notes)


@pytest.mark.parametrize(
    ("names", "split", "first"),
    [
        (("train-a.parquet", "train-b.parquet", "chest-test.parquet"), "train", [0, 1, 0, 1, 1, 0]),
        (("train-a.parquet", "chest-test.parquet", "train-b.parquet"), None, [1, 1, 0]),
        (("a.val.parquet", "b-test-00000-of-00002.parquet", "b-test-00001-of-00002.parquet"), "val", [0, 1, 0]),
        (("a.val.parquet", "b-test-00000-of-00002.parquet", "a test 7.parquet"), "test", [0, 1, 0, 1, 1, 0]),
        (("en/x-test.parquet", "en/x-train.parquet"), "train+test", [1, 1, 0, 0, 1, 0]),
    ],
)
def test_files_with_the_split_as_a_word(tmp_path: Path, names: tuple[str, ...], split: Any, first: list[int]) -> None:
    data = HuggingFaceDataset(shards(tmp_path / "set", *names), split)
    assert data.labels.tolist() == first and "by a word in their names" in data.notes[0]


def test_files_that_name_no_split_and_configurations(tmp_path: Path) -> None:
    data = HuggingFaceDataset(shards(tmp_path / "a", "one.parquet"))
    assert data.notes == ("Split unknown: 1 Parquet files that name none were read.",)
    folder = shards(tmp_path / "b", "de/test-00000-of-00001.parquet", "en/test-00000-of-00001.parquet")
    with pytest.raises(DataError, match=r"one configuration, got .* 'de', 'en'"):
        HuggingFaceDataset(folder)
    assert HuggingFaceDataset(folder, config="en").labels.tolist() == [1, 1, 0]
    with pytest.raises(DataError, match="configuration 'fr', got the folders 'de', 'en'"):
        HuggingFaceDataset(folder, config="fr")
    assert len(HuggingFaceDataset(folder / "en" / "test-00000-of-00001.parquet")) == 3, "one file alone"
    (tmp_path / "t.csv").write_text("")
    with pytest.raises(DataError, match="Open a table of paths with Table"):
        HuggingFaceDataset(tmp_path / "t.csv")


def test_splits_of_what_is_handed_over_or_saved(tmp_path: Path) -> None:
    both = datasets.DatasetDict({"train": table((0, 0, 1)), "test": table()})
    check(HuggingFaceDataset(both))
    assert HuggingFaceDataset(both, split="train").labels.tolist() == [0, 0, 1]
    with pytest.raises(DataError, match=r"split 'val' .*the splits \['test', 'train'\]"):
        HuggingFaceDataset(both, "val")
    made = table()
    made.info.splits, made._split = None, datasets.Split.TRAIN
    made.save_to_disk(tmp_path / "one")
    for given in (made, tmp_path / "one"):
        check(HuggingFaceDataset(given))
        check(HuggingFaceDataset(given, "train"))
        with pytest.raises(DataError, match=r"split 'validation' of .*, got the splits \['train'\]"):
            HuggingFaceDataset(given, "validation")


# --- what was handed over ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["torch", "numpy", "pandas", "arrow", "columns", "transform"])
def test_formats_and_transforms_are_taken_off(kind: str) -> None:
    made = table((1, 0, 1), None, caption=["one", "two", "three"])
    if kind == "transform":
        formatted = made.with_transform(shout)
    elif kind == "columns":
        formatted = made.with_format("numpy", columns=["id"])
    else:
        formatted = made.with_format(kind)
    data = HuggingFaceDataset(formatted, label="kind")
    assert data.class_names == ("0", "1") and data.labels.tolist() == [1, 0, 1]
    assert data.captions == ("one", "two", "three") and data.image(2)[0, 0].tolist() == list(COLORS[2])
    named = HuggingFaceDataset(table().with_format("numpy"))
    check(named)


def shout(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: ["LOUD" for _ in values] for name, values in rows.items()}


@pytest.mark.parametrize(
    ("make", "kind", "remedy"),
    [
        (lambda: table().to_iterable_dataset(), DataError, "without streaming=True"),
        (lambda: datasets.IterableDatasetDict({"test": table().to_iterable_dataset()}), DataError, "streaming"),
        (lambda: table().to_pandas(), InputError, "from_pandas"),
        (lambda: [{"image": 1}], InputError, "from_list"),
        (lambda: {"image": [1]}, InputError, "from_dict"),
        (lambda: None, InputError, "ArrayDataset"),
        (lambda: Subset(HuggingFaceDataset(table()), [0, 1]), InputError, "ArrayDataset"),
    ],
)
def test_near_types_are_told_apart(make: Any, kind: type, remedy: str) -> None:
    with pytest.raises(kind, match=remedy):
        HuggingFaceDataset(make())


def test_several_labels_of_a_row() -> None:
    several = datasets.List(datasets.ClassLabel(names=["cat", "dog"])) if hasattr(datasets, "List") else (
        datasets.Sequence(datasets.ClassLabel(names=["cat", "dog"]))
    )  # fmt: skip
    made = table(names=None, several=[[0], [1, 0], []]).cast_column("several", several)
    with pytest.raises(DataError, match=r"several for 1 of 2, such as 'dog', 'cat' in row 2"):
        HuggingFaceDataset(made, label="several")
    data = HuggingFaceDataset(made, label="several", multiple="drop")
    assert data.class_names == ("cat", "dog") and data.labels.tolist() == [0]
    assert data.notes == (
        "1 rows without a label were dropped.",
        "1 images with several labels were left out.",
        "No image is of the classes 'dog'; predictions may be.",
    )
    assert HuggingFaceDataset(made, label="several", positive="dog").labels.tolist() == [1, 0]
    with pytest.raises(DataError, match="multiple='drop'"):
        HuggingFaceDataset(table(("a|b", "a", "b"), None), label="kind")
    assert HuggingFaceDataset(table((0, 1, 0), ("a|b", "c"))).class_names == ("a|b", "c"), "a declared name is one"
    with pytest.raises(DataError, match="a record in row 1"):
        HuggingFaceDataset(table(names=None, objects=[{"a": 1}] * 3), label="objects")


def test_class_labels_without_a_row_stay_and_are_told() -> None:
    data = HuggingFaceDataset(table(names=("cat", "dog", "hen")))
    assert data.class_names == ("cat", "dog", "hen")
    assert data.notes == ("No image is of the classes 'hen'; predictions may be.",)


def test_a_column_that_holds_no_images_is_told() -> None:
    for column in ("id", "caption"):
        with pytest.raises(DataError, match=rf"one image in each row of '{column}'"):
            HuggingFaceDataset(table(caption=[["a"], ["b"], ["c"]]), image=column)


# --- nothing outside of the folder ------------------------------------------------------------------------------------


@pytest.fixture
def private(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "private.png").write_bytes(content(0))
    return tmp_path / "home" / "private.png"


def naming(path: str, folder: Path) -> Path:
    """A folder of Parquet whose images are paths."""
    folder.mkdir(exist_ok=True)
    made = datasets.Dataset.from_dict({"image": [{"bytes": None, "path": path}] * 2, "label": ["a", "b"]})
    made.to_parquet(folder / "test.parquet")
    return folder


def test_images_outside_of_the_folder_are_refused(tmp_path: Path, private: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "a.png").symlink_to(private)
    for path, folder in (
        (str(private), "a"),
        ("../home/private.png", "b"),
        ("a.png", "linked"),
        ("https://a/b.png", "c"),
    ):
        with pytest.raises(DataError, match=r"image files inside .*which leads elsewhere\. If you trust"):
            HuggingFaceDataset(naming(path, tmp_path / folder), image="image", label="label")


def test_images_inside_are_found_from_the_folder_on(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(content(2))
    for path in ("a.png", str(tmp_path / "set" / "a.png")):
        data = HuggingFaceDataset(naming(path, tmp_path / "set"), image="image", label="label")
        assert data.image(1)[0, 0].tolist() == list(COLORS[2])


def test_files_of_the_dataset_itself_are_refused_outside(tmp_path: Path, private: Path) -> None:
    secret = shards(tmp_path / "home", "test.parquet") / "test.parquet"
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "test.parquet").symlink_to(secret)
    (tmp_path / "card").mkdir()
    table().save_to_disk(tmp_path / "home" / "saved")
    table().save_to_disk(tmp_path / "saved")
    state = (tmp_path / "saved" / "state.json").read_text()
    (tmp_path / "saved" / "state.json").write_text(state.replace('"data-', '"../home/saved/data-'))
    for pattern in ("../home/*.parquet", str(secret), "https://example.org/a.parquet"):
        card = f"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: test\n    path: {pattern}\n---\n"
        (tmp_path / "card" / "README.md").write_text(card)
        with pytest.raises(DataError, match="leads elsewhere"):
            HuggingFaceDataset(tmp_path / "card")
    described = tmp_path / "bare" / ".huggingface.yaml"
    described.parent.mkdir()
    (described.parent / "test.csv").write_text("a\n1\n")
    for pattern in ("../home/*.parquet", str(secret), "https://example.org/a.parquet", "hf://datasets/a/b/c.parquet"):
        for files in (f"[{{split: test, path: ['test.csv', '{pattern}']}}]", f"{{test: '{pattern}'}}", f"'{pattern}'"):
            described.write_text(f"configs:\n- config_name: default\n  data_files: {files}\n")
            with pytest.raises(DataError, match="leads elsewhere"):
                HuggingFaceDataset(tmp_path / "bare")
    for damaged in ("a: [", "- a", "\0", "[" * 5000):
        described.write_text(damaged)
        with pytest.raises(DataError, match=r"\.huggingface\.yaml"):
            HuggingFaceDataset(tmp_path / "bare")
    described.write_text("configs: &a [*a]\n")
    with pytest.raises(DataError):
        HuggingFaceDataset(tmp_path / "bare")
    described.unlink()
    os.mkfifo(described)
    with pytest.raises(DataError, match="a pipe or device"):
        HuggingFaceDataset(tmp_path / "bare")
    for folder in ("linked", "saved"):
        with pytest.raises(DataError, match="leads elsewhere"):
            HuggingFaceDataset(tmp_path / folder)
    (tmp_path / "card" / "README.md").write_text("---\na: [\n---\n")
    with pytest.raises(DataError, match=r"README\.md"):
        HuggingFaceDataset(tmp_path / "card")


@pytest.mark.parametrize("error", [ImportError("no torchcodec"), IndexError("empty")])
def test_what_loading_raises_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=str(error)):
        HuggingFaceDataset(tmp_path)


def test_a_folder_of_images_opens_and_what_its_table_names_must_lie_in_it(tmp_path: Path, private: Path) -> None:
    for i, name in enumerate(("cat", "dog")):
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "a.png").write_bytes(content(i))
    data = HuggingFaceDataset(tmp_path / "set", "train")
    assert data.class_names == ("cat", "dog") and data.image(1)[0, 0].tolist() == list(COLORS[1])
    with pytest.raises(DataError, match="train"):
        HuggingFaceDataset(tmp_path / "set")


def test_rows_are_read_by_many_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    made = datasets.concatenate_datasets([table()] * 40)
    data = HuggingFaceDataset(made)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: data.image(i)[0, 0].tolist(), range(120)))
    assert np.array_equal(found, np.tile(COLORS, (40, 1)))
