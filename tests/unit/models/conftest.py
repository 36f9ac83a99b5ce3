"""Tiny CLIPs of every kind of image tower, built by the libraries themselves, with weights random everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

SIDE = 32
VOCABULARY = 2514  # the demo's, whose tokenizer needs no download
TEXT = {"context_length": 24, "vocab_size": VOCABULARY, "width": 32, "heads": 2, "layers": 1}
VIT = {"image_size": SIDE, "patch_size": 8, "width": 64, "head_width": 32, "layers": 3}

TOWERS: dict[str, dict[str, Any]] = {
    "vit": VIT,
    "vit_layer_scale": VIT | {"ls_init_value": 0.3},
    "vit_average": VIT | {"pool_type": "avg"},
    "vit_average_clipa": VIT | {"pool_type": "avg", "final_ln_after_pool": True, "no_ln_pre": True},
    "vit_odd_patch": VIT | {"patch_size": 7},
    "timm_token": {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160},
    "timm_registers": {"timm_model_name": "test_vit2", "timm_pool": "avg", "timm_proj": None, "image_size": 160},
    "timm_map": {  # SigLIP's trunk
        "image_size": SIDE,
        "timm_vit": {"patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 2, "class_token": False}
        | {"global_pool": "map", "act_layer": "gelu_tanh"},
    },
    "timm_convnext": {"timm_model_name": "test_convnext", "timm_pool": "avg", "timm_proj": "linear", "image_size": 64},
    "vit_pooler": VIT | {"attentional_pool": True, "attn_pooler_queries": 4, "attn_pooler_heads": 2},
    "resnet": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None, "head_width": 64},
}
VITS = [name for name in TOWERS if name.startswith(("vit", "timm")) and name not in ("timm_convnext", "vit_pooler")]


def shake(module: nn.Module, seed: int = 0, size: float = 0.1) -> Any:
    """Add noise to every weight: libraries start with zeros and ones, which would hide whole branches."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def build_tower(tower: str, seed: int = 0, custom: bool = False, **changes: Any) -> Any:
    """An open_clip model with one of ``TOWERS``."""
    from ravl_explore.models.checkpoints.building import build

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vision = dict(TOWERS[tower])
        config = {"embed_dim": 48 if tower == "timm_map" else 64, "vision_cfg": vision, "text_cfg": dict(TEXT)}
        if custom or tower == "timm_map":
            config["custom_text"] = True
        clip = shake(build(config | changes), seed)
        if tower == "resnet":  # statistics of pixels, else embeddings hardly depend on the image
            norms = [module for module in clip.visual.modules() if isinstance(module, nn.BatchNorm2d)]
            for norm in norms:
                norm.weight.data.uniform_(0.5, 1.5)
                norm.momentum = 1.0
            with torch.no_grad():
                clip.visual.train()(torch.randn(16, 3, clip.visual.image_size, clip.visual.image_size))
                clip.visual.attnpool.positional_embedding.mul_(0.1)
            for norm in norms:
                norm.momentum = 0.1
        return clip.eval()


@pytest.fixture(scope="session")
def make_tower() -> Callable[..., Any]:
    """tower, seed, custom, and any key of the configuration -> a fresh open_clip model."""
    torch.set_num_threads(1)
    return build_tower


@pytest.fixture(scope="session")
def make_clip_model() -> Callable[..., Any]:
    """tower, region_method, and what ``make_tower`` takes -> a fresh ClipModel with the demo's tokens."""
    torch.set_num_threads(1)

    def make(tower: str, region_method: str | None = None, **changes: Any) -> Any:
        from ravl_explore.models.clip_model import ClipModel
        from ravl_explore.models.demo import demo_tokenizer

        return ClipModel(build_tower(tower, **changes), demo_tokenizer(), f"random {tower}", region_method)

    return make


@pytest.fixture
def own_cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A folder of the user's own files, no hub's cache beside it, and no way to the hub."""
    from huggingface_hub import constants

    monkeypatch.setenv("RAVL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "cache" / "models"
