"""Checkpoints as each library writes them give the embeddings of the library that wrote them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import normalize

from ravl_explore.errors import ModelError
from ravl_explore.models.checkpoints.checkpoint import GUESSED, GUESSED_PIXELS, Checkpoint, recognise
from ravl_explore.models.checkpoints.pixels import Pixels
from ravl_explore.models.checkpoints.snapshots import Snapshot
from ravl_explore.models.checkpoints.weights import Weights, read_weights
from ravl_explore.models.clip_model import CLIP_MEAN, CLIP_STD

CLOSE = {"rtol": 0, "atol": 1e-5}
HALVES = {"rtol": 0, "atol": 2e-2}
TEXTS = ["a photo of a cat", "the dog", "no cat at all"]


def pixels_of(side: int) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def normalized(pixels: torch.Tensor, mean: tuple[float, ...] = CLIP_MEAN, std: tuple[float, ...] = CLIP_STD) -> Any:
    return (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def agrees(opened: Any, image: torch.Tensor, text: torch.Tensor, tolerance: dict[str, Any] = CLOSE) -> None:
    """Image embeddings of ``pixels_of``, and text embeddings of ``TEXTS``."""
    side = opened.image_size // (2 if opened.region_method == "crop" else 1)
    with torch.no_grad():
        found = opened.encode(pixels_of(side), None)[0]
    assert torch.allclose(found, normalize(image.float(), dim=-1), **tolerance)
    assert torch.allclose(opened.embed_text(TEXTS), normalize(text.float(), dim=-1), **tolerance)
    assert not torch.allclose(found[0], found[1], atol=1e-3), "the images tell apart"


def with_clip_tokens(make_tower: Callable[..., Any], tower: str, **changes: Any) -> Any:
    """A tower beside a text tower with CLIP's own vocabulary, 64 wide a head, as checkpoints from outside have it."""
    text = {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 2}
    return make_tower(tower, text_cfg=text, **changes)


def by_open_clip(clip: Any, context: int = 77) -> tuple[torch.Tensor, torch.Tensor]:
    side = clip.visual.image_size[0] if isinstance(clip.visual.image_size, tuple) else clip.visual.image_size
    tokens = open_clip.tokenizer.SimpleTokenizer(context_length=context)(TEXTS)
    with torch.no_grad():
        return clip.encode_image(normalized(pixels_of(side))), clip.encode_text(tokens)


# --- open_clip and OpenAI ---------------------------------------------------------------------------------------------

VIT_64 = {"image_size": 32, "patch_size": 8, "width": 128, "head_width": 64, "layers": 2}  # heads as in published ViTs


@pytest.mark.parametrize("custom", [False, True], ids=["CLIP", "CustomTextCLIP"])
@pytest.mark.parametrize("mlp_ratio", [4.0, 3.7362])
def test_open_clip_vits(tmp_path: Path, make_tower: Callable[..., Any], custom: bool, mlp_ratio: float) -> None:
    vision = VIT_64 | {"mlp_ratio": mlp_ratio}
    clip = with_clip_tokens(make_tower, "vit", vision_cfg=vision, custom_text=custom)
    torch.save(
        {"epoch": 3, "name": "run", "state_dict": {f"module.{k}": v for k, v in clip.state_dict().items()}},
        tmp_path / "epoch_3.pt",
    )
    opened = Checkpoint(tmp_path / "epoch_3.pt")
    assert opened.region_method == "dense_value" and opened.architecture is None and opened.name == "epoch_3"
    assert any(key.startswith("text.") for key in opened.state_dict) == custom
    agrees(opened, *by_open_clip(clip))


@pytest.mark.parametrize("tower", ["vit", "resnet"])
def test_openai_state_dicts(tmp_path: Path, make_tower: Callable[..., Any], tower: str) -> None:
    """As of clip.load(jit=False): halves in layers and projections, float32 in norms and tables."""
    vision = VIT_64 if tower == "vit" else {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    clip = with_clip_tokens(make_tower, tower, vision_cfg=vision, quick_gelu=True)
    image, text = by_open_clip(clip)
    open_clip.model.convert_weights_to_fp16(clip)
    state = clip.state_dict()
    assert {value.dtype for value in state.values()} >= {torch.float16, torch.float32}
    state |= {
        "input_resolution": torch.tensor(32),
        "context_length": torch.tensor(77),
        "vocab_size": torch.tensor(49408),
    }
    torch.save(state, tmp_path / "openai.pt")
    opened = Checkpoint(tmp_path / "openai.pt")
    assert {v.dtype for v in opened.state_dict.values()} <= {torch.float32, torch.int64}
    agrees(opened, image, text, HALVES)
    wrong = Checkpoint(tmp_path / "openai.pt", quick_gelu=False)
    assert not torch.allclose(wrong.embed_text(TEXTS), opened.embed_text(TEXTS), atol=1e-4), "the activation matters"


@pytest.mark.parametrize("tower", ["vit", "resnet"])
def test_pubmedclip_files(tmp_path: Path, make_tower: Callable[..., Any], tower: str) -> None:
    """{best_epoch, state_dict, optimizer_state_dict, best_loss} around OpenAI's layout in halves."""
    vision = VIT_64 if tower == "vit" else {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    clip = with_clip_tokens(make_tower, tower, vision_cfg=vision, quick_gelu=True)
    image, text = by_open_clip(clip)
    open_clip.model.convert_weights_to_fp16(clip)
    optimizer = torch.optim.Adam(clip.parameters()).state_dict()
    whole = {"best_epoch": 7, "state_dict": clip.state_dict(), "optimizer_state_dict": optimizer, "best_loss": 0.5}
    torch.save(whole, tmp_path / "PubMedCLIP.pth")
    agrees(Checkpoint(tmp_path / "PubMedCLIP.pth", quick_gelu=True), image, text, HALVES)


def test_wrappers_of_trainers(tmp_path: Path, make_tower: Callable[..., Any]) -> None:
    clip = with_clip_tokens(make_tower, "vit", vision_cfg=VIT_64)
    for prefix in ("model.", "clip.", "net.module.", "_orig_mod."):
        inner = {f"{prefix}{key}": value for key, value in clip.state_dict().items()}
        averages = {f"ema.{key}": torch.zeros_like(value) for key, value in inner.items()}
        whole = {"state_dict": inner | averages | {"loss.weight": torch.ones(3)}, "pytorch-lightning_version": "2.5"}
        torch.save(whole, tmp_path / "last.pt")
        found = read_weights(tmp_path / "last.pt").tensors
        assert found.keys() == clip.state_dict().keys()
        assert all(torch.equal(found[key], value) for key, value in clip.state_dict().items()), "not the averages"
    agrees(Checkpoint(tmp_path / "last.pt"), *by_open_clip(clip))


def test_saved_metadata_opens_the_same_model(tmp_path: Path, make_clip_model: Callable[..., Any]) -> None:
    """A trunk that no shape tells, a method of choice, and other pixels, all read from the file's header."""
    model = make_clip_model("timm_map", "masked_cls")
    model.config = {
        "embed_dim": 48,
        "custom_text": True,
        "vision_cfg": {"image_size": 32, "timm_vit": {"patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 2}}
        | {},
        "text_cfg": {"context_length": 24, "vocab_size": 2514, "width": 32, "heads": 2, "layers": 1},
    }
    model.config["vision_cfg"]["timm_vit"] |= {"class_token": False, "global_pool": "map", "act_layer": "gelu_tanh"}
    model.mean, model.std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    save_file(model.state_dict, tmp_path / "new.safetensors", model.metadata)
    opened = Checkpoint(tmp_path / "new.safetensors")
    assert (opened.region_method, opened.mean, opened.std) == ("masked_cls", model.mean, model.std)
    with torch.no_grad():
        expected = model._clip.encode_image(normalized(pixels_of(32), model.mean, model.std), normalize=True)
        assert torch.allclose(opened.encode(pixels_of(32), None)[0], expected, **CLOSE)
    assert Checkpoint(tmp_path / "new.safetensors", region_method="crop").region_method == "crop"


def test_a_named_architecture_with_a_timm_trunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``text.`` tower and ``visual.trunk.``: by name, as argument and in the header; else the name is asked for."""
    from ravl_explore.models.checkpoints import building

    config = {
        "embed_dim": 64,
        "custom_text": True,
        "vision_cfg": {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160},
        "text_cfg": {"context_length": 24, "vocab_size": 2514, "width": 64, "heads": 2, "layers": 1},
    }
    real = open_clip.get_model_config
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: config if name == "Tiny" else real(name))
    clip = building.build(config).eval()
    save_file(clip.state_dict(), tmp_path / "plain.safetensors")
    save_file(clip.state_dict(), tmp_path / "named.safetensors", {"architecture": "Tiny"})
    for opened in (
        Checkpoint(tmp_path / "plain.safetensors", architecture="Tiny"),
        Checkpoint(tmp_path / "named.safetensors"),
    ):
        assert opened.architecture == "Tiny" and opened.region_method == "dense_value"
        with torch.no_grad():
            expected = clip.encode_image(normalized(pixels_of(160)), normalize=True)
            assert torch.allclose(opened.encode(pixels_of(160), None)[0], expected, **CLOSE)
    with pytest.raises(ModelError, match=r"name of the architecture.*architecture="):
        Checkpoint(tmp_path / "plain.safetensors")


# --- transformers -----------------------------------------------------------------------------------------------------


def transformers_clip(activation: str = "quick_gelu", end: int = 49407, layer_norm_eps: float = 1e-5) -> Any:
    from transformers import CLIPConfig, CLIPModel

    text = {"vocab_size": 49408, "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2}
    text |= {"num_attention_heads": 4, "max_position_embeddings": 77, "bos_token_id": 49406, "eos_token_id": end}
    vision = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 4}
    vision |= {"image_size": 32, "patch_size": 8}
    both = {"hidden_act": activation, "layer_norm_eps": layer_norm_eps}
    torch.manual_seed(0)
    config = CLIPConfig(text_config=text | both, vision_config=vision | both, projection_dim=40)
    return shaken(CLIPModel(config))


def shaken(module: torch.nn.Module) -> Any:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module.eval()


def features(found: Any) -> torch.Tensor:
    """transformers 5 returns what is pooled inside an output object; 4 returned the tensor."""
    return found if isinstance(found, torch.Tensor) else found.pooler_output


def by_transformers_clip(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = open_clip.tokenizer.SimpleTokenizer(context_length=77)(TEXTS)
    with torch.no_grad():
        image = features(model.get_image_features(pixel_values=normalized(pixels_of(32))))
        return image, features(model.get_text_features(input_ids=tokens))


@pytest.mark.parametrize(
    ("activation", "end", "layer_norm_eps"),
    [("quick_gelu", 2, 1e-5), ("gelu", 49407, 1e-5), ("quick_gelu", 49407, 1e-3)],
)
def test_transformers_clip_snapshots(tmp_path: Path, activation: str, end: int, layer_norm_eps: float) -> None:
    model = transformers_clip(activation, end, layer_norm_eps)
    model.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").is_file() and (tmp_path / "config.json").is_file()
    opened = Checkpoint(tmp_path / "model.safetensors" if activation == "gelu" else tmp_path)
    assert opened.region_method == "dense_value"
    agrees(opened, *by_transformers_clip(model))
    again = tmp_path / "again.safetensors"
    save_file(opened.state_dict, again, opened.metadata)
    agrees(Checkpoint(again), *by_transformers_clip(model))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_transformers_halves_and_pytorch_files(tmp_path: Path, kind: torch.dtype) -> None:
    model = transformers_clip()
    image, text = by_transformers_clip(model)
    torch.save({f"model.{k}": v.to(kind) for k, v in model.state_dict().items()}, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps(model.config.to_dict()))
    agrees(Checkpoint(tmp_path), image, text, HALVES if kind == torch.float16 else {"rtol": 0, "atol": 8e-2})


@pytest.mark.parametrize("siglip", [False, True], ids=["CLIP", "SigLIP"])
def test_every_missing_or_misshaped_weight_of_transformers_is_named(tmp_path: Path, siglip: bool) -> None:
    whole = (transformers_siglip(tmp_path) if siglip else transformers_clip()).state_dict()
    for key in [key for key in whole if "position_ids" not in key and not key.startswith("logit")]:
        for value, told in ((None, "missing"), (torch.tensor(1.0), "misshaped"), (torch.ones(0), "misshaped")):
            content = {k: v for k, v in whole.items() if k != key} | ({} if value is None else {key: value})
            with pytest.raises(ModelError, match=rf"{told} {re.escape(key)}"):
                recognise(Weights(content), Snapshot(tmp_path / "x.pt"))
    for tower in ("text", "vision"):
        content = {k: v for k, v in whole.items() if f"{tower}_model.encoder" not in k}
        with pytest.raises(ModelError, match=rf"missing {tower}_model\.encoder\.layers\.0"):
            recognise(Weights(content), Snapshot(tmp_path / "x.pt"))
    with pytest.raises(ModelError, match=r"unexpected vision_model\.encoder\.layers\.0\.extra\.weight"):
        recognise(
            Weights(whole | {"vision_model.encoder.layers.0.extra.weight": torch.ones(1)}), Snapshot(tmp_path / "x.pt")
        )


def test_a_flat_projection_of_transformers(tmp_path: Path) -> None:
    whole = transformers_clip().state_dict()
    torch.save(whole | {"visual_projection.weight": torch.ones(64)}, tmp_path / "flat.pt")
    with pytest.raises(ModelError, match=r"misshaped visual_projection\.weight \(64 for 2 axes\)"):
        Checkpoint(tmp_path / "flat.pt")


def test_contradictions_in_transformers_are_told(tmp_path: Path) -> None:
    """Queries and keys of other widths, and settings of another kind: what was found is listed."""
    whole = transformers_clip().state_dict()
    bent = whole | {"vision_model.encoder.layers.0.self_attn.k_proj.weight": torch.ones(3, 3)}
    with pytest.raises(ModelError, match=r"which holds .*logit_scale \(scalar\)"):
        recognise(Weights(bent), Snapshot(tmp_path / "x.pt"))
    with pytest.raises(ModelError, match="settings fit together"):
        recognise(Weights(whole), Snapshot(tmp_path / "x.pt", settings={"vision_config": [1]}))


def test_what_transformers_files_without_settings_leave_open(tmp_path: Path) -> None:
    whole = Weights(transformers_clip().state_dict())
    assert recognise(whole, Snapshot(tmp_path / "x.pt")).assumptions == (GUESSED[True], GUESSED_PIXELS)
    assert recognise(whole, Snapshot(tmp_path / "x.pt"), quick_gelu=True).assumptions == (GUESSED_PIXELS,)
    pixels = Pixels({"preprocessor_config.json": {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}})
    told = Snapshot(tmp_path / "x.pt", settings={"model_type": "clip"}, pixels=pixels)
    assert recognise(whole, told).assumptions == ()


def test_transformers_shards(tmp_path: Path) -> None:
    model = transformers_clip()
    model.save_pretrained(tmp_path, max_shard_size="200kB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    agrees(Checkpoint(tmp_path), *by_transformers_clip(model))
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    next(iter(tmp_path.glob("model-*.safetensors"))).unlink()
    with pytest.raises(ModelError, match="all weight files of the index"):
        Checkpoint(tmp_path)
    index["weight_map"] = dict.fromkeys(index["weight_map"], "../elsewhere.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="beside their index"):
        Checkpoint(tmp_path)


def test_pixels_of_a_snapshot(tmp_path: Path) -> None:
    model = transformers_clip()
    model.save_pretrained(tmp_path)
    told = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
    opened = Checkpoint(tmp_path)
    assert opened.mean == (0.1, 0.2, 0.3) and opened.std == (0.4, 0.5, 0.6)
    with torch.no_grad():
        expected = features(model.get_image_features(pixel_values=normalized(pixels_of(32), opened.mean, opened.std)))
        assert torch.allclose(opened.encode(pixels_of(32), None)[0], normalize(expected, dim=-1), **CLOSE)


def sentencepiece(folder: Path, vocabulary: int = 80) -> None:
    """SigLIP's tokenizer files around a model trained on a few words."""
    import sentencepiece
    from transformers import SiglipTokenizer

    (folder / "words.txt").write_text("\n".join(["a photo of a cat", "the dog", "no cat at all", "an image"] * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "words.txt"),
        model_prefix=str(folder / "spiece"),
        vocab_size=vocabulary,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    SiglipTokenizer(str(folder / "spiece.model")).save_pretrained(folder)


def transformers_siglip(folder: Path, activation: str = "gelu_pytorch_tanh") -> Any:
    from transformers import SiglipConfig, SiglipModel

    text = {"vocab_size": 100, "hidden_size": 64, "intermediate_size": 155, "num_hidden_layers": 2}
    text |= {"num_attention_heads": 4, "max_position_embeddings": 16, "projection_size": 48}
    vision = {"hidden_size": 48, "intermediate_size": 179, "num_hidden_layers": 2, "num_attention_heads": 4}
    vision |= {"image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    config = SiglipConfig(
        text_config=text | {"hidden_act": activation}, vision_config=vision | {"hidden_act": activation}
    )
    model = shaken(SiglipModel(config))
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("activation", ["gelu_pytorch_tanh", "gelu"])
def test_transformers_siglip_snapshots(tmp_path: Path, activation: str) -> None:
    from transformers import AutoTokenizer

    model = transformers_siglip(tmp_path, activation)
    sentencepiece(tmp_path)
    opened = Checkpoint(tmp_path)
    assert opened.mean == (0.5, 0.5, 0.5) and opened.region_method == "dense_value" and opened.dim == 48
    tokens = AutoTokenizer.from_pretrained(tmp_path)(
        TEXTS, padding="max_length", max_length=16, truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        image = features(model.get_image_features(pixel_values=(pixels_of(32) - 0.5) / 0.5))
        text = features(model.get_text_features(input_ids=tokens.input_ids))
    agrees(opened, image, text)


def test_siglip_without_its_tokenizer_says_what_to_put_where(tmp_path: Path) -> None:
    transformers_siglip(tmp_path)
    with pytest.raises(ModelError, match=r"100 tokens.*tokenizer.json or spiece.model.*into the checkpoint's folder"):
        Checkpoint(tmp_path)


# --- families of transformers -----------------------------------------------------------------------------------------

TOWER = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
SEEN = {"image_size": 32, "patch_size": 8}
FEW = {"vocab_size": 100, "max_position_embeddings": 16}


def words(folder: Path, end: int = 2, context: int = 16, more: int = 0) -> Any:
    """A tokenizer of ten words, <s> and </s> around each text, saved into a folder."""
    from tokenizers import Tokenizer, pre_tokenizers, processors
    from tokenizers import models as kinds
    from transformers import PreTrainedTokenizerFast

    known = ["<s>", "<pad>", "<x>", "<unk>", "a", "photo", "of", "cat", "the", "dog", "no", "at", "all"]
    known[end] = "</s>"
    known += [f"word{i}" for i in range(more)]
    plain = Tokenizer(kinds.WordLevel({word: i for i, word in enumerate(known)}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", end)]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=plain, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        model_max_length=context,
    )  # fmt: skip
    made.save_pretrained(folder)
    return made


@pytest.mark.parametrize(
    ("family", "end"), [("metaclip_2", 2), ("metaclip_2", 6), ("clip", 6), ("clip", 2)], ids=lambda value: str(value)
)
def test_the_end_of_a_text_is_read_by_the_rules_of_its_family(tmp_path: Path, family: str, end: int) -> None:
    """Token 2 is the end in MetaCLIP 2; in a CLIP it is an old mistake that stands for the highest."""
    import transformers

    kinds = {"clip": ("CLIPConfig", "CLIPModel"), "metaclip_2": ("MetaClip2Config", "MetaClip2Model")}
    config, kind = (getattr(transformers, name) for name in kinds[family])
    text = TOWER | FEW | {"eos_token_id": end, "bos_token_id": 0, "pad_token_id": 1}
    torch.manual_seed(0)
    model = shaken(kind(config(text_config=text, vision_config=TOWER | SEEN, projection_dim=40)))
    model.save_pretrained(tmp_path)
    tokens = words(tmp_path, end)(TEXTS, padding="max_length", max_length=16, return_tensors="pt").input_ids
    opened = Checkpoint(tmp_path)
    with torch.no_grad():
        image = features(model.get_image_features(pixel_values=normalized(pixels_of(32))))
        text_rows = features(model.get_text_features(input_ids=tokens))
    agrees(opened, image, text_rows)


@pytest.mark.parametrize(
    "name", ["CLIPSeg", "ChineseCLIP", "AltCLIP", "XCLIP", "Siglip2", "GroupViT", "Blip", "OwlViT", "Clvp"]
)
def test_families_that_are_not_known_are_refused(tmp_path: Path, name: str) -> None:
    """Their weights have names like CLIP's, and are read by other rules."""
    transformers = pytest.importorskip("transformers")
    model_type = getattr(transformers, f"{name}Config").model_type
    whole = transformers_clip()
    whole.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | {"model_type": model_type}))
    with pytest.raises(ModelError, match=rf"type clip or metaclip_2 or siglip.*model_type '{model_type}'"):
        Checkpoint(tmp_path)


def test_models_of_other_families_as_transformers_saves_them(tmp_path: Path) -> None:
    from transformers import CLIPSegConfig, CLIPSegModel, Siglip2Config, Siglip2Model

    seg = CLIPSegConfig(text_config=TOWER, vision_config=TOWER | SEEN, projection_dim=40)
    naflex = Siglip2Config(text_config=TOWER | FEW, vision_config=TOWER | {"num_patches": 16, "patch_size": 8})
    for name, model in (("seg", CLIPSegModel(seg)), ("naflex", Siglip2Model(naflex))):
        model.save_pretrained(tmp_path / name)
        with pytest.raises(ModelError, match="a model of transformers of type"):
            Checkpoint(tmp_path / name)


def test_settings_of_another_family_than_the_weights(tmp_path: Path) -> None:
    transformers_siglip(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | {"model_type": "clip"}))
    with pytest.raises(ModelError, match="whose weights are those of siglip"):
        Checkpoint(tmp_path)


def test_siglip_with_another_epsilon(tmp_path: Path) -> None:
    from transformers import SiglipConfig, SiglipModel

    both = TOWER | {"layer_norm_eps": 0.1}
    torch.manual_seed(0)
    model = shaken(SiglipModel(SiglipConfig(text_config=both | FEW, vision_config=both | SEEN)))
    model.save_pretrained(tmp_path)
    tokens = words(tmp_path)(TEXTS, padding="max_length", max_length=16, return_tensors="pt").input_ids
    with torch.no_grad():
        image = features(model.get_image_features(pixel_values=(pixels_of(32) - 0.5) / 0.5))
        agrees(Checkpoint(tmp_path), image, features(model.get_text_features(input_ids=tokens)))


# --- pixels -----------------------------------------------------------------------------------------------------------

MEAN, STD = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]


@pytest.mark.parametrize(
    "told",
    [
        {"preprocessor_config.json": {"image_mean": MEAN, "image_std": STD}},
        {"processor_config.json": {"image_processor": {"image_mean": MEAN, "image_std": STD}}},
        {"processor_config.json": {"image_mean": MEAN, "image_std": STD}},
        {"preprocessor_config.json": {"image_processor": {"image_mean": MEAN, "image_std": STD}}},
        {"open_clip_config.json": {"preprocess_cfg": {"mean": MEAN, "std": STD}}},
        {"processor_config.json": {"processor_class": "CLIPProcessor", "image_processor": {"image_mean": MEAN,
         "image_std": STD}}, "preprocessor_config.json": {"image_mean": MEAN, "image_std": STD}},
    ],
    ids=lambda told: "+".join(told),
)  # fmt: skip
def test_pixels_are_read_wherever_a_library_writes_them(tmp_path: Path, told: dict[str, Any]) -> None:
    transformers_clip().save_pretrained(tmp_path)
    for name, content in told.items():
        (tmp_path / name).write_text(json.dumps(content))
    opened = Checkpoint(tmp_path)
    assert opened.mean == tuple(MEAN) and opened.std == tuple(STD) and opened.assumptions == ()


@pytest.mark.parametrize(
    "change",
    [
        {"do_normalize": False},
        {"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [64.0] * 3},
        {"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [0.5] * 3},
    ],
    ids=str,
)
def test_other_ways_to_scale_pixels_are_followed(tmp_path: Path, change: dict[str, Any]) -> None:
    from transformers import CLIPImageProcessor

    model = transformers_clip()
    model.save_pretrained(tmp_path)
    size = {"height": 32, "width": 32}
    processor = CLIPImageProcessor(size=size, crop_size=size, image_mean=MEAN, image_std=STD)
    for key, value in change.items():
        setattr(processor, key, value)
    processor.save_pretrained(tmp_path)
    opened = Checkpoint(tmp_path)
    image = (255 * pixels_of(32)).byte()
    with torch.no_grad():
        prepared = processor(images=list(image), return_tensors="pt", do_resize=False, do_center_crop=False)
        expected = normalize(features(model.get_image_features(**prepared)), dim=-1)
        assert torch.allclose(opened.encode(image.float() / 255, None)[0], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "told",
    [
        {"image_mean": [0.5, 0.5]}, {"image_std": [0.0, 0.5, 0.5]}, {"image_mean": "mean"}, {"image_std": [1, 2, None]},
        {"image_mean": [float("nan")] * 3}, {"rescale_factor": 0}, {"rescale_factor": "1/255"},
        {"do_flip_channel_order": True}, {"rescale_offset": True}, {"do_rescale": False},
    ],
    ids=str,
)  # fmt: skip
def test_pixels_that_cannot_be_are_refused(tmp_path: Path, told: dict[str, Any]) -> None:
    transformers_clip().save_pretrained(tmp_path)
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": told}))
    with pytest.raises(ModelError, match=r"three means.*processor_config\.json"):
        Checkpoint(tmp_path)


def test_files_that_disagree_on_pixels_are_told(tmp_path: Path, make_tower: Callable[..., Any]) -> None:
    transformers_clip().save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": MEAN, "image_std": STD}))
    other = {"preprocess_cfg": {"mean": [0.5] * 3, "std": STD, "resize_mode": "longest"}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(other))
    opened = Checkpoint(tmp_path)
    assert opened.mean == tuple(MEAN), "the weights are in transformers' layout"
    border, mean = opened.assumptions
    assert "a border is added" in border
    assert "mean of preprocessor_config.json, since open_clip_config.json says another" in mean
