"""Models by name: the right configuration and activation, files found where the user put them, clear words if not."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import open_clip
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from safetensors.torch import save_file

from ravl_explore import models
from ravl_explore.errors import ModelError
from ravl_explore.models import downloads
from ravl_explore.models.checkpoints import building
from ravl_explore.models.medical import BIOMEDCLIP, PUBMEDCLIP
from ravl_explore.models.pretrained import COMMON, OpenClip, pretrained_names, resolve

CLOSE = {"rtol": 0, "atol": 1e-5}
TINY = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 64, "head_width": 32, "layers": 2},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


# --- names ------------------------------------------------------------------------------------------------------------


def test_the_menu_holds_every_pair_once_and_common_ones_first() -> None:
    names = pretrained_names()
    assert sorted(names) == sorted(f"{name} / {tag}" for name, tag in open_clip.list_pretrained())
    assert names[: len(COMMON)] == list(COMMON)
    field = OpenClip.form[0]
    assert field.kind == "search" and field.choices is not None and list(field.choices({})) == names


@pytest.mark.parametrize(("name", "tag"), open_clip.list_pretrained())
def test_every_pair_resolves_to_the_activation_of_its_weights(name: str, tag: str) -> None:
    architecture, found, config, source = resolve(f"{name} / {tag}")
    assert found == tag and source["hf_hub"]
    assert config["vision_cfg"] == open_clip.get_model_config(name)["vision_cfg"]
    if source.get("quick_gelu"):
        assert config["quick_gelu"]
    if architecture != name:
        assert architecture == f"{name}-quickgelu"
    elif not source.get("quick_gelu"):
        assert config == open_clip.get_model_config(name)


@pytest.mark.parametrize(
    "text", [("ViT-B-32/openai",), ("ViT-B-32 / openai",), ("ViT-B/32", "openai"), ("ViT-B-32-quickgelu", "openai")]
)
def test_spellings(text: tuple[str, ...]) -> None:
    assert resolve(*text)[:2] == ("ViT-B-32-quickgelu", "openai")


@pytest.mark.parametrize(
    ("text", "told"),
    [("ViT-B-33/openai", "ViT-B-32"), ("RN50/laion2b", "openai, yfcc15m, cc12m"), ("RN50", "got none")],
)
def test_unknown_names_suggest_known_ones(text: str, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        resolve(text)


# --- files ------------------------------------------------------------------------------------------------------------


def missing(make: Callable[[], Any]) -> str:
    started = time.monotonic()
    with pytest.raises(ModelError) as raised:
        make()
    assert time.monotonic() - started < 5
    return str(raised.value)


def test_a_missing_file_is_named_with_its_place(own_cache: Path) -> None:
    told = missing(lambda: OpenClip("RN50 / openai"))
    place = own_cache / "timm" / "resnet50_clip.openai" / "open_clip_model.safetensors"
    for part in ("open_clip_model.safetensors", "'timm/resnet50_clip.openai'", "HF_HUB_OFFLINE", str(place)):
        assert part in told
    assert "Checkpoint(path" in told and "http" not in told


def test_no_network_is_noticed_at_once(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *args, **more: pytest.fail("it would try for long"))
    assert "cannot be reached" in missing(lambda: models.PubMedCLIP("ViT32"))


def answers(monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], str]) -> None:
    """A hub that can be reached, and answers."""
    monkeypatch.setattr(downloads, "_no_way_to_the_hub", lambda: "")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repository, name, **more: answer(name))


def test_the_other_name_is_tried(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(name: str) -> str:
        if name == "a.safetensors":
            raise EntryNotFoundError("404")
        return str(tmp_path / name)

    answers(monkeypatch, answer)
    assert downloads.find("me/it", ("a.safetensors", "a.bin")) == tmp_path / "a.bin"
    with pytest.raises(ModelError, match=r"a.safetensors of.*no such file on this machine, and the repository has no"):
        downloads.find("me/it", ("a.safetensors",))


@pytest.mark.parametrize(
    "error", [LocalEntryNotFoundError("no answer"), TimeoutError("slow"), OSError(28, "No space left"), ValueError("")]
)
def test_a_download_that_fails_is_told(own_cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def answer(name: str) -> str:
        raise error

    answers(monkeypatch, answer)
    with pytest.raises(ModelError, match=r"the download failed: .*Put it at"):
        downloads.find("me/it", ("a.bin",))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A tiny model under the name and tag of a published one, and OpenAI's weights of it."""
    real = open_clip.get_model_config
    configs = {"ViT-B-32": TINY, "ViT-B-32-quickgelu": TINY | {"quick_gelu": True}}
    monkeypatch.setattr(
        open_clip, "get_model_config", lambda name: json.loads(json.dumps(configs.get(name) or real(name)))
    )
    torch.manual_seed(0)
    yield open_clip.CLIP(**(TINY | {"quick_gelu": True})).eval()
    building.all_configs.cache_clear()  # of the tiny one


def same_as(opened: Any, clip: Any, side: int = 32) -> None:
    pixels = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    normal = (pixels - torch.tensor(opened.mean)[:, None, None]) / torch.tensor(opened.std)[:, None, None]
    with torch.no_grad():
        assert torch.allclose(opened.encode(pixels, None)[0], clip.encode_image(normal, normalize=True), **CLOSE)
        tokens = open_clip.tokenizer.SimpleTokenizer()(["a cat", "the dog"])
        assert torch.allclose(
            opened.embed_text(["a cat", "the dog"]), clip.encode_text(tokens, normalize=True), **CLOSE
        )


@pytest.mark.parametrize("name", ["ViT-B-32 / openai", "ViT-B-32-quickgelu / openai"])
def test_plain_names_run_quick_gelu_weights_as_they_were_trained(own_cache: Path, tiny: Any, name: str) -> None:
    folder = own_cache / "timm" / "vit_base_patch32_clip_224.openai"
    folder.mkdir(parents=True)
    save_file(tiny.state_dict(), folder / "open_clip_model.safetensors")
    opened = OpenClip(name, region_method="masked_cls")
    assert opened.architecture == "ViT-B-32-quickgelu" and opened.name == "ViT-B-32-quickgelu / openai"
    assert opened.region_method == "masked_cls"
    same_as(opened, tiny)


def test_the_pixels_are_those_of_the_weights(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three published sets of ViT-L-14, LAION's was trained with another mean."""
    real = open_clip.get_model_config
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: TINY if name == "ViT-L-14" else real(name))
    clip = open_clip.CLIP(**TINY)
    folder = own_cache / "laion" / "CLIP-ViT-L-14-laion2B-s32B-b82K"
    folder.mkdir(parents=True)
    torch.save(clip.state_dict(), folder / "open_clip_pytorch_model.bin")
    opened = OpenClip("ViT-L-14", "laion2b_s32b_b82k")
    assert opened.mean == opened.std == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("version", ["ViT32", "vit32"])
def test_pubmedclip_by_name(own_cache: Path, tiny: Any, version: str) -> None:
    (own_cache / PUBMEDCLIP).mkdir(parents=True)
    whole = {"best_epoch": 3, "state_dict": tiny.state_dict(), "optimizer_state_dict": {}, "best_loss": 0.1}
    torch.save(whole, own_cache / PUBMEDCLIP / "PubMedCLIP_ViT32.pth")
    for opened in (models.PubMedCLIP(version), models.open_model(f"pubmedclip:{version}")):
        assert opened.name == "PubMedCLIP ViT32"
        same_as(opened, tiny)


def test_other_versions_of_pubmedclip() -> None:
    with pytest.raises(ModelError, match="ViT32, RN50, RN50x4"):
        models.PubMedCLIP("RN101")


# --- hf-hub -----------------------------------------------------------------------------------------------------------


def open_clip_repository(folder: Path, tiny: Any) -> None:
    folder.mkdir(parents=True)
    whole = {"model_cfg": TINY | {"quick_gelu": True}, "preprocess_cfg": {"mean": [0.1] * 3, "std": [0.2] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(whole))
    torch.save(tiny.state_dict(), folder / "open_clip_pytorch_model.bin")


def test_repositories_of_open_clip(own_cache: Path, tiny: Any) -> None:
    open_clip_repository(own_cache / "me" / "it", tiny)
    for opened in (models.HuggingFace("me/it"), models.open_model("hf-hub:me/it")):
        assert opened.name == "me/it" and opened.mean == (0.1,) * 3
        same_as(opened, tiny)


def test_the_hubs_own_cache_is_read(own_cache: Path, tiny: Any) -> None:
    """As hf_hub_download leaves it: a snapshot per commit, and which commit is main."""
    repository = Path(constants.HF_HUB_CACHE) / "models--me--it"
    open_clip_repository(repository / "snapshots" / "abc", tiny)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    same_as(models.HuggingFace("me/it"), tiny)


def test_a_repository_without_weights(own_cache: Path, tiny: Any) -> None:
    open_clip_repository(own_cache / "me" / "it", tiny)
    (own_cache / "me" / "it" / "open_clip_pytorch_model.bin").unlink()
    assert "open_clip_model.safetensors or open_clip_pytorch_model.bin" in missing(lambda: models.HuggingFace("me/it"))
    assert "open_clip_config.json or config.json" in missing(lambda: models.HuggingFace("hf-hub:me/other"))


@pytest.mark.parametrize("name", ["", "it", "a/b/c", "/it", "../it"])
def test_names_that_are_no_repository(name: str) -> None:
    with pytest.raises(ModelError, match="ORGANISATION/NAME"):
        models.HuggingFace(name)


def test_biomedclip(own_cache: Path, tmp_path: Path) -> None:
    """A timm trunk and a BERT of transformers, whose configuration and tokenizer come from files."""
    from transformers import BertConfig, BertTokenizer

    bert = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"
    text = {"hf_model_name": bert, "hf_tokenizer_name": bert, "hf_proj_type": "mlp", "context_length": 256}
    text |= {"hf_pooler_type": "cls_last_hidden_state_pooler"}
    vision = {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160}
    config = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "the", "dog"]
    tower = own_cache / bert
    tower.mkdir(parents=True)
    (tower / "vocab.txt").write_text("\n".join(words))
    sizes = {"vocab_size": len(words), "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertConfig(**sizes, intermediate_size=48, max_position_embeddings=300).save_pretrained(tower)
    tokenizer = BertTokenizer(str(tower / "vocab.txt"))
    local = text | {"hf_model_name": str(tower), "hf_model_pretrained": False}
    clip = open_clip.CustomTextCLIP(**(config | {"text_cfg": local})).eval()
    folder = own_cache / BIOMEDCLIP
    folder.mkdir(parents=True)
    whole = {"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(whole))
    state = clip.state_dict() | {"text.transformer.embeddings.position_ids": torch.arange(300)[None]}  # of old releases
    torch.save(state, folder / "open_clip_pytorch_model.bin")
    tokenizer.save_pretrained(folder)
    for opened in (models.BiomedCLIP(), models.open_model("biomedclip")):
        assert opened.name == "BiomedCLIP" and opened.region_method == "dense_value" and opened.dim == 32
        tokens = tokenizer(["a cat", "the dog"], padding="max_length", max_length=256, return_tensors="pt").input_ids
        with torch.no_grad():
            assert torch.allclose(
                opened.embed_text(["a cat", "the dog"]), clip.encode_text(tokens, normalize=True), **CLOSE
            )
            pixels = torch.rand(2, 3, 160, 160)
            expected = clip.encode_image((pixels - 0.5) / 0.5, normalize=True)
            assert torch.allclose(opened.encode(pixels, None)[0], expected, **CLOSE)
    for name in ("tokenizer.json", "vocab.txt"):
        (folder / name).unlink(missing_ok=True)
    assert torch.allclose(models.BiomedCLIP().embed_text(["a cat"]), opened.embed_text(["a cat"])), (
        "of the other folder"
    )
    shutil.rmtree(tower)
    assert "config.json" in missing(models.BiomedCLIP) and bert in missing(models.BiomedCLIP)


# --- open_model -------------------------------------------------------------------------------------------------------


def test_open_model_opens_the_demo_and_files(tmp_path: Path, tiny: Any) -> None:
    assert models.open_model("demo:spurious").name == "Demo: spurious"
    assert models.open_model("demo").name == "Demo: spurious"
    torch.save(models.open_model("demo:clean").state_dict, tmp_path / "mine.pt")
    assert models.open_model(str(tmp_path / "mine.pt")).name == "mine"
    with pytest.raises(ModelError, match="no such file"):
        models.open_model(str(tmp_path / "other.pt"))
    with pytest.raises(ModelError, match="device"):
        models.open_model("demo:clean", "cuda:99")


def test_open_model_takes_options(tmp_path: Path, make_tower: Callable[..., Any]) -> None:
    assert models.open_model("demo:vit-spurious?region_method=tokens").region_method == "tokens"
    assert models.open_model("demo?region_method=crop").region_method == "crop"
    vision = {"image_size": 32, "patch_size": 8, "width": 64, "head_width": 64, "layers": 1}
    text = {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 1}
    torch.save(make_tower("vit", vision_cfg=vision, text_cfg=text).state_dict(), tmp_path / "clip.pt")
    for choice in ("true", "false"):
        opened = models.open_model(f"{tmp_path / 'clip.pt'}?region_method=crop&quick_gelu={choice}")
        assert opened.name == "clip" and opened.region_method == "crop" and opened.quick_gelu is (choice == "true")
    with pytest.raises(ModelError, match="architecture of open_clip, got 'ViT-B-33'"):
        models.open_model(f"{tmp_path / 'clip.pt'}?architecture=ViT-B-33")
    (tmp_path / "clip.pt").rename(tmp_path / "what?.pt")
    assert models.open_model(str(tmp_path / "what?.pt")).name == "what?"


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("demo:clean?quick_gelu=true", "options among region_method for 'demo:clean'"),
        ("x.pt?gelu=true", "options among architecture, quick_gelu, region_method"),
        ("RN50/openai?device=cpu", "options among pretrained, region_method"),
        ("hf-hub:a/b?x", "options among region_method"),
        ("pubmedclip:RN50?version=RN50", "options among region_method"),
        ("biomedclip?x=1", "options among region_method"),
    ],
)
def test_unknown_options_of_models_are_told(own_cache: Path, text: str, known: str) -> None:
    with pytest.raises(ModelError, match=f"{known}.*name=value"):
        models.open_model(text)


def test_names_of_open_clip_take_options(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    class Spy:
        def __init__(self, name: str, pretrained: Any = None, device: Any = None, region_method: Any = None) -> None:
            seen.append((name, pretrained, device, region_method))

    monkeypatch.setattr(sys.modules["ravl_explore.models.open_model"], "OpenClip", Spy)
    models.open_model("ViT-B-32/laion2b_s34b_b79k?region_method=tokens", "cpu")
    assert seen == [("ViT-B-32/laion2b_s34b_b79k", None, "cpu", "tokens")]


def test_open_model_takes_names_of_open_clip(own_cache: Path) -> None:
    with pytest.raises(ModelError, match=r"resnet50_clip\.openai"):
        models.open_model("RN50/openai")


@pytest.mark.parametrize("text", ["", "clip", "pubmed:RN50", "demo:other"])
def test_open_model_says_what_it_takes(text: str) -> None:
    with pytest.raises(ModelError, match="demo"):
        models.open_model(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("openai/clip-vit-base-patch32", "write hf-hub:openai/clip-vit-base-patch32"),
        ("google/siglip-base-patch16-224", "write hf-hub:google/siglip-base-patch16-224"),
        ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "write hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
        ("ViT-B-32/laion2b", "one of the tags of ViT-B-32"),
        ("ViT-B-33/openai", "Did you mean ViT-B-32"),
        ("https://example.com/clip.pt", "Download the file"),
        ("http://127.0.0.1/clip.safetensors", "Download the file"),
    ],
)
def test_names_of_another_kind_are_told(own_cache: Path, text: str, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        models.open_model(text)


@pytest.mark.parametrize(
    "text",
    [
        *("HF-HUB:me/it", "Hf-Hub: me/it", "https://huggingface.co/me/it", "https://huggingface.co/me/it/tree/main"),
        *("http://www.huggingface.co/me/it/resolve/main/model.safetensors", "huggingface.co/me/it", "hf.co/me/it"),
    ],
)
def test_ways_to_write_a_repository(own_cache: Path, tiny: Any, text: str) -> None:
    open_clip_repository(own_cache / "me" / "it", tiny)
    for opened in (models.open_model(text), models.HuggingFace(text)):
        assert opened.name == "me/it"


def test_entries_of_the_menu_are_names(own_cache: Path) -> None:
    for label in models.Demo.menu():
        assert models.open_model(label).name.startswith("Demo: ")
    assert models.open_model("demo: before FINE-tuning").name == "Demo: clean"
    with pytest.raises(ModelError, match=r"PubMedCLIP_ViT32\.pth"):
        models.open_model("PubMedCLIP ViT32")


def test_parts_of_the_menu_can_be_filled_in() -> None:
    """Each form's fields are keywords of the constructor, and each ready-made entry names its arguments."""
    import inspect

    for name in models.__all__:
        part = getattr(models, name)
        for field in getattr(part, "form", ()):
            assert field.name in inspect.signature(part.__init__).parameters, (name, field.name)
    labels = [
        label
        for name in models.__all__
        if hasattr(getattr(models, name), "menu")
        for label in getattr(models, name).menu()
    ]
    assert labels == [
        "Demo: fine-tuned, with a shortcut",
        "Demo: before fine-tuning",
        "Demo: ViT, fine-tuned, with a shortcut",
        "Demo: ViT, before fine-tuning",
        "PubMedCLIP RN50",
        "PubMedCLIP ViT32",
        "PubMedCLIP RN50x4",
        "BiomedCLIP",
    ]
