"""Tables and settings: what is in them, in which order, and that odd names and failures do no harm."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ravl_explore.embedding.skipping import Unreadable
from ravl_explore.errors import InputError, MissingDependencyError, StorageError
from ravl_explore.report import tables as export
from ravl_explore.report.tables import write_tables


class Files:
    """As much of a dataset as the tables need: images with paths."""

    def __init__(self, n_images: int, path: str = "/images/{}.png") -> None:
        self._n_images, self._path = n_images, path

    def __len__(self) -> int:
        return self._n_images

    def where(self, index: int) -> str:
        return self._path.format(index)


def with_embeddings(discovery: Any, **changes: Any) -> Any:
    """The discovery with other fields of its embeddings."""
    embeddings = replace(discovery.scores.embeddings, **changes)
    return replace(discovery, scores=replace(discovery.scores, embeddings=embeddings))


def test_clusters_are_the_frame_best_first(make_discovery: Callable[..., Any], tmp_path: Path) -> None:
    discovery = make_discovery(min_influence=0.3)
    assert 0 < len(discovery.features) < len(discovery.clusters)
    write_tables(discovery, None, tmp_path)
    stored, frame = pd.read_parquet(tmp_path / "clusters.parquet"), discovery.frame()
    assert list(stored.columns) == [*frame.columns, "medoid_region"]
    for column in frame.columns:
        assert stored[column].tolist() == frame[column].tolist(), column
    assert stored["rank"].tolist() == list(range(1, len(frame) + 1))
    for row in stored.to_dict("records"):
        assert discovery.clustering.labels[row["medoid_region"]] == row["cluster"]
        assert discovery.feature(row["cluster"]).region_index[0] == row["medoid_region"], "most similar to itself"


def test_regions_row_by_row(make_discovery: Callable[..., Any], tmp_path: Path) -> None:
    discovery = make_discovery()
    write_tables(discovery, Files(60), tmp_path)
    stored = pd.read_parquet(tmp_path / "regions.parquet")
    scores, embeddings = discovery.scores, discovery.scores.embeddings
    assert list(stored.columns) == [
        "region", "image", "image_index", "x1", "y1", "x2", "y2", "cluster", "label", "image_prediction", "prediction",
        "score",
    ]  # fmt: skip
    assert len(stored) == 240
    for region in (0, 7, 239):
        image, row = region // 4, stored.iloc[region]
        best = int(scores.region[region].argmax())
        assert row["region"] == region
        assert row["image"] == f"/images/{image}.png" and row["image_index"] == image
        assert row[["x1", "y1", "x2", "y2"]].tolist() == embeddings.regions.boxes[region].tolist()
        assert row["cluster"] == discovery.clustering.labels[region]
        assert row["label"] == f"class {embeddings.labels[image]}"
        assert row["image_prediction"] == f"class {scores.predictions[image]}"
        assert row["prediction"] == f"class {best}" and row["score"] == pytest.approx(scores.region[region, best])


def test_images_without_a_path_are_numbers(make_discovery: Callable[..., Any]) -> None:
    table = export.regions_table(make_discovery())
    assert table["image"].to_pylist()[:9] == ["0"] * 4 + ["1"] * 4 + ["2"]


def test_a_cluster_that_pulls_nowhere_has_no_attribute(make_discovery: Callable[..., Any]) -> None:
    discovery = make_discovery()
    discovery = replace(discovery, clusters=tuple(replace(each, attribute=None) for each in discovery.clusters))
    table = export.clusters_table(discovery)
    assert str(table.schema.field("attribute").type) in ("string", "large_string")
    assert set(table["attribute"].to_pylist()) == {None}


def test_names_that_are_not_utf8_are_kept_readable(make_discovery: Callable[..., Any], tmp_path: Path) -> None:
    discovery = with_embeddings(
        make_discovery(),
        class_names=("caf\udce9", "b", "c"),
        unreadable=(Unreadable(3, "/im\udcff.png", 'cut, "short"\nby 3 bytes'),),
    )
    write_tables(discovery, Files(60, "/\udce9{}.png"), tmp_path)
    stored = pd.read_parquet(tmp_path / "regions.parquet")
    assert stored["image"][0] == "/\\udce90.png"
    assert "caf\\udce9" in set(stored["label"])
    with (tmp_path / "unreadable.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"index": "3", "where": "/im\\udcff.png", "reason": 'cut, "short"\nby 3 bytes'}
        ]
    settings = json.loads((tmp_path / "settings.json").read_text(encoding="ascii"))
    assert settings["data"]["class_names"][0] == "caf\udce9"
    assert settings["counts"]["skipped"] == 1 and settings["skipped"][0]["index"] == 3


def test_settings_are_strict_json_with_what_repeats_the_run(make_discovery: Callable[..., Any], tmp_path: Path) -> None:
    discovery = with_embeddings(
        make_discovery(min_influence=0.4, rule="released"), model_name="RN50", templates=("a {}",), temperature=0.05
    )
    more = {"seed": 7, "limits": {"gap": np.float32(0.5), "q": float("nan")}, "path": Path("x"), "ks": range(2)}
    write_tables(discovery, None, tmp_path, more)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    settings = json.loads((tmp_path / "settings.json").read_text(), parse_constant=refuse)
    assert (settings["min_influence"], settings["rule"], settings["temperature"]) == (0.4, "released", 0.05)
    assert (settings["model"], settings["prompts"]) == ({"name": "RN50"}, ["a {}"])
    assert settings["limits"] == {"gap": 0.5, "q": "nan"}
    assert (settings["seed"], settings["path"], settings["ks"]) == (7, "x", [0, 1])
    assert settings["counts"] == {
        "images": 60, "regions": 240, "clusters": 5, "kept": len(discovery.features), "skipped": 0,
    }  # fmt: skip
    assert settings["clustering"]["sweep"] == [{"n_clusters": 5, "loss": 1.5, "silhouette": 0.25}]
    assert settings["versions"]["numpy"] == np.__version__


def test_an_old_list_of_unreadable_images_goes(make_discovery: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "unreadable.csv").write_text("of an earlier run")
    (tmp_path / "notes.txt").write_text("mine")
    written = write_tables(make_discovery(), None, tmp_path)
    assert [path.name for path in written] == ["clusters.parquet", "regions.parquet", "settings.json"]
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in written} | {"notes.txt"}


def test_other_data_is_refused_and_nothing_written(make_discovery: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="60 images, got 59"):
        write_tables(make_discovery(), Files(59), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made(make_discovery: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Name another folder"):
        write_tables(make_discovery(), None, tmp_path / "file" / "folder")


def test_a_write_that_fails_leaves_older_files_whole(
    make_discovery: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tables(make_discovery(seed=0), None, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ravl_explore.support.files.os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_tables(make_discovery(seed=1), None, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_without_pyarrow_it_says_what_to_install(
    make_discovery: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match="pip install pyarrow"):
        export.clusters_table(make_discovery())
