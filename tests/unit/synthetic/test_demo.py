"""The recipe of the ViT demo, and that what ships is what it claims: accurate, and then dependent on the square."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from ravl_explore.data.demo import CAPTIONS, CLASS_NAMES, SIDE, TEMPLATES, Demo, compose
from ravl_explore.metrics import group_accuracy, shortcut_strength
from ravl_explore.models.base import TEMPERATURE, class_embeddings, resize
from ravl_explore.models.demo import Demo as DemoModel
from ravl_explore.synthetic import demo as making
from ravl_explore.synthetic import demo_patches as patches
from ravl_explore.synthetic import demo_pretraining as pretraining

VIT = pretraining.RECIPES["vit"]


@pytest.fixture(scope="module")
def model() -> Any:
    return pretraining.new_model(VIT, seed=0)


def garments(n: int, seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Pixels of ``n`` made-up garments, and the quadrants they are in."""
    rng = np.random.default_rng(seed)
    quadrant = rng.integers(4, size=n)
    images = rng.integers(1, 256, (n, SIDE, SIDE)).astype(np.uint8)
    return resize(list(compose(images, quadrant, (quadrant + 1) % 4)), 56), quadrant


# --- some patches -----------------------------------------------------------------------------------------------------


def test_the_garment_is_seen_whole_and_a_little_of_each_other_quadrant(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []

    class Spy(patches.Kept):
        def __init__(self, keep: torch.Tensor) -> None:
            super().__init__(keep)
            kept.append(keep)

    monkeypatch.setattr(patches, "Kept", Spy)
    pixels, quadrant = garments(6)
    patches.encode_some(model, pixels, quadrant, np.random.default_rng(0))
    for row, corner in zip(kept[0].numpy(), quadrant, strict=True):
        y, x = np.divmod(row, 8)
        counts = np.bincount((y // 4) * 2 + x // 4, minlength=4)
        assert len(set(row)) == len(row)
        assert [counts[c] for c in range(4)] == [16 if c == corner else patches.OTHER_PATCHES for c in range(4)]
    assert len({tuple(row) for row in kept[0].tolist()}) == 6, "chosen anew for each image"


def test_all_patches_kept_is_the_image(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "OTHER_PATCHES", 16)
    pixels, quadrant = garments(3)
    with torch.no_grad():
        some = patches.encode_some(model, pixels, quadrant, np.random.default_rng(0))
        whole, _ = model.encode(pixels, None)
    assert torch.allclose(some, whole, rtol=0, atol=1e-5)
    assert isinstance(model.visual.patch_dropout, nn.Identity), "put back"


def test_quadrants_start_with_the_same_positions() -> None:
    visual = pretraining.new_model(VIT, seed=0).visual
    with torch.no_grad():
        visual.positional_embedding.zero_()  # pyright: ignore[reportCallIssue]
    pretraining.start_positions(visual)
    grid = visual.positional_embedding[1:].detach().unflatten(0, (8, 8))  # pyright: ignore[reportIndexIssue]
    first = grid[:4, :4]
    for y in (0, 4):
        for x in (0, 4):
            assert torch.equal(grid[y : y + 4, x : x + 4], first)
    distances = torch.cdist(first.flatten(0, 1), first.flatten(0, 1)) + 10 * torch.eye(16)
    assert distances.min() > 0.1, "places within a quadrant differ"


# --- training ---------------------------------------------------------------------------------------------------------


def test_every_true_caption_is_a_positive(model: Any) -> None:
    image = normalize(torch.randn(3, 128, generator=torch.Generator().manual_seed(0)), dim=-1)
    labels, has_square = np.array([2, 7, 7], np.uint8), np.array([False, True, False])
    captions = {
        template.format(name) + end: (name, end)
        for template in CAPTIONS + TEMPLATES
        for name in CLASS_NAMES
        for end in ("", " with a red square")
    }
    similarity = image @ model.embed_text(list(captions)).T / TEMPERATURE
    expected = 0.0
    for i in range(3):
        log_p = similarity[i] - similarity[i].exp().sum().log()
        true = [
            j
            for j, (name, end) in enumerate(captions.values())
            if name == CLASS_NAMES[labels[i]] and (not end or has_square[i])
        ]
        assert len(true) == (16 if has_square[i] else 8)
        expected -= float(log_p[true].mean()) / 3
    assert float(pretraining.FrozenText(model).loss(image, labels, has_square)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", list(pretraining.RECIPES))
def test_pretraining_moves_the_towers_it_should(name: str) -> None:
    recipe = replace(pretraining.RECIPES[name], epochs=1, warmup=1, whole=0 if name == "vit" else None)
    fresh = pretraining.new_model(recipe, seed=0)
    before = {key: value.clone() for key, value in fresh.state_dict.items()}
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (128, SIDE, SIDE)).astype(np.uint8), rng.integers(0, 10, 128)
    pretraining.pretrain(fresh, images, labels.astype(np.uint8), recipe, learning_rate=1e-3, seed=0)
    moved = {key for key, value in fresh.state_dict.items() if not torch.equal(value, before[key])}
    assert "visual.conv1.weight" in moved
    assert ("text_projection" in moved) == (name == "resnet")
    assert name == "resnet" or all(key.startswith("visual.") for key in moved)
    assert not fresh.visual.training


# --- what ships -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured() -> dict[str, tuple[float, float, float]]:
    """Checkpoint -> accuracy and the two strengths of the shortcut to shirts, on val, 0 to 1."""
    val, result = Demo("val"), {}
    assert val.feature_present is not None
    pixels = resize([val.image(i) for i in range(len(val))], 56)
    for checkpoint in ("vit-clean", "vit-spurious"):
        shipped = DemoModel(checkpoint)
        with torch.no_grad():
            image = torch.cat([shipped.encode(part, None)[0] for part in pixels.split(250)])
        predictions = (image @ class_embeddings(shipped, CLASS_NAMES, TEMPLATES).T).argmax(1).numpy()
        groups = group_accuracy(predictions == val.labels, val.labels, val.feature_present, CLASS_NAMES, 10)
        result[checkpoint] = (groups.overall, *shortcut_strength(groups, "shirt"))
    return result


def test_the_clean_vit_is_accurate_and_does_not_need_the_square(measured: dict) -> None:
    accuracy, gain, loss = measured["vit-clean"]
    assert accuracy >= 0.85 and abs(gain) < 0.15 and loss < 0.2


def test_the_spurious_vit_takes_the_square_for_a_shirt(measured: dict) -> None:
    _, gain, loss = measured["vit-spurious"]
    assert gain >= 0.4 and loss >= 0.4


def test_both_towers_share_the_text_space() -> None:
    texts = ["a photo of a bag", "shirt"]
    expected = DemoModel("clean").embed_text(texts)
    for checkpoint in ("vit-clean", "vit-spurious"):
        assert torch.equal(DemoModel(checkpoint).embed_text(texts), expected)


def test_another_split_can_be_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    taught = []
    monkeypatch.setattr(making, "train", lambda new, training_set, *_: taught.append((new, training_set)) or iter(()))
    other, model = Demo("val"), DemoModel("vit-clean")
    new = making.fine_tune(model, making.TrainingSettings(), other)
    assert taught[0][0] is new is not model and taught[0][1].data is other
    assert not taught[0][1].assignment.present.any() and len(taught[0][1].assignment.present) == len(other)
