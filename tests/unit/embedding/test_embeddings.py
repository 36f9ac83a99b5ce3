"""embed() runs every image and region once, says how far it is, stops when asked, and lets nothing unusable through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import ravl_explore as rx
from ravl_explore.embedding.embeddings import Embeddings, embed
from ravl_explore.errors import Cancelled, DataError, InputError, ModelError
from ravl_explore.models.base import class_embeddings, resize
from ravl_explore.regions import Given, Grid, Regions


def test_everything_is_embedded_in_its_place(model: Any, make_data: Callable[..., Any]) -> None:
    data = make_data(5)
    found = embed(model, data, Grid(2, 1), batch_size=2, temperature=0.1)
    assert isinstance(found, rx.Embeddings)
    assert found.image.shape == (5, 32) and found.region.shape == (10, 32) and found.text.shape == (3, 32)
    assert {array.dtype for array in (found.image, found.region, found.text)} == {np.dtype(np.float32)}
    assert found.labels.tolist() == data.labels.tolist() and found.class_names == data.class_names
    assert (found.temperature, found.model_name, found.data_name) == (0.1, "random 0", "pictures")
    for i in range(5):
        pixels = resize([data.image(i)], 64)
        boxes = torch.tensor([[0, 0, 0, 64, 32], [0, 0, 32, 64, 64]], dtype=torch.float32)
        with torch.no_grad():
            image, region = model.encode(pixels, boxes)
        np.testing.assert_allclose(found.image[i], image[0], atol=2e-5)
        np.testing.assert_allclose(found.region[2 * i : 2 * i + 2], region, atol=2e-5)


def test_batch_size_changes_nothing(model: Any, make_data: Callable[..., Any]) -> None:
    one, other = (embed(model, make_data(5), batch_size=size) for size in (1, 100))
    for name in ("image", "region", "text"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=2e-5)


def test_images_may_have_no_region_and_different_sizes(model: Any, make_data: Callable[..., Any]) -> None:
    images = [np.random.default_rng(i).integers(0, 256, (20 + i, 50, 3), dtype=np.uint8) for i in range(3)]
    data = make_data(3, images=images)
    regions = Regions.from_lists([[], [[0, 0, 25, 21], [0, 0, 50, 21]], []])
    found = embed(model, data, Given(regions), batch_size=1)
    assert found.region.shape == (2, 32) and found.regions is regions
    np.testing.assert_allclose(found.region[1], found.image[1], atol=2e-5)


def test_prompts_are_the_datasets_unless_given(model: Any, make_data: Callable[..., Any]) -> None:
    data = make_data(3, templates=["the {}"])
    np.testing.assert_allclose(embed(model, data).text, class_embeddings(model, data.class_names, ["the {}"]))
    np.testing.assert_allclose(
        embed(model, data, templates=("{}",)).text, class_embeddings(model, data.class_names, ["{}"])
    )
    for bad in (("a photo",), ("{} {}",), ()):
        with pytest.raises(InputError, match="template"):
            embed(model, data, templates=bad)


def test_progress_is_told_every_batch(model: Any, make_data: Callable[..., Any]) -> None:
    told: list[tuple[int, int, str]] = []
    embed(model, make_data(5), batch_size=2, progress=lambda *state: told.append(state))
    assert [state[:2] for state in told[1:]] == [(0, 5), (2, 5), (4, 5), (5, 5)]
    assert {state[2] for state in told[1:]} == {"Embedding images"}


def test_progress_may_cancel_between_batches(
    model: Any, make_data: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = []
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda pixels, boxes: encoded.append(len(pixels)) or encode(pixels, boxes))

    def cancel(done: int, total: int, stage: str) -> None:
        if done >= 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        embed(model, make_data(9), batch_size=2, progress=cancel)
    assert encoded == [2, 2]


def test_bad_batch_size(model: Any, make_data: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="batch_size a whole number from 1 up, got 0"):
        embed(model, make_data(3), batch_size=0)


def test_nan_weights(make_model: Callable[..., Any], make_data: Callable[..., Any]) -> None:
    broken = make_model()
    with torch.no_grad():
        broken.visual.layer4[0].conv1.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(ModelError, match="finite image embeddings, got NaN or infinity in 4 of 4, the first at 0"):
        embed(broken, make_data(4))


def test_unusable_data_and_regions(model: Any, make_data: Callable[..., Any]) -> None:
    data = make_data(3)
    data.labels = np.array([0, 1, 7])
    with pytest.raises(DataError, match="got 7 at image 2"):
        embed(model, data)
    with pytest.raises(InputError, match="every box inside"):
        embed(model, make_data(3), Given(Regions.from_lists([[[0, 0, 40, 40]]] * 3)))
    with pytest.raises(InputError, match="image indices below 2"):
        embed(model, make_data(2), lambda data: Regions.from_lists([[[0, 0, 4, 4]]] * 3))
    with pytest.raises(InputError, match="at least one region"):
        embed(model, make_data(2), lambda data: Regions.from_lists([[], []]))


# --- the noun ---------------------------------------------------------------------------------------------------------


def changed(rows: np.ndarray, value: float) -> np.ndarray:
    rows = rows.copy()
    rows[3] = rows[3] * value
    return rows


@pytest.mark.parametrize("name", ["image", "region", "text"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_embeddings_must_be_finite(make_embeddings: Callable[..., Any], name: str, value: float) -> None:
    good = make_embeddings(n_classes=5)
    with pytest.raises(ModelError, match=f"finite {name} embeddings, got NaN or infinity in 1 of .*, the first at 3"):
        make_embeddings(n_classes=5, **{name: changed(getattr(good, name), value)})


@pytest.mark.parametrize("name", ["image", "region", "text"])
@pytest.mark.parametrize("value", [0, 1.01, 0.9])
def test_embeddings_must_have_unit_norm(make_embeddings: Callable[..., Any], name: str, value: float) -> None:
    good = make_embeddings(n_classes=5)
    with pytest.raises(InputError, match=f"unit-norm {name} embeddings, got 1 of another length"):
        make_embeddings(n_classes=5, **{name: changed(getattr(good, name), value)})


def test_embeddings_must_share_their_size(make_embeddings: Callable[..., Any]) -> None:
    with pytest.raises(ModelError, match=r"one embedding size .*'text': 5"):
        make_embeddings(text=np.eye(3, 5, dtype=np.float32))


def test_embeddings_must_be_as_many_as_regions_and_labels(make_embeddings: Callable[..., Any]) -> None:
    good: Embeddings = make_embeddings()
    with pytest.raises(InputError, match="79 for 80 regions"):
        make_embeddings(region=good.region[1:])
    with pytest.raises(InputError, match="19 labels for 20"):
        make_embeddings(labels=good.labels[1:])
