"""The embedded demo models: two small CLIPs, before and after they learned that a red square means one class."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import as_file, files

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import load as load_safetensors

from ravl_explore.errors import ModelError
from ravl_explore.models.base import pick_device
from ravl_explore.models.checkpoints.settings import Config
from ravl_explore.models.clip_model import ClipModel

ARCHITECTURE, VIT_ARCHITECTURE = "ravl-demo", "ravl-demo-vit"
CHECKPOINTS = ("spurious", "clean", "vit-spurious", "vit-clean")


def demo_config(architecture: str = ARCHITECTURE) -> Config:
    """A demo's open_clip model configuration; all demos have the same text tower.

    Parameters
    ----------
    architecture : str
        ``"ravl-demo"`` or ``"ravl-demo-vit"``.
    """
    return json.loads(files("ravl_explore").joinpath("assets", "demo", f"{architecture}.json").read_text())


@cache
def demo_tokenizer() -> SimpleTokenizer:
    """open_clip's byte-pair tokenizer on the first 2,000 merges of CLIP's own table (no download)."""
    config = demo_config()["text_cfg"]
    with as_file(files("ravl_explore").joinpath("assets", "demo", "bpe.txt.gz")) as path:
        return SimpleTokenizer(bpe_path=str(path), context_length=config["context_length"])


def build_demo(architecture: str = ARCHITECTURE) -> open_clip.CLIP:
    """A demo's architecture with random weights, through open_clip's own configuration mechanism.

    Parameters
    ----------
    architecture : str
        ``"ravl-demo"`` or ``"ravl-demo-vit"``.
    """
    if architecture not in open_clip.list_models():
        with as_file(files("ravl_explore").joinpath("assets", "demo", f"{architecture}.json")) as path:
            open_clip.add_model_config(path)
    config: Config = open_clip.get_model_config(architecture) or {}
    return open_clip.CLIP(**config)


class Demo(ClipModel):
    """A CLIP small enough to ship: ``spurious`` learned the shortcut, ``clean`` is before that.

    Both have a ModifiedResNet at 128 px (1.4 M parameters). ``vit-spurious`` and ``vit-clean`` have a ViT at 56 px with
    8 x 8 patches (0.6 M parameters) instead. The text tower (0.3 M) is the same, so they share one text space.

    Parameters
    ----------
    checkpoint : str
        ``"spurious"``, ``"clean"``, ``"vit-spurious"`` or ``"vit-clean"``.
    device : str, optional
        Where it runs, such as ``"cuda"``; the CPU unless given.
    region_method : str, optional
        How regions are embedded, see :mod:`ravl_explore.models.region_encoders`.

    Examples
    --------
    >>> Demo("clean").embed_text(["a photo of a bag"]).shape
    torch.Size([1, 128])
    """

    def __init__(
        self, checkpoint: str = "spurious", device: str | None = None, region_method: str | None = None
    ) -> None:
        if not isinstance(checkpoint, str) or checkpoint not in CHECKPOINTS:
            raise ModelError(f"one of the demo's checkpoints {CHECKPOINTS}", repr(checkpoint), "Try Demo('spurious').")
        architecture = VIT_ARCHITECTURE if checkpoint.startswith("vit-") else ARCHITECTURE
        folder = files("ravl_explore").joinpath("assets", "demo")
        weights = load_safetensors(folder.joinpath("clean.safetensors").read_bytes())
        if checkpoint != "clean":  # the text tower was frozen, so only the image tower is stored again
            text = {name: each for name, each in weights.items() if not name.startswith("visual.")}
            weights = text | load_safetensors(folder.joinpath(f"{checkpoint}.safetensors").read_bytes())
        clip = build_demo(architecture)
        clip.load_state_dict(
            {key: value.float() if value.is_floating_point() else value for key, value in weights.items()}
        )
        super().__init__(
            clip.to(pick_device(device)),
            demo_tokenizer(),
            f"Demo: {checkpoint.replace('vit-', 'ViT, ')}",
            region_method,
            architecture=architecture,
            config=demo_config(architecture),
        )
        self.visual.to(memory_format=torch.channels_last)

    @classmethod
    def menu(cls) -> dict[str, tuple[str]]:
        """Menu label -> constructor arguments."""
        return {
            "Demo: fine-tuned, with a shortcut": ("spurious",),
            "Demo: before fine-tuning": ("clean",),
            "Demo: ViT, fine-tuned, with a shortcut": ("vit-spurious",),
            "Demo: ViT, before fine-tuning": ("vit-clean",),
        }
