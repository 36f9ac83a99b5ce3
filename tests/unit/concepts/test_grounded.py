"""Grounded: concepts in words become masks; real networks at toy size, and made-up ones to see how masks are joined."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ravl_explore.concepts import Grounded, read_all
from ravl_explore.concepts import grounded as module
from ravl_explore.concepts.concept_lists import concepts_by_class
from ravl_explore.concepts.networks import MASK_VALUES, Networks, find_folder
from ravl_explore.data import ArrayDataset
from ravl_explore.errors import InputError, MissingDependencyError, ModelError

CONCEPTS = {"cat": ["paw"], "dog": ["snout", "paw"], "hen": []}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAVL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "cache"


@pytest.fixture
def data() -> ArrayDataset:
    images = np.random.default_rng(0).integers(0, 255, (3, 40, 60, 3), dtype=np.uint8)
    return ArrayDataset(images, [0, 1, 2], ["cat", "dog", "hen"])


class Fake:
    """Boxes by concept, whose masks are all of the box."""

    by_concept: dict[str, list[list[int]]] = {}  # noqa: RUF012  set by each test
    made = 0

    def __init__(self, *_: Any) -> None:
        type(self).made += 1

    def boxes(self, image: np.ndarray, concept: str, threshold: float) -> np.ndarray:
        return np.array(self.by_concept.get(concept, []), np.float32).reshape(-1, 4)

    def masks(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        masks = np.zeros((len(boxes), *image.shape[:2]), bool)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.astype(int), strict=True):
            mask[y1:y2, x1:x2] = True
        return masks


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    monkeypatch.setattr(module, "Networks", Fake)
    Fake.made, Fake.by_concept = 0, {}
    return Fake


@pytest.fixture
def open_masks(folders: Any, data: ArrayDataset) -> Callable[..., Any]:
    def make(concepts: Any = CONCEPTS, **changes: Any) -> Any:
        return Grounded(concepts, folders.detector, folders.segmenter, **changes).open(data)

    return make


def test_toy_networks_draw_masks_that_a_second_run_reads(
    open_masks: Callable[..., Any], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_masks(box_threshold=0.001)
    drawn = [first(i) for i in range(3)]
    for promote, suppress in drawn[:2]:
        assert promote.shape == (40, 60) and promote.any() and (suppress == ~promote).all()
    assert not drawn[2][0].any() and not drawn[2][1].any(), "a class without concepts"
    assert first.notes == ("1 image shows no concept.",) and len(first) == 3
    assert len(list((cache / "concepts").glob("*.npz"))) == 3

    def refuse(*_: Any) -> None:
        raise AssertionError("the models were loaded again")

    monkeypatch.setattr(module, "Networks", refuse)
    again = open_masks(box_threshold=0.001)
    for i in range(3):
        assert all((one == two).all() for one, two in zip(again(i), drawn[i], strict=True))
    assert again.notes == first.notes and again.fingerprint() == first.fingerprint()


def test_boxes_and_masks_are_those_of_transformers(folders: Any, data: ArrayDataset, monkeypatch: Any) -> None:
    import torch
    import transformers as library

    networks = Networks(folders.detector, folders.segmenter)
    image = data.image(0)
    boxes = networks.boxes(image, "a paw", 0.001)
    model = library.GroundingDinoForObjectDetection.from_pretrained(folders.detector).eval()
    processor = library.GroundingDinoProcessor.from_pretrained(folders.detector)
    asked = processor(images=image, text="a paw.", return_tensors="pt")
    with torch.no_grad():
        answer = model(**asked)
    center, size = answer.pred_boxes[0, :, :2].numpy(), answer.pred_boxes[0, :, 2:].numpy()
    expected = np.hstack([center - size / 2, center + size / 2]) * [60, 40, 60, 40]
    assert len(boxes) and np.allclose(boxes, np.clip(expected, 0, [60, 40, 60, 40]), atol=1e-3)
    scores = answer.logits[0].sigmoid().max(-1).values.numpy()
    middle = float(np.sort(scores)[len(scores) // 2])
    assert len(networks.boxes(image, "a paw", middle)) == (scores > middle).sum() < len(boxes)

    together = networks.masks(image, boxes)
    whole = library.Sam2Model.from_pretrained(folders.segmenter).eval()
    input_of = library.Sam2Processor.from_pretrained(folders.segmenter)
    given = input_of(images=image, input_boxes=[boxes.tolist()], return_tensors="pt")
    with torch.no_grad():
        low = whole(**{k: v for k, v in given.items() if k != "original_sizes"}, multimask_output=False).pred_masks
    expected_masks = input_of.post_process_masks(low, given["original_sizes"])[0][:, 0].numpy()
    assert (together == expected_masks).mean() > 0.999 and together.shape == (len(boxes), 40, 60)
    monkeypatch.setattr("ravl_explore.concepts.networks.MASK_VALUES", 40 * 60 * 2)
    assert (networks.masks(image, boxes) == together).all() and MASK_VALUES > 4000 * 3000
    assert networks.masks(image, boxes[:0]).shape == (0, 40, 60)


def test_the_segmenter_of_a_video_model_is_the_same(folders: Any, data: ArrayDataset) -> None:
    boxes = np.array([[5, 5, 40, 30]], np.float32)
    one, two = (Networks(folders.detector, each).masks(data.image(0), boxes) for each in folders[1:])
    assert (one == two).all() and one.any()


def test_masks_of_concepts_are_joined_and_odd_ones_left_out(
    open_masks: Callable[..., Any], fake: type[Fake], data: ArrayDataset
) -> None:
    fake.by_concept = {
        "paw": [[0, 0, 10, 10], [20, 0, 30, 10]],
        "snout": [[5, 5, 15, 15]],
        "all": [[0, 0, 60, 20], [0, 20, 60, 40]],
        "speck": [[0, 0, 1, 2]],
    }
    masks = open_masks({"cat": ["paw", "all"], "dog": ["snout", "paw", "speck"], "hen": ["all", "tail"]})
    for _ in range(2):  # epochs count nothing twice
        promote, suppress = masks(1)
        expected = np.zeros((40, 60), bool)
        expected[:10, :10] = expected[:10, 20:30] = expected[5:15, 5:15] = True
        assert (promote == expected).all() and (suppress == ~expected).all()
        assert masks(0)[0].sum() == 200
        assert not masks(2)[0].any() and not masks(2)[1].any()
    assert masks.notes == (
        "1 image shows no concept.",
        "3 masks of concepts were left out: under 0.1% or over 98% of the image.",
    )
    assert fake.made == 1


def test_what_a_mask_depends_on_is_in_its_name(
    open_masks: Callable[..., Any], fake: type[Fake], folders: Any, data: ArrayDataset, cache: Path, tmp_path: Path
) -> None:
    fake.by_concept = {"paw": [[0, 0, 10, 10]]}

    def kept() -> int:
        return len(list((cache / "concepts").glob("*.npz")))

    base = open_masks()
    base(0)
    assert kept() == 1
    open_masks({"cat": ["paw"], "dog": [], "hen": []})(0)
    assert kept() == 1, "other classes' concepts are no matter"
    marks = {base.fingerprint()}
    for concepts, changes in (({"cat": ["a paw"], "dog": [], "hen": []}, {}), (CONCEPTS, {"box_threshold": 0.5})):
        other = open_masks(concepts, **changes)
        other(0)
        marks.add(other.fingerprint())
    assert kept() == 3
    shutil.copytree(folders.segmenter, tmp_path / "other")
    settings = json.loads((tmp_path / "other/config.json").read_text())
    (tmp_path / "other/config.json").write_text(json.dumps(settings | {"note": "changed"}))
    other = Grounded(CONCEPTS, folders.detector, tmp_path / "other").open(data)
    other(0)
    assert kept() == 4 and len(marks | {other.fingerprint()}) == 4


def test_a_broken_store_is_drawn_anew_and_a_full_disk_is_told(
    open_masks: Callable[..., Any], fake: type[Fake], cache: Path
) -> None:
    fake.by_concept = {"paw": [[0, 0, 10, 10]]}
    open_masks()(0)
    (path,) = (cache / "concepts").glob("*.npz")
    path.write_bytes(b"cut short")
    assert open_masks()(0)[0].sum() == 100 and path.stat().st_size > 20
    shutil.rmtree(cache / "concepts")
    (cache / "concepts").write_text("a file where the folder should be")
    masks = read_all(open_masks())
    assert masks(0)[0].sum() == 100 and "could not be kept" in masks.notes[-1]


def test_concepts_from_a_file_a_list_and_a_callable(tmp_path: Path) -> None:
    path = tmp_path / "concepts.json"
    path.write_text(json.dumps({"cat": ["Paw.", " paw", "long  tail"], "dog": [], "cow": ["horn"]}))
    names = ["dog", "cat"]
    assert concepts_by_class(path, names) == ((), ("paw", "long tail"))
    path.write_text('["animal"]')
    assert concepts_by_class(str(path), names) == (("animal",), ("animal",))
    assert concepts_by_class(lambda name: [f"{name}'s head"], names) == (("dog's head",), ("cat's head",))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cat": ["paw"]}, "none for 'dog', 1 classes"),
        ({"cat": "paw", "dog": []}, "a list of phrases for 'cat'"),
        ({"cat": [1], "dog": []}, "a list of phrases for 'cat'"),
        ({"cat": [" . "], "dog": []}, "an empty one"),
        ({"cat": [], "dog": []}, "at least one concept"),
        (lambda name: None, "a list of phrases"),
    ],
)
def test_concepts_that_are_none(given: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        concepts_by_class(given, ["cat", "dog"])


def test_what_is_wrong_is_told_before_a_model_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a JSON file of concepts"):
        Grounded(tmp_path / "none.json")
    (tmp_path / "c.json").write_text("3")
    with pytest.raises(InputError, match="int in"):
        Grounded(str(tmp_path / "c.json"))
    (tmp_path / "c.json").write_text('{"cat": ["paw"], "cat": ["snout"]}')
    with pytest.raises(InputError, match="the key 'cat' twice"):
        Grounded(str(tmp_path / "c.json"))
    with pytest.raises(InputError, match="box_threshold between 0 and 1, got 1"):
        Grounded(["paw"], box_threshold=1)


def test_transformers_that_is_missing_or_too_old(data: ArrayDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match=r"ravl-explore\[concepts\]"):
        Grounded(["paw"]).open(data)
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(__version__="4.55.4"))
    with pytest.raises(MissingDependencyError, match=r"4\.56 or later, which has SAM 2, got 4\.55\.4"):
        Grounded(["paw"]).open(data)


def test_without_a_network_the_missing_file_is_named(data: ArrayDataset, folders: Any, cache: Path) -> None:
    with pytest.raises(ModelError, match=r"config.json of the Hugging Face repository") as told:
        Grounded(["paw"]).open(data)
    assert str(cache / "models/IDEA-Research/grounding-dino-base/config.json") in str(told.value)
    assert "a folder with the whole repository as detector" in str(told.value)
    own = cache / "models/IDEA-Research/grounding-dino-base"
    shutil.copytree(folders.detector, own)
    with pytest.raises(ModelError, match="'facebook/sam2-hiera-large'"):
        Grounded(["paw"]).open(data)
    shutil.copytree(folders.segmenter, cache / "models/facebook/sam2-hiera-large")
    assert len(Grounded(["paw"]).open(data)) == 3
    (own / "tokenizer.json").unlink()
    (own / "vocab.txt").unlink()
    with pytest.raises(ModelError, match=r"tokenizer.json or vocab.txt of the Hugging Face repository"):
        Grounded(["paw"]).open(data)


def test_folders_that_hold_another_model(folders: Any, data: ArrayDataset, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="which is neither"):
        Grounded(["paw"], tmp_path / "none").open(data)
    with pytest.raises(ModelError, match="a model of type sam2 or sam2_video, got 'grounding-dino'"):
        Grounded(["paw"], folders.detector, folders.detector).open(data)
    with pytest.raises(ModelError, match=r"a folder with config.json"):
        Grounded(["paw"], tmp_path).open(data)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"a config.json, got"):
        find_folder(str(tmp_path), "detector", ("sam2",), ())


def test_weights_that_do_not_fit_are_refused(folders: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "short"
    shutil.copytree(folders.segmenter, folder)
    weights = load_file(folder / "model.safetensors")
    weights.pop("no_memory_embedding")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="without no_memory_embedding, 1 in all"):
        Networks(folders.detector, folder)
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelError, match=r"weights that fit their config.json"):
        Networks(folders.detector, folder)
    shutil.copytree(folders.detector, tmp_path / "mute")
    (tmp_path / "mute/tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="how images and words go in"):
        Networks(tmp_path / "mute", folders.segmenter)
    with pytest.raises(ModelError, match="a device of this machine, got 'warp'"):
        Networks(folders.detector, folders.segmenter, "warp")
