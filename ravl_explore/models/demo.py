"""The embedded demo models: a small CLIP, before and after it learned that a red square means one class."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import as_file, files
from typing import Any

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import load as load_safetensors

from ravl_explore.errors import ModelError
from ravl_explore.models.base import pick_device
from ravl_explore.models.clip_resnet import ClipResNet

ARCHITECTURE = "ravl-demo"
CHECKPOINTS = ("spurious", "clean")


def demo_config() -> dict[str, Any]:
    """The demo's open_clip model configuration."""
    return json.loads(files("ravl_explore").joinpath("assets", "demo", f"{ARCHITECTURE}.json").read_text())


@cache
def demo_tokenizer() -> SimpleTokenizer:
    """open_clip's byte-pair tokenizer on the first 2,000 merges of CLIP's own table (no download)."""
    config = demo_config()["text_cfg"]
    with as_file(files("ravl_explore").joinpath("assets", "demo", "bpe.txt.gz")) as path:
        return SimpleTokenizer(bpe_path=str(path), context_length=config["context_length"])


def build_demo() -> Any:
    """The demo's architecture with random weights, through open_clip's own configuration mechanism."""
    if ARCHITECTURE not in open_clip.list_models():
        with as_file(files("ravl_explore").joinpath("assets", "demo", f"{ARCHITECTURE}.json")) as path:
            open_clip.add_model_config(path)
    config: dict[str, Any] = open_clip.get_model_config(ARCHITECTURE) or {}
    return open_clip.CLIP(**config)


class Demo(ClipResNet):
    """A 1.6 M-parameter CLIP (ModifiedResNet, 128 px): ``spurious`` learned the shortcut, ``clean`` is before that.

    Examples
    --------
    >>> Demo("clean").embed_text(["a photo of a bag"]).shape
    torch.Size([1, 128])
    """

    def __init__(self, checkpoint: str = "spurious", device: str | None = None) -> None:
        if checkpoint not in CHECKPOINTS:
            raise ModelError(f"one of the demo's checkpoints {CHECKPOINTS}", repr(checkpoint), "Try Demo('spurious').")
        folder = files("ravl_explore").joinpath("assets", "demo")
        weights = load_safetensors(folder.joinpath("clean.safetensors").read_bytes())
        if checkpoint == "spurious":  # the text tower was frozen, so only the image tower is stored again
            weights |= load_safetensors(folder.joinpath("spurious.safetensors").read_bytes())
        clip = build_demo()
        clip.load_state_dict(
            {key: value.float() if value.is_floating_point() else value for key, value in weights.items()}
        )
        super().__init__(clip.to(pick_device(device)), demo_tokenizer(), f"Demo: {checkpoint}")
        self.visual.to(memory_format=torch.channels_last)

    @classmethod
    def menu(cls) -> dict[str, tuple[str]]:
        """Menu label -> constructor arguments."""
        return {"Demo: fine-tuned, with a shortcut": ("spurious",), "Demo: before fine-tuning": ("clean",)}
