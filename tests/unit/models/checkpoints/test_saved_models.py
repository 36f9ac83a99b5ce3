"""What rx.save writes of a model opens again by itself: tokenizer and text tower are in the file."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import open_clip
import pytest
import torch
from safetensors import safe_open

import ravl_explore as rx
from ravl_explore import models
from ravl_explore.errors import ModelError
from ravl_explore.mitigation import Mitigation
from ravl_explore.models.checkpoints.building import build
from ravl_explore.models.checkpoints.checkpoint import Checkpoint
from ravl_explore.models.medical import BIOMEDCLIP
from ravl_explore.objectives import Standard
from ravl_explore.training import History, TrainingSettings
from tests.unit.conftest import nothing_marked
from tests.unit.models.checkpoints.test_layouts import (
    FEW,
    SEEN,
    TEXTS,
    TOWER,
    sentencepiece,
    shaken,
    transformers_siglip,
    words,
)


def saved(model: Any, path: Path) -> Path:
    return rx.save(Mitigation(model, History(), Standard(), TrainingSettings(), nothing_marked(), True), path)


def opens_alike(model: Any, path: Path) -> Any:
    again = Checkpoint(path)
    pixels = torch.rand(2, 3, model.image_size, model.image_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(again.encode(pixels, None)[0], model.encode(pixels, None)[0], rtol=0, atol=1e-6)
    assert torch.allclose(again.embed_text(TEXTS), model.embed_text(TEXTS), rtol=0, atol=1e-6)
    assert torch.equal(again.tokens(TEXTS), model.tokens(TEXTS))
    assert again.fingerprint() == model.fingerprint()
    return again


@pytest.fixture
def away(tmp_path: Path, own_cache: Path) -> Path:
    """A folder where no other file of the model lies."""
    (tmp_path / "away").mkdir()
    return tmp_path / "away" / "tuned.safetensors"


def siglip(folder: Path) -> Any:
    transformers_siglip(folder)
    sentencepiece(folder)
    return Checkpoint(folder)


def metaclip(folder: Path) -> Any:
    from transformers import MetaClip2Config, MetaClip2Model

    text = TOWER | FEW | {"eos_token_id": 2, "bos_token_id": 0, "pad_token_id": 1}
    config = MetaClip2Config(text_config=text, vision_config=TOWER | SEEN, projection_dim=40)
    shaken(MetaClip2Model(config)).save_pretrained(folder)
    words(folder)
    return Checkpoint(folder)


def open_clip_with_its_own_words(folder: Path) -> Any:
    """A tokenizer of a named repository, with open_clip's options for it."""
    config = {
        "embed_dim": 64,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 8},
        "text_cfg": {"context_length": 16, "vocab_size": 100, "width": 64, "heads": 1, "layers": 1}
        | {"hf_tokenizer_name": "some/words", "tokenizer_kwargs": {"clean": "canonicalize"}, "pool_type": "last"},
    }
    words(models.downloads.own_folder("some/words"))
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    torch.save(shaken(build(config)).state_dict(), folder / "open_clip_pytorch_model.bin")
    opened = Checkpoint(folder)
    shutil.rmtree(models.downloads.own_folder("some/words"))
    return opened


def hugging_face_text_tower(folder: Path) -> Any:
    """As BiomedCLIP: the tower's config.json and its tokenizer are of a repository of their own."""
    from transformers import BertConfig, BertTokenizer

    tower = models.downloads.own_folder("some/bert")
    tower.mkdir(parents=True)
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "the", "dog", "photo"]
    (tower / "vocab.txt").write_text("\n".join(known))
    sizes = {"vocab_size": len(known), "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertConfig(**sizes, intermediate_size=48, max_position_embeddings=40).save_pretrained(tower)
    BertTokenizer(str(tower / "vocab.txt")).save_pretrained(tower)
    text = {"hf_model_name": "some/bert", "hf_tokenizer_name": "some/bert", "hf_proj_type": "mlp"}
    text |= {"context_length": 32, "hf_pooler_type": "cls_last_hidden_state_pooler"}
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 8}
    config = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}
    local = text | {"hf_model_name": str(tower), "hf_model_pretrained": False}
    clip = shaken(open_clip.CustomTextCLIP(**(config | {"text_cfg": local})))
    home = models.downloads.own_folder(BIOMEDCLIP)
    home.mkdir(parents=True)
    (home / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    torch.save(clip.state_dict(), home / "open_clip_pytorch_model.bin")
    opened = models.BiomedCLIP()
    shutil.rmtree(tower)
    return opened


@pytest.mark.parametrize(
    "make",
    [siglip, metaclip, open_clip_with_its_own_words, hugging_face_text_tower],
    ids=lambda make: make.__name__,
)
def test_a_saved_model_opens_by_itself(tmp_path: Path, away: Path, make: Callable[[Path], Any]) -> None:
    model = make(tmp_path / "base")
    again = opens_alike(model, saved(model.copy(), away))
    shutil.rmtree(tmp_path / "base", ignore_errors=True)
    opens_alike(again, saved(again, away.with_name("twice.safetensors")))


def test_models_with_clips_own_words_carry_no_tokenizer(away: Path) -> None:
    saved(models.Demo("vit-clean"), away)
    with safe_open(str(away), "pt") as file:
        assert "tokenizer" not in file.metadata()


def test_the_files_own_tokenizer_comes_before_those_beside_it(tmp_path: Path, away: Path) -> None:
    model = metaclip(tmp_path / "base")
    saved(model, away)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (away.parent / name).write_text("{}")
    opens_alike(model, away)


def test_another_tokenizer_of_as_many_tokens_is_told_by_its_words(tmp_path: Path, own_cache: Path) -> None:
    """CLIP's number of tokens, but other words: those beside the checkpoint are used; CLIP's own are not read twice."""
    from tests.unit.models.checkpoints.test_layouts import transformers_clip

    transformers_clip().save_pretrained(tmp_path)
    clips = Checkpoint(tmp_path)
    marks = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    theirs_of_clip = {marks.get(word, word): at for word, at in clips._tokenizer.encoder.items()}
    for vocabulary in (clips._tokenizer.encoder, theirs_of_clip):
        (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
        assert Checkpoint(tmp_path)._tokenizer is clips._tokenizer
    assert torch.equal(Checkpoint(tmp_path).tokens(TEXTS), clips.tokens(TEXTS))
    (tmp_path / "vocab.json").unlink()
    theirs = words(tmp_path, more=49408 - 13)
    tokens = theirs(TEXTS, padding="max_length", max_length=77, return_tensors="pt").input_ids
    assert torch.equal(Checkpoint(tmp_path).tokens(TEXTS), tokens)


def test_tokenizers_from_files_can_be_copied(tmp_path: Path) -> None:
    tokenizer = siglip(tmp_path)._tokenizer
    for other in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert torch.equal(other(TEXTS), tokenizer(TEXTS))


def test_another_tokenizer_is_another_model(tmp_path: Path) -> None:
    model, other = metaclip(tmp_path), metaclip(tmp_path / "other")
    other._clip.load_state_dict(model._clip.state_dict())
    assert other.fingerprint() == model.fingerprint()
    words(tmp_path / "other", context=8)
    swapped = Checkpoint(tmp_path / "other")
    swapped._clip.load_state_dict(model._clip.state_dict())
    assert swapped.fingerprint() != model.fingerprint()


@pytest.mark.parametrize("model", [SimpleNamespace(name="mine"), torch.nn.Linear(1, 1)], ids=["none", "a method"])
def test_a_model_without_weights_to_save(tmp_path: Path, model: Any) -> None:
    model.name = "mine"
    with pytest.raises(ModelError, match="a property state_dict"):
        saved(model, tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()
