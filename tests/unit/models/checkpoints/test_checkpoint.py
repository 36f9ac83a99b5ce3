"""Checkpoint opens CLIP ResNets as found on disks, says what is wrong with others, and never runs their code."""

from __future__ import annotations

import os
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file

import ravl_explore as rx
from ravl_explore.errors import ModelError
from ravl_explore.mitigation import Mitigation
from ravl_explore.models.checkpoints import architectures
from ravl_explore.models.checkpoints.architectures import infer_config, name_of, same_weights
from ravl_explore.models.checkpoints.building import build, named_config
from ravl_explore.models.checkpoints.checkpoint import GUESSED, GUESSED_PIXELS, Checkpoint, _published_pixels, recognise
from ravl_explore.models.checkpoints.filling import fitting
from ravl_explore.models.checkpoints.snapshots import Snapshot
from ravl_explore.models.checkpoints.weights import Weights
from ravl_explore.models.clip_model import CLIP_MEAN
from ravl_explore.objectives import Standard
from ravl_explore.training import History, TrainingSettings
from tests.unit.conftest import nothing_marked

PIXELS = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
BOXES = torch.tensor([[0, 0, 0, 32, 32], [1, 5, 6, 60, 61]], dtype=torch.float32)


@pytest.fixture(scope="module")
def weights(model: Any) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict.items()}


def embeddings(model: Any) -> list[torch.Tensor]:
    with torch.no_grad():
        return [*model.encode(PIXELS, BOXES), model.embed_text(["a cat", "the dog"])]


def same(one: Any, other: Any, tolerance: float = 1e-6) -> bool:
    pairs = zip(embeddings(one), embeddings(other), strict=True)
    return all(torch.allclose(a, b, rtol=0, atol=tolerance) for a, b in pairs)


WRAPPED: dict[str, Callable[[dict], Any]] = {
    "plain": lambda w: w,
    "state_dict": lambda w: {"epoch": 3, "state_dict": w, "best_loss": 0.5},
    "model": lambda w: {"model": w},
    "model_state_dict": lambda w: {"model_state_dict": w, "optimizer_state_dict": {"lr": 1}},
    "data_parallel": lambda w: {"state_dict": {f"module.{key}": value for key, value in w.items()}},
    "openai_numbers": lambda w: w | {name: torch.tensor(24) for name in ("context_length", "vocab_size")},
    "net": lambda w: {"net": w, "epoch": 3},
    "average": lambda w: {"model_ema": w, "optimizer": {"state": {0: {"step": torch.tensor(1)}}, "lr": 0.1}},
    "any_name": lambda w: {"student": w, "note": "text"},
    "beside_other_tensors": lambda w: {"student": w, "queue": {"rows": torch.ones(3)}},
    "usual_name_first": lambda w: {"other": {k: torch.zeros_like(v) for k, v in w.items()}, "model": w},
    "twice": lambda w: {"model": {"state_dict": w}},
    "without_batch_counts": lambda w: {key: value for key, value in w.items() if "num_batches" not in key},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED.keys())
@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_pytorch_files(tmp_path: Path, model: Any, weights: dict, wrap: Callable, suffix: str) -> None:
    torch.save(wrap(weights), tmp_path / f"mine{suffix}")
    opened = Checkpoint(tmp_path / f"mine{suffix}")
    assert opened.name == "mine" and opened.image_size == 64 and opened.dim == 32
    assert same(opened, model)


def test_safetensors_files(tmp_path: Path, model: Any, weights: dict) -> None:
    save_file(weights, tmp_path / "mine.safetensors")
    assert same(Checkpoint(str(tmp_path / "mine.safetensors")), model)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path: Path, model: Any, weights: dict, kind: torch.dtype) -> None:
    torch.save({k: v.to(kind) if v.is_floating_point() else v for k, v in weights.items()}, tmp_path / "half.pt")
    opened = Checkpoint(tmp_path / "half.pt")
    assert {value.dtype for value in opened.state_dict.values()} == {torch.float32, torch.int64}
    assert same(opened, model, {torch.float16: 1e-2, torch.bfloat16: 5e-2, torch.float64: 1e-6}[kind])


def test_the_file_may_be_overwritten_while_the_model_is_open(tmp_path: Path, model: Any, weights: dict) -> None:
    save_file(weights, tmp_path / "mine.safetensors")
    opened = Checkpoint(tmp_path / "mine.safetensors")
    save_file({key: torch.zeros_like(value) for key, value in weights.items()}, tmp_path / "mine.safetensors")
    assert same(opened, model)


# --- architecture -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_size", [64, 96])
def test_architecture_is_read_off_the_shapes(make_clip: Callable[..., Any], image_size: int) -> None:
    config = infer_config(make_clip(image_size=image_size).state_dict(), "x")
    assert config["embed_dim"] == 32
    assert config["vision_cfg"] == {
        "image_size": image_size,
        "layers": [1, 1, 1, 1],
        "width": 8,
        "patch_size": None,
        "head_width": 64,
    }
    assert config["text_cfg"] == {"context_length": 24, "vocab_size": 2514, "width": 64, "heads": 2, "layers": 1}


def published(name: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """open_clip's configuration of a published model, and weights of its shapes without any memory."""
    config = open_clip.get_model_config(name)
    assert config is not None
    with torch.device("meta"):
        clip = open_clip.CLIP(
            config["embed_dim"],
            open_clip.CLIPVisionCfg(**config["vision_cfg"]),
            open_clip.CLIPTextCfg(**config["text_cfg"]),
        )
    return config, clip.state_dict()


RESNETS = ["RN50", "RN101", "RN50x4", "RN50x16", "RN50x64"]
OPENAI_VITS = ["ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336"]
OTHER_VITS = ["ViT-H-14", "ViT-g-14", "ViT-bigG-14", "ViT-B-16-plus-240"]  # heads 80, 88, 104 and 64 wide


@pytest.mark.parametrize("name", [f"{each}-quickgelu" for each in RESNETS + OPENAI_VITS] + OTHER_VITS)
def test_published_models_are_recognised(name: str) -> None:
    """Sizes, the width of the heads, the activation and the name, all from shapes."""
    config, weights = published(name)
    found = infer_config(weights, "x")
    assert found["embed_dim"] == config["embed_dim"]
    assert found["quick_gelu"] is config.get("quick_gelu", False) is name.endswith("quickgelu")
    for part in ("vision_cfg", "text_cfg"):
        assert {key: found[part][key] for key in config[part] if key != "mlp_ratio"} == {
            key: value for key, value in config[part].items() if key != "mlp_ratio"
        }
    ratio, width = config["vision_cfg"].get("mlp_ratio", 4.0), config["vision_cfg"]["width"]
    assert int(width * found["vision_cfg"].get("mlp_ratio", 4.0)) == int(width * ratio)
    assert name_of(found, weights) == name


@pytest.mark.parametrize("name", ["ViT-B-16-SigLIP-256", "coca_ViT-B-32", "ViTamin-S"])
def test_weights_of_other_towers_are_told_by_all_their_shapes(name: str) -> None:
    with torch.device("meta"):
        weights = build(named_config(name)).state_dict()
    assert same_weights(weights)[0] == name
    if name == "ViT-B-16-SigLIP-256":  # one of a kind
        assert name_of(infer_config(weights, "x"), weights) == name
    weights.pop("text.ln_final.bias" if "text.ln_final.bias" in weights else "ln_final.bias")
    assert same_weights(weights) == []


def test_the_demo_vit_is_recognised(tmp_path: Path) -> None:
    """Its heads are 32 wide, which no shape tells."""
    from ravl_explore.models.demo import VIT_ARCHITECTURE, build_demo

    clip = build_demo(VIT_ARCHITECTURE).eval()
    torch.save(clip.state_dict(), tmp_path / "vit.pt")
    opened = Checkpoint(tmp_path / "vit.pt")
    assert opened.architecture == VIT_ARCHITECTURE and opened.region_method == "dense_value"
    pixels = torch.rand(2, 3, opened.image_size, opened.image_size)
    normal = (pixels - torch.tensor(opened.mean)[:, None, None]) / torch.tensor(opened.std)[:, None, None]
    with torch.no_grad():
        expected = clip.encode_image(normal, normalize=True)
        assert torch.allclose(opened.encode(pixels, None)[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "mean"),
    [("ViT-B-16-SigLIP", (0.5,) * 3), ("MobileCLIP-S1", (0.0,) * 3), ("RN50-quickgelu", CLIP_MEAN), ("ViT-L-14", None)],
)
def test_pixels_of_a_named_architecture(name: str, mean: tuple[float, ...] | None) -> None:
    """Those of its published weights, where all agree; LAION's ViT-L-14 was trained with others than OpenAI's."""
    assert _published_pixels(name).get("mean") == mean


@pytest.mark.parametrize(
    ("name", "mean"), [("ViT-B-16-SigLIP", (0.5,) * 3), ("ViT-B-16-SigLIP-256", (0.5,) * 3), ("ViT-B-32", CLIP_MEAN)]
)
def test_pixels_of_an_architecture_read_off_the_shapes(name: str, mean: tuple[float, ...]) -> None:
    """Nothing is named, and nothing lies beside the file; what the file itself says comes first."""
    with torch.device("meta"):
        weights = build(named_config(name)).state_dict()
    recipe = recognise(Weights(weights), Snapshot(Path("x.pt")))
    assert recipe.pixels["mean"] == mean and GUESSED_PIXELS not in recipe.assumptions
    assert (recipe.architecture or "").removesuffix("-quickgelu") == name
    told = recognise(Weights(weights, {"image_mean": "[0.1, 0.2, 0.3]"}), Snapshot(Path("x.pt")))
    assert told.pixels["mean"] == (0.1, 0.2, 0.3)


def test_an_open_clip_configuration_without_pixels_takes_the_published_ones() -> None:
    config = named_config("ViT-B-16-SigLIP")
    with torch.device("meta"):
        weights = build(config).state_dict()
    assert recognise(Weights(weights), Snapshot(Path("x.pt"), config)).pixels["mean"] == (0.5,) * 3


def test_a_trunk_that_no_architecture_has(tmp_path: Path) -> None:
    with torch.device("meta"):
        weights = build(named_config("ViT-B-16-SigLIP")).state_dict()
    weights["visual.trunk.pos_embed"] = torch.empty(1, 900, 768, device="meta")
    with pytest.raises(ModelError, match=r"architecture=.*'ViT-B-16-SigLIP.*' is closest"):
        infer_config(weights, "x")


def test_another_architecture_is_suggested(tmp_path: Path) -> None:
    """A file of another architecture than the named one: what differs is listed, with the closest name."""
    vit = {"visual.class_embedding": torch.ones(768), "visual.conv1.weight": torch.ones(768, 3, 32, 32)}
    vit |= {"visual.positional_embedding": torch.ones(50, 768), "visual.proj": torch.ones(768, 512)}
    vit |= {f"visual.transformer.resblocks.{i}.ln_1.bias": torch.ones(768) for i in range(12)}
    vit |= {f"transformer.resblocks.{i}.ln_1.bias": torch.ones(512) for i in range(12)}
    vit |= {"ln_final.weight": torch.ones(512), "positional_embedding": torch.ones(77, 512)}
    vit |= {"token_embedding.weight": torch.ones(49408, 512).half(), "text_projection": torch.ones(512, 512)}
    torch.save(vit, tmp_path / "vit.pt")
    with pytest.raises(
        ModelError, match=r"missing .*ln_final.bias.*unexpected .*resblocks.*closest architecture is 'ViT-B-32'"
    ):
        Checkpoint(tmp_path / "vit.pt", architecture="ravl-demo")
    _, whole = published("RN50")
    with pytest.raises(ModelError, match=r"These are the weights of 'RN50' or 'RN50-quickgelu'"):
        fitting(build(named_config("ravl-demo")), whole, "x")
    with pytest.raises(ModelError, match=r"an architecture of open_clip, got 'ViT-B-33'.*ViT-B-32"):
        Checkpoint(tmp_path / "vit.pt", architecture="ViT-B-33")


def test_published_activation_is_used_and_may_be_chosen(
    tmp_path: Path, make_clip: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text tower wider than the demo's is QuickGELU's unless the caller says otherwise; no shape tells."""
    torch.save(make_clip(text_width=128).state_dict(), tmp_path / "wide.pt")
    unlike = [make_activation(Checkpoint(tmp_path / "wide.pt", quick_gelu=choice)) for choice in (None, True, False)]
    assert unlike == ["QuickGELU", "QuickGELU", "GELU"]
    torch.save(make_clip().state_dict(), tmp_path / "demo.pt")
    assert make_activation(Checkpoint(tmp_path / "demo.pt")) == "GELU"


def test_guesses_are_told(tmp_path: Path, make_clip: Callable[..., Any]) -> None:
    wide = make_clip(text_width=128).state_dict()
    torch.save(wide, tmp_path / "wide.pt")
    opened = Checkpoint(tmp_path / "wide.pt")
    assert opened.assumptions == (GUESSED[True], GUESSED_PIXELS) == opened.copy().assumptions
    assert "quick_gelu=False" in GUESSED[True] and "quick_gelu=True" in GUESSED[False]
    for choice in (True, False, "GELU", "quickgelu", "false"):
        chosen = Checkpoint(tmp_path / "wide.pt", quick_gelu=choice)
        assert chosen.assumptions == (GUESSED_PIXELS,)
        assert chosen.quick_gelu is (choice in (True, "quickgelu"))
    with pytest.raises(ModelError, match="quick_gelu as true or false, got 'tanh'"):
        Checkpoint(tmp_path / "wide.pt", quick_gelu="tanh")
    torch.save(wide | {"input_resolution": torch.tensor(64)}, tmp_path / "openai.pt")
    assert Checkpoint(tmp_path / "openai.pt").assumptions == ()
    save_file(opened.state_dict, tmp_path / "told.safetensors", opened.metadata)
    assert Checkpoint(tmp_path / "told.safetensors").assumptions == ()
    from ravl_explore.models.demo import Demo

    torch.save(Demo("clean").state_dict, tmp_path / "demo.pt")
    assert Checkpoint(tmp_path / "demo.pt").assumptions == ()


def test_the_form_asks_for_the_activation(tmp_path: Path, make_clip: Callable[..., Any]) -> None:
    field = next(field for field in Checkpoint.form if field.name == "quick_gelu")
    assert field.choices is not None and not field.required
    torch.save(make_clip(text_width=128).state_dict(), tmp_path / "wide.pt")
    picked = [Checkpoint(tmp_path / "wide.pt", quick_gelu=choice) for choice in field.choices({})]
    assert [make_activation(each) for each in picked] == list(field.choices({})) == ["GELU", "QuickGELU"]


def test_the_architecture_in_use_is_not_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architectures, "same_weights", lambda tensors: [])  # nor are these; building tells it slowly
    _, weights = published("ViT-B-32")
    weights.pop("ln_final.bias")
    clip = build(named_config("ViT-B-32"))
    for used, told in ((None, True), ("ViT-L-14", True), ("ViT-B-32", False), ("ViT-B-32-quickgelu", False)):
        with pytest.raises(ModelError, match=r"missing ln_final\.bias") as raised:
            fitting(clip, weights, "x", used)
        assert ("ViT-B-32" in raised.value.remedy) is told, used


def make_activation(model: Any) -> str:
    return type(model._clip.transformer.resblocks[0].mlp.gelu).__name__


# --- what is no checkpoint --------------------------------------------------------------------------------------------


def refused(path: Path, *told: str) -> None:
    """The file is refused with a message that names it and says all of ``told``."""
    with pytest.raises(ModelError) as raised:
        Checkpoint(path)
    assert all(part and part in str(raised.value) for part in (str(path), *told)), str(raised.value)


def test_no_file(tmp_path: Path) -> None:
    refused(tmp_path / "missing.pt", "no such file")
    refused(tmp_path, "no such file")


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"<html></html>", b"\x80\x02", b"PK\x03\x04cut", bytes(64)])
def test_not_a_checkpoint(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    refused(path, "checkpoint")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_truncated(tmp_path: Path, weights: dict, suffix: str, share: float) -> None:
    path = tmp_path / f"cut{suffix}"
    (torch.save if suffix == ".pt" else save_file)(weights, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refused(path)


def test_damaged_bytes_never_escape_as_another_error(tmp_path: Path) -> None:
    """torch.load answers damage with IndexError, AssertionError, struct.error and more; the user gets a ModelError."""
    path = tmp_path / "damaged.pt"
    torch.save({"a": torch.ones(3)}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x15]) + whole[at + 1 :])
        refused(path)


@pytest.mark.parametrize("content", [{}, [1, 2], {"lr": 0.1}, {"a": torch.ones(2), "b": "text"}, torch.ones(2)])
def test_no_dictionary_of_tensors(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.pt")
    refused(tmp_path / "other.pt", "dictionary of tensors")


@pytest.mark.parametrize(
    "key",
    [
        "visual.layer4.0.conv3.weight",
        "visual.attnpool.positional_embedding",
        "ln_final.weight",
        "text_projection",
        "positional_embedding",
        "token_embedding.weight",
        "transformer.resblocks.0.ln_1.bias",
        "logit_scale",
    ],
)
def test_a_missing_weight_is_named(tmp_path: Path, weights: dict, key: str) -> None:
    torch.save({name: value for name, value in weights.items() if name != key}, tmp_path / "part.pt")
    refused(tmp_path / "part.pt", key)


@pytest.mark.parametrize("value", [torch.tensor(1.0), torch.ones(0), torch.ones(2, 2, 2, 2, 2)], ids=str)
@pytest.mark.parametrize(
    "key",
    ["ln_final.weight", "text_projection", "visual.layer3.0.conv1.weight", "visual.attnpool.positional_embedding"],
)
def test_a_misshaped_weight_is_named(tmp_path: Path, weights: dict, key: str, value: torch.Tensor) -> None:
    torch.save(weights | {key: value}, tmp_path / "bent.pt")
    refused(tmp_path / "bent.pt", f"misshaped {key}", "missing none")


def without(weights: dict, pattern: str) -> dict:
    return {key: value for key, value in weights.items() if not re.match(pattern, key)}


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        (r"visual\.transformer\.", "missing visual.transformer.resblocks.0.mlp.c_fc.weight"),
        (r"transformer\.", "missing transformer.resblocks.0.ln_1.weight"),
        (r"visual\.class_embedding", "missing visual.class_embedding"),
        (r"visual\.", "missing visual.class_embedding, visual.conv1.weight"),
    ],
)
def test_missing_parts_of_a_vit_are_named(tmp_path: Path, pattern: str, told: str) -> None:
    from ravl_explore.models.demo import Demo

    torch.save(without(Demo("vit-clean").state_dict, pattern), tmp_path / "part.pt")
    refused(tmp_path / "part.pt", told)


@pytest.mark.parametrize("tower", ["resnet", "vit"])
def test_no_single_weight_lets_another_error_escape(monkeypatch: Any, weights: dict, tower: str) -> None:
    """Each weight in turn missing, scalar, empty or flat: a ModelError with its name, or a recipe that is refused."""
    from ravl_explore.models.demo import Demo

    monkeypatch.setattr(architectures, "same_weights", lambda tensors: [])  # builds many
    whole = weights if tower == "resnet" else Demo("vit-clean").state_dict
    clip = build(recognise(Weights(whole), Snapshot(Path("x.pt"))).config)
    for key in [key for key in whole if "num_batches" not in key and key != "logit_scale"]:
        flat = whole[key].flatten() if whole[key].ndim > 1 else whole[key][None]
        for value in (None, torch.tensor(1.0), torch.ones(0), flat):
            content = {k: v for k, v in whole.items() if k != key} | ({} if value is None else {key: value})
            with pytest.raises(ModelError, match=re.escape(key)):
                fitting(clip, recognise(Weights(content), Snapshot(Path("x.pt"))).tensors, "x")


def test_sizes_that_contradict_each_other_are_told(monkeypatch: pytest.MonkeyPatch, weights: dict) -> None:
    from ravl_explore.models.checkpoints import checkpoint

    for error in (KeyError("width"), IndexError("out of range"), ValueError("negative"), RuntimeError("sizes")):

        def fail(*_: Any, error: Exception = error) -> Any:
            raise error

        monkeypatch.setattr(checkpoint, "infer_config", fail)
        with pytest.raises(ModelError, match=rf"x\.pt.*{type(error).__name__}.*holds.*ln_final\.bias \(64\)"):
            recognise(Weights(weights), Snapshot(Path("x.pt")))


def test_an_unexpected_weight_is_named(tmp_path: Path, weights: dict) -> None:
    torch.save(weights | {"head.weight": torch.ones(2)}, tmp_path / "more.pt")
    refused(tmp_path / "more.pt", "unexpected head.weight", "missing none")


def test_a_weight_of_another_shape_is_named(tmp_path: Path, weights: dict) -> None:
    torch.save(weights | {"visual.conv2.weight": torch.ones(2, 2)}, tmp_path / "bent.pt")
    refused(tmp_path / "bent.pt", "visual.conv2.weight")


def test_another_vocabulary(tmp_path: Path, weights: dict) -> None:
    torch.save(weights | {"token_embedding.weight": torch.ones(77, 64)}, tmp_path / "words.pt")
    refused(tmp_path / "words.pt", "49408", "77")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"lr": 0.1, "note": "text"}, "lr (float), note (str)"),
        ({"net": {"a": torch.ones(2), "b": "text"}}, "b (str)"),
        ({"one": {"a": torch.ones(2)}, "two": {"a": torch.ones(2)}}, "several"),
    ],
)
def test_what_is_no_tensor_is_named(tmp_path: Path, content: object, told: str) -> None:
    torch.save(content, tmp_path / "other.pt")
    refused(tmp_path / "other.pt", told)


def test_a_dictionary_inside_itself(tmp_path: Path) -> None:
    content: dict[str, Any] = {}
    content["model"] = content
    torch.save(content, tmp_path / "loop.pt")
    refused(tmp_path / "loop.pt", "dictionary of tensors")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        ("<!doctype html><p>Not found", "a web page"),
        ("epoch,loss\n1,é", "a text file that starts with 'epoch,loss"),
        ("é" * 600, "a text file"),
        ("", "an empty file"),
    ],
)
def test_text_files_are_told(tmp_path: Path, text: str, told: str, suffix: str) -> None:
    (tmp_path / f"x{suffix}").write_text(" " * (len(text) == 600) + text, encoding="utf-8")
    refused(tmp_path / f"x{suffix}", told)


# --- pickled code -----------------------------------------------------------------------------------------------------


class Touch:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.open, (str(self.path), os.O_CREAT | os.O_WRONLY)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
def test_pickled_code_is_refused_and_not_run(tmp_path: Path, weights: dict, how: str, suffix: str) -> None:
    touched, path = tmp_path / "touched", tmp_path / f"evil{suffix}"
    content = weights | {"x": Touch(touched)}
    if how == "pickle":
        path.write_bytes(pickle.dumps(Touch(touched)))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "zip")
    refused(path, "holds pickled code", "it was not run")
    assert not touched.exists()
    pickle.loads(pickle.dumps(Touch(touched)))
    assert touched.exists(), "the bait works"


def test_torchscript_is_refused_with_a_way_out(tmp_path: Path) -> None:
    """OpenAI's own downloads are such archives."""

    class Double(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * x

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("ViT-B-32.pt", "ViT-L-14-336px.pt", "mine.pt"):
            torch.jit.script(Double()).save(tmp_path / name)
    refused(tmp_path / "ViT-B-32.pt", "TorchScript archive", "it was not run", "jit=False", "as ViT-B-32/openai")
    refused(tmp_path / "ViT-L-14-336px.pt", "as ViT-L-14-336/openai")
    refused(tmp_path / "mine.pt", "as ViT-B-32/openai")


def test_a_pickled_model_is_refused_as_code(tmp_path: Path, make_clip: Callable[..., Any]) -> None:
    torch.save(make_clip(), tmp_path / "whole.pt")
    refused(tmp_path / "whole.pt", "holds pickled code")


# --- round trip -------------------------------------------------------------------------------------------------------


def test_a_saved_mitigation_opens_as_a_checkpoint(tmp_path: Path, make_model: Callable[..., Any]) -> None:
    new = make_model(3)
    new.visual.to(memory_format=torch.channels_last)  # as in the demo: not contiguous
    mitigation = Mitigation(new, History(), Standard(), TrainingSettings(), nothing_marked(), True)
    opened = Checkpoint(rx.save(mitigation, tmp_path / "new.safetensors"))
    assert same(opened, new)
    for key, value in new.state_dict.items():
        assert opened.state_dict[key].shape == value.shape and torch.equal(opened.state_dict[key], value), key


def test_scalars_keep_their_shape_on_disk(tmp_path: Path, model: Any) -> None:
    from safetensors.torch import load_file

    path = rx.save(
        Mitigation(model, History(), Standard(), TrainingSettings(), nothing_marked(), True), tmp_path / "x.safetensors"
    )
    assert load_file(path)["logit_scale"].shape == ()
