"""Checkpoints are told by their bytes and freed of wrappers; what cannot be opened is named, with what to do."""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ravl_explore import models, regions
from ravl_explore.errors import ModelError
from ravl_explore.models.checkpoints.checkpoint import Checkpoint
from ravl_explore.models.checkpoints.weights import read_weights
from ravl_explore.support.tensor_files import read_tensor_file


@pytest.fixture(scope="module")
def demo() -> Any:
    return models.Demo("vit-clean")


@pytest.fixture(scope="module")
def state(demo: Any) -> dict[str, torch.Tensor]:
    return {key: value.contiguous() for key, value in demo.state_dict.items()}


def same(opened: Any, demo: Any) -> bool:
    return opened.state_dict.keys() == demo.state_dict.keys() and all(
        torch.equal(value, demo.state_dict[key]) for key, value in opened.state_dict.items()
    )


# --- the kind of a file -----------------------------------------------------------------------------------------------

ENDINGS = [".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".model", ""]


@pytest.mark.parametrize("ending", ENDINGS)
def test_weights_open_whatever_their_file_is_called(tmp_path: Path, demo: Any, state: dict, ending: str) -> None:
    for name, write in (("a", save_file), ("b", torch.save)):
        write(state, tmp_path / f"{name}{ending}")
        assert same(Checkpoint(tmp_path / f"{name}{ending}"), demo)
    torch.save(state, tmp_path / f"c{ending}", _use_new_zipfile_serialization=False)
    assert same(Checkpoint(tmp_path / f"c{ending}"), demo)


def as_tar(content: bytes) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        info = tarfile.TarInfo("clip.pt")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return whole.getvalue()


def as_zip(content: bytes) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("clip.pt", content)
    return whole.getvalue()


def as_npz(_: bytes) -> bytes:
    whole = io.BytesIO()
    np.savez(whole, a=np.ones(3))
    return whole.getvalue()


def as_npy(_: bytes) -> bytes:
    whole = io.BytesIO()
    np.save(whole, np.ones(3))
    return whole.getvalue()


OTHERS: list[tuple[Callable[[bytes], bytes], str]] = [
    (gzip.compress, "a gzip archive.*gunzip"),
    (bz2.compress, "a bzip2 archive"),
    (lzma.compress, "an xz archive"),
    (as_tar, "a tar archive.*tar -xf"),
    (as_zip, r"a zip archive of other files \(clip.pt\).*Unpack"),
    (as_npz, "an .npz archive"),
    (as_npy, "a NumPy array"),
    (lambda _: b"GGUF\x03\x00\x00\x00" + bytes(99), "a GGUF file"),
    (lambda _: b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file"),
    (lambda _: b"\x08\x08\x12\x07pytorch\x1a\x052.1.0" + bytes(99), "an ONNX file"),
    (lambda _: b"\x89PNG\r\n\x1a\n" + bytes(99), "an image"),
    (lambda _: b"<!DOCTYPE html><title>404", "a web page"),
    (lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
    (lambda _: b'{"error": "gated repository"}', "a text file that starts with"),
    (lambda _: bytes(range(1, 255)) * 3, "a file of another kind, which starts with 01 02"),
]


@pytest.mark.parametrize(("change", "told"), OTHERS, ids=[told[:20] for _, told in OTHERS])
@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_other_kinds_are_named(tmp_path: Path, change: Callable[[bytes], bytes], told: str, ending: str) -> None:
    plain = io.BytesIO()
    torch.save({"a": torch.ones(2)}, plain)
    path = tmp_path / f"x{ending}"
    path.write_bytes(change(plain.getvalue()))
    for load in (Checkpoint, regions.Detector):
        with pytest.raises(ModelError, match=told) as raised:
            load(path)
        assert "pickled code" not in str(raised.value)


# --- beside the weights -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        np.float64(0.9),
        np.float32(0.9),
        np.int64(3),
        np.bool_(True),
        np.array([1.0, 2.0]),
        np.random.default_rng(0).integers(0, 9, 700),
        np.random.RandomState(0).get_state(),
        np.dtype("float32"),
        np.str_("best"),
        argparse.Namespace(lr=0.1, out=Path("/tmp/x")),
        Path("runs/1"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_harmless_values_beside_weights(tmp_path: Path, demo: Any, state: dict, value: Any, new: bool) -> None:
    """They are not read: a stand-in that does nothing takes their place."""
    whole = {"state_dict": state, "epoch": 3, "best": value, "history": [value, {"x": value}]}
    torch.save(whole, tmp_path / "best.pt", _use_new_zipfile_serialization=new)
    assert same(Checkpoint(tmp_path / "best.pt"), demo)
    if not isinstance(value, tuple):
        found = read_tensor_file(tmp_path / "best.pt").content["best"]
        assert type(found).__module__ == "ravl_explore.support.tensor_files"


def test_nothing_stays_allowed_after_reading(tmp_path: Path, state: dict) -> None:
    before = set(torch.serialization.get_safe_globals())
    torch.save({"state_dict": state, "best": np.float64(1)}, tmp_path / "best.pt")
    read_weights(tmp_path / "best.pt")
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "best.pt", weights_only=True)


class Config:
    """Of another program."""


@pytest.mark.parametrize(
    ("value", "named"),
    [(Config(), f"{__name__}.Config"), (print, "print"), (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear")],
)
def test_the_name_of_what_is_refused_is_told(tmp_path: Path, state: dict, value: Any, named: str) -> None:
    torch.save({"state_dict": state, "x": value}, tmp_path / "x.pt")
    with pytest.raises(ModelError, match=rf"holds pickled code \({named}\); it was not run.*state_dict\(\) alone"):
        Checkpoint(tmp_path / "x.pt")


def test_weights_as_numpy_arrays_are_told(tmp_path: Path, state: dict) -> None:
    torch.save({"state_dict": {key: value.numpy() for key, value in state.items()}}, tmp_path / "x.pt")
    with pytest.raises(ModelError, match=r"a dictionary of tensors.*\(ndarray\)"):
        Checkpoint(tmp_path / "x.pt")


# --- names ------------------------------------------------------------------------------------------------------------

WRAPPERS = ["_checkpoint_wrapped_module", "_fsdp_wrapped_module", "_orig_mod", "module", "_forward_module"]


def renamed(state: dict, change: Callable[[str], str]) -> dict:
    return {change(key): value for key, value in state.items()}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize(
    "change",
    [
        lambda key, w: key.replace("resblocks.0.", f"resblocks.0.{w}."),
        lambda key, w: key.replace("visual.", f"visual.{w}."),
        lambda key, w: f"{w}.model.{w}.{key}",
        lambda key, w: key.replace("transformer.", f"transformer.{w}.").replace("attn.", f"{w}.attn."),
        lambda key, w: key.replace("token_embedding.", f"token_embedding.{w}.").replace("conv1.", f"conv1.{w}."),
        lambda key, w: f"{w}._orig_mod.{key}",
    ],
    ids=["block", "tower", "in front", "part", "layer", "twice"],
)
def test_wrappers_are_taken_out_wherever_they_stand(
    tmp_path: Path, demo: Any, state: dict, wrapper: str, change: Callable[[str, str], str]
) -> None:
    torch.save(renamed(state, lambda key: change(key, wrapper)), tmp_path / "x.pt")
    assert same(Checkpoint(tmp_path / "x.pt"), demo)


def test_averages_beside_a_bare_model_are_left_out(tmp_path: Path, demo: Any, state: dict) -> None:
    torch.save(state | {f"ema.{key}": torch.zeros_like(value) for key, value in state.items()}, tmp_path / "x.pt")
    assert same(Checkpoint(tmp_path / "x.pt"), demo)


def test_one_weight_under_two_names(tmp_path: Path, state: dict) -> None:
    twice = {"visual._orig_mod.proj": state["visual.proj"] + 1}
    torch.save(state | twice, tmp_path / "x.pt")
    with pytest.raises(ModelError, match=r"'visual.proj' with and without a wrapper"):
        Checkpoint(tmp_path / "x.pt")


# --- weights of other kinds -------------------------------------------------------------------------------------------

A, B = torch.zeros(4, 64), torch.zeros(64, 4)
FOREIGN: list[tuple[dict[str, torch.Tensor], str]] = [
    ({"base_model.model.a.q_proj.lora_A.default.weight": A, "base_model.model.a.q_proj.lora_B.weight": B}, "Merge"),
    ({"a.lora_magnitude_vector": torch.ones(4)}, "LoRA.*merge"),
    ({"visual.transformer.resblocks.0.attn.w_lora_A": A}, "LoRA.*merge"),
    ({"lora_unet_down.lora_down.weight": A}, "LoRA.*merge"),
    ({"base_model.model.a.k_proj.ia3_l": A}, "IA3.*[Mm]erge"),
    ({"base_model.model.a.hada_w1_a": A}, "adapters.*[Mm]erge"),
    ({"prompt_embeddings": A}, "learned prompts.*plain CLIP"),
    ({"prompt_learner.ctx": A, "prompt_learner.token_prefix": B}, "learned prompts"),
    ({"visual.proj.SCB": torch.ones(3)}, "bitsandbytes.*dequantise"),
    ({"visual.proj.quant_state.bitsandbytes__nf4": torch.ones(3)}, "bitsandbytes"),
    ({"visual.a.qweight": torch.ones(3, 3, dtype=torch.int32)}, "GPTQ or AWQ"),
    ({"visual.proj": torch.ones(3, 3, dtype=torch.int8)}, r"whole numbers.*torch\.int8"),
    ({"_fsdp_wrapped_module._flat_param": torch.ones(9)}, "flat parameters.*full state dict"),
    ({"visual.conv1.weight": torch.ones(3, 3, 2, 2), "visual.class_embedding": A[0]}, "the image tower alone"),
    ({"vision_model.embeddings.patch_embedding.weight": torch.ones(3, 3, 2, 2)}, "the image tower alone"),
    ({"class_embedding": A[0], "conv1.weight": torch.ones(3, 3, 2, 2), "proj": B}, "the image tower alone"),
]


@pytest.mark.parametrize(("content", "told"), FOREIGN, ids=[next(iter(content))[:30] for content, _ in FOREIGN])
def test_weights_of_other_kinds_are_recognised(tmp_path: Path, content: dict, told: str) -> None:
    torch.save({"state_dict": {f"module.{key}": value for key, value in content.items()}}, tmp_path / "x.pt")
    save_file(content, tmp_path / "x.safetensors")
    for path in (tmp_path / "x.pt", tmp_path / "x.safetensors"):
        with pytest.raises(ModelError, match=told):
            Checkpoint(path)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["adapter_config.json", "adapter_model.safetensors"], "merge_and_unload"),
        (["__0_0.distcp", "__1_0.distcp", ".metadata"], "dcp_to_torch_save"),
        (["zero_to_fp32.py", "latest"], "zero_to_fp32.py"),
        (["mp_rank_00_model_states.pt"], "shards"),
    ],
)
def test_folders_of_other_kinds_are_recognised(tmp_path: Path, names: list[str], told: str) -> None:
    for name in names:
        (tmp_path / name).write_text(json.dumps({}))
    with pytest.raises(ModelError, match=told):
        Checkpoint(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(tmp_path: Path, state: dict, value: float) -> None:
    broken = state["visual.proj"].clone()
    broken[0, 0] = value
    torch.save(state | {"visual.proj": broken}, tmp_path / "x.pt")
    with pytest.raises(ModelError, match=r"finite numbers.*visual\.proj"):
        Checkpoint(tmp_path / "x.pt")


def test_a_vector_of_whole_numbers(tmp_path: Path, state: dict) -> None:
    torch.save(state | {"ln_final.weight": torch.ones(64, dtype=torch.int64)}, tmp_path / "x.pt")
    with pytest.raises(ModelError, match=r"finite numbers.*ln_final\.weight"):
        Checkpoint(tmp_path / "x.pt")


@pytest.mark.parametrize("prefixes", [("student.", "teacher."), ("online.", "a.clip."), ("a.model.", "b.model.")])
def test_several_models_beside_each_other_are_listed(tmp_path: Path, state: dict, prefixes: tuple[str, str]) -> None:
    save_file({prefix + key: value.clone() for prefix in prefixes for key, value in state.items()}, tmp_path / "x")
    with pytest.raises(ModelError, match=rf"several in .*'{prefixes[1]}'.*state_dict\(\) of one alone") as raised:
        Checkpoint(tmp_path / "x")
    assert repr(prefixes[0]) in str(raised.value)


def test_several_models_of_other_layouts_are_listed(tmp_path: Path, state: dict) -> None:
    whole = {f"teacher.{key}": value for key, value in state.items()}
    save_file(whole | {"student.visual.trunk.cls_token": torch.ones(1, 1, 8)}, tmp_path / "x")
    with pytest.raises(ModelError, match=r"several in .*'student.', 'teacher.'"):
        Checkpoint(tmp_path / "x")


@pytest.mark.parametrize("name", ["val.confmat", "metrics.seen", "queue"])
def test_whole_numbers_beside_the_model_are_not_its_weights(tmp_path: Path, demo: Any, state: dict, name: str) -> None:
    whole = {f"model.{key}": value for key, value in state.items()} | {name: torch.zeros(3, 3, dtype=torch.int64)}
    torch.save({"state_dict": whole}, tmp_path / "last.ckpt")
    assert same(Checkpoint(tmp_path / "last.ckpt"), demo)
