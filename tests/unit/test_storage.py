"""What is saved loads as the same result; files that are not ours are refused; a failed save leaves no trace."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import ravl_explore as rx
from ravl_explore.data.annotations import Annotations
from ravl_explore.errors import InputError, StorageError
from ravl_explore.storage import FORMAT
from ravl_explore.support.files import write_whole
from tests.unit.conftest import nearest_medoid

ODD_NAMES = ("ankle boot", 'the "best" {}', "näh\n\t☃ 鞋\\'")


def equal(one: Any, other: Any) -> None:
    """Two Embeddings hold the same."""
    for name in ("image", "region", "text", "labels"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype and np.array_equal(a, b), name
    assert np.array_equal(one.regions.boxes, other.regions.boxes)
    assert np.array_equal(one.regions.image_index, other.regions.image_index)
    for name in ("class_names", "temperature", "model_name", "data_name"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.annotations.feature_name == other.annotations.feature_name
    for name in ("feature_present", "region_labels"):
        a, b = getattr(one.annotations, name), getattr(other.annotations, name)
        assert (a is None) == (b is None) and (a is None or (a.dtype == b.dtype and np.array_equal(a, b))), name


def test_embeddings_round_trip(tmp_path: Path, make_embeddings: Callable[..., Any]) -> None:
    embeddings = make_embeddings(
        counts=(2, 0, 3), class_names=ODD_NAMES, temperature=0.02, model_name="m ☃", data_name="d"
    )
    path = rx.save(embeddings, str(tmp_path / "e.safetensors"))
    assert path == tmp_path / "e.safetensors"
    equal(rx.load(path), embeddings)
    equal(rx.load(str(path)), embeddings)


@pytest.mark.parametrize(
    "annotations",
    [
        Annotations("a square ☃", np.array([True, False, True]), np.array([0, 1, -1, 2, 0])),
        Annotations("a square", np.zeros(3, bool)),
        Annotations(region_labels=np.full(5, -1)),
        Annotations(),
    ],
    ids=("all", "of images", "of regions", "none"),
)
def test_annotations_round_trip(tmp_path: Path, make_embeddings: Callable[..., Any], annotations: Annotations) -> None:
    embeddings = make_embeddings(counts=(2, 0, 3), annotations=annotations)
    found = rx.discover(rx.zero_shot(embeddings), nearest_medoid(embeddings.region, [0, 2]))
    equal(rx.load(rx.save(embeddings, tmp_path / "e")), embeddings)
    again = rx.load(rx.save(found, tmp_path / "d"))
    equal(again.scores.embeddings, embeddings)
    expected, measured = rx.evaluate(found.scores, min_group_size=1), rx.evaluate(again.scores, min_group_size=1)
    pd.testing.assert_frame_equal(measured.image.table, expected.image.table)
    assert measured.feature_name == expected.feature_name and (measured.region is None) == (expected.region is None)


def test_a_file_from_before_annotations_has_none(tmp_path: Path, make_embeddings: Callable[..., Any]) -> None:
    embeddings = make_embeddings(annotations=Annotations("red", np.zeros(20, bool), np.zeros(80, np.int64)))
    path = rx.save(embeddings, tmp_path / "e")
    with safe_open(path, framework="numpy") as file:
        meta = json.loads(file.metadata()["meta"])
    del meta["feature_name"]
    rewrite(path, {"meta": json.dumps(meta)}, feature_present=None, region_labels=None)
    assert vars(rx.load(path).annotations) == vars(Annotations())


@pytest.mark.parametrize(
    "change",
    [
        {"feature_present": np.zeros(19, bool)},
        {"feature_present": np.zeros(20)},
        {"region_labels": np.full(80, 3)},
        {"region_labels": np.zeros(20, np.int64)},
    ],
)
def test_annotations_that_do_not_fit(
    tmp_path: Path, make_embeddings: Callable[..., Any], change: dict[str, np.ndarray]
) -> None:
    path = rx.save(make_embeddings(), tmp_path / "e")
    rewrite(path, **change)
    refused(path, "a complete result file")


@pytest.mark.parametrize("rule", ["paper", "released"])
@pytest.mark.parametrize("seed", range(3))
def test_discovery_round_trip(tmp_path: Path, make_discovery: Callable[..., Any], rule: str, seed: int) -> None:
    found = make_discovery(seed, n_clusters=8, min_influence=0.3, rule=rule)
    again = rx.load(rx.save(found, tmp_path / "d.safetensors"))
    pd.testing.assert_frame_equal(again.frame(), found.frame())
    pd.testing.assert_frame_equal(again.gaps(), found.gaps())
    pd.testing.assert_frame_equal(again.clustering.sweep, found.clustering.sweep)
    assert (again.min_influence, again.rule, again.clustering.loss) == (0.3, rule, 1.5)
    assert again.clustering.silhouette == 0.25
    for one, other in zip(again.clusters, found.clusters, strict=True):
        assert one.region_index.tolist() == other.region_index.tolist()
    assert np.array_equal(again.medoids, found.medoids)
    assert again.choose(1).fingerprint() == found.choose(1).fingerprint()
    equal(again.scores.embeddings, found.scores.embeddings)
    assert np.array_equal(again.scores.image, found.scores.image)


def test_an_empty_discovery_round_trips(tmp_path: Path, make_discovery: Callable[..., Any]) -> None:
    found = make_discovery(min_influence=1.0)
    assert found.features == ()
    again = rx.load(rx.save(found, tmp_path / "d"))
    assert again.features == () and again.why_none() == found.why_none()


def test_numbers_that_are_not_finite_come_back_out_of_strict_json(
    tmp_path: Path, make_discovery: Callable[..., Any]
) -> None:
    discovery = make_discovery()
    sweep = pd.DataFrame({"n_clusters": [5, 6], "loss": [1.5, float("inf")], "silhouette": [float("nan"), 0.25]})
    clustering = replace(discovery.clustering, sweep=sweep)
    path = rx.save(rx.discover(discovery.scores, clustering), tmp_path / "d")
    with safe_open(path, framework="numpy") as file:
        json.loads(file.metadata()["meta"], parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    pd.testing.assert_frame_equal(rx.load(path).clustering.sweep, sweep)


def test_features_of_a_loaded_discovery_go_together(tmp_path: Path, make_discovery: Callable[..., Any]) -> None:
    again = rx.load(rx.save(make_discovery(), tmp_path / "d"))
    assert all(again.choose(each).medoids is again.medoids for each in again.clusters)
    assert again.choose(*again.clusters).clusters == tuple(each.cluster for each in again.clusters)


def test_only_results_can_be_saved(tmp_path: Path, make_discovery: Callable[..., Any]) -> None:
    with pytest.raises(StorageError, match="a Discovery, Embeddings, Mitigation or Runs, got DataFrame"):
        rx.save(make_discovery().frame(), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


# --- files that cannot be loaded --------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path, make_discovery: Callable[..., Any]) -> Path:
    return rx.save(make_discovery(), tmp_path / "found.safetensors")


def denied(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


def refused(path: Path, told: str) -> StorageError:
    with pytest.raises(StorageError, match=told) as raised:
        rx.load(path)
    assert str(path) in str(raised.value)
    return raised.value


def rewrite(path: Path, metadata: dict[str, Any] | None = None, **arrays: np.ndarray | None) -> None:
    """Save the file again with some arrays or metadata changed, or (None) without them; without a checksum."""
    with safe_open(path, framework="numpy") as file:
        header = dict(file.metadata())
    stored = {key: value for key, value in (load_file(path) | arrays).items() if value is not None}
    save_file(stored, path, {k: v for k, v in (header | {"crc32": None} | (metadata or {})).items() if v is not None})


def test_no_file(tmp_path: Path) -> None:
    refused(tmp_path / "missing", "no such file")
    refused(tmp_path, "no such file")


@pytest.mark.parametrize("content", [b"", b"\0" * 7, b"just text, some of it", b"\xff" * 64, b"PK\x03\x04" + bytes(99)])
def test_not_safetensors(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    refused(tmp_path / "x.safetensors", "a complete result file")


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9999])
def test_truncated(saved: Path, share: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    refused(saved, "a complete result file")


def test_other_safetensors(tmp_path: Path) -> None:
    save_file({"weight": np.ones(3)}, tmp_path / "model.safetensors")
    assert "models.Checkpoint" in str(refused(tmp_path / "model.safetensors", "a file written by rx.save"))


def test_a_newer_format(saved: Path) -> None:
    rewrite(saved, {"format": "ravl_explore 2"})
    assert "Update ravl_explore" in str(refused(saved, "format 'ravl_explore 2'"))


def test_an_unknown_kind(saved: Path) -> None:
    rewrite(saved, {"kind": "surprise"})
    refused(saved, "a file written by rx.save")


@pytest.mark.parametrize(
    "change",
    [
        {"clusters": None},
        {"labels": None},
        {"image": np.full((60, 6), np.nan, np.float32)},
        {"region": np.ones((240, 6), np.float32)},
        {"clusters": np.zeros(3, np.int64)},
        {"clusters": np.full(240, 99)},
        {"medoids": np.full(5, 10**6)},
        {"text": np.ones(3, np.float32)},
        {"boxes": np.zeros((240, 4), np.float32)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_damaged_content(saved: Path, change: dict[str, Any]) -> None:
    rewrite(saved, **change)
    refused(saved, "a complete result file")


@pytest.mark.parametrize("meta", ["", "{", "[]", "{}", json.dumps({"class_names": 3})])
def test_damaged_metadata(saved: Path, meta: str) -> None:
    rewrite(saved, {"meta": meta})
    refused(saved, "a complete result file")


@pytest.mark.parametrize("share", [0.01, 0.02, 0.2, 0.5, 0.8, 0.999])
def test_a_flipped_bit_is_told(saved: Path, share: float) -> None:
    content = bytearray(saved.read_bytes())
    content[int(share * len(content))] ^= 0x40
    saved.write_bytes(content)
    refused(saved, "a complete result file")


def test_a_file_of_an_earlier_version_has_no_checksum(saved: Path, make_discovery: Callable[..., Any]) -> None:
    rewrite(saved)
    pd.testing.assert_frame_equal(rx.load(saved).frame(), make_discovery().frame())


@pytest.mark.parametrize("meta", ["[" * 10_000 + "]" * 10_000, '{"class_names": 1e999}'])
def test_metadata_that_no_person_would_write(saved: Path, meta: str) -> None:
    rewrite(saved, {"meta": meta})
    refused(saved, "a complete result file")


SAVE_AGAIN = """
import sys, ravl_explore as rx
for name in ("e", "d"):
    rx.save(rx.load(sys.argv[1] + name), sys.argv[2] + name)
"""


def test_every_process_saves_the_same_bytes(
    tmp_path: Path, make_discovery: Callable[..., Any], make_embeddings: Callable[..., Any]
) -> None:
    (tmp_path / "one").mkdir()
    rx.save(make_embeddings(class_names=ODD_NAMES), tmp_path / "one" / "e")
    rx.save(make_discovery(), tmp_path / "one" / "d")
    for number in range(3):
        again = tmp_path / str(number)
        again.mkdir()
        subprocess.run([sys.executable, "-c", SAVE_AGAIN, f"{tmp_path}/one/", f"{again}/"], check=True, timeout=300)
        for name in ("e", "d"):
            assert (again / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_a_tilde_is_the_home_folder(
    tmp_path: Path, make_discovery: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert rx.save(make_discovery(), "~/d.safetensors") == tmp_path / "d.safetensors"
    assert rx.load("~/d.safetensors").features


def test_what_is_no_path_is_refused(make_discovery: Callable[..., Any]) -> None:
    for path in (None, 3, b"x", "", "a\0b"):
        with pytest.raises(InputError, match="a path, got"):
            rx.load(path)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="a path, got"):
            rx.save(make_discovery(), path)  # type: ignore[arg-type]


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root sees no closed folder")
def test_a_closed_folder_is_told(saved: Path, make_discovery: Callable[..., Any]) -> None:
    saved.parent.chmod(0)
    try:
        refused(saved, "Permission denied")
        with pytest.raises(StorageError, match="Permission denied"):
            rx.save(make_discovery(), saved)
    finally:
        saved.parent.chmod(0o755)


def test_a_closed_folder_is_told_to_root_too(
    saved: Path, make_discovery: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the system reports it, wherever a path is looked at first."""
    for name in ("is_file", "is_dir"):
        monkeypatch.setattr(Path, name, denied)
    refused(saved, "Permission denied")
    with pytest.raises(StorageError, match="Permission denied"):
        rx.save(make_discovery(), saved)


def test_a_file_that_may_not_be_read(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ravl_explore.storage.safe_open", denied)
    refused(saved, "Permission denied")


def test_the_format_is_what_files_on_disk_say() -> None:
    assert FORMAT == "ravl_explore 1", "a new format must still load the old one's files"


# --- writing whole or not at all --------------------------------------------------------------------------------------


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["os.fsync", "tempfile.mkstemp", "os.fdopen", "pathlib.Path.replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    saved: Path, make_discovery: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    before, new = saved.read_bytes(), make_discovery(1)
    with monkeypatch.context() as patch:
        patch.setattr(where, full)
        with pytest.raises(StorageError, match="No space left on device") as raised:
            rx.save(new, saved)
    assert str(saved) in str(raised.value) and "MB" in str(raised.value)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    rx.save(new, saved)
    assert saved.read_bytes() != before, "afterwards it works"


def test_an_interrupt_leaves_nothing_either(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()
    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(saved, b"new")
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="an existing folder"):
        write_whole(tmp_path / "missing" / "x", b"content")


def test_the_path_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(StorageError, match="permission to write"):
        write_whole(tmp_path / "x", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_what_is_written_can_be_read_by_others(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "x", b"content")
    assert path.read_bytes() == b"content" and path.stat().st_mode & 0o777 == 0o644
