"""Embeddings that stream to disk: the same numbers, gone on with after a kill, refused when damaged, and cleared."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ravl_explore.embedding.cache import clear_cached, list_cached
from ravl_explore.embedding.embeddings import embed
from ravl_explore.embedding.folders import embeddings_folder
from ravl_explore.errors import Cancelled, InputError, StorageError
from ravl_explore.regions.grid import Grid
from ravl_explore.support.unfinished import UNFINISHED


@pytest.fixture
def count_images(model: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each forward pass took."""
    taken: list[int] = []
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda pixels, boxes: taken.append(len(pixels)) or encode(pixels, boxes))
    return taken


def same(one: Any, other: Any) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("image", "region", "text", "labels")
    )


def test_the_cache_holds_the_same_numbers(
    tmp_path: Path, model: Any, make_data: Callable[..., Any], count_images: list[int]
) -> None:
    data = make_data()
    plain = embed(model, data, batch_size=5)
    before = len(count_images)
    first = embed(model, data, batch_size=5, cache=tmp_path)
    assert same(first, plain) and len(count_images) == 2 * before
    assert isinstance(first.region, np.memmap) and not first.region.flags.writeable
    again = embed(model, data, batch_size=3, cache=tmp_path)
    assert same(again, plain) and len(count_images) == 2 * before  # nothing was embedded again
    assert same(embed(model, data, templates=("{}",), cache=tmp_path), plain) is False  # prompts are not cached


@pytest.mark.parametrize("change", ["model", "data", "regions"])
def test_another_model_image_or_box_is_other_work(
    tmp_path: Path, model: Any, make_model: Callable[..., Any], make_data: Callable[..., Any], change: str
) -> None:
    embed(model, make_data(), Grid(2, 2), cache=tmp_path)
    embed(
        make_model(seed=1) if change == "model" else model,
        make_data(seed=1) if change == "data" else make_data(),
        Grid(1, 2) if change == "regions" else Grid(2, 2),
        cache=tmp_path,
    )
    assert len(list_cached(tmp_path)) == 2


def test_a_cancelled_run_goes_on_where_it_was(
    tmp_path: Path, model: Any, make_data: Callable[..., Any], count_images: list[int]
) -> None:
    data = make_data()
    plain = embed(model, data, batch_size=4)

    def stop(done: int, total: int, stage: str) -> None:
        if done == 8:
            raise Cancelled

    with pytest.raises(Cancelled):
        embed(model, data, batch_size=4, cache=tmp_path, progress=stop)
    (entry,) = list_cached(tmp_path)
    assert (entry.n_images, entry.n_regions, entry.complete) == (8, 32, False)
    count_images.clear()
    assert same(embed(model, data, batch_size=4, cache=tmp_path), plain)
    assert count_images == [4]
    assert list_cached(tmp_path)[0].complete


KILLED = """
import sys, time
from pathlib import Path
import ravl_explore.embedding.disk_arrays as arrays
from ravl_explore.data.demo import Demo
from ravl_explore.data.subset import Subset
from ravl_explore.embedding.embeddings import embed
from ravl_explore.models.demo import Demo as Model
arrays.FLUSH_SECONDS = 0
def slowly(done, total, stage):
    if stage == "Embedding images" and done >= 16:
        print("half", flush=True); time.sleep(60)
embed(Model("clean"), Subset(Demo("val"), list(range(32))), batch_size=8, cache=Path(sys.argv[1]), progress=slowly)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_killed_process_leaves_what_it_did(tmp_path: Path) -> None:
    from ravl_explore.data.demo import Demo
    from ravl_explore.data.subset import Subset
    from ravl_explore.models.demo import Demo as Model

    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "half\n"
        model, data = Model("clean"), Subset(Demo("val"), np.arange(32))
        with pytest.raises(StorageError, match="another process"):
            embed(model, data, cache=tmp_path)
        process.send_signal(signal.SIGKILL)
    assert list_cached(tmp_path)[0].n_images == 16
    told: list[int] = []
    resumed = embed(
        model, data, batch_size=8, cache=tmp_path, progress=lambda d, t, s: told.append(d) if "Embedding" in s else None
    )
    assert told == [16, 24, 32]
    assert np.allclose(resumed.region, embed(model, data).region, atol=1e-5)


@pytest.mark.parametrize("damage", ["cut", "garbled", "gone", "other version", "state cut"])
def test_a_damaged_cache_is_made_anew(
    tmp_path: Path, model: Any, make_data: Callable[..., Any], count_images: list[int], damage: str
) -> None:
    data = make_data()
    plain = embed(model, data, cache=tmp_path)
    plain_region = np.array(plain.region)
    (folder,) = embeddings_folder(tmp_path).iterdir()
    array, state = folder / "region.npy", folder / "state.json"
    if damage == "cut":
        array.write_bytes(array.read_bytes()[:-100])
    elif damage == "garbled":
        array.write_bytes(b"no array")
    elif damage == "gone":
        array.unlink()
    elif damage == "other version":
        state.write_text(json.dumps(json.loads(state.read_text()) | {"format": "embeddings 0"}))
    else:
        state.write_text(state.read_text()[:-9])
    count_images.clear()
    assert np.array_equal(embed(model, data, cache=tmp_path).region, plain_region)
    assert count_images == [12]


def state_of(folder: Path, **changes: Any) -> str:
    return json.dumps(json.loads((folder / "state.json").read_text()) | changes)


STATES: dict[str, Callable[[Path], str]] = {
    "number as a text": lambda folder: state_of(folder, n_regions="many"),
    "number null": lambda folder: state_of(folder, seen=None, complete=False),
    "number below 0": lambda folder: state_of(folder, seen=-1, complete=False),
    "ahead of the rows": lambda folder: state_of(folder, seen=3, complete=False),
    "fewer rows": lambda folder: state_of(folder, n_images=11),
    "skipped of another kind": lambda folder: state_of(folder, skipped=[[]]),
    "skipped another image": lambda folder: state_of(folder, skipped=[[3, "3.png", "torn"]]),
    "another name": lambda folder: state_of(folder, model_name=["x"]),
    "no checksums": lambda folder: state_of(folder, checksums={}),
    "a list": lambda _: "[]",
    "null": lambda _: "null",
    "nested deeply": lambda _: "[" * 100_000 + "]" * 100_000,
    "not UTF-8": lambda _: "\udcff",
}


@pytest.mark.parametrize("name", STATES)
def test_a_state_that_is_not_as_written_is_made_anew(
    tmp_path: Path, model: Any, make_data: Callable[..., Any], count_images: list[int], name: str
) -> None:
    data = make_data()
    plain = np.array(embed(model, data, cache=tmp_path).region)
    (folder,) = embeddings_folder(tmp_path).iterdir()
    (folder / "state.json").write_bytes(STATES[name](folder).encode(errors="surrogateescape"))
    assert list_cached(tmp_path)[0].model_name == ""
    count_images.clear()
    assert np.array_equal(embed(model, data, cache=tmp_path).region, plain)
    assert count_images == [12]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", ["image", "region"])
def test_a_flipped_bit_in_an_array_is_made_anew(
    tmp_path: Path,
    model: Any,
    make_data: Callable[..., Any],
    count_images: list[int],
    caplog: pytest.LogCaptureFixture,
    name: str,
    half: bool,
) -> None:
    data = make_data()
    plain = embed(model, data, batch_size=4)

    def stop(done: int, total: int, stage: str) -> None:
        if half and done == 8:
            raise Cancelled

    with suppress(Cancelled):
        embed(model, data, batch_size=4, cache=tmp_path, progress=stop)
    (folder,) = embeddings_folder(tmp_path).iterdir()
    content = bytearray((folder / f"{name}.npy").read_bytes())
    content[128 + 3] ^= 0x80  # the sign of the first number
    (folder / f"{name}.npy").write_bytes(content)
    count_images.clear()
    assert same(embed(model, data, batch_size=4, cache=tmp_path), plain)
    assert sum(count_images) == 12 and "are damaged; they are made anew" in caplog.text


@pytest.mark.parametrize("array", [np.zeros((48, 3)), np.zeros((48, 8), np.float64), np.full((48, 8), np.nan), "{}"])
def test_an_array_of_something_else_is_made_anew(
    tmp_path: Path, model: Any, make_data: Callable[..., Any], array: Any
) -> None:
    data = make_data()
    plain = np.array(embed(model, data, cache=tmp_path).region)
    (folder,) = embeddings_folder(tmp_path).iterdir()
    if isinstance(array, str):
        (folder / "region.npy").write_text(array)
    else:
        np.save(folder / "region.npy", array)
    assert np.array_equal(embed(model, data, cache=tmp_path).region, plain)


def test_who_has_damaged_embeddings_open_keeps_them(tmp_path: Path, model: Any, make_data: Callable[..., Any]) -> None:
    """A mapped file that another process cuts short would end this one."""
    first = embed(model, make_data(), cache=tmp_path)
    (folder,) = embeddings_folder(tmp_path).iterdir()
    (folder / "state.json").write_text("{}")
    again = embed(model, make_data(), cache=tmp_path)
    assert same(first, again)


def test_what_is_complete_is_only_read(
    tmp_path: Path, model: Any, make_data: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = embed(model, make_data(), cache=tmp_path)

    def closed(*_: object, **__: object) -> None:
        raise PermissionError(errno.EROFS, "Read-only file system")

    for name in ("os.mkdir", "tempfile.mkstemp", "filelock.FileLock.acquire", "pathlib.Path.unlink"):
        monkeypatch.setattr(name, closed)
    assert same(embed(model, make_data(), cache=tmp_path), plain)
    with pytest.raises(StorageError, match="Read-only file system"):
        embed(model, make_data(seed=1), cache=tmp_path)


def test_what_a_killed_process_left_is_removed(tmp_path: Path, model: Any, make_data: Callable[..., Any]) -> None:
    def stop(done: int, total: int, stage: str) -> None:
        if done == 8:
            raise Cancelled

    with pytest.raises(Cancelled):
        embed(model, make_data(), batch_size=4, cache=tmp_path, progress=stop)
    (folder,) = embeddings_folder(tmp_path).iterdir()
    (folder / f"{UNFINISHED}x").write_bytes(b"half a state")
    embed(model, make_data(), cache=tmp_path)
    assert {each.name for each in folder.iterdir()} == {".lock", "image.npy", "region.npy", "state.json"}


def test_a_closed_cache_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings_folder(tmp_path).mkdir()

    def closed(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "there")

    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(StorageError, match="a cache that can be read, got Permission denied at 'there'"):
        list_cached(tmp_path)


def test_the_list_and_clearing(tmp_path: Path, model: Any, make_data: Callable[..., Any]) -> None:
    assert list_cached(tmp_path) == [] and clear_cached(root=tmp_path) == 0
    embed(model, make_data(), cache=tmp_path)
    time.sleep(0.02)
    embed(model, make_data(seed=1, name="others"), cache=tmp_path)
    newest, oldest = list_cached(tmp_path)
    assert (newest.data_name, oldest.data_name) == ("others", "pictures")
    assert (newest.model_name, newest.n_images, newest.n_regions) == (model.name, 12, 48)
    assert newest.bytes > (12 + 48) * 32 * 4
    assert clear_cached(newest.folder.name, root=tmp_path) == newest.bytes
    assert [each.folder for each in list_cached(tmp_path)] == [oldest.folder]
    with pytest.raises(InputError, match="an entry of the cache"):
        clear_cached("../elsewhere", root=tmp_path)
    assert clear_cached(root=tmp_path) == oldest.bytes and list_cached(tmp_path) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path, model: Any, make_data: Callable[..., Any]) -> None:
    (tmp_path / "embeddings").write_text("a file where a folder must go")
    with pytest.raises(StorageError, match="Free space, or set RAVL_CACHE"):
        embed(model, make_data(), cache=tmp_path)


def test_a_full_disk_is_told_before_the_work(
    tmp_path: Path, model: Any, make_data: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(StorageError, match="of free disk"):
        embed(model, make_data(), cache=tmp_path)
