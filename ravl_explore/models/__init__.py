"""Models and loaders; ``__all__`` is what the explorer's menu offers."""

from ravl_explore.models.base import VisionLanguageModel
from ravl_explore.models.checkpoint import Checkpoint
from ravl_explore.models.demo import Demo

__all__ = ["Demo", "Checkpoint", "VisionLanguageModel"]  # noqa: RUF022  the menu's order
