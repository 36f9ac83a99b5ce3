"""ClipModel embeds images as open_clip does, and each region as if it came alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from torchvision.ops import roi_align

from ravl_explore.errors import InputError, ModelError
from ravl_explore.models.base import batch_boxes, class_embeddings, pick_device, resize, scale_boxes
from ravl_explore.models.clip_model import CLIP_MEAN, CLIP_STD
from ravl_explore.regions.base import Regions

CLOSE = {"rtol": 0, "atol": 2e-5}


def batch(n: int = 3, size: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def normalized(pixels: torch.Tensor) -> torch.Tensor:
    return (pixels - torch.tensor(CLIP_MEAN)[:, None, None]) / torch.tensor(CLIP_STD)[:, None, None]


BOXES = torch.tensor(
    [[0, 0, 0, 32, 32], [0, 32, 0, 64, 32], [1, 3.5, 7.25, 50, 64], [2, 0, 0, 64, 64], [2, 10, 20, 14, 60]],
    dtype=torch.float32,
)


# --- images and regions -----------------------------------------------------------------------------------------------


def test_images_are_embedded_as_open_clip_does(model: Any) -> None:
    pixels = batch()
    with torch.no_grad():
        image, region = model.encode(pixels, None)
        expected = model._clip.encode_image(normalized(pixels), normalize=True)
    assert torch.allclose(image, expected, **CLOSE)
    assert region.shape == (0, model.dim) and model.dim == 32
    assert not torch.allclose(image[0], image[1], atol=1e-3), "different images, different embeddings"


def test_the_whole_image_is_the_box_around_it(model: Any) -> None:
    boxes = torch.tensor([[i, 0, 0, 64, 64] for i in range(3)], dtype=torch.float32)
    with torch.no_grad():
        image, region = model.encode(batch(), boxes)
    assert torch.allclose(image, region, **CLOSE)


def test_other_input_sizes_go_through_the_same_box(model: Any) -> None:
    """At twice the size the map is larger than the pool takes; the image then is RoIAligned like its global box."""
    boxes = torch.tensor([[i, 0, 0, 128, 128] for i in range(3)], dtype=torch.float32)
    with torch.no_grad():
        image, region = model.encode(batch(size=128), boxes)
    assert torch.allclose(image, region, **CLOSE)


def test_regions_are_those_of_the_definition(model: Any) -> None:
    """Stem and layers 1 to 3 on the image, RoIAlign at stride 16, layer 4, attention pool; one box at a time."""
    pixels, visual = batch(), model.visual
    with torch.no_grad():
        _, region = model.encode(pixels, BOXES)
        for box, found in zip(BOXES, region, strict=True):
            one = normalized(pixels[int(box[0])])[None]
            features = visual.layer3(visual.layer2(visual.layer1(visual.stem(one))))
            assert features.shape[-1] == 64 // 16
            cells = 2 * (64 // 32)
            pooled = roi_align(features, [box[None, 1:]], cells, 1 / 16, sampling_ratio=0, aligned=True)
            expected = normalize(visual.attnpool(visual.layer4(pooled)), dim=-1)[0]
            assert torch.allclose(found, expected, **CLOSE)


def test_batching_changes_nothing(model: Any) -> None:
    pixels = batch()
    with torch.no_grad():
        image, region = model.encode(pixels, BOXES)
        for i in range(3):
            mine = BOXES[BOXES[:, 0] == i].clone()
            mine[:, 0] = 0
            one_image, one_region = model.encode(pixels[i : i + 1], mine)
            assert torch.allclose(image[i], one_image[0], **CLOSE)
            assert torch.allclose(region[BOXES[:, 0] == i], one_region, **CLOSE)


def test_regions_of_different_images_do_not_mix(model: Any) -> None:
    pixels = batch()
    changed = pixels.clone()
    changed[1] = 1 - changed[1]
    with torch.no_grad():
        before, after = model.encode(pixels, BOXES)[1], model.encode(changed, BOXES)[1]
    moved = (before - after).abs().amax(1) > 1e-3
    assert moved.tolist() == (BOXES[:, 0] == 1).tolist()


def test_no_boxes_and_an_empty_list_of_boxes_are_the_same(model: Any) -> None:
    with torch.no_grad():
        image, region = model.encode(batch(), torch.zeros(0, 5))
    assert region.shape == (0, 32) and len(image) == 3


def test_embeddings_have_unit_norm_and_gradients(make_model: Callable[..., Any]) -> None:
    own = make_model()
    image, region = own.encode(batch(), BOXES)
    for rows in (image, region):
        assert torch.allclose(rows.norm(dim=1), torch.ones(len(rows)), **CLOSE)
    region[0, 0].backward()
    assert own.visual.conv1.weight.grad.abs().sum() > 0


# --- texts ------------------------------------------------------------------------------------------------------------


def test_texts_keep_their_order_and_duplicates(model: Any) -> None:
    texts = ["a cat", "a dog", "a cat", "the hen"]
    found = model.embed_text(texts)
    assert not found.requires_grad
    for text, row in zip(texts, found, strict=True):
        tokens = model._tokenizer([text], context_length=24)
        with torch.no_grad():
            assert torch.allclose(row, model._clip.encode_text(tokens, normalize=True)[0], **CLOSE)
    assert not torch.allclose(found[0], found[1], atol=1e-3)


def test_more_texts_than_a_batch_holds(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"a {word} {i}" for i in range(3) for word in ("cat", "dog", "hen")]
    whole = model.embed_text(texts)
    monkeypatch.setattr("ravl_explore.models.clip_model.TEXT_BATCH", 2)
    assert torch.allclose(model.embed_text(texts), whole, **CLOSE)


def test_prompt_ensemble_is_the_mean_made_unit_again(model: Any) -> None:
    names, templates = ("cat", "{odd} dog"), ("a photo of a {}", "the {}", "{}")
    found = class_embeddings(model, names, templates)
    for name, row in zip(names, found, strict=True):
        prompts = torch.stack([model.embed_text([template.replace("{}", name)])[0] for template in templates])
        expected = prompts.mean(0) / prompts.mean(0).norm()
        assert torch.allclose(row, expected, **CLOSE)


class Words:
    """A model of its own: a text is the words it reads, each along an axis of its own."""

    name = "words"

    def __init__(self, reads: int = 8) -> None:
        self.reads, self.axes = reads, {}

    def embed_text(self, texts: Sequence[str]) -> torch.Tensor:
        rows = torch.zeros(len(texts), 64)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().replace("!", "").split()[: self.reads]:
                row[self.axes.setdefault(word, len(self.axes))] += 1
        return rows / rows.norm(dim=1, keepdim=True).clamp(min=1)


LONG = "a picture of the old market square of a small town " + "on a rainy afternoon in late autumn, " * 4 + "with a {}"


@pytest.mark.parametrize("own", [True, False], ids=["another library's", "open_clip's"])
@pytest.mark.parametrize(
    ("names", "templates", "told"),
    [
        (("cat", "dog"), ("a {}", LONG), "shorten the template, or put {} first"),
        (("cat", "dog", "hen"), ("a {}", "the " + LONG), "and 2 more pairs"),
        (("cat", "dog", "Cat"), ("a {}",), "'cat' and 'Cat'.*Rename"),
        (("cat", "cat "), ("a {}", "{}"), "Rename"),
        (("cat", "dog"), ("no name in it", "a {}"), "'no name in it'"),
    ],
)
def test_prompts_that_the_text_tower_cannot_tell_apart(
    model: Any, own: bool, names: tuple[str, ...], templates: tuple[str, ...], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        class_embeddings(Words() if own else model, names, templates)


def test_two_spellings_of_one_letter_are_shown_apart(model: Any) -> None:
    with pytest.raises(InputError, match=r"'caf\\xe9' and 'cafe\\u0301'.*Rename"):
        class_embeddings(model, ("caf\u00e9", "cafe\u0301"), ("a {}",))


def test_a_long_name_cut_before_it_differs(model: Any) -> None:
    long = "opacity of the left lower lobe of the lung in a patient with chronic bronchitis and more words, grade "
    with pytest.raises(InputError, match="Where the names are long, shorten them"):
        class_embeddings(model, (long + "one", long + "two", "normal"), ("a {}",))


def test_prompts_that_differ_pass(model: Any) -> None:
    for names in (("cat", "dog"), ("Effusion", "effusions"), ("1", "2", "10"), ("cat",), ("a {b}", "a {c}")):
        assert class_embeddings(model, names, ("a photo of a {}", "{}")).shape == (len(names), 32)
    assert class_embeddings(Words(), ("cat", "dog"), (LONG[:20] + "{}",)).shape == (2, 64)


# --- copies and devices -----------------------------------------------------------------------------------------------


def test_a_copy_owns_its_image_tower_and_shares_the_text_tower(make_model: Callable[..., Any]) -> None:
    own = make_model()
    other = own.copy()
    assert other.name == own.name and other.image_size == own.image_size
    for (name, mine), (_, its) in zip(own._clip.named_parameters(), other._clip.named_parameters(), strict=True):
        assert torch.equal(mine, its)
        assert (mine.data_ptr() != its.data_ptr()) == name.startswith("visual."), name
    before, text = own.encode(batch(), BOXES)[1].detach(), own.embed_text(["a cat"])
    with torch.no_grad():
        for parameter in other.visual.parameters():
            parameter.mul_(1.5)
        other.visual.bn1.running_mean.add_(1)
    assert torch.equal(own.encode(batch(), BOXES)[1].detach(), before), "the original did not move"
    assert not torch.allclose(other.encode(batch(), BOXES)[1].detach(), before, atol=1e-3)
    assert torch.equal(other.embed_text(["a cat"]), text)


@pytest.mark.parametrize("device", ["cuda:99", "meta", "gpu", "", "cpu:x"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(ModelError, match="device"):
        pick_device(device)


def test_the_cpu_is_there() -> None:
    assert pick_device(None) == pick_device("cpu") == torch.device("cpu")


def test_cuda_is_told_to_be_absent_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match=r"got 'cuda'. PyTorch finds here: .*cpu"):
        pick_device("cuda")


# --- preprocessing ----------------------------------------------------------------------------------------------------


def test_resize_leaves_images_of_the_right_size_alone() -> None:
    images = [np.random.default_rng(i).integers(0, 256, (8, 8, 3), dtype=np.uint8) for i in range(2)]
    pixels = resize(images, 8)
    assert pixels.shape == (2, 3, 8, 8) and pixels.dtype == torch.float32
    for image, found in zip(images, pixels, strict=True):
        np.testing.assert_allclose(found.permute(1, 2, 0).numpy(), image / 255, atol=1e-6)


def test_resize_squashes_without_a_crop() -> None:
    """A picture with a bright quarter keeps it in the same place, whatever its size and shape."""
    wide, tall = np.zeros((20, 60, 3), np.uint8), np.zeros((40, 16, 3), np.uint8)
    wide[:10, :30] = tall[:20, :8] = 255
    for pixels in (resize([wide, tall], 16), resize([wide, wide], 16), resize([tall], 16)):
        assert pixels.shape[1:] == (3, 16, 16)
        assert (pixels[:, :, :7, :7] > 0.99).all()
        assert (pixels[:, :, 9:, :] < 0.01).all() and (pixels[:, :, :, 9:] < 0.01).all()


def test_boxes_are_squashed_like_their_images() -> None:
    boxes = np.array([[0, 0, 30, 10], [15, 5, 60, 20], [4, 10, 8, 40]], np.float32)
    sizes = np.array([[60, 20], [60, 20], [16, 40]])
    found = scale_boxes(boxes, sizes, 32)
    for box, (width, height), row in zip(boxes, sizes, found, strict=True):
        np.testing.assert_allclose(
            row, [box[0] * 32 / width, box[1] * 32 / height, box[2] * 32 / width, box[3] * 32 / height]
        )
    assert found.dtype == np.float32


def test_boxes_of_a_batch_are_scaled_and_numbered_by_place() -> None:
    regions = Regions.from_lists([[[0, 0, 5, 10]], [], [[0, 0, 20, 40], [10, 20, 20, 40]], [[1, 1, 2, 2]]])
    sizes = np.array([[10, 10], [9, 9], [20, 40], [4, 4]])
    found = batch_boxes(regions, sizes, np.array([2, 1, 0, 2]), 100)
    expected = [
        [0, 0, 0, 100, 100],
        [0, 50, 50, 100, 100],
        [2, 0, 0, 50, 100],
        [3, 0, 0, 100, 100],
        [3, 50, 50, 100, 100],
    ]
    assert found.tolist() == expected and found.dtype == torch.float32
    assert batch_boxes(regions, sizes, np.array([1]), 100).shape == (0, 5)
