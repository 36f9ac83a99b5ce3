"""ClipModel wraps any open_clip model: same embeddings, copies that share the text tower, fingerprints that notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from ravl_explore.errors import ModelError
from ravl_explore.models import base
from ravl_explore.models.clip_model import CLIP_MEAN, CLIP_STD, ClipModel

CLOSE = {"rtol": 0, "atol": 1e-5}
BOXES = torch.tensor([[0, 0, 0, 16, 16], [1, 5, 6, 30, 31]], dtype=torch.float32)
PIXELS = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def embeddings(model: Any) -> list[torch.Tensor]:
    with torch.no_grad():
        return [*model.encode(PIXELS, BOXES), model.embed_text(["a cat"])]


@pytest.mark.parametrize("custom", [False, True])
def test_the_pixels_of_the_model_itself_are_used(make_tower: Callable[..., Any], custom: bool) -> None:
    from ravl_explore.models.demo import demo_tokenizer

    clip = make_tower("vit", custom=custom)
    assert ClipModel(clip, demo_tokenizer(), "x").mean == CLIP_MEAN
    clip.visual.image_mean, clip.visual.image_std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    model = ClipModel(clip, demo_tokenizer(), "x")
    assert model.image_size == 32 and model.dim == 64 and model.region_method == "dense_value"
    pixels = (PIXELS - torch.tensor(model.mean)[:, None, None]) / torch.tensor(model.std)[:, None, None]
    with torch.no_grad():
        assert torch.allclose(model.encode(PIXELS, None)[0], clip.encode_image(pixels, normalize=True), **CLOSE)
        tokens = demo_tokenizer()(["a cat"], context_length=24)
        assert torch.allclose(model.embed_text(["a cat"]), clip.encode_text(tokens, normalize=True), **CLOSE)
    other = ClipModel(clip, demo_tokenizer(), "x", mean=CLIP_MEAN, std=CLIP_STD)
    assert not torch.allclose(embeddings(other)[0], embeddings(model)[0], atol=1e-3)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_halves_run_as_float32(make_tower: Callable[..., Any], kind: torch.dtype) -> None:
    from ravl_explore.models.demo import demo_tokenizer

    model = ClipModel(make_tower("vit").to(kind), demo_tokenizer(), "half")
    assert {value.dtype for value in model.state_dict.values()} == {torch.float32}
    assert all(rows.dtype == torch.float32 and rows.isfinite().all() for rows in embeddings(model))


@pytest.mark.parametrize("method", ["dense_value", "tokens", "masked_cls", "crop"])
def test_a_copy_is_another_image_tower_with_the_same_method(make_clip_model: Callable[..., Any], method: str) -> None:
    own = make_clip_model("vit", method)
    own.architecture = "Tiny"
    other = own.copy()
    assert (other.region_method, other.architecture, other.mean, other.name) == (method, "Tiny", own.mean, own.name)
    before = embeddings(own)
    assert all(torch.equal(a, b) for a, b in zip(before, embeddings(other), strict=True))
    with torch.no_grad():
        for parameter in other.visual.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    moved = [not torch.allclose(a, b, atol=1e-3) for a, b in zip(before, embeddings(other), strict=True)]
    assert moved == [True, True, False], "image and regions moved, the shared texts did not"
    assert all(torch.equal(a, b) for a, b in zip(before, embeddings(own), strict=True)), "the original did not"


# --- fingerprints -----------------------------------------------------------------------------------------------------


def test_equal_models_have_equal_fingerprints(make_clip_model: Callable[..., Any]) -> None:
    one = make_clip_model("vit").fingerprint()
    assert one == make_clip_model("vit").fingerprint() == make_clip_model("vit").copy().fingerprint()


def test_fingerprints_tell_apart(make_clip_model: Callable[..., Any], make_tower: Callable[..., Any]) -> None:
    from ravl_explore.models.demo import demo_tokenizer

    models = [make_clip_model("vit"), make_clip_model("vit", seed=1), make_clip_model("vit", "tokens")]
    models += [make_clip_model("vit", "crop"), make_clip_model("vit", quick_gelu=True), make_clip_model("vit_average")]
    models.append(ClipModel(make_tower("vit"), demo_tokenizer(), "other pixels", mean=(0.5,) * 3))
    assert len({model.fingerprint() for model in models}) == len(models)


def test_a_changed_weight_changes_the_fingerprint(make_clip_model: Callable[..., Any]) -> None:
    """Fine-tuning changes the image tower in place, after the original was hashed."""
    own = make_clip_model("vit")
    before = own.fingerprint()
    other = own.copy()
    assert other.fingerprint() == before
    optimizer = torch.optim.SGD(other.visual.parameters(), lr=0.1)
    other.encode(PIXELS, BOXES)[1][0, 0].backward()
    optimizer.step()
    assert other.fingerprint() != before
    assert own.fingerprint() == before
    changed = other.fingerprint()
    other.visual.load_state_dict(own.visual.state_dict())
    assert other.fingerprint() == before != changed


def test_a_fingerprint_is_kept_while_nothing_changes(
    make_clip_model: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_clip_model("vit")
    first = model.fingerprint()
    monkeypatch.setattr("ravl_explore.models.clip_model.digest", lambda parts: pytest.fail("computed again"))
    assert model.fingerprint() == first


def test_what_is_no_clip() -> None:
    with pytest.raises(ModelError, match=r"CustomTextCLIP.*Module"):
        module = torch.nn.Module()
        module.visual = torch.nn.Linear(2, 2)
        ClipModel(module, lambda texts: torch.zeros(1), "none")


def test_the_description_is_plain_and_says_how_the_model_was_set_up(make_tower: Callable[..., Any]) -> None:
    import json

    from ravl_explore.models.demo import demo_tokenizer

    for quick in (True, False):
        clip = make_tower("vit", quick_gelu=quick)
        mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
        model = ClipModel(
            clip, demo_tokenizer(), "x", "crop", architecture="Tiny", mean=mean, std=std, assumptions=["y"]
        )
        told = {"name": "x", "architecture": "Tiny", "quick_gelu": quick, "image_size": model.image_size}
        told |= {"mean": list(mean), "std": list(std), "region_method": "crop", "assumptions": ["y"]}
        assert json.loads(json.dumps(model.description())) == model.description() == told == model.copy().description()


def test_many_prompts_are_held_against_each_other_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """In blocks, and against a plain loop; near ones are not the same ones."""
    rows = torch.nn.functional.normalize(torch.randn(50, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    rows[40], rows[7] = rows[3], rows[3]
    rows[12] = torch.nn.functional.normalize(rows[11] + 1e-3 * rows[13], dim=0)
    expected = [(i, j) for i in range(50) for j in range(i + 1, 50) if (rows[i] - rows[j]).norm() < base.SAME]
    for block in (1, 7, 64):
        monkeypatch.setattr(base, "ALIKE_ROWS", block)
        assert sorted(base._alike(rows)) == expected == [(3, 7), (3, 40), (7, 40)]
