"""A run folder: what was trained is never lost, goes on with the same bits, and is not mixed with something else."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import ravl_explore as rx
from ravl_explore import models
from ravl_explore.data.known_images import UNKNOWN
from ravl_explore.errors import Cancelled, InputError, StorageError, TrainingError
from ravl_explore.mitigation import MitigationRun, begin, mitigate
from ravl_explore.objectives import CounterfactualRegions, Projection, RegionAware, SpuriousAware, Upsampled, VlGdro
from ravl_explore.objectives.image_objective import ImageObjective
from ravl_explore.support.contents import content
from ravl_explore.support.unfinished import UNFINISHED
from ravl_explore.training import RunFolder, TrainingSettings
from ravl_explore.training.checkpoint import Checkpoint

QUICK = TrainingSettings(epochs=2, batch_size=8, learning_rate=1e-3, seed=0)
PATIENT = TrainingSettings(
    epochs=6, batch_size=8, learning_rate=0.02, seed=0, warmup_steps=0, weight_decay=0.0, patience=4, monitor="accuracy"
)
OBJECTIVES = {
    "RegionAware": RegionAware(max_spurious=2),
    "VlGdro": VlGdro(rate=1.0),
    "Upsampled": Upsampled(),
    "CounterfactualRegions": CounterfactualRegions(),
    "SpuriousAware": SpuriousAware(),
}
Make = Callable[..., Any]
each_objective = pytest.mark.parametrize("name", OBJECTIVES)


@pytest.fixture
def data(make_data: Callable[..., Any]) -> Any:
    return make_data(20)


@pytest.fixture
def common(model: Any, data: Any, find_feature: Make, mark: Make) -> dict[str, Any]:
    """What all runs share unless they say otherwise: model, data, marked regions, objective, settings."""
    marked = replace(mark(data, find_feature(data, 3)), identity=UNKNOWN)  # so that it goes with other images, too
    return {"model": model, "data": data, "assignment": marked, "objective": RegionAware(), "settings": QUICK}


@pytest.fixture
def train(common: dict[str, Any]) -> Callable[..., Any]:
    """Changed arguments of mitigate() -> what it gives."""
    return lambda **changes: mitigate(**(common | changes))


@pytest.fixture
def begun(common: dict[str, Any]) -> Callable[..., MitigationRun]:
    """Changed arguments of begin() -> the run to iterate over."""
    return lambda **changes: begin(**(common | changes))


@pytest.fixture(scope="module")
def ends() -> dict[str, Any]:
    """What runs gave that nothing interrupted, by the objective's name."""
    return {}


@pytest.fixture
def uninterrupted(train: Any, ends: dict[str, Any]) -> Callable[[str], Any]:
    """Name of an objective -> its run without folder or interruption, made once."""

    def run(name: str) -> Any:
        if name not in ends:
            ends[name] = train(objective=OBJECTIVES[name])
        return ends[name]

    return run


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every step."""
    monkeypatch.setattr("ravl_explore.training.folder.SECONDS", 0.0)
    monkeypatch.setattr("ravl_explore.training.folder.SHARE", 1e9)


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict.items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def said(records: Any) -> list[Any]:
    """Records without the time they took."""
    return [repr((r.step, r.n_steps, r.epoch, r.terms, r.validation, r.details)) for r in records]  # NaN is NaN


def killed_after(run: MitigationRun, step: int, folder: Path, copy: Path) -> None:
    """What a kill after a step leaves: the folder as it then is."""
    for record in run:
        if record.step == step:
            shutil.copytree(folder, copy)
            break
    run.close()


# --- going on ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "step"), [("RegionAware", 2), ("Upsampled", 3), ("CounterfactualRegions", 5)])
def test_the_next_steps_are_the_same_bits(
    begun: Any, uninterrupted: Any, tmp_path: Path, often: None, name: str, step: int
) -> None:
    objective, whole = OBJECTIVES[name], uninterrupted(name)
    killed_after(begun(objective=objective, folder=tmp_path / "a"), step, tmp_path / "a", tmp_path / "b")
    run = begun(objective=objective, folder=tmp_path / "b")
    assert [record.step for record in run] == list(range(step + 1, 7)), "only what is left"
    result = run.result()
    assert result.complete and said(result.history.records) == said(whole.history.records)
    assert equal(weights(result.model), weights(whole.model))
    seconds = [record.seconds for record in result.history.records]
    assert seconds == sorted(seconds)


SCRIPT = """
import os, signal, sys
import torch
from ravl_explore.training import folder
from tests.unit import conftest as c
from tests.unit.training.test_folder import OBJECTIVES, QUICK
from ravl_explore.assignment import assign
from ravl_explore.embedding.embeddings import embed
from ravl_explore.mitigation import begin

torch.set_num_threads(1)
folder.SECONDS, folder.SHARE = 0.0, 1e9
make_model, make_data = c.make_model.__wrapped__(), c.make_data.__wrapped__()
model, data = make_model(), make_data(20)
feature = c.find_discovery.__wrapped__(model, c.nearest_medoid)(data).choose(3)
assignment = assign(embed(model, data), feature)
for name, objective in OBJECTIVES.items():
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
        continue
    where = os.path.join(sys.argv[1], name)
    for record in begin(model, data, assignment, objective, QUICK, folder=where):
        if record.step == 4:
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """Run folders of every objective, each of a process that was killed in its fourth step of six."""
    root = tmp_path_factory.mktemp("killed")
    environment = os.environ | {"PYTHONPATH": str(repository)}
    command = [sys.executable, "-c", SCRIPT, str(root)]
    ran = subprocess.run(
        command, cwd=repository, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return root


@each_objective
def test_a_killed_process_is_gone_on_with(begun: Any, uninterrupted: Any, killed: Path, name: str) -> None:
    whole, run = uninterrupted(name), begun(objective=OBJECTIVES[name], folder=killed / name)
    assert [record.step for record in run] == [5, 6], "the kill cost nothing that was checkpointed"
    assert said(run.result().history.records) == said(whole.history.records)
    assert equal(weights(run.result().model), weights(whole.model))


def test_a_run_that_is_complete_is_read(train: Any, tmp_path: Path) -> None:
    first = train(folder=tmp_path / "run")
    told: list[Any] = []
    again = train(folder=tmp_path / "run", progress=lambda *state: told.append(state))
    assert again.complete and told == [] and equal(weights(again.model), weights(first.model))
    assert said(again.history.records) == said(first.history.records)


def test_a_run_that_was_stopped_or_cancelled_goes_on(train: Any, begun: Any, tmp_path: Path) -> None:
    def cancel(done: int, total: int, stage: str) -> None:
        if done == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        train(folder=tmp_path / "run", progress=cancel)
    run = begun(folder=tmp_path / "run")
    for record in run:
        if record.step == 5:
            run.close()
            break
    assert not run.result().complete
    result = train(folder=tmp_path / "run")
    assert result.complete and equal(weights(result.model), weights(train().model))


def test_dropout_goes_on_the_same(
    train: Any, begun: Any, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise is by seed and step, not by what was drawn before."""
    noisy = model.copy()
    noisy.visual.layer3.append(torch.nn.Dropout(0.5))
    torch.manual_seed(3)
    whole = train(model=noisy)
    run = begun(model=noisy, folder=tmp_path / "run")
    for record in run:
        if record.step == 2:
            break
    run.close()
    torch.manual_seed(4)
    assert equal(weights(train(model=noisy, folder=tmp_path / "run").model), weights(whole.model))


def test_early_stopping_goes_on_the_same(train: Any, begun: Any, tmp_path: Path, often: None, make_data: Any) -> None:
    changes = {"settings": PATIENT, "validation": make_data(30, seed=1)}
    whole = train(**changes)
    killed_after(begun(folder=tmp_path / "a", **changes), 3, tmp_path / "a", tmp_path / "b")
    result = train(folder=tmp_path / "b", **changes)
    assert result.history.best_step == whole.history.best_step is not None
    assert said(result.history.records) == said(whole.history.records)
    assert equal(weights(result.model), weights(whole.model))


def test_an_interrupted_last_checkpoint_leaves_the_best_weights(
    train: Any, begun: Any, tmp_path: Path, often: None, make_data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"settings": PATIENT, "validation": make_data(30, seed=1)}
    whole = train(**changes)
    run = begun(folder=tmp_path / "run", **changes)

    def interrupted(*_: Any) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        for record in run:
            if record.step == len(whole.history.records) - 1:
                monkeypatch.setattr(RunFolder, "write", interrupted)
    assert run.result().history.best_step == whole.history.best_step is not None
    assert equal(weights(run.result().model), weights(whole.model))


# --- what is in it ----------------------------------------------------------------------------------------------------


def test_the_folder_says_everything(
    train: Any, common: dict[str, Any], model: Any, tmp_path: Path, make_data: Any
) -> None:
    result = train(folder=tmp_path / "new" / "run", validation=make_data(30, seed=1))
    folder = tmp_path / "new" / "run"
    assert {each.name for each in folder.iterdir()} == {
        "settings.json", "checkpoint.safetensors", "history.jsonl", "model.safetensors", ".lock",
    }  # fmt: skip
    stored = json.loads((folder / "settings.json").read_text())
    depends = stored["depends"]
    assert depends["objective"] == f"{RegionAware()!r} ({content(RegionAware())[:12]})"
    assert depends["settings epochs"] == 2
    assert {name for name in depends if name.startswith("settings ")} == {
        f"settings {name}" for name in vars(TrainingSettings())
    }
    assert depends["model fingerprint"] == model.fingerprint() and depends["feature"] == "cluster 3"
    assert depends["feature fingerprint"] == common["assignment"].feature.fingerprint()
    assert stored["format"] == "ravl_explore run 2"
    assert stored["made_with"]["torch"] == torch.__version__ and stored["made_with"]["ravl_explore"] == rx.__version__
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 7))
    assert lines[-1]["terms"] == result.history.records[-1].terms
    opened = models.Checkpoint(folder / "model.safetensors")
    assert equal(weights(opened), weights(result.model))


def test_a_training_without_steps_is_kept_too(train: Any, model: Any, data: Any, tmp_path: Path) -> None:
    result = train(objective=Projection(), folder=tmp_path / "run")
    opened = rx.load(tmp_path / "run" / "model.safetensors", model=model)
    assert opened.fingerprint() == result.model.fingerprint()
    assert train(objective=Projection(), folder=tmp_path / "run").model.fingerprint() == opened.fingerprint()


# --- what does not belong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epochs": 3}, "settings epochs is 2 there, 3 here"),
        ({"objective": RegionAware(weight=0.5)}, r"objective is RegionAware\(weight=0.8.* there, .*weight=0.5"),
        ({"objective": Upsampled()}, r"objective is RegionAware\(.* there, Upsampled\(.* here"),
        ({"settings": replace(QUICK, schedule="linear")}, "settings schedule is cosine there, linear here"),
    ],
)
def test_a_run_of_other_settings_is_refused(train: Any, tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    train(folder=tmp_path / "run")
    before = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()
    with pytest.raises(StorageError, match=told):
        train(folder=tmp_path / "run", **changes)
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == before
    assert train(folder=tmp_path / "run").complete, "and the folder is let go"


def test_a_run_of_another_model_or_other_data_is_refused(
    train: Any, make_model: Callable[..., Any], make_data: Callable[..., Any], tmp_path: Path
) -> None:
    train(folder=tmp_path / "run")
    with pytest.raises(StorageError, match=r"another: the model has other weights \(random 0 there, random 1 here\)\."):
        train(folder=tmp_path / "run", model=make_model(1))
    with pytest.raises(StorageError, match=r"architecture is ModifiedResNet, \d+ weights there, "):
        train(folder=tmp_path / "run", model=make_model(image_size=128))
    with pytest.raises(StorageError, match=r"another: the images are others\."):
        train(folder=tmp_path / "run", data=make_data(20, seed=1))


@pytest.fixture
def stored(data: Any, tmp_path: Path) -> Callable[[str, int], Any]:
    """Name of a folder and a time -> the same images as files there, of that time."""
    from PIL import Image

    from ravl_explore.data.files import ImageFiles

    def store(name: str, time: int) -> Any:
        (tmp_path / name).mkdir()
        files = [tmp_path / name / f"{i}.png" for i in range(len(data))]
        for i, file in enumerate(files):
            Image.fromarray(data.image(i)).save(file)
            os.utime(file, (time, time))
        return ImageFiles(files, data.labels, data.class_names, name=name, root=tmp_path / name, captions=data.captions)

    return store


def test_a_run_goes_on_with_images_that_were_copied(train: Any, begun: Any, stored: Any, tmp_path: Path) -> None:
    first, copies, validation = stored("one", 1), stored("two", 2), stored("three", 3)
    run = begun(data=first, validation=first, folder=tmp_path / "run")
    for record in run:
        if record.step == 2:
            run.close()
            break
    result = train(data=copies, validation=validation, folder=tmp_path / "run")
    assert result.complete and len(result.history.records) == 6
    assert not any("elsewhere" in note for note in result.notes)
    told: list[str] = []
    train(data=copies, validation=validation, folder=tmp_path / "run", progress=lambda *state: told.append(state[2]))
    assert "Comparing images" not in told, "the copies are known by now"
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["names"]["data"] == "one"


def test_what_differs_is_told_in_words(train: Any, stored: Any, tmp_path: Path) -> None:
    first, other = stored("one", 1), stored("two", 1)
    train(data=first, validation=first, folder=tmp_path / "run")
    shutil.copy(other.files[0], other.files[1])
    with pytest.raises(StorageError, match=r"another: the images are others \(one there, two here\)\."):
        train(data=other, validation=first, folder=tmp_path / "run")
    with pytest.raises(StorageError, match=r"the validation images, or their labels or groups, are others \(one"):
        train(data=first, validation=other, folder=tmp_path / "run")
    first.class_names = (*first.class_names[:-1], "another")
    with pytest.raises(StorageError, match=r"another: the labels or class names are others; the validation images"):
        train(data=first, validation=first, folder=tmp_path / "run")


def test_a_model_may_be_called_otherwise(train: Any, model: Any, tmp_path: Path) -> None:
    train(folder=tmp_path / "run")
    renamed = model.copy()
    renamed.name = "elsewhere/weights.safetensors"
    assert train(model=renamed, folder=tmp_path / "run").complete


def test_a_folder_of_the_earlier_format_is_refused_with_what_to_do(train: Any, model: Any, tmp_path: Path) -> None:
    """What a run depends on is told otherwise now; the model in it can still be had."""
    trained = train(folder=tmp_path / "run").model
    path = tmp_path / "run" / "settings.json"
    stored = json.loads(path.read_text())
    of_then = {"clusters": [3], "medoids": "1f2e", "objective": repr(RegionAware())}
    depends = {name: value for name, value in stored["depends"].items() if not name.startswith("feature")} | of_then
    made_with = stored["made_with"] | {"ravl_explore": "0.3.7"}
    path.write_text(json.dumps(stored | {"format": "ravl_explore run 1", "depends": depends, "made_with": made_with}))
    before = {each.name: each.read_bytes() for each in (tmp_path / "run").iterdir()}
    with pytest.raises(StorageError) as raised:
        train(folder=tmp_path / "run")
    assert str(raised.value) == (
        f"Expected a run folder of this version (ravl_explore run 2), got {str(path)!r} of a run that ravl_explore "
        "0.3.7 began (ravl_explore run 1). Choose another folder to train again; models.Checkpoint opens the model in "
        "this one."
    )
    assert {each.name: each.read_bytes() for each in (tmp_path / "run").iterdir()} == before
    assert equal(weights(models.Checkpoint(tmp_path / "run" / "model.safetensors")), weights(trained))
    assert train(folder=tmp_path / "another").complete


@pytest.mark.parametrize("part", ["format", "depends", "made_with", "contents", "names"])
def test_settings_without_a_part_are_told(train: Any, tmp_path: Path, part: str) -> None:
    folder = RunFolder(tmp_path, {"what": 1}, {})
    folder.close()
    stored = json.loads((tmp_path / "settings.json").read_text())
    del stored[part]
    (tmp_path / "settings.json").write_text(json.dumps(stored))
    with pytest.raises(StorageError, match=rf"a run folder's settings.*'{part}'"):
        RunFolder(tmp_path, {"what": 1}, {})


@pytest.mark.parametrize("format_", ["ravl_explore run 3", "another", None, 2, ["ravl_explore run 2"]])
def test_settings_of_another_format_are_told(tmp_path: Path, format_: Any) -> None:
    RunFolder(tmp_path, {}, {}).close()
    settings_with(format=format_)(tmp_path)
    with pytest.raises(StorageError, match=r"a run folder's settings \(ravl_explore run 2\), got .*format"):
        RunFolder(tmp_path, {}, {})


def test_a_checkpoint_of_another_architecture_is_refused(
    train: Any, make_model: Callable[..., Any], tmp_path: Path
) -> None:
    """Two folders mixed up by hand: the settings are right, the weights are not."""
    train(folder=tmp_path / "run")
    train(folder=tmp_path / "other", model=make_model(image_size=128))
    shutil.copy(tmp_path / "other" / "checkpoint.safetensors", tmp_path / "run")
    with pytest.raises(StorageError, match=r"this model's architecture, .*positional_embedding is \(17, 256\) there"):
        train(folder=tmp_path / "run")


@pytest.mark.parametrize("file", ["checkpoint.safetensors", "settings.json"])
def test_a_damaged_file_is_told(train: Any, tmp_path: Path, file: str) -> None:
    train(folder=tmp_path / "run")
    path = tmp_path / "run" / file
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(StorageError, match=file):
        train(folder=tmp_path / "run")


def settings_with(**changes: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "settings.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


def checkpoint_with(tensors: Callable[[dict[str, Any]], Any] = lambda _: None, **meta: Any) -> Callable[[Path], None]:
    """Damage that a checksum would tell, in a file that has none."""

    def damage(folder: Path) -> None:
        from safetensors.torch import save_file

        stored = Checkpoint.read(folder / "checkpoint.safetensors")
        tensors(stored.tensors)
        header = {"format": "ravl_explore checkpoint 1", "meta": json.dumps(stored.meta | meta)}
        save_file(stored.tensors, folder / "checkpoint.safetensors", header)

    return damage


def first_of(group: str, tensors: dict[str, Any]) -> str:
    return next(name for name in tensors if name.startswith(group) and tensors[name].ndim)


DAMAGE = {
    "settings: depends a list": settings_with(depends=[]),
    "settings: depends null": settings_with(depends=None),
    "settings: contents null": settings_with(contents=None),
    "settings: names a list": settings_with(names=[]),
    "settings: of then, by nobody": settings_with(format="ravl_explore run 1", made_with={}),
    "settings: made with a list": settings_with(made_with=[]),
    "settings: nested deeply": lambda folder: (folder / "settings.json").write_text("[" * 100_000),
    "step a text": checkpoint_with(step="x", complete=False),
    "step beyond the last": checkpoint_with(step=10**9, complete=False),
    "step before the first": checkpoint_with(step=-1, complete=False),
    "step 0": checkpoint_with(step=0, complete=False, records=[]),
    "step true": checkpoint_with(step=True, complete=False),
    "step of fewer records": checkpoint_with(step=5, complete=False),
    "the last step, not complete": checkpoint_with(complete=False),
    "complete a text": checkpoint_with(complete="yes"),
    "records null": checkpoint_with(records=None),
    "records of nothing": checkpoint_with(records=[{}] * 6),
    "waited a text": checkpoint_with(waited="x"),
    "best a number": checkpoint_with(best=5),
    "best without weights": checkpoint_with(best=[3, 0.5]),
    "shuffling of nothing": checkpoint_with(shuffling={}),
    "shuffling of another kind": checkpoint_with(shuffling={"bit_generator": "MT19937"}),
    "without order": checkpoint_with(lambda t: t.pop("order/images")),
    "order of other images": checkpoint_with(lambda t: t["order/images"].add_(10**6)),
    "order of numbers": checkpoint_with(lambda t: t.update({"order/images": t["order/images"].double()})),
    "without draws": checkpoint_with(lambda t: t.pop("random/drawing")),
    "draws of another kind": checkpoint_with(lambda t: t.update({"random/drawing": torch.zeros(3)})),
    "half an optimiser": checkpoint_with(lambda t: t.pop(first_of("optimizer", t))),
    "another optimiser": checkpoint_with(lambda t: t.update({first_of("optimizer", t): torch.zeros(2, 2)})),
    "a state of nobody's": checkpoint_with(lambda t: t.update({"objective/x": torch.zeros(2)})),
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one run is kept that came to its end."""
    return tmp_path_factory.mktemp("ended") / "run"


@pytest.mark.parametrize("name", DAMAGE)
def test_what_a_folder_cannot_hold_is_told(train: Any, ended: Path, tmp_path: Path, name: str) -> None:
    if not ended.exists():
        train(folder=ended)
    shutil.copytree(ended, tmp_path / "run")
    DAMAGE[name](tmp_path / "run")
    before = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()
    with pytest.raises(StorageError, match=r"settings.json|checkpoint.safetensors|this model's architecture"):
        train(folder=tmp_path / "run")
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == before


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9])
def test_a_flipped_bit_is_told(train: Any, ended: Path, tmp_path: Path, share: float) -> None:
    if not ended.exists():
        train(folder=ended)
    shutil.copytree(ended, tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.safetensors"
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(StorageError, match="a complete checkpoint"):
        train(folder=tmp_path / "run")


def test_a_checkpoint_of_an_earlier_version_is_gone_on_with(train: Any, ended: Path, tmp_path: Path) -> None:
    if not ended.exists():
        train(folder=ended)
    shutil.copytree(ended, tmp_path / "run")
    checkpoint_with()(tmp_path / "run")
    assert train(folder=tmp_path / "run").complete


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    RunFolder(tmp_path, {}, {}).close()
    (tmp_path / f"{UNFINISHED}x").write_bytes(b"half a checkpoint")
    RunFolder(tmp_path, {}, {}).close()
    assert sorted(each.name for each in tmp_path.iterdir()) == [".lock", "settings.json"]


def test_a_disk_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr("filelock.FileLock.acquire", unknown)
    with pytest.raises(StorageError, match="support flock"):
        RunFolder(tmp_path, {}, {})


def test_a_folder_of_something_else_is_refused(train: Any, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"mine")
    with pytest.raises(StorageError, match=r"model.safetensors without settings.json"):
        train(folder=tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == b"mine"


def test_a_folder_in_use_is_refused(train: Any, begun: Any, tmp_path: Path) -> None:
    run = begun(folder=tmp_path / "run")
    with pytest.raises(StorageError, match="where a run is under way"):
        train(folder=tmp_path / "run")
    run.close()
    assert train(folder=tmp_path / "run").complete


def test_a_run_that_cannot_begin_lets_the_folder_go(train: Any, begun: Any, common: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="validation images with patience, got none"):
        begun(settings=replace(QUICK, patience=1), folder=tmp_path / "run")
    told: list[Any] = []
    feature = common["assignment"].feature
    with pytest.raises(InputError, match=r"told apart in the next session.*or leave folder out"):
        train(
            objective=Held(lambda: 1),
            assignment=feature,
            folder=tmp_path / "run",
            progress=lambda *state: told.append(state),
        )
    assert told == [], "before anything is embedded"
    assert train(objective=Held(lambda: 1)).complete, "without a folder nobody asks"
    shutil.rmtree(tmp_path / "run")
    assert train(folder=tmp_path / "run").complete


class Held(ImageObjective):
    """CLIP's loss, and something beside it."""

    name = "held"

    def __init__(self, held: Any) -> None:
        self.held = held


def test_an_objective_is_known_by_what_it_holds(train: Any, tmp_path: Path) -> None:
    train(objective=Held([1, 2]), folder=tmp_path / "run")
    assert train(objective=Held([1, 2]), folder=tmp_path / "run").complete
    with pytest.raises(StorageError, match=r"objective is .*Held object"):
        train(objective=Held([1, 3]), folder=tmp_path / "run")


def test_a_file_in_the_way(train: Any, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(StorageError, match="a run folder that can be written"):
        train(folder=tmp_path / "run")


def test_another_machine_is_noted(train: Any, tmp_path: Path) -> None:
    train(folder=tmp_path / "run")
    path = tmp_path / "run" / "settings.json"
    stored = json.loads(path.read_text())
    stored["made_with"]["torch"] = "1.0"
    path.write_text(json.dumps(stored))
    (note,) = [each for each in train(folder=tmp_path / "run").notes if "begun elsewhere" in each]
    assert f"torch is 1.0 there, {torch.__version__} here" in note


# --- when something goes wrong ----------------------------------------------------------------------------------------


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_does_not_end_the_training(
    train: Any,
    begun: Any,
    tmp_path: Path,
    often: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = begun(folder=tmp_path / "run")
    steps = iter(run)
    for _ in range(3):
        next(steps)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        assert [record.step for record in steps] == [4, 5, 6]
        result = run.result()
    assert result.complete and equal(weights(result.model), weights(train().model))
    notes = " ".join(result.notes)
    assert "The checkpoint of step 6 could not be written (No space left on device)" in notes
    assert "checkpoint of step 4" not in notes, "one note, of the latest"
    assert "model.safetensors could not be written (No space left on device)" in notes
    assert "could not be written" in caplog.text
    assert Checkpoint.read(tmp_path / "run" / "checkpoint.safetensors").meta["step"] == 3, "the older one stays"
    assert sorted(each.name for each in (tmp_path / "run").iterdir() if each.name != ".lock") == [
        "checkpoint.safetensors", "history.jsonl", "settings.json",
    ]  # fmt: skip
    assert equal(weights(train(folder=tmp_path / "run").model), weights(result.model)), "and is gone on with"


def test_a_disk_that_has_room_again_is_no_longer_noted(
    begun: Any, tmp_path: Path, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(folder=tmp_path / "run")
    steps = iter(run)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        next(steps)
    assert any("could not be written" in note for note in run.notes)
    list(steps)
    assert not any("could not be written" in note for note in run.result().notes)


def test_a_full_disk_at_the_start_is_told_at_once(train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        train(folder=tmp_path / "run")


class Spoiled(ImageObjective):
    """CLIP's loss, which is not a number at one step."""

    name, steps, bad = "spoiled", 0, 4

    def __call__(self, image: Any, region: Any, batch: Any) -> Any:
        Spoiled.steps += 1
        loss = self.contrastive(image, batch)
        return {"loss": loss * float("nan") if Spoiled.steps == self.bad else loss}


def test_a_loss_that_is_not_finite_loses_nothing(train: Any, begun: Any, tmp_path: Path) -> None:
    Spoiled.steps = 0
    with pytest.raises(TrainingError, match="a finite loss, got nan at step 4") as caught:
        train(objective=Spoiled(), folder=tmp_path / "run")
    result = caught.value.result
    assert not result.complete and len(result.history.records) == 3
    Spoiled.steps = 100
    run = begun(objective=Spoiled())
    for record in run:
        if record.step == 3:
            break
    assert equal(weights(result.model), weights(run.result().model))
    assert equal(weights(models.Checkpoint(tmp_path / "run" / "model.safetensors")), weights(result.model))
    assert [r.step for r in train(objective=Spoiled(), folder=tmp_path / "run").history.records] == list(range(1, 7))


def test_without_a_folder_the_error_carries_what_was_trained(begun: Any) -> None:
    Spoiled.steps = 0
    run = begun(objective=Spoiled())
    with pytest.raises(TrainingError) as caught:
        list(run)
    assert len(caught.value.result.history.records) == 3 and len(run.result().history.records) == 3
    assert caught.value.result.model is run.result().model


def test_a_run_folder_by_itself(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", {"what": (1, 2)}, {})
    assert folder.read() is None and not folder.due
    folder.close()
    folder.close()
    RunFolder(tmp_path / "run", {"what": [1, 2]}, {}).close()
    with pytest.raises(StorageError, match=r"what is \[1, 2\] there, null here; which is null there, 3 here"):
        RunFolder(tmp_path / "run", {"which": 3}, {})


# --- groups -----------------------------------------------------------------------------------------------------------


def test_groups_without_images_are_noted(train: Any, common: dict[str, Any], model: Any, make_data: Any) -> None:
    """And told beforehand to whom it matters."""
    data = make_data(3)  # one image a class
    embeddings, feature = rx.embed(model, data), common["assignment"].feature
    (note,) = train(data=data, assignment=rx.assign(embeddings, feature)).notes
    assert note.startswith("No image is in these groups") and "'cat, " in note and "'hen, " in note
    empty = rx.check_features(embeddings, feature).empty
    assert len(empty) == 3 and all(repr(each) in note for each in empty)
