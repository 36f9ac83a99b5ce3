"""Relevance maps of a dataset are those of the traced model, of the class, image or crop that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ravl_explore.data.relabelled import Relabelled
from ravl_explore.errors import Cancelled, InputError, ModelError
from ravl_explore.metrics import alignment
from ravl_explore.models.base import class_embeddings, resize
from ravl_explore.relevance import BATCH, RelevanceMaps, relevance_maps

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def vit() -> Any:
    from ravl_explore.models.clip_model import ClipModel
    from ravl_explore.models.demo import demo_tokenizer
    from tests.unit.models.conftest import build_tower

    torch.set_num_threads(1)
    return ClipModel(build_tower("vit"), demo_tokenizer(), "random vit")


class Halves:
    """Left promoted, right suppressed, at any size of an image; nothing is known of the images in ``unknown``."""

    name, notes = "halves", ()

    def __init__(self, n: int, height: int = 32, width: int = 32, unknown: tuple[int, ...] = ()) -> None:
        self._n, self._shape, self._unknown = n, (height, width), unknown

    def __len__(self) -> int:
        return self._n

    def __call__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        left = np.zeros(self._shape, bool)
        left[:, : self._shape[1] // 2] = True
        return (left & False, left & False) if index in self._unknown else (left, ~left)

    def fingerprint(self) -> str:
        return "halves"


def one_map(
    model: Any, data: Any, pixels: np.ndarray, chosen: int | None, score: str = "contrast"
) -> tuple[np.ndarray, np.ndarray]:
    """(map 0..1 of one image, its scores), by hand."""
    image, relevance = model.trace(resize([pixels], model.image_size))
    classes = class_embeddings(model, data.class_names, data.templates)
    scores = (image[0] @ classes.T / 0.07).softmax(0).detach()
    chosen = int(scores.argmax()) if chosen is None else chosen
    toward = classes[chosen] - (classes.mean(0) if score == "contrast" else 0)
    found = relevance(image @ toward / 0.07, False)[0].detach().numpy()
    return (found - found.min()) / (found.max() - found.min()), scores.numpy()


@pytest.mark.parametrize("classes", ["label", "prediction", "hen", 1])
def test_each_map_explains_the_class_that_was_asked_for(vit: Any, make_data: Make, classes: Any) -> None:
    data, images = make_data(12), [5, 0, 5, 11]
    found = relevance_maps(vit, data, images, classes)
    assert found.maps.shape == (4, 4, 4) and found.maps.dtype == np.float32
    for row, image in enumerate(images):
        chosen = {"label": int(data.labels[image]), "prediction": None, "hen": 2, 1: 1}[classes]
        expected, scores = one_map(vit, data, data.image(image), chosen)
        np.testing.assert_allclose(found.maps[row], expected, atol=1e-3)
        np.testing.assert_allclose(found.scores[row], scores, atol=1e-4)
        assert found.shown[row] == (scores.argmax() if chosen is None else chosen)
    assert found.predictions.tolist() == found.scores.argmax(1).tolist()
    assert found.labels.tolist() == data.labels[images].tolist() and found.images.tolist() == images
    assert (found.model_name, found.data_name, found.class_names, found.boxes) == (
        "random vit",
        "pictures",
        ("cat", "dog", "hen"),
        None,
    )


def test_the_logit_alone(vit: Any, make_data: Make) -> None:
    data = make_data(12)
    found = relevance_maps(vit, data, [3], "dog", score="logit")
    np.testing.assert_allclose(found.maps[0], one_map(vit, data, data.image(3), 1, "logit")[0], atol=1e-3)
    assert not np.allclose(found.maps[0], one_map(vit, data, data.image(3), 1)[0], atol=1e-2)


def test_a_class_called_label_is_reached_by_its_number(vit: Any, make_data: Make) -> None:
    data = make_data(class_names=("label", "cat", "dog"))
    assert relevance_maps(vit, data, [1, 2], "label").shown.tolist() == [1, 2]
    assert relevance_maps(vit, data, [1, 2], 0).shown.tolist() == [0, 0]


def test_a_crop_is_an_image_of_its_own(vit: Any, make_data: Make) -> None:
    data = make_data(12)
    boxes = np.array([[16, 0, 32, 16], [3.5, 4.2, 9.9, 31.1]])
    found = relevance_maps(vit, data, [1, 2], "cat", boxes)
    for row, (image, part) in enumerate(((1, np.s_[0:16, 16:32]), (2, np.s_[4:32, 3:10]))):
        expected, _ = one_map(vit, data, np.ascontiguousarray(data.image(image)[part]), 0)
        np.testing.assert_allclose(found.maps[row], expected, atol=1e-3)


def test_resnets_have_maps_too(model: Any, make_data: Make) -> None:
    found = relevance_maps(model, make_data(4), range(4))
    assert found.maps.shape == (4, 2, 2) and found.maps.min() >= 0 and found.maps.max() <= 1


def test_batches_and_progress(vit: Any, make_data: Make) -> None:
    data = make_data(12)
    images = np.arange(BATCH + 3) % 12
    told: list[tuple[int, int, str]] = []
    before = [each.requires_grad for each in vit.visual.parameters()]
    with torch.no_grad():
        found = relevance_maps(vit, data, images, progress=lambda *state: told.append(state))
    assert told == [(n, BATCH + 3, "Tracing relevance") for n in (0, BATCH, BATCH + 3)]
    np.testing.assert_allclose(found.maps[: BATCH + 3 - 12], found.maps[12:], atol=1e-3)
    assert [each.requires_grad for each in vit.visual.parameters()] == before
    assert all(each.grad is None for each in vit.visual.parameters()), "no weight collects a gradient"

    def cancel(*_: Any) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        relevance_maps(vit, data, images, progress=cancel)


def test_no_image_is_no_map(vit: Any, make_data: Make) -> None:
    found = relevance_maps(vit, make_data(3), [])
    assert len(found.maps) == len(found.images) == 0 and found.scores.shape == (0, 3)
    assert found.align(Halves(3)).n_images == 0


# --- alignment --------------------------------------------------------------------------------------------------------


def test_masks_are_read_at_the_centre_of_each_cell(vit: Any, make_data: Make) -> None:
    data = make_data(12)
    found = relevance_maps(vit, data, range(6))
    left = np.zeros((6, 4, 4), bool)
    left[:, :, :2] = True
    assert found.align(Halves(12)) == alignment(found.maps, left, ~left)
    assert found.align(Halves(12, 7, 90)) == alignment(found.maps, left, ~left), "any size of mask"
    assert found.align(Halves(12, unknown=(0, 1, 2, 3))).n_images == 2
    crops = relevance_maps(vit, data, range(6), boxes=np.tile([12, 0, 28, 16], (6, 1)))
    left[:, :, 1] = False  # the crop's first quarter lies in the left half
    assert crops.align(Halves(12)) == alignment(crops.maps, left, ~left)


def test_masks_of_other_data_are_refused(vit: Any, make_data: Make) -> None:
    with pytest.raises(InputError, match="masks of image 5, got 5 masks"):
        relevance_maps(vit, make_data(12), [5]).align(Halves(5))


# --- what cannot be done ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": [12]}, "images from 0 to 11, got 12"),
        ({"images": [-1]}, "images from 0 to 11, got -1"),
        ({"classes": "fox"}, "label, prediction, or one of the classes .* got 'fox'"),
        ({"classes": 3}, "got 3"),
        ({"score": "x"}, "score logit or contrast, got 'x'"),
        ({"boxes": np.zeros((2, 4))}, r"boxes of shape \(1, 4\)"),
        ({"boxes": np.array([[5, 5, 5, 9]])}, "within its image, got .5.0, 5.0, 5.0, 9.0. in an image of .32, 32."),
        ({"boxes": np.array([[40, 0, 50, 9]])}, "a box x1, y1, x2, y2 within its image"),
        ({"boxes": np.array([[np.nan, 0, 50, 9]])}, "a box x1, y1, x2, y2 within its image"),
    ],
)
def test_bad_input_is_refused(vit: Any, make_data: Make, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        relevance_maps(vit, make_data(12), **({"images": [0]} | changes))


def test_a_model_without_trace_is_refused(vit: Any, make_data: Make) -> None:
    class Other:
        name = "other"

    with pytest.raises(InputError, match="a model, got an Other, which has no dim"):
        relevance_maps(Other(), make_data(3), [0])  # type: ignore[arg-type]
    untraceable = vit.copy()
    untraceable.trace = None
    with pytest.raises(ModelError, match=r"'random vit' \(ClipModel\), which has no trace\(\)"):
        relevance_maps(untraceable, make_data(3), [0])


def test_it_can_be_made_by_hand() -> None:
    found = RelevanceMaps(
        maps=np.array([[[1.0, 0.0], [1.0, 0.0]]], np.float32),
        images=np.array([3]),
        boxes=None,
        shown=np.array([0]),
        scores=np.array([[0.25, 0.75]], np.float32),
        labels=np.array([0]),
        class_names=("cat", "dog"),
        model_name="",
        data_name="",
    )
    assert found.align(Halves(4)).miou == 1 and found.predictions.tolist() == [1]
    assert replace(found, maps=1 - found.maps).align(Halves(4)).miou == 0


def test_an_image_without_a_label_is_explained_by_its_prediction(vit: Any, make_data: Make) -> None:
    data = make_data(4)
    labels = data.labels.copy()
    labels[1] = -1
    found = relevance_maps(vit, Relabelled(data, labels), [0, 1])
    assert found.shown.tolist() == [int(labels[0]), int(found.predictions[1])]
