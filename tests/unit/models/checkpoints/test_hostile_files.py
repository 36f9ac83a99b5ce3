"""No file that is opened runs code, reaches for the network or other folders, hangs, or takes more than it holds."""

from __future__ import annotations

import base64
import json
import os
import pickle
import resource
import socket
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

import ravl_explore as rx
from ravl_explore import models, regions
from ravl_explore.concepts.networks import Networks
from ravl_explore.errors import ModelError, RavlError
from ravl_explore.models.checkpoints.building import build
from ravl_explore.models.checkpoints.checkpoint import Checkpoint
from ravl_explore.models.medical import BIOMEDCLIP, PUBMEDCLIP
from ravl_explore.models.text.file_tokenizer import pack, unpack

SECONDS = 60  # generous: the machine may be busy
CONFIG: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 100, "width": 64, "heads": 1, "layers": 1},
}
MANY = 10**6


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return {key: value.contiguous() for key, value in open_clip.CLIP(**CONFIG).state_dict().items()}


@pytest.fixture
def reached(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Every way that was tried to another machine; there must be none. The hub does not count as offline."""
    tried: list[Any] = []

    def refuse(*address: Any, **_: Any) -> Any:
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked for leave to run code"))
    yield tried
    assert tried == []


def changed(place: str, value: Any) -> dict[str, Any]:
    """The configuration with one setting of another value; ``place`` is a dotted name."""
    config = json.loads(json.dumps(CONFIG))
    *parts, last = place.split(".")
    inside = config
    for part in parts:
        inside = inside.setdefault(part, {})
    inside[last] = value
    return config


def snapshot(folder: Path, config: Any, tensors: dict[str, torch.Tensor]) -> Path:
    folder.mkdir(parents=True)
    save_file(tensors, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    return folder


def by_folder(root: Path, config: Any, tensors: dict[str, torch.Tensor]) -> Any:
    return Checkpoint(snapshot(root / "folder", config, tensors))


def by_header(root: Path, config: Any, tensors: dict[str, torch.Tensor]) -> Any:
    save_file(tensors, root / "clip.safetensors", {"config": json.dumps(config)})
    return models.open_model(str(root / "clip.safetensors"))


def by_pytorch_file(root: Path, config: Any, tensors: dict[str, torch.Tensor]) -> Any:
    folder = snapshot(root / "pytorch", config, tensors)
    torch.save(tensors, folder / "open_clip_pytorch_model.bin")
    (folder / "open_clip_model.safetensors").unlink()
    return Checkpoint(folder / "open_clip_pytorch_model.bin")


def by_repository(root: Path, config: Any, tensors: dict[str, torch.Tensor]) -> Any:
    snapshot(root / "cache" / "models" / "me" / "it", config, tensors)
    return models.HuggingFace("me/it")


def by_medical_name(root: Path, config: Any, tensors: dict[str, torch.Tensor]) -> Any:
    snapshot(root / "cache" / "models" / BIOMEDCLIP, config, tensors)
    return models.BiomedCLIP()


LOADERS = [by_folder, by_header, by_pytorch_file, by_repository, by_medical_name]
HOSTILE: list[tuple[str, Any]] = [
    ("text_cfg.tokenizer_kwargs", {"trust_remote_code": True}),
    ("text_cfg.tokenizer_kwargs", {"tokenizer_type": "bert", "gguf_file": "x"}),
    ("text_cfg.tokenizer_kwargs", {"bpe_path": "/etc/hostname"}),
    ("text_cfg.tokenizer_kwargs", ["trust_remote_code"]),
    ("text_cfg.hf_tokenizer_name", "../../../etc"),
    ("text_cfg.hf_tokenizer_name", "/etc"),
    ("text_cfg.hf_tokenizer_name", "https://example.com/a"),
    ("text_cfg.hf_model_name", "../elsewhere"),
    ("text_cfg.hf_model_name", 7),
    ("text_cfg.hf_config", {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}}),
    ("vision_cfg.timm_model_name", "hf-hub:some/name"),
    ("vision_cfg.timm_model_name", "hf_hub:some/name"),
    ("vision_cfg.timm_model_name", "local-dir:/tmp"),
    ("vision_cfg.timm_model_name", "no_such_model"),
    ("vision_cfg.checkpoint_path", "/etc/hostname"),
    ("vision_cfg.layers", MANY),
    ("vision_cfg.layers", [MANY, 1, 1, 1]),
    ("vision_cfg.layers", -1),
    ("vision_cfg.width", 10**9),
    ("vision_cfg.width", "64"),
    ("vision_cfg.patch_size", 0),
    ("vision_cfg.image_size", 10**7),
    ("vision_cfg.image_size", [32, 64]),
    ("vision_cfg.mlp_ratio", 1e300),
    ("vision_cfg.mlp_ratio", float("nan")),
    ("text_cfg.vocab_size", 10**12),
    ("text_cfg.context_length", 10**9),
    ("text_cfg.context_length", 3.5),
    ("text_cfg.layers", MANY),
    ("text_cfg.layers", 250),  # possible, but not of these weights
    ("vision_cfg.width", 32768),
    ("text_cfg.heads", True),
    ("embed_dim", 10**10),
    ("embed_dim", None),
    ("vision_cfg", []),
    ("text_cfg", "text"),
    ("cast_dtype_of_mine", 1),
]


@pytest.mark.parametrize(("place", "value"), HOSTILE, ids=lambda each: str(each)[:40])
def test_hostile_configurations_are_refused_at_once(
    reached: list[Any], tmp_path: Path, tensors: Any, place: str, value: Any
) -> None:
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for load in LOADERS:
        with pytest.raises(ModelError):
            load(tmp_path, changed(place, value), tensors)
    assert time.monotonic() - started < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20, "1 GB"


@pytest.mark.parametrize("load", LOADERS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("key", ["hf_tokenizer_name", "hf_model_name"])
def test_a_file_alone_downloads_nothing(
    reached: list[Any], tmp_path: Path, tensors: Any, load: Callable[..., Any], key: str
) -> None:
    with pytest.raises(ModelError, match=r"some/name.*nothing is downloaded because a file says so.*Put it at"):
        load(tmp_path, changed(f"text_cfg.{key}", "some/name"), tensors)


@pytest.mark.parametrize("load", LOADERS[:3], ids=lambda each: each.__name__)
def test_not_even_a_known_repository_is_asked_because_a_file_says_so(
    reached: list[Any], tmp_path: Path, tensors: Any, load: Callable[..., Any]
) -> None:
    with pytest.raises(ModelError, match="nothing is downloaded because a file says so"):
        load(tmp_path, changed("text_cfg.hf_tokenizer_name", "timm/ViT-B-16-SigLIP"), tensors)


def test_repositories_that_may_be_asked() -> None:
    """Those that open_clip's own configurations name, for who names an architecture or a repository."""
    from ravl_explore.models.text.text_towers import known_repositories

    assert {"timm/ViT-B-16-SigLIP", "xlm-roberta-base", "bert-base-uncased"} < known_repositories()


@pytest.mark.parametrize("key", ["timm_model_pretrained", "pretrained", "timm_drop"])
def test_settings_of_training_are_left_out(reached: list[Any], tmp_path: Path, key: str) -> None:
    """Weights come from the file alone, whatever it says of others."""
    config = changed(f"vision_cfg.{key}", True)
    config["text_cfg"] = config["text_cfg"] | {"vocab_size": 2514, "context_length": 24, "hf_model_pretrained": True}
    clean = open_clip.CLIP(CONFIG["embed_dim"], CONFIG["vision_cfg"], changed("x", 1)["text_cfg"] | {"vocab_size": 2514}
                           | {"context_length": 24}).eval()  # fmt: skip
    save_file(clean.state_dict(), tmp_path / "clip.safetensors", {"config": json.dumps(config)})
    opened = Checkpoint(tmp_path / "clip.safetensors")
    assert all(torch.equal(opened.state_dict[key], value) for key, value in clean.state_dict().items())


# --- tokenizers -------------------------------------------------------------------------------------------------------


def evil_tokenizer(canary: Path) -> dict[str, str]:
    """Files that ask for their own code in every way that transformers knows."""
    maps = {"AutoTokenizer": ["evil.Evil", "evil.Evil"], "AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}
    code = f"open({str(canary)!r}, 'w').write('ran')\nclass Evil: pass\n"
    told = {"tokenizer_class": "Evil", "auto_map": maps, "tokenizer_file": "/etc/hostname", "trust_remote_code": True}
    return {
        "tokenizer.json": "{}",
        "tokenizer_config.json": json.dumps(told | {"vocab_file": "/etc/hostname", "chat_template": "{{ 1/0 }}"}),
        "special_tokens_map.json": json.dumps({"auto_map": maps}),
        "config.json": json.dumps({"model_type": "evil", "auto_map": maps}),
        "evil.py": code,
        "tokenization_evil.py": code,
    }


@pytest.mark.parametrize("where", ["beside", "in the header", "of the repository", "legacy list"])
def test_tokenizers_run_no_code(
    reached: list[Any], own_cache: Path, tmp_path: Path, tensors: Any, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    canary, metadata = tmp_path / "canary", {"config": json.dumps(changed("text_cfg.hf_tokenizer_name", "some/name"))}
    files = evil_tokenizer(canary)
    if where == "legacy list":
        told = json.loads(files["tokenizer_config.json"])
        files["tokenizer_config.json"] = json.dumps(told | {"auto_map": ["evil.Evil", "evil.Evil"]})
    folder = own_cache / "some" / "name" if where == "of the repository" else tmp_path / "model"
    folder.mkdir(parents=True)
    (tmp_path / "model").mkdir(exist_ok=True)
    if where == "in the header":
        metadata["tokenizer"] = pack({name: content.encode() for name, content in files.items()})
    else:
        for name, content in files.items():
            (folder / name).write_text(content)
    save_file(tensors, tmp_path / "model" / "clip.safetensors", metadata)
    with pytest.raises(ModelError, match="a tokenizer that transformers can read"):
        Checkpoint(tmp_path / "model" / "clip.safetensors")
    assert not canary.exists() and "evil" not in sys.modules


@pytest.mark.parametrize("packed", ["", "no base64!", "AAAA", pack({"tokenizer.json": b"{"}), pack({})])
def test_broken_tokenizers_in_a_header(reached: list[Any], tmp_path: Path, tensors: Any, packed: str) -> None:
    save_file(tensors, tmp_path / "x.safetensors", {"config": json.dumps(CONFIG), "tokenizer": packed})
    with pytest.raises(ModelError, match="tokenizer"):
        Checkpoint(tmp_path / "x.safetensors")


def test_a_tokenizer_that_unpacks_to_gigabytes(
    reached: list[Any], tmp_path: Path, tensors: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ravl_explore.models.text.file_tokenizer.MOST_BYTES", 1000)
    packed = pack({"tokenizer.json": b" " * 10**6})
    assert len(packed) < 20_000
    save_file(tensors, tmp_path / "x.safetensors", {"config": json.dumps(CONFIG), "tokenizer": packed})
    with pytest.raises(ModelError, match="larger than any tokenizer"):
        Checkpoint(tmp_path / "x.safetensors")


def zipped(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 9)).decode()


@pytest.mark.parametrize(
    "packed",
    [
        lambda: zipped(b'{"tokenizer.json": "' + b"A" * 2**28 + b'"}'),
        lambda: zipped(b"[" + b"[]," * 2**25 + b"0]"),
        lambda: zipped(b'{"tokenizer.json": "' + b"A" * 2**25 + b'", "x": "' + "\u2581".encode() * 2**24 + b'"}'),
        lambda: pack({"tokenizer.json": b"[" + b"[]," * 2**24 + b"0]"}),
        lambda: zipped(b'{"vocab.txt": "", ' * 10**6),
    ],
    ids=["long", "no files", "wide letters", "small parts", "many files"],
)
def test_a_packed_tokenizer_takes_little_memory(packed: Callable[[], str]) -> None:
    text = packed()
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="the tokenizer's files in the checkpoint's header"):
            unpack(text, "x")
        assert tracemalloc.get_traced_memory()[1] < 2**29, "half a GB"
    finally:
        tracemalloc.stop()


def test_what_is_packed_unpacks() -> None:
    files = {"merges.txt": b"a b", "tokenizer.json": bytes(range(256)), "vocab.txt": b""}
    assert unpack(pack(files), "x") == files
    assert unpack(pack({}), "x") == {}


@pytest.mark.parametrize(
    "vision",
    [
        {"image_size": 4096, "patch_size": 1},
        {"image_size": 4096, "patch_size": 16, "width": 32768},
        {"image_size": 2048, "patch_size": 4, "width": 64},
    ],
)
def test_positions_that_open_clip_computes_are_bounded(tmp_path: Path, tensors: Any, vision: dict[str, int]) -> None:
    config = CONFIG | {"vision_cfg": CONFIG["vision_cfg"] | vision | {"pos_embed_type": "sin_cos_2d"}}
    save_file(tensors, tmp_path / "x.safetensors", {"config": json.dumps(config)})
    with pytest.raises(ModelError, match="sin_cos_2d positions"):
        Checkpoint(tmp_path / "x.safetensors")


def test_usual_computed_positions_open(tmp_path: Path) -> None:
    vision = CONFIG["vision_cfg"] | {"pos_embed_type": "sin_cos_2d"}
    text = CONFIG["text_cfg"] | {"vocab_size": 49408}
    config = CONFIG | {"vision_cfg": vision, "text_cfg": text}
    clip = {key: value.contiguous() for key, value in open_clip.CLIP(**config).state_dict().items()}
    save_file(clip, tmp_path / "x.safetensors", {"config": json.dumps(config)})
    assert Checkpoint(tmp_path / "x.safetensors").config == config


def test_a_model_too_large_for_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(**_: Any) -> Any:
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr(open_clip, "CLIP", too_large)
    with pytest.raises(ModelError, match="Unable to allocate 9 TiB"):
        build(CONFIG)


# --- transformers -----------------------------------------------------------------------------------------------------


def test_settings_of_transformers_run_and_fetch_nothing(
    reached: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import CLIPConfig, CLIPModel

    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    tower = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 1}
    vision = tower | {"image_size": 32, "patch_size": 16}
    CLIPModel(CLIPConfig(text_config=tower, vision_config=vision, projection_dim=32)).save_pretrained(tmp_path / "clip")
    settings = json.loads((tmp_path / "clip" / "config.json").read_text())
    for part, key, value in (
        *(("text_config", "num_attention_heads", each) for each in (0.5, -3, "x", 7, 10**9)),
        *(("vision_config", "num_attention_heads", each) for each in ([], 64.0, 10**12)),
        *(("text_config", "layer_norm_eps", each) for each in ("x", float("inf"), -1)),
        *(("vision_config", "hidden_act", each) for each in ("os.system", 7, None)),
        ("text_config", "eos_token_id", [1, 2]),
        ("text_config", "eos_token_id", -5),
    ):
        bad = settings | {part: settings[part] | {key: value}}
        (tmp_path / "clip" / "config.json").write_text(json.dumps(bad))
        with pytest.raises(ModelError):
            Checkpoint(tmp_path / "clip")
    canary = tmp_path / "canary"
    for name, content in evil_tokenizer(canary).items():
        (tmp_path / "clip" / name).write_text(content)
    maps = {"auto_map": {"AutoModel": "evil.Evil"}, "attn_implementation": "some/kernel", "architectures": ["Evil"]}
    (tmp_path / "clip" / "config.json").write_text(json.dumps(settings | maps))
    assert Checkpoint(tmp_path / "clip").dim == 32 and not canary.exists()


@pytest.mark.parametrize("number", [10**12, MANY])
def test_a_block_of_a_high_number_asks_for_nothing(tmp_path: Path, number: int) -> None:
    torch.save({f"vision_model.encoder.layers.{number}.mlp.fc1.bias": torch.ones(2)}, tmp_path / "x.pt")
    started = time.monotonic()
    with pytest.raises(ModelError):
        Checkpoint(tmp_path / "x.pt")
    assert time.monotonic() - started < SECONDS


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config.json", {"backbone_config": {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}}}),
        ("config.json", {"backbone_config": {"model_type": "swin", "depths": [MANY, 1, 1, 1]}}),
        ("config.json", {"encoder_layers": MANY}),
        ("config.json", {"d_model": 10**9}),
        ("config.json", {"text_config": {"model_type": "bert", "_name_or_path": "x", "hidden_act": "../x"}}),
        ("config.json", {"text_config": {"model_type": "bert", "hidden_size": 4096, "num_hidden_layers": 200}}),
        ("preprocessor_config.json", {"image_processor_type": "https://example.com", "size": {"height": 10**9}}),
    ],
    ids=str,
)
def test_networks_that_draw_masks_take_plain_settings_alone(
    reached: list[Any], detector_folder: Path, tmp_path: Path, name: str, change: dict[str, Any]
) -> None:
    before = json.loads((detector_folder / name).read_text()) if (detector_folder / name).is_file() else {}
    (detector_folder / name).write_text(json.dumps(before | change))
    started = time.monotonic()
    with pytest.raises(ModelError):
        Networks(detector_folder, detector_folder)
    assert time.monotonic() - started < SECONDS


def test_networks_that_draw_masks_run_no_code(reached: list[Any], detector_folder: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    told = json.loads((detector_folder / "config.json").read_text())
    for name, content in evil_tokenizer(canary).items():
        if name != "tokenizer.json":
            (detector_folder / name).write_text(content)
    maps = {"auto_map": {"AutoModel": "evil.Evil"}, "attn_implementation": "some/kernel", "backbone": "resnet50"}
    maps |= {"use_timm_backbone": True, "use_pretrained_backbone": True}
    (detector_folder / "config.json").write_text(json.dumps(told | maps))
    with pytest.raises(ModelError, match=r"sam2|weights"):  # it is no segmenter
        Networks(detector_folder, detector_folder)
    assert not canary.exists() and "evil" not in sys.modules
    (detector_folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "some/name"}))
    with pytest.raises(ModelError, match="an adapter"):
        Networks(detector_folder, detector_folder)


@pytest.fixture
def detector_folder(tmp_path: Path) -> Path:
    from tests.unit.concepts.conftest import save_detector

    save_detector(tmp_path / "detector")
    return tmp_path / "detector"


# --- what is larger than it looks -------------------------------------------------------------------------------------


def promises_terabytes(path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))


def repeats_one_number(path: Path) -> None:
    torch.save({"visual.conv1.weight": torch.ones(1).expand(64, 3, 5000, 5000)}, path)


def shares_one_storage(path: Path) -> None:
    whole = torch.ones(2**20)
    torch.save({f"visual.{i}.weight": whole.view(1024, 1024)[:, :] for i in range(3000)}, path)


def has_no_numbers(path: Path) -> None:
    torch.save({"visual.conv1.weight": torch.empty(10**6, 10**6, device="meta")}, path)


def is_a_zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", pickle.dumps({}, 2))
        archive.writestr("x/data/0", bytes(2**28))


def is_sparse(path: Path) -> None:
    with torch.sparse.check_sparse_tensor_invariants():
        torch.save({"a": torch.sparse_coo_tensor(torch.tensor([[0]]), torch.ones(1), (10**9,))}, path)


@pytest.mark.parametrize(
    "write",
    [promises_terabytes, repeats_one_number, shares_one_storage, has_no_numbers, is_a_zip_bomb, is_sparse],
    ids=lambda each: each.__name__,
)
@pytest.mark.parametrize(
    "load", [Checkpoint, regions.Detector, lambda path: rx.load(path)], ids=["Checkpoint", "Detector", "load"]
)
def test_small_files_take_no_large_memory(tmp_path: Path, write: Any, load: Any) -> None:
    path = tmp_path / "x.safetensors"
    write(path)
    assert path.stat().st_size < 2**23
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RavlError):
        load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19, "half a GB"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_named_pipes_do_not_hang(tmp_path: Path, tensors: Any) -> None:
    calls = ["from ravl_explore import models, regions", "from ravl_explore.errors import ModelError"]
    for name in ("open_clip_model.safetensors", "open_clip_config.json", "tokenizer.json", "x.pt"):
        folder = snapshot(tmp_path / name, CONFIG, tensors)
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
        for call in ("models.Checkpoint", "regions.Detector"):
            path = str(folder / name if name == "x.pt" or "Detector" in call else folder)
            calls.append(f"try: {call}({path!r})\nexcept ModelError: print('told')")
    told = subprocess.run([sys.executable, "-c", "\n".join(calls)], capture_output=True, text=True, timeout=240)
    assert told.stdout.split() == ["told"] * 8, told.stderr


def test_closed_folders_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system answers where a folder may not be entered; to root every folder is open."""

    def closed(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", closed)
    for path in (tmp_path / "x.safetensors", tmp_path / "x.pt"):
        with pytest.raises(ModelError, match="Permission denied"):
            Checkpoint(path)
        with pytest.raises(ModelError, match="Permission denied"):
            models.open_model(str(path))
        with pytest.raises(ModelError, match="Permission denied"):
            regions.Detector(path)


def test_medical_files_that_hold_code(reached: list[Any], own_cache: Path, tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.open, (str(tmp_path / "canary"), os.O_CREAT | os.O_WRONLY)

    (own_cache / PUBMEDCLIP).mkdir(parents=True)
    torch.save({"state_dict": {}, "x": Touch()}, own_cache / PUBMEDCLIP / "PubMedCLIP_RN50.pth")
    with pytest.raises(ModelError, match=r"holds pickled code \(posix.open\)"):
        models.PubMedCLIP("RN50")
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", ["../it/x", "me/..", "me/it/../..", "/etc", "hf-hub:../x", "me/it\x00", "me\\it/x"])
def test_repositories_that_climb_out(reached: list[Any], own_cache: Path, name: str) -> None:
    with pytest.raises(ModelError, match="ORGANISATION/NAME"):
        models.HuggingFace(name)


def test_an_index_that_climbs_out(reached: list[Any], own_cache: Path) -> None:
    folder = own_cache / "me" / "it"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "clip"}))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../secret"}}))
    with pytest.raises(ModelError, match="beside their index"):
        models.HuggingFace("me/it")


def test_deep_and_long_settings(tmp_path: Path, tensors: Any) -> None:
    folder = snapshot(tmp_path / "model", CONFIG, tensors)
    for content in ("[" * 100_000, '{"a":' * 100_000, json.dumps({"x": "y" * 2**25}), "[1]", '{"model_cfg": 3}'):
        (folder / "open_clip_config.json").write_text(content)
        with pytest.raises(ModelError, match=r"open_clip_config\.json"):
            Checkpoint(folder)


def test_steering_files_hold_numbers_alone(tmp_path: Path) -> None:
    """What a steering file says is no more than arrays and numbers, whose shapes must fit the model."""
    from safetensors.numpy import save_file as save_arrays

    from ravl_explore.support.result_files import FORMAT

    meta = {"shifts": None, "fingerprint": models.Demo("clean").fingerprint(), "model_name": "x"}
    for change in ({"fingerprint": "other"}, {"shifts": 5}):
        header = {"format": FORMAT, "kind": "steering", "meta": json.dumps(meta | change)}
        save_arrays({"axis": np.ones(3, np.float32)}, tmp_path / "x.safetensors", header)
        with pytest.raises(RavlError):
            rx.load(tmp_path / "x.safetensors", model=models.Demo("clean"))
