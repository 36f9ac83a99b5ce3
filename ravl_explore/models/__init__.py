"""Models and loaders; ``__all__`` is what the explorer's menu offers."""

from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.models.checkpoints.checkpoint import Checkpoint
from ravl_explore.models.clip_model import ClipModel
from ravl_explore.models.demo import Demo
from ravl_explore.models.hub import HuggingFace
from ravl_explore.models.medical import BiomedCLIP, PubMedCLIP
from ravl_explore.models.open_model import open_model
from ravl_explore.models.pretrained import OpenClip

__all__ = [  # noqa: RUF022  the menu's order
    "Demo",
    "Checkpoint",
    "OpenClip",
    "HuggingFace",
    "PubMedCLIP",
    "BiomedCLIP",
    "ClipModel",
    "VisionLanguageModel",
    "open_model",
]
